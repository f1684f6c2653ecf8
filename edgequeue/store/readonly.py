"""A queue that cannot be written, opened to be looked at: a card mounted read-only, a full disk, another user's file.

SQLite reads a log only with its shared memory beside it. Where there is a log, both are there and are read as they
stand. Where there is none, nobody has the queue open, and the file is read as one that does not change. Should somebody
write to it meanwhile, the look ends with an error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgequeue.errors import QueueBusy, StoreError, StoreFull
from edgequeue.store.connecting import READ_PATIENCE_MS
from edgequeue.store.sqlite import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlConnection

State = tuple[int, int, int]
"""(inode, time of the last change in ns, bytes)"""


def is_for_looking(path: Path, error: StoreError) -> bool:
    """Whether a queue that could not be opened for this reason can still be looked at."""
    return type(error) in (StoreError, StoreFull) and _state(path) is not None


class ReadOnlyDatabase(Database):
    """A database file that is read and never written; writing raises StoreError with the reason."""

    writable = False

    def __init__(self, path: Path, reason: StoreError) -> None:
        super().__init__(path)
        self._reason = reason
        self._beside = path.with_name(f"{path.name}-wal")
        self._still = None if _state(self._beside) else _state(path)

    def connect(self, *, writing: bool = True) -> sqlite3.Connection:
        if writing:
            raise StoreError(str(self._reason)) from self._reason
        settings = "mode=ro" if self._still is None else "mode=ro&immutable=1"
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?{settings}", uri=True, timeout=0, isolation_level=None, check_same_thread=False
        )
        connection.execute(f"PRAGMA busy_timeout = {READ_PATIENCE_MS}")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        with self._unchanged(), super().read() as connection:
            yield connection

    @contextmanager
    def look(self) -> Iterator[SqlConnection]:
        with self._unchanged(), super().look() as connection:
            yield connection

    def stay(self, *, committed: bool = False) -> None:
        """What is only looked at is not exchanged for another file; `_unchanged` notices."""

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """QueueBusy where a file that was read as unchanging has changed, whatever was made of it."""
        try:
            yield
        finally:
            if self._still is not None and (_state(self._beside) or _state(self.path) != self._still):
                raise QueueBusy(f"{self.path}: another process began to write while it was read. Look again")


def _state(path: Path) -> State | None:
    """What changes with the file; None for one that is not there or empty."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return (seen.st_ino, seen.st_mtime_ns, seen.st_size) if seen.st_size else None
