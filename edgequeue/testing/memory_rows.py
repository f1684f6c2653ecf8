"""What `MemoryStore` keeps, and how it is shown: events, the requests they travelled in, destinations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from edgequeue.clock import Boot, moment, wall_time
from edgequeue.learning import NOTHING, Learned
from edgequeue.model import ENDED, Disposition, Priority, Problem, RequestOutcome, Status
from edgequeue.outcome import Settlement, Verdict
from edgequeue.retry import Hold
from edgequeue.store.base import Lease
from edgequeue.views import EventError, HistoryEntry, Ledger, Record, RecordDetail, RequestView, WorkerView

NOT_ANSWERED = Settlement(
    RequestOutcome.UNKNOWN,
    Verdict(Disposition.UNKNOWN, Problem("not_recorded", "the worker ended before the answer was recorded")),
    http_status=None,
    service={},
)
"""What a rescued request came to."""


@dataclass(slots=True)
class Ending:
    """Why an event ended otherwise than delivered."""

    state: Status
    ended_ms: int
    attempts: int
    error: EventError


@dataclass(slots=True)
class Stored:
    """An event; `waiting` while it is in the work list."""

    sequence: int
    event_id: str
    destination: int
    priority: Priority
    payload: bytes
    reference: str | None
    occurred_ms: int | None
    enqueued_ms: int
    waiting: bool = True
    not_before_ms: int = 0
    attempts: int = 0
    travel_max: int | None = None
    ending: Ending | None = None


@dataclass(slots=True)
class Sent:
    """A request; `settlement` once it is closed."""

    number: int
    request_id: str
    destination: int
    fence: int
    opened_ms: int
    sequences: tuple[int, ...]
    bytes: int
    closed_ms: int | None = None
    settlement: Settlement | None = None
    notes: dict[int, Verdict] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        return self.settlement is None

    def close(self, settlement: Settlement, now_ms: int) -> None:
        self.closed_ms, self.settlement = now_ms, settlement
        self.notes.update({note.sequence: note.verdict for note in settlement.notes})

    def verdict_on(self, sequence: int) -> Verdict | None:
        """What it came to for an event, its receipt filled in; None while it is open."""
        if sequence in self.notes or self.settlement is None:
            return self.notes.get(sequence)
        verdict = self.settlement.verdict
        position = self.sequences.index(sequence)
        receipt = verdict.receipt.replace("{position}", str(position)) if verdict.receipt else None
        return Verdict(verdict.disposition, verdict.problem, receipt)

    def accepted(self, sequence: int) -> bool:
        verdict = self.verdict_on(sequence)
        return verdict is not None and verdict.disposition is Disposition.ACCEPTED


@dataclass(slots=True)
class Place:
    """A destination."""

    number: int
    name: str
    type: str
    fence: int = 0
    hold: Hold = field(default_factory=Hold)
    learned: Learned = NOTHING
    wake: int = 0
    last_accepted_ms: int | None = None
    ended: Counter[Status] = field(default_factory=Counter)
    holder: Lease | None = None
    owner: WorkerView | None = None

    def ledger(self, pending: int, sending: int) -> Ledger:
        """Its counts; `pending` includes those that are being sent."""
        ended = {status.value: self.ended[status] for status in (Status.DELIVERED, *ENDED)}
        enqueued = pending + sum(ended.values())
        return Ledger(enqueued=enqueued, pending=pending - sending, sending=sending, **ended)


def status_of(event: Stored, trips: Sequence[Sent]) -> Status:
    """Where an event is, from the rows alone: it is delivered only if a closed request covers it as accepted."""
    if event.waiting:
        return Status.SENDING if any(trip.open for trip in trips) else Status.PENDING
    if event.ending is not None:
        return event.ending.state
    return Status.DELIVERED if any(trip.accepted(event.sequence) for trip in trips) else Status.LOST


def record_of(event: Stored, trips: Sequence[Sent], place: Place, boot: Boot, now_ms: int) -> Record:
    """An event as it is shown."""
    status = status_of(event, trips)
    verdicts = [trip.verdict_on(event.sequence) for trip in trips]
    accepted = [trip for trip in trips if trip.accepted(event.sequence)]
    last = accepted[-1] if accepted else trips[-1] if trips else None
    verdict = None if last is None else last.verdict_on(event.sequence)
    error = event.ending.error if event.ending is not None else None
    if status is Status.PENDING:
        error = error_of(verdict)
    spent = sum(one is not None and one.disposition in (Disposition.RETRY, Disposition.REJECT) for one in verdicts)
    ended_attempts = spent if event.ending is None else event.ending.attempts
    due_ms = max(event.not_before_ms, place.hold.until_ms)
    waits = status is Status.PENDING and due_ms > now_ms
    return Record(
        event_id=event.event_id,
        destination=place.name,
        status=status,
        priority=event.priority.label,
        reference=event.reference,
        enqueued_at=moment(event.enqueued_ms + boot.wall_offset_ms),
        occurred_at=None if event.occurred_ms is None else moment(event.occurred_ms),
        attempts=event.attempts if event.waiting else ended_attempts,
        next_attempt_at=wall_time(due_ms, [boot]) if waits else None,
        request_id=None if last is None else last.request_id,
        receipt=None if verdict is None else verdict.receipt,
        error=error,
    )


def detail_of(event: Stored, record: Record, trips: Sequence[Sent], boot: Boot) -> RecordDetail:
    """An event with its payload and history."""
    try:
        payload = orjson.loads(event.payload)
    except orjson.JSONDecodeError:
        payload = None
    fields = {name: getattr(record, name) for name in Record.__dataclass_fields__}
    return RecordDetail(**fields, payload=payload, history=tuple(_history(event, trips, boot)))


def request_view(sent: Sent, place: Place, boot: Boot) -> RequestView:
    """A request as it is shown."""
    settlement = sent.settlement
    return RequestView(
        request_id=sent.request_id,
        destination=place.name,
        opened_at=wall_time(sent.opened_ms, [boot]),
        closed_at=None if sent.closed_ms is None else wall_time(sent.closed_ms, [boot]),
        outcome=None if settlement is None else settlement.outcome.value,
        http_status=None if settlement is None else settlement.http_status,
        events=len(sent.sequences),
        bytes=sent.bytes,
        service={} if settlement is None else dict(settlement.service),
        error=None if settlement is None else error_of(settlement.verdict),
    )


def error_of(verdict: Verdict | None) -> EventError | None:
    """The part of a problem that is kept."""
    if verdict is None or verdict.problem is None:
        return None
    problem = verdict.problem
    return EventError(problem.status, problem.code or None, problem.text or None)


def _history(event: Stored, trips: Sequence[Sent], boot: Boot) -> Iterator[HistoryEntry]:
    for trip in trips:
        verdict = trip.verdict_on(event.sequence)
        yield HistoryEntry(
            request_id=trip.request_id,
            opened_at=wall_time(trip.opened_ms, [boot]),
            closed_at=None if trip.closed_ms is None else wall_time(trip.closed_ms, [boot]),
            disposition=None if verdict is None else verdict.disposition.value,
            http_status=None if trip.settlement is None else trip.settlement.http_status,
            receipt=None if verdict is None else verdict.receipt,
            error=error_of(verdict),
            events=len(trip.sequences),
        )
