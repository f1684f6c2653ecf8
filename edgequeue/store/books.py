"""The books: destinations, their counts and holds, and the ledger that proves that nothing vanished.

Counts of what has ended are kept in the destinations' rows, by the transactions that end things. What is pending is
counted when asked (2 ms per 100,000). `enqueued` comes from the sequence alone, so that the sum is a real check.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import orjson

from edgequeue.clock import QueueClock, moment
from edgequeue.errors import ConfigError
from edgequeue.model import ENDED
from edgequeue.store.base import DestinationRow
from edgequeue.store.delivery import open_sequences
from edgequeue.store.encoding import decode_hold, decode_learned
from edgequeue.store.lease import is_held, lease_path
from edgequeue.store.packing import runs
from edgequeue.store.sqlite import Database
from edgequeue.views import Ledger, WorkerView

if TYPE_CHECKING:
    from edgequeue.store.archive import Archive

_ENDINGS = ("delivered", *(status.value for status in ENDED))
_COUNTERS = ", ".join(_ENDINGS)

UNKNOWN_TYPE = ""
"""The type of a destination whose row was lost in a salvage; registering it writes the right one."""


def unnamed(number: int) -> str:
    """What a destination is called whose name was lost."""
    return f"unknown-{number}"


class Books:
    """The bookkeeping of the SQLite store. Destinations are numbers here."""

    def __init__(self, database: Database, clock: QueueClock) -> None:
        self._database = database
        self._clock = clock

    def register(self, name: str, type_name: str) -> int:
        """The destination's number; writes only when it is new or its type has changed."""
        with self._database.read() as connection:
            row = connection.execute("SELECT id, type FROM destinations WHERE name = ?", (name,)).fetchone()
            if row is not None and row[1] not in (type_name, UNKNOWN_TYPE):
                waiting = "SELECT 1 FROM pending WHERE destination = ? LIMIT 1"
                if connection.execute(waiting, (row[0],)).fetchone():
                    raise ConfigError(
                        f"[destinations.{name}] type is {type_name!r}, and events for it wait as {row[1]!r} events. "
                        "Give the new destination another name, or deliver those first"
                    )
        if row is not None and row[1] == type_name:
            return int(row[0])
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO destinations (name, type) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET type = excluded.type",
                (name, type_name),
            )
            return int(connection.execute("SELECT id FROM destinations WHERE name = ?", (name,)).fetchone()[0])

    def adopt(self, names: Collection[str]) -> None:
        """Give the one destination that lost its name in a salvage the one of these names that has no row: the
        configuration is the last that knows it. With two of either kind nobody can tell, and nothing is done.
        """
        with self._database.read() as connection:
            rows = connection.execute("SELECT id, name, type FROM destinations").fetchall()
        lost = [number for number, name, type_name in rows if (name, type_name) == (unnamed(number), UNKNOWN_TYPE)]
        missing = set(names) - {name for _, name, _ in rows}
        if len(lost) == len(missing) == 1:
            with self._database.write() as connection:  # another process may have been faster, and registered it
                update = "UPDATE OR IGNORE destinations SET name = ? WHERE id = ? AND name = ?"
                connection.execute(update, (*missing, *lost, unnamed(*lost)))

    def number(self, name: str) -> int | None:
        """The number of a destination that ever was registered."""
        with self._database.read() as connection:
            row = connection.execute("SELECT id FROM destinations WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def room(self) -> tuple[int, int]:
        """(pending events, bytes in use: pages that are not free)."""
        with self._database.read() as connection:
            count = connection.execute("SELECT count(*) FROM pending").fetchone()[0]
            pages, free, size = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return count, (pages - free) * size

    def set(self, destination: int, column: str, value: str | None) -> None:
        """Write one column of a destination's row."""
        with self._database.write() as connection:
            connection.execute(f"UPDATE destinations SET {column} = ? WHERE id = ?", (value, destination))

    def get(self, destination: int, column: str) -> str | None:
        """Read one column of a destination's row."""
        with self._database.read() as connection:
            row = connection.execute(f"SELECT {column} FROM destinations WHERE id = ?", (destination,)).fetchone()
        return row[0]  # type: ignore[no-any-return]

    def ask_to_send(self, destination: int) -> None:
        """A request to the lease's holder, who looks when the database has changed."""
        with self._database.write() as connection:
            connection.execute("UPDATE destinations SET wake = wake + 1 WHERE id = ?", (destination,))

    def wake_number(self, destination: int) -> int:
        with self._database.read() as connection:
            return int(connection.execute("SELECT wake FROM destinations WHERE id = ?", (destination,)).fetchone()[0])

    def oldest_open(self, destination: int) -> int:
        """The number of the oldest open request; where none is open, the next request's."""
        query = """
            SELECT coalesce((SELECT min(number) FROM requests WHERE destination = ? AND closed_ms IS NULL),
                            (SELECT max(number) FROM requests) + 1, 1)
        """
        with self._database.read() as connection:
            return int(connection.execute(query, (destination,)).fetchone()[0])

    def closed_since(self, destination: int, number: int) -> int:
        """How many closed requests have this number or a later one."""
        query = "SELECT count(*) FROM requests WHERE number >= ? AND destination = ? AND closed_ms IS NOT NULL"
        with self._database.read() as connection:
            return int(connection.execute(query, (number, destination)).fetchone()[0])

    def counts(self, destination: int | None) -> Ledger:
        """The ledger of the queue, or of one destination, read as of one moment."""
        with self._database.read() as connection, _one_moment(connection):
            if destination is not None:
                return _ledger(connection, destination)
            numbers = connection.execute("SELECT id FROM destinations").fetchall()
            ledgers = [_ledger(connection, number) for (number,) in numbers]
            enqueued = connection.execute(
                "SELECT max(coalesce((SELECT max(sequence) FROM events), 0), pruned_through) FROM queue"
            ).fetchone()[0]
            unplaced = connection.execute("SELECT coalesce(sum(unplaced), 0) FROM salvages").fetchone()[0]
        sums = {name: sum(getattr(one, name) for one in ledgers) for name in ("pending", "sending", *_ENDINGS)}
        sums["lost"] += unplaced  # of whose destination nothing could be read
        return Ledger(enqueued=enqueued, **sums)

    def destination_rows(self, archive: Archive) -> list[DestinationRow]:
        """Every destination that was ever registered."""
        rows = []
        columns = "id, name, type, hold, owner, last_accepted_ms, learned"
        with self._database.read() as connection:
            found = connection.execute(f"SELECT {columns} FROM destinations ORDER BY id").fetchall()
        for number, name, type_name, hold, owner, last_accepted_ms, kept in found:
            last, learned = archive.requests(name, 1, None), decode_learned(kept)
            with self._database.read() as connection, _one_moment(connection):
                counts = _ledger(connection, number)
                oldest_ms = _oldest_ms(connection, number)
                suspects = _suspects(connection, number, learned.suspects)
                due_ms = _due_ms(connection, number, self._clock.now_ms())
            rows.append(
                DestinationRow(
                    name=name,
                    type=type_name,
                    hold=decode_hold(hold),
                    counts=counts,
                    owner=self._owner(name, owner),
                    oldest_pending_ms=oldest_ms,
                    next_due_ms=due_ms,
                    last_accepted_ms=last_accepted_ms,
                    last_request=last[0] if last else None,
                    learned=learned,
                    suspects=suspects,
                )
            )
        return rows

    def _owner(self, name: str, owner: str | None) -> WorkerView | None:
        """Who holds the lease; the file lock says whether anybody does, the row says who."""
        if owner is None or not is_held(lease_path(self._database.path, name)):
            return None
        found = orjson.loads(owner)
        since = moment(found["since_ms"] + self._clock.boot.wall_offset_ms)
        return WorkerView(pid=found["pid"], kind=found["kind"], since=since)


@contextmanager
def _one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """What is read in the block is all of one moment, whoever commits meanwhile."""
    try:
        connection.execute("BEGIN")
        yield
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


def _pending(connection: sqlite3.Connection, destination: int) -> int:
    """Events that have not ended. Where there is one destination they are all its own: SQLite counts a whole table
    three times as fast as a part of it (12 ms for a million).
    """
    alone = connection.execute("SELECT count(*) FROM destinations").fetchone()[0] == 1
    if alone:
        return int(connection.execute("SELECT count(*) FROM pending").fetchone()[0])
    query = "SELECT count(*) FROM pending WHERE destination = ?"
    return int(connection.execute(query, (destination,)).fetchone()[0])


def _due_ms(connection: sqlite3.Connection, destination: int, now_ms: int) -> int | None:
    """When the first pending event is due; one that is due already is mostly the first, and the others are not read."""
    query = "SELECT not_before_ms FROM pending WHERE destination = ? AND not_before_ms <= ? LIMIT 1"
    row = connection.execute(query, (destination, now_ms)).fetchone()
    if row is None:
        query = "SELECT min(not_before_ms) FROM pending WHERE destination = ?"
        row = connection.execute(query, (destination,)).fetchone()
    return row[0]  # type: ignore[no-any-return]


def _ledger(connection: sqlite3.Connection, destination: int) -> Ledger:
    pending = _pending(connection, destination)
    # Not all that an open request carries is being sent: an earlier request's late answer may have settled it.
    query = """
        SELECT count(*) FROM pending
        WHERE destination = ? AND priority IN (0, 1, 2) AND sequence BETWEEN ? AND ?
    """
    sending = 0
    for first, last in runs(sorted(open_sequences(connection, destination))):
        sending += connection.execute(query, (destination, first, last)).fetchone()[0]
    row = connection.execute(f"SELECT {_COUNTERS} FROM destinations WHERE id = ?", (destination,)).fetchone()
    ended = dict(zip(_ENDINGS, row, strict=True))
    return Ledger(enqueued=pending + sum(row), pending=pending - sending, sending=sending, **ended)


def _suspects(connection: sqlite3.Connection, destination: int, sequences: Collection[int]) -> tuple[int, int | None]:
    """How many of them are pending, and when the first is tried again."""
    if not sequences:
        return 0, None
    query = f"""
        SELECT count(*), min(not_before_ms) FROM pending
        WHERE destination = ? AND priority IN (0, 1, 2) AND sequence IN ({", ".join(map(str, sequences))})
    """  # numbers of ours, and more than some builds of SQLite take as parameters
    count, due_ms = connection.execute(query, (destination,)).fetchone()
    return count, due_ms


def _oldest_ms(connection: sqlite3.Connection, destination: int) -> int | None:
    """When the oldest pending event was enqueued: the first of each priority, so that no backlog is walked."""
    row = connection.execute(
        """
        SELECT enqueued_ms FROM events WHERE sequence = (
            SELECT min(first) FROM (
                SELECT (SELECT min(sequence) FROM pending WHERE destination = ?1 AND priority = lane.value) AS first
                FROM (SELECT 0 AS value UNION SELECT 1 UNION SELECT 2) AS lane))
        """,
        (destination,),
    ).fetchone()
    return None if row is None else int(row[0])
