"""The real store in a SQLite file, for several processes of the simulation at once.

A killed process leaves its transaction open, as the system finds it; a power cut leaves copies of the files. What the
kernel still holds is on these copies: that a flush to the disk is missing cannot be seen here.
"""

from __future__ import annotations

import functools
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgequeue.model import Status
from edgequeue.store.base import Lease, Store
from edgequeue.store.facade import SqliteStore
from edgequeue.store.lease import lease_path
from edgequeue.store.packing import unpack
from edgequeue.store.schema import create_file, ensure_schema
from edgequeue.store.sqlite import Database, _Transaction
from tests.simulation.disks import Change, Crash, Fate, Seen, states_of
from tests.simulation.machine import Machine


class _FatedTransaction(_Transaction):
    """A transaction of the real store that meets its fate at the COMMIT, after every statement of it has run."""

    __slots__ = ("_disk",)

    def __init__(self, database: Database, deadline: float, disk: SqliteDisk) -> None:
        super().__init__(database, deadline)
        self._disk = disk

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        fate, self._disk.fate = self._disk.fate, None
        if error is None and fate is Fate.FULL:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            self._give_up(error)
        if error is None and fate is Fate.CRASH:
            raise Crash  # with the transaction open: the system closes the files
        super().__exit__(kind, error, trace)


@functools.cache
def _template() -> bytes:
    """A database that has been migrated and nothing else: making one takes a hundred times as long as writing it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "queue.db"
        create_file(path)
        database = Database(path)
        ensure_schema(database)
        database.close()
        return path.read_bytes()


class SqliteDisk:
    """Each process has a `SqliteStore` of its own on one file. A power cut leaves copies of the files as they stand."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._directory = tempfile.TemporaryDirectory(prefix="edgequeue-simulation-")
        self._generation = 0
        self.fate: Fate | None = None
        self._path.write_bytes(_template())
        self._books = self._opened()

    @property
    def _path(self) -> Path:
        return Path(self._directory.name) / f"queue-{self._generation}.db"

    @property
    def books(self) -> SqliteStore:
        return self._books

    def _opened(self) -> SqliteStore:
        return SqliteStore.open(self._path, clock=self._machine)

    def open(self) -> SqliteStore:
        store = self._opened()
        database = store._database
        database.transaction = lambda deadline: _FatedTransaction(database, deadline, self)  # type: ignore[method-assign]
        return store

    def change(self, store: Store, change: Change, fate: Fate | None) -> Any:
        self.fate = fate
        try:
            return change()
        finally:
            self.fate = None

    def abandon(self, store: Store, leases: list[Lease]) -> None:
        """Closed as the system closes them: what was not committed is gone, the lock file stays."""
        for lease in leases:
            lease.lock.release()
        database = store._database  # type: ignore[attr-defined]
        database.closed = True
        for connection in (database._reader, database._writer):
            if connection is not None:
                connection.close()

    def power_cut(self) -> None:
        old = self._path
        self._generation += 1
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copy(f"{old}{suffix}", f"{self._path}{suffix}")
        self._books.close()
        self._books = self._opened()

    def steal(self, lease: Lease) -> None:
        lease_path(self._path, lease.name).unlink(missing_ok=True)

    def close(self) -> None:
        self._books.close()
        self._directory.cleanup()

    def seen(self) -> dict[int, Seen]:
        travelling = set(self.travelling())
        with self._books._database.read() as connection:
            run = connection.execute
            pending = {row[0]: row[1:] for row in run("SELECT sequence, attempts, not_before_ms FROM pending")}
            endings = dict(run("SELECT sequence, state FROM endings").fetchall())
            accepted = set(_accepted(connection))
            events = run("SELECT sequence, reference FROM events").fetchall()
        found = {}
        for sequence, reference in events:
            ending = Status(endings[sequence]) if sequence in endings else None
            states = states_of(sequence in pending, sequence in travelling, ending, sequence in accepted)
            attempts, not_before_ms = pending.get(sequence, (0, 0))
            found[sequence] = Seen(int(reference), states, attempts, not_before_ms)
        return found

    def request_ids(self) -> set[str]:
        with self._books._database.read() as connection:
            return {request_id for (request_id,) in connection.execute("SELECT request_id FROM requests")}

    def travelling(self) -> list[int]:
        with self._books._database.read() as connection:
            rows = connection.execute("SELECT sequences FROM requests WHERE closed_ms IS NULL").fetchall()
        return [sequence for (data,) in rows for sequence in unpack(data)]


def _accepted(connection: sqlite3.Connection) -> Iterator[int]:
    """What closed requests cover as accepted."""
    notes = connection.execute("SELECT request, sequence, disposition FROM attempts").fetchall()
    noted = {(request, sequence): disposition for request, sequence, disposition in notes}
    query = "SELECT number, disposition, sequences FROM requests WHERE closed_ms IS NOT NULL"
    for number, disposition, data in connection.execute(query).fetchall():
        for sequence in unpack(data):
            if noted.get((number, sequence), disposition) == "accepted":
                yield sequence
