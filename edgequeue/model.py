"""The values that travel through edgequeue: events on their way into the store, requests on their way out.

Nothing here acts: no clock, no dice, no I/O. What people and programs are shown stands in `views.py`; what an answer
means in `outcome.py`. Small tuples (`NamedTuple`) are those made once per event on the hot path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

Event = Mapping[str, Any]
"""What the caller hands over: a JSON object; its shape depends on the destination (README, "What can be enqueued")."""


class Status(StrEnum):
    """Where an event is. Each event is, at every moment, in exactly one of these."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"
    EXPIRED = "expired"
    EVICTED = "evicted"
    ERASED = "erased"
    LOST = "lost"


ENDED = (Status.DEAD, Status.EXPIRED, Status.EVICTED, Status.ERASED, Status.LOST)
"""The ends other than delivered; each keeps a row in `endings` that says why."""

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    # A late accepted answer to a recorded request is always applied, also to an event that was rescued or given up.
    Status.PENDING: frozenset(
        {Status.SENDING, Status.DELIVERED, Status.DEAD, Status.EXPIRED, Status.EVICTED, Status.ERASED}
    ),
    Status.SENDING: frozenset({Status.PENDING, Status.DELIVERED, Status.DEAD}),
    Status.DELIVERED: frozenset(),
    Status.DEAD: frozenset({Status.PENDING, Status.DELIVERED, Status.ERASED}),
    Status.EXPIRED: frozenset({Status.DELIVERED}),
    Status.EVICTED: frozenset({Status.DELIVERED}),
    Status.ERASED: frozenset(),
    Status.LOST: frozenset(),
}
"""From each status, where an event may go next (besides LOST, which damage to the file can do to any of them)."""


class Priority(IntEnum):
    """What is sent first: all of HIGH, then NORMAL, then LOW; within a priority the oldest first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2

    @property
    def label(self) -> str:
        """The name shown and accepted everywhere: "high", "normal" or "low"."""
        return self.name.lower()


class Codec(IntEnum):
    """How a payload is stored. A codec of a newer version is kept and refused for sending, never dropped."""

    JSON = 0


class Disposition(StrEnum):
    """What a request came to for one event."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    DEFER = "defer"
    REJECT = "reject"
    UNKNOWN = "unknown"


class RequestOutcome(StrEnum):
    """What a request came to as a whole."""

    ACCEPTED = "accepted"
    PARTIAL = "partial"
    REJECTED = "rejected"
    DEFERRED = "deferred"
    UNKNOWN = "unknown"


REFERENCE_LENGTH_MAX = 200
"""Characters of a reference; it stands in the event row itself."""


class Draft(NamedTuple):
    """A checked and encoded event, not stored yet.

    `id_offset` is where the event id goes into `payload` as its own id (a placeholder of `EVENT_ID_LENGTH` bytes
    stands there), or -1 when the event brought one (`ID_KEYS`).
    """

    payload: bytes
    id_offset: int
    occurred_ms: int | None
    reference: str | None
    stamped: bool
    warnings: tuple[str, ...]


class Claimed(NamedTuple):
    """A due record, read for sending. `travel_max` is the largest batch it may travel in (None: no limit)."""

    sequence: int
    priority: int
    attempts: int
    travel_max: int | None
    payload: bytes
    intact: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may hold: `events_max` events and `bytes_max` encoded bytes, `frame_bytes` of them the frame."""

    events_max: int
    bytes_max: int
    frame_bytes: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that travel in one request, with `items`: their encoded bytes, in the same order."""

    request_id: str
    records: tuple[Claimed, ...]
    items: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.records)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request as bytes. Credentials are added by the transport's caller, so that they never show here.

    `fresh`: on a connection of its own, where what the answer says must be beyond doubt.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One answer as bytes; `headers` have lower-case names. `received_at` is the device's clock at that moment.

    `reused`: it came on a connection that had carried another request before, so a stray answer is not ruled out.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    reused: bool = False

    def header(self, name: str) -> str | None:
        """The value of a header, whatever the case of its name."""
        return self.headers.get(name.lower())


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, for people and programs: HTTP `status`, the service's `code`, the text and what would help."""

    code: str
    text: str
    remedy: str = ""
    status: int | None = None


EVENT_ID_LENGTH = 38
"""`<queue>-<sequence>-<nonce>`: 8 letters and digits, 12 decimal digits, 16 hexadecimal digits (64 random bits)."""

ID_PLACEHOLDER = "0" * EVENT_ID_LENGTH

ID_KEYS = ("_id", "command_id")
"""Under which of these keys an event's own id stands in its payload, its destination decides."""


def format_event_id(queue_id: str, sequence: int, nonce: int) -> str:
    """The public id of an event: sortable by age, parseable without an index, different even on a cloned card."""
    return f"{queue_id}-{sequence:012d}-{nonce:016x}"


@dataclass(frozen=True, slots=True)
class EventIdPrefix:
    """An event id or the beginning of one: which sequences it may mean, and how its nonce begins."""

    queue_id: str
    sequence_from: int
    sequence_to: int
    nonce: str


def parse_event_id(text: str) -> EventIdPrefix | None:
    """Read an event id or an unambiguous beginning of one; None when the text cannot be one."""
    queue_id, _, rest = text.partition("-")
    digits, _, nonce = rest.partition("-")
    if (
        len(queue_id) != 8
        or not (digits.isascii() and digits.isdecimal())
        or len(digits) > 12
        or (nonce and len(digits) != 12)
    ):
        return None
    if len(nonce) > 16 or any(letter not in "0123456789abcdef" for letter in nonce):
        return None
    return EventIdPrefix(queue_id, int(digits.ljust(12, "0")), int(digits.ljust(12, "9")), nonce)
