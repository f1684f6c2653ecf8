"""One turn of sending: rescue, prepare (claim, batch, encode), record, send, interpret, settle.

Where there is more to send and all is well, a turn has several rounds of requests, and each is settled while the next
one is on its way: with 16 in flight and answers after 300 ms that took a drain from 0.83 of the ideal to 0.92.

Everything that is decided is decided by pure functions; this only carries values between them, the store and the
network. The loop around it stands in `worker.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from math import ceil
from random import Random

from edgequeue.auth import Denied
from edgequeue.courier import Answer, Couriers
from edgequeue.destinations.base import Destination
from edgequeue.errors import EdgeQueueError, LeaseLost, NotSent, StoreError
from edgequeue.judging import Judge
from edgequeue.model import Batch, Problem
from edgequeue.outcome import OURS, Settlement, signal_of
from edgequeue.preparing import Prepared, Preparing
from edgequeue.reading import asked_seconds
from edgequeue.retry import Hold, HoldState, RetryPolicy, Signal, next_hold
from edgequeue.sender import Sender
from edgequeue.store.base import Closing, Lease, NewRequest, Store
from edgequeue.turns import Listener, Turn, turn_of

log = logging.getLogger("edgequeue")

BURST_MS = 1000
"""After so long a turn ends, so that whoever runs it can tidy and tell how far it is."""


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
        self._couriers = Couriers(sender, destination.name)
        dice = dice or Random()
        self._judge = Judge(destination, policy or RetryPolicy(), dice)
        self._preparing = Preparing(store, self._judge, dice)
        self._listener = listener
        self._peers = peers  # destinations of the same account
        self._lease: Lease | None = None
        self._paced_until_ms = 0
        self._unsettled: list[tuple[int, tuple[Batch, Settlement]]] = []
        self._heeded = Hold()  # the longest plea to wait of the turn under way

    # --- one turn -----------------------------------------------------------------------------------------------------

    def step(self, *, by_hand: bool = False, events_max: int | None = None) -> Turn:
        """One turn. `by_hand` skips our own backoff and a pause for this turn, never a wait the service asked for."""
        if not self.acquire():
            return Turn(leased=False)
        try:
            return self._step(by_hand, events_max)
        except LeaseLost:  # somebody removed the lease's file, and another worker has it: nothing was sent
            log.warning("%s: another worker has taken the lease", self.destination.name, extra={"action": "lease"})
            self._release()
            return Turn(leased=False)

    def _step(self, by_hand: bool, events_max: int | None) -> Turn:
        self._write_down()
        now_ms = self._store.now_ms()
        if self.hold.waits(now_ms, by_hand=by_hand):
            return Turn(next_due_ms=self.hold.asked_until_ms if by_hand else self.hold.until_ms)
        if now_ms < self._paced_until_ms:
            if self._store.next_due_ms(self.destination.name) is None:
                return Turn()  # nothing is left that would have to wait
            return Turn(next_due_ms=self._paced_until_ms, paced=True)
        assert self._lease is not None
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
        wanted = self.destination.credential_headers
        signed = {name: credentials[name] for name in wanted if name in credentials}
        if self.hold.state is HoldState.OFFLINE and (offline := self._unreachable()) is not None:
            return self._held_back(offline, prepared.batches, now_ms, by_hand)
        turn = self._send(prepared, signed, by_hand, ahead=events_max is None)
        return turn._replace(dead=turn.dead + buried, omitted=prepared.omitted)

    def acquire(self) -> bool:
        """Hold the lease; taking it, rescue what a dead worker left behind, and read the backoff before any send."""
        if self._moved():
            self._write_down()
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

    def _send(self, prepared: Prepared, credentials: Mapping[str, str], by_hand: bool, *, ahead: bool) -> Turn:
        """Rounds of requests. While one is on its way the one before it is settled and the one after it prepared."""
        until_ms = self._store.now_ms() + BURST_MS
        turn = Turn()
        following: Prepared | None = prepared
        try:
            while following is not None:
                settled, interruption = self._round(following, credentials, by_hand, ahead=ahead)
                turn = turn.plus(turn_of(settled, self.hold)._replace(full=following.full))
                if turn.deferred:  # what is sent again must not be overtaken where the order matters
                    self._preparing.drop()
                if interruption is not None:
                    raise interruption
                goes_on = ahead and self._goes_on() and self._store.now_ms() < until_ms
                following = self._preparing.following() if goes_on else None
        finally:
            self._write_down()
        return turn

    def _goes_on(self) -> bool:
        """Whether nobody waits for the end of this turn."""
        return True

    def _round(
        self, prepared: Prepared, credentials: Mapping[str, str], by_hand: bool, *, ahead: bool
    ) -> tuple[list[tuple[Batch, Settlement]], BaseException | None]:
        """Record, send, interpret. What came of it is kept to be settled; and what interrupted it, if anything did."""
        assert self._lease is not None
        batches, requests = prepared.batches, prepared.requests
        rows = [
            NewRequest(batch.request_id, tuple(one.sequence for one in batch.records), len(request.body))
            for batch, request in zip(batches, requests, strict=True)
        ]
        self._couriers.ready(len(requests))
        self._heeded = Hold()
        begun_ms = self._store.now_ms()
        numbers = self._store.record(self._lease, rows, begun_ms)
        answers, interruption = self._couriers.send_all(
            requests, credentials, self._heed, lambda: self._meanwhile(ahead=ahead)
        )
        now_ms = self._store.now_ms()
        settled = self._judge.judge(batches, requests, answers, credentials, now_ms, by_hand=by_hand)
        self._preparing.after(len(requests), now_ms - begun_ms)
        self._pace(now_ms)
        self._unsettled += zip(numbers, settled, strict=True)
        return settled, interruption

    def _meanwhile(self, *, ahead: bool) -> None:
        """Settle the round before this one, and prepare the next. What fails is met again at the end of the turn, or in
        the next one, and reported there.
        """
        assert self._lease is not None
        try:
            self._write_down()
            if ahead:
                self._preparing.ahead(self._lease, self._store.now_ms())
        except Exception as error:
            log.debug("%s: put off: %s", self.destination.name, error)

    def _heed(self, answer: Answer) -> None:
        """A plea to wait is kept at once: the other answers may be long in coming, and power may fail before them."""
        seconds = asked_seconds(answer)
        if not seconds:
            return
        problem = Problem("asked_to_wait", "the service asked for patience", "It goes on by itself then.")
        signal = Signal(HoldState.BACKING_OFF, problem, seconds)
        hold = next_hold(self.hold, signal, self._store.now_ms(), RetryPolicy(), 0.0)
        self._heeded = max(self._heeded, hold, key=lambda one: one.asked_until_ms)  # a shorter one shortens nothing
        try:
            self._store.set_hold(self.destination.name, self._heeded, self._lease)
        except StoreError as error:
            log.error("%s: the wait could not be written down: %s", self.destination.name, error)

    def _write_down(self) -> None:
        """Settle what was answered; where the disk refuses now, it is done first thing in the next turn."""
        if self._unsettled:
            assert self._lease is not None
            closings = [Closing(number, settlement) for number, (_, settlement) in self._unsettled]
            self._store.settle(self._lease, closings, self._store.now_ms(), self.hold, self._judge.learned)
            self._log_deaths([settlement for _, (_, settlement) in self._unsettled])
            told, self._unsettled = [settled for _, settled in self._unsettled], []
            if self._listener is not None:
                self._listener(self._lease, told, self.hold)

    def _log_deaths(self, settlements: Sequence[Settlement]) -> None:
        for death in (death for settlement in settlements for death in settlement.deaths):
            extra = {"action": "dead", "destination": self.destination.name, "sequence": death.sequence}
            text = f"event {death.sequence} was refused: {death.problem.code} {death.problem.text}"
            log.info("%s: %s", self.destination.name, text, extra=extra)

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
            try:
                self._write_down()  # what was answered and the disk refused so far: the last chance to keep it
            except EdgeQueueError as error:
                log.error("%s: answers could not be written down: %s", self.destination.name, error)
            self._release()
