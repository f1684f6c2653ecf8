"""Which file a name stands for at this moment: after a salvage it is another one, and who has the old one open must
not write to it any more.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from edgequeue.errors import StoreDamaged

Identity = tuple[int, int]
"""(device, inode)"""


def identity(path: Path | str) -> Identity | None:
    """The file of that name, None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 (asked at every put: Path.stat costs 0.6 us more)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def sides(log: str, memory: str) -> tuple[int, int] | None:
    """The inodes of the log and of its shared memory, which SQLite keeps while anybody has the database open."""
    try:
        return os.stat(log).st_ino, os.stat(memory).st_ino  # noqa: PTH116 (as above)
    except FileNotFoundError:
        return None


QUIET_NS, QUIET_COARSE_NS = 50_000_000, 2_500_000_000
"""A directory's time that is younger may be given to a second change as well: times go by the kernel's ticks, of 10 ms
at most, or on FAT by two seconds."""


class Quiet:
    """Whether names in a directory may have changed, by its own times.

    One look for the database, its log and its shared memory: 4 us at each put, where each file's own took as much. And
    a look at the log, which each put writes to, makes Linux (6.13 and later) write its time anew: 35 us more.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self._seen: tuple[int, int] | None = None

    def is_as_it_was(self) -> bool:
        """True where no name has changed since it last was False, or for longer."""
        found = os.stat(self._directory)  # noqa: PTH116 (as above)
        times = (found.st_ctime_ns, found.st_mtime_ns)
        if times == self._seen:
            return True
        quiet_ns = QUIET_COARSE_NS if any(one % 1_000_000_000 == 0 for one in times) else QUIET_NS
        if 0 < max(times) < time.time_ns() - quiet_ns:  # the root of a FAT has no time: it is never quiet
            self._seen = times
        return False


def plan_path(database: Path) -> Path:
    """The lock file of whoever salvages; while files are being exchanged it says which."""
    return database.with_name(f"{database.name}.salvage")


def in_exchange(database: Path) -> bool:
    """Whether files are being exchanged, or an exchange was interrupted."""
    try:
        return plan_path(database).stat().st_size > 0
    except FileNotFoundError:
        return False


def refuse_empty(database: Path) -> None:
    """StoreDamaged where the file is empty or gone but its log is not: SQLite would throw that log away, and with it
    what it holds.
    """
    log = database.with_name(f"{database.name}-wal")
    if not _size(database) and _size(log):
        raise StoreDamaged(
            f"{database}: the database is missing or empty, but its log {log.name} holds data. Put the database back "
            "beside it, or move the log aside to start anew; keep it: it holds events"
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
