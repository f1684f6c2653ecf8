"""One page of a SQLite file as bytes: its cells, and the records in them. Pure; nothing is taken on trust.

The format is SQLite's own (https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1). What does not add up raises
`Unreadable`: a damaged page can hold anything.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack_from
from typing import Any, NamedTuple

HEADER_BYTES = 100
"""The file's own header, at the beginning of page 1."""

MAGIC = b"SQLite format 3\x00"

TABLE_LEAF, TABLE_INTERIOR, INDEX_LEAF, INDEX_INTERIOR = 0x0D, 0x05, 0x0A, 0x02
LEAVES = (TABLE_LEAF, INDEX_LEAF)
KINDS = (TABLE_LEAF, TABLE_INTERIOR, INDEX_LEAF, INDEX_INTERIOR)

_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Serial types of integers and their bytes."""

PAYLOAD_BYTES_MAX = 1 << 30
"""No record is larger: what says so is damaged."""


class Unreadable(Exception):
    """These bytes are not what they should be."""


class Cell(NamedTuple):
    """One cell: a child page (interior), a rowid (tables), and its payload, in part where it goes on elsewhere."""

    child: int
    rowid: int
    size: int
    local: bytes
    overflow: int


class Layout(NamedTuple):
    """How the cells of a page are found: its kind, where they stand, and the last child of an interior page."""

    kind: int
    pointers: tuple[int, ...]
    right: int


def page_size(header: bytes) -> int | None:
    """The page size that a file's header names; None where it names none."""
    if len(header) < HEADER_BYTES or header[:16] != MAGIC:
        return None
    size = int.from_bytes(header[16:18])
    size = 65536 if size == 1 else size
    return size if 512 <= size <= 65536 and size & (size - 1) == 0 else None


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, as 64 bits with a sign, and where the next thing begins."""
    value = 0
    for index in range(at, at + 8):
        byte = data[index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, index + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9


def layout(data: bytes, number: int) -> Layout:
    """Where a page's cells are."""
    at = HEADER_BYTES if number == 1 else 0
    kind = data[at]
    if kind not in KINDS:
        raise Unreadable("not a page of a tree")
    interior = kind not in LEAVES
    begin = at + (12 if interior else 8)
    count = int.from_bytes(data[at + 3 : at + 5])
    if begin + 2 * count > len(data):
        raise Unreadable("more cells than the page has room for")
    pointers: tuple[int, ...] = unpack_from(f">{count}H", data, begin)
    return Layout(kind, pointers, int.from_bytes(data[at + 8 : at + 12]) if interior else 0)


def cell(data: bytes, at: int, kind: int) -> Cell:
    """The cell at a place in a page (no reserved bytes at its end: SQLite makes none unless it is asked to)."""
    try:
        child = 0
        if kind in (TABLE_INTERIOR, INDEX_INTERIOR):
            child, at = int.from_bytes(data[at : at + 4]), at + 4
        if kind == TABLE_INTERIOR:
            return Cell(child, varint(data, at)[0], 0, b"", 0)
        size, at = varint(data, at)
        rowid = 0
        if kind == TABLE_LEAF:
            rowid, at = varint(data, at)
    except IndexError:
        raise Unreadable("a cell beyond the page's end") from None
    if not 0 <= size <= PAYLOAD_BYTES_MAX:
        raise Unreadable("a record of an absurd size")
    here = local_bytes(size, len(data), kind)
    end = at + here
    if end + (4 if here < size else 0) > len(data):
        raise Unreadable("a record beyond the page's end")
    overflow = int.from_bytes(data[end : end + 4]) if here < size else 0
    return Cell(child, rowid, size, data[at:end], overflow)


def local_bytes(size: int, page_bytes: int, kind: int) -> int:
    """How much of a record stands in its own page (section 1.6)."""
    most = page_bytes - 35 if kind == TABLE_LEAF else (page_bytes - 12) * 64 // 255 - 23
    if size <= most:
        return size
    least = (page_bytes - 12) * 32 // 255 - 23
    kept = least + (size - least) % (page_bytes - 4)
    return kept if kept <= most else least


def overflowing(cell: Cell, page: Callable[[int], bytes | None]) -> tuple[bytes, list[int]]:
    """A cell's whole payload, as far as its chain of pages can be followed, and those pages."""
    if not cell.overflow:
        return cell.local, []
    parts, chain = [cell.local], []
    left, number = cell.size - len(cell.local), cell.overflow
    while left > 0 and number:
        data = page(number)
        if data is None:
            break
        chain.append(number)
        parts.append(data[4 : 4 + left])
        left -= len(data) - 4
        number = int.from_bytes(data[:4])
    return b"".join(parts), chain


def record(payload: bytes, size: int) -> tuple[Any, ...]:
    """The values of a record that says it has `size` bytes; its last value may be cut short, no other."""
    try:
        head, at = varint(payload, 0)
        if not 1 <= head <= len(payload):
            raise Unreadable("a record whose head is elsewhere")
        body, values = head, []
        while at < head:
            serial, at = varint(payload, at)
            value, body = _value(payload, serial, body, whole=at < head or body > len(payload))
            values.append(value)
    except IndexError:
        raise Unreadable("a record that ends too early") from None
    except UnicodeDecodeError:
        raise Unreadable("text that is none") from None
    if at != head or body != size:
        raise Unreadable("a record of another size than it says")
    return tuple(values)


def _value(payload: bytes, serial: int, at: int, *, whole: bool) -> tuple[Any, int]:
    """One value and where it ends. `whole`: it must all be there."""
    if serial >= 12:
        end = at + (serial - 12) // 2
        if whole and end > len(payload):
            raise Unreadable("a value that is not all there")
        found = payload[at:end]
        return (str(found, "utf-8") if serial & 1 else found), end
    if serial in _INTEGERS:
        end = at + _INTEGERS[serial]
        if end > len(payload):
            raise Unreadable("a number that is not all there")
        return int.from_bytes(payload[at:end], signed=True), end
    if serial in (0, 8, 9):
        return (None if serial == 0 else serial - 8), at
    raise Unreadable("a value of no type that we write")
