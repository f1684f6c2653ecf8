"""ENOSPC and EIO at every write and every sync: a typed error and nothing stored, or an acknowledgement and safe.

`make torture` lets each call fail in turn; `make test` every so many-th of them (`EDGEQUEUE_TORTURE`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.torture.ailing import DIES
from tests.torture.faulty import environment
from tests.torture.platter import PAGE, PlatterFile
from tests.torture.rounds import ROOT, thorough

STRIDE_WITHOUT_SYNC = 397
STRIDE = 1 if thorough() else 47
"""Prime to the ways in which a fault lasts and a life ends, so that all of them come up."""


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What became of each life."""
    return lived(tmp_path_factory.mktemp("failing"), STRIDE, "as configured")


def lived(directory: Path, stride: int, synchronous: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.torture.ailing", directory, str(stride), synchronous]
    done = subprocess.run(command, env=environment(directory), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_failure_is_a_typed_error_and_the_queue_goes_on_by_itself(lives: list[dict[str, Any]]) -> None:
    """No other exception, no crash; once the disk is well the same queue enqueues and delivers again."""
    strange = [one for one in lives if any("unexpected" in error or error == "crashed" for error in one["errors"])]
    assert strange == []
    failures = sum(one["failed"] for one in lives)
    print(f"{len(lives)} lives, {failures} failed calls, {sum(len(one['errors']) for one in lives)} errors raised")  # noqa: T201
    assert failures >= len(lives), "the faults must hit, or this shows nothing"


def test_what_was_acknowledged_is_delivered_whatever_failed_around_it(lives: list[dict[str, Any]]) -> None:
    """Before the error, between two errors and after it: an id that was returned is an event that arrives."""
    assert [one for one in lives if set(one["acknowledged"]) - set(one["delivered"])] == []
    assert [one for one in lives if not one["balanced"] or one["damage"]] == []


def test_what_was_acknowledged_survives_a_power_cut_though_a_sync_had_failed(lives: list[dict[str, Any]]) -> None:
    """After a failed sync Linux takes pages for clean that never reached the disk, and the next sync succeeds."""
    assert [one for one in lives if lost(one)] == []


def test_the_same_finds_a_queue_that_does_not_sync(tmp_path: Path) -> None:
    """With synchronous=OFF nothing of what was acknowledged last is on the platter."""
    lives = lived(tmp_path, STRIDE_WITHOUT_SYNC, "OFF")
    assert lives
    assert all(lost(one) for one in lives if one["acknowledged"])


def test_what_a_sync_that_failed_has_not_written_the_next_one_does_not_write_either(tmp_path: Path) -> None:
    """The platter forgets pages as Linux does: if this did not hold, the test above would show nothing."""
    file = PlatterFile()
    file.write(0, b"first" + bytes(PAGE))
    file.sync(failed=True)
    file.write(PAGE, b"second")
    file.sync(failed=False)
    assert file.platter == bytes(PAGE) + b"second"


def lost(life: dict[str, Any]) -> set[str]:
    """What was acknowledged and is not there after the power cut."""
    return set(life["acknowledged"]) - set(life["survived"])


def test_what_was_refused_is_stored_nowhere(lives: list[dict[str, Any]]) -> None:
    """Not even where the process dies right after the error, and the next one recovers the log."""
    ghosts = [one for one in lives if set(one["refused"]) & {*one["stored"], *one["survived"]}]
    assert ghosts == []


def test_there_are_lives_that_end_in_the_moment_of_the_error(lives: list[dict[str, Any]]) -> None:
    """They are what the rule about refused events is for."""
    assert [one for one in lives if one["fault"][4] == DIES and one["refused"] == [] and one["errors"]]
