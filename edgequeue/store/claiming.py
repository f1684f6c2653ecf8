"""Reading what is due, in few steps of SQLite.

Python gives up its GIL at each row, and among threads that carry requests has to wait to have it back: row by row a
claim took 15 us per event beside four of them, for 1.2 us alone. So rows come by the chunk, as lists in text and one
long blob, wherever they are alike: of one priority, neighbours, never refused. Others come one by one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import accumulate, pairwise, repeat
from operator import eq
from typing import Any
from zlib import crc32

from edgequeue.model import Claimed, Codec
from edgequeue.store.packing import runs

_CHUNK_EVENTS = 64
_FEW = 8
"""So few are read one by one: that is one statement, not two."""

_ALIKE = """
    SELECT min(priority), max(priority), max(attempts), count(travel_max), group_concat(sequence)
    FROM (SELECT sequence, priority, attempts, travel_max FROM pending
          WHERE destination = ? AND not_before_ms <= ? ORDER BY priority, sequence LIMIT ?)
"""
_BODIES = """
    SELECT min(typeof(payload) = 'blob' AND codec = ?), group_concat(length(payload)), group_concat(checksum),
           CAST(group_concat(payload, '') AS BLOB)
    FROM (SELECT payload, codec, checksum FROM events WHERE sequence BETWEEN ? AND ? ORDER BY sequence)
"""
# LEFT JOIN keeps the order of the loops: the work list first, then one look-up per event. And it shows what is missing.
_EACH = """
    SELECT p.sequence, p.priority, p.attempts, p.travel_max, e.payload, e.checksum, e.codec
    FROM pending p LEFT JOIN events e ON e.sequence = p.sequence
    WHERE p.destination = ? AND p.not_before_ms <= ? ORDER BY p.priority, p.sequence
"""


_MADE: Callable[[Iterable[Any]], Claimed] = partial(tuple.__new__, Claimed)
"""A record from a row, without a step of Python's own: 0.1 us for 0.35."""


class Missing(Exception):  # (a row that is not there, for `Delivery.claim`)
    """An event of the work list has no row."""


def due(
    connection: sqlite3.Connection, destination: int, now_ms: int, events_max: int, travelling: Collection[int]
) -> Iterator[Claimed]:
    """Due records in the order in which they are sent, without those that travel. Raises Missing."""
    if events_max > _FEW:
        found = _alike(connection, destination, now_ms, events_max, travelling)
        if found is not None:
            yield from found
            return
    for row in connection.execute(_EACH, (destination, now_ms)):
        if row[0] not in travelling:
            yield _one(row)


def _one(row: tuple[int, int, int, int | None, object, int | None, int | None]) -> Claimed:
    sequence, priority, attempts, travel_max, payload, checksum, codec = row
    if codec is None:
        raise Missing(sequence)
    if not isinstance(payload, bytes):  # damage can put anything in its place
        payload, checksum = b"", None
    return Claimed(
        sequence, priority, attempts, travel_max, payload, codec == Codec.JSON and crc32(payload) == checksum
    )


def _alike(
    connection: sqlite3.Connection, destination: int, now_ms: int, events_max: int, travelling: Collection[int]
) -> list[Claimed] | None:
    """The same for the common case; None where it is not, or where a row is not what it should be."""
    row = connection.execute(_ALIKE, (destination, now_ms, events_max + len(travelling))).fetchone()
    low, high, attempts, bound, text = row
    if low != high or attempts or bound or text is None:
        return None
    sequences = [one for one in map(int, text.split(",")) if one not in travelling][:events_max]
    pieces = [
        (start, min(start + _CHUNK_EVENTS - 1, last))
        for first, last in runs(sequences)
        for start in range(first, last + 1, _CHUNK_EVENTS)
    ]
    if len(pieces) * _FEW > len(sequences) + _CHUNK_EVENTS:
        return None  # scattered: another statement for each would cost more
    found: list[Claimed] = []
    for first, last in pieces:
        sound, lengths, checksums, body = connection.execute(_BODIES, (int(Codec.JSON), first, last)).fetchone()
        if not sound or lengths.count(",") != last - first or checksums.count(",") != last - first:
            return None
        ends = accumulate(map(int, lengths.split(",")), initial=0)
        payloads = [body[start:end] for start, end in pairwise(ends)]
        intact = map(eq, map(crc32, payloads), map(int, checksums.split(",")))
        rows = zip(range(first, last + 1), repeat(low), repeat(0), repeat(None), payloads, intact, strict=False)
        found += map(_MADE, rows)
    return found
