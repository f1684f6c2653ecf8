"""What a power cut would have left of the files of a trace, where a failed sync means what it means on Linux.

When a sync fails, Linux reports it once and takes the pages for clean: they are in memory, not on the disk, and the
next sync succeeds without writing them. Here nothing reaches the platter but by a sync that succeeded.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.faulty import SYNC, TRUNCATE, WRITE

FILES = ("queue.db", "queue.db-wal")

PAGE = 4096
_ENTRY = struct.Struct("2i2q64s")


@dataclass(slots=True)
class PlatterFile:
    """One file: as the kernel has it, as the platter has it, and the pages that the kernel would still write."""

    cached: bytearray = field(default_factory=bytearray)
    platter: bytearray = field(default_factory=bytearray)
    dirty: set[int] = field(default_factory=set)

    def write(self, at: int, data: bytes) -> None:
        self.resize(max(len(self.cached), at + len(data)))
        self.cached[at : at + len(data)] = data
        self.dirty.update(range(at // PAGE, (at + len(data) - 1) // PAGE + 1))

    def resize(self, size: int) -> None:
        del self.cached[size:]
        self.cached.extend(bytes(size - len(self.cached)))

    def sync(self, failed: bool) -> None:
        if not failed:
            del self.platter[len(self.cached) :]
            self.platter.extend(bytes(len(self.cached) - len(self.platter)))
            for page in self.dirty:
                part = slice(page * PAGE, min((page + 1) * PAGE, len(self.cached)))
                self.platter[part] = self.cached[part]
        self.dirty.clear()


def after_a_power_cut(trace: Path, directory: Path) -> None:
    """Write the database and its log as they were on the platter when the trace ended."""
    files = {name: PlatterFile() for name in FILES}
    data = trace.read_bytes()
    at = 0
    while at < len(data):
        kind, failed, offset, size, name = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        file = files.get(name.rstrip(b"\0").decode()) or PlatterFile()  # others are read over
        if kind == SYNC:
            file.sync(bool(failed))
        elif kind == WRITE:
            if not failed:
                file.write(offset, data[at : at + size])
            at += size
        elif kind == TRUNCATE and not failed:
            file.resize(size)
    directory.mkdir()
    for name, file in files.items():
        (directory / name).write_bytes(file.platter)
