"""A till on a disk whose power is cut: it sells and sends until it is killed, and says so outside that disk.

    python -m tests.torture.power CONFIGURATION SYNCHRONOUS

Each id goes to standard output, a pipe, the moment that `enqueue` has returned it. SYNCHRONOUS is
"as configured", or OFF: a durability that edgequeue does not offer, switched on here by a pragma of the test's own.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from typing import Any

from edgequeue import EventQueue
from edgequeue.store import connecting, sqlite

EVENT = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}, "data": {"note": "x" * 300}}
BULK = 20


def without_sync(connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    """`connect` with synchronous=OFF: the bug that a test of power cuts has to find."""

    def connected(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    return connected


def sell(queue: EventQueue) -> None:
    """Single events and bulk puts, each acknowledged in one write."""
    while True:
        for _ in range(10):
            os.write(1, f"{queue.enqueue(EVENT)}\n".encode())
        ids = queue.enqueue_many([EVENT] * BULK)
        os.write(1, "".join(f"{one}\n" for one in ids).encode())


def main(configuration: str, synchronous: str) -> None:
    if synchronous == "OFF":
        sqlite.connect = without_sync(sqlite.connect)
    connecting.CHECKPOINT_BYTES = 256 * 1024  # so that cuts come in the middle of copying back, too
    queue = EventQueue.open(configuration)
    queue.start()
    for _ in range(2):
        threading.Thread(target=sell, args=(queue,), daemon=True).start()
    sell(queue)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
