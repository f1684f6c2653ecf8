"""A till of the torture: enqueues a burst, says what was acknowledged, and ends. Or it is killed before.

    python -m tests.torture.till CONFIGURATION KIND

KIND: one (an event at a time), threads (four at once), bulk (puts of many), embedded (with a worker of its own).
The ids go to standard output, a file opened for appending, in one write the moment that the enqueue has returned.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from edgequeue import EventQueue

KINDS = ("one", "threads", "bulk", "embedded")
BURST = 60
"""Events of a burst, about; a kill comes somewhere within it."""


def event(number: int) -> dict[str, Any]:
    note = "x" * (number * 37 % 900)
    return {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}, "data": {"note": note}}


def say(*ids: str) -> None:
    os.write(1, "".join(f"{one}\n" for one in ids).encode())


def sell(queue: EventQueue, count: int) -> None:
    for number in range(count):
        say(queue.enqueue(event(number), timeout_seconds=60))


def main(configuration: str, kind: str) -> None:
    with EventQueue.open(configuration) as queue:
        if kind == "bulk":
            for _ in range(4):
                say(*queue.enqueue_many((event(number) for number in range(BURST // 4)), timeout_seconds=60))
        elif kind == "threads":
            threads = [threading.Thread(target=sell, args=(queue, BURST // 4)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            if kind == "embedded":
                queue.start()
            sell(queue, BURST)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
