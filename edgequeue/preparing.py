"""What is sent next: due records are claimed, chosen, packed into requests and encoded.

While the requests of one round are on their way, those of the next are prepared, so that the line is not idle.
Nothing is on record before its own round, and what was prepared is used only if all that went before it has ended, and
nothing was learned since that would change it. An event of a higher priority waits for one such round at most.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from random import Random
from typing import NamedTuple

from edgequeue.batching import fill
from edgequeue.judging import Judge
from edgequeue.learning import Learned
from edgequeue.model import Batch, HttpRequest, Problem
from edgequeue.outcome import Death
from edgequeue.retry import HoldState
from edgequeue.store.base import Lease, Store
from edgequeue.window import Window, after_turn

log = logging.getLogger("edgequeue")

FAR_MS = 2**62
"""Later than any time: all that is pending is due."""

DAMAGED = Problem(
    code="damaged",
    text="the stored payload does not match its checksum: the file was damaged",
    remedy="It was not sent. Enqueue the event again from where it came.",
)


class Prepared(NamedTuple):
    """Requests and what each carries. `buried` damaged events were set aside on the way; `omitted`: others that are
    due were left out, because the destination is in trouble; `full`: as many requests as may be sent at once;
    `learned`: what was known of it then.
    """

    batches: list[Batch]
    requests: list[HttpRequest]
    buried: int
    omitted: bool
    full: bool
    learned: Learned


class Preparing:
    """Prepares the turns of one destination. For one thread."""

    def __init__(self, store: Store, judge: Judge, dice: Random) -> None:
        self._store = store
        self._judge = judge
        self._dice = dice
        self._ahead: Prepared | None = None
        self._buried = 0  # set aside, and not told yet
        self._window = Window()

    def next(self, lease: Lease, now_ms: int, events_max: int | None, *, by_hand: bool) -> Prepared:
        """What to send now; no requests where nothing is due. By hand means now: what waits by our own backoff is due.

        Raises StoreError, and whatever a destination's own code raises.
        """
        prepared = self.following()
        if prepared is None or events_max is not None or by_hand:
            self._judge.begin(now_ms)
            prepared = self._prepare(lease, FAR_MS if by_hand else now_ms, now_ms, events_max)
        buried, self._buried = self._buried, 0
        return prepared._replace(buried=buried)

    def following(self) -> Prepared | None:
        """What was prepared while the requests before it were under way, where that is still what to send."""
        ahead, self._ahead = self._ahead, None
        return ahead if ahead is not None and self._still_fits(ahead) else None

    def ahead(self, lease: Lease, now_ms: int) -> None:
        """Prepare the next turn while this one is under way; only where it would be a full one, and all is well."""
        if not self._steady or self._judge.destination.requests_per_second_max is not None:
            return
        prepared = self._prepare(lease, now_ms, now_ms, None)
        if prepared.full:
            self._ahead = prepared

    def after(self, sent: int, took_ms: int) -> None:
        """A turn of `sent` requests is over: how many the next one has depends on how it went."""
        strained = self._judge.hold.state is HoldState.BACKING_OFF
        size_max = self._judge.destination.requests_in_flight_max
        self._window = after_turn(self._window, sent=sent, took_ms=took_ms, strained=strained, size_max=size_max)

    def drop(self) -> None:
        """Forget what was prepared: the lease has gone, or something older is to be sent again."""
        self._ahead = None

    def _still_fits(self, ahead: Prepared) -> bool:
        same = ahead.learned.steering == self._judge.learned.steering
        return self._steady and same and len(ahead.requests) <= self._loads_max

    @property
    def _steady(self) -> bool:
        """Whether nothing but age and priority decides what is sent."""
        return self._judge.hold.state is HoldState.OK and not self._judge.watches

    @property
    def _loads_max(self) -> int:
        """Requests of a turn: a destination in trouble, or with a pace to keep, is asked with one."""
        destination = self._judge.destination
        if self._judge.hold.state is not HoldState.OK or destination.requests_per_second_max is not None:
            return 1
        return min(self._window.size, destination.requests_in_flight_max)

    def _prepare(self, lease: Lease, due_ms: int, now_ms: int, events_max: int | None) -> Prepared:
        judge = self._judge
        destination = judge.destination
        limits = replace(destination.limits, bytes_max=judge.learned.room(destination.limits.bytes_max, now_ms))
        loads_max = self._loads_max
        count = loads_max * limits.events_max
        if events_max is not None:
            count = min(count, events_max)
        suspects = len(judge.learned.suspects)  # they must not take the others' places
        room = (loads_max + suspects) * limits.bytes_max * destination.framing.shrinks_by
        records = self._store.claim(lease, due_ms, count + suspects, room)
        damaged = [Death(one.sequence, one.priority, one.attempts, DAMAGED) for one in records if not one.intact]
        if damaged:
            self._store.bury(lease, damaged, now_ms)
            self._buried += len(damaged)
            log.error("%s: %d damaged events set aside", destination.name, len(damaged), extra={"action": "bury"})
        intact = [one for one in records if one.intact]
        chosen = judge.chosen(intact)
        loads = fill(chosen, limits, destination.begin, loads_max)
        batches = [Batch(str(uuid.UUID(int=self._dice.getrandbits(128), version=4)), *load) for load in loads]
        requests = [judge.encode(batch) for batch in batches]
        return Prepared(batches, requests, 0, len(chosen) < len(intact), len(loads) == loads_max, judge.learned)
