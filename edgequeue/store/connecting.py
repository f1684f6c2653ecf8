"""A connection to SQLite as edgequeue wants it: pragmas, sizes, our own patience, and those that must not be closed."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from pathlib import Path

PAGE_BYTES = 1024
"""Chosen by measurement (docs/decisions.md): two thirds of the bytes that 2048 writes over an event's life, and a file
little more than half as large. It cannot be changed later without rewriting the file."""

CHECKPOINT_BYTES = 4 * 1024 * 1024
"""The write-ahead log is copied back once it holds this much: bounds the log, and 1 put in 1,000 pays for it."""

CHECKPOINT_SHARE = 16
"""On a disk of less than 64 MiB: at a sixteenth of it. The log and the reserve then leave three quarters for events."""

JOURNAL_BYTES_MAX = 16 * 1024 * 1024
"""After a bulk put the log is cut back to this. Never below the checkpoint size: overwriting in place is cheapest."""

READ_PATIENCE_MS = 10_000
"""How long a read waits for another process's recovery of the log: the only thing that ever makes it wait."""

RETRY_SECONDS = (0.0002, 0.0005)
"""Between two tries for the write lock. SQLite's own handler sleeps up to 100 ms and starves the other process."""

NEVER_CLOSED: list[sqlite3.Connection] = []
"""Connections that came along in a fork, or whose file was moved aside: SQLite removes a log by its name when the last
connection closes, and by now that name is the parent's log, or the new database's."""


def connect(
    path: Path, *, durability: str = "full", writing: bool = True, page_bytes: int = PAGE_BYTES
) -> sqlite3.Connection:
    """A connection with edgequeue's pragmas. Raises what sqlite3 raises; `translated` makes it ours."""
    place = f"{path.as_uri()}?mode=rw"  # SQLite would make a missing file, which everybody may read
    connection = sqlite3.connect(
        place, uri=True, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        run = connection.execute
        # While another process recovers the log after a crash, even a read is told to wait.
        run(f"PRAGMA busy_timeout = {READ_PATIENCE_MS}")
        run("PRAGMA temp_store = MEMORY")
        run("PRAGMA secure_delete = OFF")  # `erase` overwrites on purpose; otherwise prune would write twice as much
        if not writing:
            run("PRAGMA query_only = ON")
            run("PRAGMA wal_autocheckpoint = 0")
            return connection
        run(f"PRAGMA page_size = {page_bytes}")
        if run("PRAGMA journal_mode").fetchone()[0] != "wal":
            patiently(lambda: run("PRAGMA journal_mode = WAL"), time.monotonic() + 5.0)
        page_bytes = run("PRAGMA page_size").fetchone()[0]
        run(f"PRAGMA synchronous = {'NORMAL' if durability == 'normal' else 'FULL'}")
        run(f"PRAGMA wal_autocheckpoint = {checkpoint_bytes(path) // page_bytes}")
        run(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}")
        run("PRAGMA busy_timeout = 0")  # for the write lock we wait ourselves
    except BaseException:
        connection.close()
        raise
    return connection


def checkpoint_bytes(path: Path) -> int:
    """At what size the log of a database is copied back: less on a small disk, where the log is a large part of it."""
    return min(CHECKPOINT_BYTES, shutil.disk_usage(path.parent).total // CHECKPOINT_SHARE)


def keep_for_ever(connection: sqlite3.Connection) -> None:
    """Not even the end of the interpreter closes it: one reference more than anybody knows of."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
    NEVER_CLOSED.append(connection)


def patiently(action, deadline: float) -> None:  # type: ignore[no-untyped-def]
    """Try until it is our turn. Short waits with jitter: both sides then keep 0.86–0.99 of their rate."""
    while True:
        try:
            action()
        except sqlite3.OperationalError as error:
            if (error.sqlite_errorcode & 0xFF) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            if time.monotonic() >= deadline:
                raise
        else:
            return
        time.sleep(random.uniform(*RETRY_SECONDS))


def inherit_owner(descriptor: int, path: Path) -> None:
    """Run as root, a new file belongs to whoever owns its directory, or the service's own user could not write it."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        parent = path.parent.stat()
        os.fchown(descriptor, parent.st_uid, parent.st_gid)
