"""The mark: the last sequence that was given, kept beside the database so that damage to the one is not damage to both.

Written after each commit and never flushed: where nothing lost power it is the last one exactly, else an earlier one. A
salvage that finds the newest part of a queue gone counts by it how many events that part held.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from edgequeue.store.connecting import inherit_owner

log = logging.getLogger("edgequeue")

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


def forget_mark(database: Path) -> None:
    """The database is a new one; the log says so where there was another."""
    found = read_mark(database)
    if found is not None and found[1]:
        text = "%s: the file of a queue that had given %d events is gone, and a new, empty one is made"
        log.warning(text, database, found[1], extra={"action": "create"})
    with suppress(OSError):
        mark_path(database).unlink()


class Mark:
    """The mark of one open queue. Nothing fails where it cannot be written: it is a help, and the database counts."""

    def __init__(self, database: Path) -> None:
        self._database, self._path = database, mark_path(database)
        self._descriptor: int | None = None
        self._inherited = False
        self._queue_id = ""
        self._lock = threading.Lock()  # a descriptor that is closed may be another file's before it is written to

    def reset_after_fork(self) -> None:
        """The child opens the file anew: who becomes a daemon closes what it inherits, and numbers are used again."""
        self._lock = threading.Lock()
        self._descriptor, self._inherited = None, self._descriptor is not None

    def begin(self, queue_id: str, sequence: int, *, lowers: bool = False) -> None:
        """For this queue from now on; what stood there is another's, or older. Of the same queue a higher one stays,
        which another process has written by now, unless this one `lowers` it.
        """
        if not hasattr(os, "pwrite"):  # Windows
            return
        found = read_mark(self._database)
        if found is not None and found[0] == queue_id and not lowers:
            sequence = max(sequence, found[1])
        self.close()  # of a file that may have lost its name with the database
        with self._lock:
            self._queue_id = queue_id
            self._open()
        self.note(sequence)

    def _open(self) -> None:
        with suppress(OSError):
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            inherit_owner(self._descriptor, self._path)
            os.ftruncate(self._descriptor, _BYTES)

    def note(self, sequence: int) -> None:
        """This one was given. One system call: 1.5 us in a loop, 7 after a flush."""
        words = f"{self._queue_id} {sequence:012d}".encode()
        with self._lock, suppress(OSError):
            if self._inherited:
                self._inherited = False
                self._open()
            if self._descriptor is not None:
                os.pwrite(self._descriptor, b"%b %08x\n" % (words, crc32(words)), 0)

    def close(self) -> None:
        """Give the file back."""
        with self._lock, suppress(OSError):
            if self._descriptor is not None:
                descriptor, self._descriptor = self._descriptor, None
                os.close(descriptor)
