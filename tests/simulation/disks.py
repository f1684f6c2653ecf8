"""What outlives a process: the shipped store in memory made transactional, or the real one in a SQLite file.

A change is drawn a fate before it is made. One that fails or crashes in its middle runs all the same, and is then taken
back to exactly what was committed before it.
"""

from __future__ import annotations

import copy
import functools
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from edgequeue.clock import QueueClock, next_boot
from edgequeue.errors import StoreFull
from edgequeue.model import Disposition, Status
from edgequeue.store.base import Lease, Store
from edgequeue.store.facade import SqliteStore
from edgequeue.store.lease import lease_path
from edgequeue.store.packing import unpack
from edgequeue.store.schema import create_file, ensure_schema
from edgequeue.store.sqlite import Database, _Transaction
from edgequeue.testing import MemoryStore
from tests.simulation.machine import Machine


class Crash(BaseException):
    """The process is gone; nothing of it runs any more."""


class Fate(Enum):
    """What becomes of a change before it is committed."""

    FULL = "the disk is full"
    CRASH = "crash before the commit"


class Seen(NamedTuple):
    """An event as the rows have it. `states`: every state that they give it; there must be one."""

    number: int
    states: frozenset[Status]
    attempts: int
    not_before_ms: int


Change = Callable[[], Any]


@functools.lru_cache(maxsize=64)
def _states(waiting: bool, travelling: bool, ending: Status | None, accepted: bool) -> frozenset[Status]:
    """What the rows of an event say that it is; more than one, where they contradict each other."""
    states = {Status.SENDING if travelling else Status.PENDING} if waiting else set()
    states |= {ending} if ending is not None else set()
    return frozenset(states | {Status.DELIVERED} if accepted else states)


class Disk(Protocol):
    """The durable side of the world."""

    def open(self) -> Store:
        """The store, for one process."""

    def change(self, store: Store, change: Change, fate: Fate | None) -> Any:
        """Make a change and return what it returns; or StoreFull or Crash, with nothing changed."""

    def abandon(self, store: Store, leases: list[Lease]) -> None:
        """A process that had these was killed: the system closes its files."""

    def power_cut(self) -> None:
        """The machine went down and is up again; every process was abandoned before."""

    def steal(self, lease: Lease) -> None:
        """Somebody removes the lease's file: another worker may come, and the first does not know."""

    def close(self) -> None:
        """The world has ended."""

    def seen(self) -> dict[int, Seen]:
        """Every event, by sequence."""

    def travelling(self) -> list[int]:
        """The sequences in open requests, as often as they stand there."""

    def request_ids(self) -> set[str]:
        """Every request on record."""

    @property
    def books(self) -> Store:
        """For looking, from outside of any process."""


# --- in memory --------------------------------------------------------------------------------------------------------


class Committed(MemoryStore):
    """`MemoryStore` with boots, and with an image of itself to go back to."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._machine = machine

    def image(self) -> dict[str, Any]:
        """All that is kept, apart from what goes on changing."""
        kept = {name: getattr(self, name) for name in ("_last_sequence", "_last_number", "_changes")}
        for name in ("_events", "_requests", "_places"):
            kept[name] = {key: copy.copy(row) for key, row in getattr(self, name).items()}
        for sent in kept["_requests"].values():
            sent.notes = dict(sent.notes)
        for place in kept["_places"].values():
            place.ended = place.ended.copy()
        return kept

    def restore(self, image: dict[str, Any]) -> None:
        """Be as an image says."""
        for name, value in image.items():
            setattr(self, name, value)

    def boot(self) -> None:
        """The first open after a reboot, as `upkeep.open_books` does it: the queue clock goes on."""
        known = self._clock.boot
        if known.boot_id == self._machine.boot_id():
            return
        times = [known.started_ms, *(event.enqueued_ms for event in self._events.values())]
        times += [max(sent.opened_ms, sent.closed_ms or 0) for sent in self._requests.values()]
        times += [event.ending.ended_ms for event in self._events.values() if event.ending is not None]
        times += [place.last_accepted_ms or 0 for place in self._places.values()]
        times += [max(place.hold.since_ms, place.hold.tried_ms) for place in self._places.values()]
        self._clock = QueueClock(next_boot(known, max(times), self._machine), self._machine)


class MemoryDisk:
    """All processes share one `Committed`."""

    store_type = Committed

    def __init__(self, machine: Machine) -> None:
        self._store = self.store_type(machine)

    @property
    def books(self) -> Committed:
        return self._store

    def open(self) -> Committed:
        self._store.boot()
        return self._store

    def change(self, store: Store, change: Change, fate: Fate | None) -> Any:
        image = self._store.image() if fate else {}
        result = change()
        if fate is None:
            return result
        self._store.restore(image)
        raise StoreFull("the disk is full") if fate is Fate.FULL else Crash

    def abandon(self, store: Store, leases: list[Lease]) -> None:
        for lease in leases:
            self._store.release(lease)

    def power_cut(self) -> None:
        self._store.boot()

    def close(self) -> None:
        """Nothing to let go of."""

    def steal(self, lease: Lease) -> None:
        self._store.release(lease)

    def seen(self) -> dict[int, Seen]:
        accepted: set[int] = set()
        travelling = set(self.travelling())
        for sent in self._store._requests.values():
            if sent.settlement is None:
                continue
            if not sent.notes:
                if sent.settlement.verdict.disposition is Disposition.ACCEPTED:
                    accepted.update(sent.sequences)
                continue
            accepted.update(sequence for sequence in sent.sequences if sent.accepted(sequence))
        found = {}
        for sequence, event in self._store._events.items():
            ending = None if event.ending is None else event.ending.state
            states = _states(event.waiting, sequence in travelling, ending, sequence in accepted)
            found[sequence] = Seen(int(event.reference or 0), states, event.attempts, event.not_before_ms)
        return found

    def request_ids(self) -> set[str]:
        return {sent.request_id for sent in self._store._requests.values()}

    def travelling(self) -> list[int]:
        return [one for sent in self._store._requests.values() if sent.open for one in sent.sequences]


# --- on disk ----------------------------------------------------------------------------------------------------------


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
            states = _states(sequence in pending, sequence in travelling, ending, sequence in accepted)
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
