"""Threads that open connections and carry the first exchange on each, one after another: a thread's start takes 0.15 to
0.25 ms. Whoever is blocked, in a name's look-up for instance, is simply not free: another thread does what comes next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

Work = Callable[[], Callable[[], None]]
"""What a thread does, which may block for as long as it likes; and what it does with the result, which may not."""


class Hands:
    """As many threads as there are errands at once; one that had none for `idle_seconds` ends. Safe from any thread."""

    def __init__(self, name: str, idle_seconds: float) -> None:
        self._name = name
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._free: list[SimpleQueue[Work | None]] = []
        self._closed = False

    def do(self, errand: Work) -> None:
        """Have it done by a thread of its own. RuntimeError where the system is out of threads."""
        with self._lock:
            inbox = self._free.pop() if self._free else None  # the last one: the others may grow old
        if inbox is None:
            inbox = SimpleQueue()
            # daemons: a process that ends does not wait for a service that never answers
            threading.Thread(target=self._work, args=(inbox,), name=self._name, daemon=True).start()
        inbox.put(errand)

    def close(self) -> None:
        """Let the threads end, each after what it is doing; nobody waits for them."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for inbox in free:
            inbox.put(None)

    def _work(self, inbox: SimpleQueue[Work | None]) -> None:
        while self._one(inbox):
            pass  # and nothing of the errand is kept while the thread is idle: neither a request nor its credentials

    def _one(self, inbox: SimpleQueue[Work | None]) -> bool:
        """Wait for an errand and do it; whether there may be another."""
        errand = self._next(inbox)
        if errand is None:
            return False
        tell = errand()
        with self._lock:
            closed = self._closed
            if not closed:
                self._free.append(inbox)
        tell()  # after that, so that whoever sends next finds the thread free
        return not closed

    def _next(self, inbox: SimpleQueue[Work | None]) -> Work | None:
        """The next errand; None when it is time to go."""
        while True:
            try:
                return inbox.get(timeout=self._idle_seconds)
            except Empty:
                with self._lock:
                    if inbox in self._free:
                        self._free.remove(inbox)
                        return None
                # else it was taken a moment ago, and the errand, or the end, is on its way
