"""What answers come to: the changes to make, what holds the destination back, what was learned of it.

What an answer means is decided by pure functions (`interpret`, `weigh`, `settle`, `next_hold`); here they are put in a
row, with the dice, and what they say about the destination is kept from turn to turn and told to the log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from edgequeue.auth import secrets_in
from edgequeue.courier import Answer
from edgequeue.destinations.base import Destination
from edgequeue.destinations.framing import SMILE_TYPE
from edgequeue.errors import MaybeSent, TransportError
from edgequeue.learning import JSON_MS, NOTHING, Learned
from edgequeue.model import Batch, Claimed, Disposition, HttpRequest, HttpResponse, Problem
from edgequeue.outcome import Outcome, Settled, Settlement, Verdict, failed, settle
from edgequeue.retry import WELL, Hold, HoldState, RetryPolicy, Signal, next_hold, until_opening, worst
from edgequeue.trips import Trip
from edgequeue.weighing import PROBE_TRIES_MIN, weigh

SMILE_REFUSED = Outcome(
    Verdict(
        Disposition.DEFER,
        Problem("smile_refused", "the service does not take Smile", "It is sent again as JSON, by itself.", 415),
    ),
    signal=None,
    http_status=415,
)
"""Nothing is held against anybody: the next turn speaks JSON."""

TOKEN_LENGTH_MIN = 4
"""Shorter ones would be found in anything."""

log = logging.getLogger("edgequeue")


class Judge:
    """What is known of one destination: its `hold` and what was `learned`. For one thread."""

    def __init__(self, destination: Destination, policy: RetryPolicy, dice: Random) -> None:
        self.hold = Hold()
        self.learned: Learned = NOTHING
        self.destination = destination  # as it is spoken to: in JSON where it does not take Smile
        self._destination = destination
        self._policy = policy
        self._dice = dice
        self._confirm: frozenset[int] = frozenset()  # events to be sent on a fresh connection
        self._renewed = False  # the credentials were refused and renewed, and nothing was accepted since
        self._refused: Mapping[str, str] | None = None  # refused again after that

    # --- before a turn ------------------------------------------------------------------------------------------------

    def take(self, hold: Hold, learned: Learned, now_ms: int, wall_ms: int) -> bool:
        """Begin with what is known; what was learned of another place counts for nothing. Whether the hold is new:
        a `not_before` is waited for once, by the queue's clock from then on.
        """
        place = self._destination.place
        self.learned = learned if learned.place == place else Learned(place=place)
        opens_ms = self._destination.not_before_ms
        self.hold = until_opening(hold, opens_ms, self.learned.opened_ms, wall_ms, now_ms)
        if opens_ms is not None and opens_ms != self.learned.opened_ms:
            self.learned = replace(self.learned, opened_ms=opens_ms)
        return self.hold is not hold

    def begin(self, now_ms: int) -> None:
        """Begin a turn."""
        self.destination = self._destination.in_json if now_ms < self.learned.json_until_ms else self._destination

    def chosen(self, records: Sequence[Claimed]) -> Sequence[Claimed]:
        """Which of the due records to send: one suspect and all others, or in trouble those that tell most.

        What is under suspicion tells nothing about the service, and must not take the others' places. Where it is
        paused, or batches fail again and again, it is asked with one event: any of them, not always the oldest, which
        may be the very event that it cannot do with.
        """
        known = self.learned.suspects
        if known and (suspects := [one for one in records if one.sequence in known]):
            others = [one for one in records if one.sequence not in known]
            if self.hold.state is HoldState.OK:
                others = [self._dice.choice(suspects), *others] if others else suspects
            records = others or [self._dice.choice(suspects)]
        return [self._dice.choice(records)] if self._probing and records else records

    @property
    def _probing(self) -> bool:
        """Whether the destination is asked with a single event."""
        hold = self.hold
        return hold.state is HoldState.PAUSED or (hold.state is HoldState.BACKING_OFF and hold.tries >= PROBE_TRIES_MIN)

    @property
    def watches(self) -> bool:
        """Whether events are under suspicion, or to be confirmed: each answer then decides what travels."""
        return bool(self.learned.suspects or self._confirm)

    def encode(self, batch: Batch) -> HttpRequest:
        """The request; on a connection of its own where an event alone may be refused for good by the answer."""
        request = self.destination.encode(batch)
        first = batch.records[0]
        watched = first.sequence in self.learned.suspects or first.sequence in self._confirm
        return replace(request, fresh=True) if len(batch) == 1 and (first.travel_max == 1 or watched) else request

    def ask_by_hand(self) -> None:
        """Somebody wants a try now: with new credentials where those in hand were refused."""
        if self._refused is not None:
            self._destination.credentials.renew(self._refused)
            self._refused = None

    # --- after it -----------------------------------------------------------------------------------------------------

    def read(self, batch: Batch, request: HttpRequest, answer: Answer, credentials: Mapping[str, str]) -> Trip:
        """What one answer means by itself; `credentials` were sent along."""
        return Trip(
            batch,
            SMILE_REFUSED if _refuses_smile(answer, request) else self._read(batch, answer, credentials),
            len(request.body),
            stray_possible=not request.fresh and isinstance(answer, HttpResponse) and answer.reused,
        )

    def judge(
        self, trips: Sequence[Trip], credentials: Mapping[str, str], now_ms: int, *, by_hand: bool
    ) -> list[Settled]:
        """What to change for each batch; `hold` and `learned` are those from now on."""
        weighed = weigh(
            trips,
            self.learned,
            probing=self._probing,
            now_ms=now_ms,
            policy=self._policy,
            unit_random=self._dice.random(),
        )
        self.learned = weighed.learned
        if any(trip.outcome is SMILE_REFUSED for trip in trips):
            self.learned = replace(self.learned, json_until_ms=now_ms + JSON_MS)
            extra = {"action": "encoding", "destination": self._destination.name}
            log.warning("%s: Smile was refused (HTTP 415); sending JSON for a day", self._destination.name, extra=extra)
        if self._confirm or weighed.confirm:
            tried = {one.sequence for trip in trips for one in trip.batch.records}
            self._confirm = (self._confirm - tried) | weighed.confirm
        settled = [
            (trip.batch, self._settle(trip.batch, outcome, now_ms))
            for trip, outcome in zip(trips, weighed.outcomes, strict=True)
        ]
        self._hear(weighed.outcomes, settled, credentials, now_ms, by_hand)
        return settled

    def _read(self, batch: Batch, answer: Answer, credentials: Mapping[str, str]) -> Outcome:
        """What one answer means, told without the token, should the answer repeat it: what it says is kept, and shown.

        A token that is part of the service's own words ("demo") is no secret, and no reason to misread them.
        """
        if isinstance(answer, TransportError):
            return failed(answer)
        outcome = self._interpreted(batch, answer)
        body = answer.body
        for secret in secrets_in(credentials):
            if len(secret) >= TOKEN_LENGTH_MIN:
                body = body.replace(secret.encode(), b"[the token]")
        if body == answer.body:
            return outcome
        masked = self._interpreted(batch, replace(answer, body=body))
        return masked if _meaning(masked, len(batch)) == _meaning(outcome, len(batch)) else outcome

    def _interpreted(self, batch: Batch, answer: HttpResponse) -> Outcome:
        try:
            return self.destination.interpret(batch, answer)
        except Exception as error:  # a destination's own fault must cost no event, and not stop the worker
            log.exception("%s: the answer could not be read", self._destination.name, extra={"action": "interpret"})
            return failed(MaybeSent(f"the answer could not be read: {type(error).__name__}", code="internal"))

    def _settle(self, batch: Batch, outcome: Outcome, now_ms: int) -> Settlement:
        return settle(
            batch,
            outcome,
            attempts_max=self._destination.attempts_max,
            policy=self._policy,
            now_ms=now_ms,
            unit_random=self._dice.random(),
        )

    def _hear(
        self,
        outcomes: Sequence[Outcome],
        settled: Sequence[Settled],
        credentials: Mapping[str, str],
        now_ms: int,
        by_hand: bool,
    ) -> None:
        """What the answers say about the destination as a whole."""
        heard = [one.signal for one in outcomes if one.signal is not None]
        if not heard:
            return  # we ended the exchanges ourselves: that says nothing about the destination
        signal = worst(heard) or WELL
        if (
            signal.renewable
            and not signal.retry_after_seconds
            and self._renew(credentials, signal.problem.status if signal.problem else None)
        ):
            return
        if WELL in heard:
            self._renewed = False
        moved = self._confirm or any(one.delivered or one.deaths or one.waits for _, one in settled)
        if signal is WELL and not moved:
            # Nothing moved and nobody said why: without a wait this would become a busy loop against the service.
            problem = settled[0][1].verdict.problem or Problem("no_progress", "the answer settled no event")
            signal = Signal(HoldState.BACKING_OFF, problem)
        self.hear(signal, now_ms, by_hand=by_hand, before=Hold() if WELL in heard else self.hold)

    def hear(self, signal: Signal, now_ms: int, *, by_hand: bool, before: Hold | None = None) -> None:
        """Take a signal over into the hold; a change of it is worth a line in the log."""
        known = self.hold
        before = known if before is None else before
        self.hold = next_hold(before, signal, now_ms, self._policy, self._dice.random(), by_hand=by_hand)
        if self.hold.state is not known.state or _code(self.hold) != _code(known):
            self.say()

    def _renew(self, credentials: Mapping[str, str], status: int | None) -> bool:
        """Whether to try at once with other credentials: once, until something is accepted again.

        A 401 gives the token up in any case, so that the next probe of a pause asks for a new one.
        """
        again = self._renewed or self.hold.state is HoldState.PAUSED
        if again and status != 401:
            self._refused = credentials  # others may do well with this token: it stays until somebody asks by hand
            return False
        if not self._destination.credentials.renew(credentials) or again:
            return False
        self._renewed = True
        extra = {"action": "renew", "destination": self._destination.name}
        log.info("%s: the credentials were refused; trying with new ones", self._destination.name, extra=extra)
        return True

    def say(self) -> None:
        """What holds the destination back, for the log."""
        hold, name = self.hold, self._destination.name
        extra = {"action": "hold", "destination": name, "state": hold.state.value}
        if hold.problem is None:
            log.info("%s: well again, sending", name, extra=extra)
            return
        # A network that comes and goes is what we are for; only what an operator has to mend is a warning.
        level = logging.WARNING if hold.state is HoldState.PAUSED else logging.INFO
        text = f"{hold.state.value.replace('_', ' ')}: {hold.problem.text.rstrip('.')}"
        log.log(level, "%s: %s. %s", name, text, hold.problem.remedy, extra=extra)


def _refuses_smile(answer: Answer, request: HttpRequest) -> bool:
    """Whether it was the encoding that was refused, by the service or by what stands before it: JSON may pass both."""
    smile = request.headers.get("content-type") == SMILE_TYPE
    return smile and isinstance(answer, HttpResponse) and answer.status == 415


def _meaning(outcome: Outcome, count: int) -> tuple[object, ...]:
    """What an outcome does, apart from its words."""
    verdicts = tuple((one.disposition, one.doubt) for one in map(outcome.of, range(count)))
    signal = outcome.signal and (outcome.signal.state, outcome.signal.renewable, outcome.signal.retry_after_seconds)
    return verdicts, signal, outcome.split, outcome.singly, outcome.too_large, outcome.told, outcome.echoed


def _code(hold: Hold) -> str | None:
    return hold.problem.code if hold.problem else None
