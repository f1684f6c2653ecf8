"""ENOSPC and EIO at every write and every sync: a typed error and nothing stored, or an acknowledgement and safe.

`make torture` lets each call fail in turn; `make test` every so many-th of them (`EDGEQUEUE_TORTURE`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.torture.ailing import DIES
from tests.torture.faulty import environment
from tests.torture.rounds import ROOT, thorough

STRIDE = 1 if thorough() else 47
"""Prime to the ways in which a fault lasts and a life ends, so that all of them come up."""


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What became of each life."""
    directory = tmp_path_factory.mktemp("failing")
    command = [sys.executable, "-m", "tests.torture.ailing", directory, str(STRIDE)]
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


def test_what_was_refused_is_stored_nowhere(lives: list[dict[str, Any]]) -> None:
    """Not even where the process dies right after the error, and the next one recovers the log."""
    ghosts = [one for one in lives if set(one["refused"]) & set(one["stored"])]
    assert ghosts == []


def test_there_are_lives_that_end_in_the_moment_of_the_error(lives: list[dict[str, Any]]) -> None:
    """They are what the rule about refused events is for."""
    assert [one for one in lives if one["fault"][4] == DIES and one["refused"] == [] and one["errors"]]
