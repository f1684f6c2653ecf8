"""What the benchmarks share: how thorough a run is, interleaved repetitions, child processes, clocks and counters."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
SCALES = ("full", "quick", "tiny")
"""Figures to rely on (minutes), a look (under a minute), and whether it runs at all (seconds; for the tests)."""

Size = TypeVar("Size")


@dataclass(frozen=True)
class Bench:
    """One run: where the databases go, and how thorough it is."""

    directory: Path
    scale: str = "full"
    _numbers: Iterator[int] = field(default_factory=count, repr=False)

    def of(self, full: Size, quick: Size, tiny: Size) -> Size:
        """The size that this scale asks for."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.scale]

    @contextmanager
    def place(self) -> Iterator[Path]:
        """A new directory, removed at the end with all that is in it."""
        place = self.directory / f"{next(self._numbers)}"
        place.mkdir()
        try:
            yield place
        finally:
            shutil.rmtree(place)


def interleave(runs: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[Any]]:
    """Each run once per repetition, in an order that rotates, so that noise and drift hit all of them alike."""
    names = list(runs)
    found: dict[str, list[Any]] = {name: [] for name in names}
    for repetition in range(repeats):
        turn = repetition % len(names)
        for name in names[turn:] + names[:turn]:
            found[name].append(runs[name]())
    return found


def seconds_of(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


# --- other processes --------------------------------------------------------------------------------------------------

_CHILD = """
import json, sys
from importlib import import_module
sys.path.insert(0, sys.argv[1])
found = getattr(import_module(sys.argv[2]), sys.argv[3])(*json.loads(sys.argv[4]))
print(json.dumps(found), flush=True)
"""


def start_child(
    function: Callable[..., object], *arguments: object, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Run a function of a benchmark's module in a process of its own; arguments and result are JSON."""
    values = json.dumps(arguments, default=str)
    command = [sys.executable, "-c", _CHILD, str(HERE), function.__module__, function.__name__, values]
    return subprocess.Popen(
        command, env={**os.environ, **(environment or {})}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def result_of(child: subprocess.Popen[str]) -> Any:
    """What the child found, once it has ended."""
    output, _ = child.communicate(timeout=600)
    if child.returncode:
        raise SystemExit(f"a benchmark's own process failed with {child.returncode}; what it said stands above")
    return json.loads(output.splitlines()[-1])


def in_child(function: Callable[..., object], *arguments: object, **more: Mapping[str, str]) -> Any:
    return result_of(start_child(function, *arguments, **more))


# --- clocks and counters ----------------------------------------------------------------------------------------------


def written_bytes() -> int:
    """What this process has made the kernel write so far: whole pages of the page cache, as they become dirty."""
    return _proc_value("/proc/self/io", "write_bytes")


def peak_rss_mb() -> float:
    """The most memory this process ever had. Not ru_maxrss: that begins with what the parent had at the fork."""
    return _proc_value("/proc/self/status", "VmHWM") / 1024


def _proc_value(path: str, name: str) -> int:
    for line in Path(path).read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise SystemExit(f"{path} has no {name}: these benchmarks need Linux")


def checkpoint(path: Path) -> None:
    """Copy a database's log back, so that what a phase has written is complete."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
    connection.close()


def flush_micros(directory: Path, rounds: int = 200) -> float:
    """The median time of one fdatasync of an overwritten block of 4 KB, in microseconds."""
    times = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(rounds):
            os.pwrite(file.fileno(), os.urandom(4096), 0)
            times.append(seconds_of(lambda: os.fdatasync(file.fileno())))
    return sorted(times)[rounds // 2] * 1e6


def scratch(directory: Path | None) -> tempfile.TemporaryDirectory[str]:
    """A directory of our own for the databases: on the checkout's disk, because /tmp may be memory."""
    parent = directory or CHECKOUT / "build"  # build/ is ignored by git
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="bench-", dir=parent)


def file_system_of(path: Path) -> str:
    """The type of the file system that holds a path."""
    best = ("", "unknown")
    with suppress(OSError):
        for line in Path("/proc/mounts").read_text().splitlines():
            _, place, kind, *_ = line.split()
            if path.is_relative_to(place) and len(place) >= len(best[0]):
                best = (place, kind)
    return best[1]


def conditions(directory: Path) -> str:
    """One line that says where the figures come from."""
    return (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores, "
        f"{file_system_of(directory)}, flush {flush_micros(directory):.0f} us, load {os.getloadavg()[0]:.1f}"
    )
