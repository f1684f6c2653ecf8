"""The store as the worker uses it: what several benchmarks fill, drain and prune."""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice
from pathlib import Path

from events import make_events

from edgequeue.destinations.adobe_edge import AdobeEdge
from edgequeue.model import Disposition, Draft, Priority, RequestOutcome
from edgequeue.outcome import Settlement, Verdict
from edgequeue.retry import Hold
from edgequeue.store.base import Closing, Lease, NewRequest
from edgequeue.store.connecting import PAGE_BYTES
from edgequeue.store.facade import SqliteStore

EDGE = AdobeEdge("web", datastream_id="bench")
BATCH = 100
IN_FLIGHT = 4
"""Requests per commit: the worker's default."""


@cache
def encoded(size: int | None = None) -> list[Draft]:
    """The events, checked and encoded beforehand: for what the store alone does with them."""
    return [EDGE.check(event, 0) for event in make_events(size=size)]


def drafts(count: int) -> Iterator[Draft]:
    return islice(cycle(encoded()), count)


def payload_bytes(pool: list[Draft]) -> float:
    """The mean payload as stored, its `_id` included."""
    return statistics.mean(len(one.payload) for one in pool)


def open_store(path: Path, page_bytes: int = PAGE_BYTES) -> SqliteStore:
    store = SqliteStore.open(path, page_bytes=page_bytes)
    store.register(EDGE.name, EDGE.type)
    return store


def lease_of(store: SqliteStore) -> Lease:
    lease = store.acquire(EDGE.name, "bench")
    assert lease is not None, "another worker has the lease"
    return lease


def fill(store: SqliteStore, count: int) -> None:
    """A backlog, stored in parts, so that the write-ahead log stays small."""
    while count > 0:
        part = min(count, 50_000)
        store.put_many(EDGE.name, drafts(part), Priority.NORMAL, 60.0)
        count -= part


def put_singly(store: SqliteStore, pool: list[Draft], count: int) -> None:
    put = store.put
    for draft in islice(cycle(pool), count):
        put(EDGE.name, draft, Priority.NORMAL, 5.0)


def put_by_batch(store: SqliteStore, pool: list[Draft], count: int) -> None:
    source = cycle(pool)
    for _ in range(count // BATCH):
        store.put_many(EDGE.name, islice(source, BATCH), Priority.NORMAL, 5.0)


def drain(store: SqliteStore, lease: Lease, count: int) -> None:
    """Claim, record and settle as the worker does: requests of `BATCH`, `IN_FLIGHT` of them per commit."""
    verdict = Verdict(Disposition.ACCEPTED, None, "a-request-id-of-the-service")
    hold = Hold()
    while count > 0:
        records = store.claim(lease, store.now_ms(), min(BATCH * IN_FLIGHT, count), 1 << 30)
        assert records, "the backlog is gone"
        batches = [records[first : first + BATCH] for first in range(0, len(records), BATCH)]
        requests = [
            NewRequest(str(uuid.uuid4()), tuple(one.sequence for one in batch), sum(len(one.payload) for one in batch))
            for batch in batches
        ]
        numbers = store.record(lease, requests, store.now_ms())
        closings = [
            Closing(
                number,
                Settlement(
                    outcome=RequestOutcome.ACCEPTED,
                    verdict=verdict,
                    http_status=200,
                    service={"requestId": request.request_id},
                    delivered=tuple((one.priority, one.sequence) for one in batch),
                ),
            )
            for number, request, batch in zip(numbers, requests, batches, strict=True)
        ]
        store.settle(lease, closings, store.now_ms(), hold)
        count -= len(records)


def prune_all(store: SqliteStore) -> None:
    """Delete all that was delivered."""
    store.prune(store.now_ms() + 1000, None)
