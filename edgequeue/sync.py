"""Sync: drain now, by hand, and say what was done.

Each destination is drained on a thread of its own; where a running worker of another process holds the lease, it is
asked to send now and its progress is followed. Who waits can be interrupted: nothing is left half done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgequeue.retry import HoldState
from edgequeue.store.base import Store
from edgequeue.turns import Turn
from edgequeue.views import Ledger, SyncReport
from edgequeue.worker import Worker

FOLLOW_SECONDS = 0.2
"""How often the progress of another process's worker is looked at."""

ANSWER_SECONDS = 5.0
"""How long such a worker may take to show that it was asked: it looks every half second, and then sends."""

IDLE_TURNS_MAX = 100
"""Turns in a row that ended no event, though nothing holds the destination back: bisecting takes some ten."""

GRACE_SECONDS = 2.0
"""When the time is up, an answer that is about to come may still come: cutting it off would send its events twice."""

SLEEP_SECONDS_MAX = 30.0
"""A sleep does not count the time for which the machine was suspended; queue time does, and is looked at this often."""

TICK_SECONDS = 0.1
"""How often the caller is told of progress."""

REASONS = ("interrupted", "limit", "timeout", "waiting", "empty")
"""Why a sync ends; where destinations differ, the first of these is reported."""


@dataclass(slots=True)
class Tally:
    """What has been done so far, added up over the destinations."""

    limit: int | None = None
    delivered: int = 0
    dead: int = 0
    requests: int = 0
    deferred: set[int] = field(default_factory=set)
    reserved: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)

    def add(self, turn: Turn) -> None:
        with self.turn:
            self.delivered += turn.delivered
            self.dead += turn.dead
            self.requests += turn.requests
            self.deferred |= turn.deferred

    def reserve(self) -> int | None:
        """How many events this turn may try, set aside for it; None without a limit."""
        if self.limit is None:
            return None
        with self.turn:
            room = max(self.limit - self.delivered - self.dead - self.reserved, 0)
            self.reserved += room
            return room

    def give_back(self, room: int | None) -> None:
        """The turn is over: what it did not end may be tried by others."""
        with self.turn:
            self.reserved -= room or 0


@dataclass(frozen=True, slots=True)
class Progress:
    """For a progress bar: what is done, and what is left of what was asked for."""

    delivered: int
    dead: int
    requests: int
    remaining: int


class Followed:
    """What another process's worker does for a destination, from now on: the store knows."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._first = store.oldest_open(name)
        self._requests = store.closed_since(name, self._first)
        self._counts = store.counts(name)

    def since_last(self) -> tuple[Ledger, Turn]:
        """The counts now, and what was done since this was asked last."""
        counts = self._store.counts(self._name)
        requests = self._store.closed_since(self._name, self._first)
        done = Turn(
            delivered=max(counts.delivered - self._counts.delivered, 0),
            dead=max(counts.dead - self._counts.dead, 0),
            requests=max(requests - self._requests, 0),
        )
        self._counts, self._requests = counts, requests
        return counts, done


class Drain:
    """Drains one destination until it is empty, has to wait, or is stopped."""

    def __init__(self, worker: Worker, store: Store, tally: Tally, deadline: float | None) -> None:
        self._worker = worker
        self._name = worker.destination.name
        self._store = store
        self._tally = tally
        self._deadline = deadline
        self.reason = "empty"
        self.error: BaseException | None = None
        # Not Thread.join: in Python 3.11 a Ctrl-C in the middle of it marks a running thread as ended.
        self.ended = threading.Event()

    def run(self) -> None:
        """The thread's work; what it raises is kept for the caller."""
        try:
            self.reason = self._drain()
            self._worker.tidy()
        except BaseException as error:
            self.error = error
        finally:
            self._worker.close()
            self.ended.set()

    def _drain(self) -> str:
        by_hand = True
        idle = 0
        self._worker.asked()  # what was asked before is answered by this try
        while not self._worker.stopping:
            room = self._tally.reserve()
            if room == 0 and self._limit_reached():
                return "limit"
            if room == 0:  # set aside for other destinations, which may not need it
                self._worker.pause(FOLLOW_SECONDS)
                continue
            try:
                turn = self._worker.step(by_hand=by_hand, events_max=room, tell=self._told)
                self._tally.add(turn)
            finally:
                self._tally.give_back(room)
            if not turn.leased:
                return self._follow()
            # What was left out for the destination's sake has its try by hand once that is well.
            by_hand = by_hand and turn.omitted and turn.delivered > 0
            if self._out_of_time():
                return "timeout"
            idle = 0 if turn.delivered or turn.dead else idle + 1
            if turn.claimed and idle < IDLE_TURNS_MAX and not self._worker.hold.waits(self._store.now_ms()):
                continue
            if turn.next_due_ms is None and not turn.claimed:
                return "empty"
            if not turn.paced and (self._deadline is None or self._worker.hold.state is HoldState.PAUSED):
                return "waiting"
            self._sleep_until(turn.next_due_ms or self._store.now_ms())
            by_hand = self._worker.asked() or by_hand
        return "interrupted"

    def _told(self, turn: Turn) -> bool:
        """In the middle of a long turn."""
        self._tally.add(turn)
        return not self._out_of_time()

    def _follow(self) -> str:
        """Another process sends: ask it to do so now, and watch."""
        asked_at = time.monotonic()
        hold_before = self._store.hold(self._name)
        progress = Followed(self._store, self._name)
        self._store.ask_to_send(self._name)
        while not self._worker.stopping:
            counts, done = progress.since_last()
            self._tally.add(done)
            if counts.pending + counts.sending == 0:
                return "empty"
            hold = self._store.hold(self._name)
            tried = hold != hold_before or time.monotonic() - asked_at > ANSWER_SECONDS
            patient = self._deadline is not None and hold.state is not HoldState.PAUSED
            if tried and not patient and hold.waits(self._store.now_ms()):
                return "waiting"
            if self._out_of_time():
                return "timeout"
            if self._worker.acquire():  # the other one has ended: go on ourselves
                return self._drain()
            self._worker.pause(FOLLOW_SECONDS)
        return "interrupted"

    def _limit_reached(self) -> bool:
        tally = self._tally
        return tally.limit is not None and tally.delivered + tally.dead >= tally.limit

    def _sleep_until(self, due_ms: int) -> None:
        seconds = max((due_ms - self._store.now_ms()) / 1000, 0.0)
        if self._deadline is not None:
            seconds = min(seconds, max(self._deadline - time.monotonic(), 0.0))
        self._worker.pause_unless_asked(min(max(seconds, 0.01), SLEEP_SECONDS_MAX))

    def _out_of_time(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline


def sync(
    workers: Sequence[Worker],
    store: Store,
    remaining: Callable[[], int],
    *,
    timeout_seconds: float | None = None,
    limit: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SyncReport:
    """Drain with these workers. Ctrl-C ends it in an orderly way and is reported as "interrupted"."""
    started = time.monotonic()
    deadline = None if timeout_seconds is None else started + timeout_seconds
    tally = Tally(limit)
    drains = [Drain(worker, store, tally, deadline) for worker in workers]
    threads = [threading.Thread(target=one.run, name="edgequeue-sync", daemon=True) for one in drains]
    interrupted = False

    def tell() -> None:
        if on_progress is not None:
            on_progress(Progress(tally.delivered, tally.dead, tally.requests, remaining()))

    try:
        for thread in threads:
            thread.start()
        for drain in drains:
            while not drain.ended.wait(TICK_SECONDS):
                tell()
                if deadline is not None and time.monotonic() >= deadline:
                    break  # what is still in the middle of something is cut off: the time is up
    except KeyboardInterrupt:
        interrupted = True
    finally:
        late = {id(drain) for drain in drains if not drain.ended.is_set()}
        _end(workers, drains, 0.0 if interrupted else GRACE_SECONDS)
    for drain in drains:
        if drain.error is not None:
            raise drain.error
    tell()
    reasons = {"timeout" if id(drain) in late else drain.reason for drain in drains} or {"empty"}
    return SyncReport(
        delivered=tally.delivered,
        dead=tally.dead,
        deferred=len(tally.deferred),
        requests=tally.requests,
        remaining=remaining(),
        seconds=round(time.monotonic() - started, 3),
        stopped_because="interrupted" if interrupted else next(one for one in REASONS if one in reasons),
    )


def _end(workers: Sequence[Worker], drains: Sequence[Drain], grace_seconds: float) -> None:
    """Stop what still runs; exchanges under way are cut off after the grace and settled as unknown."""
    for worker in workers:
        worker.stop()
    grace = time.monotonic() + grace_seconds
    for drain in drains:
        drain.ended.wait(max(grace - time.monotonic(), 0.0))
    late = [(worker, drain) for worker, drain in zip(workers, drains, strict=True) if not drain.ended.is_set()]
    for worker, _ in late:
        worker.abort()
    end = time.monotonic() + ANSWER_SECONDS
    for _, drain in late:
        drain.ended.wait(max(end - time.monotonic(), 0.0))
