"""What is wrong with a database that was not closed, before SQLite opens it.

A log that is left behind, while nobody has the database open, tells of an unclean stop. SQLite takes such a log as far
as its checksums fit and drops the rest in silence, and it takes the log of another database for this one's: both are
looked at here, by our own reading of the files.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from edgequeue.store.mark import read_mark
from edgequeue.store.salvage.copying import queue_row, roots
from edgequeue.store.salvage.image import Image, is_page
from edgequeue.store.salvage.memory import Memory, read_memory
from edgequeue.store.salvage.pages import TABLE_INTERIOR, TABLE_LEAF, page_size
from edgequeue.store.upkeep import mark_of

_MARK_AT = 60
"""`user_version` in the header of page 1, which stands for the queue's id."""

_LOCKS = Path("/proc/locks")


class Suspicion(NamedTuple):
    """What is wrong, in words, whether the log beside the database belongs to it, and what is known of that besides."""

    reason: str
    with_log: bool = True
    memory: Memory | None = None


def suspicion(database: Path) -> Suspicion | None:
    """What is wrong with the files of a database that nobody has open; None where nothing seems to be.

    Not for a database that somebody may have open: on systems that do not tell (`/proc/locks`) nothing is looked at.
    """
    log = _size(database, "-wal")
    if _size(database) == 0:
        if not log:
            return Suspicion("the file is empty") if database.exists() and read_mark(database) else None
        return Suspicion("the database is missing or empty, and its log is there")
    if _in_use(database):
        return None
    memory = read_memory(database)
    with Image(database, memory=memory) as both:
        if not both.fits_log:
            return Suspicion("the log beside it belongs to another database", with_log=False)
        if not both.log.pages:
            return Suspicion(both.log.fault, memory=memory) if both.log.fault else None
        with Image(database, with_log=False) as alone:
            if _strangers(alone, both):
                return Suspicion("the log beside it belongs to another database", with_log=False)
        return Suspicion(both.log.fault, memory=memory) if both.log.fault else None


def was_left(database: Path) -> bool:
    """Whether a log was left behind, which tells of an unclean stop, and nobody has the database open."""
    return _size(database, "-wal") > 0 and not _in_use(database)


def _strangers(alone: Image, both: Image) -> bool:
    """Whether the log is of another queue than the database. Only what both of them say counts: a page of the database
    that cannot be read is damaged, and nobody's.
    """
    mine, theirs = _own_marks(alone), _logged_marks(both, stamped=_stamp(alone) not in (None, 0))
    if mine and theirs:
        return mine.isdisjoint(theirs)
    ours = ((_kind(alone, root), _kind(both, root)) for root in roots(alone).values())
    return any(None not in kinds and kinds[0] != kinds[1] for kinds in ours)


def _own_marks(alone: Image) -> set[int]:
    """What the database by itself says of its queue, in its header and in the queue's row: either may be damaged."""
    row, found = queue_row(alone), _stamp(alone)
    return ({mark_of(row[1])} if row else set()) | ({found} if found else set())


def _logged_marks(both: Image, *, stamped: bool) -> set[int]:
    """The same of the log, where it has these pages. A header without a mark tells of another program only where the
    database has one (`stamped`): the first versions wrote none.
    """
    marks = set()
    if 1 in both.log.pages:
        found = _stamp(both)
        marks |= {found} if found or (stamped and found is not None) else set()
    if roots(both).get("queue") in both.log.pages:
        row = queue_row(both)
        marks |= {mark_of(row[1])} if row else set()
    return marks


def _stamp(image: Image) -> int | None:
    """The mark in the header, 0 where it has none; None where the header cannot be read."""
    first = image.page(1)
    if first is None or page_size(first) is None:
        return None
    return int.from_bytes(first[_MARK_AT : _MARK_AT + 4])


def _kind(image: Image, number: int) -> bool | None:
    """Whether a page is of a table (True) or of an index; None where it is no page."""
    data = image.page(number)
    return data[0] in (TABLE_LEAF, TABLE_INTERIOR) if data and is_page(data) else None


def _in_use(database: Path) -> bool:
    """Whether some process, ours too, holds SQLite's lock on the file: every connection does once it has read."""
    if not sys.platform.startswith("linux"):
        return True
    try:
        number = database.stat().st_ino
        return any(line.split()[-3].endswith(f":{number}") for line in _LOCKS.read_text().splitlines())
    except (OSError, IndexError):
        return True


def _size(database: Path, suffix: str = "") -> int:
    with suppress(OSError):
        return database.with_name(f"{database.name}{suffix}").stat().st_size
    return 0
