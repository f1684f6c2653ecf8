"""What answers that are judged together mean beside each other: whether it was the event, the batch or the service.

Pure. A single answer is read by its destination (`interpret`). Here the answers that came back together, and what was
learned before, decide what one answer cannot: a failure beside an acceptance is the batch's own and splits it, an event
that fails wherever it goes is set aside, and a suspect is convicted only before a witness (`learning.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edgequeue.learning import (
    ALONE_STRIKES_MIN,
    SUSPECTS_MAX,
    TOO_LARGE_MS,
    TOO_SLOW_MS,
    Doubt,
    Learned,
    Suspect,
)
from edgequeue.model import Claimed, Disposition, Problem
from edgequeue.outcome import Outcome, Verdict
from edgequeue.retry import WELL, HoldState, RetryPolicy, Signal
from edgequeue.trips import Trip, accepts, echoes, is_lone_refusal, to_confirm

PROBE_TRIES_MIN = 5
"""After so many failures in a row a single event is sent instead of a batch (wire-facts: "after ~5 split")."""

LONE_HOLD_SECONDS, SUSPECT_HOLD_SECONDS = 10.0, 60.0
"""How long the others wait at most for the failure of a suspect: of one that fails while they fare well, of any."""

SET_ASIDE_SECONDS_MAX = 3600.0
"""An event that is set aside is tried once an hour in the end: each try is a row that is kept as long as the event."""

SET_ASIDE = RetryPolicy(cap_seconds=SET_ASIDE_SECONDS_MAX)
UNWATCHED_STRIKES = 10
"""Of more suspects than can be watched, the others wait as long as after so many strikes (512 s at most)."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """The outcomes as they stand, in the order of the trips, and what is known of the destination from now on.

    `confirm`: events refused on a connection used before, to be sent again on a fresh one.
    """

    outcomes: tuple[Outcome, ...]
    learned: Learned
    confirm: frozenset[int] = frozenset()


def weigh(
    trips: Sequence[Trip], learned: Learned, *, probing: bool, now_ms: int, policy: RetryPolicy, unit_random: float
) -> Weighed:
    """Weigh the answers of one turn against each other; `probing`: a single event was sent because batches failed."""
    trips, learned = echoes(trips, learned)
    accepting = [accepts(trip.outcome) for trip in trips]
    found: dict[int, Suspect] = {}
    failed: set[int] = set()
    confirm: set[int] = set()
    outcomes: list[Outcome] = []
    for trip, taken in zip(trips, accepting, strict=True):
        beside = sum(accepting) > taken
        outcome = trip.outcome
        if trip.stray_possible and is_lone_refusal(trip):
            confirm.add(trip.batch.records[0].sequence)
            outcome = to_confirm(outcome)
        elif doubtful := list(_doubtful(trip, learned, beside)):
            outcome = _suspected(trip, doubtful, learned, found, beside or taken, unit_random)
            failed |= _unproven(trip, doubtful, found)
        elif len(trip.batch) > 1 and outcome.split and outcome.http_status == 413:
            outcome = replace(outcome, signal=_patient(outcome.signal))  # it ends: each answer halves what is sent
        elif len(trip.batch) > 1 and _strange(trip, learned, beside):
            outcome = _batch_at_fault(trip, learned, beside, policy.delay_seconds(1, unit_random))
            failed.add(trip.batch.records[0].sequence)
        outcomes.append(outcome)
    learned = _sizes(trips, learned.with_suspects(found), now_ms)
    if learned.suspects:
        learned = learned.without(set(_ended(trips, outcomes))).beside(sum(accepting), failed)
    if any(accepting):
        learned = _after_acceptance(trips, accepting, learned, probing)
    elif learned.probed and outcomes != [trip.outcome for trip in trips]:
        learned = replace(learned, probed=False)  # it has excused one failure, and does not excuse the next
    return Weighed(tuple(outcomes), learned, frozenset(confirm))


def _ended(trips: Sequence[Trip], outcomes: Sequence[Outcome]) -> Iterator[int]:
    for trip, outcome in zip(trips, outcomes, strict=True):
        for position, record in enumerate(trip.batch.records):
            if outcome.of(position).disposition in (Disposition.ACCEPTED, Disposition.REJECT):
                yield record.sequence


# --- whose fault it was -----------------------------------------------------------------------------------------------


def _doubtful(trip: Trip, learned: Learned, beside: bool) -> Iterator[tuple[int, Doubt]]:
    """The positions that were answered by themselves, with a doubt."""
    if len(trip.batch) > 1 and not (trip.outcome.told and accepts(trip.outcome)):
        return  # where every message of a batch failed, it is as with a batch that failed
    for position, record in enumerate(trip.batch.records):
        doubt = trip.outcome.of(position).doubt
        if doubt is not None:
            yield position, doubt
        elif len(trip.batch) == 1 and _pauses(trip.outcome) and _well(record, learned, beside):
            yield position, Doubt.STRANGE


def _pauses(outcome: Outcome) -> bool:
    return outcome.signal is not None and outcome.signal.state is HoldState.PAUSED


def _well(record: Claimed, learned: Learned, beside: bool) -> bool:
    """Whether the destination is known to be well, so that what pauses it is about one event.

    It is beside an acceptance, right after a probe's, or where the event's batch was at fault before. Who was excused
    once stays set aside: if it is our configuration after all, the next event that is no suspect will tell.
    """
    suspected = record.sequence in learned.suspects
    return suspected or beside or learned.probed or record.travel_max is not None


def _suspected(
    trip: Trip,
    doubtful: Sequence[tuple[int, Doubt]],
    learned: Learned,
    found: dict[int, Suspect],
    beside: bool,
    unit_random: float,
) -> Outcome:
    """Events answered by themselves: convicted, or set aside to be tried again while the others go on."""
    outcome = trip.outcome
    exceptions = dict(outcome.exceptions)
    waits: dict[int, float] = {}
    alone: set[int] = set()
    proven = False
    for position, doubt in doubtful:
        sequence = trip.batch.records[position].sequence
        halved = len(trip.batch) == 1 and bool(trip.batch.records[0].travel_max)
        suspect = learned.struck(sequence, doubt, halved=halved)
        if suspect.convicted:
            exceptions[position] = _convicted(outcome.of(position), suspect)
            continue
        found[sequence] = suspect
        proven = proven or suspect.confirmed > 0
        # Beside an acceptance the next refusal settles it; the service's own failures are given time to pass.
        at_once = beside and doubt is Doubt.REFUSED
        watched = sequence in learned.suspects or len(learned.suspects) + len(found) <= SUSPECTS_MAX
        strikes = suspect.strikes if watched else UNWATCHED_STRIKES
        waits[position] = 0.0 if at_once else SET_ASIDE.delay_seconds(strikes, unit_random)
        if suspect.strikes >= ALONE_STRIKES_MIN:
            alone.add(position)
    known = all(trip.batch.records[position].sequence in learned.suspects for position, _ in doubtful)
    signal = _milder(outcome.signal, beside=beside or not waits or _pauses(outcome), proven=proven, known=known)
    if len(trip.batch) == 1 and exceptions:
        outcome, exceptions = replace(outcome, verdict=exceptions[0]), {}
    return replace(outcome, exceptions=exceptions, waits=waits, alone=frozenset(alone), signal=signal)


def _unproven(trip: Trip, doubtful: Sequence[tuple[int, Doubt]], found: Mapping[int, Suspect]) -> set[int]:
    """The events whose failure may be the service's: one that was found by halving a refused batch is no sign of it."""
    sequences = {trip.batch.records[position].sequence for position, _ in doubtful}
    return {one for one in sequences if one in found and not found[one].found}


def _convicted(verdict: Verdict, suspect: Suspect) -> Verdict:
    """The answers count as a refusal; the reason says why they do."""
    problem = verdict.problem or Problem("refused", "no reason given")
    said = f"{problem.text.rstrip('.')} (answered so {suspect.strikes} times by itself, while others were accepted)"
    return replace(verdict, disposition=Disposition.REJECT, problem=replace(problem, text=said), doubt=None)


def _milder(signal: Signal | None, *, beside: bool, proven: bool, known: bool) -> Signal | None:
    """What one event's trouble says about the destination: nothing where others were accepted beside it."""
    if (
        signal is None
        or signal.state is HoldState.OFFLINE
        or signal.state is HoldState.OK
        or signal.retry_after_seconds
    ):
        return signal
    if beside:
        return WELL
    if signal.state is HoldState.PAUSED or not known:
        return signal
    return replace(signal, wait_seconds_max=LONE_HOLD_SECONDS if proven else SUSPECT_HOLD_SECONDS)


def _patient(signal: Signal | None) -> Signal | None:
    return signal if signal is not None and signal.retry_after_seconds else WELL


def _strange(trip: Trip, learned: Learned, beside: bool) -> bool:
    """Whether a whole batch got an answer that may be about one of its events."""
    outcome = trip.outcome
    if outcome.split or (outcome.told and accepts(outcome)):
        return False
    if not _pauses(outcome) or outcome.signal is None:
        return outcome.verdict.doubt is not None
    # Beside an acceptance a token may have ended a moment ago: that is no reason to halve anything.
    well = learned.probed or trip.batch.records[0].travel_max is not None
    return well or (beside and not outcome.signal.renewable)


def _batch_at_fault(trip: Trip, learned: Learned, beside: bool, wait_seconds: float) -> Outcome:
    """Split a batch that failed beside an acceptance, or after one; without any it is the service that fails.

    A suspect in it travels alone from now on: with others it would fail them again and again, and nothing be proven.
    """
    suspects = (position for position, one in enumerate(trip.batch.records) if one.sequence in learned.suspects)
    outcome = replace(trip.outcome, alone=frozenset(suspects))
    if not (beside or learned.probed or trip.batch.records[0].travel_max is not None):
        return outcome
    signal = outcome.signal
    if beside or _pauses(outcome):
        signal = _patient(signal)
    waits = dict.fromkeys(range(len(trip.batch)), wait_seconds)
    return replace(outcome, split=True, waits=waits, signal=signal)


# --- what is known from now on ----------------------------------------------------------------------------------------


def _sizes(trips: Sequence[Trip], learned: Learned, now_ms: int) -> Learned:
    """A size that was refused, or too much for the link, is not tried again for a while.

    Unless a request of that size has passed: then it was what was in it, and not the size.
    """
    passed = max((one.sent_bytes for one in trips if accepts(one.outcome)), default=0)
    known = max(passed, learned.passed_bytes)
    for trip in trips:
        if not trip.outcome.too_large or len(trip.batch) == 1:
            continue
        if trip.sent_bytes <= known:
            known = passed
            continue
        for_ms = TOO_LARGE_MS if trip.outcome.http_status else TOO_SLOW_MS
        learned = learned.smaller(trip.sent_bytes, now_ms, for_ms)
    return learned if known == learned.passed_bytes else replace(learned, passed_bytes=known)


def _after_acceptance(trips: Sequence[Trip], accepting: Sequence[bool], learned: Learned, probing: bool) -> Learned:
    """A probe that was accepted points at the batches; whatever was accepted after it clears them, or a pause of a lone
    event would never be believed again.
    """
    probed = probing
    for trip, taken in zip(trips, accepting, strict=True):
        if taken and len(trip.batch) > 1 and trip.batch.records[0].travel_max is None:
            probed = False
    return learned if probed is learned.probed else replace(learned, probed=probed)
