"""The simulation bites: each of these mistakes, planted in the code under test, is found within so many seeds."""

from __future__ import annotations

import pytest

from tests.simulation import planted_store, planted_worker
from tests.simulation.many import described
from tests.simulation.running import run_seed

SEEDS_MAX = 600
"""The rarest takes half of it; most are found in the first few."""

BUGS = planted_store.BUGS | planted_worker.BUGS


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some world breaks a promise that the bug breaks, and says how to replay it."""
    bug = BUGS[name]
    bug.plant(monkeypatch)
    results = (run_seed(seed, twice=False) for seed in range(SEEDS_MAX))
    found = next((result for result in results if result.violation is not None), None)
    assert found is not None, f"{SEEDS_MAX} seeds, and nobody noticed"
    assert found.violation is not None
    assert found.violation.rule in bug.breaks, described(found)
    assert f"make simulate SEED={found.seed}" in described(found)
