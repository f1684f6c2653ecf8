"""The reserve: space kept beside the database and given up when the disk is full, so that delivering can go on.

To deliver and to prune, SQLite has to write: a log first, then the database. On a disk without a free byte neither
could be written and the queue could never be emptied. So there is a file of nothing, `<database>.reserve`. Who delivers
or tidies deletes it when the disk is full; who enqueues needs it to be there, and makes it again once there is space.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from edgequeue.errors import StoreFull
from edgequeue.store.schema import inherit_owner
from edgequeue.store.sqlite import Database, checkpoint_bytes

log = logging.getLogger("edgequeue")

PARTS = 2
"""The reserve holds two logs of `checkpoint_bytes`: one for what the database grows by when the log is copied back, one
for the log to grow until then. 8 MiB on a disk of 64 MiB or more, an eighth of a smaller one."""

_ZEROS = bytes(64 * 1024)
_Result = TypeVar("_Result")


def reserve_path(database: Path) -> Path:
    """Where the reserve of a database is."""
    return database.with_name(f"{database.name}.reserve")


def is_spent(database: Path) -> bool:
    """Whether a database is without its reserve, and the disk without the space for one."""
    free = shutil.disk_usage(database.parent).free
    return not reserve_path(database).exists() and free < PARTS * checkpoint_bytes(database)


class Reserve:
    """The reserve of one database. It is made and asked for with the write lock held, and given up at any time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.path = reserve_path(database.path)
        self.bytes = PARTS * checkpoint_bytes(database.path)
        self._enough = self.bytes + self.bytes // 4  # so much free space that the disk is not full again at once
        self._was_given_up = False

    def stands(self) -> bool:
        """Whether it is there, whole: a power cut may have come while it was made."""
        try:
            return os.stat(self.path).st_size >= self.bytes  # noqa: PTH116 (each put asks; half the time of Path.stat)
        except OSError:
            return False

    def admit(self, connection: sqlite3.Connection, size: int = 0) -> None:
        """Let events in if delivering them stays possible; StoreFull otherwise. `size`: bytes of a bulk put.

        Where the reserve was given up, free pages within the database are as good: events come and go in place.
        """
        reserved = self.stands() or self._made() or self._free() >= self._enough  # a quota may forbid it; then without
        if not reserved and _free_bytes(connection) < self.bytes:
            raise StoreFull(
                f"{self._database.path}: the disk is full; nothing was stored. "
                f"Free {self._enough // 1024:,} KiB or more: what is queued is safe and still delivered"
            )
        if size > self.bytes and (free := self._free()) < 2 * size:
            raise StoreFull(
                f"{self._database.path}: {size:,} bytes in one call need twice that on the disk (the log, then the "
                f"database) and {free:,} are free; nothing was stored. Enqueue fewer at a time, or free some space"
            )

    def leaving(self, action: Callable[[], _Result]) -> _Result:
        """Run a transaction that lets events go; when the disk is full, give the reserve up and run it once more."""
        try:
            result = action()
        except StoreFull:
            if self._given_up():
                log.warning(
                    "%s: the disk is full; the reserve was given up so that delivering can go on",
                    self._database.path,
                    extra={"action": "reserve"},
                )
            self._database.copy_back()  # the log is then written over from its start, which takes no space
            return action()
        self.restore()
        return result

    def restore(self) -> None:
        """Make it again if it was given up here and there is space."""
        if self._was_given_up and self._made():
            self._was_given_up = False

    def _given_up(self) -> bool:
        try:
            self.path.unlink()
        except OSError:
            return False
        self._was_given_up = True
        return True

    def _free(self) -> int:
        return shutil.disk_usage(self.path.parent).free

    def _made(self) -> bool:
        if self._free() < self._enough:
            return False
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(self.path, flags, 0o600)
            try:
                inherit_owner(descriptor, self.path)
                _allocate(descriptor, self.bytes)
            finally:
                os.close(descriptor)
        except OSError as error:  # a quota, a directory of another user: then it has to go without
            log.debug("%s: no reserve: %s", self.path, error)
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            return False
        return True


def _allocate(descriptor: int, size: int) -> None:
    """Have the disk set the space aside; nothing is written where the system can do without."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    for _ in range(0, size, len(_ZEROS)):
        os.write(descriptor, _ZEROS)


def _free_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the pages within the database that hold nothing."""
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size"))
    return int(pages) * int(size)
