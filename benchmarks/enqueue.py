"""Rows 1 to 3: durable puts through the public API, validation and encoding included, against raw sqlite3."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from events import make_events, stream
from floor import Raw
from flushes import DELAY_MICROS, flush_count, library, preloaded, slow_down
from harness import Bench, flush_micros, in_child, interleave, seconds_of
from report import Figure, Skipped, against, of_values, percentile
from storing import EDGE

from edgequeue import EventQueue

THREADS = (16, 64)


def measure(bench: Bench) -> Iterator[tuple[str, Figure | Skipped]]:
    yield "put", one_thread(bench)
    found = library()
    with bench.place() as place:
        yield "put_flushes", found if isinstance(found, Skipped) else _flushes(place, found)
    yield from _threads(bench)
    if isinstance(found, Skipped):
        for number in THREADS:
            yield f"slow_{number}", found
            yield f"slow_p99_{number}", found
    else:
        yield from _slow_threads(bench, found)
    yield "bulk", bulk(bench)


@contextmanager
def _both(place: Path) -> Iterator[tuple[EventQueue, Raw]]:
    """A queue and the floor in one directory."""
    with EventQueue(place / "queue.db", [EDGE]) as queue, closing(Raw(place)) as raw:
        yield queue, raw


def _rate(put: Callable[[Any], object], source: Iterator[Any], count: int) -> float:
    def run() -> None:
        for event in islice(source, count):
            put(event)

    return count / seconds_of(run)


# --- one thread -------------------------------------------------------------------------------------------------------


def one_thread(bench: Bench) -> Figure:
    """One durable put at a time."""
    count, repeats = bench.of((500, 31), (300, 11), (20, 3))
    with bench.place() as place, _both(place) as (queue, raw):
        source = cycle(make_events())
        runs = {
            "ours": lambda: _rate(queue.enqueue, source, count),
            "raw": lambda: _rate(raw.put, source, count),
        }
        for run in runs.values():
            run()  # the log has its length from here on
        rates = interleave(runs, repeats)
    return against(rates["ours"], rates["raw"])


def _flushes(place: Path, found: Path) -> Figure:
    count = in_child(flushes_of_puts, place, environment=preloaded(found))
    return of_values([count / 100], f"{count} flushes for 100 events")


def flushes_of_puts(place: str) -> int:
    """How many flushes 100 puts take: too few for a checkpoint, which is one of many puts."""
    with EventQueue(Path(place, "queue.db"), [EDGE]) as queue:
        events = make_events(150)
        for event in events[:50]:
            queue.enqueue(event)
        before = flush_count()
        for event in events[50:]:
            queue.enqueue(event)
        return flush_count() - before


# --- many threads -----------------------------------------------------------------------------------------------------


def _threads(bench: Bench) -> Iterator[tuple[str, Figure]]:
    total, repeats = bench.of((6400, 9), (1600, 5), (128, 3))
    for number in THREADS:
        with bench.place() as place, _both(place) as (queue, raw):
            runs = {
                "ours": lambda: at_once(queue, number, total)[0],  # noqa: B023 (called within the turn)
                "raw": lambda: _rate(raw.put, cycle(make_events()), total // 4),
            }
            for run in runs.values():
                run()
            rates = interleave(runs, repeats)
        yield f"threads_{number}", against(rates["ours"], rates["raw"])


def at_once(queue: EventQueue, number: int, total: int) -> tuple[float, list[float]]:
    """Puts by so many threads: the rate, and how long each put took in seconds."""
    barrier = threading.Barrier(number + 1)
    events = make_events()
    times: list[float] = []

    def put(first: int) -> None:
        own = []
        barrier.wait()
        for event in islice(cycle(events), first, first + total // number):
            started = time.perf_counter()
            queue.enqueue(event)
            own.append(time.perf_counter() - started)
        times.extend(own)

    threads = [threading.Thread(target=put, args=(first,)) for first in range(number)]
    for thread in threads:
        thread.start()

    def run() -> None:
        barrier.wait()
        for thread in threads:
            thread.join()

    return total / seconds_of(run), times


def _slow_threads(bench: Bench, found: Path) -> Iterator[tuple[str, Figure]]:
    sizes = bench.of((150, 3200, 3), (40, 640, 2), (4, 128, 1))
    with bench.place() as place:
        slow = in_child(slow_threads, place, *sizes, environment=preloaded(found))
    for number in THREADS:
        runs = slow[f"{number}"]
        yield f"slow_{number}", against([run[0] for run in runs], slow["raw"])
        flushes = [run[1] / slow["flush"] for run in runs]
        yield f"slow_p99_{number}", of_values(flushes, f"a flush took {slow['flush'] * 1000:.2f} ms")


def slow_threads(place: str, raw_count: int, total: int, repeats: int) -> Mapping[str, Any]:
    """Rates and 99th percentiles on a disk whose flushes take 5 ms longer."""
    with _both(Path(place)) as (queue, raw):
        slow_down(DELAY_MICROS)

        def ours(number: int) -> tuple[float, float]:
            rate, times = at_once(queue, number, total)
            return rate, percentile(times, 0.99)

        runs: dict[str, Callable[[], Any]] = {
            "raw": lambda: _rate(raw.put, cycle(make_events()), raw_count),
            "16": lambda: ours(16),
            "64": lambda: ours(64),
        }
        return {**interleave(runs, repeats), "flush": flush_micros(Path(place), 20) / 1e6}


# --- bulk -------------------------------------------------------------------------------------------------------------


def bulk(bench: Bench) -> Figure:
    """Many events in one transaction, each time into a new file."""
    count, repeats = bench.of((100_000, 5), (20_000, 3), (500, 1))

    def ours() -> float:
        with bench.place() as place, EventQueue(place / "queue.db", [EDGE]) as queue:
            events = stream(count)
            return count / seconds_of(lambda: queue.enqueue_many(events))

    def theirs() -> float:
        with bench.place() as place, closing(Raw(place)) as raw:
            events = stream(count)
            return count / seconds_of(lambda: raw.put_many(events))

    rates = interleave({"ours": ours, "raw": theirs}, repeats)
    return against(rates["ours"], rates["raw"])
