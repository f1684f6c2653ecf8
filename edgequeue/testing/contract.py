"""What every destination must do: subclass `DestinationContract`, give it a destination and a good event.

    from edgequeue.testing.contract import DestinationContract

    class TestMine(DestinationContract):
        destination = Mine("mine", ...)

        def good_event(self) -> dict[str, Any]:
            return {...}

Everything here is pure, so there is nothing to set up and nothing to fake. It wants pytest and hypothesis
(`pip install edgequeue[test]`); nothing else of edgequeue imports it.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgequeue.destinations.base import Destination
from edgequeue.destinations.framing import JSON_TYPE, SMILE_TYPE
from edgequeue.destinations.smile_reader import decode as decode_smile
from edgequeue.errors import InvalidEvent
from edgequeue.model import ID_PLACEHOLDER, Batch, Claimed, Disposition, Draft, HttpResponse, format_event_id
from edgequeue.outcome import Outcome, settle
from edgequeue.retry import RetryPolicy, Signal

WALL_MS = 1_795_236_078_123  # 2026-11-21T04:41:18.123Z
REQUEST_ID = "5f0c9c1e-7a55-4a57-9d6e-0d7c40a3b111"

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
PROBLEM_KEYS = ["type", "status", "title", "detail", "message", "report", "errors", "error_code"]
ANSWER_KEYS = ["requestId", "handle", "responses", "xactionId", "batchId", "inletId", "statusCode", "success"]
KNOWN_KEYS = st.sampled_from([*PROBLEM_KEYS, *ANSWER_KEYS])
DOCUMENTS = st.dictionaries(KNOWN_KEYS, JSON_VALUES | st.dictionaries(KNOWN_KEYS, JSON_VALUES), max_size=6)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "xactionId": st.sampled_from(["b:0", "b:1", "b:2", "x:1", "", "b:99999999999"]) | JSON_VALUES,
        "status": st.sampled_from([200, 400, "401", 429, 500, 0]) | JSON_VALUES,
        "statusCode": st.sampled_from([207, 404, "503"]) | JSON_VALUES,
        "message": st.text(max_size=20) | JSON_VALUES,
    },
)
MULTI_STATUS = st.fixed_dictionaries(
    {"responses": st.lists(ENTRIES | JSON_VALUES, max_size=5)}, optional={"batchId": st.just("b") | JSON_VALUES}
)
BODIES = (
    st.binary(max_size=60)
    | st.sampled_from([b"", b"<html>", b"\xef\xbb\xbf <!doctype html>", b"{", b"null", b"[]", b'{"requestId":"x"}'])
    | (DOCUMENTS | MULTI_STATUS | JSON_VALUES).map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
)
STATUSES = st.sampled_from([200, 202, 204, 207, 400, 401, 403, 404, 408, 413, 422, 429, 500, 503]) | st.integers(0, 999)
HEADER_VALUES = st.text(max_size=30) | st.sampled_from(["5", "-1", "9" * 40, "Sat, 21 Nov 2026 04:41:18 GMT", "Mon, 1"])
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "date", "content-type", "x-request-id", "location"]), HEADER_VALUES
)

# Each subclass runs the inherited properties as its own; nothing found for one is replayed against another.
_FUZZ = settings(database=None, deadline=None, suppress_health_check=[HealthCheck.differing_executors])


class DestinationContract:
    """The rules for one destination; see the module's docstring."""

    destination: ClassVar[Destination]
    successes: ClassVar[frozenset[int]] = frozenset(range(200, 300))
    """The only statuses that may ever deliver; name those that your service documents."""

    def good_event(self) -> dict[str, Any]:
        """An event that is accepted, without `_id` and without a timestamp; a new object each time."""
        raise NotImplementedError

    # --- check ----------------------------------------------------------------------------------------------------

    def test_check_does_not_change_the_callers_event(self) -> None:
        """What the application hands over is its own: nothing is added to it, at any depth."""
        event = self.good_event()
        before = copy.deepcopy(event)
        self.destination.check(event, WALL_MS)
        assert event == before
        assert pickle.dumps(event) == pickle.dumps(before)

    def test_check_gives_the_same_draft_for_the_same_event_and_clock(self) -> None:
        """Checking is a function of the event and the time alone."""
        assert self.destination.check(self.good_event(), WALL_MS) == self.destination.check(self.good_event(), WALL_MS)

    def test_a_payload_is_json_that_holds_what_the_caller_handed_over(self) -> None:
        """Everything in the event is in the payload, unchanged; only what was missing is added."""
        stored = json.loads(self.destination.check(self.good_event(), WALL_MS).payload)
        assert _contains(stored, self.good_event())

    def test_a_minted_id_stands_exactly_at_its_offset(self) -> None:
        """The store writes the event id over the placeholder; the result is JSON with that id as `_id`."""
        draft = self.destination.check(self.good_event(), WALL_MS)
        if draft.id_offset < 0:
            pytest.skip("this destination mints no _id")
        end = draft.id_offset + len(ID_PLACEHOLDER)
        assert draft.payload[draft.id_offset : end] == ID_PLACEHOLDER.encode()
        assert draft.payload[draft.id_offset - 7 : draft.id_offset] == b'"_id":"'
        assert draft.payload[end : end + 1] == b'"'
        spliced = self.spliced(draft, 7)
        assert len(spliced) == len(draft.payload)
        assert format_event_id("k1osk2ab", 7, 7) in json.dumps(json.loads(spliced))

    def test_a_stamped_event_occurred_when_it_was_enqueued(self) -> None:
        """Without a timestamp of its own, the moment of the event is the clock's."""
        draft = self.destination.check(self.good_event(), WALL_MS)
        assert not draft.stamped or draft.occurred_ms == WALL_MS

    @pytest.mark.parametrize("junk", [None, 1, "text", b"bytes", [], {}, [{}], object()])
    def test_what_is_no_event_is_refused_with_a_reason(self, junk: Any) -> None:
        """A refusal is an InvalidEvent with a reason, never another exception."""
        with pytest.raises(InvalidEvent) as caught:
            self.destination.check(junk, WALL_MS)
        assert caught.value.reason

    @given(junk=JSON_VALUES)
    @settings(_FUZZ, max_examples=50)
    def test_check_raises_nothing_but_invalid_event(self, junk: Any) -> None:
        """Whatever JSON comes, alone or inside a good event, it is taken or refused in order."""
        for event in (junk, dict.fromkeys(self.good_event(), junk)):
            try:
                draft = self.destination.check(event, WALL_MS)
            except InvalidEvent:
                continue
            json.loads(draft.payload)

    def test_a_single_event_is_no_request_document(self) -> None:
        """`split` leaves a single event alone."""
        assert self.destination.split(self.good_event()) is None

    # --- item, encode ---------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("count", [1, 2, 7])
    def test_the_encoded_size_is_what_the_limits_say(self, count: int) -> None:
        """Batches are filled by adding up: frame, items and the commas between them hold the body, to the byte in JSON.

        An event alone may travel without the frame.
        """
        batch = self.batch(count)
        body = self.destination.encode(batch).body
        room = self.destination.limits.frame_bytes + sum(map(len, batch.items)) + count - 1
        assert len(body) <= room
        assert len(body) == room or count == 1 or self.destination.encoding != "json"

    def test_a_request_holds_its_events_and_no_credentials(self) -> None:
        """The body is one document with every event in it; credentials are added later and never stand in it."""
        batch = self.batch(3)
        request = self.destination.encode(batch)
        encoding = self.destination.encoding
        document = json.loads(request.body) if encoding == "json" else decode_smile(request.body)
        for record in batch.records:
            assert json.loads(self.destination.item(record.payload)) in _parts(document)
        assert request.method == "POST"
        assert request.url.startswith(("https://", "http://"))
        assert "authorization" not in {name.lower() for name in request.headers}
        assert request.headers["content-type"] == {"json": JSON_TYPE, "smile": SMILE_TYPE}[encoding]

    def test_encode_gives_the_same_bytes_each_time(self) -> None:
        """A retry is recognisably the same: encoding depends on nothing but the batch and the settings."""
        assert self.destination.encode(self.batch(2)) == self.destination.encode(self.batch(2))

    def test_the_limits_are_sensible_and_can_be_lowered(self) -> None:
        """There is room for an event, and an operator's lower limit holds."""
        limits = self.destination.limits
        assert limits.events_max >= 1
        assert 0 < limits.frame_bytes < limits.bytes_max
        lowered = dataclasses.replace(self.destination, batch_events_max=1, batch_bytes_max=500).limits
        assert (lowered.events_max, lowered.bytes_max, lowered.frame_bytes) == (1, 500, limits.frame_bytes)
        raised = dataclasses.replace(self.destination, batch_events_max=10**6, batch_bytes_max=10**9).limits
        assert raised == limits

    # --- interpret ------------------------------------------------------------------------------------------------

    @given(status=STATUSES, headers=HEADERS, body=BODIES, count=st.integers(1, 3))
    @settings(_FUZZ, max_examples=400)
    def test_interpret_takes_any_answer(self, status: int, headers: dict[str, str], body: bytes, count: int) -> None:
        """Any bytes are an answer: an outcome comes of them, and only a success is ever taken for one."""
        batch = self.batch(count)
        response = HttpResponse(status, headers, body, datetime(2026, 11, 21, tzinfo=UTC))
        outcome = self.destination.interpret(batch, response)
        assert isinstance(outcome, Outcome)
        assert outcome == self.destination.interpret(batch, response)
        assert set(outcome.exceptions) <= set(range(count))
        verdicts = [outcome.of(position) for position in range(count)]
        if status not in self.successes:
            assert all(verdict.disposition is not Disposition.ACCEPTED for verdict in verdicts)
        if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") or status < 200 or 300 <= status < 400:
            assert all(v.disposition in (Disposition.DEFER, Disposition.UNKNOWN) for v in verdicts)
        for verdict in verdicts:
            assert verdict.disposition is Disposition.ACCEPTED or verdict.problem is not None
            assert verdict.problem is None or len(verdict.problem.text) <= 600
        assert isinstance(outcome.signal, Signal)
        json.dumps(dict(outcome.service))
        settle(batch, outcome, attempts_max=3, policy=RetryPolicy(), now_ms=0, unit_random=0.5)

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_a_service_in_trouble_costs_no_event_anything(self, status: int) -> None:
        """Time-outs, limits and server errors defer: no attempt is spent and nothing dies."""
        outcome = self.destination.interpret(self.batch(1), HttpResponse(status, {}, b'{"title":"busy"}'))
        assert outcome.verdict.disposition is Disposition.DEFER

    @pytest.mark.parametrize("status", [401, 403, 404, 405, 410])
    def test_wrong_credentials_and_addresses_pause_with_a_remedy(self, status: int) -> None:
        """What an operator has to mend keeps every event and says what to mend."""
        outcome = self.destination.interpret(self.batch(2), HttpResponse(status, {}, b"{}"))
        assert outcome.verdict.disposition is Disposition.DEFER
        assert outcome.signal is not None
        assert outcome.signal.state == "paused"
        assert outcome.signal.problem is not None
        assert self.destination.name in outcome.signal.problem.remedy

    # --- for the subclasses ---------------------------------------------------------------------------------------

    def spliced(self, draft: Draft, sequence: int) -> bytes:
        """The payload as the store keeps it, with the event id in its place."""
        if draft.id_offset < 0:
            return draft.payload
        event_id = format_event_id("k1osk2ab", sequence, sequence).encode()
        return draft.payload[: draft.id_offset] + event_id + draft.payload[draft.id_offset + len(event_id) :]

    def batch(self, count: int) -> Batch:
        """A batch of that many good events."""
        return batch_of(
            self.destination,
            [self.spliced(self.destination.check(self.good_event(), WALL_MS), n) for n in range(count)],
        )


def batch_of(destination: Destination, payloads: list[bytes]) -> Batch:
    """A batch of stored payloads."""
    records = tuple(Claimed(position + 1, 1, 0, None, payload, True) for position, payload in enumerate(payloads))
    add = destination.begin()
    items = tuple(add(payload) or b"" for payload in payloads)
    assert all(items), "good events have a place in one request"
    return Batch(REQUEST_ID, records, items)


def _parts(document: Any) -> list[Any]:
    """The document itself and all that stands in it, at any depth."""
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return [document, *(part for each in inner for part in _parts(each))]


def _contains(stored: Any, handed_over: Any) -> bool:
    if isinstance(handed_over, dict):
        return isinstance(stored, dict) and all(
            key in stored and _contains(stored[key], handed_over[key]) for key in handed_over
        )
    return bool(stored == handed_over)
