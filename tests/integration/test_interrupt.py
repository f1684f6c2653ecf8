"""Ctrl-C and SIGTERM in the middle of sending: an orderly end, nothing half done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgequeue import EventQueue
from edgequeue.emulator import Emulator, Fault

CONFIG = """
[queue]
database = "queue.db"

[destinations.web]
type = "adobe-edge"
endpoint = "{url}"
datastream_id = "interrupt"
batch_events_max = 10
"""

EVENT = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}


class Signaller:
    """Sends a signal to a process when the service has seen so many requests."""

    def __init__(self, wanted: signal.Signals, after: int) -> None:
        self._wanted = wanted
        self._left = after
        self._turn = threading.Lock()
        self.process: subprocess.Popen[str] | None = None
        self.ready = threading.Event()

    def __call__(self, _seen: object) -> None:
        self.ready.wait(30)
        with self._turn:
            self._left -= 1
            if self._left == 0 and self.process is not None:
                self.process.send_signal(self._wanted)


def start(command: str, config: Path, *more: str) -> subprocess.Popen[str]:
    whole = [sys.executable, "-m", "edgequeue", "--config", str(config), command, *more]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    return subprocess.Popen(whole, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("after", [1, 7])
def test_ctrl_c_ends_a_sync_and_leaves_no_request_open(tmp_path: Path, after: int) -> None:
    """Exit code 130, a report, every request closed, the ledger balanced; the next sync delivers the rest."""
    signaller = Signaller(signal.SIGINT, after)
    with Emulator(on_request=signaller) as service:
        service.add_fault(Fault("delay", seconds=0.02, times=None))
        config = tmp_path / "edgequeue.toml"
        config.write_text(CONFIG.format(url=service.url))
        with EventQueue.open(config) as queue:
            queue.enqueue_many(EVENT for _ in range(400))
        with start("sync", config, "--json") as sync:
            signaller.process = sync
            signaller.ready.set()
            out, err = sync.communicate(timeout=60)
        assert sync.returncode == 130, err
        report = json.loads(out)
        assert report["stopped_because"] == "interrupted"
        with EventQueue.open(config) as queue:
            ledger = queue.status().ledger
            assert [one for one in queue.requests() if one.closed_at is None] == []
            assert (ledger.balanced, ledger.sending) == (True, 0)
            assert ledger.delivered == report["delivered"]
            assert queue.sync().remaining == 0
        assert service.arrived.distinct == 400
        assert service.arrived.duplicates <= 4 * 10, "four requests of ten were in flight"


def test_sigterm_ends_run_in_bounded_time_with_exit_code_0(tmp_path: Path) -> None:
    """systemd's stop is no failure; what was in the middle of an exchange is sent again later."""
    signaller = Signaller(signal.SIGTERM, 3)
    with Emulator(on_request=signaller) as service:
        service.add_fault(Fault("delay", seconds=600, times=None))  # nothing ends by itself: the stop must cut it off
        config = tmp_path / "edgequeue.toml"
        config.write_text(CONFIG.format(url=service.url))
        with EventQueue.open(config) as queue:
            queue.enqueue_many(EVENT for _ in range(400))
        with start("run", config) as run:
            signaller.process = run
            signaller.ready.set()
            _, err = run.communicate(timeout=60)
        assert run.returncode == 0, err
        with EventQueue.open(config) as queue:
            assert queue.status().ledger.balanced
            assert [one for one in queue.requests() if one.closed_at is None] == []
            service.clear_faults()
            queue.sync()
            assert queue.status().ledger.delivered == 400
