"""How much of the torture is run: all of it by `make torture`, a short part with a fixed seed by `make test`."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
SEED = 5


def thorough() -> bool:
    """Whether this is `make torture`."""
    return bool(os.environ.get("EDGEQUEUE_TORTURE"))


def rounds(short: int, whole: int) -> int:
    """How many rounds; `EDGEQUEUE_TORTURE=n` with n above 1 multiplies those of `make torture`."""
    return whole * max(int(os.environ["EDGEQUEUE_TORTURE"]), 1) if thorough() else short


def dice() -> Random:
    """Seeded: by `EDGEQUEUE_SEED`, else always the same in `make test`, and drawn anew by `make torture`."""
    drawn = str(Random().randrange(10**6)) if thorough() else str(SEED)
    seed = int(os.environ.get("EDGEQUEUE_SEED") or drawn)
    print(f"EDGEQUEUE_SEED={seed}")  # noqa: T201 (pytest shows it when the test fails)
    return Random(seed)
