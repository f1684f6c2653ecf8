"""SIGKILL at random moments of enqueue and of sync: nothing acknowledged is lost, nothing is stuck.

Real processes, a real database, a real service on loopback. The moments are drawn from a seed, which a failure prints;
`EDGEQUEUE_SEED=n` repeats it (as far as the machine's own timing lets it).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from random import Random

import pytest

from edgequeue import AdobeEdge, EventQueue
from edgequeue.emulator import Emulator

ROUNDS = 25
"""Each round kills one process that enqueues and one that syncs: 50 kills."""

BATCH_EVENTS, IN_FLIGHT = 5, 2

REQUESTS_MAX = 12
"""A sync is killed before so many requests."""

SELLER = """
import sys
from edgequeue import EventQueue
with EventQueue.open(sys.argv[1]) as queue:
    while True:
        event = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}
        print(queue.enqueue(event), flush=True)
"""

SYNCER = """
import sys
from edgequeue import EventQueue
with EventQueue.open(sys.argv[1]) as queue:
    queue.sync()
"""

CONFIG = """
[queue]
database = "queue.db"

[destinations.web]
type = "adobe-edge"
endpoint = "{url}"
datastream_id = "kill"
batch_events_max = {batch}
requests_in_flight_max = {in_flight}
"""


def start(script: str, config: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, str(config)], stdout=subprocess.PIPE, text=True)


def sell_until_killed(config: Path, acknowledgements: int) -> list[str]:
    """The ids that a process printed, each after its enqueue had returned, until it was killed in the next one."""
    with start(SELLER, config) as seller:
        assert seller.stdout is not None
        ids = [seller.stdout.readline().strip() for _ in range(acknowledgements)]
        seller.send_signal(signal.SIGKILL)
        ids += [line.strip() for line in seller.stdout if line.endswith("\n")]
    return ids


class KillAfter:
    """Kills a process when the service has seen so many more requests."""

    def __init__(self) -> None:
        self._left = 0
        self._process: subprocess.Popen[str] | None = None
        self._turn = threading.Lock()

    def arm(self, process: subprocess.Popen[str], requests: int) -> None:
        with self._turn:
            self._process, self._left = process, requests

    def __call__(self, _seen: object) -> None:
        with self._turn:
            self._left -= 1
            if self._left == 0 and self._process is not None:
                self._process.send_signal(signal.SIGKILL)


@pytest.mark.slow
def test_fifty_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Every acknowledged event is delivered, the ledger balances, and only what was in flight is sent twice."""
    seed = int(os.environ.get("EDGEQUEUE_SEED", Random().randrange(10**6)))
    print(f"EDGEQUEUE_SEED={seed}")  # noqa: T201 (pytest shows it when the test fails)
    dice = Random(seed)
    killer = KillAfter()
    acknowledged: list[str] = []
    kills = 0
    with Emulator(on_request=killer) as service:
        config = tmp_path / "edgequeue.toml"
        config.write_text(CONFIG.format(url=service.url, batch=BATCH_EVENTS, in_flight=IN_FLIGHT))
        acknowledged += sell_until_killed(config, 40)
        for _ in range(ROUNDS):
            with EventQueue.open(config) as queue:  # enough to send, so that the sync cannot end before it is killed
                event = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}
                acknowledged += queue.enqueue_many([event] * BATCH_EVENTS * REQUESTS_MAX)
            with start(SYNCER, config) as syncer:
                killer.arm(syncer, dice.randrange(1, REQUESTS_MAX))
                acknowledged += sell_until_killed(config, dice.randrange(1, 40))
                syncer.wait(timeout=60)
                kills += syncer.returncode == -signal.SIGKILL
        with EventQueue.open(config) as queue:
            report = queue.sync(timeout_seconds=60)
            counts = queue.status().ledger
            states = {record.event_id: record.status for record in queue.events()}
        arrived = service.arrived
    assert report.remaining == 0
    assert counts.balanced
    assert counts.delivered == counts.enqueued
    assert len(set(acknowledged)) == len(acknowledged)
    assert [one for one in acknowledged if states.get(one) != "delivered"] == []
    assert set(arrived.by_id) == set(states), "what is delivered has arrived, and nothing else has"
    assert arrived.duplicates <= kills * BATCH_EVENTS * 2 * IN_FLIGHT, "on their way, or answered and not settled"
    assert kills >= ROUNDS // 2, "the kills must hit, or this shows nothing"


def test_a_request_in_flight_when_the_process_dies_is_of_unknown_outcome_and_sent_again(tmp_path: Path) -> None:
    """The history shows both requests: the one whose answer nobody heard, and the one that was accepted."""
    with Emulator() as service:
        destination = AdobeEdge("web", endpoint=service.url, datastream_id="kill")
        event = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}, "eventType": "sale"}}
        service_seen = threading.Event()
        config = tmp_path / "edgequeue.toml"
        config.write_text(CONFIG.format(url=service.url, batch=BATCH_EVENTS, in_flight=IN_FLIGHT))
        with EventQueue(tmp_path / "queue.db", [destination]) as queue:
            event_id = queue.enqueue(event)
        from edgequeue.emulator import parse_fault

        service.add_fault(parse_fault("delay:seconds=60"))
        with start(SYNCER, config) as syncer:
            threading.Thread(
                target=_kill_when_open, args=(tmp_path / "queue.db", syncer, service_seen), daemon=True
            ).start()
            syncer.wait(timeout=60)
        service.clear_faults()
        with EventQueue(tmp_path / "queue.db", [destination]) as queue:
            queue.sync()
            record = queue.get(event_id)
    assert record is not None
    assert record.status == "delivered"
    assert [trip.disposition for trip in record.history] == ["unknown", "accepted"]


def _kill_when_open(database: Path, process: subprocess.Popen[str], done: threading.Event) -> None:
    """Kill the process once its request stands on record."""
    import sqlite3

    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        while not connection.execute("SELECT 1 FROM requests WHERE closed_ms IS NULL").fetchone():
            if process.poll() is not None:
                return
        process.send_signal(signal.SIGKILL)
        done.set()
    finally:
        connection.close()
