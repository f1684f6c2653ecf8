"""What the store does on this disk, each figure beside what sqlite3 itself does: `python benchmarks/store.py`.

    python benchmarks/store.py [--quick] [--only NAME ...] [--page-size BYTES ...] [--payload BYTES] [--dir DIR]
                               [--strace] [--json FILE]

Compare the ratios, not the rates: those depend on the disk, and on what else the machine does. The floor is one table,
json.dumps and BEGIN IMMEDIATE/INSERT/COMMIT (WAL, synchronous=FULL), interleaved with ours in the same directory.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from harness import (
    CHECKOUT,
    Figure,
    Floor,
    against_floor,
    conditions,
    interleave,
    make_events,
    of_values,
    report,
    scratch,
    seconds_of,
    written_bytes,
)

from edgequeue import EventQueue
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


# --- what is measured -------------------------------------------------------------------------------------------------


def drafts(events: list[dict[str, Any]], count: int) -> Iterator[Draft]:
    """`count` events, checked and encoded beforehand: what the store alone does with them is measured."""
    encoded = [EDGE.check(event, 0) for event in events]
    return islice(cycle(encoded), count)


def open_store(path: Path, page_bytes: int = PAGE_BYTES) -> SqliteStore:
    store = SqliteStore.open(path, page_bytes=page_bytes)
    store.register(EDGE.name, EDGE.type)
    return store


def lease_of(store: SqliteStore) -> Lease:
    lease = store.acquire(EDGE.name, "bench")
    assert lease is not None
    return lease


def fill(store: SqliteStore, events: list[dict[str, Any]], count: int) -> None:
    """A backlog, stored in parts, so that the write-ahead log stays small."""
    while count > 0:
        part = min(count, 50_000)
        store.put_many(EDGE.name, drafts(events, part), Priority.NORMAL, 60.0)
        count -= part


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


def checkpoint(path: Path) -> None:
    """Copy the log back, so that what a phase has written is complete."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()


def put_singly(store: SqliteStore, encoded: list[Draft], count: int) -> None:
    put = store.put
    for draft in islice(cycle(encoded), count):
        put(EDGE.name, draft, Priority.NORMAL, 5.0)


# --- the figures ------------------------------------------------------------------------------------------------------


class Bench:
    """One run: a directory, the events, and how thorough it is."""

    def __init__(self, directory: Path, *, quick: bool, page_sizes: list[int], payload: int | None) -> None:
        self.directory = directory
        self.quick = quick
        self.page_sizes = page_sizes
        self.events = make_events(size=payload)
        self.encoded = list(drafts(self.events, len(self.events)))
        self.payload_bytes = statistics.mean(len(one.payload) for one in self.encoded)
        self._numbers = iter(range(1_000_000))

    def path(self) -> Path:
        """The name of a new database, in a directory of its own, so that it can be removed with all that is its."""
        place = self.directory / f"{next(self._numbers)}"
        place.mkdir()
        return place / "queue.db"

    def put(self) -> Iterator[Figure]:
        """One durable put at a time through the public API, checked and encoded, against the floor."""
        count, repeats = (300, 9) if self.quick else (500, 31)
        path = self.path()
        with EventQueue(path, [EDGE]) as queue, closing(Floor(path.with_name("floor.db"))) as floor:

            def each(put: Callable[[Any], object]) -> float:
                def run() -> None:
                    for event in islice(source, count):
                        put(event)

                return count / seconds_of(run)

            source = cycle(self.events)
            each(queue.enqueue), each(floor.put)  # the log has its length from here on
            rates = interleave({"ours": lambda: each(queue.enqueue), "floor": lambda: each(floor.put)}, repeats)
        shutil.rmtree(path.parent)
        yield against_floor("put: enqueue, one thread", rates, 0.85)

    def threads(self) -> Iterator[Figure]:
        """Durable puts from many threads against one connection."""
        total, repeats = (1600, 5) if self.quick else (6400, 11)
        for number, target in ((16, 3.0), (64, 4.5)):
            path = self.path()
            with EventQueue(path, [EDGE]) as queue, closing(Floor(path.with_name("floor.db"))) as floor:
                enqueue = partial(self._at_once, queue, number, total)

                def put() -> float:
                    def run() -> None:
                        for event in islice(cycle(self.events), total // 4):
                            floor.put(event)

                    return total // 4 / seconds_of(run)

                enqueue(), put()
                rates = interleave({"ours": enqueue, "floor": put}, repeats)
            shutil.rmtree(path.parent)
            yield against_floor(f"threads: enqueue, {number} threads", rates, target)

    def _at_once(self, queue: EventQueue, number: int, total: int) -> float:
        barrier = threading.Barrier(number + 1)

        def put(first: int) -> None:
            barrier.wait()
            for event in islice(cycle(self.events), first, first + total // number):
                queue.enqueue(event)

        threads = [threading.Thread(target=put, args=(first,)) for first in range(number)]
        for thread in threads:
            thread.start()

        def run() -> None:
            barrier.wait()
            for thread in threads:
                thread.join()

        return total / seconds_of(run)

    def bulk(self) -> Iterator[Figure]:
        """One transaction with many events, checked and encoded, against executemany with json.dumps."""
        count, repeats = (20_000, 5) if self.quick else (100_000, 7)

        def ours() -> float:
            path = self.path()
            with EventQueue(path, [EDGE]) as queue:
                seconds = seconds_of(lambda: queue.enqueue_many(islice(cycle(self.events), count)))
            shutil.rmtree(path.parent)
            return count / seconds

        def theirs() -> float:
            path = self.path()
            with closing(Floor(path)) as floor:
                seconds = seconds_of(lambda: floor.put_many(islice(cycle(self.events), count)))
            shutil.rmtree(path.parent)
            return count / seconds

        rates = interleave({"ours": ours, "floor": theirs}, repeats)
        yield against_floor(f"bulk: enqueue_many of {count:,}", rates, 1.0)

    def drain(self) -> Iterator[Figure]:
        """Claim, record and settle on top of a backlog, and with all that was delivered still there."""
        backlogs = (100_000,) if self.quick else (100_000, 1_000_000)
        count, repeats = (10_000, 5) if self.quick else (20_000, 9)
        for backlog in backlogs:
            path = self.path()
            with closing(open_store(path)) as store:
                lease = lease_of(store)
                fill(store, self.events, backlog + count)
                checkpoint(path)
                rates = []
                for _ in range(repeats):
                    rates.append(count / seconds_of(lambda: drain(store, lease, count)))  # noqa: B023
                    fill(store, self.events, count)
            shutil.rmtree(path.parent)
            yield of_values(f"drain: {BATCH} per request, backlog {backlog:,}", rates, "events/s", 50_000)

    def depth(self) -> Iterator[Figure]:
        """Put and drain with a large backlog against the same with a small one."""
        large, count, repeats = (100_000, 1000, 5) if self.quick else (1_000_000, 2000, 15)
        for page_bytes in self.page_sizes:
            stores = []
            filling = 0.0
            for backlog in (1000, large):
                path = self.path()
                store = open_store(path, page_bytes)
                filling = seconds_of(partial(fill, store, self.events, backlog))
                checkpoint(path)
                stores.append((path, store, lease_of(store)))
            runs = {
                name: partial(self._put_and_drain, store, lease, count)
                for name, (_, store, lease) in zip(("small", "large"), stores, strict=True)
            }
            for run in runs.values():
                run()  # the log has its length from here on
            rates = interleave(runs, repeats)
            disk = stores[1][1].disk_bytes()
            for path, store, _ in stores:
                store.close()
                shutil.rmtree(path.parent)
            page = f"page {page_bytes}"
            for index, kind in enumerate(("put", "drain")):
                pair = {
                    "ours": [one[index] for one in rates["large"]],
                    "floor": [one[index] for one in rates["small"]],
                }
                yield against_floor(f"depth: {kind}, backlog {large:,} vs 1,000, {page}", pair, 0.9)
            yield Figure(f"depth: put_many of {large:,}, {page}", large / filling, "/s")
            size = disk / large / self.payload_bytes
            yield Figure(f"depth: file with {large:,} events, {page}", size, "payloads/event")

    def _put_and_drain(self, store: SqliteStore, lease: Lease, count: int) -> tuple[float, float]:
        """The rates of both; the backlog is the same afterwards."""
        put = count / seconds_of(lambda: put_singly(store, self.encoded, count))
        return put, count / seconds_of(lambda: drain(store, lease, count))

    def bytes(self) -> Iterator[Figure]:
        """What an event makes the kernel write over its life, as multiples of its payload, by page size."""
        count, repeats = (2000, 3) if self.quick else (10_000, 5)
        runs = {
            f"{kind}, page {page_bytes}": partial(self._life, page_bytes, step, count)
            for page_bytes in self.page_sizes
            for kind, step in (("single puts", 1), (f"puts of {BATCH}", BATCH))
        }
        found = interleave(runs, repeats)
        for name, lives in found.items():
            names = ("put", "drain", "prune", "put rate", "drain rate")
            phases = dict(zip(names, zip(*lives, strict=True), strict=True))
            whole = [sum(life[:3]) for life in lives]
            yield of_values(f"bytes: life, {name}", whole, "payloads", 4.2 if "puts of" in name else 12, at_most=True)
            for phase in ("put", "drain", "prune"):
                target = 0.35 if phase == "drain" else None
                yield of_values(f"bytes:   {phase}, {name}", phases[phase], "payloads", target, at_most=True)
            yield of_values(f"bytes:   rate of put, {name}", phases["put rate"], "events/s")
            yield of_values(f"bytes:   rate of drain, {name}", phases["drain rate"], "events/s")

    def _life(self, page_bytes: int, step: int, count: int) -> tuple[float, ...]:
        """Payloads written by put, drain and prune, and the rates of put and drain."""
        path = self.path()
        with closing(open_store(path, page_bytes)) as store:
            lease = lease_of(store)

            def put() -> None:
                if step == 1:
                    return put_singly(store, self.encoded, count)
                source = cycle(self.encoded)
                for _ in range(count // step):
                    store.put_many(EDGE.name, islice(source, step), Priority.NORMAL, 5.0)
                return None

            written, rates = [], []
            phases = (put, partial(drain, store, lease, count), lambda: store.prune(store.now_ms() + 1000, None))
            checkpoint(path)
            for phase in phases:
                before = written_bytes()
                rates.append(count / seconds_of(phase))
                checkpoint(path)
                written.append((written_bytes() - before) / count / self.payload_bytes)
        shutil.rmtree(path.parent)
        return (*written, *rates[:2])

    def prune(self) -> Iterator[Figure]:
        """Deleting what was delivered, and for how long that keeps others from writing.

        The turn of one chunk ends with a checkpoint now and then. SQLite's write lock is free by then (another process
        was seen to take it), so the lock is timed without checkpoints; the threads of this process wait for the turn.
        """
        count, repeats = (20_000, 3) if self.quick else (100_000, 5)
        found = interleave({"turn": lambda: self._prune(count), "lock": lambda: self._prune(count, False)}, repeats)
        yield of_values("prune: delivered events", [rate for rate, _ in found["turn"]], "events/s", 150_000)
        for name, text in (
            ("lock", "prune: longest hold of the write lock"),
            ("turn", "prune: longest turn, checkpoint included"),
        ):
            yield of_values(text, [longest for _, longest in found[name]], "ms", 15, at_most=True)

    def _prune(self, count: int, checkpoints: bool = True) -> tuple[float, float]:
        """The rate, and the longest transaction in milliseconds."""
        path = self.path()
        with closing(open_store(path)) as store:
            fill(store, self.events, count)
            drain(store, lease_of(store), count)
            checkpoint(path)
            if not checkpoints:
                store._database._writing().execute("PRAGMA wal_autocheckpoint = 0")
            with times_held(store) as times:
                seconds = seconds_of(lambda: store.prune(store.now_ms() + 1000, None))
        shutil.rmtree(path.parent)
        return count / seconds, max(times) * 1000


FIGURES = ("put", "threads", "bulk", "drain", "depth", "bytes", "prune")


@contextmanager
def times_held(store: SqliteStore) -> Iterator[list[float]]:
    """How long each transaction of the store held the write lock, commit included."""
    database = store._database
    transaction = database.transaction
    times: list[float] = []

    @contextmanager
    def timed(deadline: float) -> Iterator[sqlite3.Connection]:
        with transaction(deadline) as connection:
            started = time.perf_counter()
            yield connection
        times.append(time.perf_counter() - started)

    database.transaction = timed  # type: ignore[method-assign]
    yield times
    database.transaction = transaction  # type: ignore[method-assign]


# --- flushes per put --------------------------------------------------------------------------------------------------

_CHILD = """
import sys
from edgequeue import EventQueue
from edgequeue.destinations.adobe_edge import AdobeEdge
from harness import make_events
with EventQueue(sys.argv[1], [AdobeEdge("web", datastream_id="bench")]) as queue:
    for event in make_events(int(sys.argv[2])):
        queue.enqueue(event)
"""


def flushes_per_put(directory: Path) -> float:
    """Counted by strace: two runs, of 50 and 150 puts, too few for a checkpoint; what they differ by is 100 puts'."""
    counts = []
    for number in (50, 150):
        place = Path(tempfile.mkdtemp(dir=directory))
        trace = place / "trace"
        command = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-o", str(trace)]
        arguments = [sys.executable, "-c", _CHILD, str(place / "queue.db"), str(number)]
        places = {"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'benchmarks'}"}
        subprocess.run([*command, *arguments], check=True, env=places)
        counts.append(sum("sync(" in line for line in trace.read_text().splitlines()))
    return (counts[1] - counts[0]) / 100


# --- the program ------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description="Figures of the store, each beside what sqlite3 itself does.")
    add = parser.add_argument
    add("--quick", action="store_true", help="smaller and fewer repetitions: a look, not a measurement")
    add("--only", action="append", choices=FIGURES, metavar="NAME", help=f"one of {', '.join(FIGURES)} (repeatable)")
    add("--page-size", type=int, nargs="+", default=[PAGE_BYTES], metavar="BYTES", help="for the bytes and the depth")
    add("--payload", type=int, metavar="BYTES", help="events of about that size (default: about 1,065)")
    add("--dir", type=Path, metavar="DIR", help="where the databases are made (default: build/ in the checkout)")
    add("--strace", action="store_true", help="count the flushes of a put as well")
    add("--json", type=Path, metavar="FILE", help="write the figures there too")
    given = parser.parse_args()
    with scratch(given.dir) as directory:
        bench = Bench(Path(directory), quick=given.quick, page_sizes=given.page_size, payload=given.payload)
        heading = f"{conditions(bench.directory)}, payload {bench.payload_bytes:,.0f} bytes, page {PAGE_BYTES}"
        figures: list[Figure] = []
        if given.strace:
            flushes = flushes_per_put(bench.directory)
            figures.append(Figure("flushes per put", flushes, "", target=1, at_most=True))
        for name in given.only or FIGURES:
            print(f"{name} …", file=sys.stderr, flush=True)
            figures.extend(getattr(bench, name)())
        report(heading, figures, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
