"""The memory of an account whose tokens are fetched: one token for all, one request at a time, and failures.

Whatever asks the network is a function of the caller; here it is decided when to ask. Times are boot milliseconds,
which nobody sets and which run through suspend; nothing is written down.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from edgequeue.auth.accounts import Denied
from edgequeue.auth.ims_answers import Token
from edgequeue.clock import Clock
from edgequeue.outcome import OURS
from edgequeue.retry import HoldState

EARLY_SECONDS_MAX = 300.0
"""A token is renewed so long before its end, or 10 % of its life where that is less."""

WAIT_SECONDS_MIN, WAIT_SECONDS_MAX = 30.0, 900.0
"""No token is asked for so soon after a failure; doubled with each one in a row, up to 15 minutes."""

REFUSED_SECONDS = 150.0
"""The same after a refusal that pauses: a paused destination is asked every 180 s, and each of those asks again."""

BY_HAND_SECONDS = 5.0
"""A failure younger than this answers by hand too: the destinations of one sync make one request."""

OTHERS_SECONDS = 5.0
"""How long a request that goes another way (a proxy of its own) is waited for: it may hang there for ever."""


def _is_own(denied: Denied) -> bool:
    """Whether it concerns one destination alone: its ca_file, its proxy, its way to the network. Others try theirs."""
    return denied.problem.code == "settings" or denied.state is HoldState.OFFLINE


def _is_services(denied: Denied) -> bool:
    """Whether it is in the token service's own words, whatever way the request went: a proxy may answer 503, too."""
    return denied.problem.code.startswith("ims_")


@dataclass(frozen=True, slots=True)
class Failure:
    """The last try gave no token. `mark` stands for the secret it was made with; `count` are failures in a row.

    `until_ms`: no further try before that. `asked_until_ms`: the service itself said so (Retry-After).
    """

    denied: Denied
    mark: bytes = field(repr=False)
    count: int
    at_ms: int
    until_ms: int
    asked_until_ms: int

    def answers(self, mark: bytes, now_ms: int, *, anew: bool) -> bool:
        """Whether it stands for the answer to a try made now. A changed secret voids it, but for a Retry-After."""
        if now_ms < self.asked_until_ms:
            return True
        until_ms = self.at_ms + round(BY_HAND_SECONDS * 1000) if anew else self.until_ms
        return mark == self.mark and now_ms < until_ms


def next_failure(before: Failure | None, denied: Denied, mark: bytes, now_ms: int, *, anew: bool) -> Failure:
    """What is remembered after a try that gave no token. By hand it costs nothing: what waits is not made to wait
    longer for it, but for the 30 s that no failure goes below.
    """
    count = before.count if before is not None else 0
    if denied.state is HoldState.PAUSED:
        count, wait_seconds = 0, REFUSED_SECONDS
    else:
        waits = anew and before is not None and now_ms < before.until_ms
        count = max(count, 1) if waits else count + 1
        wait_seconds = min(WAIT_SECONDS_MIN * 2.0 ** min(count - 1, 16), WAIT_SECONDS_MAX)
        if waits and before is not None:
            wait_seconds = min(wait_seconds, max((before.until_ms - now_ms) / 1000, WAIT_SECONDS_MIN))
    asked_until_ms = now_ms + round((denied.retry_after_seconds or 0.0) * 1000)
    until_ms = max(now_ms + round(wait_seconds * 1000), asked_until_ms)
    # Who asks again meanwhile is not told to wait from then on: the wait runs from the failure.
    return Failure(replace(denied, retry_after_seconds=None), mark, count, now_ms, until_ms, asked_until_ms)


class _Held(NamedTuple):
    token: Token
    renew_ms: int
    end_ms: int


class _Flight:
    """A request for a token under way; `result` stays None where it says nothing to others."""

    def __init__(self, mark: bytes, way: Hashable) -> None:
        self.mark = mark
        self.way = way
        self.over = threading.Event()
        self.result: Token | Denied | None = None
        self.stopped: Denied | None = None


class Tokens:
    """The token in hand, the requests under way, and the last failures. Safe from any thread, and after a fork."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: _Held | None = None
        self._failure: Failure | None = None  # what the service said
        self._unheard: dict[Hashable, Failure] = {}  # what came of a way that did not lead there
        self.reset_after_fork()
        _ALL.add(self)

    def __reduce__(self) -> Any:
        """A copy begins with an empty memory: no token travels with a configuration."""
        return Tokens, (self._clock,)

    def reset_after_fork(self) -> None:
        """A forked child has a lock of its own, and nobody in it waits for its parent's request."""
        self._lock = threading.Lock()
        self._flights: dict[Hashable, _Flight] = {}

    def current(self) -> Token | None:
        """The token in hand; None where there is none or it is time to renew it."""
        held = self._held  # read once: another thread may replace it
        return held.token if held is not None and self._clock.boot_ms() < held.renew_ms else None

    def left_seconds(self) -> float | None:
        """How long the token in hand still lives; None without one."""
        held = self._held
        return None if held is None else max(held.end_ms - self._clock.boot_ms(), 0) / 1000

    def forget(self, value: str) -> None:
        """The service did not take this token: it is not given again. One that took its place meanwhile stays."""
        with self._lock:
            if self._held is not None and self._held.token.value == value:
                self._held = None

    def obtain(self, mark: bytes, way: Hashable, ask: Callable[[], Token | Denied], *, anew: bool) -> Token | Denied:
        """The token in hand, what a failure left behind, or what `ask` gives; one thread asks while others wait for it.

        `mark` stands for the secret that is in use, `way` for the sender's. `anew`: by hand, so of failures only a very
        young one counts.
        """
        patient = True
        while True:
            with self._lock:
                known = self._known(mark, way, anew)
                if known is not None:
                    return known
                flight = self._flights.get(way)
                if flight is None and patient:
                    flight = next(iter(self._flights.values()), None)
                if flight is None:
                    mine = self._flights[way] = _Flight(mark, way)
            if flight is None:
                return self._fly(mine, ask, anew)
            patient = flight.over.wait(None if flight.way == way else OTHERS_SECONDS)
            result = flight.result
            if isinstance(result, Token):
                return result
            if result is not None and flight.mark == mark and (flight.way == way or _is_services(result)):
                return result
            if flight.stopped is not None:  # a stop is a stop for all: nobody begins anew in the middle of it
                return flight.stopped

    def _known(self, mark: bytes, way: Hashable, anew: bool) -> Token | Denied | None:
        token = self.current()
        if token is not None:
            return token
        now_ms = self._clock.boot_ms()
        for failure in (self._failure, self._unheard.get(way)):
            if failure is not None and failure.answers(mark, now_ms, anew=anew):
                asked_ms = failure.asked_until_ms - now_ms
                return replace(failure.denied, retry_after_seconds=asked_ms / 1000) if asked_ms > 0 else failure.denied
        return None

    def _fly(self, flight: _Flight, ask: Callable[[], Token | Denied], anew: bool) -> Token | Denied:
        """Ask, remember, and let those who wait go on, also where Ctrl-C ended it."""
        asked_ms = self._clock.boot_ms()
        result: Token | Denied | None = None
        try:
            result = ask()
            return result
        finally:
            with self._lock:
                if isinstance(result, Token):
                    self._held, self._failure, flight.result = _held(result, asked_ms), None, result
                    self._unheard.clear()
                elif result is not None and result.problem.code in OURS:
                    flight.stopped = result
                elif result is not None and not _is_own(result):
                    self._remember(flight, result, anew)
                    flight.result = result
                del self._flights[flight.way]
            flight.over.set()

    def _remember(self, flight: _Flight, denied: Denied, anew: bool) -> None:
        """A failure: the service's own holds for all, another for those who go the same way."""
        before = self._failure if _is_services(denied) else self._unheard.get(flight.way)
        known = before if before is not None and before.mark == flight.mark else None
        failure = next_failure(known, denied, flight.mark, self._clock.boot_ms(), anew=anew)
        if _is_services(denied):
            self._failure = failure
            self._unheard.pop(flight.way, None)  # its way leads there, after all
        else:
            self._unheard[flight.way] = failure


def _held(token: Token, asked_ms: int) -> _Held:
    """When to renew it: its life counts from the request, because nobody knows when the service began to count."""
    early_seconds = min(EARLY_SECONDS_MAX, token.life_seconds / 10)
    renew_ms = asked_ms + round((token.life_seconds - early_seconds) * 1000)
    return _Held(token, renew_ms, asked_ms + round(token.life_seconds * 1000))


_ALL: weakref.WeakSet[Tokens] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for tokens in list(_ALL):
        tokens.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
