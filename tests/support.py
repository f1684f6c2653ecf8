"""Small words for tests of stores: drafts to put in, requests to record, outcomes to settle with."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from edgequeue.errors import TransportError
from edgequeue.learning import Learned
from edgequeue.model import (
    ID_PLACEHOLDER,
    Batch,
    Claimed,
    Disposition,
    Draft,
    HttpResponse,
    Priority,
    Problem,
    parse_event_id,
)
from edgequeue.outcome import Outcome, Verdict, failed, settle
from edgequeue.retry import Hold, RetryPolicy
from edgequeue.store.base import Closing, Lease, NewRequest, Store

WEB, TILL = "web", "till"
REFUSAL = Problem("http_422", "a field is wrong", "Mend it.", 422)
BUSY = Problem("http_503", "too busy", "", 503)
TIMEOUT_SECONDS = 5.0

_request_ids = (f"request-{number:06d}" for number in itertools.count(1))


def draft(
    note: str = "sale",
    *,
    own_id: str | None = None,
    reference: str | None = None,
    occurred_ms: int | None = None,
) -> Draft:
    """An encoded event; without an id of its own it has the placeholder that the store fills in."""
    payload = f'{{"_id":"{own_id or ID_PLACEHOLDER}","note":"{note}"}}'.encode()
    return Draft(payload, -1 if own_id else len(b'{"_id":"'), occurred_ms, reference, False, ())


def put(store: Store, count: int = 1, *, to: str = WEB, priority: Priority = Priority.NORMAL) -> list[str]:
    """Ids of new events."""
    return [store.put(to, draft(f"sale {number}"), priority, TIMEOUT_SECONDS) for number in range(count)]


def sequence_of(event_id: str) -> int:
    found = parse_event_id(event_id)
    assert found is not None
    return found.sequence_from


def lease_of(store: Store, name: str = WEB) -> Lease:
    """The lease on a destination, as a worker takes it: what a dead one left behind is rescued."""
    lease = store.acquire(name, "test")
    assert lease is not None
    store.rescue(lease)
    return lease


def claim(store: Store, lease: Lease, events_max: int = 1000, bytes_max: int = 10**6) -> list[Claimed]:
    return store.claim(lease, store.now_ms(), events_max, bytes_max)


class Travelling(NamedTuple):
    """A request on record."""

    lease: Lease
    number: int
    batch: Batch


def send(store: Store, lease: Lease, records: Sequence[Claimed] | None = None) -> Travelling:
    """Put a request on record that carries these records, or all that are due."""
    records = tuple(claim(store, lease) if records is None else records)
    batch = Batch(next(_request_ids), records, tuple(one.payload for one in records))
    new = NewRequest(batch.request_id, tuple(one.sequence for one in records), sum(map(len, batch.items)))
    (number,) = store.record(lease, [new], store.now_ms())
    return Travelling(lease, number, batch)


def answer(
    store: Store,
    travelling: Travelling,
    outcome: Outcome | TransportError,
    *,
    attempts_max: int = 3,
    unit_random: float = 0.5,
    hold: Hold | None = None,
    learned: Learned | None = None,
) -> None:
    """Settle a request with what it came to."""
    settlement = settle(
        travelling.batch,
        failed(outcome) if isinstance(outcome, TransportError) else outcome,
        attempts_max=attempts_max,
        policy=RetryPolicy(),
        now_ms=store.now_ms(),
        unit_random=unit_random,
    )
    store.settle(travelling.lease, [Closing(travelling.number, settlement)], store.now_ms(), hold, learned)


def came_to(
    disposition: Disposition,
    problem: Problem | None = None,
    *,
    receipt: str | None = None,
    but: Mapping[int, Verdict] | None = None,
    split: bool = False,
    status: int | None = None,
    service: Mapping[str, object] | None = None,
) -> Outcome:
    """An outcome; `but` holds the verdicts on the events at single positions."""
    verdict = Verdict(disposition, problem, receipt)
    return Outcome(verdict, exceptions=but or {}, split=split, http_status=status, service=service or {})


ACCEPTED = came_to(Disposition.ACCEPTED, receipt="batch:{position}", status=200, service={"batchId": "batch"})
REJECTED = came_to(Disposition.REJECT, REFUSAL, status=422)
RETRIED = came_to(Disposition.RETRY, REFUSAL, status=500)
DEFERRED = came_to(Disposition.DEFER, BUSY, status=503)
UNKNOWN = came_to(Disposition.UNKNOWN, Problem("cut", "no answer"))
SPLIT = came_to(Disposition.DEFER, REFUSAL, split=True, status=422)


def deliver(store: Store, lease: Lease, outcome: Outcome = ACCEPTED) -> Travelling:
    """Send all that is due and settle it."""
    travelling = send(store, lease)
    answer(store, travelling, outcome)
    return travelling


def kill(store: Store, travelling: Travelling) -> None:
    """The worker dies: its lease is free, its request stays open."""
    store.release(travelling.lease)


def statuses(store: Store, ids: Sequence[str]) -> list[str]:
    found = [store.get(one) for one in ids]
    return ["gone" if one is None else one.status.value for one in found]


def text_response(status: int, body: bytes = b"", **headers: str) -> HttpResponse:
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


Answering = Callable[[Batch], Outcome]


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return once the condition holds, which another thread or process brings about; AssertionError when it never does.

    For what gives no sign of its own: whether a lock file is held, what a child has written.
    """
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        pause.wait(0.005)
