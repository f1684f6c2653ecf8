"""Looking: what became of an event, what was sent, how the queue stands. SQLAlchemy Core, read-only connections.

Where an event is follows from the rows alone: in `pending` (and in an open request: sending), in `endings`, or else
covered as accepted by a closed request: delivered. An event that none of these can account for is lost, and shown so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select

from edgequeue.clock import Boot, moment, wall_time
from edgequeue.model import ID_KEYS, Disposition, Priority, Status, parse_event_id
from edgequeue.retry import Hold
from edgequeue.store.base import EventFilter
from edgequeue.store.encoding import decode_hold
from edgequeue.store.ids import NONCE, QueueIds
from edgequeue.store.packing import unpack
from edgequeue.store.sqlite import Database
from edgequeue.store.tables import attempts, boots, destinations, endings, events, pending, requests
from edgequeue.views import EventError, HistoryEntry, Record, RecordDetail, RequestView

PAGE_EVENTS = 1000
"""Events read at a time: bounds the memory of a listing, whatever its length."""

RESOLVED_MAX = 10

_TOLD_LATER = (Status.PENDING, Status.SENDING, Status.DELIVERED, Status.LOST)
"""Statuses that the requests decide, not the row itself."""

_EVENT_COLUMNS = [column for column in events.c if column.name not in ("payload", "checksum", "codec", "stamped")]
_OF_EVENT = and_(
    pending.c.destination == events.c.destination,
    pending.c.priority == events.c.priority,
    pending.c.sequence == events.c.sequence,
)


class Trip(NamedTuple):
    """One request that an event travelled in, and what it came to for that event."""

    request: Row[Any]
    disposition: str | None
    receipt: str | None
    error: EventError | None


class Archive:
    """The looking half of the SQLite store."""

    def __init__(self, database: Database, ids: QueueIds) -> None:
        self._database = database
        self._ids = ids

    def get(self, event_id: str, now_ms: int) -> RecordDetail | None:
        """One event by its exact id, with payload and history."""
        wanted = parse_event_id(event_id)
        if wanted is None or wanted.queue_id != self._ids.of(wanted.sequence_from) or len(wanted.nonce) != 16:
            return None
        with self._database.look() as connection:
            query = _listing().add_columns(events.c.payload).where(events.c.sequence == wanted.sequence_from)
            row = connection.execute(query).first()
            if row is None or f"{row.nonce & NONCE:016x}" != wanted.nonce:
                return None
            page = _Page(connection, self._ids, [row], now_ms)
            record = page.record(row)
            history = tuple(page.history(row))
        try:
            payload = orjson.loads(row.payload)
        except orjson.JSONDecodeError:
            payload = None
        fields = {name: getattr(record, name) for name in Record.__dataclass_fields__}
        return RecordDetail(**fields, payload=payload, history=history)

    def resolve(self, text: str) -> list[str]:
        """Ids of the events that `text` may mean; an id of the application's own is searched for in the payloads."""
        query = select(events.c.sequence, events.c.nonce).order_by(events.c.sequence).limit(RESOLVED_MAX)
        wanted = parse_event_id(text)
        with self._database.look() as connection:
            if wanted is not None and wanted.queue_id in self._ids:
                between = events.c.sequence.between(wanted.sequence_from, wanted.sequence_to)
                found = connection.execute(query.where(between).limit(None if wanted.nonce else RESOLVED_MAX)).all()
                ids = [self._ids.event_id(seq, nonce) for seq, nonce in found]
                ids = [one for one in ids if one.startswith(text)]
                if ids:
                    return ids[:RESOLVED_MAX]
            whole = [f'"{key}":'.encode() + orjson.dumps(text) for key in ID_KEYS]
            for needles in (whole, [one[:-1] for one in whole]):  # the whole id first; else what begins so
                there = or_(*(func.instr(events.c.payload, needle) > 0 for needle in needles))
                found = connection.execute(query.where(there)).all()
                if found:
                    break
        return [self._ids.event_id(seq, nonce) for seq, nonce in found]

    def find(self, reference: str, now_ms: int) -> list[Record]:
        """Events by reference; the column has no index, so this reads the table once."""
        with self._database.look() as connection:
            query = _listing().where(events.c.reference == reference).order_by(events.c.sequence)
            rows = connection.execute(query).all()
            page = _Page(connection, self._ids, rows, now_ms)
            return [page.record(row) for row in rows]

    def records(self, sequences: Sequence[int], now_ms: int) -> list[Record]:
        """Events by their sequences, in that order; those that are gone are left out."""
        with self._database.look() as connection:
            rows = connection.execute(_listing().where(events.c.sequence.in_(sequences))).all()
            page = _Page(connection, self._ids, rows, now_ms)
            found = {row.sequence: page.record(row) for row in rows}
        return [found[one] for one in sequences if one in found]

    def payloads(self, wanted: EventFilter, now_ms: int) -> Iterator[tuple[Record, bytes]]:
        """Events with their payloads, in pages: between pages nothing is held."""
        yield from self._pages(wanted, now_ms, [events.c.payload])

    def events(self, wanted: EventFilter, now_ms: int) -> Iterator[Record]:
        """Events as they stand."""
        for record, _ in self._pages(wanted, now_ms, []):
            yield record

    def _pages(self, wanted: EventFilter, now_ms: int, more: list[Any]) -> Iterator[tuple[Record, bytes]]:
        left = wanted.limit
        edge: int | None = None
        order = events.c.sequence.desc() if wanted.newest_first else events.c.sequence
        while left is None or left > 0:
            with self._database.look() as connection:
                query = _listing().add_columns(*more).where(*_conditions(connection, wanted)).order_by(order)
                if edge is not None:
                    query = query.where(events.c.sequence < edge if wanted.newest_first else events.c.sequence > edge)
                # Whole pages where the status is only known afterwards: the requests are read once for each.
                size = PAGE_EVENTS if wanted.status in _TOLD_LATER else min(PAGE_EVENTS, left or PAGE_EVENTS)
                rows = connection.execute(query.limit(size)).all()
                page = _Page(connection, self._ids, rows, now_ms)
                found = [(page.record(row), row.payload if more else b"") for row in rows]
            for record, payload in found:
                if wanted.status in (None, record.status):
                    yield record, payload
                    left = None if left is None else left - 1
                    if left == 0:
                        return
            if len(rows) < size:
                return
            edge = rows[-1].sequence

    def requests(self, name: str | None, limit: int | None, request_id: str | None) -> list[RequestView]:
        """Requests, newest first."""
        query = select(requests, destinations.c.name.label("destination_name")).join(
            destinations, destinations.c.id == requests.c.destination
        )
        if name is not None:
            query = query.where(destinations.c.name == name)
        if request_id is not None:
            query = query.where(requests.c.request_id.startswith(request_id, autoescape=True))
        with self._database.look() as connection:
            known = read_boots(connection)
            rows = connection.execute(query.order_by(requests.c.number.desc()).limit(limit)).all()
        return [_request_view(row, known) for row in rows]


class _Page:
    """Everything needed to say where a page of events is, read in a handful of queries."""

    def __init__(self, connection: Connection, ids: QueueIds, rows: Sequence[Row[Any]], now_ms: int) -> None:
        self._ids = ids
        self._now_ms = now_ms
        self._boots = read_boots(connection)
        self._by_number = {boot.number: boot for boot in self._boots}
        self._names: dict[int, str] = {}
        self._holds: dict[int, Hold] = {}
        for row in connection.execute(select(destinations.c.id, destinations.c.name, destinations.c.hold)):
            self._names[row.id], self._holds[row.id] = row.name, decode_hold(row.hold)
        self._trips = _trips(connection, [row.sequence for row in rows])

    def record(self, row: Row[Any]) -> Record:
        trips = self._trips.get(row.sequence, [])
        last = next((trip for trip in reversed(trips) if trip.disposition == Disposition.ACCEPTED), None)
        delivered = last is not None
        last = last or (trips[-1] if trips else None)
        status = _status(row, trips, delivered)
        error = EventError(row.http_status, row.code, row.message) if status.value == row.state else None
        if error is None and status is Status.PENDING and last is not None:
            error = last.error
        spent = sum(trip.disposition in (Disposition.RETRY, Disposition.REJECT) for trip in trips)
        ended_attempts = row.ended_attempts if row.ended_attempts is not None else spent
        return Record(
            event_id=self._ids.event_id(row.sequence, row.nonce),
            destination=self._names.get(row.destination, f"#{row.destination}"),
            status=status,
            priority=Priority(row.priority).label,
            reference=row.reference,
            enqueued_at=self._enqueued_at(row),
            occurred_at=None if row.occurred_ms is None else moment(row.occurred_ms),
            attempts=row.pending_attempts if row.pending_attempts is not None else ended_attempts,
            next_attempt_at=self._next_attempt_at(row, status),
            request_id=last.request.request_id if last else None,
            receipt=last.receipt if last else None,
            error=error,
        )

    def history(self, row: Row[Any]) -> Iterator[HistoryEntry]:
        for trip in self._trips.get(row.sequence, []):
            request = trip.request
            yield HistoryEntry(
                request_id=request.request_id,
                opened_at=wall_time(request.opened_ms, self._boots),
                closed_at=None if request.closed_ms is None else wall_time(request.closed_ms, self._boots),
                disposition=trip.disposition,
                http_status=request.http_status,
                receipt=trip.receipt,
                error=trip.error,
                events=request.events,
            )

    def _enqueued_at(self, row: Row[Any]) -> datetime:
        boot = self._by_number.get(row.boot, self._boots[-1])
        return moment(row.enqueued_ms + boot.wall_offset_ms)

    def _next_attempt_at(self, row: Row[Any], status: Status) -> datetime | None:
        if status is not Status.PENDING:
            return None
        due_ms = max(row.not_before_ms or 0, self._holds.get(row.destination, Hold()).until_ms)
        return wall_time(due_ms, self._boots) if due_ms > self._now_ms else None


def _listing() -> Select[Any]:
    """Events with their place in the work list and their end, where they have one."""
    return (
        select(
            *_EVENT_COLUMNS,
            pending.c.sequence.label("pending_sequence"),
            pending.c.attempts.label("pending_attempts"),
            pending.c.not_before_ms,
            endings.c.state,
            endings.c.attempts.label("ended_attempts"),
            endings.c.http_status,
            endings.c.code,
            endings.c.message,
        )
        .select_from(events)
        .outerjoin(pending, _OF_EVENT)
        .outerjoin(endings, endings.c.sequence == events.c.sequence)
    )


def _conditions(connection: Connection, wanted: EventFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.destination is not None:
        name = destinations.c.name == wanted.destination
        yield events.c.destination == select(destinations.c.id).where(name).scalar_subquery()
    if wanted.since_ms is not None:
        yield events.c.enqueued_ms >= wanted.since_ms
    match wanted.status:
        case None:
            pass
        case Status.PENDING | Status.SENDING:
            yield pending.c.sequence.is_not(None)
        case Status.DELIVERED:
            yield and_(pending.c.sequence.is_(None), endings.c.sequence.is_(None))
        case Status.LOST:
            yield or_(
                endings.c.state == Status.LOST.value, and_(pending.c.sequence.is_(None), endings.c.state.is_(None))
            )
        case state:
            yield endings.c.state == state.value


def _status(row: Row[Any], trips: Sequence[Trip], delivered: bool) -> Status:
    if row.pending_sequence is not None:
        return Status.SENDING if any(trip.request.closed_ms is None for trip in trips) else Status.PENDING
    if row.state is not None:
        return Status(row.state)
    return Status.DELIVERED if delivered else Status.LOST


def _trips(connection: Connection, sequences: Sequence[int]) -> Mapping[int, list[Trip]]:
    """The requests that each of the events travelled in, oldest first."""
    if not sequences:
        return {}
    wanted, low, high = set(sequences), min(sequences), max(sequences)
    over = and_(requests.c.last_sequence >= low, requests.c.first_sequence <= high)
    found: dict[int, list[Trip]] = {}
    rows = connection.execute(select(requests).where(over).order_by(requests.c.number))
    for request in rows:
        carried = unpack(request.sequences)
        if wanted.isdisjoint(carried):
            continue
        notes = _notes(connection, request.number)
        for position, sequence in enumerate(carried):
            if sequence in wanted:
                found.setdefault(sequence, []).append(_trip(request, position, notes.get(sequence)))
    return found


def _notes(connection: Connection, number: int) -> Mapping[int, Row[Any]]:
    rows = connection.execute(select(attempts).where(attempts.c.request == number))
    return {row.sequence: row for row in rows}


def _trip(request: Row[Any], position: int, note: Row[Any] | None) -> Trip:
    if note is not None:
        error = EventError(note.http_status, note.code, note.message) if note.code or note.message else None
        return Trip(request, note.disposition, note.receipt, error)
    receipt = request.receipt.replace("{position}", str(position)) if request.receipt else None
    return Trip(request, request.disposition, receipt, request_error(request.error))


def request_error(text: str | None) -> EventError | None:
    """The problem kept with a request."""
    if text is None:
        return None
    found = orjson.loads(text)
    return EventError(found.get("status"), found.get("code"), found.get("text"))


def _request_view(row: Row[Any], known: Sequence[Boot]) -> RequestView:
    return RequestView(
        request_id=row.request_id,
        destination=row.destination_name,
        opened_at=wall_time(row.opened_ms, known),
        closed_at=None if row.closed_ms is None else wall_time(row.closed_ms, known),
        outcome=row.outcome,
        http_status=row.http_status,
        events=row.events,
        bytes=row.bytes,
        service=orjson.loads(row.service) if row.service else {},
        error=request_error(row.error),
    )


def read_boots(connection: Connection) -> list[Boot]:
    """The boots this queue has seen, in order."""
    rows = connection.execute(select(boots).order_by(boots.c.number))
    return [
        Boot(row.number, row.boot_id, row.started_ms, row.base_ms, row.wall_offset_ms, bool(row.trusted))
        for row in rows
    ]
