"""All benchmarks: `make bench`, or `python benchmarks [--quick] [--only NAME ...] [--json FILE] [--pictures DIR]`.

One table of all targets, each figure a ratio or a rate from interleaved repetitions in this run, on the disk of the
checkout. The exit code is 0 whether targets are met or not: figures depend on the machine, and a table is to be read.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from harness import CHECKOUT, SCALES, Bench, conditions, scratch
from pictures import draw
from report import Figure, Skipped, as_markdown, report, write_json

QUESTIONS = (
    "enqueue",
    "backlog",
    "lifetime",
    "codec",
    "delivery",
    "sharing",
    "footprint",
    "pruning",
    "idle",
)
"""Each a module here whose `measure` yields figures by the keys of targets.py."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure every target, beside floor and peers.")
    add = parser.add_argument
    add("--scale", choices=SCALES, default="full", help="full: minutes, to rely on; quick: a look; tiny: does it run")
    add("--quick", dest="scale", action="store_const", const="quick", help="the same as --scale quick")
    add("--only", action="append", choices=QUESTIONS, metavar="NAME", help=f"one of {', '.join(QUESTIONS)}")
    add("--dir", type=Path, metavar="DIR", help="where the databases are made (default: build/ in the checkout)")
    add("--json", type=Path, default=CHECKOUT / "build" / "bench.json", metavar="FILE")
    add("--markdown", type=Path, metavar="FILE", help="write the table of docs/benchmarks.md there")
    add("--pictures", type=Path, metavar="DIR", help="draw the pictures there")
    given = parser.parse_args()
    found: dict[str, Figure | Skipped] = {}
    series: dict[str, Any] = {}
    started = time.monotonic()
    with scratch(given.dir) as directory:
        bench = Bench(Path(directory), given.scale)
        heading = f"{conditions(bench.directory)}, scale {given.scale}"
        for name in given.only or QUESTIONS:
            before = time.monotonic()
            print(f"{name} …", file=sys.stderr, end=" ", flush=True)
            measure = import_module(name).measure
            found |= dict(measure(bench, series) if "series" in signature(measure).parameters else measure(bench))
            print(f"{time.monotonic() - before:.0f} s", file=sys.stderr, flush=True)
    seconds = time.monotonic() - started
    print(report(f"{heading}, {seconds:.0f} s", found))
    if given.markdown is not None:
        given.markdown.write_text(as_markdown(found), encoding="utf-8")
    write_json(given.json, heading, found, seconds, series)
    if given.pictures is not None:
        for path in draw(given.pictures, series):
            print(f"drawn: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
