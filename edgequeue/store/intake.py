"""Taking events in: the one path on which an application waits for us.

A durable put touches one page of `events` and one of `pending` and flushes once; there is no counter row, no index and
no key of random bytes to keep (each would be one more page per put). The sequence is read inside the transaction.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from struct import unpack
from zlib import crc32

from edgequeue.clock import QueueClock
from edgequeue.errors import FileReplaced, StoreDamaged, StoreFull
from edgequeue.model import EVENT_ID_LENGTH, Claimed, Codec, Draft, Priority
from edgequeue.store.commit import CommittedError, GroupCommit
from edgequeue.store.mark import Mark
from edgequeue.store.reserve import Reserve
from edgequeue.store.spool import Spool
from edgequeue.store.sqlite import Database, release
from edgequeue.store.trouble import KEEP_IT
from edgequeue.views import PUT_BACK

ROWS_MAX, _COLUMNS = 32, 12
"""Rows per INSERT. Python gives up its GIL at each statement and, among other threads, waits to have it back: with
32 rows at a time 64 threads put a tenth more events, and so does a bulk put."""

_NEXT_SEQUENCE = "SELECT max(coalesce((SELECT max(sequence) FROM events), 0), pruned_through) + 1 FROM queue"
_INSERT_PENDING = """
    INSERT INTO pending (destination, priority, sequence)
    SELECT destination, priority, sequence FROM events WHERE sequence BETWEEN ? AND ?
"""

_INSERT_PENDING_ONE = "INSERT INTO pending (destination, priority, sequence) VALUES (?, ?, ?)"

_CODEC = int(Codec.JSON)

_ROW = f"({', '.join('?' * _COLUMNS)})"
_INSERT_EVENTS = {count: f"INSERT INTO events VALUES {', '.join([_ROW] * count)}" for count in range(1, ROWS_MAX + 1)}

Put = tuple[int, int, Draft]
"""(destination's number, priority, draft)"""


class Intake:
    """The enqueuing half of the SQLite store; `take_over` before the first put."""

    last_sequence = 0
    """The last that this object has given or seen: what it knows where the file says nothing any more. Not before it
    is committed: what was refused is not lost.
    """
    _reached = 0  # within the commit under way

    _queue_id: str
    _clock: QueueClock

    def __init__(self, database: Database, reserve: Reserve) -> None:
        self._database = database
        self._reserve = reserve
        self._mark = Mark(database.path)
        self._group: GroupCommit[Put, str] = GroupCommit(self._commit_one, self._commit_group)

    def put(self, destination: int, draft: Draft, priority: Priority, timeout_seconds: float) -> str:
        """Store one event durably; several threads share a flush."""
        put = (destination, int(priority), draft)
        try:
            return self._group.submit(put, timeout_seconds)
        except StoreFull:
            if not self._reserve.given_for_intake():
                raise
        return self._group.submit(put, timeout_seconds)

    def spool(self, drafts: Iterable[Draft]) -> Spool:
        """Consume an iterable before the write lock is taken: it may be slow, or ours again."""
        return Spool(drafts, self._database.path)

    def put_many(self, destination: int, spool: Spool, priority: Priority, timeout_seconds: float) -> list[str]:
        """Store all or none."""
        try:
            return self._put_spooled(destination, spool, int(priority), timeout_seconds)
        except StoreFull:
            if not self._reserve.given_for_intake():
                raise
        return self._put_spooled(destination, spool, int(priority), timeout_seconds)

    def _put_spooled(self, destination: int, spool: Spool, lane: int, timeout_seconds: float) -> list[str]:
        ids: list[str] = []
        sequence = 0
        try:
            with self._database.write(timeout_seconds) as connection:
                self._reserve.admit(connection, spool.size)
                sequence = connection.execute(_NEXT_SEQUENCE).fetchone()[0]
                for chunk in spool.chunks():
                    ids.extend(self._insert(connection, sequence, [(destination, lane, draft) for draft in chunk]))
                    sequence += len(chunk)
        except FileReplaced:
            self._take_back(sequence - 1, len(ids))
            raise
        self._given(sequence - 1)
        return ids

    def take_over(self, queue_id: str, clock: QueueClock) -> None:
        """Use this id and this clock; they are others after a salvage."""
        self._queue_id, self._clock = queue_id, clock
        with self._database.read() as connection:
            self.last_sequence = connection.execute(_NEXT_SEQUENCE).fetchone()[0] - 1

    def compare(self, marked: tuple[str, int] | None) -> None:
        """StoreDamaged where the mark, read before, tells of events that this file of the same queue never had. With a
        weaker durability a power cut takes the last ones, and that is no damage.
        """
        if self._database.durability != "full":
            return
        if marked is not None and marked[0] == self._queue_id and marked[1] > self.last_sequence:
            many = marked[1] - self.last_sequence
            gone = "newest event is" if many == 1 else f"newest {many:,} events are"
            text = f"its {gone} gone: its log was deleted, or {PUT_BACK}"
            raise StoreDamaged(f"{self._database.path}: the database is damaged ({text}). {KEEP_IT}")

    def vouch(self) -> None:
        """What the database holds is all that was given: from here on the mark says the same."""
        lowers = self._database.durability != "full"
        self._mark.begin(self._queue_id, self.last_sequence, lowers=lowers)

    def close(self) -> None:
        """Give the mark's file back."""
        self._mark.close()

    def _given(self, sequence: int) -> None:
        """Committed, up to this one."""
        self.last_sequence = max(self.last_sequence, sequence)
        self._mark.note(sequence)

    def note(self, claimed: Sequence[Claimed]) -> None:
        """Events that somebody else may have stored."""
        if claimed:
            self.last_sequence = max(self.last_sequence, max(one.sequence for one in claimed))

    def reset_after_fork(self) -> None:
        self._group.reset_after_fork()
        self._mark.reset_after_fork()

    @property
    def mutex(self) -> threading.Lock:
        """The lock that must be free when the process forks."""
        return self._group.mutex

    def _commit_one(self, put: Put, deadline: float) -> str:
        """Commit one event, where no other thread waits."""
        try:
            self._await_turn(deadline)
            with self._database.transaction(deadline) as connection:
                if not self._reserve.stands():
                    self._reserve.admit(connection)
                event_id = self._insert_one(connection, *put)
            self._given(self._reached)
        except FileReplaced:
            self._take_back(self._reached, 1)
            raise
        finally:
            release(self._database.write_turn)
        return event_id

    def _take_back(self, last: int, count: int) -> None:
        """Delete what was committed to a file that has lost its name. It is stored anew, as another event: where the
        old file or its log is salvaged, the first must not come back as well.
        """
        connection = self._database.writer
        with self._database.write_turn, suppress(sqlite3.Error):
            if connection is not None and count:  # else nothing was committed: it was noticed when it was opened
                connection.execute("BEGIN IMMEDIATE")
                for table in ("pending", "events"):
                    ends = (last - count + 1, last)
                    connection.execute(f"DELETE FROM {table} WHERE sequence BETWEEN ? AND ?", ends)
                connection.execute("COMMIT")

    def _await_turn(self, deadline: float) -> None:
        turn = self._database.write_turn  # mostly free: who need not wait asks no clock
        if not turn.acquire(blocking=False) and not turn.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
            raise self._database.busy()

    def _commit_group(self, take: Callable[[], list[Put]], deadline: float) -> list[str]:
        """Commit what waits. The group is taken after the lock is ours, so that it is as large as it can be."""
        ids: list[str] = []
        transaction = self._database.transaction(deadline)
        try:
            self._await_turn(deadline)
            with transaction as connection:
                puts = take()
                self._reserve.admit(connection)
                sequence = connection.execute(_NEXT_SEQUENCE).fetchone()[0]
                ids = self._insert(connection, sequence, puts)
            self._given(self._reached)
        except FileReplaced:
            self._take_back(self._reached, len(ids))
            raise
        except Exception:
            raise
        except BaseException as interruption:  # Ctrl-C: the others of the group are told what is true of their events
            if transaction.committed:
                self._given(self._reached)
                raise CommittedError(ids) from interruption
            raise
        finally:
            release(self._database.write_turn)
        return ids

    def _insert_one(self, connection: sqlite3.Connection, destination: int, priority: int, draft: Draft) -> str:
        """As `_insert` for the common case of one event: 4 us less than the way through lists."""
        sequence = connection.execute(_NEXT_SEQUENCE).fetchone()[0]
        payload, id_offset, occurred_ms, reference, stamped, _ = draft
        nonce = int.from_bytes(os.urandom(8), signed=True)
        event_id = f"{self._queue_id}-{sequence:012d}-{nonce & 0xFFFFFFFFFFFFFFFF:016x}"
        if id_offset >= 0:
            payload = payload[:id_offset] + event_id.encode() + payload[id_offset + EVENT_ID_LENGTH :]
        clock = self._clock
        row = (sequence, nonce, destination, priority, _CODEC, stamped, clock.boot.number, clock.now_ms())
        connection.execute(_INSERT_EVENTS[1], (*row, occurred_ms, reference, crc32(payload), payload))
        connection.execute(_INSERT_PENDING_ONE, (destination, priority, sequence))
        self._reached = sequence
        return event_id

    def _insert(self, connection: sqlite3.Connection, sequence: int, puts: Sequence[Put]) -> list[str]:
        """Write the rows, the first with that sequence; returns the ids.

        Where an event has no `_id` of its own, its event id goes into the payload as it. Clock and dice are asked once
        for all, and one loop makes the rows: 1.3 us per event where a call for each took 2.2.
        """
        now_ms, boot, queue_id = self._clock.now_ms(), self._clock.boot.number, self._queue_id
        nonces = unpack(f"{len(puts)}q", os.urandom(8 * len(puts)))  # the kernel's need no reseeding after a fork
        first = sequence
        ids: list[str] = []
        values: list[object] = []
        for nonce, (destination, priority, draft) in zip(nonces, puts, strict=True):
            payload, id_offset, occurred_ms, reference, stamped, _ = draft
            event_id = f"{queue_id}-{sequence:012d}-{nonce & 0xFFFFFFFFFFFFFFFF:016x}"
            if id_offset >= 0:
                payload = payload[:id_offset] + event_id.encode() + payload[id_offset + EVENT_ID_LENGTH :]
            values += (sequence, nonce, destination, priority, _CODEC, stamped)
            values += (boot, now_ms, occurred_ms, reference, crc32(payload), payload)
            ids.append(event_id)
            sequence += 1
        done = 0
        while left := len(ids) - done:
            count = min(ROWS_MAX, left)
            connection.execute(_INSERT_EVENTS[count], values[done * _COLUMNS : (done + count) * _COLUMNS])
            done += count
        connection.execute(_INSERT_PENDING, (first, sequence - 1))
        self._reached = sequence - 1
        return ids
