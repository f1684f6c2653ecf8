"""Filling requests: nothing lost, repeated or reordered, no limit exceeded but by what is alone too big."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from edgequeue.batching import Load, fill, halved
from edgequeue.model import Batch, Claimed, HttpResponse, Limits, Problem
from edgequeue.outcome import settle
from edgequeue.reading import accepted, refused
from edgequeue.retry import RetryPolicy

LIMITS = st.builds(
    Limits, events_max=st.integers(1, 12), bytes_max=st.integers(20, 200), frame_bytes=st.integers(0, 15)
)
SIZES = st.integers(0, 120)
BOUNDS = st.sampled_from([None, None, 1, 2, 4, 8])


@st.composite
def records(draw: st.DrawFn, max_size: int = 40) -> list[Claimed]:
    found = draw(st.lists(st.tuples(SIZES, BOUNDS), max_size=max_size))
    return [
        Claimed(number, 1, 0, travel_max, b"x" * size, True) for number, (size, travel_max) in enumerate(found, start=1)
    ]


def as_stored(payload: bytes) -> bytes:
    return payload


def in_json() -> Callable[[bytes], bytes]:
    """Begins a request that items join as they are stored."""
    return as_stored


def in_envelope(payload: bytes) -> bytes:
    """An encoding that makes items longer than what is stored, as an envelope does."""
    return b"<" + payload + b">"


def body_bytes(load: Load, limits: Limits) -> int:
    """The body's size: frame, items, and a comma between two."""
    return limits.frame_bytes + sum(map(len, load.items)) + len(load.items) - 1


@given(records(), LIMITS)
def test_nothing_is_lost_repeated_or_reordered(given_records: list[Claimed], limits: Limits) -> None:
    """With loads enough, every record is in exactly one, in the order it came in, with its own bytes."""
    loads = fill(given_records, limits, lambda: in_envelope, loads_max=1000)
    assert [record for load in loads for record in load.records] == given_records
    for load in loads:
        assert load.items == tuple(in_envelope(record.payload) for record in load.records)


@given(records(), LIMITS)
def test_a_load_exceeds_a_limit_only_alone(given_records: list[Claimed], limits: Limits) -> None:
    """Events, bytes with commas and frame, and the bound that bisecting has learned."""
    for load in fill(given_records, limits, in_json, loads_max=1000):
        assert load.records
        assert len(load.records) <= limits.events_max
        assert len(load.records) == 1 or body_bytes(load, limits) <= limits.bytes_max
        travel_max = load.records[0].travel_max
        assert travel_max is None or len(load.records) <= travel_max


@given(records(), LIMITS)
def test_parts_of_a_refused_batch_never_share_a_load(given_records: list[Claimed], limits: Limits) -> None:
    """Records with different bounds are judged apart."""
    for load in fill(given_records, limits, in_json, loads_max=1000):
        assert len({record.travel_max for record in load.records}) == 1


@given(records(), LIMITS)
def test_a_load_is_as_full_as_it_may_be(given_records: list[Claimed], limits: Limits) -> None:
    """Whatever follows a load would not have fitted into it: no request is sent that could have been saved."""
    loads = fill(given_records, limits, in_json, loads_max=1000)
    for load, following in pairwise(loads):
        first = following.records[0]
        count_max = min(limits.events_max, first.travel_max or limits.events_max)
        fits = body_bytes(load, limits) + 1 + len(first.payload) <= limits.bytes_max
        assert not (fits and load.records[0].travel_max == first.travel_max and len(load.records) < count_max)


@given(records(), LIMITS, st.integers(1, 5))
def test_no_more_loads_than_asked_for(given_records: list[Claimed], limits: Limits, loads_max: int) -> None:
    """The first ones, as they would be without that bound; what does not fit is left for a later turn."""
    assert fill(given_records, limits, in_json, loads_max) == fill(given_records, limits, in_json, 1000)[:loads_max]


def test_no_records_no_loads() -> None:
    """There is no empty request."""
    assert fill([], Limits(10, 100, 2), in_json, 4) == []


def test_records_are_read_no_further_than_needed() -> None:
    """With the loads full, the next record ends it: a long backlog is not encoded for nothing."""
    read: list[int] = []

    def backlog() -> list[Claimed]:
        return [Claimed(number, 1, 0, None, b"x" * 10, True) for number in range(1000)]

    def encode(payload: bytes) -> bytes:
        read.append(1)
        return payload

    loads = fill(backlog(), Limits(events_max=5, bytes_max=10_000, frame_bytes=0), lambda: encode, loads_max=2)
    assert sum(len(load.records) for load in loads) == 10
    assert len(read) == 10


@given(records(), LIMITS, st.integers(1, 5))
def test_an_item_that_does_not_go_with_those_before_it_begins_a_request(
    given_records: list[Claimed], limits: Limits, count_max: int
) -> None:
    """An encoding may refuse an item its place, and what an item takes may depend on those before it."""

    def begin() -> Callable[[bytes], bytes | None]:
        before: list[int] = []

        def add(payload: bytes) -> bytes | None:
            before.append(len(payload))
            return None if len(before) > count_max else b"h" * (10 if len(before) == 1 else 0) + payload

        return add

    loads = fill(given_records, limits, begin, loads_max=1000)
    assert [record for load in loads for record in load.records] == given_records
    for load in loads:
        assert len(load.records) <= count_max
        assert load.items[0].startswith(b"h" * 10), "the head is written once, with the first"
        assert [len(item) for item in load.items[1:]] == [len(record.payload) for record in load.records[1:]]
        assert body_bytes(load, limits) <= limits.bytes_max or len(load.records) == 1


@given(st.integers(2, 100_000))
def test_half_a_batch_is_the_largest_power_of_two_below_it(count: int) -> None:
    """Never the batch itself, and never less than half of it."""
    half = halved(count)
    assert half & (half - 1) == 0
    assert half < count <= 2 * half


@given(records(max_size=60), LIMITS, st.data())
def test_over_many_batches_exactly_the_poison_dies(
    given_records: list[Claimed], limits: Limits, data: st.DataObject
) -> None:
    """Whatever the limits cut the backlog into, bisecting ends, and no neighbour is hurt."""
    sequences = [record.sequence for record in given_records]
    poison = set(data.draw(st.lists(st.sampled_from(sequences), max_size=5))) if sequences else set()
    waiting = {record.sequence: record for record in given_records}
    dead: set[int] = set()
    requests = 0
    while waiting:
        for load in fill(list(waiting.values()), limits, in_json, loads_max=3):
            requests += 1
            batch = Batch("request", load.records, load.items)
            bad = any(record.sequence in poison for record in load.records)
            response = HttpResponse(422 if bad else 200, {}, b"")
            outcome = refused(response, batch, Problem("bad", "")) if bad else accepted(response, service={})
            settlement = settle(batch, outcome, attempts_max=3, policy=RetryPolicy(), now_ms=0, unit_random=0.5)
            for wait in settlement.waits:
                waiting[wait.sequence] = waiting[wait.sequence]._replace(travel_max=wait.travel_max)
            for sequence in [death.sequence for death in settlement.deaths]:
                dead.add(sequence)
                del waiting[sequence]
            for _, sequence in settlement.delivered:
                del waiting[sequence]
    assert dead == poison
    assert requests <= len(given_records) + len(poison) * ceil(limits.events_max.bit_length() + 1)
