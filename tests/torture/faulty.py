"""The test's end of `faulty.c`: compiles it, and says which calls of which files fail."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

WRITE, SYNC, TRUNCATE = 1, 2, 4
FOR_EVER = -1

_FIELDS = struct.Struct("6i64s")
_CONTROL, _TRACE = "FAULTY_DISK", "FAULTY_TRACE"


class FaultyDisk:
    """Shared memory with the preloaded library, in this process and in those that it forks."""

    def __init__(self, control: Path) -> None:
        with control.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _FIELDS.size)
        self.trace = Path(os.environ[_TRACE])
        """What was written and synced since `arm`."""

    @classmethod
    def preloaded(cls) -> FaultyDisk:
        """The one that this process was started with."""
        return cls(Path(os.environ[_CONTROL]))

    def arm(self, kinds: int, *, succeed: int, fail: int, number: int, name: str = "queue.db") -> None:
        """Let `succeed` calls of these kinds on files with this in their path go through, then have `fail` fail."""
        os.truncate(self.trace, 0)
        self._memory[:] = _FIELDS.pack(0, succeed, fail, number, 0, 0, name.encode())
        self._memory[:4] = struct.pack("i", kinds)

    def heal(self) -> None:
        """From now on nothing fails."""
        self._memory[:4] = struct.pack("i", 0)

    @property
    def seen(self) -> int:
        """How many calls were counted."""
        return int(_FIELDS.unpack(self._memory[:])[4])

    @property
    def failed(self) -> int:
        """How many of them were made to fail."""
        return int(_FIELDS.unpack(self._memory[:])[5])


def environment(directory: Path) -> dict[str, str]:
    """The environment of a program whose disk can fail; skips where nothing can be compiled or preloaded."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: the library that makes writes and syncs fail cannot be built")
    if sys.platform != "linux":
        pytest.skip("failing system calls are injected by LD_PRELOAD, which needs Linux")
    library, control, trace = (directory / name for name in ("faulty.so", "control", "trace"))
    source = Path(__file__).with_suffix(".c")
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"{compiler} cannot build it: {done.stderr.strip()[:300]}")
    control.write_bytes(bytes(_FIELDS.size))
    trace.touch()
    return {**os.environ, "LD_PRELOAD": str(library), _CONTROL: str(control), _TRACE: str(trace)}
