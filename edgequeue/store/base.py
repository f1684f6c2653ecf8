"""What a store is: the interface that the worker and the facade know, and the values they exchange with it.

`SqliteStore` (this package) and `MemoryStore` (`edgequeue.testing`) pass the same contract suite; a PostgreSQL store
can stand beside them. Times are queue-clock milliseconds unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from edgequeue.learning import NOTHING, Learned
from edgequeue.model import Claimed, Draft, Priority, Status
from edgequeue.outcome import Death, Settlement
from edgequeue.retry import Hold
from edgequeue.views import Ledger, Record, RecordDetail, RequestView, SalvageView, WorkerView


@dataclass(slots=True)
class Lease:
    """The right to send to one destination, held for life. `fence` grows with each: a late holder is recognised."""

    destination: int
    name: str
    fence: int
    lock: Any  # what the store needs to let go of it
    queue_id: str = ""  # of the queue that gave it: another file under the same path knows nothing of it


class NewRequest(NamedTuple):
    """A request to put on record before its first byte goes out."""

    request_id: str
    sequences: tuple[int, ...]
    bytes: int


class Closing(NamedTuple):
    """An open request (its number in the store) and what it came to."""

    number: int
    settlement: Settlement


@dataclass(frozen=True, slots=True)
class DestinationRow:
    """What the store knows of one destination. `next_due_ms`: when the next pending event is due, or of one that is due
    already. `suspects`: how many events under suspicion are pending, and when the first of them is tried again.
    """

    name: str
    type: str
    hold: Hold
    counts: Ledger
    owner: WorkerView | None
    oldest_pending_ms: int | None
    next_due_ms: int | None
    last_accepted_ms: int | None
    last_request: RequestView | None
    learned: Learned = NOTHING
    suspects: tuple[int, int | None] = (0, None)


class EventFilter(NamedTuple):
    """Which events to list, oldest first unless `newest_first`. `since_ms` is queue time of enqueue."""

    status: Status | None = None
    destination: str | None = None
    since_ms: int | None = None
    limit: int | None = None
    newest_first: bool = False


class Store(Protocol):
    """A durable store of events. Every method may raise StoreError and its kin; all are safe from any thread."""

    queue_id: str
    schema_revision: str
    path: Path

    # --- taking events in -------------------------------------------------------------------------------------------

    def adopt(self, names: Collection[str]) -> None:
        """Before the destinations of a configuration are registered, all their names: where a salvage left exactly one
        destination without its name, and exactly one of these is not known, it is that one.
        """

    def register(self, name: str, type_name: str) -> None:
        """Make a destination known; events can be put for it from then on. Costs no write when it is known."""

    def put(self, destination: str, draft: Draft, priority: Priority, timeout_seconds: float) -> str:
        """Store one event durably and return its id; when this returns, the event survives a power cut."""

    def put_many(
        self, destination: str, drafts: Iterable[Draft], priority: Priority, timeout_seconds: float
    ) -> list[str]:
        """Store all or none; ids in the order of the drafts. The iterable is not consumed under a lock."""

    def room(self) -> tuple[int, int]:
        """How much is stored: (events that are pending, bytes in use)."""

    # --- delivering -------------------------------------------------------------------------------------------------

    def acquire(self, name: str, kind: str) -> Lease | None:
        """Become the one who sends to a destination, or None while a living process is. Never waits."""

    def release(self, lease: Lease) -> None:
        """Let another process send; harmless when done twice."""

    def rescue(self, lease: Lease) -> int:
        """Close the requests a dead worker left open, as unknown; their events are pending again. Returns how many."""

    def claim(self, lease: Lease, now_ms: int, events_max: int, bytes_max: int) -> list[Claimed]:
        """Due records in no open request, by priority, then age; at least one where one is due, whatever its size.

        LeaseLost where the lease is somebody else's by now: who has nothing to send must learn of it too.
        """

    def next_due_ms(self, name: str) -> int | None:
        """When the next pending record that is in no open request falls due; None when there is none."""

    def record(self, lease: Lease, requests: Sequence[NewRequest], now_ms: int) -> list[int]:
        """Put requests on record in one commit; returns their numbers."""

    def settle(
        self,
        lease: Lease,
        closings: Sequence[Closing],
        now_ms: int,
        hold: Hold | None = None,
        learned: Learned | None = None,
    ) -> None:
        """Write what requests came to, in one commit, with the destination's new hold and what was learned.

        A lease that was lost still applies what was accepted, and nothing else.
        """

    def bury(self, lease: Lease, deaths: Sequence[Death], now_ms: int) -> None:
        """Set records aside as dead that were never sent (a damaged payload)."""

    def hold(self, name: str) -> Hold:
        """What holds a destination back."""

    def learned(self, name: str) -> Learned:
        """What was learned about a destination."""

    def set_hold(self, name: str, hold: Hold, lease: Lease | None = None) -> None:
        """Write what holds a destination back, apart from any request.

        Nothing is written with a lease that is somebody else's by now: that one knows more.
        """

    def ask_to_send(self, name: str) -> None:
        """Ask the process that holds the lease to try now."""

    def wake_number(self, name: str) -> int:
        """Grows with each `ask_to_send`."""

    def oldest_open(self, name: str) -> int:
        """The number of the oldest open request to a destination; where none is open, the next request's."""

    def closed_since(self, name: str, number: int) -> int:
        """How many requests to a destination are closed, of those from this number on."""

    def change_counter(self) -> int:
        """Differs from the last value when anything was committed by anybody; costs no I/O."""

    # --- looking ------------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Queue time."""

    def wall_ms(self) -> int:
        """The device's wall clock, milliseconds since 1970."""

    def counts(self, name: str | None = None) -> Ledger:
        """The ledger of the whole queue, or of one destination."""

    def destination_rows(self) -> list[DestinationRow]:
        """Every destination that ever had events, configured or not."""

    def get(self, event_id: str) -> RecordDetail | None:
        """One event by its exact id."""

    def resolve(self, text: str) -> list[str]:
        """The ids of at most 10 events that `text` may mean: an event id, an `_id`, or the beginning of either."""

    def find(self, reference: str) -> list[Record]:
        """Events by the application's own key, oldest first."""

    def records(self, sequences: Sequence[int]) -> list[Record]:
        """Events by their sequences, in that order."""

    def events(self, wanted: EventFilter) -> Iterable[Record]:
        """Events as they stand, read in pages."""

    def payloads(self, wanted: EventFilter) -> Iterable[tuple[Record, bytes]]:
        """As `events`, with each payload."""

    def requests(self, name: str | None, limit: int | None, request_id: str | None = None) -> list[RequestView]:
        """Requests, newest first; by the beginning of an id when one is given."""

    def at(self, queue_ms: int) -> datetime:
        """When a queue time was, by the wall clock of its boot."""

    def queue_ms(self, wall_ms: int) -> int:
        """The queue time at which a wall clock showed `wall_ms`, as well as is known."""

    # --- mending and tidying ------------------------------------------------------------------------------------------

    def requeue(self, event_ids: Sequence[str] | None, name: str | None = None) -> int:
        """Dead events become pending again, attempts given back: the named ones, or all (of a destination)."""

    def prune(self, delivered_before_ms: int | None, dead_before_ms: int | None) -> int:
        """Delete delivered and otherwise ended records that ended before these queue times; returns how many events."""

    def note_wall_clock(self) -> None:
        """Write down that the wall clock was stepped, if it was."""

    def salvages(self) -> list[SalvageView]:
        """The damaged databases that were salvaged into this one, oldest first."""

    def check(self) -> list[str]:
        """What is wrong with the store and could not be salvaged, in words; empty when nothing is."""

    def disk_bytes(self) -> int:
        """Bytes on disk, log included."""

    def close(self) -> None:
        """Let go of everything. Idempotent."""
