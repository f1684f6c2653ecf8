"""What an answer means, and how an outcome is settled for each event.

Pure. A destination's `interpret` turns an answer into an `Outcome`; `settle` turns an outcome into a `Settlement`,
the exact changes that the store makes in one transaction. The rule of the house: only a definite refusal of an event
by the real service spends an attempt or kills it; the network, our credentials and our configuration never do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edgequeue.batching import halved
from edgequeue.errors import NotSent, TransportError
from edgequeue.learning import Doubt
from edgequeue.model import Batch, Claimed, Disposition, Problem, RequestOutcome
from edgequeue.retry import WELL, HoldState, RetryPolicy, Signal


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a request came to for one event; `doubt`: it may be the event's own fault, and is not proven."""

    disposition: Disposition
    problem: Problem | None = None
    receipt: str | None = None
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request came to.

    `verdict` holds for every event of the batch but those at the positions in `exceptions`. `split`: the batch was
    refused without saying for which event, so its events travel in smaller batches from now on; `singly`: the answer
    cannot be told apart by event, so they travel one by one. `definite`: the service itself refused the batch, and in
    its own words. `service` holds the ids that the service answered with; a receipt with "{position}" in it is filled
    in for each event when it is shown.

    `told`: the answer speaks of each event apart. `too_large`: it was the size that was refused. `echoed`: whether it
    names our request's id, None where the service names none; `must_echo`: the service's documents promise that it
    does. `unsent`: no byte went out, the request leaves no trace. What follows from other answers (`weighing.py`):
    `waits`, in seconds and by position, `alone`, positions that travel by themselves from now on.
    """

    verdict: Verdict
    exceptions: Mapping[int, Verdict] = field(default_factory=dict)
    signal: Signal | None = WELL
    split: bool = False
    singly: bool = False
    definite: bool = False
    service: Mapping[str, Any] = field(default_factory=dict)
    http_status: int | None = None
    told: bool = False
    too_large: bool = False
    echoed: bool | None = None
    must_echo: bool = False
    unsent: bool = False
    waits: Mapping[int, float] = field(default_factory=dict)
    alone: frozenset[int] = frozenset()

    def of(self, position: int) -> Verdict:
        """The verdict for the event at a position."""
        return self.exceptions.get(position, self.verdict)


class Wait(NamedTuple):
    """A record that stays pending: when it may be tried again, refusals spent, and the batch it may travel in."""

    sequence: int
    priority: int
    not_before_ms: int
    attempts: int
    travel_max: int | None


class Death(NamedTuple):
    """A record that was refused for good, and why."""

    sequence: int
    priority: int
    attempts: int
    problem: Problem


class Note(NamedTuple):
    """What the request's own row cannot say for one event."""

    sequence: int
    position: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Settlement:
    """The changes for one request. `unsent`: no byte went out, and the request leaves no trace."""

    outcome: RequestOutcome
    verdict: Verdict
    http_status: int | None
    service: Mapping[str, Any]
    delivered: tuple[tuple[int, int], ...] = ()
    waits: tuple[Wait, ...] = ()
    deaths: tuple[Death, ...] = ()
    notes: tuple[Note, ...] = ()
    deferred: int = 0
    unsent: bool = False


Settled = tuple[Batch, Settlement]
"""A batch and what it came to."""


def settle(
    batch: Batch, outcome: Outcome, *, attempts_max: int, policy: RetryPolicy, now_ms: int, unit_random: float
) -> Settlement:
    """What an outcome changes for each event of the batch."""
    if outcome.verdict.disposition is Disposition.ACCEPTED and not outcome.exceptions:
        return _accepted(batch, outcome)
    delivered: list[tuple[int, int]] = []
    waits: list[Wait] = []
    deaths: list[Death] = []
    notes: list[Note] = []
    deferred = 0
    travel_max = halved(len(batch)) if outcome.split and len(batch) > 1 else None
    for position, record in enumerate(batch.records):
        verdict = outcome.of(position)
        if verdict is not outcome.verdict:
            notes.append(Note(record.sequence, position, verdict))
        match verdict.disposition:
            case Disposition.ACCEPTED:
                delivered.append((record.priority, record.sequence))
            case Disposition.REJECT:
                deaths.append(_death(record, verdict.problem))
            case Disposition.RETRY if record.attempts + 1 >= attempts_max:
                deaths.append(_death(record, verdict.problem))
            case Disposition.RETRY:
                waits.append(_retried(record, policy, now_ms, unit_random))
            case _:
                deferred += 1
                again = _again(outcome, position, record, travel_max, now_ms)
                if again is not None:
                    waits.append(again)
    return Settlement(
        outcome=_kind(outcome, len(delivered), len(deaths), len(batch)),
        verdict=outcome.verdict,
        http_status=outcome.http_status,
        service=outcome.service,
        delivered=tuple(delivered),
        waits=tuple(waits),
        deaths=tuple(deaths),
        notes=tuple(notes),
        deferred=deferred,
        unsent=outcome.unsent,
    )


def _accepted(batch: Batch, outcome: Outcome) -> Settlement:
    """All of it, and nothing to be said of one event: nearly every answer there is, without a look at each event."""
    delivered = tuple([(record.priority, record.sequence) for record in batch.records])
    return Settlement(
        RequestOutcome.ACCEPTED, outcome.verdict, outcome.http_status, outcome.service, delivered=delivered
    )


def _retried(record: Claimed, policy: RetryPolicy, now_ms: int, unit_random: float) -> Wait:
    attempts = record.attempts + 1
    not_before_ms = now_ms + round(policy.delay_seconds(attempts, unit_random) * 1000)
    return Wait(record.sequence, record.priority, not_before_ms, attempts, record.travel_max)


def _again(outcome: Outcome, position: int, record: Claimed, split_max: int | None, now_ms: int) -> Wait | None:
    """How a deferred record travels from now on; None where nothing changes for it."""
    travel_max = record.travel_max
    if split_max is not None:
        travel_max = split_max
    elif outcome.singly:
        travel_max = 0
    elif position in outcome.alone and travel_max != 0:
        travel_max = 1
    seconds = outcome.waits.get(position, 0.0)
    if travel_max == record.travel_max and not seconds:
        return None
    not_before_ms = now_ms + round(seconds * 1000) if seconds else 0
    return Wait(record.sequence, record.priority, not_before_ms, record.attempts, travel_max)


def failed(error: TransportError) -> Outcome:
    """What a request without an answer comes to: unknown, if it may have arrived, and no trace at all if it has not.

    A batch that was too slow is sent in halves: a link this slow may carry half of it in the time there is.
    """
    doubt = None if isinstance(error, NotSent) or error.code in OURS else Doubt.STRANGE
    slow = error.code in TOO_SLOW
    return Outcome(
        Verdict(Disposition.UNKNOWN, Problem(code=error.code, text=str(error)), doubt=doubt),
        signal=signal_of(error),
        split=slow,
        too_large=slow,
        unsent=isinstance(error, NotSent),
    )


_MEND = {
    "dns": "Check the network and the name in endpoint.",
    "tls": "Check the device's clock, ca_file, and whether the network has a login page.",
    "proxy": "Check the proxy.",
}

TOO_SLOW = ("write_timeout",)
"""Codes of exchanges that were too large for the link and the time they had."""

OURS = ("aborted", "interrupted", "closed")
"""Codes of exchanges that were ended on this side: a stop, Ctrl-C."""


def signal_of(error: TransportError) -> Signal | None:
    """What a request without an answer says about the destination; nothing when it was us who ended it.

    A Retry-After binds, also that of an answer which was ended in its middle.
    """
    if error.code in OURS and not error.retry_after_seconds:
        return None
    if isinstance(error, NotSent):
        if error.code == "settings":
            return Signal(HoldState.PAUSED, Problem(error.code, str(error), "Mend the setting it names."))
        return Signal(HoldState.OFFLINE, Problem(error.code, str(error), _MEND.get(error.code, "")))
    problem = Problem(error.code, str(error), "It is sent again with the same _id.")
    return Signal(HoldState.BACKING_OFF, problem, error.retry_after_seconds)


def _death(record: Claimed, problem: Problem | None) -> Death:
    return Death(
        record.sequence, record.priority, record.attempts + 1, problem or Problem("refused", "no reason given")
    )


def _kind(outcome: Outcome, delivered: int, dead: int, total: int) -> RequestOutcome:
    """What the request as a whole is said to have come to; what was only kept was not refused."""
    if delivered == total:
        return RequestOutcome.ACCEPTED
    if delivered:
        return RequestOutcome.PARTIAL
    if dead or outcome.definite or outcome.verdict.disposition is Disposition.RETRY:
        return RequestOutcome.REJECTED
    if outcome.verdict.disposition is Disposition.UNKNOWN:
        return RequestOutcome.UNKNOWN
    return RequestOutcome.DEFERRED
