"""Adobe Edge: what can be enqueued, how a request looks, and what each of the service's answers means."""

from __future__ import annotations

import dataclasses
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from edgequeue.auth import Bearer, Secret
from edgequeue.destinations.adobe_answers import EXEG
from edgequeue.destinations.adobe_edge import AdobeEdge
from edgequeue.destinations.statuses import PAUSE, REFUSE, SPLIT, WAIT
from edgequeue.errors import ConfigError, InvalidEvent
from edgequeue.learning import Doubt
from edgequeue.model import ID_PLACEHOLDER, Batch, Claimed, Disposition, HttpResponse
from edgequeue.outcome import Outcome
from edgequeue.retry import HoldState

WALL_MS = 1_795_236_078_123
REQUEST_ID = "0b8a4d5e-55aa-4f0e-9c1e-2a7f3f6b1c22"
ANSWERED_ID = f"{REQUEST_ID}-00f1e2d3c4b5a697"
FPID = "2f1d9b4e-6a3c-4f27-8b5d-90e1c7a4d3f6"
EDGE = AdobeEdge("web", datastream_id="ds-123")
SIGNED = AdobeEdge("web", datastream_id="ds-123", auth=Bearer(Secret("t0ken")))


def event(**xdm: Any) -> dict[str, Any]:
    return {"xdm": {"identityMap": {"FPID": [{"id": FPID, "primary": True}]}, "eventType": "till.sale", **xdm}}


def identified(identity_map: Any) -> dict[str, Any]:
    return {"xdm": {"identityMap": identity_map}}


def batch(count: int = 1) -> Batch:
    payload = EDGE.check(event(), WALL_MS).payload
    records = tuple(Claimed(n, 1, 0, None, payload, True) for n in range(count))
    return Batch(REQUEST_ID, records, (payload,) * count)


def answered(status: int, document: Any = None, *, count: int = 1, **headers: str) -> Outcome:
    body = document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return EDGE.interpret(batch(count), HttpResponse(status, named, body))


def problem_document(code: str, **more: Any) -> dict[str, Any]:
    return {"type": f"https://ns.adobe.com/aep/errors/{code}", "status": int(code[-3:]), "title": "No", **more}


def refusal_of(document: Any) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        EDGE.check(document, WALL_MS)
    return caught.value


# --- settings -------------------------------------------------------------------------------------------------------


def test_the_endpoint_follows_from_whether_there_are_credentials() -> None:
    """server.adobedc.net always authenticates, edge.adobedc.net takes events without."""
    assert EDGE.endpoint == "https://edge.adobedc.net"
    assert SIGNED.endpoint == "https://server.adobedc.net"
    assert EDGE.path == "/ee/v2/collect"
    assert "x-gw-ims-org-id" in EDGE.credential_headers


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"datastream_id": ""}, r"\[destinations\.web\] datastream_id is missing"),
        ({"datastream_parameter": "configId"}, "datastream_parameter is 'configId'"),
        ({"endpoint": "https://server.adobedc.net"}, "auth is missing; server.adobedc.net needs it"),
        ({"endpoint": "https://Server.AdobeDC.net:443/"}, "auth is missing"),
        ({"endpoint": "https://edge.adobedc.net/?x=1"}, "has a '\\?'"),
        ({"path": "ee/v2/collect"}, "path is 'ee/v2/collect'; it begins with '/'"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(settings: dict[str, Any], said: str) -> None:
    """A configuration that cannot work is refused when it is read, not at the first request."""
    with pytest.raises(ConfigError, match=said):
        AdobeEdge("web", **{"datastream_id": "ds-123", **settings})


# --- check ----------------------------------------------------------------------------------------------------------


def test_an_event_without_id_and_timestamp_gets_both_in_front() -> None:
    """The `_id` stands at byte 15 of every such payload, whatever else is in the event."""
    draft = EDGE.check({"data": {"a": 1}, **event()}, WALL_MS)
    assert draft.payload.startswith(
        b'{"xdm":{"_id":"' + ID_PLACEHOLDER.encode() + b'","timestamp":"2026-11-21T04:41:18'
    )
    assert (draft.id_offset, draft.stamped, draft.occurred_ms, draft.warnings) == (15, True, WALL_MS, ())
    assert json.loads(draft.payload)["data"] == {"a": 1}


def test_an_event_that_brings_both_is_stored_as_it_came() -> None:
    """Nothing is added and no key moves."""
    document = {"data": {"a": 1}, **event(_id="mine", timestamp="2021-08-09T14:09:20.859Z"), "query": {}}
    draft = EDGE.check(document, WALL_MS)
    assert draft.payload == json.dumps(document, separators=(",", ":")).encode()
    assert (draft.id_offset, draft.stamped, draft.occurred_ms) == (-1, False, 1628518160859)


def test_the_reference_is_taken_from_the_event() -> None:
    """`reference_path` names the application's own key, so that it can be found again."""
    edge = dataclasses.replace(EDGE, reference_path="xdm.commerce.order.purchaseID")
    assert edge.check(event(commerce={"order": {"purchaseID": "P4711"}}), WALL_MS).reference == "P4711"
    assert edge.check(event(), WALL_MS).reference is None
    assert EDGE.check(event(), WALL_MS).reference is None


@pytest.mark.parametrize(
    ("document", "field", "said"),
    [
        ({}, "xdm", "no 'xdm'"),
        ({"xdm": []}, "xdm", "not a list"),
        ({**event(), "data": "text"}, "data", "not a str"),
        ({**event(), "query": None}, "query", "not a NoneType"),
        ({**event(), "meta": {}, "extra": 1}, "", "'meta', 'extra'"),
        ({"event": event()}, "event", "interact"),
        ({"events": [event()]}, "events", "several events"),
        (event(total=float("nan")), "xdm.total", "nan"),
        (event(_id=""), "xdm._id", "not empty"),
        (event(timestamp="2026-13-01T00:00:00Z"), "xdm.timestamp", "does not exist"),
    ],
)
def test_what_edge_would_not_take_is_refused_at_enqueue(document: Any, field: str, said: str) -> None:
    """The refusal names the field, where the caller can still mend it."""
    refusal = refusal_of(document)
    assert refusal.field == field
    assert said in refusal.reason


@pytest.mark.parametrize(
    ("identity_map", "field"),
    [
        (None, "xdm.identityMap"),
        ([], "xdm.identityMap"),
        ({}, "xdm.identityMap"),
        ({"loyalty": []}, "xdm.identityMap.loyalty"),
        ({"loyalty": {"id": "x"}}, "xdm.identityMap.loyalty"),
        ({"loyalty": ["x"]}, "xdm.identityMap.loyalty.0"),
        ({"loyalty": [{"primary": True}]}, "xdm.identityMap.loyalty.0.id"),
        ({"loyalty": [{"id": "", "primary": True}]}, "xdm.identityMap.loyalty.0.id"),
        ({"loyalty": [{"id": 7, "primary": True}]}, "xdm.identityMap.loyalty.0.id"),
        ({"loyalty": [{"id": "x", "primary": 1}]}, "xdm.identityMap.loyalty.0.primary"),
        ({"loyalty": [{"id": "x"}]}, "xdm.identityMap"),
        ({"loyalty": [{"id": "x", "primary": "false"}]}, "xdm.identityMap"),
        ({"FPID": [{"id": "till-1", "primary": True}]}, "xdm.identityMap.FPID.0.id"),
        ({"FPID": [{"id": "2f1d9b4e-6a3c-1f27-8b5d-90e1c7a4d3f6", "primary": True}]}, "xdm.identityMap.FPID.0.id"),
    ],
)
def test_an_event_needs_a_primary_identity_of_the_right_shape(identity_map: Any, field: str) -> None:
    """Adobe refuses the whole request for one event without; so that event is refused here."""
    assert refusal_of(identified(identity_map)).field == field


def test_a_missing_identity_map_is_refused_with_a_remedy() -> None:
    """The remedy shows what an identity looks like."""
    refusal = refusal_of({"xdm": {}})
    assert refusal.field == "xdm.identityMap"
    assert '"primary": true' in refusal.remedy


@pytest.mark.parametrize(
    ("identity_map", "said"),
    [
        ({"FPID": [{"id": FPID, "primary": "true"}]}, 'the text "true"'),
        ({"FPID": [{"id": FPID, "primary": True}], "loyalty": [{"id": "x", "primary": True}]}, "2 primary identities"),
    ],
)
def test_a_harmless_deviation_is_stored_unchanged_with_a_warning(identity_map: Any, said: str) -> None:
    """What the service is known to take, or may take, is not ours to change or refuse."""
    draft = EDGE.check(identified(identity_map), WALL_MS)
    assert json.loads(draft.payload)["xdm"]["identityMap"] == identity_map
    assert len(draft.warnings) == 1
    assert said in draft.warnings[0]


def test_an_event_fits_a_request_to_the_byte_or_is_refused() -> None:
    """The largest event makes a body of exactly 60,000 bytes; one byte more is refused with size and limit."""
    room = 60_000 - 13 - len(EDGE.check(event(pad=""), WALL_MS).payload)
    largest = EDGE.check(event(pad="x" * room), WALL_MS)
    assert len(EDGE.encode(Batch(REQUEST_ID, (), (largest.payload,))).body) == 60_000
    assert "59,988 bytes; Adobe Edge takes at most 59,987" in refusal_of(event(pad="x" * (room + 1))).reason


def test_a_lower_limit_of_the_operator_refuses_no_event() -> None:
    """The operator's limit is about requests; an event above it travels alone."""
    edge = dataclasses.replace(EDGE, batch_bytes_max=100)
    assert edge.limits.bytes_max == 100
    assert len(edge.check(event(pad="x" * 500), WALL_MS).payload) > 100


def test_an_event_too_large_for_profile_is_stored_with_a_warning() -> None:
    """Adobe accepts it and then drops it from Profile without a word: the caller should know."""
    assert EDGE.check(event(pad="x" * 9_000), WALL_MS).warnings == ()
    assert "Profile drops it" in EDGE.check(event(pad="x" * 10_001), WALL_MS).warnings[0]


def test_a_request_document_is_split_into_its_events() -> None:
    """`query` and `meta` beside the events would be lost, so they are refused by name."""
    assert EDGE.split({"events": [event(), event()]}) == [event(), event()]
    with pytest.raises(InvalidEvent, match="'query', 'meta'"):
        EDGE.split({"events": [], "query": {}, "meta": {}})


# --- encode ---------------------------------------------------------------------------------------------------------


def test_a_request_names_the_datastream_and_its_own_id() -> None:
    """The request id travels with the request, so that an answer and our record can be matched."""
    request = dataclasses.replace(EDGE, datastream_id="a b&c", sandbox_name="dev").encode(batch(2))
    parts = urlsplit(request.url)
    assert (parts.netloc, parts.path) == ("edge.adobedc.net", "/ee/v2/collect")
    assert parse_qs(parts.query) == {"dataStreamId": ["a b&c"], "requestId": [REQUEST_ID]}
    assert request.headers["x-sandbox-name"] == "dev"
    assert len(json.loads(request.body)["events"]) == 2


def test_the_other_spelling_a_trailing_slash_and_silence_are_settings() -> None:
    """Adobe's documents write the parameter in two ways; a trailing slash does no harm."""
    edge = AdobeEdge(
        "web", endpoint="https://edge.example.com/", datastream_id="d", datastream_parameter="datastreamId", silent=True
    )
    url = edge.encode(batch()).url
    assert url == f"https://edge.example.com/ee/v2/collect?datastreamId=d&requestId={REQUEST_ID}&silent=true"


# --- success --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "document"), [(202, {}), (200, {"handle": []}), (207, {"handle": [], "warnings": []})]
)
def test_a_success_with_its_body_delivers_and_gives_a_receipt(status: int, document: dict[str, Any]) -> None:
    """The answered id is longer than ours and is kept as it came."""
    outcome = answered(status, {"requestId": ANSWERED_ID, **document}, count=3)
    assert outcome.verdict.disposition is Disposition.ACCEPTED
    assert outcome.verdict.receipt == ANSWERED_ID
    assert outcome.verdict.problem is None
    assert outcome.service == {"requestId": ANSWERED_ID}
    assert outcome.exceptions == {}


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (200, {"requestId": "x"}),
        (200, {"handle": []}),
        (200, {"login": "ok"}),
        (200, None),
        (202, None),
        (202, {}),
        (202, b"OK"),
        (207, b'{"requestId":"cut'),
        (207, []),
        (201, {"requestId": "x"}),
        (206, None),
    ],
)
def test_a_success_without_its_body_is_of_unknown_outcome(status: int, document: Any) -> None:
    """A portal may have answered, or a cut-off service: the events are sent again, and nothing is marked done."""
    outcome = answered(status, document)
    assert outcome.verdict.disposition is Disposition.UNKNOWN
    assert outcome.signal is not None
    assert outcome.signal.state is HoldState.BACKING_OFF


def test_an_empty_success_counts_only_when_it_was_asked_for() -> None:
    """A 204 is what captive portals' checks answer with; with `silent` it is Edge's own."""
    assert answered(204).verdict.disposition is Disposition.DEFER
    silent = dataclasses.replace(EDGE, silent=True)
    outcome = silent.interpret(batch(), HttpResponse(204, {"x-request-id": ANSWERED_ID}, b""))
    assert outcome.verdict.disposition is Disposition.ACCEPTED
    assert outcome.service == {"requestId": ANSWERED_ID}
    assert silent.interpret(batch(), HttpResponse(204, {}, b"")).service == {}


def test_a_partial_success_delivers_and_records_what_failed() -> None:
    """The gateway took the request; an upstream's failure is not an event's, but it is on record."""
    errors = [problem_document("EXEG-0201-503", title="Upstream away"), problem_document("EXEG-0203-502"), "odd"]
    outcome = answered(207, {"requestId": ANSWERED_ID, "handle": [], "errors": errors}, count=2)
    assert outcome.verdict.disposition is Disposition.ACCEPTED
    assert outcome.verdict.problem is not None
    assert (outcome.verdict.problem.code, outcome.verdict.problem.text) == ("EXEG-0201-503", "Upstream away")
    assert outcome.service == {"requestId": ANSWERED_ID, "errors": ["EXEG-0201-503", "EXEG-0203-502"]}


@pytest.mark.parametrize(
    "body", [b"<html>log in</html>", b"\xef\xbb\xbf\r\n <!DOCTYPE html>", "<html>".encode("utf-16")]
)
@pytest.mark.parametrize("status", [200, 202, 400, 401, 413, 503])
def test_a_web_page_is_never_the_services_answer(status: int, body: bytes) -> None:
    """Whatever its status, HTML comes from something in between: it kills nothing and pauses nothing."""
    outcome = answered(status, body)
    assert outcome.verdict.disposition is Disposition.DEFER
    assert outcome.verdict.problem is not None
    assert outcome.verdict.problem.code == "not_the_service"


@pytest.mark.parametrize("status", [100, 302, 307, 511])
def test_a_redirect_is_never_the_services_answer(status: int) -> None:
    """Redirects and 511 are how networks ask for a login."""
    outcome = answered(status, {"requestId": ANSWERED_ID}, location="https://login.example.com")
    assert outcome.verdict.disposition is Disposition.DEFER
    assert outcome.signal is not None
    assert outcome.signal.state is HoldState.BACKING_OFF


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(EXEG))
def test_each_error_code_comes_to_what_the_table_says(code: str) -> None:
    """Every documented code is on record as the problem's code, and its reading is the table's."""
    reading, _ = EXEG[code]
    alone, together = (answered(int(code[-3:]), problem_document(code), count=count) for count in (1, 4))
    for outcome in (alone, together):
        assert outcome.verdict.problem is not None
        assert outcome.verdict.problem.code == code
        assert "{" not in outcome.verdict.problem.remedy
        assert outcome.signal is not None
        assert (outcome.signal.state is HoldState.PAUSED) == (reading is PAUSE)
    assert (alone.verdict.disposition is Disposition.REJECT) == (reading is REFUSE)
    assert together.verdict.disposition is Disposition.DEFER
    assert together.split == (reading in (REFUSE, SPLIT))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("EXEG-0003-400", ["datastream ds-123 is not known to Adobe (EXEG-0003-400)", "datastream_id"]),
        ("EXEG-0004-422", ["ds-123 is disabled"]),
        ("EXEG-0503-401", ["expired", "[auth.*]"]),
        ("EXEG-0002-400", ["datastream_parameter"]),
    ],
)
def test_a_fault_of_the_configuration_pauses_and_names_the_key(code: str, words: list[str]) -> None:
    """The operator reads what to change; the events wait."""
    signal = answered(int(code[-3:]), problem_document(code), count=5).signal
    assert signal is not None
    assert signal.problem is not None
    told = f"{signal.problem.text}. {signal.problem.remedy}"
    assert all(word in told for word in words)


@pytest.mark.parametrize("status", [400, 409, 413, 422])
@pytest.mark.parametrize("body", [b"Bad Request", b"", b'{"message":"no Route matched"}', b"[]"])
def test_an_unexplained_refusal_bisects_and_puts_what_stands_alone_under_suspicion(status: int, body: bytes) -> None:
    """Anything on the way may have said it: no event dies of that without a witness (test_weighing.py)."""
    together, alone = answered(status, body, count=8), answered(status, body)
    assert (together.split, together.verdict.disposition) == (True, Disposition.DEFER)
    assert (alone.verdict.disposition, alone.verdict.doubt) == (Disposition.DEFER, Doubt.REFUSED)
    assert alone.verdict.problem is not None
    assert (alone.verdict.problem.code, alone.verdict.problem.status) == (f"http_{status}", status)


@pytest.mark.parametrize("code", ["EXEG-0103-400", "EXEG-0302-409", "EXEG-0112-413", "EXEG-0104-422"])
def test_a_refusal_that_edges_table_lists_bisects_and_kills_what_stands_alone(code: str) -> None:
    """Edge judges a request as a whole, so a refusal of several says nothing about any one of them."""
    status, body = int(code[-3:]), problem_document(code)
    together, alone = answered(status, body, count=8), answered(status, body)
    assert (together.split, together.verdict.disposition) == (True, Disposition.DEFER)
    assert (alone.verdict.disposition, alone.verdict.doubt) == (Disposition.REJECT, None)
    assert alone.verdict.problem is not None
    assert alone.verdict.problem.code == code
    assert alone.verdict.problem.status == status


def test_an_empty_body_by_edges_word_is_a_refusal_and_a_timeout_is_not() -> None:
    """Status 408 has two meanings, and only the code tells them apart."""
    assert answered(408, problem_document("EXEG-0109-408")).verdict.disposition is Disposition.REJECT
    assert answered(408).verdict.disposition is Disposition.DEFER


@pytest.mark.parametrize("status", [429, 503])
def test_a_plea_to_wait_is_honoured(status: int) -> None:
    """Retry-After is what the service itself asks for; no code in the body turns it into anything else."""
    outcome = answered(status, problem_document("EXEG-0104-422"), retry_after="77")
    assert outcome.verdict.disposition is Disposition.DEFER
    assert outcome.signal is not None
    assert (outcome.signal.state, outcome.signal.retry_after_seconds) == (HoldState.BACKING_OFF, 77.0)
    assert EXEG["EXEG-0000-503"][0] is WAIT


@pytest.mark.parametrize("status", [500, 502, 504, 507, 599])
def test_a_servers_fault_never_refuses_an_event(status: int) -> None:
    """Even with the code of a refusal in its body, a 5xx costs no event anything; its Retry-After is kept."""
    outcome = answered(status, problem_document("EXEG-0102-400"), retry_after="77")
    assert (outcome.verdict.disposition, outcome.split) == (Disposition.DEFER, False)
    assert outcome.signal is not None
    assert outcome.signal.retry_after_seconds == 77.0


def test_the_problem_says_what_the_service_said_on_one_bounded_line() -> None:
    """Title, detail and the entries of the report, whatever their types, and never more than 500 characters."""
    report = {"errors": ["Consent is\nempty", {"path": "/xdm"}, 7, None, True], "requestId": "x"}
    outcome = answered(422, problem_document("EXEG-0104-422", detail="See report", report=report, status="422"))
    assert outcome.verdict.problem is not None
    assert outcome.verdict.problem.text == 'No; See report; Consent is empty; {"path":"/xdm"}; 7'
    long = answered(422, problem_document("EXEG-0104-422", report={"errors": ["x" * 400, "y" * 400]}))
    assert long.verdict.problem is not None
    assert len(long.verdict.problem.text) == 500
    gateway = answered(403, {"error_code": "403025", "message": "org not entitled"})
    assert gateway.verdict.problem is not None
    assert gateway.verdict.problem.text == "org not entitled; 403025"
    nothing = answered(400, b"").verdict.problem
    assert nothing is not None
    assert nothing.text == "HTTP 400 without a text"
