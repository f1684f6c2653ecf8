"""Adobe streaming ingestion: what can be enqueued, the envelope, and what each answer means for each message."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from typing import Any

import pytest

from edgequeue.destinations.adobe_dccs import AdobeDccs
from edgequeue.errors import ConfigError, InvalidEvent
from edgequeue.learning import Doubt
from edgequeue.model import ID_PLACEHOLDER, Batch, Claimed, Disposition, HttpResponse
from edgequeue.outcome import Outcome
from edgequeue.retry import HoldState

WALL_MS = 1_795_236_078_123
SCHEMA_REF = {
    "id": "https://ns.adobe.com/acme/schemas/77aa",
    "contentType": "application/vnd.adobe.xed-full+json;version=1",
}
TILL = AdobeDccs(
    "till",
    endpoint="https://dcs.adobedc.net/collection/0f1e2d",
    org_id="ACME@AdobeOrg",
    dataset_id="6021a1b2c3",
    schema_id=SCHEMA_REF["id"],
)
BARE = AdobeDccs("till", endpoint="https://dcs.adobedc.net/collection/0f1e2d")
SALE = {"xdm": {"eventType": "till.sale", "commerce": {"order": {"purchaseID": "P4711"}}}}

BATCH_ID = "1795236078201:1311:77"
ELSEWHERE = "1795236071111:2204:15"
"""A prefix that is not the answer's batchId, as in Adobe's own example."""
SAID = "inletId: [0f1e2d] imsOrgId: [ACME@AdobeOrg] Message has "
FORMAT, ORG = SAID + "unknown xdm format", SAID + "an absent or wrong ims org in the header"
UUID = "6e0e8f4c-3b1d-4a8e-9c55-7d21f0a3b6e4"

ACCEPTED, REJECT, DEFER, UNKNOWN = Disposition.ACCEPTED, Disposition.REJECT, Disposition.DEFER, Disposition.UNKNOWN


def message(**changes: Any) -> dict[str, Any]:
    """A full message; a change of None leaves the key out."""
    header = {"schemaRef": SCHEMA_REF, "imsOrgId": "ACME@AdobeOrg", "datasetId": "6021a1b2c3"}
    body = {"xdmMeta": {"schemaRef": SCHEMA_REF}, "xdmEntity": {"eventType": "web.visit"}}
    for key, value in changes.items():
        part = header if key in ("schemaRef", "imsOrgId", "source", "xdmSchema") else body
        part[key] = value
    return {
        "header": {key: value for key, value in header.items() if value is not None},
        "body": {key: value for key, value in body.items() if value is not None},
    }


def batch(*events: Any) -> Batch:
    payloads = [TILL.check(event, WALL_MS).payload for event in events]
    records = tuple(Claimed(n + 1, 1, 0, None, payload, True) for n, payload in enumerate(payloads))
    return Batch("r-1", records, tuple(map(TILL.item, payloads)))


def answered(
    events: int | list[Any], responses: Any, *, status: int = 207, retry_after: str | None = "40", **more: Any
) -> Outcome:
    """What TILL makes of a multi-status answer to so many wrapped sales, or to these events."""
    document = {
        "inletId": "0f1e2d",
        "batchId": BATCH_ID,
        "receivedTimeMs": 1795236078300,
        "responses": responses,
        **more,
    }
    sent = batch(*([SALE] * events if isinstance(events, int) else events))
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return TILL.interpret(sent, HttpResponse(status, headers, json.dumps(document).encode()))


def whole(status: int, body: Any, events: list[Any] | None = None, **headers: str) -> Outcome:
    """What TILL makes of an answer to the request as a whole."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return TILL.interpret(batch(*(events or [SALE, SALE])), HttpResponse(status, named, encoded))


def dispositions(outcome: Outcome, count: int) -> list[Disposition]:
    return [outcome.of(position).disposition for position in range(count)]


def state_of(outcome: Outcome) -> HoldState | None:
    return outcome.signal.state if outcome.signal else None


def remedy_of(outcome: Outcome) -> str:
    assert outcome.signal is not None
    assert outcome.signal.problem is not None
    return outcome.signal.problem.remedy


def refusal_of(document: Any, destination: AdobeDccs = TILL) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        destination.check(document, WALL_MS)
    return caught.value


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("https://dcs.adobedc.net/collection/0f1e", "https://dcs.adobedc.net/collection/batch/0f1e"),
        ("https://dcs.adobedc.net/collection/0f1e/", "https://dcs.adobedc.net/collection/batch/0f1e"),
        ("https://dcs.adobedc.net/collection/batch/0f1e", "https://dcs.adobedc.net/collection/batch/0f1e"),
        ("https://proxy.example.com:8443/a/collection/0f1e", "https://proxy.example.com:8443/a/collection/batch/0f1e"),
    ],
)
def test_the_batch_url_is_made_from_the_inlet_url(endpoint: str, url: str) -> None:
    """The operator copies the URL that Adobe shows; both forms are taken."""
    destination = dataclasses.replace(TILL, endpoint=endpoint)
    assert destination.encode(batch(SALE, SALE)).url == url
    assert destination.encode(batch(SALE)).url == url.replace("/batch/", "/"), "one message alone"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"endpoint": "https://dcs.adobedc.net"}, "is no inlet URL; it looks like"),
        ({"endpoint": "https://dcs.adobedc.net/collection/"}, "is no inlet URL"),
        ({"endpoint": "https://dcs.adobedc.net/collection/batch"}, "is no inlet URL"),
        ({"endpoint": "https://dcs.adobedc.net/collection/0f1e?syncValidation=true"}, "is no inlet URL"),
        ({"endpoint": ""}, "endpoint is missing"),
        ({"data_type": "json"}, "data_type is 'json'; use 'xdm' or 'raw'"),
        ({"data_type": "raw"}, "flow_id is missing; raw data needs the id of its dataflow"),
        ({"flow_id_in": "body"}, "flow_id_in is 'body'; use 'header' or 'query'"),
        ({"sandbox_name": "PROD x\ny"}, "sandbox_name is 'PROD x"),
        ({"sandbox_name": ""}, "sandbox_name is '', which no header can hold"),
        ({"flow_id": "fl\xf6w"}, "flow_id is"),
        ({"encoding": "cbor"}, "encoding is 'cbor'; this type writes 'json' or 'smile'"),
        ({"not_before": datetime(2026, 11, 21)}, "not_before has no time zone"),  # noqa: DTZ001
        ({"schema_class": "events"}, "schema_class is 'events'"),
        ({"schema_version": 0}, "schema_version is 0"),
        ({"path": "/collection/x"}, "path has no place here"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(settings: dict[str, Any], said: str) -> None:
    """A configuration that cannot work is refused when it is read."""
    with pytest.raises(ConfigError, match=said):
        dataclasses.replace(TILL, **settings)


# --- wrapped events -------------------------------------------------------------------------------------------------


def test_a_wrapped_event_is_stored_alone_and_gets_todays_envelope() -> None:
    """What is stored holds nothing of the configuration, so a corrected dataset helps the backlog too."""
    draft = TILL.check(SALE, WALL_MS)
    assert draft.payload.startswith(
        b'{"xdm":{"_id":"' + ID_PLACEHOLDER.encode() + b'","timestamp":"2026-11-21T04:41:18.'
    )
    assert (draft.id_offset, draft.stamped, draft.occurred_ms) == (15, True, WALL_MS)
    later = dataclasses.replace(TILL, dataset_id="corrected", flow_id="f-1", source_name="tills", schema_version=3)
    ref = {**SCHEMA_REF, "contentType": "application/vnd.adobe.xed-full+json;version=3"}
    assert json.loads(later.item(draft.payload)) == {
        "header": {
            "schemaRef": ref,
            "imsOrgId": "ACME@AdobeOrg",
            "datasetId": "corrected",
            "flowId": "f-1",
            "source": {"name": "tills"},
        },
        "body": {"xdmMeta": {"schemaRef": ref}, "xdmEntity": json.loads(draft.payload)["xdm"]},
    }


def test_the_envelope_leaves_out_what_is_not_set() -> None:
    """A source without a name is an error at Adobe's, and a missing organisation is filled in there."""
    destination = dataclasses.replace(TILL, org_id=None, schema_content_type="application/x;version=9")
    header = json.loads(destination.item(b'{"xdm":{}}'))["header"]
    assert list(header) == ["schemaRef", "datasetId"]
    assert header["schemaRef"]["contentType"] == "application/x;version=9"
    assert json.loads(BARE.item(b'{"xdm":{}}')) == {"header": {}, "body": {"xdmMeta": {}, "xdmEntity": {}}}


def test_wrapping_needs_dataset_and_schema() -> None:
    """Without them only full messages can be enqueued; the refusal says which settings are missing."""
    refusal = refusal_of(SALE, BARE)
    assert "[destinations.till] has no dataset_id and no schema_id" in refusal.reason
    assert "no dataset_id" not in refusal_of(SALE, dataclasses.replace(TILL, schema_id=None)).reason
    assert BARE.check(message(), WALL_MS).payload


def test_a_record_is_not_stamped() -> None:
    """A profile has an `_id`, but no moment; Profile's limit for records is ten times that for events."""
    people = dataclasses.replace(TILL, schema_class="record")
    draft = people.check({"xdm": {"person": {"name": "x" * 20_000}}}, WALL_MS)
    assert (draft.stamped, draft.occurred_ms, draft.id_offset, draft.warnings) == (False, None, 15, ())
    assert "timestamp" not in json.loads(draft.payload)["xdm"]
    assert "Profile drops it" in TILL.check({"xdm": {"pad": "x" * 20_000}}, WALL_MS).warnings[0]


@pytest.mark.parametrize(
    ("document", "field", "said"),
    [
        ({}, "xdm", "no 'xdm'"),
        ({"xdm": None}, "xdm", "not a NoneType"),
        ({"xdm": {}, "header": {}}, "", "'header'"),
        ({"data": {"a": 1}}, "data", "this one takes XDM"),
        ({"messages": [SALE]}, "messages", "several events"),
        ({"xdm": {"timestamp": "today"}}, "xdm.timestamp", "no timestamp"),
        ({"xdm": {"_id": 5}}, "xdm._id", "must be a text"),
        ({"xdm": {"total": float("inf")}}, "xdm.total", "inf"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_enqueue(document: Any, field: str, said: str) -> None:
    """The refusal names the field, where the caller can still mend it."""
    refusal = refusal_of(document)
    assert refusal.field == field
    assert said in refusal.reason


def test_an_event_fits_a_request_to_the_byte_or_is_refused() -> None:
    """Measured with its envelope, because that is what travels."""
    room = 950_000 - 15 - len(TILL.item(TILL.check({"xdm": {"pad": ""}}, WALL_MS).payload))
    largest = TILL.check({"xdm": {"pad": "x" * room}}, WALL_MS)
    assert len(TILL.item(largest.payload)) + len(b'{"messages":[]}') == 950_000
    assert (
        "949,986 bytes; Adobe streaming ingestion takes at most 949,985"
        in refusal_of({"xdm": {"pad": "x" * (room + 1)}}).reason
    )


# --- full messages --------------------------------------------------------------------------------------------------


def test_a_full_message_is_sent_as_it_is() -> None:
    """With `_id` and timestamp of its own not a byte changes, whatever the configuration says."""
    document = message(xdmEntity={"timestamp": "2026-11-21T04:41:18.123Z", "_id": "mine"})
    draft = TILL.check(document, 0)
    assert draft.payload == json.dumps(document, separators=(",", ":")).encode()
    assert TILL.item(draft.payload) == draft.payload
    assert (draft.id_offset, draft.stamped, draft.occurred_ms) == (-1, False, WALL_MS)


def test_a_full_message_without_id_gets_one_at_a_constant_offset() -> None:
    """The body moves to the front and the entity to the front of it; nothing else changes."""
    document = message()
    draft = TILL.check(document, WALL_MS)
    assert draft.payload.startswith(b'{"body":{"xdmEntity":{"_id":"' + ID_PLACEHOLDER.encode())
    assert draft.id_offset == len(b'{"body":{"xdmEntity":{"_id":"')
    stored = json.loads(draft.payload)
    assert stored["header"] == document["header"]
    assert stored["body"]["xdmMeta"] == document["body"]["xdmMeta"]
    assert document == message()


@pytest.mark.parametrize(
    ("document", "field", "said"),
    [
        ({"header": message()["header"]}, "body", "a DCCS message needs header and body"),
        ({"body": message()["body"]}, "header", "a DCCS message needs header and body"),
        ({**message(), "extra": 1}, "", "'extra'"),
        ({**message(), "header": []}, "header", "not a list"),
        ({**message(), "body": None}, "body", "not a NoneType"),
        (message(schemaRef=None), "header.schemaRef", "unknown xdm format"),
        (message(schemaRef=None, xdmSchema={"name": "_xdm.old"}), "header.schemaRef", "xdmSchema is the older form"),
        (message(schemaRef="x"), "header.schemaRef", "not a str"),
        (message(schemaRef={"id": "x"}), "header.schemaRef.contentType", "must be a text"),
        (message(schemaRef={"contentType": "x", "id": ""}), "header.schemaRef.id", "must be a text"),
        (
            message(imsOrgId="OTHER@AdobeOrg"),
            "header.imsOrgId",
            "'OTHER@AdobeOrg', but this destination sends for 'ACME",
        ),
        (message(imsOrgId=7), "header.imsOrgId", "must be a text"),
        (message(source={}), "header.source", "no name"),
        (message(xdmMeta={"schemaRef": {**SCHEMA_REF, "id": "y"}}), "body.xdmMeta.schemaRef", "differs"),
        (message(xdmMeta=3), "body.xdmMeta", "not an int"),
        (message(xdmEntity=None), "body.xdmEntity", "missing"),
        (message(xdmEntity=[]), "body.xdmEntity", "not a list"),
        (message(xdmEntity={"timestamp": 5}), "body.xdmEntity.timestamp", "no timestamp"),
        (message(xdmEntity={"x": {1}}), "body.xdmEntity.x", "is a set"),
    ],
)
def test_a_full_message_that_dccs_would_refuse_is_refused_at_enqueue(document: Any, field: str, said: str) -> None:
    """What the documents say is refused, is refused where it can still be mended."""
    refusal = refusal_of(document)
    assert refusal.field == field
    assert said in refusal.reason


@pytest.mark.parametrize("document", [message(imsOrgId=None), message(xdmMeta=None), message(xdmMeta={})])
def test_what_dccs_fills_in_may_be_missing(document: Any) -> None:
    """A message without organisation or xdmMeta is sent as it is; another org is fine where none is configured."""
    assert TILL.check(document, WALL_MS).warnings == ()
    assert BARE.check(message(imsOrgId="OTHER@AdobeOrg"), WALL_MS).payload


def test_a_large_message_is_measured_without_its_envelope_for_profile() -> None:
    """Profile's limit is about the entity; the header does not count."""
    assert TILL.check(message(xdmEntity={"pad": "x" * 9_880}), WALL_MS).warnings == ()
    assert len(TILL.check(message(xdmEntity={"pad": "x" * 10_000}), WALL_MS).warnings) == 1


def test_a_request_document_is_split_into_its_messages() -> None:
    """Wrapped and full ones may be mixed."""
    assert TILL.split({"messages": [SALE, message()]}) == [SALE, message()]
    assert len(json.loads(TILL.encode(batch(SALE, message())).body)["messages"]) == 2


# --- multi-status: which entry is about which event -----------------------------------------------------------------


def test_a_full_success_needs_no_row_per_event() -> None:
    """The documented success: receipts are the batchId and the position, so one template says them all."""
    outcome = answered(2, [{"xactionId": f"{BATCH_ID}:0"}, {"xactionId": f"{BATCH_ID}:1"}])
    assert outcome.verdict.disposition is ACCEPTED
    assert outcome.verdict.receipt == f"{BATCH_ID}:{{position}}"
    assert outcome.exceptions == {}
    assert outcome.service == {"inletId": "0f1e2d", "batchId": BATCH_ID, "receivedTimeMs": 1795236078300}
    assert (state_of(outcome), outcome.singly) == (HoldState.OK, False)


def test_the_documented_partial_answer_is_not_guessed_at() -> None:
    """Five messages, four answers, and an index that contradicts the text: all are unknown and go out one by one."""
    responses = [
        {"xactionId": f"{ELSEWHERE}:3"},
        *({"statusCode": 400, "message": text} for text in (FORMAT, ORG, FORMAT)),
    ]
    outcome = answered(5, responses)
    assert dispositions(outcome, 5) == [UNKNOWN] * 5
    assert (outcome.singly, state_of(outcome), outcome.exceptions) == (True, HoldState.OK, {})


@pytest.mark.parametrize(
    "text",
    [
        "#/header: required key [datasetId] not found",
        "#/header/imsOrgId: expected type: String, found: Null",
        "#: required key [flowId] not found",
        "required field imsOrgId is missing in the header",
        "#/header/schemaRef/id: required key [id] not found",
        "Message has an absent or wrong ims org in the header, timestamp 1565628583792",
        "Schema https://ns.adobe.com/acme/schemas/77aa not found for xdmEntity",
        "see #/datasetId",
        "imsOrgId: [ACME@AdobeOrg] does not match the inlet",
        "inletId: [0f1e2d] imsOrgId: [ACME@AdobeOrg] does not match",
    ],
)
@pytest.mark.parametrize("multi", [False, True])
def test_a_refusal_of_the_envelope_kills_nobody_whatever_else_it_says(text: str, multi: bool) -> None:
    """A name or a pointer of the header that our configuration wrote wins over words that events are refused in."""
    if multi:
        outcome = answered(2, [{"statusCode": 400, "message": text}] * 2)
    else:
        kind = "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet"
        outcome = whole(400, {"type": kind, "status": 400, "title": "Invalid", "report": {"message": text}})
    assert dispositions(outcome, 2) == [DEFER, DEFER]
    assert state_of(outcome) is HoldState.PAUSED
    assert "[destinations.till]" in remedy_of(outcome)


@pytest.mark.parametrize("text", ["#/commerce/order: required key [currencyCode] not found", "#/a/timestamp: no date"])
def test_a_pointer_into_the_data_is_the_events_own(text: str) -> None:
    """No setting of ours wrote what stands there."""
    outcome = answered(2, [{"statusCode": 400, "message": text}, {"xactionId": f"{BATCH_ID}:1"}])
    assert dispositions(outcome, 2) == [REJECT, ACCEPTED]


def test_the_newer_form_names_its_events_by_index() -> None:
    """`<uuid>-<index>` settles the events it names, in any order of fewer answers; the absent ones are unknown."""
    responses = [
        {"xactionId": f"{UUID}-3", "status": 400, "message": "entity has no eventType"},
        {"xactionId": f"{UUID}-0"},
        {"xactionId": f"{UUID}-2", "status": "503", "message": "later"},
    ]
    outcome = answered(4, responses)
    assert dispositions(outcome, 4) == [ACCEPTED, UNKNOWN, DEFER, REJECT]
    assert outcome.of(0).receipt == f"{UUID}-0"
    assert outcome.singly


def test_the_older_form_is_read_by_position_when_the_numbers_agree() -> None:
    """Refusals without an xactionId stand at their message's place; the successes beside them say the same."""
    responses = [
        {"xactionId": f"{BATCH_ID}:0"},
        {"statusCode": 400, "message": SAID + "no body"},
        {"xactionId": f"{BATCH_ID}:2"},
    ]
    outcome = answered(3, responses)
    assert dispositions(outcome, 3) == [ACCEPTED, REJECT, ACCEPTED]
    assert outcome.verdict.receipt == f"{BATCH_ID}:{{position}}"
    assert list(outcome.exceptions) == [1]
    problem = outcome.of(1).problem
    assert problem is not None
    assert (problem.code, problem.status) == ("http_400", 400)
    assert "no body" in problem.text


def test_where_index_and_position_disagree_nothing_is_known() -> None:
    """Trusted indices in another order than the messages: either could be meant, so neither is."""
    outcome = answered(2, [{"xactionId": f"{BATCH_ID}:1"}, {"xactionId": f"{BATCH_ID}:0"}])
    assert dispositions(outcome, 2) == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize(
    "receipts",
    [
        [f"{ELSEWHERE}:1", f"{ELSEWHERE}:0"],
        [f"{BATCH_ID}:0", f"{BATCH_ID}:0"],
        [f"{BATCH_ID}:0", f"{BATCH_ID}:7"],
        [f"{BATCH_ID}:0", "a receipt without a number"],
        ["not-a-uuid-1", "not-a-uuid-0"],
        [f"{UUID}", f"{UUID[:-1]}5"],
    ],
)
def test_an_index_that_is_not_borne_out_is_only_a_receipt(receipts: list[str]) -> None:
    """Another prefix, a repeat, too high a number: the position counts, and the receipt is kept as it is."""
    outcome = answered(2, [{"xactionId": receipt} for receipt in receipts])
    assert dispositions(outcome, 2) == [ACCEPTED, ACCEPTED]
    assert [outcome.of(position).receipt for position in (0, 1)] == receipts


def test_a_single_message_keeps_an_odd_receipt() -> None:
    """A receipt that ends with 3 after one message, as in Adobe's example, is no index."""
    outcome = answered(1, [{"xactionId": f"{ELSEWHERE}:3"}])
    assert (outcome.of(0).disposition, outcome.of(0).receipt) == (ACCEPTED, f"{ELSEWHERE}:3")


@pytest.mark.parametrize(
    "responses",
    [
        [],
        [{"xactionId": f"{BATCH_ID}:0"}] * 3,
        [{"xactionId": f"{ELSEWHERE}:0"}],
        [{"statusCode": 400, "message": "x"}],
    ],
)
def test_an_answer_that_cannot_be_assigned_settles_nothing(responses: list[Any]) -> None:
    """Fewer or more entries than messages, and no trusted index: everything is sent again, one by one."""
    outcome = answered(2, responses)
    assert dispositions(outcome, 2) == [UNKNOWN, UNKNOWN]
    assert outcome.singly


def test_one_event_alone_that_cannot_be_told_waits_before_it_goes_again() -> None:
    """There is nothing smaller to send, so going out at once would be a loop."""
    outcome = answered(1, [])
    assert (outcome.of(0).disposition, state_of(outcome)) == (UNKNOWN, HoldState.BACKING_OFF)


@pytest.mark.parametrize(
    "entry", [None, "ok", {}, {"message": "hm"}, {"xactionId": ""}, {"status": "fine"}, {"status": 302}]
)
def test_an_entry_that_says_nothing_is_of_unknown_outcome(entry: Any) -> None:
    """Only a receipt or a 2xx is a success; the neighbours are settled all the same."""
    outcome = answered(2, [{"xactionId": "a receipt", "status": 200}, entry])
    assert dispositions(outcome, 2)[1] is UNKNOWN
    good = answered(2, [{"xactionId": f"{BATCH_ID}:0"}, {"status": "201"}])
    assert dispositions(good, 2) == [ACCEPTED, ACCEPTED]


# --- multi-status: what an entry means ------------------------------------------------------------------------------


def refused_entries(count: int, status: int, text: str) -> list[dict[str, Any]]:
    return [{"statusCode": status, "message": text} for _ in range(count)]


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_a_message_that_is_refused_for_itself_is_dead(status: int) -> None:
    """The service names the message, so its neighbours are not touched and no bisecting is needed."""
    outcome = answered(3, refused_entries(3, status, SAID + "no valid timestamp"))
    assert dispositions(outcome, 3) == [REJECT] * 3
    assert (state_of(outcome), outcome.split) == (HoldState.OK, False)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (ORG, "org_id"),
        (FORMAT, "schema_id"),
        ("Message refers to a schema that does not exist", "schema_id"),
        ("The dataset 6021a1b2c3 is not known", "dataset_id"),
        ("flowId is not valid for this inlet", "flow_id"),
        ("Organization mismatch", "org_id"),
    ],
)
def test_a_refusal_of_what_we_wrote_ourselves_pauses_and_kills_nothing(text: str, key: str) -> None:
    """Organisation, schema, dataset and flow come from the configuration: the operator mends it, the events wait."""
    outcome = answered(3, refused_entries(3, 400, text))
    assert dispositions(outcome, 3) == [DEFER] * 3
    assert state_of(outcome) is HoldState.PAUSED
    assert f"Check {key} in [destinations.till]" in remedy_of(outcome)


def test_the_preamble_of_every_refusal_names_no_culprit() -> None:
    """`imsOrgId: […]` stands before every text, so it does not mean that the organisation is wrong."""
    refused = answered(1, refused_entries(1, 400, SAID + "#/_id: required key not found"))
    assert dispositions(refused, 1) == [REJECT]


@pytest.mark.parametrize("text", ["Sandbox not found", "contentType is invalid", "no", ""])
def test_words_that_may_be_about_our_envelope_are_a_suspicion(text: str) -> None:
    """Nothing was accepted in it yet, so it may be our own configuration: no event dies of that alone."""
    outcome = answered(2, refused_entries(2, 400, text))
    assert dispositions(outcome, 2) == [DEFER, DEFER]
    assert outcome.of(0).doubt is Doubt.REFUSED
    assert whole(400, dccs_problem(text), [SALE]).verdict.doubt is Doubt.REFUSED


def test_a_full_message_is_refused_for_what_it_brought_itself() -> None:
    """Its envelope is the application's, so a wrong organisation in it is the message's own fault."""
    outcome = answered([message(), message()], refused_entries(2, 400, ORG))
    assert dispositions(outcome, 2) == [REJECT, REJECT]
    assert state_of(outcome) is HoldState.OK


def test_an_accepted_neighbour_proves_our_envelope() -> None:
    """All wrapped messages share one envelope: where one was taken, the other was refused for what it holds."""
    mixed = answered(2, [{"xactionId": f"{BATCH_ID}:0"}, *refused_entries(1, 400, FORMAT)])
    assert dispositions(mixed, 2) == [ACCEPTED, REJECT]
    full_beside = answered([message(), SALE], [{"xactionId": f"{BATCH_ID}:0"}, *refused_entries(1, 400, FORMAT)])
    assert dispositions(full_beside, 2) == [ACCEPTED, DEFER]
    assert state_of(full_beside) is HoldState.PAUSED


@pytest.mark.parametrize("status", [401, 403, 405])
def test_refused_credentials_pause_and_keep_the_message(status: int) -> None:
    """No message dies of a token. Beside an accepted one it is not the token: that message is set aside."""
    outcome = answered(2, refused_entries(2, status, "no"))
    assert dispositions(outcome, 2) == [DEFER, DEFER]
    assert state_of(outcome) is HoldState.PAUSED
    beside = answered(2, [{"xactionId": f"{BATCH_ID}:0"}, *refused_entries(1, status, "no")])
    assert dispositions(beside, 2) == [ACCEPTED, DEFER]
    assert (state_of(beside), beside.of(1).doubt) == (HoldState.BACKING_OFF, Doubt.STRANGE), "asked to wait: 40 s"
    unasked = answered(2, [{"xactionId": f"{BATCH_ID}:0"}, *refused_entries(1, status, "no")], retry_after=None)
    assert state_of(unasked) is HoldState.OK


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_trouble_of_one_message_defers_that_message(status: int) -> None:
    """The destination backs off when nothing got through or when it is asked to, and then as long as it is asked."""
    partly = answered(2, [{"xactionId": f"{BATCH_ID}:0"}, *refused_entries(1, status, "busy")])
    assert dispositions(partly, 2) == [ACCEPTED, DEFER]
    assert state_of(partly) is HoldState.BACKING_OFF
    unasked = answered(2, [{"xactionId": f"{BATCH_ID}:0"}, *refused_entries(1, status, "busy")], retry_after=None)
    assert state_of(unasked) is HoldState.OK, "it waits by itself"
    nothing = answered(2, refused_entries(2, status, "busy"))
    assert dispositions(nothing, 2) == [DEFER, DEFER]
    assert nothing.signal is not None
    assert (nothing.signal.state, nothing.signal.retry_after_seconds) == (HoldState.BACKING_OFF, 40.0)


# --- the request as a whole -----------------------------------------------------------------------------------------


def dccs_problem(reason: str) -> dict[str, Any]:
    kind = "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet"
    return {"type": kind, "status": 400, "title": "Invalid XDM Message Format", "report": {"message": reason}}


def test_a_200_with_the_same_body_is_read_the_same() -> None:
    """The body decides, not which success the status is."""
    outcome = answered(1, [{"xactionId": f"{BATCH_ID}:0"}], status=200)
    assert dispositions(outcome, 1) == [ACCEPTED]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, {"ok": True}),
        (207, b'{"responses":[{"xact'),
        (207, {"responses": {}}),
        (202, {"responses": []}),
    ],
)
def test_a_success_without_its_body_is_of_unknown_outcome(status: int, body: Any) -> None:
    """Nothing is marked done without the service's own word."""
    assert whole(status, body).verdict.disposition is UNKNOWN


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (207, b" <html>"), (204, b""), (302, b""), (511, b"{}")]
)
def test_what_is_not_the_services_answer_counts_for_nothing(status: int, body: bytes) -> None:
    """Portals and redirects: deferred, and the destination backs off."""
    outcome = whole(status, body)
    assert (outcome.verdict.disposition, state_of(outcome)) == (DEFER, HoldState.BACKING_OFF)


def test_a_refused_request_bisects_and_pauses_where_our_envelope_is_at_fault() -> None:
    """A whole-request 400 is about our configuration only if every message stands in our envelope."""
    assert whole(400, dccs_problem(SAID + "no body")).split
    paused = whole(400, dccs_problem(ORG))
    assert (paused.split, state_of(paused)) == (False, HoldState.PAUSED)
    assert "Check org_id" in remedy_of(paused)
    assert whole(400, dccs_problem(ORG), [SALE, message()]).split
    assert whole(400, dccs_problem(ORG), [message()]).verdict.disposition is REJECT
    assert whole(400, {"title": "Dataset unknown"}).signal != paused.signal


@pytest.mark.parametrize(
    ("status", "disposition", "state", "split"),
    [
        (401, DEFER, HoldState.PAUSED, False),
        (403, DEFER, HoldState.PAUSED, False),
        (404, DEFER, HoldState.PAUSED, False),
        (415, DEFER, HoldState.PAUSED, False),
        (413, DEFER, HoldState.OK, True),
        (422, DEFER, HoldState.OK, True),
        (408, DEFER, HoldState.BACKING_OFF, False),
        (429, DEFER, HoldState.BACKING_OFF, False),
        (500, DEFER, HoldState.BACKING_OFF, False),
        (501, DEFER, HoldState.BACKING_OFF, False),
        (503, DEFER, HoldState.BACKING_OFF, False),
    ],
)
def test_each_status_comes_to_what_the_documents_say(
    status: int, disposition: Disposition, state: HoldState, split: bool
) -> None:
    """The table of statuses for a request as a whole; a Retry-After is kept with each of them."""
    outcome = whole(status, {"title": "no"})
    assert (outcome.verdict.disposition, state_of(outcome), outcome.split) == (disposition, state, split)
    asked = whole(status, {"title": "no"}, retry_after="60")
    assert asked.signal is not None
    assert asked.signal.retry_after_seconds == 60.0
    assert state_of(asked) is (HoldState.PAUSED if state is HoldState.PAUSED else HoldState.BACKING_OFF)
