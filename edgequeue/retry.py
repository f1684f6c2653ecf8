"""How long to wait: exponential backoff with full jitter, Retry-After, and what holds a destination back.

Pure: `now` and the dice are arguments. The curve comes from the backoff library's generator; the jitter is applied
here, after the cap, so that a fleet which comes back together does not stay together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from itertools import islice

from edgequeue.lazily import importing
from edgequeue.model import Problem

RETRY_AFTER_SECONDS_MAX = 3600.0
"""A longer Retry-After is clamped: no service may silence a device for days (wire-facts: cap at 1 h)."""

_SECONDS = re.compile(r'\s*"?\+?([0-9]{1,12}(?:\.[0-9]{1,6})?)[0-9]*\s*(?:s|sec|seconds)?"?\s*(?:;.*)?$', re.ASCII)
"""Seconds as they stand in the field: whole ones by the standard, and what servers write in their place."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The waits after failures in a row. Sources: 1 s, factor 2, cap 300 s suit all three services."""

    base_seconds: float = 1.0
    factor: float = 2.0
    cap_seconds: float = 300.0
    probe_seconds: float = 180.0
    """How often a paused destination is asked with one small request whether it is well again."""

    def ceiling_seconds(self, failures: int) -> float:
        """The longest wait after this many failures in a row (1 or more)."""
        with importing():
            from backoff import expo  # pulls in asyncio (30 ms, 10 MB): only who waits pays for it

        curve = expo(base=self.factor, factor=self.base_seconds, max_value=self.cap_seconds)
        next(curve)  # the library's generators yield once before the first value
        steps = min(failures, 64)  # far beyond any cap; bounds the walk
        return float(next(islice(curve, steps - 1, None)))

    def delay_seconds(self, failures: int, unit_random: float) -> float:
        """A wait between 0 and the ceiling, drawn by `unit_random` in [0, 1)."""
        return self.ceiling_seconds(failures) * unit_random


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header, as a number or an HTTP date; None when there is none or it is nonsense.

    A date is compared with `now`: pass the answer's own Date header where it has one, because the device's clock may
    be wrong. The result lies between 0 and `RETRY_AFTER_SECONDS_MAX`.
    """
    if value is None:
        return None
    text = value.strip().strip('"').strip()
    numbers = [_SECONDS.match(part) for part in text.split(",")]  # a header that came twice is one with a comma
    seconds = [float(found[1]) for found in numbers if found]
    if seconds:
        return min(max(seconds), RETRY_AFTER_SECONDS_MAX)
    date = parse_http_date(text) or _iso_date(text)
    if date is None:
        return None
    return min(max((date - now).total_seconds(), 0.0), RETRY_AFTER_SECONDS_MAX)


def _iso_date(text: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def parse_http_date(value: str | None) -> datetime | None:
    """An HTTP date header as an aware datetime; None when it is none."""
    if value is None:
        return None
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


class HoldState(StrEnum):
    """What holds a destination back."""

    OK = "ok"
    OFFLINE = "offline"
    BACKING_OFF = "backing_off"
    PAUSED = "paused"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Signal:
    """What one try says about the destination as a whole; `problem` is None when it is well.

    `renewable`: other credentials may be all that it takes. `wait_seconds_max` bounds our own backoff, where the
    trouble is one event's and the others must not wait for long.
    """

    state: HoldState
    problem: Problem | None = None
    retry_after_seconds: float | None = None
    renewable: bool = False
    wait_seconds_max: float | None = None


WELL = Signal(HoldState.OK)

_SEVERITY = (HoldState.OK, HoldState.WAITING, HoldState.OFFLINE, HoldState.BACKING_OFF, HoldState.PAUSED)


def worst(signals: list[Signal]) -> Signal | None:
    """The signal that decides among those of one turn: a pause over a backoff over being offline over success."""
    if not signals:
        return None
    decisive = max(signals, key=lambda signal: (_SEVERITY.index(signal.state), signal.retry_after_seconds or 0.0))
    longest = max((signal.retry_after_seconds or 0.0 for signal in signals), default=0.0)
    if longest <= (decisive.retry_after_seconds or 0.0):
        return decisive
    return replace(decisive, retry_after_seconds=longest)  # asked beside a pause: it binds all the same


@dataclass(frozen=True, slots=True)
class Hold:
    """Whether and why a destination waits. Times are queue-clock milliseconds; kept in the database.

    `asked_until_ms` is the wait that the service itself named (Retry-After): a sync by hand honours that one too.
    `tried_ms` is the moment of the last try; after a reboot the queue clock goes on from it. `failures` in a row
    lengthen the waits; `tries` counts those by hand as well, which do not. `opens_ms` is the `not_before` (wall clock)
    that is waited for, or was before what came next.
    """

    state: HoldState = HoldState.OK
    failures: int = 0
    since_ms: int = 0
    until_ms: int = 0
    asked_until_ms: int = 0
    problem: Problem | None = None
    tried_ms: int = 0
    tries: int = 0
    opens_ms: int = 0

    def waits(self, now_ms: int, *, by_hand: bool = False) -> bool:
        """Whether nothing may be sent now. By hand means now: only the service's own wait still counts."""
        return now_ms < (self.asked_until_ms if by_hand else self.until_ms)


def next_hold(
    hold: Hold, signal: Signal, now_ms: int, policy: RetryPolicy, unit_random: float, *, by_hand: bool = False
) -> Hold:
    """The hold after a try. Success clears it; failures lengthen it; the first of a kind sets `since_ms`.

    A try by hand that fails costs nothing: what waits by itself is not made to wait longer for it.
    """
    if signal.state is HoldState.OK:
        return Hold()
    failures = max(hold.failures, 1) if by_hand else hold.failures + 1
    same = hold.state is signal.state and _code(hold.problem) == _code(signal.problem)
    if signal.state is HoldState.PAUSED:
        wait_seconds = policy.probe_seconds
    else:
        wait_seconds = policy.delay_seconds(failures, unit_random)
    if signal.wait_seconds_max is not None:
        wait_seconds = min(wait_seconds, signal.wait_seconds_max)
    asked_until_ms = now_ms + round((signal.retry_after_seconds or 0.0) * 1000)
    return replace(
        hold,
        state=signal.state,
        failures=failures,
        since_ms=hold.since_ms if same else now_ms,
        until_ms=max(_sooner(now_ms + round(wait_seconds * 1000), hold, now_ms, by_hand), asked_until_ms),
        asked_until_ms=asked_until_ms,
        problem=signal.problem,
        tried_ms=now_ms,
        tries=hold.tries + 1,
    )


def until_opening(hold: Hold, not_before_ms: int | None, opened_ms: int, wall_ms: int, now_ms: int) -> Hold:
    """The hold with a configured `not_before` (wall clock, milliseconds) in it; `opened_ms` was waited for already.

    At most `RETRY_AFTER_SECONDS_MAX`: a device whose clock stands in the past must not wait for years. What is being
    waited for is not begun anew by a restart, and is over when it is taken out of the configuration.
    """
    if not_before_ms is not None and not_before_ms == hold.opens_ms:
        return hold
    if hold.state is HoldState.WAITING:  # for another moment than the one that is configured now
        hold = Hold()
    if not_before_ms is None or not_before_ms == opened_ms:
        return hold
    until_ms = now_ms + min(not_before_ms - wall_ms, round(RETRY_AFTER_SECONDS_MAX * 1000))
    if until_ms <= max(now_ms, hold.asked_until_ms):
        return hold
    text = "not_before in the configuration says so: a new dataflow may lose what comes too early"
    problem = Problem("not_before", text)
    waiting = HoldState.WAITING
    return Hold(
        waiting, since_ms=now_ms, until_ms=until_ms, asked_until_ms=until_ms, problem=problem, opens_ms=not_before_ms
    )


def _sooner(until_ms: int, hold: Hold, now_ms: int, by_hand: bool) -> int:
    return min(until_ms, hold.until_ms) if by_hand and hold.until_ms > now_ms else until_ms


def _code(problem: Problem | None) -> str:
    return problem.code if problem else ""
