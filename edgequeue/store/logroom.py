"""Room for the log ahead of what is written to it, so that a commit need not wait until the file has grown.

A flush of a file that has grown writes where its new blocks are as well: the first 900 single puts, until the log is
begun anew, took 330 to 480 us where the later ones take 250. With zeros written ahead all take 250 to 290. SQLite reads
a log up to the first frame that does not fit, so zeros are its end.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from edgequeue.store.connecting import checkpoint_bytes

EVERY_PUTS = 8
"""So many single puts between two looks at the log's size: a look costs as much as half a put's own work."""

BYTES_MIN = 64 * 1024
"""A process that stores a few events and ends needs no room."""

AHEAD_BYTES = 256 * 1024
"""Written at once, some 60 puts' worth: more would be felt on a slow card."""

_ZEROS = bytes(AHEAD_BYTES)


class LogRoom:
    """The room of one database's log. Asked for with the write lock held: nobody writes to the log meanwhile."""

    def __init__(self, database: Path) -> None:
        self._log = f"{database}-wal"
        self._bytes_max = checkpoint_bytes(database)
        self._end = 0  # of what was made here
        self._left = EVERY_PUTS

    def keep(self) -> None:
        """At each single put. Nothing fails where there is no room to be had."""
        self._left -= 1
        if not self._left:
            with suppress(OSError):
                self._look()

    def _look(self) -> None:
        size = os.stat(self._log).st_size  # noqa: PTH116 (half the time of Path.stat)
        if size >= self._bytes_max:
            return  # for good: from here on the log is written over in place
        self._left = EVERY_PUTS
        if size < BYTES_MIN or size <= self._end:
            return
        descriptor = os.open(self._log, os.O_WRONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            os.lseek(descriptor, size, os.SEEK_SET)
            self._end = size + os.write(descriptor, _ZEROS)
        finally:
            os.close(descriptor)
