"""What people and programs are shown: records, histories, requests, the ledger and the state of each destination.

The field names are the keys of the command line's `--json` output (README, "For programs"), but for those that are for
people alone; `as_json` makes it.
Times are aware datetimes in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from edgequeue.model import Status

FOR_PEOPLE = {"json": False}
"""The metadata of a field that `as_json` leaves out."""


@dataclass(frozen=True, slots=True)
class EventError:
    """Why an event was refused: the HTTP status, the service's code and its text."""

    status: int | None
    code: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One request that an event travelled in, with `events` in all; `disposition` is None while it is open."""

    request_id: str
    opened_at: datetime
    closed_at: datetime | None
    disposition: str | None
    http_status: int | None
    receipt: str | None
    error: EventError | None
    events: int = field(default=1, metadata=FOR_PEOPLE)


@dataclass(frozen=True, slots=True)
class Record:
    """An event as stored, and what became of it.

    `request_id` and `receipt` are of the request that delivered it, else of the last it travelled in. `occurred_at`
    is the event's own timestamp, None where it has none.
    """

    event_id: str
    destination: str
    status: Status
    priority: str
    reference: str | None
    enqueued_at: datetime
    occurred_at: datetime | None
    attempts: int
    next_attempt_at: datetime | None
    request_id: str | None
    receipt: str | None
    error: EventError | None


@dataclass(frozen=True, slots=True)
class RecordDetail(Record):
    """A record with its payload (a JSON document; None when it cannot be read) and the requests it travelled in."""

    payload: Any
    history: tuple[HistoryEntry, ...]


@dataclass(frozen=True, slots=True)
class RequestView:
    """One HTTP exchange. `service` holds the ids that the service answered with."""

    request_id: str
    destination: str
    opened_at: datetime
    closed_at: datetime | None
    outcome: str | None
    http_status: int | None
    events: int
    bytes: int
    service: dict[str, Any]
    error: EventError | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The counts. `enqueued` comes from the sequence's high-water mark, independently of the eight others."""

    enqueued: int
    pending: int = 0
    sending: int = 0
    delivered: int = 0
    dead: int = 0
    expired: int = 0
    evicted: int = 0
    erased: int = 0
    lost: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every event that was ever enqueued is in exactly one state."""
        return self.enqueued == sum(int(getattr(self, status)) for status in Status)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a destination is held back, and what would help."""

    code: str
    text: str
    remedy: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Paused:
    """What `on_paused` is told: which destination waits for an operator, why, and what would help."""

    destination: str
    code: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class WorkerView:
    """Who is draining the queue: the process, how it was started ("run", "embedded", "sync") and since when."""

    pid: int
    kind: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class DestinationView:
    """One destination: `state` is ok, offline, backing_off, paused, waiting or unconfigured.

    `asked_until`: nothing is sent before, also not by hand (Retry-After). `worker`: who drains it. `learned`: what was
    learned of it and still holds, in words.
    """

    type: str
    state: str
    reason: Reason | None
    next_attempt_at: datetime | None
    oldest_pending_at: datetime | None
    last_accepted_at: datetime | None
    counts: Ledger
    last_request: RequestView | None
    asked_until: datetime | None = field(default=None, metadata=FOR_PEOPLE)
    worker: WorkerView | None = field(default=None, metadata=FOR_PEOPLE)
    learned: tuple[str, ...] = field(default=(), metadata=FOR_PEOPLE)


MORE_LOST = "the newest part is gone, and nothing tells how many events it held"
"""Stands at the end of a salvage's reason, where that is so."""

PUT_BACK = "an older copy put in its place"
"""Stands in the reason of a salvage that a restored backup may explain."""


@dataclass(frozen=True, slots=True)
class SalvageView:
    """A damaged database that was salvaged into this one: how many events came back and how many were lost, where its
    files are kept, and what was wrong with them.
    """

    salvaged_at: datetime
    events: int
    lost: int
    place: str
    reason: str

    @property
    def more_lost(self) -> bool:
        """Whether more may be lost than is counted: the newest part is gone, and nothing tells how much."""
        return self.reason.endswith(MORE_LOST)


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The queue at one moment."""

    queue_id: str
    database: str
    configuration: str | None
    schema_revision: str
    disk_bytes: int
    ledger: Ledger
    worker: WorkerView | None
    destinations: dict[str, DestinationView] = field(default_factory=dict)
    why: str = ""
    salvages: tuple[SalvageView, ...] = field(default=(), metadata=FOR_PEOPLE)


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one `sync` did; `deferred` counts distinct events, `remaining` is pending + sending at the end."""

    delivered: int
    dead: int
    deferred: int
    requests: int
    remaining: int
    seconds: float
    stopped_because: str


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: 2026-11-21T04:41:18.123Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def as_json(value: Any) -> Any:
    """A view as plain JSON values: every field present, absent ones null, times as text."""
    match value:
        case datetime():
            return format_time(value)
        case Ledger():
            return {**_fields(value), "balanced": value.balanced}
        case DestinationView():
            flat = _fields(value)
            counts = flat.pop("counts")
            del counts["balanced"]
            last_request = flat.pop("last_request")
            return {**flat, **counts, "last_request": last_request}
        case QueueStatus():
            flat = _fields(value)
            order = ["queue_id", "database", "configuration", "schema_revision", "disk_bytes", "why"]
            return {key: flat.pop(key) for key in order} | flat
        case dict():
            return {key: as_json(item) for key, item in value.items()}
        case tuple() | list():
            return [as_json(item) for item in value]
        case _ if is_dataclass(value):
            return _fields(value)
        case _:
            return value


def _fields(value: Any) -> dict[str, Any]:
    return {one.name: as_json(getattr(value, one.name)) for one in fields(value) if one.metadata.get("json", True)}
