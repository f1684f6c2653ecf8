"""`SqliteStore`: the parts of the SQLite store put together behind the `Store` interface."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edgequeue.clock import Clock, SystemClock, queue_time, wall_time
from edgequeue.errors import ConfigError, StoreError
from edgequeue.learning import Learned
from edgequeue.model import Claimed, Draft, Priority
from edgequeue.outcome import Death
from edgequeue.retry import Hold
from edgequeue.store.base import Closing, DestinationRow, EventFilter, Lease, NewRequest
from edgequeue.store.books import Books
from edgequeue.store.connecting import PAGE_BYTES
from edgequeue.store.delivery import Delivery
from edgequeue.store.encoding import decode_hold, decode_learned, encode_hold
from edgequeue.store.intake import Intake
from edgequeue.store.readonly import ReadOnlyDatabase, is_for_looking
from edgequeue.store.reserve import Reserve
from edgequeue.store.schema import REVISION, create_file, ensure_schema
from edgequeue.store.sqlite import Database
from edgequeue.store.upkeep import Upkeep, open_books
from edgequeue.views import Ledger, Record, RecordDetail, RequestView

if TYPE_CHECKING:
    from edgequeue.store.archive import Archive

log = logging.getLogger("edgequeue")


class SqliteStore:
    """A queue in one SQLite file, for several processes at once; `base.Store` says what each method promises."""

    schema_revision = REVISION

    def __init__(
        self, database: Database, queue_id: str, books: Books, intake: Intake, upkeep: Upkeep, reserve: Reserve
    ) -> None:
        self.queue_id = queue_id
        self.path = database.path
        self._database = database
        self._books = books
        self._intake = intake
        self._upkeep = upkeep
        self._reserve = reserve
        self._leaving = reserve.leaving
        self._delivery = Delivery(database)
        self._archive: Archive | None = None
        self._numbers: dict[str, int] = {}  # without a lock, which a fork could catch held; the worst is a second look
        self._clock = upkeep.clock
        self._looking = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Clock | None = None,
        durability: str = "full",
        page_bytes: int = PAGE_BYTES,
        looking: bool = False,
    ) -> SqliteStore:
        """Open a queue's file, making or upgrading it where needed. Raises StoreError and its kin.

        `looking`: where the file cannot be written it is opened for reading, and what would write raises StoreError.
        """
        path = Path(path).absolute()
        if not path.parent.is_dir():
            raise StoreError(f"{path}: the directory {path.parent} does not exist. Create it first")
        if path.is_dir():
            raise StoreError(f"{path} is a directory. Name a file in it")
        clock = clock or SystemClock()
        try:
            create_file(path)
            return cls._opened(Database(path, durability=durability, page_bytes=page_bytes), clock, looking=looking)
        except OSError as error:
            raise StoreError(f"{path}: cannot be created: {error.strerror}. Check the directory's owner") from error
        except StoreError as error:
            if not looking or not is_for_looking(path, error):
                raise
            log.warning("%s. It is only looked at", error, extra={"action": "look"})
            return cls._opened(ReadOnlyDatabase(path, error), clock, looking=True, writing=False)

    @classmethod
    def _opened(cls, database: Database, clock: Clock, *, looking: bool, writing: bool = True) -> SqliteStore:
        reserve = Reserve(database, kept=looking)
        try:
            reserve.leaving(lambda: ensure_schema(database))
            queue_id, queue_clock = reserve.leaving(lambda: open_books(database, clock, writing=writing))
        except BaseException:
            database.close()
            raise
        intake = Intake(database, queue_id, queue_clock, reserve)
        database.on_fork = intake
        upkeep = Upkeep(database, queue_id, queue_clock, reserve)
        store = cls(database, queue_id, Books(database, queue_clock), intake, upkeep, reserve)
        store._looking = looking
        return store

    # --- taking events in ---------------------------------------------------------------------------------------------

    def register(self, name: str, type_name: str) -> None:
        try:
            self._numbers[name] = self._leaving(lambda: self._books.register(name, type_name))
        except StoreError:
            if not self._looking:
                raise

    def put(self, destination: str, draft: Draft, priority: Priority, timeout_seconds: float) -> str:
        return self._intake.put(self._number(destination), draft, priority, timeout_seconds)

    def put_many(
        self, destination: str, drafts: Iterable[Draft], priority: Priority, timeout_seconds: float
    ) -> list[str]:
        return self._intake.put_many(self._number(destination), drafts, priority, timeout_seconds)

    def room(self) -> tuple[int, int]:
        return self._books.room()

    # --- delivering ---------------------------------------------------------------------------------------------------

    def acquire(self, name: str, kind: str) -> Lease | None:
        return self._leaving(lambda: self._delivery.acquire(self._number(name), name, kind, self.now_ms()))

    def release(self, lease: Lease) -> None:
        self._delivery.release(lease)

    def rescue(self, lease: Lease) -> int:
        return self._leaving(lambda: self._delivery.rescue(lease, self.now_ms()))

    def claim(self, lease: Lease, now_ms: int, events_max: int, bytes_max: int) -> list[Claimed]:
        return self._delivery.claim(lease, now_ms, events_max, bytes_max)

    def next_due_ms(self, name: str) -> int | None:
        return self._delivery.next_due_ms(self._number(name))

    def record(self, lease: Lease, requests: Sequence[NewRequest], now_ms: int) -> list[int]:
        return self._leaving(lambda: self._delivery.record(lease, requests, now_ms))

    def settle(
        self,
        lease: Lease,
        closings: Sequence[Closing],
        now_ms: int,
        hold: Hold | None = None,
        learned: Learned | None = None,
    ) -> None:
        self._leaving(lambda: self._delivery.settle(lease, closings, now_ms, hold, learned))

    def bury(self, lease: Lease, deaths: Sequence[Death], now_ms: int) -> None:
        self._leaving(lambda: self._delivery.bury(lease, deaths, now_ms))

    def hold(self, name: str) -> Hold:
        return decode_hold(self._books.get(self._number(name), "hold"))

    def learned(self, name: str) -> Learned:
        return decode_learned(self._books.get(self._number(name), "learned"))

    def set_hold(self, name: str, hold: Hold, lease: Lease | None = None) -> None:
        if lease is None:
            self._leaving(lambda: self._books.set(self._number(name), "hold", encode_hold(hold)))
        else:
            self._leaving(lambda: self._delivery.set_hold(lease, hold))

    def ask_to_send(self, name: str) -> None:
        self._leaving(lambda: self._books.ask_to_send(self._number(name)))

    def wake_number(self, name: str) -> int:
        return self._books.wake_number(self._number(name))

    def oldest_open(self, name: str) -> int:
        return self._books.oldest_open(self._number(name))

    def closed_since(self, name: str, number: int) -> int:
        return self._books.closed_since(self._number(name), number)

    def change_counter(self) -> int:
        return self._database.change_counter()

    # --- looking ------------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def wall_ms(self) -> int:
        return self._clock.wall_ms()

    def at(self, queue_ms: int) -> datetime:
        return wall_time(queue_ms, self._upkeep.boots())

    def queue_ms(self, wall_ms: int) -> int:
        return queue_time(wall_ms, self._upkeep.boots())

    def counts(self, name: str | None = None) -> Ledger:
        return self._books.counts(None if name is None else self._number(name))

    def destination_rows(self) -> list[DestinationRow]:
        return self._books.destination_rows(self._archived())

    def get(self, event_id: str) -> RecordDetail | None:
        return self._archived().get(event_id, self.now_ms())

    def resolve(self, text: str) -> list[str]:
        return self._archived().resolve(text)

    def find(self, reference: str) -> list[Record]:
        return self._archived().find(reference, self.now_ms())

    def records(self, sequences: Sequence[int]) -> list[Record]:
        return self._archived().records(sequences, self.now_ms())

    def events(self, wanted: EventFilter) -> Iterator[Record]:
        return self._archived().events(wanted, self.now_ms())

    def payloads(self, wanted: EventFilter) -> Iterator[tuple[Record, bytes]]:
        return self._archived().payloads(wanted, self.now_ms())

    def requests(self, name: str | None, limit: int | None, request_id: str | None = None) -> list[RequestView]:
        return self._archived().requests(name, limit, request_id)

    # --- mending and tidying ------------------------------------------------------------------------------------------

    def requeue(self, event_ids: Sequence[str] | None, name: str | None = None) -> int:
        return self._upkeep.requeue(event_ids, None if name is None else self._number(name))

    def prune(self, delivered_before_ms: int | None, dead_before_ms: int | None) -> int:
        return self._upkeep.prune(delivered_before_ms, dead_before_ms)

    def note_wall_clock(self) -> None:
        self._leaving(self._upkeep.note_wall_clock)

    def check(self) -> list[str]:
        return self._upkeep.check()

    def disk_bytes(self) -> int:
        return self._database.disk_bytes()

    def close(self) -> None:
        self._database.close()
        self._reserve.restore()  # the log has gone with the last connection

    def _archived(self) -> Archive:
        if self._archive is None:
            from edgequeue.store.archive import Archive  # SQLAlchemy: 120 ms that who only enqueues never pays

            self._archive = Archive(self._database, self.queue_id)
        return self._archive

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._books.number(name)
            if number is None:
                raise ConfigError(f"destination {name!r} is not known to {self.path}. Configure it first")
            self._numbers[name] = number
        return number
