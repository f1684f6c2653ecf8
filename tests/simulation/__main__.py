"""Run worlds: `python -m tests.simulation --seeds 1000000`, or one of them in full: `--seed 17`."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.simulation.many import DISKS, Report, run_many
from tests.simulation.running import run_seed

PROGRESS_SECONDS = 60.0


def main() -> int:
    """The exit code: 0 where every promise was kept, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many worlds (2000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--seed", type=int, help="one world, with every line of its history")
    parser.add_argument("--disk", choices=sorted(DISKS), default="memory", help="where the store is (memory)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many worlds at once")
    options = parser.parse_args()
    if options.seed is not None:
        result = run_seed(options.seed, DISKS[options.disk], verbose=True)
        print(result.violation or f"every promise was kept; {result.requests} requests, trace {result.trace[:16]}")
        return 1 if result.violation else 0
    return _many(options)


def _many(options: argparse.Namespace) -> int:
    began = told = time.monotonic()

    def tell(report: Report) -> None:
        nonlocal told
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            print(f"{report.seeds} seeds, {len(report.failures)} failed, {told - began:.0f} s", flush=True)

    seeds = range(options.first, options.first + options.seeds)
    report = run_many(seeds, disk=options.disk, processes=options.processes, tell=tell)
    for failure in report.failures:
        print(failure.text)
    struck = f"{sum(report.visited.values())} crashes, power cuts and full disks at {len(report.visited)} named points"
    print(
        f"{report.events} events in {report.requests} requests; {struck}; {report.drain_turns} turns at most to drain"
    )
    print(f"{report.seeds} seeds in {time.monotonic() - began:.0f} s, {len(report.failures)} failed")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
