"""Filling requests: which due records travel together, within a destination's limits.

Pure. `fill` keeps the order it is given, loses and repeats nothing, and never exceeds a limit except for a record that
is alone too big: that one gets a request of its own, so that the service, not a guess of ours, decides about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from edgequeue.model import Claimed, Limits

Begin = Callable[[], Callable[[bytes], bytes | None]]
"""Begins a request: what each stored payload adds to it, None where it cannot travel with those before it."""


class Load(NamedTuple):
    """Records for one request and their encoded bytes, in the same order."""

    records: tuple[Claimed, ...]
    items: tuple[bytes, ...]


def fill(records: Iterable[Claimed], limits: Limits, begin: Begin, loads_max: int) -> list[Load]:
    """At most `loads_max` loads, each at most `events_max` events and `bytes_max` bytes with commas and frame.

    Records with different `travel_max` never share a load: those are the parts of a batch that was refused, and a part
    must be judged by itself or bisecting would not end. What does not fit any more is left for a later turn.
    """
    loads: list[Load] = []
    room = limits.bytes_max - limits.frame_bytes
    chosen: list[Claimed] = []
    items: list[bytes] = []
    used = 0
    encode = begin()
    for record in records:
        count_max = (
            limits.events_max if record.travel_max is None else min(limits.events_max, max(record.travel_max, 1))
        )
        together = chosen and chosen[-1].travel_max == record.travel_max and len(chosen) < count_max
        item = encode(record.payload) if together or not chosen else None
        if chosen and (item is None or used + 1 + len(item) > room):
            loads.append(Load(tuple(chosen), tuple(items)))
            if len(loads) == loads_max:
                return loads
            chosen, items, used = [], [], 0
            encode = begin()
            item = encode(record.payload)
        assert item is not None  # the first of a request always has a place
        used += len(item) + (1 if chosen else 0)
        chosen.append(record)
        items.append(item)
    if chosen:
        loads.append(Load(tuple(chosen), tuple(items)))
    return loads


def halved(count: int) -> int:
    """The batch size after a refused batch of `count` (2 or more): the largest power of two below it.

    Powers of two, so that parts stay aligned when they are halved again: a poison event in a batch of n is alone after
    at most ceil(log2 n) further refusals of the part that holds it.
    """
    return int(1 << ((count - 1).bit_length() - 1))
