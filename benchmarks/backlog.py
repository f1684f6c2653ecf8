"""Rows 4 and 6: claim and settle, and how much a backlog, or a history that is kept, slows anything down.

Beside us the durable peers, each with the same backlogs and in turn with ours. Those without acknowledgement are in the
picture only: a get of theirs is one commit where an acknowledged one is two.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from events import make_events, stream
from harness import Bench, checkpoint, in_child, interleave, peak_rss_mb, seconds_of
from peers import INSTALL, Peer, installed
from report import Figure, Skipped, against, of_values, short
from storing import EDGE, drain, encoded, fill, lease_of, put_singly

from edgequeue import EventQueue

SMALL = 1000
FILL_SECONDS_MAX = 25.0
"""A peer that would take longer to be filled is measured with smaller backlogs only, which is to its advantage."""

Series = dict[str, list[tuple[int, float]]]


class Ours:
    """A queue of ours with a backlog; the same verbs as a peer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.queue = EventQueue(path, [EDGE])
        self.store: Any = self.queue._store
        self.lease = lease_of(self.store)
        self.events = cycle(make_events())

    def put(self, count: int) -> float:
        return count / seconds_of(lambda: [self.queue.enqueue(one) for one in islice(self.events, count)])

    def drain(self, count: int) -> float:
        return count / seconds_of(lambda: drain(self.store, self.lease, count))

    def both(self, count: int) -> tuple[float, float]:
        """The rates of both; the backlog is the same afterwards."""
        return self.put(count), self.drain(count)

    def close(self) -> None:
        self.store.release(self.lease)
        self.queue.close()


def measure(bench: Bench, series: dict[str, Any]) -> Iterator[tuple[str, Figure | Skipped]]:
    sizes: tuple[int, ...] = bench.of((1000, 10_000, 100_000, 1_000_000), (1000, 20_000), (100, 500))
    count, repeats = bench.of((2000, 11), (500, 3), (100, 2))
    puts: Series = {"edgequeue": []}
    gets: Series = {"edgequeue": []}
    series |= {"backlog_put": puts, "backlog_get": gets}
    with bench.place() as small_at, bench.place() as deep_at, bench.place() as kept_at:
        with ExitStack() as stack:
            small, deep, kept = (Ours(place / "queue.db") for place in (small_at, deep_at, kept_at))
            for one in (small, deep, kept):
                stack.callback(one.close)
            for queue in (small, kept):
                fill(queue.store, min(SMALL, sizes[-1]))
            _grow(deep, sizes, count, puts, gets)
            fill(kept.store, sizes[-1])
            kept.drain(sizes[-1])
            for one in (small, deep, kept):
                checkpoint(one.path)
                one.both(count)  # the log has its length from here on
            rates = interleave({name: partial(one.both, count) for name, one in _named(small, deep, kept)}, repeats)
            yield from _slowed(rates)
            yield from _drained(bench, deep, sizes, count, puts, gets)
        yield from _looked(bench, [place / "queue.db" for place in (small_at, deep_at, kept_at)])


def _named(*three: Ours) -> list[tuple[str, Ours]]:
    return list(zip(("small", "deep", "kept"), three, strict=True))


def _grow(deep: Ours, sizes: tuple[int, ...], count: int, puts: Series, gets: Series) -> None:
    """The backlog in steps, with a look at each."""
    have = 0
    for size in sizes:
        fill(deep.store, size - have)
        have = size
        deep.both(min(count, size))
        looks = [deep.both(min(count, size)) for _ in range(3)]
        puts["edgequeue"].append((size, statistics.median(one for one, _ in looks)))
        gets["edgequeue"].append((size, statistics.median(one for _, one in looks)))


def _slowed(rates: dict[str, list[tuple[float, float]]]) -> Iterator[tuple[str, Figure]]:
    for name in ("deep", "kept"):
        for index, kind in enumerate(("put", "drain")):
            ours, small = [one[index] for one in rates[name]], [one[index] for one in rates["small"]]
            yield f"{name}_{kind}", against(ours, small)


def _drained(
    bench: Bench, deep: Ours, sizes: tuple[int, ...], count: int, puts: Series, gets: Series
) -> Iterator[tuple[str, Figure | Skipped]]:
    own: list[float] = []
    best: tuple[float, str, Figure] | None = None
    count = max(count, bench.of(20_000, 5000, 100))
    for kind in installed():
        with bench.place() as place:
            peer = kind(place)
            _grow_peer(peer, sizes, puts, gets)
            if kind.acknowledges:
                ours, theirs = [], []
                for _ in range(3):
                    fill(deep.store, count)
                    ours.append(deep.drain(count))
                    theirs.append(_rate(lambda _: peer.take(), [None] * min(200, sizes[-1] // 8)))  # noqa: B023
                own += ours
                figure = against(ours, theirs)
                best = min(best, (figure.value, kind.name, figure)) if best else (figure.value, kind.name, figure)
            peer.close()
    while len(own) < 3:
        fill(deep.store, count)
        own.append(deep.drain(count))
    yield "drain", of_values(own, f"backlog {sizes[-1]:,}")
    if best is None:
        yield "drain_peers", Skipped(INSTALL)
    else:
        _, name, figure = best
        yield "drain_peers", Figure(figure.value, figure.low, figure.high, f"{name}: {figure.note}")


def _grow_peer(peer: Peer, sizes: tuple[int, ...], puts: Series, gets: Series) -> None:
    """Fill a peer step by step, with a look at each, as far as it goes in time."""
    have, spent, events = 0, 0.0, make_events(200)
    for size in sizes:
        if have and spent * (size - have) / have > FILL_SECONDS_MAX:
            break
        spent += seconds_of(lambda: peer.fill(stream(size - have)))  # noqa: B023 (called at once)
        have = size
        puts.setdefault(peer.name, []).append((size, _rate(peer.put, events)))
        gets.setdefault(peer.name, []).append((size, _rate(lambda _: peer.take(), [None] * len(events))))


def _rate(action: Any, values: list[Any], seconds_max: float = 1.0) -> float:
    """Actions per second, of as many as fit into the time."""
    done, spent = 0, 0.0
    for value in values:
        spent += seconds_of(lambda: action(value))  # noqa: B023 (called at once)
        done += 1
        if spent > seconds_max:
            break
    return done / spent


# --- opening, status, memory ------------------------------------------------------------------------------------------


def _looked(bench: Bench, paths: list[Path]) -> Iterator[tuple[str, Figure]]:
    runs = {name: partial(in_child, look, path) for name, path in zip(("small", "deep", "kept"), paths, strict=True)}
    found = interleave(runs, bench.of(5, 2, 1))
    notes = {key: short(statistics.median(one[key] for one in found["small"])) for key in ("rss", "open", "status")}
    grown = [
        max(deep["rss"], kept["rss"]) - small["rss"]
        for small, deep, kept in zip(found["small"], found["deep"], found["kept"], strict=True)
    ]
    yield "deep_memory", of_values(grown, f"small: {notes['rss']} MB")
    for key in ("open", "status"):
        slower = [max(deep[key], kept[key]) for deep, kept in zip(found["deep"], found["kept"], strict=True)]
        yield f"deep_{key}", of_values(slower, f"small: {notes[key]} ms")


def look(path: str) -> dict[str, float]:
    """Open the queue, ask for its status, put and drain some events; milliseconds and the memory it took."""
    at = Path(path)
    with EventQueue(at.with_name("other.db"), [EDGE]) as other:
        other.status()  # what is imported on the way is not the queue's
    found = {}
    queues: list[EventQueue] = []
    found["open"] = seconds_of(lambda: queues.append(EventQueue(at, [EDGE]))) * 1000
    with queues[0] as queue:
        found["status"] = statistics.median(seconds_of(queue.status) for _ in range(5)) * 1000
        store: Any = queue._store
        lease = lease_of(store)
        put_singly(store, encoded(), 100)
        drain(store, lease, 100)
        store.release(lease)
    return {**found, "rss": peak_rss_mb()}
