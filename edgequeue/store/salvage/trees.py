"""Reading the trees of a damaged database: what can be reached from the roots, what cannot, and where the gaps are.

Pure but for the pages it is given. A tree is walked from its root; what does not read, or reads as something else,
leaves a gap between two keys. Pages that nothing leads to are read afterwards and count only inside a gap, so that rows
deleted long ago, which stand in free pages still, do not come back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple, Protocol

from edgequeue.store.salvage.pages import (
    INDEX_INTERIOR,
    INDEX_LEAF,
    TABLE_INTERIOR,
    TABLE_LEAF,
    Cell,
    Unreadable,
    cell,
    layout,
    overflowing,
    record,
)
from edgequeue.store.salvage.shapes import SHAPES, Shape, row_of

DEPTH_MAX = 20
"""No tree is deeper; a page that leads back to itself would be."""

Key = tuple[int | str, ...]
Gap = tuple[Key | None, Key | None]
"""Between two keys, None for no bound: rows may have been there that could not be read."""


class Pages(Protocol):
    """Where pages come from."""

    stale: frozenset[int]
    blind: bool
    count: int

    def page(self, number: int) -> bytes | None: ...

    def numbers(self) -> Iterator[int]: ...


class Found(NamedTuple):
    """A row, and whether a tree led to its newest version."""

    row: tuple[Any, ...]
    reached: bool


class Forest:
    """The trees of one database. Walk every tree before asking for what is adrift."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._seen: set[int] = set()
        self.gaps: dict[str, list[Gap]] = {name: [] for name in SHAPES}
        self.unread_pages = 0
        self.bad_rows = 0

    def walk(self, shape: Shape, root: int | None) -> Iterator[Found]:
        """The rows of a table in order of their keys."""
        if root is None:
            self.gaps[shape.name].append((None, None))
            return
        last: Key | None = None
        for found in self._walk(shape, root, None, None, 0):
            last = key_of(shape, found.row)
            yield found
        if self._pages.blind:  # pages were added to the tree, and the one above them is not the newest
            self.gaps[shape.name].append((None if shape.key else last, None))

    def adrift(self) -> Iterator[tuple[str, Found]]:
        """The rows of pages that no tree led to, where the tables have gaps; with the names of their tables."""
        wanted = {name: self.gaps[name] for name in SHAPES if self.gaps[name]}
        for name, found in self.loose(wanted):
            if within(wanted[name], key_of(SHAPES[name], found.row)):
                yield name, found

    def loose(self, names: Collection[str]) -> Iterator[tuple[str, Found]]:
        """The same for tables that may have none."""
        if not names:
            return
        free = self._free()
        for number in self._pages.numbers():
            if number in self._seen or number in free:
                continue
            for shape, row in self._rows_adrift(number, [SHAPES[name] for name in names]):
                yield shape.name, Found(row, reached=False)

    # --- one tree -----------------------------------------------------------------------------------------------------

    def _walk(self, shape: Shape, number: int, low: Key | None, high: Key | None, depth: int) -> Iterator[Found]:
        interior, leaf = (INDEX_INTERIOR, INDEX_LEAF) if shape.key else (TABLE_INTERIOR, TABLE_LEAF)
        data = self._pages.page(number)
        try:
            if data is None or depth > DEPTH_MAX or number in self._seen:
                raise Unreadable("no page, or one that was met before")
            found = layout(data, number)
            if found.kind not in (interior, leaf):
                raise Unreadable("a page of another tree")
        except Unreadable:
            self._lose(shape, low, high)
            return
        self._seen.add(number)
        edge = low
        if number in self._pages.stale:
            self._lose(shape, low, high)
        for at in found.pointers:
            try:
                one = cell(data, at, found.kind)
                row = None if found.kind == TABLE_INTERIOR else self._row(shape, one)
                key = (one.rowid,) if found.kind == TABLE_INTERIOR else key_of(shape, row) if row else None
                if key is None or not _between(edge, key, high):
                    raise Unreadable("a row out of order, or none of this table")
            except Unreadable:
                self.bad_rows += 1
                self._lose(shape, edge, high, pages=0)
                continue
            if found.kind == interior:
                yield from self._walk(shape, one.child, edge, key, depth + 1)
            if row:
                yield Found(row, reached=number not in self._pages.stale)
            edge = key
        if found.kind == interior:
            yield from self._walk(shape, found.right, edge, high, depth + 1)

    def _lose(self, shape: Shape, low: Key | None, high: Key | None, pages: int = 1) -> None:
        self.unread_pages += pages
        gaps = self.gaps[shape.name]
        if gaps and pages and low is not None and gaps[-1][1] == low:  # a file cut short: thousands in a row
            gaps[-1] = (gaps[-1][0], high)
        else:
            gaps.append((low, high))

    def _row(self, shape: Shape, one: Cell) -> tuple[Any, ...] | None:
        payload, _ = overflowing(one, self._pages.page)
        values = record(payload, one.size)
        row = row_of(shape, one.rowid, values)
        self.bad_rows += row is not None and row[1 : len(values)] != values[1:]  # mended on the way
        return row

    # --- what no tree leads to ----------------------------------------------------------------------------------------

    def _rows_adrift(self, number: int, shapes: list[Shape]) -> Iterator[tuple[Shape, tuple[Any, ...]]]:
        data = self._pages.page(number)
        try:
            found = layout(data or b"\x00", number)
        except (Unreadable, IndexError):
            return
        fitting = [one for one in shapes if bool(one.key) == (found.kind in (INDEX_LEAF, INDEX_INTERIOR))]
        if data is None or not fitting or found.kind == TABLE_INTERIOR:
            return
        for at in found.pointers:
            try:
                one = cell(data, at, found.kind)
                for shape in fitting:
                    row = self._row(shape, one)
                    if row is not None:
                        yield shape, row
                        break
            except Unreadable:
                continue

    def _free(self) -> set[int]:
        """Pages of the free list, by what its trunks look like: the chain to them may be broken (section 1.5)."""
        free: set[int] = set()
        for number in self._pages.numbers():
            data = None if number in self._seen else self._pages.page(number)
            if data is None:
                continue
            follows, count = int.from_bytes(data[:4]), int.from_bytes(data[4:8])
            if follows <= self._pages.count and 0 < count <= len(data) // 4 - 2:
                leaves = {int.from_bytes(data[at : at + 4]) for at in range(8, 8 + 4 * count, 4)}
                if len(leaves) == count and min(leaves) >= 2 and max(leaves) <= self._pages.count:
                    free |= leaves | {number}
        return free


def key_of(shape: Shape, row: tuple[Any, ...]) -> Key:
    """What a table is ordered by."""
    return row[: shape.key or 1]


def within(gaps: list[Gap], key: Key) -> bool:
    """Whether a row of that key may have been where nothing could be read.

    A table's gap holds the row at its upper bound: what divides two pages is the largest key of the first. In a table
    without rowids, whose keys are several columns, the divider is a row of the page above.
    """
    return any(_between(low, key, high, closed=len(key) == 1) for low, high in gaps)


def _between(low: Key | None, key: Key, high: Key | None, *, closed: bool = True) -> bool:
    """Above the one; below the other, or at it: a table's own divider is the largest key to its left."""
    if low is not None and key <= low:
        return False
    return high is None or key < high or (closed and key == high)
