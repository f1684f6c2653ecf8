"""`SqliteStore`: the parts of the SQLite store put together behind the `Store` interface."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edgequeue.clock import Clock, SystemClock, queue_time, wall_time
from edgequeue.errors import ConfigError, FileReplaced, StoreDamaged, StoreError
from edgequeue.lazily import importing
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
from edgequeue.store.mark import read_mark
from edgequeue.store.mending import Mending, mending, mending_pages
from edgequeue.store.opening import salvaging
from edgequeue.store.readonly import ReadOnlyDatabase, is_for_looking
from edgequeue.store.reserve import Reserve
from edgequeue.store.schema import REVISION, create_file, ensure_schema
from edgequeue.store.spool import Spool
from edgequeue.store.sqlite import Database
from edgequeue.store.trouble import KEEP_IT
from edgequeue.store.upkeep import CHECK_SECONDS, Upkeep, open_books
from edgequeue.views import Ledger, Record, RecordDetail, RequestView, SalvageView

if TYPE_CHECKING:
    from edgequeue.store.archive import Archive

log = logging.getLogger("edgequeue")


class SqliteStore(Mending):
    """A queue in one SQLite file, for several processes at once; `base.Store` says what each method promises.

    A file that is found damaged is salvaged, whichever method finds it, and the method goes on in the new one.
    """

    schema_revision = REVISION

    def __init__(self, database: Database, clock: Clock, *, looking: bool = False) -> None:
        self.path = database.path
        self._database = database
        self._device_clock = clock
        self._looking = looking
        self._types: dict[str, str] = {}
        self._numbers: dict[str, int] = {}  # without a lock, which a fork could catch held; the worst is a second look
        self._reserve = Reserve(database, kept=looking)
        self._leaving = self._reserve.leaving
        self._delivery = Delivery(database)
        self._intake = self._database.on_fork = Intake(database, self._reserve)
        self.reopen()

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
        """Open a queue's file, making, upgrading or salvaging it where needed. Raises StoreError and its kin.

        `looking`: where the file cannot be written it is opened for reading, and what would write raises StoreError.
        """
        path = Path(path).absolute()
        if not path.parent.is_dir():
            raise StoreError(f"{path}: the directory {path.parent} does not exist. Create it first")
        if path.is_dir():
            raise StoreError(f"{path} is a directory. Name a file in it")
        clock = clock or SystemClock()

        def opened(*, checked: bool) -> SqliteStore:
            create_file(path)
            return cls._opened(
                Database(path, durability=durability, page_bytes=page_bytes), clock, looking=looking, checked=checked
            )

        try:
            return salvaging(path, opened, clock)
        except OSError as error:
            raise StoreError(f"{path}: cannot be created: {error.strerror}. Check the directory's owner") from error
        except StoreError as error:
            if not looking or not is_for_looking(path, error):
                raise
            log.warning("%s. It is only looked at", error, extra={"action": "look"})
            return cls._opened(ReadOnlyDatabase(path, error), clock, looking=True, checked=False)

    @classmethod
    def _opened(cls, database: Database, clock: Clock, *, looking: bool, checked: bool) -> SqliteStore:
        try:
            store = cls(database, clock, looking=looking)
            if checked:
                store.verify()
            store.vouch()
        except BaseException:
            database.close()
            raise
        return store

    def reopen(self) -> None:
        database, writable = self._database, self._database.writable
        marked = read_mark(database.path)
        self._leaving(lambda: ensure_schema(database))
        ids, clock = self._leaving(lambda: open_books(database, self._device_clock, writing=writable))
        self.queue_id, self._ids, self._clock = ids.current, ids, clock
        self._books, self._upkeep = Books(database, clock), Upkeep(database, ids, clock, self._reserve)
        self._archive: Archive | None = None
        self._intake.take_over(self.queue_id, clock)
        if writable:
            self._intake.compare(marked)
        self._delivery.take_over(ids)
        if self._types:
            self._books.adopt(self._types)
        self._numbers = {name: self._books.register(name, type_name) for name, type_name in self._types.items()}

    def verify(self) -> None:
        """SQLite's quick check, bounded in time. StoreDamaged for what it finds."""
        found = self._upkeep.check(CHECK_SECONDS)
        if found:
            raise StoreDamaged(f"{self.path}: the database is damaged ({found[0]}). {KEEP_IT}")

    def vouch(self) -> None:
        if self._database.writable and not self._looking:
            self._intake.vouch()

    # --- taking events in ---------------------------------------------------------------------------------------------

    @mending
    def adopt(self, names: Collection[str]) -> None:
        try:
            self._leaving(lambda: self._books.adopt(names))
        except StoreDamaged:
            raise
        except StoreError:
            if not self._looking:
                raise

    @mending
    def register(self, name: str, type_name: str) -> None:
        try:
            self._numbers[name] = self._leaving(lambda: self._books.register(name, type_name))
        except StoreDamaged:
            raise
        except StoreError:
            if not self._looking:
                raise
        self._types[name] = type_name

    def put(self, destination: str, draft: Draft, priority: Priority, timeout_seconds: float) -> str:
        seen = self.generation
        try:  # spelled out: the way through `mending` costs each put 0.4 us
            event_id = self._intake.put(self._number(destination), draft, priority, timeout_seconds)
            if self._database.astray:
                self.come_home(seen)
            return event_id
        except (StoreDamaged, FileReplaced) as error:
            self.mend(error, seen)
        return self._intake.put(self._number(destination), draft, priority, timeout_seconds)

    def put_many(
        self, destination: str, drafts: Iterable[Draft], priority: Priority, timeout_seconds: float
    ) -> list[str]:
        with self._intake.spool(drafts) as spool:
            return self._put_spooled(destination, spool, priority, timeout_seconds)

    @mending
    def _put_spooled(self, destination: str, spool: Spool, priority: Priority, timeout_seconds: float) -> list[str]:
        return self._intake.put_many(self._number(destination), spool, priority, timeout_seconds)

    @mending
    def room(self) -> tuple[int, int]:
        return self._books.room()

    # --- delivering ---------------------------------------------------------------------------------------------------

    @mending
    def acquire(self, name: str, kind: str) -> Lease | None:
        return self._leaving(lambda: self._delivery.acquire(self._number(name), name, kind, self.now_ms()))

    def release(self, lease: Lease) -> None:
        self._delivery.release(lease)

    @mending
    def rescue(self, lease: Lease) -> int:
        return self._leaving(lambda: self._delivery.rescue(lease, self.now_ms()))

    @mending
    def claim(self, lease: Lease, now_ms: int, events_max: int, bytes_max: int) -> list[Claimed]:
        claimed = self._delivery.claim(lease, now_ms, events_max, bytes_max)
        self._intake.note(claimed)
        return claimed

    @mending
    def next_due_ms(self, name: str) -> int | None:
        return self._delivery.next_due_ms(self._number(name))

    @mending
    def record(self, lease: Lease, requests: Sequence[NewRequest], now_ms: int) -> list[int]:
        return self._leaving(lambda: self._delivery.record(lease, requests, now_ms))

    @mending
    def settle(
        self,
        lease: Lease,
        closings: Sequence[Closing],
        now_ms: int,
        hold: Hold | None = None,
        learned: Learned | None = None,
    ) -> None:
        self._leaving(lambda: self._delivery.settle(lease, closings, now_ms, hold, learned))

    @mending
    def bury(self, lease: Lease, deaths: Sequence[Death], now_ms: int) -> None:
        self._leaving(lambda: self._delivery.bury(lease, deaths, now_ms))

    @mending
    def hold(self, name: str) -> Hold:
        return decode_hold(self._books.get(self._number(name), "hold"))

    @mending
    def learned(self, name: str) -> Learned:
        return decode_learned(self._books.get(self._number(name), "learned"))

    @mending
    def set_hold(self, name: str, hold: Hold, lease: Lease | None = None) -> None:
        if lease is None:
            self._leaving(lambda: self._books.set(self._number(name), "hold", encode_hold(hold)))
        else:
            self._leaving(lambda: self._delivery.set_hold(lease, hold))

    @mending
    def ask_to_send(self, name: str) -> None:
        self._leaving(lambda: self._books.ask_to_send(self._number(name)))

    @mending
    def wake_number(self, name: str) -> int:
        return self._books.wake_number(self._number(name))

    @mending
    def oldest_open(self, name: str) -> int:
        return self._books.oldest_open(self._number(name))

    @mending
    def closed_since(self, name: str, number: int) -> int:
        return self._books.closed_since(self._number(name), number)

    @mending
    def change_counter(self) -> int:
        return (
            self.generation << 40
        ) + self._database.change_counter()  # another file may have come to the same number

    # --- looking ------------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def wall_ms(self) -> int:
        return self._clock.wall_ms()

    @mending
    def at(self, queue_ms: int) -> datetime:
        return wall_time(queue_ms, self._upkeep.boots())

    @mending
    def queue_ms(self, wall_ms: int) -> int:
        return queue_time(wall_ms, self._upkeep.boots())

    @mending
    def counts(self, name: str | None = None) -> Ledger:
        seen = self.generation
        ledger = self._books.counts(None if name is None else self._number(name))
        if ledger.balanced or name is not None:
            return ledger
        with suppress(StoreError):  # rows that nobody can count are damage; where it cannot be mended now, it is shown
            self.mend(
                StoreDamaged(f"{self.path}: the database is damaged (the ledger does not balance). {KEEP_IT}"), seen
            )
        return self._books.counts(None)

    @mending
    def destination_rows(self) -> list[DestinationRow]:
        return self._books.destination_rows(self._archived())

    @mending
    def get(self, event_id: str) -> RecordDetail | None:
        return self._archived().get(event_id, self.now_ms())

    @mending
    def resolve(self, text: str) -> list[str]:
        return self._archived().resolve(text)

    @mending
    def find(self, reference: str) -> list[Record]:
        return self._archived().find(reference, self.now_ms())

    @mending
    def records(self, sequences: Sequence[int]) -> list[Record]:
        return self._archived().records(sequences, self.now_ms())

    @mending_pages
    def events(self, wanted: EventFilter) -> Iterator[Record]:
        return self._archived().events(wanted, self.now_ms())

    @mending_pages
    def payloads(self, wanted: EventFilter) -> Iterator[tuple[Record, bytes]]:
        return self._archived().payloads(wanted, self.now_ms())

    @mending
    def requests(self, name: str | None, limit: int | None, request_id: str | None = None) -> list[RequestView]:
        return self._archived().requests(name, limit, request_id)

    # --- mending and tidying ------------------------------------------------------------------------------------------

    @mending
    def requeue(self, event_ids: Sequence[str] | None, name: str | None = None) -> int:
        return self._upkeep.requeue(event_ids, None if name is None else self._number(name))

    @mending
    def prune(self, delivered_before_ms: int | None, dead_before_ms: int | None) -> int:
        return self._upkeep.prune(delivered_before_ms, dead_before_ms)

    @mending
    def note_wall_clock(self) -> None:
        self._leaving(self._upkeep.note_wall_clock)

    def check(self) -> list[str]:
        seen = self.generation
        try:
            found = self._upkeep.check()
            if not found:
                return []
            damage = StoreDamaged(f"{self.path}: the database is damaged ({found[0]}). {KEEP_IT}")
        except StoreDamaged as error:  # such that the check itself cannot go on
            found, damage = [], error
        try:
            self.mend(damage, seen)
        except StoreError as error:
            return [str(error), *found]
        return self._upkeep.check()

    @mending
    def salvages(self) -> list[SalvageView]:
        return self._upkeep.salvages()

    def disk_bytes(self) -> int:
        return self._database.disk_bytes()

    def close(self) -> None:
        self._database.close()
        self._intake.close()
        self._reserve.restore()  # the log has gone with the last connection

    def _archived(self) -> Archive:
        if self._archive is None:
            with importing():
                from edgequeue.store.archive import Archive  # SQLAlchemy: 120 ms that who only enqueues never pays

            self._archive = Archive(self._database, self._ids)
        return self._archive

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._books.number(name)
            if number is None:
                raise ConfigError(f"destination {name!r} is not known to {self.path}. Configure it first")
            self._numbers[name] = number
        return number
