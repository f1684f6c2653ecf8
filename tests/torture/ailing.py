"""Lives on a disk that fails at one chosen write or sync. Run with the library of `faulty.c` preloaded.

    python -m tests.torture.ailing DIRECTORY STRIDE SYNCHRONOUS

Each life is a forked child on a database of its own. It enqueues, drains, prunes and copies the log back while its disk
fails; then the disk is well again, or the process dies in that moment. A line of JSON per life says what was
acknowledged, what was refused, what is in the file afterwards, and what would be there after a power cut.
`test_failing_disk.py` is the judge. SYNCHRONOUS is "as configured", or OFF, which it has to catch.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from edgequeue import AdobeEdge, EventQueue
from edgequeue.errors import StoreError
from edgequeue.model import HttpResponse
from edgequeue.store import connecting, sqlite
from edgequeue.testing import ScriptedTransport
from tests.torture.faulty import FOR_EVER, SYNC, WRITE, FaultyDisk
from tests.torture.platter import after_a_power_cut
from tests.torture.power import without_sync

FAULTS = ((WRITE, errno.ENOSPC), (WRITE, errno.EIO), (SYNC, errno.EIO), (SYNC, errno.ENOSPC))
SALES = 6
"""Single events of a life, enqueued before and after a drain; one bulk put follows."""

HEALTHY = 1 << 30
"""So many calls go through: more than a life makes."""

DIES, RECOVERS = "dies at the first error", "the disk recovers"


class Fault(NamedTuple):
    """Which call fails, with what, how often, and how the life ends."""

    kinds: int
    number: int
    succeed: int
    fail: int
    end: str


class Life:
    """One queue on a failing disk, and what was said to who used it."""

    def __init__(self, database: Path, disk: FaultyDisk, fault: Fault) -> None:
        self._database = database
        self._disk = disk
        self._fault = fault
        self._queue: EventQueue | None = None
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.errors: list[str] = []

    def live(self) -> None:
        """Everything a queue does, some of it in vain."""
        self._disk.arm(self._fault.kinds, succeed=self._fault.succeed, fail=self._fault.fail, number=self._fault.number)
        for number in range(SALES // 2):
            self._sell(f"before {number}")
        self._attempt(lambda queue: queue.sync())
        for number in range(SALES // 2):
            self._sell(f"after {number}")
        self._sell(*(f"bulk {number}" for number in range(20)))
        self._attempt(lambda queue: queue.sync())
        self._attempt(lambda queue: queue.prune(0, ["dead"]))

    def recover(self) -> None:
        """The disk is well: the same queue object goes on, without being opened anew."""
        self._disk.heal()
        refused = len(self.errors)
        self._sell("at last")
        self._attempt(lambda queue: queue.sync())
        assert len(self.errors) == refused, self.errors

    def _sell(self, *marks: str) -> None:
        def enqueue(queue: EventQueue) -> None:
            queue.enqueue_many([event(mark) for mark in marks]) if len(marks) > 1 else queue.enqueue(event(marks[0]))

        (self.acknowledged if self._attempt(enqueue) else self.refused).extend(marks)

    def _attempt(self, action: Any) -> bool:
        try:
            if self._queue is None:
                self._queue = open_queue(self._database)
            action(self._queue)
        except StoreError as error:
            self.errors.append(type(error).__name__)
            if self._fault.end == DIES:
                raise Died from error
            return False
        return True


class Died(Exception):
    """The process is killed here, right after it was told of the error."""


def event(mark: str) -> dict[str, Any]:
    return {"xdm": {"identityMap": {"Till": [{"id": mark, "primary": True}]}}}


def mark_of(payload: bytes) -> str:
    return str(json.loads(payload)["xdm"]["identityMap"]["Till"][0]["id"])


def open_queue(database: Path) -> EventQueue:
    network = ScriptedTransport(then=HttpResponse(204, {"x-request-id": "r"}, b""))
    return EventQueue(database, [AdobeEdge("web", datastream_id="ailing", silent=True)], transport=network)


def told(fault: Fault, directory: Path, disk: FaultyDisk) -> dict[str, Any]:
    """Live one life in a child, then look at what it left."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        life = Life(directory / "queue.db", disk, fault)
        try:
            life.live()
            if fault.end == RECOVERS:
                life.recover()
        except Died:
            pass
        except BaseException as error:
            life.errors.append(f"unexpected {type(error).__name__}: {error}")
        os.write(writer, json.dumps([life.acknowledged, life.refused, life.errors]).encode())
        os._exit(0)  # nothing is closed, as when it is killed
    os.close(writer)
    with os.fdopen(reader) as told_by_child:
        acknowledged, refused, errors = json.loads(told_by_child.read() or '[[], [], ["crashed"]]')
    os.waitpid(child, 0)
    disk.heal()
    after_a_power_cut(disk.trace, directory / "after a power cut")
    with open_queue(directory / "after a power cut" / "queue.db") as queue:
        survived = [mark_of(payload) for _, payload in queue.export()]
        damage_survived = queue.damage()
    with open_queue(directory / "queue.db") as queue:
        at_once = [mark_of(payload) for _, payload in queue.export()]
        queue.enqueue(event("the day after"))
        queue.sync()
        ledger = queue.status().ledger
        delivered = [mark_of(payload) for _, payload in queue.export(status="delivered")]
        damage = queue.damage()
    return {
        "fault": fault,
        "failed": disk.failed,
        "acknowledged": acknowledged,
        "refused": refused,
        "errors": errors,
        "stored": at_once,
        "delivered": delivered,
        "balanced": ledger.balanced and ledger.delivered == ledger.enqueued,
        "survived": survived,
        "damage": damage + damage_survived,
    }


def calls(kinds: int, directory: Path, disk: FaultyDisk) -> int:
    """How many calls of these kinds a life on a healthy disk makes."""
    told(Fault(kinds, 0, HEALTHY, 0, RECOVERS), directory, disk)
    return disk.seen


def faults(directory: Path, disk: FaultyDisk, stride: int) -> Iterator[Fault]:
    """Each call of a life fails once, in another life together with all that follow it; every `stride`-th of them."""
    for kinds, number in FAULTS:
        count = calls(kinds, directory, disk)
        lives = [(at, fail, end) for at in range(count) for fail in (1, FOR_EVER) for end in (DIES, RECOVERS)]
        for at, fail, end in lives[number % stride :: stride]:
            yield Fault(kinds, number, at, fail, end)


def main(directory: Path, stride: int, synchronous: str) -> None:
    if synchronous == "OFF":
        sqlite.connect = without_sync(sqlite.connect)
    connecting.CHECKPOINT_BYTES = 16 * 1024  # so that a short life copies its log back too
    disk = FaultyDisk.preloaded()
    for fault in faults(directory / "life", disk, stride):
        sys.stdout.write(json.dumps(told(fault, directory / "life", disk)) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
