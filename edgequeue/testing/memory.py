"""A store without a file, as honest as the real one: the same leases, fences, rescues and books."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import orjson

from edgequeue.clock import queue_time, wall_time
from edgequeue.model import ID_KEYS, Status, parse_event_id
from edgequeue.store.base import DestinationRow, EventFilter
from edgequeue.testing.memory_delivery import Delivering, alone
from edgequeue.testing.memory_rows import Place, Sent, Stored, detail_of, record_of, request_view
from edgequeue.views import Ledger, Record, RecordDetail, RequestView, SalvageView

RESOLVED_MAX = 10


class MemoryStore(Delivering):
    """The `Store` of tests; `store.base.Store` says what each method promises. What is in it ends with the process.

    A worker "dies" by `release` of its lease with requests open; whoever acquires it next rescues them.
    """

    schema_revision = "memory"
    path = Path(":memory:")

    # --- looking ------------------------------------------------------------------------------------------------------

    def wall_ms(self) -> int:
        return self._clock.wall_ms()

    def at(self, queue_ms: int) -> datetime:
        return wall_time(queue_ms, [self._clock.boot])  # the memory knows one boot: it ends with the process

    def queue_ms(self, wall_ms: int) -> int:
        return queue_time(wall_ms, [self._clock.boot])

    @alone
    def counts(self, name: str | None = None) -> Ledger:
        if name is not None:
            return self._ledger(self._place(name))
        ledgers = [self._ledger(place) for place in self._places.values()]
        sums = {status.value: sum(getattr(one, status) for one in ledgers) for status in Status}
        return Ledger(enqueued=self._last_sequence, **sums)

    def _ledger(self, place: Place) -> Ledger:
        waiting = {event.sequence for event in self._events.values() if event.waiting}
        mine = sum(self._events[sequence].destination == place.number for sequence in waiting)
        travelling = {sequence for sent in self._open(place.number) for sequence in sent.sequences}
        return place.ledger(mine, len(travelling & waiting))

    @alone
    def destination_rows(self) -> list[DestinationRow]:
        return [self._destination_row(place) for place in self._places.values()]

    def _destination_row(self, place: Place) -> DestinationRow:
        waiting = [one for one in self._events.values() if one.waiting and one.destination == place.number]
        last = self._requests_of(place.name, None)[:1]
        suspects = [one.not_before_ms for one in waiting if one.sequence in place.learned.suspects]
        return DestinationRow(
            name=place.name,
            type=place.type,
            hold=place.hold,
            counts=self._ledger(place),
            owner=place.owner,
            oldest_pending_ms=waiting[0].enqueued_ms if waiting else None,
            next_due_ms=min((event.not_before_ms for event in waiting), default=None),
            last_accepted_ms=place.last_accepted_ms,
            last_request=last[0] if last else None,
            learned=place.learned,
            suspects=(len(suspects), min(suspects, default=None)),
        )

    @alone
    def get(self, event_id: str) -> RecordDetail | None:
        event = self._by_id(event_id)
        if event is None:
            return None
        return detail_of(event, self._shown(event), self._trips(event.sequence), self._clock.boot)

    @alone
    def resolve(self, text: str) -> list[str]:
        ids = [event.event_id for event in self._events.values() if event.event_id.startswith(text)]
        if not ids or parse_event_id(text) is None:
            whole = [f'"{key}":'.encode() + orjson.dumps(text) for key in ID_KEYS]
            for needles in (whole, [one[:-1] for one in whole]):
                found = (one for one in self._events.values() if any(needle in one.payload for needle in needles))
                ids = [event.event_id for event in found]
                if ids:
                    break
        return ids[:RESOLVED_MAX]

    @alone
    def find(self, reference: str) -> list[Record]:
        return [self._shown(event) for event in self._events.values() if event.reference == reference]

    @alone
    def records(self, sequences: Sequence[int]) -> list[Record]:
        return [self._shown(self._events[one]) for one in sequences if one in self._events]

    def events(self, wanted: EventFilter) -> Iterator[Record]:
        return (record for record, _ in self._wanted(wanted))

    def payloads(self, wanted: EventFilter) -> Iterator[tuple[Record, bytes]]:
        return iter(self._wanted(wanted))

    @alone
    def _wanted(self, wanted: EventFilter) -> list[tuple[Record, bytes]]:
        found = [
            (self._shown(event), event.payload)
            for event in self._events.values()
            if wanted.since_ms is None or event.enqueued_ms >= wanted.since_ms
        ]
        found = [
            (record, payload)
            for record, payload in found
            if wanted.destination in (None, record.destination) and wanted.status in (None, record.status)
        ]
        if wanted.newest_first:
            found.reverse()
        return found[: wanted.limit]

    @alone
    def requests(self, name: str | None, limit: int | None, request_id: str | None = None) -> list[RequestView]:
        return self._requests_of(name, request_id)[:limit]

    def _requests_of(self, name: str | None, request_id: str | None) -> list[RequestView]:
        places = {place.number: place for place in self._places.values()}
        return [
            request_view(sent, places[sent.destination], self._clock.boot)
            for sent in reversed(self._requests.values())
            if name in (None, places[sent.destination].name) and sent.request_id.startswith(request_id or "")
        ]

    @alone
    def oldest_open(self, name: str) -> int:
        numbers = [sent.number for sent in self._open(self._place(name).number)]
        return min(numbers, default=max(self._requests, default=0) + 1)

    @alone
    def closed_since(self, name: str, number: int) -> int:
        wanted = self._place(name).number
        later = [sent for sent in self._requests.values() if sent.number >= number and sent.destination == wanted]
        return sum(not sent.open for sent in later)

    # --- mending and tidying ------------------------------------------------------------------------------------------

    @alone
    def requeue(self, event_ids: Sequence[str] | None, name: str | None = None) -> int:
        number = None if name is None else self._place(name).number
        dead = [one for one in self._events.values() if one.ending is not None and one.ending.state is Status.DEAD]
        dead = [one for one in dead if number in (None, one.destination)]
        dead = [one for one in dead if event_ids is None or one.event_id in event_ids]
        for event in dead:
            event.waiting, event.ending = True, None
            event.not_before_ms, event.attempts, event.travel_max = 0, 0, None
            self._place_of(event).ended[Status.DEAD] -= 1
        self._changes += 1
        return len(dead)

    @alone
    def prune(self, delivered_before_ms: int | None, dead_before_ms: int | None) -> int:
        before = len(self._events)
        if delivered_before_ms is not None:
            for sent in list(self._requests.values()):
                if sent.closed_ms is not None and sent.closed_ms < delivered_before_ms:
                    self._prune_request(sent)
        if dead_before_ms is not None:
            for event in list(self._events.values()):
                if event.ending is not None and event.ending.ended_ms < dead_before_ms:
                    del self._events[event.sequence]
        self._changes += 1
        return before - len(self._events)

    def _prune_request(self, sent: Sent) -> None:
        """What it delivered goes first, then the request itself once none of its events is left."""
        for sequence in sent.sequences:
            if sent.accepted(sequence):
                self._events.pop(sequence, None)
        if not any(sequence in self._events for sequence in sent.sequences):
            del self._requests[sent.number]

    @alone
    def note_wall_clock(self) -> None:
        self._clock.boot = self._clock.stepped() or self._clock.boot

    def salvages(self) -> list[SalvageView]:
        return []

    def check(self) -> list[str]:
        return []

    def disk_bytes(self) -> int:
        return 0

    def close(self) -> None:
        with self._turn:
            self._closed = True

    def _by_id(self, event_id: str) -> Stored | None:
        return next((event for event in self._events.values() if event.event_id == event_id), None)

    def _place_of(self, event: Stored) -> Place:
        return next(place for place in self._places.values() if place.number == event.destination)

    def _trips(self, sequence: int) -> list[Sent]:
        return [sent for sent in self._requests.values() if sequence in sent.sequences]

    def _shown(self, event: Stored) -> Record:
        trips = self._trips(event.sequence)
        return record_of(event, trips, self._place_of(event), self._clock.boot, self.now_ms())
