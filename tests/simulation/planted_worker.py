"""Bugs in what is done: the turn of the worker, and what answers are taken to mean."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import pytest

from edgequeue import judging, outcome, weighing
from edgequeue.destinations.adobe_edge import AdobeEdge
from edgequeue.errors import TransportError
from edgequeue.judging import Judge
from edgequeue.learning import Suspect
from edgequeue.model import Batch, Claimed, Disposition, HttpResponse, RequestOutcome
from edgequeue.outcome import Outcome, Settled, Settlement, Verdict, Wait
from edgequeue.retry import Hold, HoldState, Signal
from edgequeue.settling import Settling
from edgequeue.store.base import Lease
from tests.simulation.planting import Bugs

BUGS = Bugs()

# --- the worker -------------------------------------------------------------------------------------------------------


@BUGS.breaks("an_accepted_answer_is_applied", "everything_drains")
def forget_what_the_disk_refused(patch: pytest.MonkeyPatch) -> None:
    """Answers are held for one try to write them down; where the disk is full they are gone."""
    write_down = Settling.write_down

    def once(self: Settling, lease: Lease) -> None:
        try:
            write_down(self, lease)
        finally:
            self._kept = []

    patch.setattr(Settling, "write_down", once)


@BUGS.breaks("a_plea_to_wait_is_kept")
def forget_retry_after_at_a_restart(patch: pytest.MonkeyPatch) -> None:
    """A worker that takes the lease begins without what holds the destination back."""
    take = Judge.take

    def freshly(self: Judge, hold: Hold, *rest: Any) -> bool:
        return take(self, Hold(), *rest)

    patch.setattr(Judge, "take", freshly)


@BUGS.breaks("a_plea_to_wait_is_kept")
def let_a_hand_overrule_the_service(patch: pytest.MonkeyPatch) -> None:
    """A sync by hand skips every wait, the service's own too."""
    waits = Hold.waits
    patch.setattr(Hold, "waits", lambda self, now, *, by_hand=False: not by_hand and waits(self, now))


@BUGS.breaks("a_plea_to_wait_is_kept")
def believe_the_last_answer_only(patch: pytest.MonkeyPatch) -> None:
    """Of the answers of a turn the last one decides, and an acceptance clears the plea of another."""
    patch.setattr(judging, "worst", lambda heard: heard[-1] if heard else None)


@BUGS.breaks("every_wait_is_bounded", "everything_drains")
def pause_until_somebody_comes(patch: pytest.MonkeyPatch) -> None:
    """A paused destination is not asked again by itself."""
    following = judging.next_hold

    def for_good(hold: Hold, signal: Signal, now_ms: int, *rest: Any, **named: Any) -> Hold:
        after = following(hold, signal, now_ms, *rest, **named)
        return replace(after, until_ms=2**50) if after.state is HoldState.PAUSED else after

    patch.setattr(judging, "next_hold", for_good)


# --- what answers mean ------------------------------------------------------------------------------------------------


@BUGS.breaks("the_network_costs_no_attempt", "only_poison_dies")
def count_a_time_out_as_an_attempt(patch: pytest.MonkeyPatch) -> None:
    """No answer is a failure of the event."""
    failed = outcome.failed

    def spending(error: TransportError) -> Outcome:
        found = failed(error)
        return replace(found, verdict=replace(found.verdict, disposition=Disposition.RETRY))

    patch.setattr(judging, "failed", spending)


@BUGS.breaks("delivered_was_accepted")
def take_silence_for_consent(patch: pytest.MonkeyPatch) -> None:
    """A request that went out and was not refused is done."""
    failed = outcome.failed

    def hopefully(error: TransportError) -> Outcome:
        found = failed(error)
        return found if found.unsent else replace(found, verdict=Verdict(Disposition.ACCEPTED))

    patch.setattr(judging, "failed", hopefully)


@BUGS.breaks("delivered_was_accepted")
def believe_a_stale_answer(patch: pytest.MonkeyPatch) -> None:
    """An acceptance is one, whosever request it names."""
    patch.setattr(weighing, "echoes", lambda trips, learned: (trips, learned))


@BUGS.breaks("delivered_was_accepted")
def believe_a_login_page(patch: pytest.MonkeyPatch) -> None:
    """Status 200 is success, whatever the body."""
    interpret = AdobeEdge.interpret

    def by_status(self: AdobeEdge, batch: Batch, response: HttpResponse) -> Outcome:
        if response.status == 200:
            return Outcome(Verdict(Disposition.ACCEPTED), http_status=200)
        return interpret(self, batch, response)

    patch.setattr(AdobeEdge, "interpret", by_status)


@BUGS.breaks("only_poison_dies")
def believe_a_stale_refusal(patch: pytest.MonkeyPatch) -> None:
    """A refusal kills on whatever connection it came."""
    patch.setattr(weighing, "is_lone_refusal", lambda trip: False)


@BUGS.breaks("only_poison_dies")
def kill_the_neighbours(patch: pytest.MonkeyPatch) -> None:
    """A refused batch is dead as a whole, instead of halved."""
    settle = outcome.settle

    def harshly(batch: Batch, found: Outcome, **rest: Any) -> Settlement:
        if found.split and found.definite:
            found = replace(found, verdict=replace(found.verdict, disposition=Disposition.REJECT))
        return settle(batch, found, **rest)

    patch.setattr(judging, "settle", harshly)


@BUGS.breaks("only_poison_dies")
def convict_without_a_witness(patch: pytest.MonkeyPatch) -> None:
    """The second 500 to an event alone kills it, whatever becomes of others."""
    patch.setattr(Suspect, "convicted", property(lambda self: self.strikes > 1))


@BUGS.breaks("everything_drains")
def halve_and_forget(patch: pytest.MonkeyPatch) -> None:
    """A refused batch is to travel in halves, and nobody writes down in which."""

    def forgetting(found: Outcome, position: int, record: Claimed, split_max: int | None, now_ms: int) -> Wait | None:
        return None

    patch.setattr(outcome, "_again", forgetting)


@BUGS.breaks("nothing_travels_twice")
def mint_an_id_for_each_try(patch: pytest.MonkeyPatch) -> None:
    """A retry is another event to the service."""
    numbers = itertools.count(1)

    def anew(self: AdobeEdge, payload: bytes) -> bytes:
        return re.sub(rb'"_id":"[^"]*"', b'"_id":"%d"' % next(numbers), payload)

    patch.setattr(AdobeEdge, "item", anew)


@BUGS.breaks("what_went_out_is_on_record")
def forget_a_request_that_may_have_arrived(patch: pytest.MonkeyPatch) -> None:
    """Every request without an answer is taken off the record, also where the service may have it."""
    keep = Settling.keep

    def untraced(self: Settling, number: int, settled: Settled) -> None:
        batch, one = settled
        gone = one.outcome is RequestOutcome.UNKNOWN
        keep(self, number, (batch, replace(one, unsent=True) if gone else one))

    patch.setattr(Settling, "keep", untraced)


@BUGS.breaks("everything_drains")
def forget_what_was_taken_back(patch: pytest.MonkeyPatch) -> None:
    """A request that was not sent after all stays on record as if it were on its way."""
    patch.setattr(Settling, "take_back", lambda self, number: None)
