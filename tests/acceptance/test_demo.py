"""The demo tells the truth: its figures are of the run, and it fails when a promise does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgequeue import EventQueue


@pytest.mark.slow
def test_the_demo_keeps_every_promise(tmp_path: Path) -> None:
    """It ends with nothing missing, one dead event, a balanced ledger, and a database that can be looked at."""
    place = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "edgequeue", "demo", "--fast", "--directory", str(place)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIGKILL" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if "--config" not in line) <= 80
    with EventQueue.open(place / "edgequeue.toml") as queue:
        status = queue.status()
        outcomes = {request.outcome for request in queue.requests()}
    assert status.ledger.balanced
    assert status.ledger.pending == 0
    assert status.ledger.dead == 1
    assert outcomes == {"accepted", "deferred", "unknown", "rejected"}
    assert f"{status.ledger.delivered}" in done.stdout


def test_a_second_demo_does_not_touch_the_first_ones_database(tmp_path: Path) -> None:
    """Nothing is overwritten: it asks for another directory."""
    (tmp_path / "till.db").write_bytes(b"precious")
    done = subprocess.run(
        [sys.executable, "-m", "edgequeue", "demo", "--directory", str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert (tmp_path / "till.db").read_bytes() == b"precious"
