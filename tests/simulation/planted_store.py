"""Bugs in what is kept: the commit, the lease, the books, the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from edgequeue.model import Draft
from edgequeue.outcome import Settlement
from edgequeue.store.base import Closing, Lease, NewRequest
from edgequeue.testing.memory_rows import NOT_ANSWERED, Place
from tests.simulation import disks
from tests.simulation.disks import Change, Committed, Fate, MemoryDisk
from tests.simulation.planting import Bugs

BUGS = Bugs()


@BUGS.breaks("an_event_is_in_one_state", "the_ledger_balances", "enqueue_stores_all_or_nothing")
def acknowledge_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """A put returns when it is in memory; it reaches the disk with the next change of another kind."""
    change, cut = MemoryDisk.change, MemoryDisk.power_cut

    def lazily(self: MemoryDisk, store: Any, made: Change, fate: Fate | None) -> Any:
        before, last = self.books.image(), self.books._last_sequence
        result = change(self, store, made, fate)
        put = self.books._last_sequence > last
        self.durable = getattr(self, "durable", None) or before if put else None
        return result

    def forgetfully(self: MemoryDisk) -> None:
        if getattr(self, "durable", None):
            self.books.restore(self.durable)
        cut(self)

    patch.setattr(MemoryDisk, "change", lazily)
    patch.setattr(MemoryDisk, "power_cut", forgetfully)


@BUGS.breaks("an_event_is_in_one_state", "the_ledger_balances")
def delete_before_the_answer(patch: pytest.MonkeyPatch) -> None:
    """What is recorded for sending leaves the work list at once."""
    record = Committed.record

    def eagerly(self: Committed, lease: Lease, requests: Sequence[NewRequest], now_ms: int) -> list[int]:
        numbers = record(self, lease, requests, now_ms)
        for new in requests:
            for sequence in new.sequences:
                self._events[sequence].waiting = False
        return numbers

    patch.setattr(Committed, "record", eagerly)


@BUGS.breaks("one_live_lease")
def record_without_the_lease(patch: pytest.MonkeyPatch) -> None:
    """The fence is not looked at before requests go on record."""
    record = Committed.record

    def blindly(self: Committed, lease: Lease, requests: Sequence[NewRequest], now_ms: int) -> list[int]:
        now = replace(lease, fence=self._places[lease.name].fence)
        return record(self, now, requests, now_ms)

    patch.setattr(Committed, "record", blindly)


@BUGS.breaks("only_the_lease_disposes")
def settle_without_the_lease(patch: pytest.MonkeyPatch) -> None:
    """The fence is not looked at when a turn is settled: a late worker's hold overwrites the new one's."""
    settle = Committed.settle

    def blindly(self: Committed, lease: Lease, closings: Sequence[Closing], *rest: Any) -> None:
        settle(self, replace(lease, fence=self._places[lease.name].fence), closings, *rest)

    patch.setattr(Committed, "settle", blindly)


@BUGS.breaks("an_accepted_answer_is_applied")
def drop_the_late_acceptance(patch: pytest.MonkeyPatch) -> None:
    """A worker that has lost its lease is not listened to, whatever it was told."""

    def deafly(self: Committed, place: Place, number: int, settlement: Settlement, now_ms: int) -> None:
        sent = self._requests.get(number)
        if sent is not None and sent.open:
            sent.close(NOT_ANSWERED, now_ms)

    patch.setattr(Committed, "_apply_late", deafly)


@BUGS.breaks("the_ledger_balances")
def count_a_delivery_twice(patch: pytest.MonkeyPatch) -> None:
    """Two requests carried it, both were accepted, and both count."""
    deliver = Committed._deliver

    def twice(self: Committed, place: Place, settlement: Settlement, now_ms: int) -> None:
        for _, sequence in settlement.delivered:
            event = self._events.get(sequence)
            if event is not None and event.ending is None:
                event.waiting = True
        deliver(self, place, settlement, now_ms)

    patch.setattr(Committed, "_deliver", twice)


@BUGS.breaks("everything_drains")
def leave_open_what_a_dead_worker_left(patch: pytest.MonkeyPatch) -> None:
    """Requests without an answer stay open, and their events never travel again."""
    patch.setattr(Committed, "rescue", lambda self, lease: 0)


@BUGS.breaks("the_ledger_balances", "an_event_is_in_one_state")
def give_a_sequence_out_again(patch: pytest.MonkeyPatch) -> None:
    """The next sequence is one more than the last event there is, pruned ones forgotten."""
    put = Committed._put

    def again(self: Committed, place: Place, draft: Draft, priority: Any) -> str:
        self._last_sequence = max(self._events, default=0)
        return put(self, place, draft, priority)

    patch.setattr(Committed, "_put", again)


@BUGS.breaks("one_live_lease")
def let_a_lease_expire_by_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """A lease ends a minute after it was taken, by the device's clock."""
    acquire = Committed.acquire

    def expiring(self: Committed, name: str, kind: str) -> Lease | None:
        since = getattr(self, "since", 0)
        if self._places[name].holder is not None and self._machine.wall_ms() - since > 60_000:
            self._places[name].holder = None
        lease = acquire(self, name, kind)
        self.since = since if lease is None else self._machine.wall_ms()
        return lease

    patch.setattr(Committed, "acquire", expiring)


@BUGS.breaks("every_wait_is_bounded", "a_plea_to_wait_is_kept", "the_queue_clock_is_never_ahead")
def wait_by_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """Backoff and Retry-After end when the device's clock says so."""
    patch.setattr(Committed, "now_ms", lambda self: self._machine.wall_ms())


@BUGS.breaks("the_queue_clock_is_never_ahead")
def count_the_time_without_power(patch: pytest.MonkeyPatch) -> None:
    """After a reboot the queue clock believes the wall clock, vouched for or not."""
    begin = disks.next_boot

    def believing(previous: Any, last_seen_ms: int, clock: Any) -> Any:
        known = None if previous is None else replace(previous, trusted=True)
        clock.trust(True)
        boot = begin(known, last_seen_ms, clock)
        clock.trust(False)
        return boot

    patch.setattr(disks, "next_boot", believing)


@BUGS.breaks("enqueue_stores_all_or_nothing")
def store_a_part_of_what_was_refused(patch: pytest.MonkeyPatch) -> None:
    """Where the disk fills up in the middle, the first half of `put_many` stays."""
    put_all, change = Committed._put_all, MemoryDisk.change

    def in_halves(self: Committed, destination: str, drafts: Sequence[Draft], priority: Any) -> list[str]:
        half = len(drafts) // 2
        ids = put_all(self, destination, drafts[:half], priority)
        self.half = self.image()
        return ids + put_all(self, destination, drafts[half:], priority)

    def to_the_half(self: MemoryDisk, store: Any, made: Change, fate: Fate | None) -> Any:
        self.books.half = None
        try:
            return change(self, store, made, fate)
        except BaseException:
            if self.books.half:
                self.books.restore(self.books.half)
            raise

    patch.setattr(Committed, "_put_all", in_halves)
    patch.setattr(MemoryDisk, "change", to_the_half)
