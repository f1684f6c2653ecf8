"""The worker: turns of sending until it is stopped, with one interruptible sleep between them.

One worker per destination, each on a thread of its own, so that one destination in trouble never slows another.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from edgequeue.courier import Halt
from edgequeue.destinations.base import Destination
from edgequeue.errors import QueueClosed, StoreError
from edgequeue.retry import Hold, HoldState, RetryPolicy
from edgequeue.sender import Sender
from edgequeue.sending import Sending
from edgequeue.store.base import Store
from edgequeue.turns import Listener, Turn

log = logging.getLogger("edgequeue")

POLL_SECONDS = 0.5
"""How often an idle worker looks whether another process has enqueued: one pragma, no I/O."""

REST_SECONDS_MIN = 0.02
"""The shortest sleep between two turns without work: whatever goes wrong, it is never a busy loop."""

LINGER_SECONDS = 0.05
"""After a turn that left nothing the next one waits so long: events that come one by one then go together, and who
enqueues at full speed in another process is held up by some 40 commits a second, not by as many as the disk can do
(0.52 of its rate alone, and 0.93 with it)."""

STORE_TROUBLE_SECONDS = 5.0
"""The wait after the database could not be used (a full disk, a lock held for long) before it is tried again."""


@dataclass(slots=True)
class Retention:
    """How long ended records are kept, in milliseconds of queue time; None keeps them for ever."""

    delivered_ms: int | None = 7 * 86_400_000
    dead_ms: int | None = 30 * 86_400_000
    every_ms: int = 3_600_000
    due_ms: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)

    def tidy(self, store: Store) -> None:
        """Prune when it is time; of several workers one does it."""
        now_ms = store.now_ms()
        if 0 < self.due_ms - now_ms <= self.every_ms or not self.turn.acquire(blocking=False):
            return
        try:
            self.due_ms = now_ms + self.every_ms
            count = store.prune(
                None if self.delivered_ms is None else now_ms - self.delivered_ms,
                None if self.dead_ms is None else now_ms - self.dead_ms,
            )
            if count:
                log.info("pruned %d events past their retention", count, extra={"action": "prune", "events": count})
        finally:
            self.turn.release()


def _is_networks(hold: Hold) -> bool:
    """Whether another network may help: nobody answered, or something that is not the service; nobody asked to wait."""
    if hold.state is HoldState.BACKING_OFF and hold.problem is not None:
        own_words = hold.problem.code.startswith(("http_", "EXEG-", "ims_"))
        return not own_words and hold.asked_until_ms <= hold.tried_ms
    return hold.state is HoldState.OFFLINE


class Worker(Sending):
    """Drains one destination. `run` and `step` belong to one thread; `nudge`, `stop` and `abort` to any."""

    def __init__(
        self,
        store: Store,
        destination: Destination,
        sender: Sender,
        *,
        kind: str,
        policy: RetryPolicy | None = None,
        dice: Random | None = None,
        listener: Listener | None = None,
        retention: Retention | None = None,
        peers: Sequence[str] = (),
    ) -> None:
        super().__init__(
            store, destination, sender, kind=kind, policy=policy, dice=dice, listener=listener, peers=peers
        )
        self._retention = retention
        self._wake_number = store.wake_number(destination.name)
        self._change_counter = -1
        self.ended = threading.Event()
        self._condition = threading.Condition()
        self._stopping = self._asked = self._nudged = False

    def run(self) -> None:
        """Turns until `stop`; between them one wait that ends early when something is enqueued, asked or stopped."""
        try:
            self._run()
        finally:
            self.close()
            self.ended.set()

    def tidy(self) -> None:
        """Prune when it is time, and notice a wall clock that was stepped. Costs next to nothing otherwise."""
        if self._retention is not None:
            self._retention.tidy(self._store)
        self._store.note_wall_clock()

    def _run(self) -> None:
        begun = False
        while not self._stopping:
            try:
                if not begun and self._store.hold(self.destination.name).state is HoldState.PAUSED:
                    self._asked = True  # who starts a worker may have mended what paused it
                begun = True
                turn = self.step(by_hand=self.asked(), tell=self._told)
                self.tidy()
                if not turn.claimed:
                    self._wait(turn)
                elif not turn.delivered and not turn.dead:
                    self.pause(REST_SECONDS_MIN)  # whatever the reason, it is never a busy loop against the service
                elif not turn.full:
                    self.pause_unless_asked(LINGER_SECONDS)
            except QueueClosed:  # its stop took longer than it was given
                self.stop()
            except StoreError as error:
                extra = {"action": "store_error", "destination": self.destination.name}
                log.error("%s: %s; trying again", self.destination.name, error, extra=extra)
                self.pause(STORE_TROUBLE_SECONDS)
            except Exception:  # a fault of ours or of a destination's: say so, and do not fall silent for good
                log.exception("%s: unexpected; trying again", self.destination.name, extra={"action": "unexpected"})
                self.pause(STORE_TROUBLE_SECONDS)

    def _told(self, turn: Turn) -> bool:
        """In the middle of a long turn. What fails here is met again after it, and reported there."""
        try:
            self.tidy()
        except Exception:
            return False
        return True

    def _wait(self, turn: Turn) -> None:
        """Until the next record falls due; other processes are noticed by the database's change counter."""
        while True:
            due_ms = turn.next_due_ms
            left = POLL_SECONDS if due_ms is None else min(POLL_SECONDS, (due_ms - self._store.now_ms()) / 1000)
            if self._rest(max(left, REST_SECONDS_MIN)) or left < POLL_SECONDS or not turn.leased:
                return
            counter = self._store.change_counter()
            if counter != self._change_counter:
                self._change_counter = counter
                number = self._store.wake_number(self.destination.name)
                if number != self._wake_number:
                    self._wake_number = number
                    self._asked = True
                if self._asked or not self._held():
                    return

    def _held(self) -> bool:
        return self._lease is not None and not self._moved() and self.hold.waits(self._store.now_ms())

    def _rest(self, seconds: float) -> bool:
        """Sleep; True when woken. While the destination is held back, new events are no reason to wake."""
        with self._condition:
            return self._condition.wait_for(
                lambda: self._stopping or self._asked or (self._nudged and not self._held()), timeout=seconds
            )

    def asked(self) -> bool:
        """Whether somebody, or a network that has come back, asked for a try now; asking is over with this."""
        with self._condition:
            asked, self._asked, self._nudged = self._asked, False, False
        return asked

    def pause(self, seconds: float) -> bool:
        """Sleep unless stopped; True when stopped."""
        with self._condition:
            return self._condition.wait_for(lambda: self._stopping, timeout=seconds)

    def pause_unless_asked(self, seconds: float) -> None:
        """Sleep unless stopped or asked for a try."""
        with self._condition:
            self._condition.wait_for(lambda: self._stopping or self._asked, timeout=seconds)

    def network_changed(self) -> None:
        """The machine's network has come or changed: what waited for it is tried now."""
        if _is_networks(self.hold):
            with self._condition:
                self._asked = True
                self._condition.notify_all()

    def nudge(self) -> None:
        """Something was enqueued in this process."""
        if not self._nudged:
            with self._condition:
                self._nudged = True
                self._condition.notify_all()

    def stop(self) -> None:
        """End after the turn under way; of that, what would follow and has not begun is not sent."""
        self._couriers.recall(Halt.FOLLOWING)
        with self._condition:
            self._stopping = True
            self._condition.notify_all()

    def _goes_on(self) -> bool:
        return super()._goes_on() and not (self._stopping or self._asked)

    @property
    def stopping(self) -> bool:
        return self._stopping
