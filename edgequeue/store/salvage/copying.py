"""Every row that can still be read, copied from the pages of a damaged database into the tables of a new one."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from edgequeue.store.packing import unpack
from edgequeue.store.salvage.pages import (
    HEADER_BYTES,
    INDEX_LEAF,
    TABLE_LEAF,
    Unreadable,
    cell,
    layout,
    overflowing,
    page_size,
    record,
)
from edgequeue.store.salvage.shapes import SHAPES, Shape
from edgequeue.store.salvage.trees import Forest, Found, Gap, Pages, within
from edgequeue.store.schema import APPLICATION_ID

_TABLES_THAT_PROVE = 5
"""So many tables of the names of ours are no other program's."""

CHUNK_ROWS = 500
"""Rows handed to the driver at a time."""

INDEX = "sqlite_autoindex_destinations_1"

_ORDER = ("alembic_version", "queue", "salvages", INDEX, "destinations", "boots")
_ROWS = ("events", "endings", "pending", "attempts", "requests")

ROOTS = {
    "alembic_version": 2,
    "queue": 4,
    "boots": 5,
    "destinations": 6,
    INDEX: 7,
    "events": 10,
    "pending": 12,
    "requests": 13,
    "attempts": 16,
    "endings": 18,
    "salvages": 19,
}
"""Where the trees begin in a database that this version made; a test holds it to that."""

STAGING = (
    # An event that only a page adrift holds, or an older version of its page, may have been deleted long ago.
    "CREATE TEMP TABLE adrift (sequence INTEGER PRIMARY KEY)",
    "CREATE TEMP TABLE pending_adrift (destination, priority, sequence INTEGER PRIMARY KEY)",
    "CREATE TEMP TABLE endings_adrift AS SELECT * FROM endings",
    "CREATE TEMP TABLE accepted (sequence INTEGER PRIMARY KEY, destination, surely)",
)

_INTO = {
    ("events", False): "INSERT OR IGNORE INTO adrift VALUES (?1)",
    ("endings", False): "INSERT INTO endings_adrift VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    ("pending", False): "INSERT OR REPLACE INTO pending_adrift VALUES (?1, ?2, ?3)",
}


@dataclass(slots=True)
class Copied:
    """What came back: the rows that are about the whole queue, and where rows could not be read."""

    queue_id: str | None = None
    pruned_through: int | None = None
    names: dict[int, str] = field(default_factory=dict)
    gaps: dict[str, list[Gap]] = field(default_factory=dict)
    unread_pages: int = 0
    bad_rows: int = 0


def copy_rows(pages: Pages, target: sqlite3.Connection) -> Copied:
    """Copy into the empty tables of `target`, within its transaction."""
    for statement in STAGING:
        target.execute(statement)
    forest = Forest(pages)
    copying = _Copying(target)
    places = roots(pages)
    for name in (*_ORDER, *_ROWS):
        root = places.get(name)
        if root is None and places and name == "salvages":  # the tables of an older version have none
            continue
        for found in forest.walk(SHAPES[name], root):
            copying.take(name, found)
    if not forest.gaps["events"] and copying.misses(forest.loose(["events"])):
        forest.gaps["events"].append((None, None))  # a page that is whole, and not the one that belongs there
    for name, found in forest.adrift():
        copying.take(name, found)
    copying.finish()
    copied = copying.copied
    copied.gaps, copied.unread_pages, copied.bad_rows = forest.gaps, forest.unread_pages, forest.bad_rows
    _note_acceptances(target, forest.gaps["attempts"])
    return copied


def proven(pages: Pages) -> bool:
    """Whether anything is there that only a queue of ours can hold. Reads as far as it takes to find it."""
    if _marked(pages) or len(_schema(pages)) >= _TABLES_THAT_PROVE or queue_row(pages) is not None:
        return True
    forest, places = Forest(pages), roots(pages)
    for name in ("queue", "destinations", "events"):
        if any(_proves(name, found.row) for found in forest.walk(SHAPES[name], places.get(name))):
            return True
    return any(_proves(name, found.row) for name, found in forest.adrift())


def _proves(name: str, row: tuple[Any, ...]) -> bool:
    """Whether a row is ours beyond doubt: by its many columns, or by its checksum."""
    return name in ("queue", "destinations") or (name == "events" and crc32(row[-1]) == row[-2])


class _Copying:
    """Rows on their way, in chunks per statement."""

    def __init__(self, target: sqlite3.Connection) -> None:
        self._target = target
        self._chunks: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self.copied = Copied()

    def take(self, name: str, found: Found) -> None:
        """Put a row where it belongs."""
        row = found.row
        match name:
            case "alembic_version":
                return
            case "queue":
                if self.copied.queue_id is None:
                    _, self.copied.queue_id, self.copied.pruned_through = row
                return
            case _ if name == INDEX:
                self.copied.names.setdefault(row[1], row[0])
                return
            case "destinations":
                self.copied.names[row[0]] = row[1]
        if name != "endings" or found.reached:
            self._put(f"INSERT OR IGNORE INTO {name} VALUES ({', '.join('?' * len(row))})", row)
        if not found.reached and (name, False) in _INTO:
            statement = _INTO[name, False]
            self._put(statement, row[: statement.count("?")])

    def _put(self, statement: str, row: tuple[Any, ...]) -> None:
        chunk = self._chunks[statement]
        chunk.append(row)
        if len(chunk) >= CHUNK_ROWS:
            self._target.executemany(statement, chunk)
            chunk.clear()

    def misses(self, loose: Iterator[tuple[str, Found]]) -> bool:
        """Whether among these are events that are sound, and neither taken nor pruned."""
        self.finish()
        seen = "SELECT 1 FROM events WHERE sequence = ?"
        return any(
            row[0] > (self.copied.pruned_through or 0)
            and crc32(row[-1]) == row[-2]
            and self._target.execute(seen, row[:1]).fetchone() is None
            for _, (row, _) in loose
        )

    def finish(self) -> None:
        """Write what is left."""
        for statement, chunk in self._chunks.items():
            self._target.executemany(statement, chunk)
            chunk.clear()


def strangers(pages: Pages) -> bool:
    """Whether the first page reads as that of another program's database: sound, with tables, and none of our marks."""
    first = pages.page(1) or b""
    if page_size(first[:HEADER_BYTES]) is None or _marked(pages):
        return False
    try:
        there = layout(first, 1)
    except (Unreadable, IndexError):
        return False
    return bool(there.pointers) and len(_schema(pages)) < _TABLES_THAT_PROVE and not _usual_roots(pages, {})


def _marked(pages: Pages) -> bool:
    """Whether the file's header says that it is ours."""
    first = pages.page(1) or b""
    return page_size(first[:HEADER_BYTES]) is not None and first[68:72] == APPLICATION_ID.to_bytes(4)


def roots(pages: Pages) -> dict[str, int]:
    """Where each table's tree begins, as the schema says; nothing for what it cannot say any more."""
    found = _schema(pages)
    return found | _usual_roots(pages, found)


def _schema(pages: Pages) -> dict[str, int]:
    """The tables of ours that the schema names."""
    found: dict[str, int] = {}
    queue = [1]
    for number in queue:  # a schema of ours fits a few pages
        data = pages.page(number) or b"\x00"
        try:
            there = layout(data, number)
        except (Unreadable, IndexError):
            continue
        for at in there.pointers:
            try:
                one = cell(data, at, there.kind)
                if there.kind != TABLE_LEAF:
                    queue.append(one.child)
                    continue
                payload, _ = overflowing(one, pages.page)
                _, name, _, root, _ = record(payload, one.size)
            except (Unreadable, ValueError):
                continue
            if name in SHAPES and isinstance(root, int) and root > 1:
                found.setdefault(name, root)
        if there.kind != TABLE_LEAF and len(queue) < pages.count:
            queue.append(there.right)
    return found


def _usual_roots(pages: Pages, known: dict[str, int]) -> dict[str, int]:
    """Roots that the schema cannot tell, where everything else is as in a database that was made in one go."""
    if any(ROOTS[name] != root for name, root in known.items()):
        return {}
    missing = {name: root for name, root in ROOTS.items() if name not in known}
    begun = {name for name, root in missing.items() if next(Forest(pages).walk(SHAPES[name], root), None)}
    others = missing.keys() - begun
    proof = len(begun) >= _ROOTS_THAT_PROVE and ({"queue", "destinations"} & (begun | known.keys()))
    return missing if proof and all(_is_blank(pages, SHAPES[name], missing[name]) for name in others) else {}


_ROOTS_THAT_PROVE = 3
"""So many tables where they usually are, of those that the schema cannot tell: it is a database of that kind."""


def _is_blank(pages: Pages, shape: Shape, root: int) -> bool:
    """Whether nothing speaks against a root there: an empty page of a table's kind, or one that cannot be read."""
    try:
        there = layout(pages.page(root) or b"\x00", root)
    except (Unreadable, IndexError):
        return True
    return there.kind == (INDEX_LEAF if shape.key else TABLE_LEAF) and not there.pointers


def queue_row(pages: Pages) -> tuple[Any, ...] | None:
    """The queue's own row, where it can be read."""
    found = Forest(pages).walk(SHAPES["queue"], roots(pages).get("queue"))
    return next((one.row for one in found), None)


def _note_acceptances(target: sqlite3.Connection, gaps: list[Gap]) -> None:
    """Write down which events a closed request covers as accepted; not surely so where its notes may be missing."""
    rows = target.execute(
        "SELECT number, destination, disposition, events, sequences FROM requests WHERE closed_ms IS NOT NULL"
    )
    for number, destination, disposition, count, data in rows:
        notes = dict(target.execute("SELECT sequence, disposition FROM attempts WHERE request = ?", (number,)))
        accepted = [one for one in unpack(data, count) if notes.get(one, disposition) == "accepted"]
        target.executemany(
            "INSERT INTO accepted VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET surely = max(surely, ?3)",
            [(one, destination, one in notes or not within(gaps, (number, one))) for one in accepted],
        )
