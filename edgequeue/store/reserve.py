"""The reserve: space kept beside the database and given up when the disk is full, so that delivering can go on.

To deliver and to prune, SQLite has to write: a log first, then the database. On a disk without a free byte neither
could be written and the queue could never be emptied. So there is a file of nothing, `<database>.reserve`. Who delivers
or tidies deletes it when the disk is full; who enqueues needs it to be there, and makes it again once there is space.
Where free pages within the database are as good as the reserve, who enqueues may have the log's room from it as well.
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
from edgequeue.store.connecting import checkpoint_bytes, inherit_owner
from edgequeue.store.sqlite import Database

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
    whole = PARTS * checkpoint_bytes(database)
    return _size(reserve_path(database)) < whole and shutil.disk_usage(database.parent).free < whole


class Reserve:
    """The reserve of one database. It is made and asked for with the write lock held, and given up at any time."""

    def __init__(self, database: Database, *, kept: bool = False) -> None:
        """`kept`: for who only looks, for whom it is not given up."""
        self._database = database
        self._kept = kept
        self.path = reserve_path(database.path)
        self.bytes = PARTS * checkpoint_bytes(database.path)
        self._enough = self.bytes + self.bytes // 4  # so much free space that the disk is not full again at once
        self._was_given_up = False

    def stands(self) -> bool:
        """Whether it is there, whole: a power cut may have come while it was made, or there was room for a part."""
        return _size(self.path) >= self.bytes

    def admit(self, connection: sqlite3.Connection, size: int = 0) -> None:
        """Let events in if delivering them stays possible; StoreFull otherwise. `size`: bytes of a bulk put.

        Where the reserve was given up, free pages within the database are as good: events come and go in place.
        """
        reserved = self.stands() or self._remade()
        if not reserved and self._free() < self._enough and _free_bytes(connection) < self.bytes:
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
            if self._kept:
                raise
            self._give_up()
            self._database.copy_back()  # the log is then written over from its start, which takes no space
            return action()
        if self._was_given_up:
            self._was_given_up = not self._remade()
        return result

    def given_for_intake(self) -> bool:
        """Whether to try once more to let events in that fit within the database, but for whose log there was no room.

        The reserve is given up for that: what it makes room for on delivery, the free pages do as well.
        """
        with self._database.read() as connection:
            if _free_bytes(connection) < self.bytes:
                return False
        self._give_up()
        return True

    def restore(self) -> None:
        """Make again what was given up here, as much of it as the disk has room for now that the log has gone."""
        if self._was_given_up:
            sizes = (self.bytes // part for part in (1, 2, 4, 8))
            self._was_given_up = not any(self._made(size) for size in sizes if size <= self._free())

    def _give_up(self) -> None:
        try:
            self.path.unlink()
        except OSError:
            return
        self._was_given_up = True
        text = "%s: the disk is full; the reserve was given up so that the queue can go on"
        log.warning(text, self._database.path, extra={"action": "reserve"})

    def _free(self) -> int:
        return shutil.disk_usage(self.path.parent).free

    def _remade(self) -> bool:
        """Make it where there is so much space that the disk is not full again at once."""
        return self._free() >= self._enough and self._made(self.bytes)

    def _made(self, size: int) -> bool:
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(self.path, flags, 0o600)
            try:
                inherit_owner(descriptor, self.path)
                _allocate(descriptor, size)
            finally:
                os.close(descriptor)
        except OSError as error:  # a quota, a directory of another user: then it has to go without
            log.debug("%s: no reserve: %s", self.path, error)
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            return False
        return True


def _size(path: Path) -> int:
    """Bytes of a file; none where there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 (each put asks; half the time of Path.stat)
    except OSError:
        return 0


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
