"""Where the time goes: `make profile`, or `python benchmarks/hotspots.py [--events N]`.

An enqueue is taken apart by leaving parts out, because a profiler makes short functions look long: what the check
costs, the rows without their flush, the flush. The drain is taken apart by cProfile, in the thread that does its turns,
with a sender that answers at once; so its shares are to be read, not its microseconds.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from events import encode_plainly, make_events, stream
from floor import Raw
from harness import Bench, conditions, interleave, scratch, seconds_of
from report import of_values
from service import Instantly
from storing import EDGE, encoded, put_singly

from edgequeue import EventQueue

TURN = ("worker.py", "sending.py", "preparing.py")
"""The modules that make up a turn; what they call in others are its parts. `record` and `settle` hold the commits."""

LINES = 14


def main() -> int:
    parser = argparse.ArgumentParser(description="Where the time of an enqueue and of the drain goes.")
    parser.add_argument("--events", type=int, default=20_000, metavar="N", help="to be drained")
    given = parser.parse_args()
    with scratch(None) as directory:
        bench = Bench(Path(directory))
        print(conditions(bench.directory), end="\n\n")
        with bench.place() as place:
            enqueue(place)
        with bench.place() as place, EventQueue(place / "queue.db", [EDGE], transport=lambda _: Instantly()) as queue:
            bulk(queue, given.events)
            drain(queue, given.events)
    return 0


# --- one enqueue ------------------------------------------------------------------------------------------------------


def enqueue(place: Path, count: int = 500, repeats: int = 15) -> None:
    """Microseconds of an enqueue and of the floor, by part."""
    events, pool = make_events(), encoded()
    queues = {}
    for sync in ("FULL", "OFF"):
        (place / sync).mkdir()
        queues[sync] = (EventQueue(place / sync / "queue.db", [EDGE]), Raw(place / sync))
        for connection in (queues[sync][0]._store._database._writing(), queues[sync][1].connection):  # type: ignore[attr-defined]
            connection.execute(f"PRAGMA synchronous = {sync}")
    runs: dict[str, Callable[[], object]] = {
        "check": lambda: [EDGE.check(one, 0) for one in islice(cycle(events), count)],
        "json": lambda: [encode_plainly(one) for one in islice(cycle(events), count)],
    }
    for sync, (queue, raw) in queues.items():
        store: Any = queue._store
        runs |= {
            f"queue {sync}": partial(_each, queue.enqueue, events, count),
            f"store {sync}": partial(put_singly, store, pool, count),
            f"raw {sync}": partial(_each, raw.put, events, count),
        }
    found = interleave({name: partial(seconds_of, run) for name, run in runs.items()}, repeats)
    micros = {name: of_values(times).value / count * 1e6 for name, times in found.items()}
    for queue, raw in queues.values():
        queue.close()
        raw.close()
    print("one enqueue, microseconds                     ours    raw sqlite3")
    for name, ours, theirs in _parts(micros):
        print(f"  {name:40} {ours:8.1f} {theirs:10.1f}")
    print()


def _parts(micros: dict[str, float]) -> list[tuple[str, float, float]]:
    rows = micros["raw OFF"] - micros["json"]
    return [
        ("check and encode; json.dumps", micros["check"], micros["json"]),
        ("the rows, BEGIN to COMMIT, not flushed", micros["store OFF"], rows),
        ("around it: capacity, priority, nudge", micros["queue OFF"] - micros["store OFF"] - micros["check"], 0.0),
        ("the flush", micros["queue FULL"] - micros["queue OFF"], micros["raw FULL"] - micros["raw OFF"]),
        ("all", micros["queue FULL"], micros["raw FULL"]),
    ]


def _each(put: Callable[[Any], object], events: list[dict[str, Any]], count: int) -> None:
    for event in islice(cycle(events), count):
        put(event)


# --- many, and the drain ----------------------------------------------------------------------------------------------


def bulk(queue: EventQueue, count: int) -> None:
    """Fill the queue in one transaction, under the profiler."""
    events = stream(count)
    profile = cProfile.Profile()
    profile.runcall(queue.enqueue_many, events)
    _print("enqueue_many", profile, count)


def drain(queue: EventQueue, count: int) -> None:
    """Turns of the worker in this thread until nothing is left, under the profiler."""
    from edgequeue.runner import Runner

    runner = Runner(queue._store, list(queue.destinations.values()), queue._transport, (None, None), "bench", ())
    (worker,) = runner.workers
    profile = cProfile.Profile()
    with closing(worker):
        profile.enable()
        while worker.step().claimed:
            pass
        profile.disable()
    _print_parts(profile, count)
    _print("drain", profile, count)


def _print_parts(profile: cProfile.Profile, count: int) -> None:
    """What the modules of a turn call in others, the most expensive first."""
    stats: Any = pstats.Stats(profile)
    print("drain, microseconds per event by part of the turn")
    rows = sorted(stats.stats.items(), key=lambda one: -one[1][3])
    for (place, _, name), (_, _, _, whole, callers) in rows:
        inner = Path(place).name in TURN or "edgequeue" not in place
        if not inner and any(Path(caller).name in TURN for caller, _, _ in callers) and whole / count > 1e-7:
            print(f"  {whole / count * 1e6:8.2f}  {Path(place).name} {name}")
    print()


def _print(title: str, profile: cProfile.Profile, count: int) -> None:
    """The functions with the most time of their own."""
    stats: Any = pstats.Stats(profile)
    print(f"{title}: microseconds per event in the function itself, and with what it calls")
    rows = sorted(stats.stats.items(), key=lambda one: -one[1][2])[:LINES]
    for (place, line, name), (_, calls, own, whole, _) in rows:
        where = f"{Path(place).name}:{line} {name}" if line else name
        print(f"  {own / count * 1e6:8.2f} {whole / count * 1e6:8.2f} {calls / count:8.3f} calls  {where}")
    print()


if __name__ == "__main__":
    sys.exit(main())
