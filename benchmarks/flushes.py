"""A disk whose flushes can be counted and made slower: `flushes.c`, compiled here and loaded before libc."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from functools import cache
from pathlib import Path

from harness import CHECKOUT, HERE
from report import Skipped

DELAY_MICROS = 5000
"""What a good SD card adds to a flush."""

_LIBRARY = CHECKOUT / "build" / "flushes.so"


@cache
def library() -> Path | Skipped:
    """The compiled library, or why there is none."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return Skipped("no C compiler: install gcc to count flushes and to slow them down")
    _LIBRARY.parent.mkdir(exist_ok=True)
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(_LIBRARY), str(HERE / "flushes.c"), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return Skipped(f"flushes.c could not be compiled: {done.stderr.strip().splitlines()[-1]}")
    return _LIBRARY


def preloaded(found: Path) -> dict[str, str]:
    """The environment of a process whose flushes are counted."""
    return {"LD_PRELOAD": str(found)}


def flush_count() -> int:
    """Flushes of this process so far; for a process that was started `preloaded`."""
    return ctypes.c_long.in_dll(ctypes.CDLL(str(_LIBRARY)), "flush_count").value


def slow_down(micros: int) -> None:
    """From now on each flush of this process takes so much longer."""
    ctypes.c_long.in_dll(ctypes.CDLL(str(_LIBRARY)), "flush_delay_micros").value = micros
