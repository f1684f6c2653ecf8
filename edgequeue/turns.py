"""What a turn of sending did, for those who run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from edgequeue.outcome import Settled
from edgequeue.retry import Hold
from edgequeue.store.base import Lease


class Turn(NamedTuple):
    """What one turn did. `deferred` holds sequences; `next_due_ms` is queue time, None if nothing is pending.

    `leased` is False where another worker holds the lease, `paced` where only `requests_per_second_max` made it wait,
    `omitted` where due events were left out because the destination was in trouble, `full` where there was as much to
    send as it could, so that there may be more.
    """

    claimed: int = 0
    delivered: int = 0
    dead: int = 0
    requests: int = 0
    deferred: frozenset[int] = frozenset()
    next_due_ms: int | None = None
    leased: bool = True
    paced: bool = False
    omitted: bool = False
    full: bool = False

    def plus(self, later: Turn) -> Turn:
        """With what was done after it, in the same turn."""
        return later._replace(
            claimed=self.claimed + later.claimed,
            delivered=self.delivered + later.delivered,
            dead=self.dead + later.dead,
            requests=self.requests + later.requests,
            deferred=self.deferred | later.deferred,
        )


Tell = Callable[[Turn], bool]
"""Told in the middle of a long turn what it has done since this was told last; whether it is to go on."""

Listener = Callable[[Lease, Sequence[Settled], Hold], None]
"""Told after each commit of settlements: what was settled, and what holds the destination back now."""


def turn_of(settled: Sequence[Settled], hold: Hold) -> Turn:
    """The sum of what was settled."""
    delivered = dead = requests = 0
    deferred: set[int] = set()
    for batch, settlement in settled:
        delivered += len(settlement.delivered)
        dead += len(settlement.deaths)
        requests += not settlement.unsent
        if len(settlement.delivered) == len(batch):
            continue
        ended = {sequence for _, sequence in settlement.delivered} | {death.sequence for death in settlement.deaths}
        deferred.update(record.sequence for record in batch.records if record.sequence not in ended)
    claimed = sum(len(batch) for batch, _ in settled)
    return Turn(claimed, delivered, dead, requests, frozenset(deferred), hold.until_ms or None)
