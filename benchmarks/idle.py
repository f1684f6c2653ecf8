"""Row 11: a worker with nothing to do, as it stands in a till all night; and how soon it notices a new event.

The sender answers at once and keeps when each request came (`service.Instantly`), on the clock that all processes of
the machine share. The waits before each wake-up differ, so that they do not keep step with the worker's own look.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from events import make_event
from harness import Bench, result_of, start_child, written_bytes
from report import Figure, of_values
from service import Instantly
from storing import EDGE

from edgequeue import EventQueue

STEP_SECONDS = 0.137
"""What each wait is longer than the one before; no multiple of anything."""


def measure(bench: Bench) -> Iterator[tuple[str, Figure]]:
    seconds = bench.of(20.0, 3.0, 0.2)
    trials = bench.of(9, 3, 1)
    with bench.place() as place:
        child = start_child(idle, place, seconds, trials)
        assert child.stdout is not None
        child.stdout.readline()  # its worker idles, the queue is there
        here = _line(child)
        with EventQueue(place / "queue.db", [EDGE]) as queue:
            asked = []
            for trial in range(trials):
                time.sleep(0.7 + trial * STEP_SECONDS % 0.5)
                queue.enqueue(make_event(trial))
                asked.append(time.monotonic())
            time.sleep(1.2)
        came = result_of(child)
    yield "idle_cpu", of_values([here["cpu"] / seconds * 100], f"{here['cpu'] * 1000:.1f} ms in {seconds:g} s")
    yield "idle_bytes", of_values([here["bytes"] / seconds * 60])
    yield "wake_here", _slowest(here["waits"])
    waits = [(came[trial] - at) * 1000 for trial, at in enumerate(asked)]
    yield "wake_there", _slowest(waits)


def _slowest(waits: list[float]) -> Figure:
    """The longest, because a till waits for it."""
    return Figure(max(waits), min(waits), max(waits), f"the longest of {len(waits)}")


def _line(child: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(child.stdout.readline())
    return found


def idle(place: str, seconds: float, trials: int) -> list[float]:
    """Idle for a while, then be woken from here, then from the other process; when the latter's requests came."""
    sender = Instantly()
    with EventQueue(Path(place, "queue.db"), [EDGE], transport=lambda _: sender) as queue:
        queue.start()
        queue.enqueue(make_event(0))  # what is done only once is done now
        _until(sender, 1)
        time.sleep(min(seconds, 1.5))
        print("idle", flush=True)
        cpu, written = time.process_time(), written_bytes()
        time.sleep(seconds)
        found: dict[str, Any] = {"cpu": time.process_time() - cpu, "bytes": written_bytes() - written, "waits": []}
        for trial in range(trials):
            time.sleep(0.3 + trial * STEP_SECONDS % 0.5)
            queue.enqueue(make_event(trial))
            asked = time.monotonic()
            _until(sender, 2 + trial)
            found["waits"].append((sender.came[-1] - asked) * 1000)
        print(json.dumps(found), flush=True)
        with suppress(KeyboardInterrupt):
            sys.stdin.read()
    return sender.came[1 + trials :]


def _until(sender: Instantly, requests: int) -> None:
    """Wait for so many requests."""
    end = time.monotonic() + 10
    while len(sender.came) < requests:
        assert time.monotonic() < end, "the worker did not wake"
        time.sleep(0.0005)
