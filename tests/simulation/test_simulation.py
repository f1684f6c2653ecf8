"""Thousands of worlds in which everything fails that can, and in none of them is a promise broken.

The promises are the functions in `invariants.py`. Each world is run twice and must go the same way, to the line.
`make simulate SEEDS=1000000` runs more of them, `make simulate SEED=17` shows one.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.many import run_many
from tests.simulation.processes import CHANGES, UNFATED
from tests.simulation.running import DRAIN_TURNS_MAX, run_seed

SEEDS, SEEDS_ON_SQLITE = 2000, 40
"""40 s and 10 s on two cores."""

COMMITS = CHANGES - UNFATED - {"bury"}
SENDING = ("before send", "before answer", "after answers")
EXPECTED = frozenset(
    {f"{fault} {name}" for fault in ("killed before", "killed in", "full in") for name in COMMITS}
    | {f"killed after {name}" for name in COMMITS}
    | {f"power cut after {name}" for name in ("put_many", "acquire", "record", "settle")}
    | {f"{fault} {name}" for fault in ("killed", "power cut") for name in SENDING}
)
"""What must have been struck, and where. `bury` is for damaged payloads, of which there are none here."""


@pytest.mark.slow
def test_no_promise_is_broken_whatever_fails() -> None:
    """Crashes, power cuts, full disks, lost answers, clock steps, stolen leases and bad moods of the service, at every
    named point; and the simulation has really been to all of them.
    """
    report = run_many(range(SEEDS), processes=os.cpu_count() or 1)
    assert not report.failures, "\n".join(one.text for one in report.failures[:3])
    assert report.visited.keys() >= EXPECTED, sorted(EXPECTED - report.visited.keys())
    assert report.drain_turns < DRAIN_TURNS_MAX


@pytest.mark.slow
def test_the_store_on_disk_keeps_them_too() -> None:
    """The same worlds with the real store in a file, killed with its transactions open; a power cut leaves the files
    as the system has them.
    """
    report = run_many(range(SEEDS_ON_SQLITE), disk="sqlite", processes=os.cpu_count() or 1)
    assert not report.failures, "\n".join(one.text for one in report.failures[:3])


def test_a_seed_is_the_same_world_each_time() -> None:
    """Two runs agree in every line; two seeds do not."""
    traces = [run_seed(seed, twice=False).trace for seed in (17, 17, 18)]
    assert traces[0] == traces[1] != traces[2]
