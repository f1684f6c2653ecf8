"""Delivering: lease, claim, record, settle. Small rows only; a payload is read once and never written again.

A request is on record before its first byte goes out, with the events it carries, so that after a crash it is known
which requests have an unknown outcome. What has ended leaves `pending`; what stays is touched only if it changed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from errno import EROFS

import orjson

from edgequeue.errors import LeaseLost, StoreDamaged, StoreError
from edgequeue.learning import Learned
from edgequeue.model import Claimed, Problem
from edgequeue.outcome import Death, Settlement
from edgequeue.retry import Hold
from edgequeue.store.base import Closing, Lease, NewRequest
from edgequeue.store.claiming import Missing, due
from edgequeue.store.encoding import encode_hold, encode_learned, encode_problem
from edgequeue.store.ids import QueueIds
from edgequeue.store.lease import FileLock, lease_path
from edgequeue.store.packing import pack, runs, unpack
from edgequeue.store.sqlite import Database
from edgequeue.store.trouble import KEEP_IT

_OPEN_SEQUENCES = "SELECT sequences FROM requests WHERE destination = ? AND closed_ms IS NULL"
_RECORD = """
    INSERT INTO requests
        (request_id, destination, fence, opened_ms, events, bytes, first_sequence, last_sequence, sequences)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CLOSE = """
    UPDATE requests
    SET closed_ms = ?, outcome = ?, disposition = ?, http_status = ?, receipt = ?, service = ?, error = ?
    WHERE number = ? AND fence = ?
"""
_RESCUE = """
    UPDATE requests SET closed_ms = ?, outcome = 'unknown', disposition = 'unknown', error = ?
    WHERE closed_ms IS NULL AND destination = ?
"""
_DONE = "DELETE FROM pending WHERE destination = ? AND priority = ? AND sequence = ?"
_ALL_DONE = "DELETE FROM pending WHERE destination = ? AND priority = ? AND sequence BETWEEN ? AND ?"
_WAIT = """
    UPDATE pending SET not_before_ms = ?, attempts = ?, travel_max = ?
    WHERE destination = ? AND priority = ? AND sequence = ?
"""
_END = "INSERT INTO endings VALUES (?, ?, 'dead', ?, ?, ?, ?, ?)"
_NOTE = "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

_NOT_ANSWERED = Problem("not_recorded", "the worker ended before the answer was recorded")


class Delivery:
    """The sending half of the SQLite store. Destinations are numbers here; `SqliteStore` knows their names."""

    _ids: QueueIds

    def __init__(self, database: Database) -> None:
        self._database = database

    def take_over(self, ids: QueueIds) -> None:
        """Use these ids; they are others where the file is another one."""
        self._ids = ids

    def acquire(self, destination: int, name: str, kind: str, now_ms: int) -> Lease | None:
        """Lock the destination's lease file and raise its fence."""
        path = lease_path(self._database.path, name)
        try:
            lock = FileLock.take(path)
        except OSError as error:
            readonly = error.errno == EROFS
            remedy = "Mount the disk for writing" if readonly else "Check the directory's owner"
            raise StoreError(f"{path}: cannot be made: {error.strerror}. {remedy}") from error
        if lock is None:
            return None
        try:
            owner = orjson.dumps({"pid": os.getpid(), "kind": kind, "since_ms": now_ms}).decode()
            with self._database.write() as connection:
                connection.execute(
                    "UPDATE destinations SET fence = fence + 1, owner = ? WHERE id = ?", (owner, destination)
                )
                row = connection.execute("SELECT fence FROM destinations WHERE id = ?", (destination,)).fetchone()
        except BaseException:
            lock.release()
            raise
        return Lease(destination, name, row[0], lock, self._ids.current)

    def release(self, lease: Lease) -> None:
        """Let go of the lock; who looks sees by the lock, not by the row, that nobody holds it."""
        lease.lock.release()

    def rescue(self, lease: Lease, now_ms: int) -> int:
        """Close what a dead worker left open; nothing is written when there is nothing."""
        if not self._is_ours(lease):
            return 0
        with self._database.read() as connection:
            if connection.execute(_OPEN_SEQUENCES + " LIMIT 1", (lease.destination,)).fetchone() is None:
                return 0
        with self._database.write() as connection:
            self._require(connection, lease)  # else they are somebody else's, who waits for their answers
            values = (now_ms, encode_problem(_NOT_ANSWERED), lease.destination)
            return connection.execute(_RESCUE, values).rowcount

    def claim(self, lease: Lease, now_ms: int, events_max: int, bytes_max: int) -> list[Claimed]:
        """Read due records until either bound is reached; nothing is written."""
        claimed: list[Claimed] = []
        room = bytes_max
        with self._database.read() as connection:
            self._require(connection, lease)
            travelling = open_sequences(connection, lease.destination)
            try:
                for chunk in due(connection, lease.destination, now_ms, events_max, travelling):
                    claimed += chunk
                    room -= sum([len(one.payload) for one in chunk])
                    if room <= 0 or len(claimed) == events_max:
                        break
            except Missing as error:
                text = f"{self._database.path}: the database is damaged (event {error} is missing). {KEEP_IT}"
                raise StoreDamaged(text) from error
        while room < 0 and room + len(claimed[-1].payload) <= 0:  # the last chunk went further
            room += len(claimed.pop().payload)
        return claimed

    def next_due_ms(self, destination: int) -> int | None:
        """The earliest `not_before_ms` of what is pending and in no open request."""
        with self._database.read() as connection:
            travelling = open_sequences(connection, destination)
            rows = connection.execute(
                "SELECT sequence, not_before_ms FROM pending WHERE destination = ? ORDER BY not_before_ms LIMIT ?",
                (destination, len(travelling) + 1),
            )
            return next((due_ms for sequence, due_ms in rows.fetchall() if sequence not in travelling), None)

    def record(self, lease: Lease, requests: Sequence[NewRequest], now_ms: int) -> list[int]:
        """Open a row per request, all in one commit."""
        numbers = []
        with self._database.write() as connection:
            self._require(connection, lease)
            for request_id, sequences, size in requests:
                row = (request_id, lease.destination, lease.fence, now_ms, len(sequences), size)
                ends = (min(sequences), max(sequences), pack(sequences))
                numbers.append(int(connection.execute(_RECORD, row + ends).lastrowid or 0))
        return numbers

    def settle(
        self, lease: Lease, closings: Sequence[Closing], now_ms: int, hold: Hold | None, learned: Learned | None
    ) -> None:
        """Apply settlements in one commit."""
        with self._database.write() as connection:
            if not self._is_ours(lease):
                return
            if not _is_current(connection, lease):
                for number, settlement in closings:
                    _apply_late(connection, lease, number, settlement, now_ms)
                return
            for number, settlement in closings:
                _apply(connection, lease, number, settlement, now_ms)
            if hold is not None:
                _keep(connection, lease.destination, "hold", encode_hold(hold))
            if learned is not None:
                _keep(connection, lease.destination, "learned", encode_learned(learned))

    def _require(self, connection: sqlite3.Connection, lease: Lease) -> None:
        if not self._is_ours(lease) or not _is_current(connection, lease):
            raise LeaseLost(f"{self._database.path}: another worker has the lease of {lease.name!r}")

    def set_hold(self, lease: Lease, hold: Hold) -> None:
        """What holds the destination back, unless the lease is somebody else's by now."""
        with self._database.write() as connection:
            if self._is_ours(lease) and _is_current(connection, lease):
                _keep(connection, lease.destination, "hold", encode_hold(hold))

    def _is_ours(self, lease: Lease) -> bool:
        """Of this queue or one that was salvaged into it: to another file under this name its numbers mean nothing."""
        return lease.queue_id in self._ids

    def bury(self, lease: Lease, deaths: Sequence[Death], now_ms: int) -> None:
        """Set records aside that were never sent. LeaseLost where they may be another's by now."""
        with self._database.write() as connection:
            self._require(connection, lease)
            _bury(connection, lease.destination, deaths, now_ms)


def _is_current(connection: sqlite3.Connection, lease: Lease) -> bool:
    row = connection.execute("SELECT fence FROM destinations WHERE id = ?", (lease.destination,)).fetchone()
    return row is not None and bool(row[0] == lease.fence)


def open_sequences(connection: sqlite3.Connection, destination: int) -> set[int]:
    """The events that open requests carry."""
    found: set[int] = set()
    for (data,) in connection.execute(_OPEN_SEQUENCES, (destination,)).fetchall():
        found.update(unpack(data))
    return found


def _keep(connection: sqlite3.Connection, destination: int, column: str, value: str | None) -> None:
    """Write one column of the destination's row where it changes."""
    update = f"UPDATE destinations SET {column} = ? WHERE id = ? AND {column} IS NOT ?"
    connection.execute(update, (value, destination, value))


def _apply(connection: sqlite3.Connection, lease: Lease, number: int, settlement: Settlement, now_ms: int) -> None:
    if settlement.unsent:
        connection.execute("DELETE FROM requests WHERE number = ?", (number,))
        return
    destination = lease.destination
    if not _close(connection, lease, number, settlement, now_ms):
        return
    _deliver(connection, destination, settlement.delivered, now_ms)
    _bury(connection, destination, settlement.deaths, now_ms)
    if settlement.waits:
        rows = [
            (wait.not_before_ms, wait.attempts, wait.travel_max, destination, wait.priority, wait.sequence)
            for wait in settlement.waits
        ]
        connection.executemany(_WAIT, rows)
    _note(connection, number, settlement)


def _apply_late(connection: sqlite3.Connection, lease: Lease, number: int, settlement: Settlement, now_ms: int) -> None:
    """The lease is somebody else's by now: what was accepted counts all the same, nothing else does.

    A request that is still open was recorded after the other one's rescue: closed, or its events would never go.
    """
    if not settlement.delivered:
        values = (now_ms, encode_problem(_NOT_ANSWERED), lease.destination, number, lease.fence)
        connection.execute(_RESCUE + "AND number = ? AND fence = ?", values)
        return
    if not _close(connection, lease, number, settlement, now_ms):
        return
    _note(connection, number, settlement)
    _deliver(connection, lease.destination, settlement.delivered, now_ms)


def _close(connection: sqlite3.Connection, lease: Lease, number: int, settlement: Settlement, now_ms: int) -> bool:
    """Write what the request came to; False where it is not on record and nothing may be concluded: pruned with its
    events (the fence, as its number may be another's by now), or an older copy of the database was put back.
    """
    verdict = settlement.verdict
    row = (
        now_ms,
        settlement.outcome.value,
        verdict.disposition.value,
        settlement.http_status,
        verdict.receipt,
        orjson.dumps(dict(settlement.service)).decode() if settlement.service else None,
        encode_problem(verdict.problem),
        number,
        lease.fence,
    )
    return connection.execute(_CLOSE, row).rowcount == 1


def _deliver(connection: sqlite3.Connection, destination: int, keys: Sequence[tuple[int, int]], now_ms: int) -> None:
    if not keys:
        return
    count = 0
    for priority in {priority for priority, _ in keys}:  # one statement for neighbours: they are most of a batch
        for first, last in runs(sorted(sequence for one, sequence in keys if one == priority)):
            count += connection.execute(_ALL_DONE, (destination, priority, first, last)).rowcount
    if count < len(keys):  # some had ended otherwise, or were delivered by an earlier request of unknown outcome
        count += _revive(connection, destination, [sequence for _, sequence in keys])
    connection.execute(
        "UPDATE destinations SET delivered = delivered + ?, last_accepted_ms = ? WHERE id = ?",
        (count, now_ms, destination),
    )


def _revive(connection: sqlite3.Connection, destination: int, sequences: Sequence[int]) -> int:
    """Events given up meanwhile, of which the service now says that it has them: delivered after all."""
    count = 0
    for sequence in sequences:
        where = "sequence = ? AND state IN ('dead', 'expired', 'evicted')"
        row = connection.execute(f"SELECT state FROM endings WHERE {where}", (sequence,)).fetchone()
        if row is not None:
            connection.execute("DELETE FROM endings WHERE sequence = ?", (sequence,))
            connection.execute(f"UPDATE destinations SET {row[0]} = {row[0]} - 1 WHERE id = ?", (destination,))
            count += 1
    return count


def _bury(connection: sqlite3.Connection, destination: int, deaths: Sequence[Death], now_ms: int) -> None:
    """Only what is pending dies: a late answer to an earlier request may have said that it was accepted."""
    count = 0
    for sequence, priority, attempts, problem in deaths:
        if connection.execute(_DONE, (destination, priority, sequence)).rowcount:
            error = (problem.status, problem.code, problem.text)
            connection.execute(_END, (sequence, destination, now_ms, attempts, *error))
            count += 1
    if count:
        connection.execute("UPDATE destinations SET dead = dead + ? WHERE id = ?", (count, destination))


def _note(connection: sqlite3.Connection, number: int, settlement: Settlement) -> None:
    rows = []
    for sequence, position, verdict in settlement.notes:
        problem = verdict.problem or Problem("", "")
        error = (problem.status, problem.code or None, problem.text or None)
        rows.append((number, sequence, position, verdict.disposition.value, verdict.receipt, *error))
    if rows:
        connection.executemany(_NOTE, rows)
