"""A log that lost its name while it was open, by `rm queue.db-wal` for example: what is in it is copied back into the
database in time, because nobody else sees it there, and it is gone when the last process that has it open dies.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgequeue.store.forking import OPEN
from edgequeue.store.salvage.aside import SHARED_FIRST, SHARED_SIZE, alone, new_place
from edgequeue.store.salvage.copying import roots
from edgequeue.store.salvage.image import Image
from edgequeue.store.salvage.shapes import SHAPES
from edgequeue.store.salvage.trees import Forest
from edgequeue.store.sqlite import Database

log = logging.getLogger("edgequeue")


def bring_home(database: Database) -> None:
    """Copy the log back, and close all connections of this process: the next ones open what has the names.

    Where another process has begun a log of its own meanwhile, the two cannot be made one: unless it has all that this
    one has, a copy of what this one sees is kept beside the file. QueueBusy while another process is at it.
    """
    path = database.path
    with alone(path, opening=False):
        kept = None
        connection = database.any_connection()
        if connection is not None:
            if not database.log_is_anothers():
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            elif not _has_newest(path, connection):
                kept = new_place(path)
                _copy(connection, kept)
        with _removing_nothing(path):
            for one in list(OPEN):
                if isinstance(one, Database) and one.path == path:
                    one.let_go()
    extra = {"action": "strayed", "place": None if kept is None else str(kept)}
    if kept is None:
        log.error("%s: its log was deleted while it was open; what was in it is in the database", path, extra=extra)
    else:
        text = "%s: its log was deleted while it was open, and another one begun; what this process had is kept as %s"
        log.error(text, path, kept.name, extra=extra)


def _has_newest(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether the files of that name have the newest event that the connection sees. Read without SQLite, which would
    take the shared memory that this process has open for that of these files.
    """
    newest = connection.execute("SELECT sequence, nonce FROM events ORDER BY sequence DESC LIMIT 1").fetchone()
    if newest is None:
        return True
    with Image(path) as image:
        found: Iterator[Any] = Forest(image).walk(SHAPES["events"], roots(image).get("events"))
        return any(one.row[:2] == newest for one in found)


def _copy(connection: sqlite3.Connection, place: Path) -> None:
    os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    target = sqlite3.connect(place)
    try:
        connection.backup(target)
    finally:
        target.close()


@contextmanager
def _removing_nothing(path: Path) -> Iterator[None]:
    """No close takes itself for the last in here: it would remove the log that has the name, which is another's by now.

    A lock that belongs to a descriptor is the only kind that SQLite in this process respects; Linux has it.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    import fcntl

    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flock = struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, SHARED_FIRST, SHARED_SIZE, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, flock)
        yield
    finally:
        os.close(descriptor)
