"""Mending and tidying: requeue, prune, the boots table, the checks of `doctor`."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Any
from zlib import crc32

from edgequeue.clock import Boot, Clock, QueueClock, moment, next_boot
from edgequeue.store.encoding import decode_hold
from edgequeue.store.ids import QueueIds, read_ids
from edgequeue.store.packing import runs, unpack
from edgequeue.store.reserve import Reserve
from edgequeue.store.schema import APPLICATION_ID
from edgequeue.store.sqlite import Database
from edgequeue.views import SalvageView

PRUNE_CHUNK_EVENTS = 1000
"""Events deleted per transaction: the write lock is held some 8 ms at a time."""

CHECK_SECONDS = 10.0
"""How long the quick check after an unclean stop may take: some 10 GB from memory, 400 MB from a slow card. What it
did not reach by then is found when it is used."""

_STEPS_PER_LOOK = 20_000
"""Steps of SQLite's machine between two looks at the clock: some milliseconds."""

_QUEUE_ID_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: nothing that is read as something else
_LAST_SEEN = """
    SELECT max(coalesce((SELECT enqueued_ms FROM events ORDER BY sequence DESC LIMIT 1), 0),
               coalesce((SELECT max(max(opened_ms, coalesce(closed_ms, 0))) FROM requests), 0),
               coalesce((SELECT max(ended_ms) FROM endings), 0),
               coalesce((SELECT max(last_accepted_ms) FROM destinations), 0),
               coalesce((SELECT max(started_ms) FROM boots), 0))
"""
_BOOT_COLUMNS = "number, boot_id, started_ms, base_ms, wall_offset_ms, trusted"


def open_books(database: Database, clock: Clock, *, writing: bool = True) -> tuple[QueueIds, QueueClock]:
    """The queue's ids and its clock; a new queue or a new boot is written down if it can be, otherwise nothing is."""
    with database.read() as connection:
        found = _books(connection, clock.boot_id())
        if found is None and not writing:
            found = _queue_id(connection), _following(connection, clock)
    if found is None:
        with database.write() as connection:
            found = _books(connection, clock.boot_id()) or _new_books(connection, clock)
        with database.writing() as connection:  # so that the file says by itself whose it is, and which log is its own
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    queue_id, boot = found
    with database.read() as connection:
        marked = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if not marked:  # made by an earlier version
        with database.write() as connection:
            stamp(connection, queue_id)
    with database.read() as connection:
        return read_ids(connection, queue_id), QueueClock(boot, clock)


def _books(connection: sqlite3.Connection, boot_id: str) -> tuple[str, Boot] | None:
    queue_id, boot = _queue_id(connection), _last_boot(connection)
    return None if not queue_id or boot is None or boot.boot_id != boot_id else (queue_id, boot)


def _new_books(connection: sqlite3.Connection, clock: Clock) -> tuple[str, Boot]:
    queue_id = _queue_id(connection)
    if not queue_id:
        queue_id = new_queue_id()
        connection.execute("INSERT INTO queue (id, queue_id) VALUES (1, ?)", (queue_id,))
    stamp(connection, queue_id)
    boot = _following(connection, clock)
    connection.execute(
        "INSERT INTO boots VALUES (?, ?, ?, ?, ?, ?)",
        (boot.number, boot.boot_id, boot.started_ms, boot.base_ms, boot.wall_offset_ms, int(boot.trusted)),
    )
    return queue_id, boot


def _queue_id(connection: sqlite3.Connection) -> str:
    """Empty in a new file."""
    row = connection.execute("SELECT queue_id FROM queue").fetchone()
    return "" if row is None else str(row[0])


def _last_boot(connection: sqlite3.Connection) -> Boot | None:
    row = connection.execute(f"SELECT {_BOOT_COLUMNS} FROM boots ORDER BY number DESC LIMIT 1").fetchone()
    return None if row is None else _boot(row)


def _following(connection: sqlite3.Connection, clock: Clock) -> Boot:
    return next_boot(_last_boot(connection), _last_seen_ms(connection), clock)


def new_queue_id() -> str:
    """Eight letters and digits, at random."""
    return "".join(secrets.choice(_QUEUE_ID_LETTERS) for _ in range(8))


def stamp(connection: sqlite3.Connection, queue_id: str) -> None:
    """Write into the file's header whose it is: a log of another queue beside it is then known by its first page."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {mark_of(queue_id)}")


def mark_of(queue_id: str) -> int:
    """What stands for the queue's id in the 31 bits of `user_version`."""
    return crc32(queue_id.encode()) & 0x7FFFFFFF or 1


def _last_seen_ms(connection: sqlite3.Connection) -> int:
    """The newest queue time that is written anywhere.

    Holds count too: hours of trying offline write nothing else, and a clock set back to before them would leave the
    destination waiting for those hours again. One that waits for `not_before` has begun, and nothing was tried.
    """
    holds = connection.execute("SELECT hold FROM destinations WHERE hold IS NOT NULL").fetchall()
    tried = [max(hold.since_ms, hold.tried_ms) for hold in (decode_hold(row) for (row,) in holds)]
    return max(int(connection.execute(_LAST_SEEN).fetchone()[0]), *tried, 0)


def _boot(row: tuple[Any, ...]) -> Boot:
    number, boot_id, started_ms, base_ms, wall_offset_ms, trusted = row
    return Boot(number, boot_id, started_ms, base_ms, wall_offset_ms, bool(trusted))


class Upkeep:
    """The tidying half of the SQLite store."""

    def __init__(self, database: Database, ids: QueueIds, clock: QueueClock, reserve: Reserve) -> None:
        self._database = database
        self._leaving = reserve.leaving
        self._ids = ids
        self.clock = clock

    def boots(self) -> list[Boot]:
        """The boots this queue has seen, in order."""
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT {_BOOT_COLUMNS} FROM boots ORDER BY number").fetchall()
        return [_boot(row) for row in rows]

    def note_wall_clock(self) -> None:
        """Write the corrected offset when the wall clock was stepped: this boot is shown right from then on."""
        stepped = self.clock.stepped()
        if stepped is None:
            return
        with self._database.write() as connection:
            connection.execute(
                "UPDATE boots SET wall_offset_ms = ?, trusted = ? WHERE number = ?",
                (stepped.wall_offset_ms, int(stepped.trusted), stepped.number),
            )
        self.clock.boot = stepped

    def requeue(self, event_ids: Sequence[str] | None, destination: int | None) -> int:
        """Dead events become pending again, with their attempts given back."""
        query = """
            SELECT e.sequence, e.destination, e.nonce FROM endings d JOIN events e ON e.sequence = d.sequence
            WHERE d.state = 'dead'
        """
        values = []
        if destination is not None:
            query, values = f"{query} AND d.destination = ?", [destination]
        with self._database.write() as connection:
            rows = connection.execute(query, values).fetchall()
            if event_ids is not None:  # whole ids: a sequence alone may be an event of a cloned card
                named = set(event_ids)
                rows = [row for row in rows if self._ids.event_id(row[0], row[2]) in named]
            dead = [(sequence, number) for sequence, number, _ in rows]
            connection.executemany(
                "INSERT INTO pending (destination, priority, sequence) "
                "SELECT destination, priority, sequence FROM events WHERE sequence = ?",
                [(sequence,) for sequence, _ in dead],
            )
            connection.executemany("DELETE FROM endings WHERE sequence = ?", [(sequence,) for sequence, _ in dead])
            connection.executemany(
                "UPDATE destinations SET dead = dead - 1 WHERE id = ?", [(number,) for _, number in dead]
            )
        return len(dead)

    def prune(self, delivered_before_ms: int | None, dead_before_ms: int | None) -> int:
        """Delete what ended before these queue times, in short transactions; counts stay, sequences are not reused."""
        count = 0
        if delivered_before_ms is not None:
            count += self._prune_delivered(delivered_before_ms)
        if dead_before_ms is not None:
            count += self._prune_ended(dead_before_ms)
        return count

    def _prune_delivered(self, before_ms: int) -> int:
        """Requests in order: what one delivered goes first, then the request itself once none of its events is left."""
        count = 0
        cursor: int | None = 0
        while cursor is not None:
            done, cursor = self._leaving(partial(self._prune_requests, cursor, before_ms))
            count += done
        return count

    def _prune_requests(self, after: int, before_ms: int) -> tuple[int, int | None]:
        """One chunk: how many events went, and the number of its last request; None when there was none."""
        # Read under the write lock: a number may be another request's by the time that it could be had.
        with self._database.write() as connection:
            chunk = _closed_requests(connection, after, before_ms)
            return sum(_prune_request(connection, *row) for row in chunk), chunk[-1][0] if chunk else None

    def _prune_ended(self, before_ms: int) -> int:
        count = done = self._leaving(partial(self._prune_endings, before_ms))
        while done == PRUNE_CHUNK_EVENTS:
            done = self._leaving(partial(self._prune_endings, before_ms))
            count += done
        return count

    def _prune_endings(self, before_ms: int) -> int:
        with self._database.write() as connection:
            rows = connection.execute(
                "SELECT sequence FROM endings WHERE ended_ms < ? LIMIT ?", (before_ms, PRUNE_CHUNK_EVENTS)
            ).fetchall()
            _forget(connection, [sequence for (sequence,) in rows])
            connection.executemany("DELETE FROM endings WHERE sequence = ?", rows)
        return len(rows)

    def salvages(self) -> list[SalvageView]:
        """What was salvaged into this queue, oldest first."""
        with self._database.read() as connection:
            query = "SELECT salvaged_ms, events, lost, place, reason FROM salvages ORDER BY number"
            rows = connection.execute(query).fetchall()
        return [SalvageView(moment(when), *rest) for when, *rest in rows]

    def check(self, seconds: float = inf) -> list[str]:
        """SQLite's own check of the file, in words; what it did not reach in that time it says nothing of."""
        deadline = time.monotonic() + seconds
        with self._database.read() as connection:
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_PER_LOOK)
            try:
                found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                    raise
                return []
            finally:
                connection.set_progress_handler(None, 0)
        return [] if found == ["ok"] else found


def _closed_requests(connection: sqlite3.Connection, after: int, before_ms: int) -> list[tuple[int, str, bytes]]:
    """The next requests closed before a time, about as many as hold `PRUNE_CHUNK_EVENTS` events."""
    query = """
        SELECT number, disposition, sequences, events FROM requests
        WHERE number > ? AND closed_ms < ? ORDER BY number
    """
    chunk: list[tuple[int, str, bytes]] = []
    room = PRUNE_CHUNK_EVENTS
    rows = connection.execute(query, (after, before_ms))
    for number, disposition, sequences, events in rows:
        chunk.append((number, disposition, sequences))
        room -= events
        if room <= 0:
            break
    rows.close()
    return chunk


def _prune_request(connection: sqlite3.Connection, number: int, disposition: str, data: bytes) -> int:
    sequences = unpack(data)
    notes = connection.execute("SELECT sequence, disposition FROM attempts WHERE request = ?", (number,)).fetchall()
    noted = dict(notes)
    delivered = sorted(one for one in sequences if noted.get(one, disposition) == "accepted")
    count = _forget(connection, delivered)
    if len(delivered) < len(sequences):
        marks = "SELECT 1 FROM events WHERE sequence = ?"
        if any(connection.execute(marks, (one,)).fetchone() for one in sequences):
            return count
    connection.execute("DELETE FROM attempts WHERE request = ?", (number,))
    connection.execute("DELETE FROM requests WHERE number = ?", (number,))
    return count


def _forget(connection: sqlite3.Connection, sequences: Sequence[int]) -> int:
    """Delete event rows; the high-water mark keeps their sequences from ever being given again."""
    if not sequences:
        return 0
    rows = connection.executemany(
        "DELETE FROM events WHERE sequence BETWEEN ? AND ?", list(runs(sorted(sequences)))
    ).rowcount
    connection.execute("UPDATE queue SET pruned_through = max(pruned_through, ?)", (max(sequences),))
    return rows
