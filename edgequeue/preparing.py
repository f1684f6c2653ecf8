"""What is sent next: due records are claimed, chosen, packed into requests and encoded.

While requests are on their way those after them are prepared, so that the line is not idle. What was prepared is used
only if all that went before it has ended or is on its way, and nothing was learned since that would change it. An event
of a higher priority waits for what is on record and for what is prepared: three times `requests_in_flight_max` requests
at most.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
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
from edgequeue.window import Window, after_lap

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

    def part(self, first: int, last: int | None = None) -> Prepared:
        """The requests from `first` up to `last`."""
        return self._replace(batches=self.batches[first:last], requests=self.requests[first:last])


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
        fits = self._ahead is not None and self._ahead.full and events_max is None and not by_hand
        prepared = self.take(self.size) if fits else None
        if prepared is None:
            self.drop()
            self._judge.begin(now_ms)
            prepared = self._prepare(lease, FAR_MS if by_hand else now_ms, now_ms, events_max)
        buried, self._buried = self._buried, 0
        return prepared._replace(buried=buried)

    def take(self, count: int) -> Prepared | None:
        """So many at most of those prepared ahead, where they are still what to send; others stay for later."""
        if not count:
            return None
        ahead, self._ahead = self._ahead, None
        if ahead is None or not self._still_fits(ahead):
            return None
        if len(ahead.requests) <= count:
            return ahead
        self._ahead = ahead.part(count)
        return ahead.part(0, count)._replace(full=True)

    def ahead(self, lease: Lease, now_ms: int) -> bool:
        """Prepare what goes next while other requests are on their way, where all is well. Whether anything is."""
        if self._ahead is None and self._steady and not self.paced:
            prepared = self._prepare(lease, now_ms, now_ms, None)
            self._ahead = prepared if prepared.requests else None
        return self._ahead is not None

    @property
    def paced(self) -> bool:
        """Whether the destination has a pace to keep: one request at a time."""
        return self._judge.destination.requests_per_second_max is not None

    @property
    def size(self) -> int:
        """How many requests may be on their way at once."""
        destination = self._judge.destination
        if self._judge.hold.state is not HoldState.OK or self.paced:
            return 1  # in trouble
        return min(self._window.size, destination.requests_in_flight_max)

    def after(self, took_ms: Sequence[int]) -> None:
        """So long the last requests took: how many are sent at once from now on depends on it."""
        if not took_ms:
            return
        strained = self._judge.hold.state is HoldState.BACKING_OFF
        size_max = self._judge.destination.requests_in_flight_max
        sent, longest_ms = len(took_ms), max(took_ms)
        self._window = after_lap(self._window, sent=sent, took_ms=longest_ms, strained=strained, size_max=size_max)

    def drop(self) -> None:
        """Forget what was prepared: the lease has gone, or something older is to be sent again."""
        self._ahead = None

    def _still_fits(self, ahead: Prepared) -> bool:
        return self._steady and ahead.learned.steering == self._judge.learned.steering

    @property
    def _steady(self) -> bool:
        """Whether nothing but age and priority decides what is sent."""
        return self._judge.hold.state is HoldState.OK and not self._judge.watches

    def _prepare(self, lease: Lease, due_ms: int, now_ms: int, events_max: int | None) -> Prepared:
        judge = self._judge
        destination = judge.destination
        limits = replace(destination.limits, bytes_max=judge.learned.room(destination.limits.bytes_max, now_ms))
        loads_max = self.size
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
