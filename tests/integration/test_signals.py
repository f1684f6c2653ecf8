"""SIGTERM in every phase of `run` and `sync`: an end in bounded time, nothing left open, lost, or sent for nothing.

The phases are brought about by the service (it says which request has come, and answers or not) or by a lock on the
database, which holds a worker between the answer and its record.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from edgequeue import EventQueue
from edgequeue.cli.send import STOP_SECONDS
from edgequeue.emulator import Emulator, Fault
from edgequeue.store.lease import is_held, lease_path
from tests.integration.scripts import BOUND_SECONDS
from tests.support import eventually

CONFIG = """
[queue]
database = "queue.db"

[destinations.web]
type = "adobe-edge"
endpoint = "{url}"
datastream_id = "signals"
batch_events_max = 10
requests_in_flight_max = 1
auth = "adobe"

[auth.adobe]
type = "ims"
endpoint = "{url}/ims/token/v3"
client_id = "{id}"
client_secret = "{secret}"
org_id = "{org}"
scopes = ["openid"]
"""

EVENTS = 30
EVENT = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}

SPARE_SECONDS = 15.0
"""For an interpreter to end on a busy machine, beside the STOP_SECONDS that it gives its exchanges."""


class Rig:
    """A service, a configuration and a process that sends; `seen` is released by each request that arrives."""

    def __init__(self, folder: Path) -> None:
        self.arrivals: dict[str, threading.Event] = {"ims": threading.Event(), "edge": threading.Event()}
        self.pass_on = threading.Event()  # an answer waits for it, so that the test can get between
        self.pass_on.set()
        self.service = Emulator(on_request=self._seen)
        self.folder = folder
        self.config = folder / "edgequeue.toml"

    def __enter__(self) -> Rig:
        self.service.start()
        url = self.service.url
        self.config.write_text(CONFIG.format(url=url, id="signals", secret="not-a-real-one", org="A@AdobeOrg"))
        with EventQueue.open(self.config) as queue:
            queue.enqueue_many(EVENT for _ in range(EVENTS))
        return self

    def __exit__(self, *_: object) -> None:
        self.pass_on.set()
        self.service.stop()

    def _seen(self, seen: object) -> None:
        service = getattr(seen, "service", "edge")
        if service in self.arrivals:
            self.arrivals[service].set()
        if service == "edge":
            self.pass_on.wait(BOUND_SECONDS)

    def start(self, command: str, *more: str) -> subprocess.Popen[str]:
        whole = [sys.executable, "-m", "edgequeue", "--config", str(self.config), command, *more]
        environment = {**os.environ, "PYTHONWARNINGS": "error"}
        return subprocess.Popen(whole, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def arrives(self, service: str) -> None:
        assert self.arrivals[service].wait(BOUND_SECONDS)

    def assert_nothing_open(self) -> None:
        """The lease is free, no request is open, and the books are right."""
        assert not is_held(lease_path(self.folder / "queue.db", "web"))
        with EventQueue.open(self.config) as queue:
            ledger = queue.status().ledger
            assert [one for one in queue.requests() if one.closed_at is None] == []
            assert (ledger.balanced, ledger.enqueued, ledger.sending, ledger.dead) == (True, EVENTS, 0, 0)

    def drain(self) -> None:
        """Everything is delivered in the end, and what the service has is what was enqueued."""
        self.pass_on.set()
        self.service.clear_faults()
        with EventQueue.open(self.config) as queue:
            queue.sync(timeout_seconds=BOUND_SECONDS)
            assert queue.status().ledger.delivered == EVENTS
        assert self.service.arrived.distinct == EVENTS


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path) as made:
        yield made


def before_the_claim(rig: Rig) -> None:
    """Nothing is waited for."""


def in_a_token_request(rig: Rig) -> None:
    rig.arrives("ims")


def in_a_request(rig: Rig) -> None:
    rig.arrives("edge")


def in_backoff(rig: Rig) -> None:
    def held() -> bool:
        with EventQueue.open(rig.config) as queue:
            return queue.status().destinations["web"].state == "backing_off"

    eventually(held)


PHASES: dict[str, tuple[Fault, Callable[[Rig], None]]] = {
    "before the claim": (Fault("delay", seconds=600, times=None, service="ims"), before_the_claim),
    "in a token request": (Fault("delay", seconds=600, times=None, service="ims"), in_a_token_request),
    "in a request": (Fault("delay", seconds=600, times=None, service="edge"), in_a_request),
    "in backoff": (Fault("retry_after", seconds=3000, times=None, service="edge"), in_backoff),
}


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """SIGTERM, and what became of it within the time that is documented."""
    process.send_signal(signal.SIGTERM)
    try:
        _, err = process.communicate(timeout=STOP_SECONDS + SPARE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, err


def ends_in(phase: str, folder: Path, code: int, command: str, *more: str) -> None:
    """A process ends in this phase with that exit code, leaves nothing open, and everything is delivered later."""
    folder.mkdir()
    fault, comes = PHASES[phase]
    with Rig(folder) as rig:
        rig.service.add_fault(fault)
        with rig.start(command, *more) as process:
            if command == "run":
                assert process.stdout is not None
                assert process.stdout.readline().startswith("Sending from")
            comes(rig)
            found, err = end(process)
        assert (found, "Traceback" in err) == (code, False), f"{phase}: {err}"
        rig.assert_nothing_open()
        if phase != "in backoff":  # a wait that the service asked for is kept, through restarts too
            rig.drain()


def locked(rig: Rig) -> sqlite3.Connection:
    """Somebody else who writes, and takes his time."""
    connection = sqlite3.connect(rig.folder / "queue.db", isolation_level=None, timeout=BOUND_SECONDS)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def ends_behind_a_lock(folder: Path) -> None:
    """Somebody locks the database for good while an answer comes: it is lost, and its events are sent once more."""
    folder.mkdir()
    with Rig(folder) as rig:
        rig.pass_on.clear()
        with rig.start("run") as process:
            rig.arrives("edge")
            with closing(locked(rig)) as other:
                rig.pass_on.set()
                eventually(lambda: rig.service.arrived.distinct == 10)
                code, err = end(process)
                other.execute("ROLLBACK")
        assert (code, "Traceback" in err) == (0, False), err
        rig.drain()
        assert rig.service.arrived.duplicates == 10


def test_sigterm_ends_run_in_every_phase(tmp_path: Path) -> None:
    """Exit code 0 within the time that is documented; every request closed, the lease free, nothing lost.

    All phases at once: most of them wait for the time that an exchange is given to end by itself.
    """
    with ThreadPoolExecutor(len(PHASES) + 1) as pool:
        futures = [pool.submit(ends_in, phase, tmp_path / phase, 0, "run") for phase in PHASES]
        futures.append(pool.submit(ends_behind_a_lock, tmp_path / "locked"))
    for future in futures:
        future.result()


def test_sigterm_ends_a_sync_as_ctrl_c_does(tmp_path: Path) -> None:
    """Exit code 130, every request closed, the lease free, nothing lost."""
    phases = [phase for phase in PHASES if phase != "before the claim"]
    with ThreadPoolExecutor(len(phases)) as pool:
        futures = [pool.submit(ends_in, one, tmp_path / one, 130, "sync", "--timeout", "500") for one in phases]
    for future in futures:
        future.result()


def test_sigterm_between_answer_and_record_keeps_the_answer(rig: Rig) -> None:
    """The first answer has come and the database is locked: when the lock goes in time, it is written down."""
    rig.pass_on.clear()
    with rig.start("run") as process:
        rig.arrives("edge")
        with closing(locked(rig)) as other:
            rig.pass_on.set()
            eventually(lambda: rig.service.arrived.distinct == 10)
            process.send_signal(signal.SIGTERM)
            other.execute("ROLLBACK")  # at once; the worker waits up to 30 s for its turn to write
            _, err = process.communicate(timeout=STOP_SECONDS + SPARE_SECONDS)
        assert (process.returncode, "Traceback" in err) == (0, False), err
    rig.assert_nothing_open()
    with EventQueue.open(rig.config) as queue:
        assert queue.status().ledger.delivered >= 10
    rig.drain()
    assert rig.service.arrived.duplicates == 0
