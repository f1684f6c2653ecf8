"""The copy that is made of a queue before its tables are changed."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import suppress
from pathlib import Path

from edgequeue.errors import StoreError, StoreFull
from edgequeue.store.connecting import connect
from edgequeue.store.trouble import translate

KEPT_MAX = 3
"""So many copies are kept, the newest: each takes as much room as the queue did."""


def backup_before(database: Path, revision: str) -> Path | None:
    """Copy a queue that holds events, or ever did, to `<name>.before-<revision>`; None for one that never did.

    Call it with the write lock held, so that the copy is the last state of the old tables. Raises StoreFull and its
    kin; half a copy is taken away, and so are the oldest beyond `KEPT_MAX`.
    """
    source = connect(database, writing=False)
    try:
        query = "SELECT max(coalesce((SELECT max(sequence) FROM events), 0), pruned_through) FROM queue"
        row = source.execute(query).fetchone()
        if row is None or not row[0]:
            return None
        place = _free_name(database, revision)
        _copy(source, place, database)
    finally:
        source.close()
    _forget_oldest(database)
    return place


def _free_name(database: Path, revision: str) -> Path:
    """An earlier try may have made one, and it may differ: nothing is overwritten."""
    name, number = f"{database.name}.before-{revision}", 1
    place = database.with_name(name)
    while place.exists():
        number += 1
        place = database.with_name(f"{name}-{number}")
    return place


def _forget_oldest(database: Path) -> None:
    names = re.compile(re.escape(database.name) + r"\.before-[0-9]{4}(-[0-9]+)?")
    copies = [one for one in database.parent.iterdir() if names.fullmatch(one.name)]
    for one in sorted(copies, key=lambda copy: copy.stat().st_mtime_ns)[:-KEPT_MAX]:
        one.unlink()


def _copy(source: sqlite3.Connection, place: Path, database: Path) -> None:
    part = place.with_name(f"{place.name}.part")
    try:
        part.unlink(missing_ok=True)  # of a copy that was interrupted
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        target = sqlite3.connect(part, isolation_level=None)
        try:
            target.execute("PRAGMA synchronous = OFF")
            source.backup(target)
        finally:
            target.close()
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(place)
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):
            part.unlink()
        wrong = translate(error, part) if isinstance(error, sqlite3.Error) else StoreError(f"{part}: {error.strerror}")
        text = f"{database}: the backup that is made before an upgrade failed, so nothing was changed ({wrong})"
        kind = StoreFull if isinstance(wrong, StoreFull) else StoreError
        remedy = "Free as much space as the database takes" if kind is StoreFull else "Check the directory"
        raise kind(f"{text}. {remedy}, and open it again; until then the older edgequeue can use it") from error
