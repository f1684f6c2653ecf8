"""The end of a queue object: used after close, closed by several threads, never closed at all; and many at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edgequeue import AdobeEdge, EventQueue
from edgequeue.errors import QueueClosed
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.testing import SILENCE, ManualClock, ScriptedTransport, accept, event_for
from tests.integration.scripts import BOUND_SECONDS, ROOT

EVENT = event_for("adobe-edge", number=1)
EDGE = AdobeEdge("web", datastream_id="closing", requests_in_flight_max=1)


def opened(path: Path, **options: Any) -> EventQueue:
    return EventQueue(path / "queue.db", [EDGE], **{"clock": ManualClock(), "transport": SILENT, **options})


SILENT = ScriptedTransport(then=SILENCE)

USES: dict[str, Callable[[EventQueue], object]] = {
    "enqueue": lambda queue: queue.enqueue(EVENT),
    "enqueue_many": lambda queue: queue.enqueue_many([EVENT]),
    "check": lambda queue: queue.check(EVENT),
    "split": lambda queue: queue.split({"events": [EVENT]}),
    "start": lambda queue: queue.start(),
    "sync": lambda queue: queue.sync(),
    "requeue": lambda queue: queue.requeue(everything=True),
    "prune": lambda queue: queue.prune(),
    "damage": lambda queue: queue.damage(),
    "status": lambda queue: queue.status(),
    "get": lambda queue: queue.get(f"{queue._store.queue_id}-000000000001-{0:016x}"),
    "resolve": lambda queue: queue.resolve("abcdefgh-000000000001"),
    "find": lambda queue: queue.find("P4711"),
    "events": lambda queue: list(queue.events()),
    "export": lambda queue: list(queue.export()),
    "requests": lambda queue: queue.requests(),
    "with": lambda queue: queue.__enter__(),
}
HARMLESS = {"close", "stop", "open", "from_settings", "reset_after_fork", "target", "wanted"}
"""May be called after close, make another queue, or are parts of the others."""


def test_every_use_after_close_is_a_clear_error(tmp_path: Path) -> None:
    """QueueClosed, which says what to do, from everything that a queue has; closing once more is harmless."""
    queue = opened(tmp_path)
    public = {name for name in dir(EventQueue) if not name.startswith("_") and callable(getattr(EventQueue, name))}
    assert public - HARMLESS == USES.keys() - {"with"}
    begun = queue.events()
    queue.close()
    for use in (*USES.values(), lambda _: next(begun)):
        with pytest.raises(QueueClosed, match="closed; open it again"):
            use(queue)
    queue.close()
    assert queue.stop()


def endlessly(use: Callable[[], object]) -> None:
    while True:
        use()


def close_in_the_middle(queue: EventQueue, acknowledged: set[str]) -> None:
    """Two threads close the queue that eight enqueue into, one looks at and one starts, again and again."""
    together = threading.Barrier(12)

    def until_closed(use: Callable[[], object]) -> None:
        together.wait(BOUND_SECONDS)
        with pytest.raises(QueueClosed):
            endlessly(use)

    def close() -> None:
        together.wait(BOUND_SECONDS)
        queue.close()

    uses: list[Callable[[], object]] = [lambda: acknowledged.add(queue.enqueue(EVENT))] * 8
    with ThreadPoolExecutor(12) as pool:
        others = [pool.submit(until_closed, use) for use in (*uses, queue.status, queue.start)]
        others += [pool.submit(close)]
        together.wait(BOUND_SECONDS)
        queue.close()
    for one in others:
        one.result()


def test_closing_while_others_enqueue_look_and_start(tmp_path: Path) -> None:
    """Each enqueue either returns an id whose event is there, or raises QueueClosed and stored nothing; nobody hangs,
    and no worker outlives its queue.
    """
    acknowledged: set[str] = set()
    for _ in range(6):
        close_in_the_middle(opened(tmp_path, transport=ScriptedTransport(then=accept)), acknowledged)
        assert [one.name for one in threading.enumerate() if one.name == "edgequeue-web"] == []
    with opened(tmp_path) as again:
        assert acknowledged <= {record.event_id for record in again.events()}
        assert again.status().ledger.balanced
        assert again.damage() == []


def test_who_closes_second_waits_until_the_answers_are_written_down(tmp_path: Path) -> None:
    """An answer comes while one thread closes: another one that closes too does not take the database away."""
    asked, answer, closing = threading.Event(), threading.Event(), threading.Event()

    def service(request: HttpRequest) -> HttpResponse:
        asked.set()
        assert answer.wait(BOUND_SECONDS)
        return accept(request)

    def first() -> None:
        closing.set()
        queue.close()

    queue = opened(tmp_path, transport=ScriptedTransport(then=service))
    event_id = queue.enqueue(EVENT)
    queue.start()
    assert asked.wait(BOUND_SECONDS)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        assert closing.wait(BOUND_SECONDS)
        two = pool.submit(queue.close)
        with pytest.raises(TimeoutError):
            two.result(0.2)
        answer.set()
        one.result(), two.result()
    with opened(tmp_path) as again:
        record = again.get(event_id)
        assert record is not None
        assert record.status == "delivered"


def test_64_threads_with_one_queue_and_a_worker(tmp_path: Path) -> None:
    """Every id is another one, every event is delivered once, and the books balance."""
    network = ScriptedTransport(then=accept)
    with opened(tmp_path, transport=network) as queue:
        queue.start()
        with ThreadPoolExecutor(64) as pool:
            ids = list(pool.map(lambda number: queue.enqueue(EVENT, reference=f"P{number}"), range(640)))
        queue.sync(timeout_seconds=BOUND_SECONDS)
        ledger = queue.status().ledger
        assert len(set(ids)) == 640
        assert (ledger.enqueued, ledger.delivered, ledger.balanced) == (640, 640, True)
        assert queue.find("P639")[0].event_id == ids[639]


def test_two_queue_objects_on_one_file(tmp_path: Path) -> None:
    """Both enqueue; one has the worker, and the other one's sync asks it and follows; closing one leaves the other."""
    network = ScriptedTransport(then=accept)
    first, second = opened(tmp_path, transport=network), opened(tmp_path, transport=network)
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda number: (first, second)[number % 2].enqueue(EVENT), range(80)))
    first.start()
    report = second.sync(timeout_seconds=BOUND_SECONDS)
    assert (report.remaining, report.stopped_because) == (0, "empty")
    first.close()
    ids.append(second.enqueue(EVENT))
    assert second.sync().delivered == 1
    ledger = second.status().ledger
    assert (len(set(ids)), ledger.delivered, ledger.balanced) == (81, 81, True)
    second.close()


NEVER_CLOSED = """
import os, sys, threading
from edgequeue import AdobeEdge, EventQueue
queue = EventQueue(sys.argv[1], [AdobeEdge("web", datastream_id="exit", endpoint="http://127.0.0.1:9")])
event = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}
sold = threading.Semaphore(0)
def sell():
    while True:
        os.write(1, (queue.enqueue(event) + "\\n").encode())  # at once and in one piece
        sold.release()
for _ in range(int(sys.argv[2])):
    threading.Thread(target=sell, daemon=True).start()
queue.start()
for _ in range(20):
    sold.acquire()
"""


@pytest.mark.parametrize("threads", [1, 8])
def test_an_interpreter_that_ends_without_close_loses_nothing(tmp_path: Path, threads: int) -> None:
    """Daemon threads are in the middle of enqueue, and the worker of a request: the end is quiet, with code 0, and
    every event whose id came out is there.
    """
    ids: list[str] = []
    for _ in range(4):
        command = [sys.executable, "-W", "error", "-c", NEVER_CLOSED, str(tmp_path / "queue.db"), str(threads)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=BOUND_SECONDS)
        assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
        ids += [line for line in ended.stdout.split("\n") if len(line) == 38]
    with opened(tmp_path) as queue:
        assert set(ids) <= {record.event_id for record in queue.events()}
        assert len(set(ids)) == len(ids) >= 80
        assert queue.status().ledger.balanced
        assert queue.damage() == []
