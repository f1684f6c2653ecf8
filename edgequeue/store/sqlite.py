"""SQLite as edgequeue uses it: one writing connection per process, one reading, our own patience, nothing torn.

Everything that knows the driver stands here: pragmas, the wait for the write lock, the translation of errors, what a
fork means. Several processes may have the file open; they take turns by BEGIN IMMEDIATE.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgequeue.errors import FileReplaced, QueueBusy, QueueClosed, SchemaTooNew, StoreError
from edgequeue.lazily import importing
from edgequeue.store.connecting import NEVER_CLOSED, PAGE_BYTES, connect, keep_for_ever, patiently
from edgequeue.store.forking import OPEN, opened
from edgequeue.store.identity import Identity, Quiet, identity, in_exchange, refuse_empty, sides
from edgequeue.store.trouble import translate, translated

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlConnection
    from sqlalchemy import Engine

OVERWRITE_SECONDS = 1.0
"""How long the lock is waited for to clear up after a failed commit; whoever has it clears up by committing."""


class ForkAware(Protocol):
    """What else has a lock that must be free when the process is copied."""

    @property
    def mutex(self) -> threading.Lock: ...

    def reset_after_fork(self) -> None: ...


class Database:
    """One database file, as this process has it open. Safe from any thread; fork-aware."""

    writable = True

    def __init__(self, path: Path, *, durability: str = "full", page_bytes: int = PAGE_BYTES) -> None:
        self.path = path
        self.durability = durability
        self._page_bytes = page_bytes
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._engine: Engine | None = None
        self.identity: Identity | None = None
        self._sides: Identity | None = None
        self._directory = Quiet(path.parent)
        self._name, self._log, self._memory = str(path), f"{path}-wal", f"{path}-shm"
        self._openings = 0
        self.closed = self.astray = False
        self.revision: str | None = None  # of the tables, once they are as they should be
        self.on_fork: ForkAware | None = None
        self._new_locks()
        opened(self)

    def _new_locks(self) -> None:
        # Reentrant locks know their owner: a Ctrl-C between `acquire` and `try` leaves no lock behind (see `release`).
        self.write_turn = threading.RLock()
        self._read_turn = threading.Lock()
        self._look_turn = threading.RLock()
        self._held: list[threading.Lock] = []  # by a fork under way; these do not know their owner

    @contextmanager
    def write(self, timeout_seconds: float = 30.0) -> Iterator[sqlite3.Connection]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        deadline = time.monotonic() + timeout_seconds
        try:
            if not self.write_turn.acquire(timeout=timeout_seconds):
                raise self.busy()
            with self.transaction(deadline) as connection:
                yield connection
        finally:
            release(self.write_turn)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The writing connection outside a transaction, for what cannot be in one."""
        with self.write_turn, translated(self.path):
            yield self._writer or self._writing()

    def transaction(self, deadline: float) -> _Transaction:
        """As `write`, for who holds `write_turn` already; waits for other processes until `deadline` (monotonic)."""
        return _Transaction(self, deadline)

    def busy(self) -> QueueBusy:
        """The error for who waited too long for another thread of this process."""
        return QueueBusy(f"{self.path}: another thread is writing for too long; nothing was stored. Try again")

    def meaning(self, error: sqlite3.Error, connection: sqlite3.Connection | None) -> StoreError:
        """A driver's error as ours: a newer version may have upgraded the tables, which our statements fit no more."""
        unfit = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
        newer = self._outgrown(connection) if unfit and connection is not None else None
        return translate(error, self.path) if newer is None else newer

    def outgrown(self) -> SchemaTooNew | None:
        """The error for who is older than the tables are by now; not to be taken for damage."""
        with suppress(StoreError), self.read() as connection:
            return self._outgrown(connection)
        return None

    def _outgrown(self, connection: sqlite3.Connection) -> SchemaTooNew | None:
        with suppress(sqlite3.Error):
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            if row is not None and self.revision is not None and is_later(str(row[0]), self.revision):
                text = f"a newer edgequeue has upgraded it (schema {row[0]}, this process knows {self.revision})"
                return SchemaTooNew(f"{self.path}: {text}; nothing was stored. Restart this process with the newer")
        return None

    def over(self) -> QueueClosed:
        """The error for who comes after `close`."""
        return QueueClosed(f"{self.path}: this queue was closed; open it again")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The reading connection; statements in the block see one state only if the block begins a transaction."""
        with self._read_turn, translated(self.path):
            if self.closed:
                raise self.over()
            if self._reader is None:
                self._reader = self.connect(writing=False)
                self._openings += 1
            self.stay()
            if self._reader.in_transaction:  # an interrupted look must not pin the past for those after it
                self._reader.execute("ROLLBACK")
            yield self._reader

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's door to the same file, for queries and administration; imported when first asked for."""
        if self._engine is None:
            with importing():
                from sqlalchemy import create_engine
                from sqlalchemy.pool import NullPool

            self._engine = create_engine("sqlite://", creator=lambda: self.connect(writing=False), poolclass=NullPool)
        return self._engine

    @contextmanager
    def look(self) -> Iterator[SqlConnection]:
        """A connection of SQLAlchemy's whose statements all see one moment. One look at a time: a fork has to wait."""
        if self.closed:
            raise self.over()
        with self._look_turn, translated(self.path), self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def change_counter(self) -> int:
        """A number that differs from the last one read when anything was committed since; costs no I/O."""
        with self.read() as connection:
            # Each connection counts from the same number: one that was opened anew must not look like the last.
            return (self._openings << 32) + int(connection.execute("PRAGMA data_version").fetchone()[0])

    def copy_back(self) -> None:
        """Copy the log into the database, as far as readers and the disk let it; then it is written from its start."""
        with self.write_turn, suppress(sqlite3.Error):
            self._writing().execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def disk_bytes(self) -> int:
        """Bytes of the database, its log and its shared memory."""
        total = 0
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                total += Path(f"{self.path}{suffix}").stat().st_size
        return total

    def close(self) -> None:
        """Close the connections; the last process to do so copies the log back and removes it.

        A commit under way is waited for; who waits for other processes to write is told that it is over.
        """
        self.closed = True
        self.let_go()
        if self._engine is not None:
            self._engine.dispose()
        OPEN.discard(self)  # last: until here a fork has to wait for it

    def _writing(self) -> sqlite3.Connection:
        if self.closed:
            raise self.over()
        if self._writer is None:
            self._writer = self.connect()
        return self._writer

    def connect(self, *, writing: bool = True) -> sqlite3.Connection:
        """A new connection with this database's settings, to the same file as the others. FileReplaced if it is not."""
        before = identity(self._name)
        if before is None or self.identity not in (None, before):  # not opened: a writer changes a file's header
            raise self._replaced()
        refuse_empty(self.path)  # at each connection: SQLite throws a log away that stands beside an empty file
        connection = connect(self.path, durability=self.durability, writing=writing, page_bytes=self._page_bytes)
        try:
            connection.execute("PRAGMA schema_version").fetchone()  # the log is opened with the first look
            if identity(self._name) != before or in_exchange(self.path):
                keep_for_ever(connection)
                raise self._replaced()
        except BaseException:
            if connection not in NEVER_CLOSED:
                connection.close()
            raise
        self.identity = before
        if self._sides is None:  # a new file has no log yet
            self._sides = sides(self._log, self._memory)
        return connection

    def stay(self, *, committed: bool = False) -> None:
        """FileReplaced where the name does not stand for the file that is open any more, or its log has no name.

        What is `committed` to a log without a name is there while no other has begun one: `astray` says that it is to
        be brought home before anybody is told.
        """
        if self._directory.is_as_it_was():
            return
        strayed = self.has_strayed()
        if identity(self._name) != self.identity or (strayed and (not committed or self.log_is_anothers())):
            raise self._replaced()
        self.astray = strayed

    def has_strayed(self) -> bool:
        """Whether the log that is open, or its shared memory, was deleted or replaced: who opens the file now does not
        see what is in it.
        """
        return self._sides is not None and sides(self._log, self._memory) != self._sides

    def log_is_anothers(self) -> bool:
        """Whether a log has the name by now that is not the one that is open, and holds something."""
        found = identity(self._log)
        return found is not None and found[1] != (self._sides or found)[0] and Path(self._log).stat().st_size > 0

    @property
    def writer(self) -> sqlite3.Connection | None:
        """The writing connection where it is open."""
        return self._writer

    def any_connection(self) -> sqlite3.Connection | None:
        """One that is open, for who has to do without a look at what its name stands for."""
        return self._writer or self._reader

    def _replaced(self) -> FileReplaced:
        return FileReplaced(f"{self.path}: the file was deleted or replaced; nothing was stored. Try again")

    def unsent(self) -> int | None:
        """How many events of the file that is open are not delivered yet, also where it has no name any more."""
        with self._read_turn, suppress(sqlite3.Error):
            if self._reader is not None:
                return int(self._reader.execute("SELECT count(*) FROM pending").fetchone()[0])
        return None

    def let_go(self) -> None:
        """Close the connections; a file that was moved aside is only let go of."""
        with self.write_turn, self._read_turn:
            if identity(self._name) != self.identity:
                self._abandon()
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = self._sides = None
            self.astray = False

    def abandon(self, known: Identity | None = None) -> None:
        """Let go of the file that was open, without closing it. The next use opens `known` and no other, or whatever
        has the name then.
        """
        with self.write_turn, self._read_turn:
            self._abandon()
            self.identity = known

    def _abandon(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                keep_for_ever(connection)
        self._reader = self._writer = self._sides = None

    def before_fork(self) -> None:
        """No transaction may be in the middle of anything when the process is copied, and no connection open.

        SQLite keeps its locks in the memory of the process, and the kernel does not give them to a child: a connection
        of the child would believe in locks that nobody holds, and another process would remove the log under it. So
        all are closed, and opened again where they are next used. The locks are taken in the order of a commit, which
        holds `write_turn` when it asks for the mutex.
        """
        self.write_turn.acquire()
        self._look_turn.acquire()
        for lock in (self._read_turn, *([self.on_fork.mutex] if self.on_fork is not None else ())):
            lock.acquire()
            self._held.append(lock)
        if identity(self._name) != self.identity:
            self._abandon()
        self._put_down()
        if self._reader is None and self._writer is None:
            self._sides = None  # the log may have gone with them

    def _put_down(self) -> None:
        """Close both connections; one is kept where this very thread is in the middle of a transaction (a signal's
        handler). Whatever interrupts it, no closed one is kept.
        """
        if self._reader is not None and not self._reader.in_transaction:
            reader, self._reader = self._reader, None
            reader.close()
        if self._writer is not None and not self._writer.in_transaction:
            writer, self._writer = self._writer, None
            writer.close()

    def after_fork_in_parent(self) -> None:
        while self._held:
            self._held.pop().release()
        release(self._look_turn)
        release(self.write_turn)

    def after_fork_in_child(self) -> None:
        """The child opens connections of its own; those that were in the middle of their use are the parent's."""
        self._abandon()
        self._engine = None
        self._new_locks()
        if self.on_fork is not None:
            self.on_fork.reset_after_fork()


def is_later(found: str, revision: str) -> bool:
    """Whether it is the number of a later version's tables, and not a damaged one."""
    return len(found) == len(revision) and found.isdecimal() and found > revision


def release(lock: threading.RLock) -> None:
    """Release a lock if this thread has it. Ctrl-C may come right after the acquire, before anybody could note it."""
    if lock._is_owned():  # type: ignore[attr-defined]  # what threading.Condition asks as well
        lock.release()


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT with errors translated. A class: two generators cost each put 1.5 us more.

    `committed` is true once the events are safe, even where a Ctrl-C arrives in the same moment.
    """

    __slots__ = ("_connection", "_database", "_deadline", "committed")

    def __init__(self, database: Database, deadline: float) -> None:
        self._database = database
        self._deadline = deadline
        self._connection: sqlite3.Connection | None = None
        self.committed = False

    def __enter__(self) -> sqlite3.Connection:
        try:
            connection = self._connection = self._database._writer or self._database._writing()
            try:  # the lock is mostly free: the way through a closure costs a put 0.7 us
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                patiently(lambda: self._begin(connection), self._deadline)
        except BaseException as error:
            self._give_up(error)
            raise
        return connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._give_up(error)
            return
        assert self._connection is not None
        try:
            self._connection.execute("COMMIT")
            self.committed = True
        except BaseException as failed:
            self.committed = not isinstance(failed, sqlite3.Error) and not self._connection.in_transaction
            if isinstance(failed, sqlite3.Error):
                _overwrite(self._connection)
            self._give_up(failed)
            raise
        self._database.stay(committed=True)  # before would cost as much again: what was written elsewhere is done anew

    def _begin(self, connection: sqlite3.Connection) -> None:
        if self._database.closed:
            raise self._database.over()
        connection.execute("BEGIN IMMEDIATE")

    def _give_up(self, error: BaseException) -> None:
        """Roll back; a failed COMMIT may have done so by itself."""
        if self._connection is not None and self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise self._database.meaning(error, self._connection) from error


def _overwrite(connection: sqlite3.Connection) -> None:
    """Write over what a failed COMMIT has left in the log, so that what was refused is never found there.

    Where the flush fails, the frames stand in the log, whole and valid; nobody sees them until the process is killed
    and the next one recovers the log. A commit of the header alone, which changes nothing, takes their place. It need
    not reach the disk: if it cannot either, then it is what would be found (docs/decisions.md, "A flush that failed").
    """
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        patiently(lambda: connection.execute("BEGIN IMMEDIATE"), time.monotonic() + OVERWRITE_SECONDS)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
