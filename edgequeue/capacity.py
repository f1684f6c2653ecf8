"""The operator's limits on what the queue may hold, watched without counting at each put."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edgequeue.errors import QueueFull

SHARE = 16
"""A measurement allows puts of a sixteenth of the room it found, then it is measured again: other processes put too."""


class Capacity:
    """Refuses what would exceed `max_events` pending events or `max_bytes` in use. Safe from any thread."""

    def __init__(self, measure: Callable[[], tuple[int, int]], max_events: int | None, max_bytes: int | None) -> None:
        self._measure = measure
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._events_left = self._bytes_left = 0
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """In a child the lock may have been held by a thread that is not there."""
        self._turn = threading.Lock()

    def take(self, size: int) -> None:
        """Make room for one event of `size` bytes; QueueFull when there is none."""
        if self._max_events is None and self._max_bytes is None:
            return
        with self._turn:
            if self._events_left < 1 or self._bytes_left < size:
                self._refill(size)
            self._events_left -= 1
            self._bytes_left -= size

    def bulk(self) -> Callable[[int], None]:
        """`take` for one bulk put: measured once, and what the put itself adds is counted."""
        if self._max_events is None and self._max_bytes is None:
            return lambda _: None
        before, used = self._measure()
        events = before

        def take(size: int) -> None:
            nonlocal events, used
            self._check(events, used, size, before)
            events, used = events + 1, used + size

        return take

    def _refill(self, size: int) -> None:
        self._events_left = self._bytes_left = 0
        events, used = self._measure()
        self._check(events, used, size)
        self._events_left = self._bytes_left = 2**62
        if self._max_events is not None:
            self._events_left = max((self._max_events - events) // SHARE, 1)
        if self._max_bytes is not None:
            self._bytes_left = max((self._max_bytes - used) // SHARE, size)

    def _check(self, events: int, used: int, size: int, before: int | None = None) -> None:
        if self._max_events is not None and events >= self._max_events:
            raise QueueFull(
                f"{events if before is None else before:,} events are pending, and max_events = {self._max_events:,} "
                "leaves no room for what was to be added; nothing was stored. "
                "Deliver some (edgequeue sync), or raise max_events"
            )
        if self._max_bytes is not None and used + size > self._max_bytes:
            raise QueueFull(
                f"the queue uses {used:,} bytes and max_bytes is {self._max_bytes:,}; nothing was stored. "
                "Deliver some (edgequeue sync), prune what is delivered (edgequeue prune), or raise max_bytes"
            )
