"""The Edge Network as the emulator reads it: what is accepted, what is refused with which code, and how."""

from __future__ import annotations

import re

import pytest

from edgequeue.emulator import Emulator

REQUEST_ID = "0a8f1f44-6c1e-4a0e-8a38-5a3c2f4f9b10"


def code_of(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["title"]
    assert document["report"]["requestId"]
    return document["type"].removeprefix("https://ns.adobe.com/aep/errors/")


def test_events_are_accepted_with_the_callers_request_id_and_a_suffix(emulator, collect, edge_event):
    """A good request is answered 202; the request id is the caller's, a dash and sixteen hex digits."""
    answer = collect(emulator, edge_event("a"), edge_event("b"), requestId=REQUEST_ID)
    assert answer.status_code == 202
    assert re.fullmatch(REQUEST_ID + "-[0-9a-f]{16}", answer.json()["requestId"])
    assert emulator.arrived.ids == ("a", "b")
    assert emulator.requests[0].request_id == answer.json()["requestId"]


def test_the_request_id_may_come_as_a_header(emulator, collect, edge_event):
    """x-request-id serves where the query names no requestId."""
    answer = collect(emulator, edge_event(), headers={"x-request-id": REQUEST_ID})
    assert answer.json()["requestId"].startswith(REQUEST_ID + "-")


def test_a_request_id_that_is_no_uuid_is_replaced(emulator, collect, edge_event):
    """The service mints its own id when the given one is not a UUID."""
    answer = collect(emulator, edge_event(), requestId="till-7")
    assert re.fullmatch(r"[0-9a-f-]{36}-[0-9a-f]{16}", answer.json()["requestId"])


def test_both_spellings_of_the_datastream_parameter_are_known(emulator, client, edge_event):
    """The older and the newer documents spell the parameter differently; both are live."""
    for name in ("dataStreamId", "datastreamId"):
        answer = client.post(f"{emulator.url}/ee/v2/collect?{name}=web", json={"events": [edge_event()]})
        assert answer.status_code == 202


def test_silent_is_answered_without_a_body(emulator, collect, edge_event):
    """silent=true turns success into 204 with no body; the events count all the same."""
    answer = collect(emulator, edge_event("a"), silent="true")
    assert (answer.status_code, answer.content) == (204, b"")
    assert emulator.arrived.ids == ("a",)


def test_silent_does_not_silence_errors(emulator, collect):
    """Serious errors are reported with status and body also when silent."""
    assert code_of(collect(emulator, {"xdm": {}}, silent="true")) == "EXEG-0306-400"


def test_primary_may_be_the_string_true(emulator, collect, edge_event):
    """Adobe's own sample marks the primary identity with a string."""
    identity = {"Email": [{"id": "a@example.com", "primary": "true"}]}
    assert collect(emulator, edge_event(identityMap=identity)).status_code == 202


@pytest.mark.parametrize(
    "identity_map",
    [
        {},
        {"Email": []},
        {"Email": [{"id": "a@example.com"}]},
        {"Email": [{"id": "a@example.com", "primary": "yes"}]},
        7,
    ],
)
def test_an_event_without_primary_identity_refuses_the_whole_request(emulator, collect, edge_event, identity_map):
    """EXEG-0306-400 names the event's index, and not one event of the request is accepted."""
    answer = collect(emulator, edge_event("a"), edge_event("b", identityMap=identity_map))
    assert code_of(answer) == "EXEG-0306-400"
    assert "#1" in answer.json()["detail"]
    assert emulator.arrived.events == 0


@pytest.mark.parametrize(
    ("xdm", "code"),
    [
        ({"identityMap": {"FPID": [{"id": "till-7", "primary": True}]}}, "EXEG-0308-400"),
        ({"identityMap": {"FPID": [{"id": REQUEST_ID.replace("-4a", "-1a"), "primary": True}]}}, "EXEG-0308-400"),
        ({"identityMap": {"Email": [{"id": "", "primary": True}]}}, "EXEG-0305-400"),
        ({"timestamp": "2026-03-01 08:15:30"}, "EXEG-0102-400"),
        ({"timestamp": "2026-02-31T08:15:30Z"}, "EXEG-0102-400"),
        ({"timestamp": 1772352930}, "EXEG-0102-400"),
        ({"_id": 5}, "EXEG-0102-400"),
    ],
)
def test_a_field_in_the_wrong_form_refuses_the_request(emulator, collect, edge_event, xdm, code):
    """An FPID is a UUIDv4, a timestamp has one of the accepted patterns, an _id is text."""
    assert code_of(collect(emulator, edge_event(**xdm))) == code


@pytest.mark.parametrize(
    "stamp", ["2026-03-01T08:15:30Z", "2026-03-01T08:15:30.123456789Z", "2026-03-01T08:15:30+01:00"]
)
def test_every_accepted_timestamp_pattern_passes(emulator, collect, edge_event, stamp):
    """One to nine digits of fraction or none, Z or an offset."""
    assert collect(emulator, edge_event(timestamp=stamp)).status_code == 202


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "EXEG-0101-400"),
        (b"[]", "EXEG-0101-400"),
        (b'{"events":NaN}', "EXEG-0101-400"),
        (b"\xff\xfe", "EXEG-0101-400"),
        (b"[" * 5000, "EXEG-0101-400"),
        (b"", "EXEG-0109-408"),
        (b"{}", "EXEG-0103-400"),
        (b'{"events":[]}', "EXEG-0105-400"),
        (b'{"events":{}}', "EXEG-0105-400"),
        (b'{"events":[5]}', "EXEG-0103-400"),
        (b'{"events":[{"data":{}}]}', "EXEG-0103-400"),
    ],
)
def test_a_malformed_body_has_its_own_code(emulator, client, body, code):
    """Each way in which a body can be wrong is told apart by its EXEG code."""
    url = f"{emulator.url}/ee/v2/collect?dataStreamId=web"
    assert code_of(client.post(url, content=body, headers={"content-type": "application/json"})) == code


def test_the_largest_body_passes_and_one_byte_more_does_not(emulator, client, collect, edge_event):
    """64,000 bytes are accepted; 64,001 are refused with EXEG-0112-413, whose text names the maximum."""
    url = f"{emulator.url}/ee/v2/collect?dataStreamId=web"
    for size, status in ((64_000, 202), (64_001, 413)):
        event = edge_event(pad="")
        empty = len(client.build_request("POST", url, json={"events": [event]}).content)
        event["xdm"]["pad"] = "x" * (size - empty)
        answer = client.post(url, json={"events": [event]})
        assert (int(answer.request.headers["content-length"]), answer.status_code) == (size, status)
    assert code_of(answer) == "EXEG-0112-413"
    assert "64000" in answer.json()["detail"]


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "text/plain", "text/javascript"])
def test_every_documented_content_type_is_read_as_json(emulator, client, edge_event, media_type):
    """JSON may come under three names."""
    content = client.build_request("POST", emulator.url, json={"events": [edge_event()]}).content
    url = f"{emulator.url}/ee/v2/collect?dataStreamId=web"
    assert client.post(url, content=content, headers={"content-type": media_type}).status_code == 202


def test_another_content_type_is_refused(emulator, client):
    """EXEG-0111-415 lists the supported types."""
    answer = client.post(
        f"{emulator.url}/ee/v2/collect?dataStreamId=web", content=b"a=1", headers={"content-type": "x/y"}
    )
    assert code_of(answer) == "EXEG-0111-415"
    assert "application/json" in answer.json()["detail"]


def test_a_missing_datastream_is_refused(emulator, client, edge_event):
    """EXEG-0002-400 says which parameter is missing."""
    assert code_of(client.post(f"{emulator.url}/ee/v2/collect", json={"events": [edge_event()]})) == "EXEG-0002-400"


def test_only_known_datastreams_are_served_when_some_are_given(collect, edge_event):
    """An emulator that was told its datastreams refuses others with EXEG-0003-400."""
    with Emulator(datastreams=["web"]) as emulator:
        assert collect(emulator, edge_event()).status_code == 202
        assert code_of(collect(emulator, edge_event(), dataStreamId="shop")) == "EXEG-0003-400"


def test_authentication_asks_for_token_key_and_organisation(collect, edge_event):
    """With a token set, each of the three headers is asked for, in the service's or the gateway's own words."""
    right = {"authorization": "Bearer t", "x-api-key": "k", "x-gw-ims-org-id": "shop@AdobeOrg"}
    with Emulator(token="t", org_id="shop@AdobeOrg") as emulator:

        def answer(**changed):
            return collect(emulator, edge_event(), headers={**right, **changed})

        assert answer().status_code == 202
        assert code_of(answer(authorization="")) == "EXEG-0500-401"
        assert code_of(answer(authorization="Basic t")) == "EXEG-0500-401"
        assert code_of(answer(authorization="Bearer other")) == "EXEG-0502-401"
        for changed in ({"x-api-key": ""}, {"x-gw-ims-org-id": ""}, {"x-gw-ims-org-id": "other@AdobeOrg"}):
            refused = answer(**changed)
            assert refused.status_code == 403
            assert refused.json()["error_code"].startswith("403")
        assert emulator.arrived.events == 1
