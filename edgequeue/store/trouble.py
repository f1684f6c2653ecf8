"""The driver's errors as ours, at the one border where both are known: what happened, where, and what would help."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgequeue.errors import QueueBusy, StoreDamaged, StoreError, StoreFull

NO_SPACE_BYTES = 128 * 1024
"""With less free than this, an error of the disk is its fullness: SQLite cannot even make its shared memory."""


KEEP_IT = "It is salvaged as soon as a process that may write to it comes upon it; nothing is deleted"
"""What becomes of a damaged database, for who cannot salvage it."""

START_ANEW = "Nothing of it could be salvaged. Move it aside to start anew; keep the file"
"""What to do with a damaged database of which nothing can be read."""

_DAMAGE_IN_WORDS = ("unsupported file format", "Could not decode to UTF-8", "no such ", "values were supplied")
"""How the driver speaks of damage that it has no code for. Our statements fit the tables of this version: where
they do not, those are damaged."""

_DAMAGED_READS = (sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS, sqlite3.SQLITE_IOERR_DATA)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The driver's errors as ours, at the one border where both are known."""
    try:
        yield
    except UnicodeDecodeError as error:  # the driver's own words quote what is damaged
        raise StoreDamaged(f"{path}: the database is damaged (its schema is no text). {KEEP_IT}") from error
    except Exception as error:
        cause = getattr(error, "orig", error)  # SQLAlchemy wraps the driver's error
        if not isinstance(cause, sqlite3.Error):
            raise
        raise translate(cause, path) from error


def translate(error: sqlite3.Error, path: Path) -> StoreError:
    """What a driver's error means for the user of `path`."""
    code = getattr(error, "sqlite_errorcode", 0) or 0
    match code & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return QueueBusy(f"{path}: another process holds the write lock; nothing was stored. Try again")
        case sqlite3.SQLITE_FULL:
            return StoreFull(f"{path}: the disk is full; nothing was stored. Free some space: what is queued is safe")
        case sqlite3.SQLITE_NOTADB:
            return StoreDamaged(f"{path}: this file is no SQLite database. Name another path, or move the file aside")
        case sqlite3.SQLITE_CORRUPT:
            return StoreDamaged(f"{path}: the database is damaged ({error}). {KEEP_IT}")
        case sqlite3.SQLITE_CONSTRAINT:  # our statements keep the rules of our tables, so it is the rows that do not
            return StoreDamaged(f"{path}: the database is damaged (rows out of order: {error}). {KEEP_IT}")
        case sqlite3.SQLITE_READONLY if code == sqlite3.SQLITE_READONLY and _writable(path):
            return StoreDamaged(f"{path}: the database is damaged (its header forbids writing). {KEEP_IT}")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StoreError(f"{path}: not writable by this user ({error}). {_who_may(path)}")
        case sqlite3.SQLITE_CANTOPEN:
            return StoreError(f"{path}: cannot be opened. {_who_may(path)}")
        case sqlite3.SQLITE_IOERR if code in _DAMAGED_READS:
            return StoreDamaged(f"{path}: the database is damaged ({error}). {KEEP_IT}")
        case sqlite3.SQLITE_IOERR:
            if _no_space(path):
                return StoreFull(f"{path}: the disk is full. Free some space: what is queued is safe")
            return StoreError(f"{path}: the disk reported an error ({error}); nothing was stored. Check the disk")
    if any(words in str(error) for words in _DAMAGE_IN_WORDS):
        return StoreDamaged(f"{path}: the database is damaged ({error}). {KEEP_IT}")
    return StoreError(f"{path}: {error}")


def _writable(path: Path) -> bool:
    """Whether this user may write the file and its directory, and their file system allows it."""
    return all(os.access(place, os.W_OK) for place in (path, path.parent))


def _who_may(path: Path) -> str:
    """Why this user may not, and what would help."""
    for place in (path, path.parent):
        try:
            state = place.stat()
        except OSError:
            continue
        if os.access(place, os.W_OK | (os.X_OK if place.is_dir() else 0)):
            continue
        if hasattr(os, "statvfs") and os.statvfs(place).f_flag & os.ST_RDONLY:
            return f"{place} is on a file system that is mounted read-only: mount it writable, or check the card"
        if state.st_uid == os.geteuid():
            return f"{place} has mode {state.st_mode & 0o777:03o}: chmod u+w it"
        return f"{place} belongs to user {state.st_uid}, you are user {os.geteuid()}: run as that user, or chown it"
    return "Check that its directory exists and is writable"


def _no_space(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < NO_SPACE_BYTES
    except OSError:
        return False
