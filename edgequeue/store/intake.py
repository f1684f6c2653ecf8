"""Taking events in: the one path on which an application waits for us.

A durable put touches one page of `events` and one of `pending` and flushes once; there is no counter row, no index and
no key of random bytes to keep (each would be one more page per put). The sequence is read inside the transaction.
"""

from __future__ import annotations

import marshal
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from tempfile import SpooledTemporaryFile
from zlib import crc32

from edgequeue.clock import QueueClock
from edgequeue.model import EVENT_ID_LENGTH, Codec, Draft, Priority
from edgequeue.store.commit import GroupCommit
from edgequeue.store.sqlite import Database

SPOOL_BYTES = 8 * 1024 * 1024
"""`put_many` keeps this much in memory and the rest in a temporary file: a bulk put must not need its size in RAM."""

CHUNK_EVENTS, CHUNK_BYTES = 1000, 1024 * 1024
"""A bulk put goes to the driver in pieces of this size, whichever comes first."""

_NEXT_SEQUENCE = "SELECT max(coalesce((SELECT max(sequence) FROM events), 0), pruned_through) + 1 FROM queue"
_INSERT_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_PENDING = "INSERT INTO pending (destination, priority, sequence) VALUES (?, ?, ?)"

_CODEC = int(Codec.JSON)

Put = tuple[int, int, Draft]
"""(destination's number, priority, draft)"""


class Intake:
    """The enqueuing half of the SQLite store."""

    def __init__(self, database: Database, queue_id: str, clock: QueueClock) -> None:
        self._database = database
        self._queue_id = queue_id
        self._clock = clock
        self._group: GroupCommit[Put, str] = GroupCommit(self._commit_group)

    def put(self, destination: int, draft: Draft, priority: Priority, timeout_seconds: float) -> str:
        """Store one event durably; several threads share a flush."""
        return self._group.submit((destination, int(priority), draft), timeout_seconds)

    def put_many(
        self, destination: int, drafts: Iterable[Draft], priority: Priority, timeout_seconds: float
    ) -> list[str]:
        """Store all or none. The iterable is consumed before the write lock is taken: it may be slow, or ours again."""
        ids: list[str] = []
        lane = int(priority)
        with _Spool(drafts) as spool, self._database.write(timeout_seconds) as connection:
            sequence = connection.execute(_NEXT_SEQUENCE).fetchone()[0]
            for chunk in spool.chunks():
                rows = [self._row(sequence + index, destination, lane, draft) for index, draft in enumerate(chunk)]
                connection.executemany(_INSERT_EVENT, [row for _, row in rows])
                connection.executemany(_INSERT_PENDING, [(destination, lane, row[0]) for _, row in rows])
                ids.extend(event_id for event_id, _ in rows)
                sequence += len(rows)
        return ids

    def reset_after_fork(self) -> None:
        self._group.reset_after_fork()

    @property
    def mutex(self) -> threading.Lock:
        """The lock that must be free when the process forks."""
        return self._group.mutex

    def _commit_group(self, take: Callable[[], list[Put]], deadline: float) -> list[str]:
        """Commit what waits. The group is taken after the lock is ours, so that it is as large as it can be."""
        if not self._database.write_turn.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
            raise self._database.busy()
        try:
            with self._database.transaction(deadline) as connection:
                return self._insert(connection, take())
        finally:
            self._database.write_turn.release()

    def _insert(self, connection: sqlite3.Connection, puts: list[Put]) -> list[str]:
        execute = connection.execute
        sequence = execute(_NEXT_SEQUENCE).fetchone()[0]
        ids = []
        for destination, priority, draft in puts:
            event_id, row = self._row(sequence, destination, priority, draft)
            execute(_INSERT_EVENT, row)
            execute(_INSERT_PENDING, (destination, priority, sequence))
            ids.append(event_id)
            sequence += 1
        return ids

    def _row(self, sequence: int, destination: int, priority: int, draft: Draft) -> tuple[str, tuple[object, ...]]:
        """The event's id and its row; where the event has no `_id` of its own, the id goes into the payload as it."""
        payload, id_offset, occurred_ms, reference, stamped, _ = draft
        nonce = int.from_bytes(os.urandom(8), "big", signed=True)  # the kernel's dice need no reseeding after a fork
        event_id = f"{self._queue_id}-{sequence:012d}-{nonce & 0xFFFFFFFFFFFFFFFF:016x}"
        if id_offset >= 0:
            payload = payload[:id_offset] + event_id.encode() + payload[id_offset + EVENT_ID_LENGTH :]
        clock = self._clock
        row = (
            sequence,
            nonce,
            destination,
            priority,
            _CODEC,
            int(stamped),
            clock.boot.number,
            clock.now_ms(),
            occurred_ms,
            reference,
            crc32(payload),
            payload,
        )
        return event_id, row


class _Spool:
    """Drafts read once and kept, beyond `SPOOL_BYTES` in a temporary file that is gone when this is closed."""

    def __init__(self, drafts: Iterable[Draft]) -> None:
        self._file = SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 (closed by __exit__)
        try:
            chunk: list[tuple[object, ...]] = []
            size = 0
            for draft in drafts:
                chunk.append(tuple(draft))
                size += len(draft.payload)
                if len(chunk) == CHUNK_EVENTS or size >= CHUNK_BYTES:
                    self._file.write(marshal.dumps(chunk))
                    chunk, size = [], 0
            self._file.write(marshal.dumps(chunk))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def chunks(self) -> Iterator[list[Draft]]:
        """The drafts in order, a chunk at a time."""
        end = self._file.tell()
        self._file.seek(0)
        while self._file.tell() < end:
            yield marshal.load(self._file)  # noqa: S302 (our own bytes, written a moment ago)
