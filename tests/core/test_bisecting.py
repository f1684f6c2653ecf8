"""Salvage of a refused batch, end to end through the pure core: fill, refuse, settle, fill again."""

from __future__ import annotations

from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from edgequeue.batching import fill
from edgequeue.model import Batch, Claimed, HttpResponse, Limits, Problem
from edgequeue.outcome import settle
from edgequeue.reading import accepted, refused
from edgequeue.retry import RetryPolicy

REFUSAL = HttpResponse(400, {}, b"")
POLICY = RetryPolicy()


def salvage(count: int, poison: set[int], in_flight: int) -> tuple[int, set[int], set[int]]:
    """(requests, delivered, dead) for a service that refuses every batch with a poison event in it."""
    waiting = {number: Claimed(number, 1, 0, None, b"{}", True) for number in range(count)}
    limits = Limits(events_max=count, bytes_max=10**9, frame_bytes=0)
    requests = 0
    delivered: set[int] = set()
    dead: set[int] = set()
    while waiting:
        loads = fill([waiting[number] for number in sorted(waiting)], limits, lambda: bytes, in_flight)
        for load in loads:
            requests += 1
            batch = Batch("request", load.records, load.items)
            bad = any(record.sequence in poison for record in load.records)
            outcome = refused(REFUSAL, batch, Problem("bad", "bad")) if bad else accepted(REFUSAL, service={})
            settlement = settle(batch, outcome, attempts_max=3, policy=POLICY, now_ms=0, unit_random=0.0)
            for _, sequence in settlement.delivered:
                delivered.add(sequence)
                del waiting[sequence]
            for death in settlement.deaths:
                assert death.attempts == 1, "bisecting spends no attempt"
                dead.add(death.sequence)
                del waiting[death.sequence]
            for wait in settlement.waits:
                assert wait.attempts == 0
                waiting[wait.sequence] = waiting[wait.sequence]._replace(travel_max=wait.travel_max)
    return requests, delivered, dead


@given(st.integers(1, 200), st.data(), st.integers(1, 8))
def test_exactly_the_poison_dies_within_the_bound(count: int, data: st.DataObject, in_flight: int) -> None:
    """k poison events in a batch of n: only they die, in at most 2·k·⌈log2 n⌉ + 2 requests."""
    poison = data.draw(st.sets(st.integers(0, count - 1), max_size=min(count, 6)))
    requests, delivered, dead = salvage(count, poison, in_flight)
    assert dead == poison
    assert delivered == set(range(count)) - poison
    assert requests <= 2 * len(poison) * ceil(log2(count)) + 2


def test_one_poison_event_in_a_full_edge_batch() -> None:
    """A hundred events, one of them bad: at most sixteen requests."""
    assert all(salvage(100, {number}, 1)[0] <= 16 for number in range(100))
