"""Row 8: one process enqueues at full speed while another drains the same file. And how long an enqueue then takes.

The drainer is the embedded worker with a sender that answers at once (`service.Instantly`): what is measured is how
the two share the file, not a network. The peers do the same with a loop of get and acknowledge.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from events import make_events
from harness import Bench, interleave, result_of, start_child
from peers import PEERS, Peer, installed
from report import Figure, Skipped, against, percentile
from service import Instantly
from storing import EDGE

from edgequeue import EventQueue

OURS = "edgequeue"
POINTS = 200
"""Of each distribution, for the picture."""


def measure(bench: Bench, series: dict[str, Any]) -> Iterator[tuple[str, Figure | Skipped]]:
    seconds, repeats = bench.of((3.0, 5), (0.8, 2), (0.2, 1))
    runs = {
        "alone": partial(_run, bench, OURS, seconds, False),
        "shared": partial(_run, bench, OURS, seconds, True),
    }
    found = interleave(runs, repeats)
    alone, shared = found["alone"], found["shared"]
    arrived = [one["put"] / seconds for one in shared]
    drained = [one["taken"] / seconds for one in shared]
    yield "shared_drain", against(drained, arrived)
    yield "shared_put", against([one["put"] for one in shared], [one["put"] for one in alone], " events")
    p99 = {name: [percentile(one["times"], 0.99) * 1000 for one in runs] for name, runs in found.items()}
    yield "shared_p99", against(p99["shared"], p99["alone"], " ms")
    curves = {"edgequeue alone": _curve(alone), "edgequeue, drained meanwhile": _curve(shared)}
    for kind in installed(acknowledges=True):
        one = _run(bench, kind.name, seconds, True)
        curves[f"{kind.name}, drained at {one['taken'] / max(one['put'], 1):.0%}"] = _curve([one])
    series["latency"] = curves


def _curve(runs: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Milliseconds, and the share of the puts that took no longer; denser towards the slow ones."""
    times = sorted(time for one in runs for time in one["times"])
    shares = [1 - 10 ** (-4 * point / POINTS) for point in range(1, POINTS + 1)]
    return [(times[min(int(len(times) * share), len(times) - 1)] * 1000, share) for share in shares]


def _run(bench: Bench, name: str, seconds: float, drained: bool) -> dict[str, Any]:
    """One process puts for so long; another takes, if it is to."""
    with bench.place() as place:
        drainer = start_child(take_on, name, place) if drained else None
        if drainer is not None and drainer.stdout is not None:
            drainer.stdout.readline()  # it is ready
        found: dict[str, Any] = result_of(start_child(put_on, name, place, seconds))
        if drainer is not None:
            took = result_of(drainer)  # its input is closed with this, so it ends
            found.setdefault("taken", sum(at <= found["until"] for at in took))
        return found


def put_on(name: str, place: str, seconds: float) -> dict[str, Any]:
    """Put at full speed; how many, how long each took, and when it was over (CLOCK_MONOTONIC)."""
    if name != OURS:
        with closing(_peer(name, place)) as peer:
            return _puts(name, peer.put, seconds)
    with EventQueue(Path(place, "queue.db"), [EDGE]) as queue:
        store: Any = queue._store
        before = store.counts()
        found = _puts(name, queue.enqueue, seconds)
        return {**found, "taken": store.counts().delivered - before.delivered}


def _puts(name: str, put: Callable[[Any], object], seconds: float) -> dict[str, Any]:
    events = cycle(make_events())
    times = []
    end = time.perf_counter() + seconds
    while (started := time.perf_counter()) < end:
        try:
            put(next(events))
        except Exception as error:  # a peer that gave up waiting for the lock: that put took so long, for nothing
            print(f"{name}: {error}", file=sys.stderr)
        times.append(time.perf_counter() - started)
    return {"put": len(times), "times": times, "until": time.monotonic()}


def take_on(name: str, place: str) -> list[float]:
    """Take until the input is closed; when each event was taken, for a peer."""
    took: list[float] = []
    if name == OURS:
        with EventQueue(Path(place, "queue.db"), [EDGE], transport=lambda _: Instantly()) as queue:
            queue.start()
            print("ready", flush=True)
            sys.stdin.read()
        return took
    over = threading.Event()
    with closing(_peer(name, place)) as peer:
        print("ready", flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
        while not over.is_set():
            try:
                peer.take()
                took.append(time.monotonic())
            except (
                Exception
            ):  # each library says in its own way that there is nothing, or that the lock was not to be had
                time.sleep(0.001)
    return took


def _peer(name: str, place: str) -> Peer:
    return next(kind for kind in PEERS if kind.name == name)(Path(place))
