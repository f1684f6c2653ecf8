"""Row 9: what a process pays for us: time to import and to start, and memory.

Each figure is of processes of its own. As absolute figures they are this machine's, so they stand beside a process
that imports SQLAlchemy and does nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from events import encode_plainly, make_event, make_events
from harness import CHECKOUT, Bench, in_child, interleave, peak_rss_mb, seconds_of
from report import Figure, Skipped, against, of_values, short
from service import service

PART = 10_000
"""Events of one enqueue_many: what an application would do that comes back after a long day."""

_TAIL = """
for line in open("/proc/self/status"):
    if line.startswith("VmHWM:"):
        print(took * 1000, int(line.split()[1]) / 1024)
"""
_IMPORT = "import time; started = time.perf_counter(); import edgequeue; took = time.perf_counter() - started" + _TAIL
_EMBEDDED = """
import json, sys
from edgequeue import EventQueue
from edgequeue.destinations.adobe_edge import AdobeEdge
event, took = json.loads(sys.argv[2]), 0
with EventQueue(sys.argv[1], [AdobeEdge("web", datastream_id="bench")]) as queue:
    for _ in range(int(sys.argv[3])):
        queue.enqueue(event)
    queue.enqueue_many([event] * 100)
"""
_CONFIG = """
[queue]
database = "queue.db"

[destinations.web]
type = "adobe-edge"
datastream_id = "bench"
"""


def measure(bench: Bench) -> Iterator[tuple[str, Figure | Skipped]]:
    repeats = bench.of(11, 3, 1)
    event = encode_plainly(make_event(1))
    tool = [sys.executable, "-m", "edgequeue"]
    script = Path(sys.executable).with_name("edgequeue")
    if script.exists():
        tool = [str(script)]
    with bench.place() as place:
        (place / "edgequeue.toml").write_text(_CONFIG)
        (place / "event.json").write_text(event)
        plain = partial(_milliseconds, [sys.executable, "-c", "import sqlalchemy"], place)
        runs: dict[str, Callable[[], float]] = {
            "sqlalchemy": plain,
            "import": partial(_milliseconds, [sys.executable, "-c", "import edgequeue"], place),
            "help": partial(_milliseconds, [*tool, "--help"], place),
            "shell": partial(_milliseconds, [*tool, "--config", "edgequeue.toml", "enqueue", "event.json"], place),
        }
        for run in runs.values() if bench.scale != "tiny" else ():
            run()  # compiled and in the page cache from here on
        wall = interleave(runs, repeats)
        imports = [_said(_IMPORT, place) for _ in range(repeats)]
        count = str(bench.of(2000, 500, 10))
        embedding = partial(_said, _EMBEDDED + _TAIL, place, "embedded.db", event, count)
        first, *embedded = [embedding()[1] for _ in range(bench.of(4, 3, 2))]
    yield "import_ms", of_values([took for took, _ in imports])
    yield "import_mb", of_values([size for _, size in imports])
    yield "import_ratio", against(wall["import"], wall["sqlalchemy"], " ms")
    yield "embedded_mb", of_values(embedded)
    yield "embedded_first_mb", of_values([first], "its tables by statements of its own, without the migrations")
    yield "day_mb", _day(bench)
    for name in ("help", "shell"):
        yield f"{name}_ms", of_values(wall[name])
        yield f"{name}_ratio", against(wall[name], wall["sqlalchemy"], " ms")


def _milliseconds(command: list[str], place: Path) -> float:
    """Of a whole process, from its start to its end."""
    return seconds_of(lambda: _run(command, place)) * 1000


def _said(code: str, place: Path, *arguments: str) -> tuple[float, float]:
    """What the code says: milliseconds and megabytes."""
    took, size = _run([sys.executable, "-c", code, *arguments], place).split()
    return float(took), float(size)


def _run(command: list[str], place: Path) -> str:
    places = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(command, cwd=place, env=places, check=True, stdout=subprocess.PIPE, text=True).stdout


# --- a long day offline, then the network is back ---------------------------------------------------------------------


def _day(bench: Bench) -> Figure:
    count = bench.of(1_000_000, 20_000, 500)
    with service() as url, bench.place() as place:
        found = in_child(day, place, url, count)
    rates = f"{short(found['put_rate'])}/s in, {short(found['rate'])}/s out"
    return of_values([found["mb"]], f"{count:,} events, {short(found['offline_mb'])} MB before the drain; {rates}")


def day(place: str, url: str, count: int) -> dict[str, float]:
    """Enqueue offline, then drain; the most memory the process ever took."""
    from edgequeue import EventQueue
    from edgequeue.destinations.adobe_edge import AdobeEdge

    with EventQueue(Path(place, "queue.db"), [AdobeEdge("web", datastream_id="bench", endpoint=url)]) as queue:
        events = make_events(min(PART, 500))

        def enqueue() -> None:
            for first in range(0, count, PART):
                size = min(PART, count - first)
                queue.enqueue_many(events[number % len(events)] for number in range(size))

        put_rate = count / seconds_of(enqueue)
        offline_mb = peak_rss_mb()
        rate = count / seconds_of(queue.sync)
        assert queue._store.counts().delivered == count, "not all was delivered"
    return {"mb": peak_rss_mb(), "offline_mb": offline_mb, "put_rate": put_rate, "rate": rate}
