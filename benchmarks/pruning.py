"""Row 10: deleting what was delivered, and for how long that keeps others from writing.

The turn of one chunk ends with a checkpoint now and then. SQLite's write lock is free by then (another process was seen
to take it), so the lock is timed without checkpoints; the threads of this process wait for the whole turn.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from harness import Bench, checkpoint, interleave, seconds_of
from report import Figure, of_values, short
from storing import drain, fill, lease_of, open_store, prune_all

from edgequeue.store.facade import SqliteStore


def measure(bench: Bench) -> Iterator[tuple[str, Figure]]:
    count, repeats = bench.of((100_000, 5), (20_000, 3), (500, 1))
    runs = {"turn": partial(_prune, bench, count, True), "lock": partial(_prune, bench, count, False)}
    found = interleave(runs, repeats)
    yield "prune", of_values([rate for rate, _ in found["turn"]])
    turns = short(of_values([longest for _, longest in found["turn"]]).value)
    note = f"longest turn with its checkpoint {turns} ms; the longest of {count // 1000} chunks, median of the runs"
    yield "prune_lock", of_values([longest for _, longest in found["lock"]], note)


def _prune(bench: Bench, count: int, checkpoints: bool) -> tuple[float, float]:
    """The rate, and the longest transaction in milliseconds."""
    with bench.place() as place, closing(open_store(place / "queue.db")) as store:
        fill(store, count)
        drain(store, lease_of(store), count)
        checkpoint(store.path)
        if not checkpoints:
            store._database._writing().execute("PRAGMA wal_autocheckpoint = 0")
        with times_held(store) as times:
            seconds = seconds_of(partial(prune_all, store))
        return count / seconds, max(times) * 1000


@contextmanager
def times_held(store: SqliteStore) -> Iterator[list[float]]:
    """How long each transaction of the store held the write lock, commit included."""
    database: Any = store._database
    transaction = database.transaction
    times: list[float] = []

    @contextmanager
    def timed(deadline: float) -> Iterator[Any]:
        with transaction(deadline) as connection:
            started = time.perf_counter()
            yield connection
        times.append(time.perf_counter() - started)

    database.transaction = timed
    try:
        yield times
    finally:
        database.transaction = transaction
