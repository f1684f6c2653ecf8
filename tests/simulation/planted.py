"""Bugs to plant: each changes one small thing in the code under test, as somebody might by mistake.

A bug is a function that takes pytest's monkeypatch and makes the mistake, and nothing else.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from edgequeue import judging, outcome, sending, weighing
from edgequeue.destinations.adobe_edge import AdobeEdge
from edgequeue.errors import TransportError
from edgequeue.judging import Judge
from edgequeue.learning import Suspect
from edgequeue.model import Batch, Claimed, Disposition, Draft, HttpResponse, RequestOutcome
from edgequeue.outcome import Outcome, Settlement, Verdict, Wait
from edgequeue.retry import Hold, HoldState, Signal
from edgequeue.sending import Sending
from edgequeue.store.base import Closing, Lease, NewRequest
from edgequeue.testing.memory_rows import NOT_ANSWERED, Place
from tests.simulation import disks
from tests.simulation.disks import Change, Committed, Fate, MemoryDisk

Plant = Callable[[pytest.MonkeyPatch], None]


class Bug(NamedTuple):
    """A mistake, and the promises it breaks: the simulation may find any of them first."""

    plant: Plant
    breaks: frozenset[str]


BUGS: dict[str, Bug] = {}


def breaks(*rules: str) -> Callable[[Plant], Plant]:
    """Add a bug to the list, by the name of its function."""

    def add(plant: Plant) -> Plant:
        BUGS[plant.__name__] = Bug(plant, frozenset(rules))
        return plant

    return add


# --- the store --------------------------------------------------------------------------------------------------------


@breaks("an_event_is_in_one_state", "the_ledger_balances", "enqueue_stores_all_or_nothing")
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


@breaks("an_event_is_in_one_state", "the_ledger_balances")
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


@breaks("one_live_lease")
def record_without_the_lease(patch: pytest.MonkeyPatch) -> None:
    """The fence is not looked at before requests go on record."""
    record = Committed.record

    def blindly(self: Committed, lease: Lease, requests: Sequence[NewRequest], now_ms: int) -> list[int]:
        now = replace(lease, fence=self._places[lease.name].fence)
        return record(self, now, requests, now_ms)

    patch.setattr(Committed, "record", blindly)


@breaks("only_the_lease_disposes")
def settle_without_the_lease(patch: pytest.MonkeyPatch) -> None:
    """The fence is not looked at when a turn is settled: a late worker's hold overwrites the new one's."""
    settle = Committed.settle

    def blindly(self: Committed, lease: Lease, closings: Sequence[Closing], *rest: Any) -> None:
        settle(self, replace(lease, fence=self._places[lease.name].fence), closings, *rest)

    patch.setattr(Committed, "settle", blindly)


@breaks("an_accepted_answer_is_applied")
def drop_the_late_acceptance(patch: pytest.MonkeyPatch) -> None:
    """A worker that has lost its lease is not listened to, whatever it was told."""

    def deafly(self: Committed, place: Place, number: int, settlement: Settlement, now_ms: int) -> None:
        sent = self._requests.get(number)
        if sent is not None and sent.open:
            sent.close(NOT_ANSWERED, now_ms)

    patch.setattr(Committed, "_apply_late", deafly)


@breaks("the_ledger_balances")
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


@breaks("everything_drains")
def leave_open_what_a_dead_worker_left(patch: pytest.MonkeyPatch) -> None:
    """Requests without an answer stay open, and their events never travel again."""
    patch.setattr(Committed, "rescue", lambda self, lease: 0)


@breaks("the_ledger_balances", "an_event_is_in_one_state")
def give_a_sequence_out_again(patch: pytest.MonkeyPatch) -> None:
    """The next sequence is one more than the last event there is, pruned ones forgotten."""
    put = Committed._put

    def again(self: Committed, place: Place, draft: Draft, priority: Any) -> str:
        self._last_sequence = max(self._events, default=0)
        return put(self, place, draft, priority)

    patch.setattr(Committed, "_put", again)


@breaks("one_live_lease")
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


@breaks("every_wait_is_bounded", "a_plea_to_wait_is_kept", "the_queue_clock_is_never_ahead")
def wait_by_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """Backoff and Retry-After end when the device's clock says so."""
    patch.setattr(Committed, "now_ms", lambda self: self._machine.wall_ms())


@breaks("the_queue_clock_is_never_ahead")
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


@breaks("enqueue_stores_all_or_nothing")
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


# --- the worker -------------------------------------------------------------------------------------------------------


@breaks("an_accepted_answer_is_applied", "everything_drains")
def forget_what_the_disk_refused(patch: pytest.MonkeyPatch) -> None:
    """Answers are held for one try to write them down; where the disk is full they are gone."""
    write_down = Sending._write_down

    def once(self: Sending) -> None:
        try:
            write_down(self)
        finally:
            self._unsettled = []

    patch.setattr(Sending, "_write_down", once)


@breaks("a_plea_to_wait_is_kept")
def forget_retry_after_at_a_restart(patch: pytest.MonkeyPatch) -> None:
    """A worker that takes the lease begins without what holds the destination back."""
    take = Judge.take

    def freshly(self: Judge, hold: Hold, *rest: Any) -> bool:
        return take(self, Hold(), *rest)

    patch.setattr(Judge, "take", freshly)


@breaks("a_plea_to_wait_is_kept")
def let_a_hand_overrule_the_service(patch: pytest.MonkeyPatch) -> None:
    """A sync by hand skips every wait, the service's own too."""
    waits = Hold.waits
    patch.setattr(Hold, "waits", lambda self, now, *, by_hand=False: not by_hand and waits(self, now))


@breaks("a_plea_to_wait_is_kept")
def believe_the_last_answer_only(patch: pytest.MonkeyPatch) -> None:
    """Of the answers of a turn the last one decides, and an acceptance clears the plea of another."""
    patch.setattr(judging, "worst", lambda heard: heard[-1] if heard else None)


@breaks("every_wait_is_bounded", "everything_drains")
def pause_until_somebody_comes(patch: pytest.MonkeyPatch) -> None:
    """A paused destination is not asked again by itself."""
    following = judging.next_hold

    def for_good(hold: Hold, signal: Signal, now_ms: int, *rest: Any, **named: Any) -> Hold:
        after = following(hold, signal, now_ms, *rest, **named)
        return replace(after, until_ms=2**50) if after.state is HoldState.PAUSED else after

    patch.setattr(judging, "next_hold", for_good)


# --- what answers mean ------------------------------------------------------------------------------------------------


@breaks("the_network_costs_no_attempt", "only_poison_dies")
def count_a_time_out_as_an_attempt(patch: pytest.MonkeyPatch) -> None:
    """No answer is a failure of the event."""
    failed = outcome.failed

    def spending(error: TransportError) -> Outcome:
        found = failed(error)
        return replace(found, verdict=replace(found.verdict, disposition=Disposition.RETRY))

    patch.setattr(judging, "failed", spending)


@breaks("delivered_was_accepted")
def take_silence_for_consent(patch: pytest.MonkeyPatch) -> None:
    """A request that went out and was not refused is done."""
    failed = outcome.failed

    def hopefully(error: TransportError) -> Outcome:
        found = failed(error)
        return found if found.unsent else replace(found, verdict=Verdict(Disposition.ACCEPTED))

    patch.setattr(judging, "failed", hopefully)


@breaks("delivered_was_accepted")
def believe_a_stale_answer(patch: pytest.MonkeyPatch) -> None:
    """An acceptance is one, whosever request it names."""
    patch.setattr(weighing, "echoes", lambda trips, learned: (trips, learned))


@breaks("delivered_was_accepted")
def believe_a_login_page(patch: pytest.MonkeyPatch) -> None:
    """Status 200 is success, whatever the body."""
    interpret = AdobeEdge.interpret

    def by_status(self: AdobeEdge, batch: Batch, response: HttpResponse) -> Outcome:
        if response.status == 200:
            return Outcome(Verdict(Disposition.ACCEPTED), http_status=200)
        return interpret(self, batch, response)

    patch.setattr(AdobeEdge, "interpret", by_status)


@breaks("only_poison_dies")
def believe_a_stale_refusal(patch: pytest.MonkeyPatch) -> None:
    """A refusal kills on whatever connection it came."""
    patch.setattr(weighing, "is_lone_refusal", lambda trip: False)


@breaks("only_poison_dies")
def kill_the_neighbours(patch: pytest.MonkeyPatch) -> None:
    """A refused batch is dead as a whole, instead of halved."""
    settle = outcome.settle

    def harshly(batch: Batch, found: Outcome, **rest: Any) -> Settlement:
        if found.split and found.definite:
            found = replace(found, verdict=replace(found.verdict, disposition=Disposition.REJECT))
        return settle(batch, found, **rest)

    patch.setattr(judging, "settle", harshly)


@breaks("only_poison_dies")
def convict_without_a_witness(patch: pytest.MonkeyPatch) -> None:
    """The second 500 to an event alone kills it, whatever becomes of others."""
    patch.setattr(Suspect, "convicted", property(lambda self: self.strikes > 1))


@breaks("everything_drains")
def halve_and_forget(patch: pytest.MonkeyPatch) -> None:
    """A refused batch is to travel in halves, and nobody writes down in which."""

    def forgetting(found: Outcome, position: int, record: Claimed, split_max: int | None, now_ms: int) -> Wait | None:
        return None

    patch.setattr(outcome, "_again", forgetting)


@breaks("nothing_travels_twice")
def mint_an_id_for_each_try(patch: pytest.MonkeyPatch) -> None:
    """A retry is another event to the service."""
    numbers = itertools.count(1)

    def anew(self: AdobeEdge, payload: bytes) -> bytes:
        return re.sub(rb'"_id":"[^"]*"', b'"_id":"%d"' % next(numbers), payload)

    patch.setattr(AdobeEdge, "item", anew)


@breaks("what_went_out_is_on_record")
def forget_a_request_that_may_have_arrived(patch: pytest.MonkeyPatch) -> None:
    """Every request without an answer is taken off the record, also where the service may have it."""
    turn = sending.Sending._write_down

    def untraced(self: Sending) -> None:
        gone = RequestOutcome.UNKNOWN
        self._unsettled = [
            (number, (batch, replace(one, unsent=True) if one.outcome is gone else one))
            for number, (batch, one) in self._unsettled
        ]
        turn(self)

    patch.setattr(sending.Sending, "_write_down", untraced)
