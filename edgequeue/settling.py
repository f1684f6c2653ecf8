"""What was answered and is not written down yet: kept until the disk takes it, also beyond the turn it belongs to."""

from __future__ import annotations

import logging
import threading

from edgequeue.judging import Judge
from edgequeue.model import Disposition, Problem, RequestOutcome
from edgequeue.outcome import Settled, Settlement, Verdict
from edgequeue.retry import Hold, HoldState, RetryPolicy, Signal, next_hold
from edgequeue.store.base import Closing, Lease, Store
from edgequeue.turns import Listener

log = logging.getLogger("edgequeue")

_TAKEN_BACK = Settlement(RequestOutcome.UNKNOWN, Verdict(Disposition.UNKNOWN), None, {}, unsent=True)


class Settling:
    """The settlements of one destination on their way to the store. For one thread."""

    def __init__(self, store: Store, judge: Judge, listener: Listener | None) -> None:
        self._store = store
        self._judge = judge
        self._listener = listener
        self._kept: list[tuple[int, Settled]] = []
        self._taken_back: list[int] = []
        self._turn = threading.Lock()
        self._plea = Hold()  # the longest of the turn under way

    def __len__(self) -> int:
        """How many requests are still open on disk, though it is known what they came to."""
        return len(self._kept) + len(self._taken_back)

    def keep(self, number: int, settled: Settled) -> None:
        """What the request of that number came to."""
        self._kept.append((number, settled))

    def take_back(self, number: int) -> None:
        """That request was not sent after all: it leaves no trace, and nobody is told of it."""
        self._taken_back.append(number)

    def begin(self) -> None:
        """Begin a turn."""
        self._plea = Hold()

    def heed(self, lease: Lease, seconds: float) -> None:
        """Write a plea to wait down at once, from any thread: the answer is judged later, and power may fail before."""
        problem = Problem("asked_to_wait", "the service asked for patience", "It goes on by itself then.")
        signal = Signal(HoldState.BACKING_OFF, problem, seconds)
        hold = next_hold(self._judge.hold, signal, self._store.now_ms(), RetryPolicy(), 0.0)
        with self._turn:
            self._plea = max(self._plea, hold, key=_asked_until)  # a shorter one shortens nothing
            try:
                self._store.set_hold(lease.name, self._plea, lease)
            except Exception as error:
                log.error("%s: the wait could not be written down: %s", lease.name, error)

    def write_down(self, lease: Lease, *, judged: bool = True) -> None:
        """Settle it all in one commit; `judged`: all that was answered is in it. Where the disk refuses now it is done
        first thing in the next turn.
        """
        if not self._kept and not self._taken_back:
            return
        closings = [Closing(number, settlement) for number, (_, settlement) in self._kept]
        closings += [Closing(number, _TAKEN_BACK) for number in self._taken_back]
        with self._turn:
            hold = self._judge.hold if judged else max(self._judge.hold, self._plea, key=_asked_until)
            self._store.settle(lease, closings, self._store.now_ms(), hold, self._judge.learned)
        told = [settled for _, settled in self._kept]
        self._kept, self._taken_back = [], []
        for _, settlement in told:
            self._log_deaths(lease, settlement)
        if self._listener is not None and told:
            self._listener(lease, told, self._judge.hold)

    def _log_deaths(self, lease: Lease, settlement: Settlement) -> None:
        for death in settlement.deaths:
            extra = {"action": "dead", "destination": lease.name, "sequence": death.sequence}
            text = f"event {death.sequence} was refused: {death.problem.code} {death.problem.text}"
            log.info("%s: %s", lease.name, text, extra=extra)


def _asked_until(hold: Hold) -> int:
    return hold.asked_until_ms
