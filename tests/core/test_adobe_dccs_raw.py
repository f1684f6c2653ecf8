"""Raw data for DCCS: bare JSON with the flow id beside it, one message a request unless a batch is asked for."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from edgequeue.destinations.adobe_dccs import AdobeDccs
from edgequeue.errors import InvalidEvent
from edgequeue.model import Batch, Claimed, Disposition, HttpResponse
from edgequeue.retry import HoldState

WALL_MS = 1_795_236_078_123
DOORS = AdobeDccs(
    "doors", endpoint="https://dcs.adobedc.net/collection/0f1e2d", data_type="raw", flow_id="d3c0-ffee", org_id="A@Org"
)
OPENED = {"door": 3, "opened": True, "by": {"badge": "7-11"}}


def batch(destination: AdobeDccs, *events: Any) -> Batch:
    payloads = [destination.check({"data": event}, WALL_MS).payload for event in events]
    records = tuple(Claimed(n + 1, 1, 0, None, payload, True) for n, payload in enumerate(payloads))
    return Batch("r-1", records, tuple(map(destination.item, payloads)))


def test_raw_data_travels_as_it_was_handed_over() -> None:
    """Nothing stands around it and nothing is added, not even an `_id`: what means what is the mapping's business."""
    request = DOORS.encode(batch(DOORS, OPENED))
    assert json.loads(request.body) == OPENED
    assert request.url == "https://dcs.adobedc.net/collection/0f1e2d"
    draft = DOORS.check({"data": OPENED}, WALL_MS)
    assert (draft.id_offset, draft.stamped, draft.occurred_ms) == (-1, False, None)


def test_the_flow_id_stands_in_a_header_or_in_the_query() -> None:
    """Adobe takes both; the header is the default, and never both at once."""
    request = DOORS.encode(batch(DOORS, OPENED))
    assert request.headers["x-adobe-flow-id"] == "d3c0-ffee"
    asked = dataclasses.replace(DOORS, flow_id_in="query")
    request = asked.encode(batch(asked, OPENED))
    assert request.url == "https://dcs.adobedc.net/collection/0f1e2d?x-adobe-flow-id=d3c0-ffee"
    assert "x-adobe-flow-id" not in request.headers


def test_xdm_messages_carry_their_flow_id_themselves() -> None:
    """The header is for raw data alone."""
    xdm = AdobeDccs("till", endpoint=DOORS.endpoint, flow_id="f", dataset_id="d", schema_id="s")
    assert "x-adobe-flow-id" not in xdm.headers()


def test_several_travel_together_only_when_that_is_asked_for() -> None:
    """No document shows a batch of raw messages, so one is made only by who knows that the inlet takes it."""
    assert DOORS.limits.events_max == 1
    asked = dataclasses.replace(DOORS, batch_events_max=20)
    assert asked.limits.events_max == 20
    request = asked.encode(batch(asked, OPENED, {"door": 4}))
    assert json.loads(request.body) == {"messages": [OPENED, {"door": 4}]}
    assert request.url == "https://dcs.adobedc.net/collection/batch/0f1e2d"
    assert request.headers["x-adobe-flow-id"] == "d3c0-ffee"


@pytest.mark.parametrize(
    ("event", "field", "said"),
    [
        ({"xdm": {}}, "data", "this inlet takes raw data"),
        ({"data": [1]}, "data", "must be a JSON object"),
        ({"data": {}, "xdm": {}}, "", "unknown key 'xdm'"),
        ({"messages": [{"data": {}}]}, "messages", "several events"),
        ({"data": {"celsius": float("nan")}}, "data.celsius", "nan"),
        ({"data": {"pad": "x" * 950_000}}, "", "takes at most 949,985"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_enqueue(event: Any, field: str, said: str) -> None:
    """The refusal names the field, where the caller can still mend it."""
    with pytest.raises(InvalidEvent) as caught:
        DOORS.check(event, WALL_MS)
    assert caught.value.field == field
    assert said in caught.value.reason


def test_the_reference_is_found_in_raw_data() -> None:
    """`reference_path` begins at the event, as with XDM."""
    named = dataclasses.replace(DOORS, reference_path="data.by.badge")
    assert named.check({"data": OPENED}, WALL_MS).reference == "7-11"


@pytest.mark.parametrize("text", ["Message has an unknown flow id", "dataflow f is not enabled", "wrong ims org"])
def test_a_refusal_of_what_our_configuration_says_pauses(text: str) -> None:
    """The flow id, the inlet and the organisation are ours: no event dies of them."""
    problem = {
        "type": "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet",
        "status": 400,
        "report": {"message": text},
    }
    outcome = DOORS.interpret(batch(DOORS, OPENED), HttpResponse(400, {}, json.dumps(problem).encode()))
    assert outcome.of(0).disposition is Disposition.DEFER
    assert outcome.signal is not None
    assert outcome.signal.state is HoldState.PAUSED


def test_a_message_that_was_taken_has_its_receipt() -> None:
    """The single endpoint's answer: the ids of the inlet and of the transaction."""
    answer = {"inletId": "0f1e2d", "xactionId": "1584479347507:2153:240", "receivedTimeMs": 1584479347507}
    outcome = DOORS.interpret(batch(DOORS, OPENED), HttpResponse(200, {}, json.dumps(answer).encode()))
    assert outcome.of(0).disposition is Disposition.ACCEPTED
    assert outcome.of(0).receipt == "1584479347507:2153:240"
