"""A long day offline, then the network is back: `python benchmarks/drain.py [--quick] [--events N] [--repeats N]`.

Events are enqueued offline through the public API and drained with `EventQueue.sync` to the emulator, which runs in a
process of its own. The floor is httpx alone, which posts the same bodies, made beforehand, from as many threads. Says
as well how much memory the draining process took at most, and whether each event arrived exactly once.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.request import urlopen

from harness import Figure, against_floor, conditions, make_event, make_events, of_values, report, scratch

RSS_MB_MAX = 80
ENQUEUE_PART = 10_000


# --- the draining process, and the floor, each a process of its own ---------------------------------------------------


def edge(url: str) -> Any:
    from edgequeue.destinations.adobe_edge import AdobeEdge

    return AdobeEdge("web", datastream_id="bench", endpoint=url)


def drain(directory: Path, url: str, count: int) -> dict[str, Any]:
    """Enqueue offline, drain, and check the books."""
    from edgequeue import EventQueue

    with EventQueue(directory / "queue.db", [edge(url)]) as queue:
        started = time.perf_counter()
        for first in range(0, count, ENQUEUE_PART):
            queue.enqueue_many(make_event(number) for number in range(first, min(first + ENQUEUE_PART, count)))
        enqueued = time.perf_counter() - started
        rss_offline = peak_rss_mb()
        started = time.perf_counter()
        done = queue.sync()
        seconds = time.perf_counter() - started
        peak = peak_rss_mb()
        ids = sorted(json.loads(payload)["xdm"]["_id"] for _, payload in queue.export())
        ledger = queue.status().ledger
    return {
        "enqueue_rate": count / enqueued,
        "rate": done.delivered / seconds,
        "delivered": done.delivered,
        "requests": done.requests,
        "reason": done.stopped_because,
        "balanced": ledger.balanced and ledger.delivered == ledger.enqueued == count,
        "rss_mb": peak,
        "rss_offline_mb": rss_offline,
        "arrived": arrived(url, ids),
    }


def floor(url: str, count: int) -> dict[str, Any]:
    """The same number of events in bodies made beforehand, posted by one httpx client from as many threads."""
    import httpx

    from edgequeue.batching import fill
    from edgequeue.model import Batch, Claimed, HttpRequest

    target = edge(url)
    events = list(islice(cycle(make_events()), count))
    records = []
    for number, event in enumerate(events):
        draft = target.check(event, 0)
        own = f"bench000-{number:012d}-{0:016x}".encode()
        payload = draft.payload[: draft.id_offset] + own + draft.payload[draft.id_offset + len(own) :]
        records.append(Claimed(number, 1, 0, None, payload, True))
    loads = fill(records, target.limits, target.begin, count)
    errands: SimpleQueue[HttpRequest] = SimpleQueue()
    for number, load in enumerate(loads):
        errands.put(target.encode(Batch(f"00000000-0000-4000-8000-{number:012d}", *load)))

    def post() -> None:
        while True:
            try:
                request = errands.get_nowait()
            except Empty:
                return
            client.request(
                request.method, request.url, headers=request.headers, content=request.body
            ).raise_for_status()

    with httpx.Client(timeout=30.0) as client:
        threads = [threading.Thread(target=post) for _ in range(target.requests_in_flight_max)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - started
    return {"rate": count / seconds, "requests": len(loads)}


def arrived(url: str, ids: list[str]) -> bool:
    """Whether the emulator has each of these ids once, and nothing else."""
    with urlopen(f"{url}/_emulator/arrived?ids=1") as answer:
        found = json.load(answer)
    return bool(found["duplicates"] == 0 and sorted(found["by_id"]) == ids and found["events"] == len(ids))


def peak_rss_mb() -> float:
    """The most memory this process ever had. Not ru_maxrss: that begins with what the parent had at the fork."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("/proc/self/status has no VmHWM")


# --- the program ------------------------------------------------------------------------------------------------------


@contextmanager
def emulator() -> Iterator[str]:
    """The emulator in a process of its own; its address."""
    command = [sys.executable, "-m", "edgequeue.emulator", "--port", "0", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.communicate()


def in_child(role: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--role", role, *arguments]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(output)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Drain a backlog to the emulator.")
    add = parser.add_argument
    add("--events", type=int, help="how many (100,000; with --quick 10,000)")
    add("--repeats", type=int, help="how often (5; with --quick 2)")
    add("--quick", action="store_true", help="a look, not a measurement")
    add("--dir", type=Path, metavar="DIR", help="where the database is made (default: build/ in the checkout)")
    add("--json", type=Path, metavar="FILE", help="write the figures there too")
    add("--role", choices=("drain", "floor"), help=argparse.SUPPRESS)
    add("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    count = given.events or (10_000 if given.quick else 100_000)
    if given.role:
        found = drain(given.dir, given.url, count) if given.role == "drain" else floor(given.url, count)
        print(json.dumps(found))
        return 0
    drains, floors = [], []
    with scratch(given.dir) as directory:
        heading = conditions(Path(directory))
        for number in range(given.repeats or (2 if given.quick else 5)):
            place = Path(directory, str(number))
            place.mkdir()
            with emulator() as url:
                drains.append(in_child("drain", "--url", url, "--events", str(count), "--dir", str(place)))
            with emulator() as url:
                floors.append(in_child("floor", "--url", url, "--events", str(count)))
            shutil.rmtree(place)
            print(f"{number + 1}: {drains[-1]} {floors[-1]}", file=sys.stderr, flush=True)
    rates = {"ours": [one["rate"] for one in drains], "floor": [one["rate"] for one in floors]}
    whole = sum(one["balanced"] and one["arrived"] and one["delivered"] == count for one in drains)
    figures = [
        against_floor(f"drain: sync of {count:,} events", rates, 0.55),
        of_values("drain: make and enqueue_many, offline", [one["enqueue_rate"] for one in drains], "events/s"),
        of_values("drain: peak memory", [one["rss_mb"] for one in drains], "MB", RSS_MB_MAX, at_most=True),
        of_values("drain: peak memory before sync", [one["rss_offline_mb"] for one in drains], "MB"),
        Figure("drain: runs in which each event arrived once", whole, f"of {len(drains)}", target=len(drains)),
    ]
    report(heading, figures, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
