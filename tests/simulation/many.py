"""Many seeds, on all cores: each process runs a chunk and hands back what came of it."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.simulation.running import MakeWorld, Result, run_seed, world_of, world_on_sqlite

CHUNK_SEEDS = 50

DISKS: Mapping[str, MakeWorld] = {"memory": world_of, "sqlite": world_on_sqlite}


class Failure(NamedTuple):
    """A seed that broke a promise, with how it ended and how to see all of it."""

    seed: int
    text: str


@dataclass
class Report:
    """What came of many seeds. `visited`: how often a fault struck, by the named point."""

    seeds: int = 0
    failures: list[Failure] = field(default_factory=list)
    visited: Counter[str] = field(default_factory=Counter)
    drain_turns: int = 0
    requests: int = 0
    events: int = 0

    def add(self, other: Report) -> None:
        """And these."""
        self.seeds += other.seeds
        self.failures += other.failures
        self.visited += other.visited
        self.drain_turns = max(self.drain_turns, other.drain_turns)
        self.requests += other.requests
        self.events += other.events


def run_many(
    seeds: range, *, disk: str = "memory", processes: int = 2, tell: Callable[[Report], None] = lambda report: None
) -> Report:
    """Run them all, whatever fails. `tell` hears of the progress."""
    total = Report()
    chunks = [seeds[start : start + CHUNK_SEEDS] for start in range(0, len(seeds), CHUNK_SEEDS)]
    # Not forked: pytest has threads, and a fork in their midst may find a lock held for ever.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for future in as_completed([pool.submit(run_chunk, chunk, disk) for chunk in chunks]):
            total.add(future.result())
            tell(total)
    total.failures.sort()
    return total


def run_chunk(seeds: range, disk: str) -> Report:
    """Some seeds, one after another, in this process."""
    report = Report()
    for seed in seeds:
        result = run_seed(seed, DISKS[disk])
        report.seeds += 1
        report.visited += result.visited
        report.drain_turns = max(report.drain_turns, result.drain_turns)
        report.requests += result.requests
        report.events += result.events
        if result.violation is not None:
            report.failures.append(Failure(seed, described(result, disk)))
    return report


def described(result: Result, disk: str = "memory") -> str:
    """A failed seed for people: the last lines of its history, what was broken, and the command that replays it."""
    where = "" if disk == "memory" else f" DISK={disk}"
    history = "\n".join(result.lines)
    replay = f"replay it with: make simulate SEED={result.seed}{where}"
    return f"{history}\nseed {result.seed}: {result.violation}\n{replay}\n"
