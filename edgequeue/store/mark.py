"""The mark: the last sequence that was given, kept beside the database so that damage to the one is not damage to both.

Written after each commit and never flushed: where nothing lost power it is the last one exactly, else an earlier one. A
salvage that finds the newest part of a queue gone counts by it how many events that part held.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from edgequeue.store.schema import inherit_owner

_WORDS = re.compile(rb"(([0-9a-z]{8}) (\d{12})) ([0-9a-f]{8})\n")
_BYTES = 31


def mark_path(database: Path) -> Path:
    """Where the mark of a database is."""
    return database.with_name(f"{database.name}.mark")


def read_mark(database: Path) -> tuple[str, int] | None:
    """The id of the queue and the last sequence that is known to have been given; None where nothing says it."""
    try:
        with mark_path(database).open("rb") as file:
            found = _WORDS.fullmatch(file.read(_BYTES + 1))
    except OSError:
        return None
    if found is None or crc32(found[1]) != int(found[4], 16):
        return None
    return found[2].decode(), int(found[3])


class Mark:
    """The mark of one open queue. Nothing fails where it cannot be written: it is a help, and the database counts."""

    def __init__(self, database: Path) -> None:
        self._path = mark_path(database)
        self._descriptor: int | None = None
        self._queue_id = ""
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        self._lock = threading.Lock()  # a descriptor that is closed may be another file's before it is written to

    def begin(self, queue_id: str, sequence: int) -> None:
        """For this queue from now on; what stood there is another's, or older."""
        if not hasattr(os, "pwrite"):  # Windows
            return
        with self._lock:
            self._queue_id = queue_id
            with suppress(OSError):
                if self._descriptor is None:
                    self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                    inherit_owner(self._descriptor, self._path)
                os.ftruncate(self._descriptor, _BYTES)
        self.note(sequence)

    def note(self, sequence: int) -> None:
        """This one was given. One system call, 1.5 us in all."""
        words = f"{self._queue_id} {sequence:012d}".encode()
        with self._lock, suppress(OSError):
            if self._descriptor is not None:
                os.pwrite(self._descriptor, b"%b %08x\n" % (words, crc32(words)), 0)

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
