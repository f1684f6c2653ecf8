"""The first half of `MemoryStore`: taking events in and delivering them, under leases and fences as on disk."""

from __future__ import annotations

import functools
import os
import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from edgequeue.clock import Clock, QueueClock, moment, next_boot
from edgequeue.errors import ConfigError, LeaseLost, QueueClosed
from edgequeue.learning import Learned
from edgequeue.model import EVENT_ID_LENGTH, Claimed, Draft, Priority, Status, format_event_id
from edgequeue.outcome import Death, Settlement
from edgequeue.retry import Hold, HoldState
from edgequeue.store.base import Closing, Lease, NewRequest
from edgequeue.testing.clock import ManualClock
from edgequeue.testing.memory_rows import NOT_ANSWERED, Ending, Place, Sent, Stored
from edgequeue.views import EventError, WorkerView

Given = ParamSpec("Given")
Found = TypeVar("Found")
Owner = TypeVar("Owner", bound="Delivering")

GIVEN_UP = (Status.DEAD, Status.EXPIRED, Status.EVICTED)


def alone(
    method: Callable[Concatenate[Owner, Given], Found],
) -> Callable[Concatenate[Owner, Given], Found]:
    """One thread at a time, and only while the store is open."""

    @functools.wraps(method)
    def run(self: Owner, /, *given: Given.args, **named: Given.kwargs) -> Found:
        with self._turn:
            if self._closed:
                raise QueueClosed("this store was closed; open a new one")
            return method(self, *given, **named)

    return run


class Delivering:
    """The rows, who may change them, and what happens to them on the way out."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.queue_id = secrets.token_hex(4)
        clock = clock or ManualClock()
        self._clock = QueueClock(next_boot(None, 0, clock), clock)
        self._events: dict[int, Stored] = {}
        self._requests: dict[int, Sent] = {}
        self._places: dict[str, Place] = {}
        self._last_sequence = self._last_number = self._changes = 0
        self._closed = False
        self._turn = threading.RLock()

    def now_ms(self) -> int:
        return self._clock.now_ms()

    # --- taking events in ---------------------------------------------------------------------------------------------

    def adopt(self, names: Collection[str]) -> None:
        """Nothing here is ever salvaged."""

    @alone
    def register(self, name: str, type_name: str) -> None:
        place = self._places.get(name)
        if place is None:
            self._places[name] = Place(len(self._places) + 1, name, type_name)
            self._changes += 1
        elif place.type != type_name:
            if any(event.waiting and event.destination == place.number for event in self._events.values()):
                raise ConfigError(f"events for {name!r} wait as {place.type!r} events. Give it another name")
            place.type = type_name
            self._changes += 1

    def put(self, destination: str, draft: Draft, priority: Priority, timeout_seconds: float) -> str:
        return self.put_many(destination, [draft], priority, timeout_seconds)[0]

    def put_many(
        self, destination: str, drafts: Iterable[Draft], priority: Priority, timeout_seconds: float
    ) -> list[str]:
        return self._put_all(destination, list(drafts), priority)  # consumed before the lock is taken

    @alone
    def _put_all(self, destination: str, drafts: Sequence[Draft], priority: Priority) -> list[str]:
        place = self._place(destination)
        return [self._put(place, draft, priority) for draft in drafts]

    def _put(self, place: Place, draft: Draft, priority: Priority) -> str:
        self._last_sequence += 1
        self._changes += 1
        event_id = format_event_id(self.queue_id, self._last_sequence, secrets.randbits(64))
        payload, offset = draft.payload, draft.id_offset
        if offset >= 0:
            payload = payload[:offset] + event_id.encode() + payload[offset + EVENT_ID_LENGTH :]
        self._events[self._last_sequence] = Stored(
            sequence=self._last_sequence,
            event_id=event_id,
            destination=place.number,
            priority=priority,
            payload=payload,
            reference=draft.reference,
            occurred_ms=draft.occurred_ms,
            enqueued_ms=self.now_ms(),
        )
        return event_id

    @alone
    def room(self) -> tuple[int, int]:
        waiting = sum(event.waiting for event in self._events.values())
        return waiting, sum(len(event.payload) for event in self._events.values())

    # --- delivering ---------------------------------------------------------------------------------------------------

    @alone
    def acquire(self, name: str, kind: str) -> Lease | None:
        place = self._place(name)
        if place.holder is not None:
            return None
        place.fence += 1
        self._changes += 1
        since = moment(self.now_ms() + self._clock.boot.wall_offset_ms)
        place.owner = WorkerView(os.getpid(), kind, since)
        place.holder = Lease(place.number, name, place.fence, None, self.queue_id)
        return place.holder

    @alone
    def release(self, lease: Lease) -> None:
        place = self._place(lease.name)
        if place.holder is lease:
            place.holder = place.owner = None

    @alone
    def rescue(self, lease: Lease) -> int:
        left = self._open(lease.destination)
        if left:
            self._require(lease)
        for sent in left:
            sent.close(NOT_ANSWERED, self.now_ms())
        self._changes += bool(left)
        return len(left)

    @alone
    def claim(self, lease: Lease, now_ms: int, events_max: int, bytes_max: int) -> list[Claimed]:
        self._require(lease)
        claimed: list[Claimed] = []
        for event in self._idle(lease.destination):
            if event.not_before_ms > now_ms:
                continue
            claimed.append(
                Claimed(event.sequence, event.priority, event.attempts, event.travel_max, event.payload, True)
            )
            bytes_max -= len(event.payload)
            if bytes_max <= 0 or len(claimed) == events_max:
                break
        return claimed

    @alone
    def next_due_ms(self, name: str) -> int | None:
        return min((event.not_before_ms for event in self._idle(self._place(name).number)), default=None)

    @alone
    def record(self, lease: Lease, requests: Sequence[NewRequest], now_ms: int) -> list[int]:
        self._require(lease)
        numbers = []
        for request_id, sequences, size in requests:
            self._last_number += 1
            sent = Sent(self._last_number, request_id, lease.destination, lease.fence, now_ms, tuple(sequences), size)
            self._requests[sent.number] = sent
            numbers.append(sent.number)
        self._changes += 1
        return numbers

    @alone
    def settle(
        self,
        lease: Lease,
        closings: Sequence[Closing],
        now_ms: int,
        hold: Hold | None = None,
        learned: Learned | None = None,
    ) -> None:
        place = self._place(lease.name)
        self._changes += 1
        for number, settlement in closings:
            if place.fence == lease.fence:
                self._apply(place, number, settlement, now_ms)
            else:
                self._apply_late(place, number, settlement, now_ms)
        if hold is not None and place.fence == lease.fence:
            place.hold = _kept(hold)
        if learned is not None and place.fence == lease.fence:
            place.learned = learned

    def _apply(self, place: Place, number: int, settlement: Settlement, now_ms: int) -> None:
        if settlement.unsent:
            self._requests.pop(number, None)
            return
        self._requests[number].close(settlement, now_ms)
        self._deliver(place, settlement, now_ms)
        self._bury(place, settlement.deaths, now_ms)
        for wait in settlement.waits:
            event = self._events.get(wait.sequence)
            if event is not None and event.waiting:
                event.not_before_ms, event.attempts, event.travel_max = (
                    wait.not_before_ms,
                    wait.attempts,
                    wait.travel_max,
                )

    def _apply_late(self, place: Place, number: int, settlement: Settlement, now_ms: int) -> None:
        """The lease is somebody else's by now: what was accepted counts all the same, nothing else does."""
        sent = self._requests.get(number)
        if settlement.delivered:
            if sent is not None:
                sent.close(settlement, now_ms)
            self._deliver(place, settlement, now_ms)
        elif sent is not None and sent.open:
            sent.close(NOT_ANSWERED, now_ms)

    def _deliver(self, place: Place, settlement: Settlement, now_ms: int) -> None:
        for _, sequence in settlement.delivered:
            place.last_accepted_ms = now_ms
            event = self._events.get(sequence)
            if event is None:
                continue
            if event.ending is not None and event.ending.state in GIVEN_UP:
                place.ended[event.ending.state] -= 1
                event.ending = None
            elif not event.waiting:
                continue
            event.waiting = False
            place.ended[Status.DELIVERED] += 1

    @alone
    def bury(self, lease: Lease, deaths: Sequence[Death], now_ms: int) -> None:
        self._bury(self._place(lease.name), deaths, now_ms)
        self._changes += 1

    def _bury(self, place: Place, deaths: Sequence[Death], now_ms: int) -> None:
        for death in deaths:
            event = self._events.get(death.sequence)
            if event is None or not event.waiting:
                continue
            problem = death.problem
            error = EventError(problem.status, problem.code, problem.text)
            event.waiting, event.ending = False, Ending(Status.DEAD, now_ms, death.attempts, error)
            place.ended[Status.DEAD] += 1

    @alone
    def hold(self, name: str) -> Hold:
        return self._place(name).hold

    @alone
    def learned(self, name: str) -> Learned:
        return self._place(name).learned

    @alone
    def set_hold(self, name: str, hold: Hold, lease: Lease | None = None) -> None:
        place = self._place(name)
        if lease is None or place.fence == lease.fence:
            place.hold = _kept(hold)
        self._changes += 1

    @alone
    def ask_to_send(self, name: str) -> None:
        self._place(name).wake += 1
        self._changes += 1

    @alone
    def wake_number(self, name: str) -> int:
        return self._place(name).wake

    @alone
    def change_counter(self) -> int:
        return self._changes

    def _require(self, lease: Lease) -> None:
        if self._place(lease.name).fence != lease.fence:
            raise LeaseLost(f"another worker has the lease of {lease.name!r}")

    def _place(self, name: str) -> Place:
        place = self._places.get(name)
        if place is None:
            raise ConfigError(f"destination {name!r} is not known to this store. Register it first")
        return place

    def _open(self, destination: int) -> list[Sent]:
        return [sent for sent in self._requests.values() if sent.open and sent.destination == destination]

    def _idle(self, destination: int) -> list[Stored]:
        """What is in the work list and in no open request, in the order of sending."""
        travelling = {sequence for sent in self._open(destination) for sequence in sent.sequences}
        found = [
            event
            for event in self._events.values()
            if event.waiting and event.destination == destination and event.sequence not in travelling
        ]
        return sorted(found, key=lambda event: (event.priority, event.sequence))


def _kept(hold: Hold) -> Hold:
    """A hold as it is kept: nothing for a destination that is well."""
    return Hold() if hold.state is HoldState.OK else hold
