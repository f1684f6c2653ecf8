"""Streaming ingestion as the emulator reads it: per-message answers in both shapes, single messages, raw data."""

from __future__ import annotations

import re

import pytest

from edgequeue.emulator import Emulator

UNKNOWN = "Message has unknown xdm format"
WRONG_ORG = "Message has an absent or wrong ims org in the header"


def without(message, part):
    return {name: value for name, value in message.items() if name != part}


def test_each_message_gets_the_batch_id_and_its_index(emulator, batch, dccs_message):
    """207 names inlet, batch and time; a success is the batch id, a colon and the message's index."""
    answer = batch(emulator, dccs_message("a"), dccs_message("b"))
    document = answer.json()
    assert answer.status_code == 207
    assert document["inletId"] == "till"
    assert isinstance(document["receivedTimeMs"], int)
    assert document["responses"] == [{"xactionId": f"{document['batchId']}:{index}"} for index in (0, 1)]
    assert emulator.arrived.ids == ("a", "b")
    assert emulator.requests[0].request_id == document["batchId"]


def test_only_the_good_messages_of_a_batch_are_accepted(emulator, batch, dccs_message):
    """A bad message is answered in the older shape with inlet, organisation and cause; its neighbours pass."""
    wrong_org = dccs_message("c", header={"imsOrgId": "invalidShop@AdobeOrg"})
    answer = batch(emulator, dccs_message("a"), without(dccs_message("b"), "body"), wrong_org)
    first, second, third = answer.json()["responses"]
    assert answer.status_code == 207
    assert first["xactionId"].endswith(":0")
    assert second == {"statusCode": 400, "message": f"inletId: [till] imsOrgId: [shop@AdobeOrg] {UNKNOWN}"}
    assert third == {"statusCode": 400, "message": f"inletId: [till] imsOrgId: [invalidShop@AdobeOrg] {WRONG_ORG}"}
    assert emulator.arrived.ids == ("a",)


def test_a_batch_of_bad_messages_is_still_207(emulator, batch):
    """207 is used for full failure too."""
    answer = batch(emulator, {}, 5)
    assert answer.status_code == 207
    assert [entry["statusCode"] for entry in answer.json()["responses"]] == [400, 400]
    assert emulator.arrived.events == 0


def test_the_newer_shape_carries_the_index_in_every_entry(batch, dccs_message):
    """On request each entry has an xactionId of a UUID, a dash and the index; failures add status and message."""
    with Emulator(error_shape="newer") as emulator:
        good, bad = batch(emulator, dccs_message("a"), without(dccs_message("b"), "header")).json()["responses"]
    assert re.fullmatch(r"[0-9a-f-]{36}-0", good["xactionId"])
    assert bad["xactionId"] == good["xactionId"][:-1] + "1"
    assert bad["status"] == 400
    assert "'header' field is mandatory" in bad["message"]


def test_an_unknown_error_shape_is_refused_at_once():
    """A mistyped option is an error that names the choices, not a silent default."""
    with pytest.raises(ValueError, match="older, newer"):
        Emulator(error_shape="odd")


def legacy(message):
    message["header"]["xdmSchema"] = {"name": "_xdm.context.experienceevent"}
    del message["header"]["schemaRef"]


def other_schema(message):
    message["body"]["xdmMeta"] = {"schemaRef": {"id": "https://ns.example.com/other", "contentType": "x;version=1"}}


def no_meta(message):
    del message["body"]["xdmMeta"]


def no_entity(message):
    message["body"]["xdmEntity"] = []


def unnamed_source(message):
    message["header"]["source"] = {}


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (legacy, UNKNOWN),
        (other_schema, UNKNOWN),
        (no_meta, UNKNOWN),
        (no_entity, UNKNOWN),
        (unnamed_source, "source without a name"),
    ],
)
def test_a_message_that_breaks_a_rule_is_refused(emulator, batch, dccs_message, damage, text):
    """Both schemaRefs are there and equal, the entity is an object, and a source has a name."""
    message = dccs_message()
    damage(message)
    (entry,) = batch(emulator, message).json()["responses"]
    assert text in entry["message"]
    assert emulator.arrived.events == 0


def test_a_missing_organisation_is_filled_in(emulator, batch, dccs_message):
    """The service adds imsOrgId itself when the header has none."""
    message = dccs_message("a")
    del message["header"]["imsOrgId"]
    batch(emulator, message)
    assert emulator.arrived.ids == ("a",)


def test_only_the_inlets_own_organisation_is_right_when_it_is_known(batch, dccs_message):
    """An emulator that was told its organisation refuses every other, and names its own."""
    with Emulator(org_id="other@AdobeOrg") as emulator:
        (entry,) = batch(emulator, dccs_message()).json()["responses"]
    assert entry["message"] == f"inletId: [till] imsOrgId: [other@AdobeOrg] {WRONG_ORG}"


def test_a_required_field_is_asked_for_by_its_path(batch, dccs_message):
    """An entity without a required field is refused with a text that names the field."""
    with Emulator(required_fields=("_experience", "commerce.order")) as emulator:
        good = dccs_message("a", _experience={}, commerce={"order": 1})
        answer = batch(emulator, good, dccs_message("b"), dccs_message("c", _experience={}, commerce={}))
        first, second, third = answer.json()["responses"]
        assert emulator.arrived.ids == ("a",)
    assert "xactionId" in first
    assert "Message is missing required field _experience" in second["message"]
    assert "Message is missing required field commerce.order" in third["message"]


def test_a_single_message_is_answered_without_an_index(emulator, client, dccs_message):
    """200 with inlet, transaction and time; the transaction id has three parts."""
    answer = client.post(emulator.inlet_url("till"), json=dccs_message("a"))
    document = answer.json()
    assert answer.status_code == 200
    assert set(document) == {"inletId", "xactionId", "receivedTimeMs"}
    assert re.fullmatch(r"\d+:\d+:\d+", document["xactionId"])
    assert emulator.arrived.ids == ("a",)


def test_a_bad_single_message_is_a_problem(emulator, client, dccs_message):
    """A single message has no 207: it is refused with a problem document."""
    answer = client.post(emulator.inlet_url("till"), json=without(dccs_message(), "body"))
    assert answer.status_code == 400
    assert answer.json() == {
        "type": "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet",
        "status": 400,
        "title": "Invalid XDM Message Format",
        "report": {"message": f"inletId: [till] imsOrgId: [shop@AdobeOrg] {UNKNOWN}"},
    }


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"messages":[]}', b'{"messages":{}}', b'{"messages":NaN}', b""])
def test_a_batch_that_cannot_be_read_is_refused_whole(emulator, client, body):
    """Without a list of messages there is nothing to answer message by message."""
    url = f"{emulator.url}/collection/batch/till"
    answer = client.post(url, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert UNKNOWN in answer.json()["report"]["message"]


def test_raw_data_needs_a_flow_id(emulator, client):
    """A bare object is raw data with x-adobe-flow-id, as header or parameter, and a bad message without."""
    url, raw = emulator.inlet_url("till"), {"_id": "raw-1", "name": "Sam"}
    assert client.post(url, json=raw).status_code == 400
    assert client.post(url, json=raw, headers={"x-adobe-flow-id": "f1"}).status_code == 200
    assert client.post(f"{url}?x-adobe-flow-id=f1", json=raw).status_code == 200
    assert emulator.arrived.by_id == {"raw-1": 2}


def test_a_body_over_a_million_bytes_is_too_large(emulator, client, dccs_message):
    """1,000,000 bytes pass, one more is refused with 413, whichever endpoint."""
    url = emulator.inlet_url("till")
    for size, status in ((1_000_000, 200), (1_000_001, 413)):
        message = dccs_message(pad="")
        empty = len(client.build_request("POST", url, json=message).content)
        message["body"]["xdmEntity"]["pad"] = "x" * (size - empty)
        answer = client.post(url, json=message)
        assert (int(answer.request.headers["content-length"]), answer.status_code) == (size, status)


def test_an_inlet_with_authentication_tells_missing_from_wrong(batch, dccs_message):
    """401 without a token, 403 with a wrong one; the problem names authorization."""
    with Emulator(token="t") as emulator:
        missing = batch(emulator, dccs_message())
        wrong = batch(emulator, dccs_message(), headers={"authorization": "Bearer other"})
        right = batch(emulator, dccs_message(), headers={"authorization": "Bearer t"})
    assert (missing.status_code, wrong.status_code, right.status_code) == (401, 403, 207)
    assert missing.json()["type"].endswith("data-collection-service-authorization")


def test_an_unknown_inlet_is_not_found(client, dccs_message):
    """An emulator that was told its inlets answers 404 for others."""
    with Emulator(inlets=["till"]) as emulator:
        assert client.post(emulator.inlet_url("till"), json=dccs_message()).status_code == 200
        assert client.post(emulator.inlet_url("kiosk"), json=dccs_message()).status_code == 404


def test_another_content_type_is_refused(emulator, client):
    """415 lets a client fall back from an encoding the inlet does not know."""
    answer = client.post(emulator.inlet_url("till"), content=b"x", headers={"content-type": "text/plain"})
    assert answer.status_code == 415
