"""Faults on request: how they are written, to which requests they apply, and what the client gets to see."""

from __future__ import annotations

import json
import socket
from email.utils import parsedate_to_datetime

import backoff
import httpx
import pytest

from edgequeue.emulator import KINDS, Emulator, Fault, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("cut_after", Fault("cut_after")),
        ("retry_after:seconds=2:times=3", Fault("retry_after", seconds=2, times=3, status=503, form="seconds")),
        ("status:status=500:code=0100:times=always", Fault("status", status=500, code="0100", times=None)),
        ("status:event_id=urn:sale:7:service=edge", Fault("status", event_id="urn:sale:7", service="edge")),
        ("captive_portal:form=redirect", Fault("captive_portal", form="redirect")),
        ("offline:seconds=0.5", Fault("offline", seconds=0.5)),
        ("cut_after:skip=2:service=platform", Fault("cut_after", skip=2, service="platform")),
        ("results:form=silent", Fault("results", form="silent")),
        ("status:code=invalid_project", Fault("status", status=400, code="invalid_project")),
        ("status:code=1103-503", Fault("status", status=503, code="1103-503")),
    ],
)
def test_compact_text_says_what_the_values_say(text, fault):
    """parse_fault reads `kind:key=value…`, and a fault's own text reads back as the same fault."""
    assert parse_fault(text) == fault
    assert parse_fault(str(fault)) == fault


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("storm", "unknown fault 'storm'; known are: offline, status, delay"),
        ("", "unknown fault ''"),
        ("delay:colour=red", "fault delay has no key 'colour'; known are: seconds, times, skip, service, event_id"),
        ("delay:form=date", "fault delay has no key 'form'"),
        ("delay:5", "'5' is not key=value"),
        ("delay:seconds=soon", "seconds=soon: must be a number"),
        ("delay:seconds=nan", "seconds=nan: must be from 0"),
        ("delay:seconds=-1", "seconds=-1.0: must be from 0"),
        ("delay:times=0", "times=0: must be 1 or more"),
        ("delay:skip=-1", "skip=-1: must be 0 or more"),
        ("delay:service=mail", "service='mail': must be one of: edge, dccs, ims, bloomreach, platform"),
        ("results:service=dccs", "service='dccs': results is for bloomreach only"),
        ("status:code=0104:service=platform", "service='platform': code 0104 is for edge only"),
        ("status:status=99", "status=99: must be from 200"),
        ("status:code=9999", "code='9999': known are: 0000, 0001"),
        ("retry_after:status=500", "retry_after takes 429 or 503"),
        ("garbage:form=page", "garbage takes one of: truncated, noise, short"),
    ],
)
def test_a_mistyped_fault_is_named_with_what_there_is(text, complaint):
    """The error names the unknown fault, key or value and lists the known ones."""
    with pytest.raises(ValueError) as caught:
        parse_fault(text)
    assert complaint in str(caught.value)


def test_a_fault_is_checked_in_python_too():
    """The constructor refuses what the text would be refused for."""
    with pytest.raises(ValueError, match="unknown fault"):
        Fault("storm")
    with pytest.raises(ValueError, match="has no key 'status'"):
        Fault("delay", status=503)
    with pytest.raises(ValueError, match="times='always': give a number from 1, or None for always"):
        Fault("delay", times="always")


@pytest.mark.parametrize("kind", KINDS)
def test_every_known_fault_needs_no_keys(kind):
    """Each kind has defaults for all its keys."""
    assert parse_fault(kind) == Fault(kind)


def test_a_status_fault_speaks_as_the_service_does(emulator, collect, batch, edge_event, dccs_message):
    """The body is the error body of the service that was asked; nothing is accepted; the next request is well again."""
    emulator.add_fault(Fault("status", status=500, times=2))
    edge, dccs = collect(emulator, edge_event()), batch(emulator, dccs_message())
    assert edge.json()["type"].endswith("EXEG-0001-500")
    assert dccs.json()["type"].endswith("data-collection-service/inlet")
    assert (edge.status_code, dccs.status_code, emulator.arrived.events) == (500, 500, 0)
    assert [seen.fault for seen in emulator.requests] == ["status", "status"]
    assert collect(emulator, edge_event()).status_code == 202


def test_the_edge_code_of_a_status_fault_can_be_chosen(emulator, collect, edge_event):
    """Codes of one status mean different things to a client."""
    emulator.add_fault(Fault("status", status=422, code="0004"))
    assert collect(emulator, edge_event()).json()["type"].endswith("EXEG-0004-422")
    assert Fault("status", code="0100").status == 500


def test_a_207_from_the_edge_accepts_and_tells_of_a_failed_upstream(emulator, collect, edge_event):
    """The gateway took the request, one upstream failed: the event counts as arrived."""
    emulator.add_fault(Fault("status", status=207))
    answer = collect(emulator, edge_event("a"))
    assert answer.status_code == 207
    assert answer.json()["errors"][0]["status"] == 503
    assert emulator.arrived.ids == ("a",)


def test_a_success_status_does_not_hide_a_refusal(emulator, collect):
    """A fault of success changes nothing about a request that is wrong in itself."""
    emulator.add_fault(Fault("status", status=207))
    assert collect(emulator, {"xdm": {}}).status_code == 400


def test_a_poison_event_fails_wherever_it_goes_and_alone(emulator, collect, edge_event):
    """A fault for an `_id` strikes each request that contains it, in any batch, and no other."""
    emulator.add_fault(Fault("status", status=500, event_id="bad", times=None))
    assert collect(emulator, edge_event("a"), edge_event("bad")).status_code == 500
    assert collect(emulator, edge_event("a")).status_code == 202
    assert collect(emulator, edge_event("bad")).status_code == 500
    assert emulator.arrived.ids == ("a",)


def test_a_fault_for_one_service_spares_the_other(emulator, collect, batch, edge_event, dccs_message):
    """`service` restricts a fault, and a request to the other service does not use it up."""
    emulator.add_fault(Fault("status", service="dccs"))
    assert collect(emulator, edge_event()).status_code == 202
    assert batch(emulator, dccs_message()).status_code == 503


def test_faults_apply_in_the_order_they_were_added_one_a_request(emulator, collect, edge_event):
    """A queue of faults makes a story."""
    for status in (503, 429, 500):
        emulator.add_fault(Fault("status", status=status))
    assert [collect(emulator, edge_event()).status_code for _ in range(4)] == [503, 429, 500, 202]


def test_cleared_faults_are_gone(emulator, collect, edge_event):
    """clear_faults forgets also those without an end."""
    emulator.add_fault(Fault("cut_before", times=None))
    emulator.clear_faults()
    assert collect(emulator, edge_event()).status_code == 202


def test_retry_after_comes_as_a_number_or_as_a_date(emulator, collect, edge_event):
    """Both forms of the header; the date lies the asked seconds after the answer's own Date, at most one more."""
    emulator.add_fault(Fault("retry_after", seconds=1.2, status=429))
    emulator.add_fault(Fault("retry_after", seconds=3600, form="date"))
    first, second = collect(emulator, edge_event()), collect(emulator, edge_event())
    assert (first.status_code, first.headers["retry-after"]) == (429, "2")
    until, sent = (parsedate_to_datetime(second.headers[name]) for name in ("retry-after", "date"))
    assert second.status_code == 503
    assert until > sent
    assert emulator.arrived.events == 0


@pytest.mark.parametrize(("kind", "arrives"), [("cut_before", 0), ("cut_after", 1)])
def test_a_cut_leaves_the_client_without_an_answer(emulator, collect, edge_event, kind, arrives):
    """The client sees the same whether the events were taken or not; only the emulator knows."""
    emulator.add_fault(Fault(kind))
    with pytest.raises(httpx.RemoteProtocolError):
        collect(emulator, edge_event("a"))
    assert emulator.arrived.events == arrives
    (seen,) = emulator.requests
    assert (seen.status, seen.fault, seen.events, seen.accepted) == (None, kind, 1, arrives)
    collect(emulator, edge_event("a"))
    assert emulator.arrived.duplicates == arrives


@pytest.mark.parametrize(("form", "status"), [("page", 200), ("redirect", 302), ("511", 511)])
def test_a_captive_portal_answers_in_the_services_place(emulator, collect, client, edge_event, form, status):
    """A login page, a redirect to one, or 511; no event arrives, though it may look like a success."""
    emulator.add_fault(Fault("captive_portal", form=form))
    answer = collect(emulator, edge_event())
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    if form == "redirect":
        answer = client.get(f"{emulator.url}{answer.headers['location']}")
        assert answer.status_code == 200
    assert "<form" in answer.text
    assert emulator.arrived.events == 0


def test_garbage_is_200_without_the_services_json(emulator, collect, edge_event):
    """Half the JSON, or bytes that are no text: in either case nothing arrived."""
    for form in ("truncated", "noise"):
        emulator.add_fault(Fault("garbage", form=form))
        answer = collect(emulator, edge_event())
        assert answer.status_code == 200
        with pytest.raises(ValueError):
            json.loads(answer.content)
    assert emulator.arrived.events == 0


def test_a_short_body_ends_before_its_announced_length(emulator, collect, edge_event):
    """Fewer bytes than Content-Length says, then the end of the connection."""
    emulator.add_fault(Fault("garbage", form="short"))
    with pytest.raises(httpx.RemoteProtocolError):
        collect(emulator, edge_event())


def test_a_delayed_answer_comes_after_the_events_were_taken(emulator, edge_event):
    """A client that gives up waiting does not know that its events arrived."""
    emulator.add_fault(Fault("delay", seconds=3600))
    with httpx.Client(trust_env=False, timeout=0.2) as hasty, pytest.raises(httpx.ReadTimeout):
        hasty.post(f"{emulator.url}/ee/v2/collect?dataStreamId=w", json={"events": [edge_event("a")]})
    assert emulator.arrived.ids == ("a",)


def test_a_dripped_answer_is_whole_in_the_end(emulator, collect, edge_event):
    """Byte by byte, but all of it, and the connection lives on."""
    emulator.add_fault(Fault("drip", seconds=0.00001))
    assert "requestId" in collect(emulator, edge_event()).json()
    assert collect(emulator, edge_event()).status_code == 202


def test_a_dripped_answer_begins_with_one_byte(emulator):
    """However long the client listens, the second byte comes only after the pause."""
    emulator.add_fault(Fault("drip", seconds=3600))
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(100) == b"H"


def test_an_offline_fault_for_an_event_strikes_with_that_event(emulator, collect, edge_event):
    """The network goes while that request is under way, and the port refuses from then on."""
    emulator.add_fault(Fault("offline", event_id="b"))
    assert collect(emulator, edge_event("a")).status_code == 202
    with pytest.raises(httpx.RemoteProtocolError):
        collect(emulator, edge_event("b"))
    with pytest.raises(httpx.TransportError):
        collect(emulator, edge_event("c"))
    emulator.go_online()
    assert collect(emulator, edge_event("d")).status_code == 202
    assert emulator.arrived.ids == ("a", "d")


def test_faults_can_be_given_and_cleared_over_http(emulator, collect, client, edge_event):
    """POST takes an object, a text, or a list of either; GET lists what waits; DELETE clears."""
    url = f"{emulator.url}/_emulator/faults"
    client.post(url, json={"kind": "status", "status": 429})
    answer = client.post(url, json=["cut_after:times=always", {"kind": "delay", "seconds": "2"}])
    assert [parse_fault(text).kind for text in answer.json()["faults"]] == ["status", "cut_after", "delay"]
    assert collect(emulator, edge_event()).status_code == 429
    assert len(client.get(url).json()["faults"]) == 2
    assert client.delete(url).json() == {"faults": []}
    assert collect(emulator, edge_event()).status_code == 202


@pytest.mark.parametrize(
    "wrong", ["storm", {"kind": "delay", "colour": 1}, {}, 5, "offline", [{"kind": "drip"}, "storm"]]
)
def test_a_wrong_fault_over_http_is_explained_and_changes_nothing(emulator, client, wrong):
    """400 with the text that Python and the command line give; of a list, not even the good ones are taken."""
    url = f"{emulator.url}/_emulator/faults"
    answer = client.post(url, json=wrong)
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert client.get(url).json() == {"faults": []}


def test_going_offline_over_http_is_answered_first(client):
    """The request that takes the emulator off the network still gets its answer; then it is back by itself."""
    with Emulator() as emulator:
        answer = client.post(f"{emulator.url}/_emulator/faults", json="offline:seconds=0.01")
        assert answer.status_code == 200
        with httpx.Client(trust_env=False) as patient:
            back = backoff.on_exception(backoff.expo, httpx.TransportError, max_tries=8, factor=0.01)(patient.get)
            assert back(f"{emulator.url}/_emulator/arrived").status_code == 200


def test_a_fault_can_let_requests_pass_before_it(emulator, collect, batch, edge_event, dccs_message):
    """skip=2 strikes the third request that matches it, and only that; requests to others do not count."""
    emulator.add_fault(Fault("status", service="edge", skip=2))
    batch(emulator, dccs_message())
    assert [collect(emulator, edge_event()).status_code for _ in range(4)] == [202, 202, 503, 202]


def test_a_request_that_another_fault_strikes_is_skipped_too(emulator, collect, edge_event):
    """The third request is the third, whatever became of the first."""
    emulator.add_fault(Fault("status", status=500, skip=2))
    emulator.add_fault(Fault("status", status=503))
    emulator.add_fault(Fault("status", status=429, skip=2, times=2))
    assert [collect(emulator, edge_event()).status_code for _ in range(5)] == [503, 202, 500, 429, 429]


def test_an_offline_fault_that_lets_requests_pass_waits_for_its_own(emulator, collect, edge_event):
    """With `skip` it does not act at once."""
    emulator.add_fault(Fault("offline", skip=1))
    assert collect(emulator, edge_event()).status_code == 202
    with pytest.raises(httpx.TransportError):
        collect(emulator, edge_event())
    emulator.go_online()


def test_a_code_strikes_only_the_service_that_has_it(emulator, collect, batch, edge_event, dccs_message):
    """An EXEG number is Edge's; others pass, and do not use it up."""
    emulator.add_fault(parse_fault("status:code=0104"))
    assert batch(emulator, dccs_message()).status_code == 207
    assert collect(emulator, edge_event()).status_code == 422
