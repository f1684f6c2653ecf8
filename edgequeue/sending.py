"""One turn of sending: rescue, prepare (claim, batch, encode), record, send, interpret, settle.

Where there is more to send and all is well, a turn goes on until somebody waits for its end (`flight.py`).

Everything that is decided is decided by pure functions; this only carries values between them, the store and the
network. The loop around it stands in `worker.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from math import ceil
from random import Random

from edgequeue.auth import Denied
from edgequeue.courier import Couriers
from edgequeue.destinations.base import Destination
from edgequeue.errors import EdgeQueueError, LeaseLost, NotSent
from edgequeue.flight import Flight, Means, Orders
from edgequeue.judging import Judge
from edgequeue.model import Batch, Problem
from edgequeue.outcome import OURS, signal_of
from edgequeue.preparing import Preparing
from edgequeue.retry import Hold, HoldState, RetryPolicy, Signal
from edgequeue.sender import Sender
from edgequeue.settling import Settling
from edgequeue.store.base import Lease, Store
from edgequeue.turns import Listener, Tell, Turn

log = logging.getLogger("edgequeue")


class Sending:
    """The turns of one destination: its lease, what holds it back, and the pace it keeps. For one thread."""

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
        peers: Sequence[str] = (),
    ) -> None:
        self.destination = destination
        self.kind = kind
        self._store = store
        self._sender = sender
        dice = dice or Random()
        self._couriers = Couriers(sender, destination.name)
        self._judge = Judge(destination, policy or RetryPolicy(), dice)
        self._preparing = Preparing(store, self._judge, dice)
        self._settling = Settling(store, self._judge, listener)
        self._listener = listener
        self._peers = peers  # destinations of the same account
        self._lease: Lease | None = None
        self._paced_until_ms = 0

    # --- one turn -----------------------------------------------------------------------------------------------------

    def step(self, *, by_hand: bool = False, events_max: int | None = None, tell: Tell | None = None) -> Turn:
        """One turn. `by_hand` skips our own backoff and a pause for this turn, never a wait the service asked for.

        `tell` is told once a second what a long turn has done since, and says whether it goes on; what it was told is
        not part of the result. Without it a turn ends after a second.
        """
        if not self.acquire():
            return Turn(leased=False)
        try:
            return self._step(by_hand, events_max, tell)
        except LeaseLost:  # somebody removed the lease's file, and another worker has it: nothing was sent
            log.warning("%s: another worker has taken the lease", self.destination.name, extra={"action": "lease"})
            self._release()
            return Turn(leased=False)

    def _step(self, by_hand: bool, events_max: int | None, tell: Tell | None) -> Turn:
        assert self._lease is not None
        self._settling.write_down(self._lease)
        now_ms = self._store.now_ms()
        if self.hold.waits(now_ms, by_hand=by_hand):
            return Turn(next_due_ms=self.hold.asked_until_ms if by_hand else self.hold.until_ms)
        if now_ms < self._paced_until_ms:
            if self._store.next_due_ms(self.destination.name) is None:
                return Turn()  # nothing is left that would have to wait
            return Turn(next_due_ms=self._paced_until_ms, paced=True)
        try:
            prepared = self._preparing.next(self._lease, now_ms, events_max, by_hand=by_hand)
        except EdgeQueueError:
            raise
        except Exception as error:  # somebody's destination: it must not end the worker, nor hold up the others
            return self._unwritten(error, now_ms, by_hand)
        buried = prepared.buried
        if not prepared.requests:
            next_due_ms = self._store.next_due_ms(self.destination.name)
            return Turn(claimed=buried, dead=buried, next_due_ms=next_due_ms)
        if by_hand:
            self._judge.ask_by_hand()
        credentials = self.destination.credentials.headers(self._sender, anew=by_hand)
        if isinstance(credentials, Denied):
            return self._denied(credentials, prepared.batches, now_ms, by_hand)
        if self.hold.state is HoldState.OFFLINE and (offline := self._unreachable()) is not None:
            return self._held_back(offline, prepared.batches, now_ms, by_hand)
        orders = Orders(by_hand, self._sign, self._goes_on if events_max is None else None, tell)
        means = Means(self._store, self._couriers, self._judge, self._preparing, self._settling)
        turn = Flight(means, self._lease, orders).send(prepared, self._wanted(credentials), self._sender.abort)
        self._pace(self._store.now_ms())
        return turn._replace(dead=turn.dead + buried, omitted=prepared.omitted)

    def _sign(self) -> Mapping[str, str] | None:
        """The credentials of what follows; why there are none is said by the next turn."""
        credentials = self.destination.credentials.headers(self._sender)
        return None if isinstance(credentials, Denied) else self._wanted(credentials)

    def _wanted(self, credentials: Mapping[str, str]) -> Mapping[str, str]:
        return {name: credentials[name] for name in self.destination.credential_headers if name in credentials}

    def acquire(self) -> bool:
        """Hold the lease; taking it, rescue what a dead worker left behind, and read the backoff before any send."""
        if self._lease is not None and self._moved():
            self._settling.write_down(self._lease)
            self._release()
            self._paced_until_ms = 0
        if self._lease is not None:
            return True
        name = self.destination.name
        lease = self._store.acquire(name, self.kind)
        if lease is None:
            return False
        try:  # without these the lease is worth nothing: give it back, and begin anew next time
            rescued = self._store.rescue(lease)
            hold, learned = self._store.hold(name), self._store.learned(name)
            if self._judge.take(hold, learned, self._store.now_ms(), self._store.wall_ms()):
                self._store.set_hold(name, self.hold, lease)
        except BaseException:
            self._store.release(lease)
            raise
        self._lease = lease
        if hold.problem is not None and self.kind != "sync":  # a sync says it at its end
            self._judge.say()
        if rescued:
            extra = {"action": "rescue", "destination": name, "requests": rescued}
            log.warning("%s: %d requests of a dead worker have an unknown outcome", name, rescued, extra=extra)
        return True

    def _unwritten(self, error: Exception, now_ms: int, by_hand: bool) -> Turn:
        """The destination's own code failed: it is paused with its name, and every event is kept."""
        name, kind = self.destination.name, self.destination.type
        log.exception("%s: its requests could not be written", name, extra={"action": "encode", "destination": name})
        text = f"the code of destination type {kind!r} failed: {type(error).__name__}: {error}"
        problem = Problem("internal", text, "Ask its author, or install its package again; the events are kept.")
        return self._held_back(Signal(HoldState.PAUSED, problem), [], now_ms, by_hand)

    def _goes_on(self) -> bool:
        """Whether nobody waits for the end of this turn, and the file is the one it began with."""
        return not self._moved()

    def _unreachable(self) -> Signal | None:
        """During an outage the host is looked at first: a try that cannot succeed then writes no request."""
        try:
            self._sender.reach(self.destination.endpoint)
        except NotSent as error:
            return signal_of(error)
        return None

    def _denied(self, denied: Denied, batches: Sequence[Batch], now_ms: int, by_hand: bool) -> Turn:
        if denied.problem.code in OURS and not denied.retry_after_seconds:  # we ended it: that says nothing
            return Turn(claimed=sum(len(batch) for batch in batches))
        signal = Signal(denied.state, denied.problem, denied.retry_after_seconds)
        turn = self._held_back(signal, batches, now_ms, by_hand)
        if signal.retry_after_seconds:  # the token service asked, so it asked all that have this account
            for name in self._peers:
                if self._store.hold(name).asked_until_ms < self.hold.asked_until_ms:
                    self._store.set_hold(name, self.hold)
        return turn

    def _held_back(self, signal: Signal, batches: Sequence[Batch], now_ms: int, by_hand: bool) -> Turn:
        """Nothing is sent and no event is touched: no network, or no credentials."""
        self._judge.hear(signal, now_ms, by_hand=by_hand)
        self._store.set_hold(self.destination.name, self.hold, self._lease)
        if self._listener is not None and self._lease is not None:
            self._listener(self._lease, [], self.hold)
        deferred = frozenset(record.sequence for batch in batches for record in batch.records)
        return Turn(claimed=len(deferred), deferred=deferred, next_due_ms=self.hold.until_ms)

    def _pace(self, now_ms: int) -> None:
        rate = self.destination.requests_per_second_max
        if rate is not None:
            self._paced_until_ms = now_ms + ceil(1000 / rate)

    @property
    def hold(self) -> Hold:
        """What holds the destination back, as this worker knows it."""
        return self._judge.hold

    def abort(self) -> None:
        """End the exchanges under way at once; their outcome is unknown."""
        self._couriers.recall()
        self._sender.abort()

    def _moved(self) -> bool:
        """Whether the lease is of a database that was salvaged or replaced: in the one that is there now, times and
        waits may be others.
        """
        return self._lease is not None and self._lease.queue_id != self._store.queue_id

    def _release(self) -> None:
        assert self._lease is not None
        self._preparing.drop()
        self._store.release(self._lease)
        self._lease = None

    def close(self) -> None:
        """Let go of the lease and the threads. Idempotent."""
        self._couriers.close()
        if self._lease is not None:
            try:  # what was answered and the disk refused so far: the last chance to keep it
                self._settling.write_down(self._lease)
            except EdgeQueueError as error:
                log.error("%s: answers could not be written down: %s", self.destination.name, error)
            self._release()
