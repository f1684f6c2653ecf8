"""A request that was answered, and whether the answer is ours: a connection may deliver somebody else's.

Pure. What an answer that is ours means beside the others is decided in `weighing.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgequeue.learning import UNECHOED_TURNS_MAX, Doubt, Learned
from edgequeue.model import Batch, Disposition, Problem
from edgequeue.outcome import Outcome, Verdict
from edgequeue.retry import WELL, HoldState, Signal


@dataclass(frozen=True, slots=True)
class Trip:
    """A request that was answered, or failed. `stray_possible`: it was answered on a connection used before."""

    batch: Batch
    outcome: Outcome
    sent_bytes: int
    stray_possible: bool = False


def accepts(outcome: Outcome) -> bool:
    """Whether anything was accepted."""
    verdicts = (outcome.verdict, *outcome.exceptions.values())
    return any(verdict.disposition is Disposition.ACCEPTED for verdict in verdicts)


def is_plain(trip: Trip, echoes: bool | None) -> bool:
    """Whether all was accepted, and nothing else was said: an answer that no other one changes the meaning of. `echoes`
    is what was learned of the service.
    """
    outcome = trip.outcome
    accepted = outcome.verdict.disposition is Disposition.ACCEPTED and not outcome.exceptions
    return accepted and outcome.signal is WELL and (outcome.echoed is not False or echoes is False)


def echoes(trips: Sequence[Trip], learned: Learned) -> tuple[Sequence[Trip], Learned]:
    """An acceptance that names another request's id is not the answer to ours: unknown, and sent again.

    Unless the service does not echo: it would make us send everything for ever. It does not if it has never named our
    id and names others on fresh connections, where nobody else's answer should be: at once where no document promises
    an echo, else after `UNECHOED_TURNS_MAX` turns. One that has echoed is never believed without it again: what answers
    then is a cache or the like, and has taken nothing.
    """
    strange = [one for one in trips if one.outcome.echoed is False]
    known = learned
    if any(one.outcome.echoed for one in trips):
        if not learned.echoes or learned.unechoed:
            known = replace(learned, echoes=True, unechoed=0)
    elif learned.echoes is None and any(not one.stray_possible for one in strange):
        turns = learned.unechoed + 1
        promised = any(one.outcome.must_echo for one in strange)
        gives_up = turns > UNECHOED_TURNS_MAX or not promised
        known = replace(learned, echoes=False if gives_up else learned.echoes, unechoed=0 if gives_up else turns)
    if strange and known.echoes is not False:
        trips = [replace(one, outcome=_not_ours(one.outcome)) if one.outcome.echoed is False else one for one in trips]
    return trips, known


def _not_ours(outcome: Outcome) -> Outcome:
    remedy = "It is sent again with the same _id. If this stays: what stands in between answers from its memory."
    problem = Problem("not_our_answer", "the answer names another request's id", remedy, outcome.http_status)
    return Outcome(
        Verdict(Disposition.UNKNOWN, problem, doubt=Doubt.STRANGE),
        signal=Signal(HoldState.BACKING_OFF, problem),
        service=outcome.service,
        http_status=outcome.http_status,
        echoed=False,
    )


def is_lone_refusal(trip: Trip) -> bool:
    """Whether an event alone would be dead of it."""
    return len(trip.batch) == 1 and trip.outcome.of(0).disposition is Disposition.REJECT


def to_confirm(outcome: Outcome) -> Outcome:
    """The refusal may have been the answer to an earlier request: no event dies of that."""
    return replace(outcome, verdict=replace(outcome.of(0), disposition=Disposition.DEFER), exceptions={})
