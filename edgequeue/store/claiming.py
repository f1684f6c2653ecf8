"""Reading what is due, in few steps of SQLite.

Python gives up its GIL at each row, and among threads that carry requests has to wait to have it back: row by row a
claim took 15 us per event beside four of them, for 1.2 us alone. So rows come by the chunk, as lists in text and one
long blob, wherever they are alike: of one priority, neighbours, never refused. Others come one by one.

A chunk is bounded in bytes, and who claims stops asking when he has enough: large events must not fill the memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import accumulate, pairwise, repeat
from operator import eq
from typing import Any, NamedTuple
from zlib import crc32

from edgequeue.model import Claimed, Codec
from edgequeue.store.packing import runs

CHUNK_BYTES = 256 * 1024
"""Payloads read at once; a larger one comes alone."""

_FEW = 8
"""So few are read one by one: that is one statement, not three."""

_ALIKE = """
    SELECT min(priority), max(priority), max(attempts), count(travel_max), group_concat(sequence)
    FROM (SELECT sequence, priority, attempts, travel_max FROM pending
          WHERE destination = ? AND not_before_ms <= ? ORDER BY priority, sequence LIMIT ?)
"""
# The length and the type of a value stand in its row's head: the payload itself is not read for them.
_SIZES = """
    SELECT min(sound), group_concat(length), group_concat(checksum)
    FROM (SELECT length(payload) AS length, checksum,
                 typeof(payload) = 'blob' AND typeof(checksum) = 'integer' AND codec = ? AS sound
          FROM events WHERE sequence BETWEEN ? AND ? ORDER BY sequence)
"""
_BODIES = """
    SELECT CAST(group_concat(payload, '') AS BLOB)
    FROM (SELECT payload FROM events WHERE sequence BETWEEN ? AND ? ORDER BY sequence)
"""
# LEFT JOIN keeps the order of the loops: the work list first, then one look-up per event. And it shows what is missing.
_EACH = """
    SELECT p.sequence, p.priority, p.attempts, p.travel_max, e.payload, e.checksum, e.codec
    FROM pending p LEFT JOIN events e ON e.sequence = p.sequence
    WHERE p.destination = ? AND p.not_before_ms <= ? ORDER BY p.priority, p.sequence
"""


_MADE: Callable[[Iterable[Any]], Claimed] = partial(tuple.__new__, Claimed)
"""A record from a row, without a step of Python's own: 0.1 us for 0.35."""


class Missing(Exception):
    """An event of the work list has no row."""


def due(
    connection: sqlite3.Connection, destination: int, now_ms: int, events_max: int, travelling: Collection[int]
) -> Iterator[list[Claimed]]:
    """Due records in the order in which they are sent, some at a time, without those that travel. Raises Missing."""
    if events_max > _FEW:
        found = _alike(connection, destination, now_ms, events_max, travelling)
        if found is not None:
            yield from found
            return
    for row in connection.execute(_EACH, (destination, now_ms)):
        if row[0] not in travelling:
            yield [_one(row)]


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
) -> Iterator[list[Claimed]] | None:
    """The same for the common case; None where it is not, or where a row is not what it should be."""
    row = connection.execute(_ALIKE, (destination, now_ms, events_max + len(travelling))).fetchone()
    low, high, attempts, bound, text = row
    if low != high or attempts or bound or text is None:
        return None
    sequences = [one for one in map(int, text.split(",")) if one not in travelling][:events_max]
    neighbours = list(runs(sequences))
    if len(neighbours) * _FEW > len(sequences):
        return None  # scattered: statements for each would cost more
    chunks: list[_Chunk] = []
    for first, last in neighbours:
        sound, lengths, checksums = connection.execute(_SIZES, (int(Codec.JSON), first, last)).fetchone()
        if not sound or lengths.count(",") != last - first:
            return None
        chunks += _chunks(first, list(map(int, lengths.split(","))), list(map(int, checksums.split(","))))
    return (_read(connection, low, chunk) for chunk in chunks)


class _Chunk(NamedTuple):
    """Neighbours that are read at once: the first of them, and the length and checksum of each payload."""

    first: int
    lengths: list[int]
    checksums: list[int]


def _chunks(first: int, lengths: list[int], checksums: list[int]) -> Iterator[_Chunk]:
    """Neighbours cut to chunks of `CHUNK_BYTES` at most."""
    begin = size = 0
    for index, length in enumerate(lengths):
        size += length
        if size > CHUNK_BYTES and index > begin:
            yield _Chunk(first + begin, lengths[begin:index], checksums[begin:index])
            begin, size = index, length
    yield _Chunk(first + begin, lengths[begin:], checksums[begin:])


def _read(connection: sqlite3.Connection, priority: int, chunk: _Chunk) -> list[Claimed]:
    """The records of a chunk."""
    last = chunk.first + len(chunk.lengths) - 1
    body = connection.execute(_BODIES, (chunk.first, last)).fetchone()[0]
    payloads = [body[start:end] for start, end in pairwise(accumulate(chunk.lengths, initial=0))]
    intact = map(eq, map(crc32, payloads), chunk.checksums)
    rows = zip(range(chunk.first, last + 1), repeat(priority), repeat(0), repeat(None), payloads, intact, strict=False)
    return list(map(_MADE, rows))
