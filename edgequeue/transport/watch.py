"""The deadline of exchanges that are carried by the very thread that waits for them: somebody else has to end them."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Expiring(Protocol):
    """What can be ended, from any thread."""

    def expire(self) -> None:
        """The time is up; nothing when it has ended."""


class Watch:
    """Ends what is not removed in time. One thread, started when first needed; it ends when it had nothing to watch for
    `idle_seconds`. Safe from any thread.
    """

    def __init__(self, name: str, idle_seconds: float) -> None:
        self._name = name
        self._idle_seconds = idle_seconds
        self._changed = threading.Condition()
        self._due: dict[Expiring, float] = {}
        self._wakes_at = 0.0  # the thread, by itself
        self._runs = self._closed = False

    def add(self, one: Expiring, seconds: float) -> None:
        """End it in so many seconds. RuntimeError where the system is out of threads."""
        with self._changed:
            due = self._due[one] = time.monotonic() + seconds
            if not self._runs:
                threading.Thread(target=self._watch, name=self._name, daemon=True).start()
                self._runs = True
            elif due < self._wakes_at:  # mostly later: all have the same time, and nobody need be woken
                self._changed.notify()

    def remove(self, one: Expiring) -> None:
        """It has ended."""
        with self._changed:
            self._due.pop(one, None)

    def close(self) -> None:
        """Let the thread end."""
        with self._changed:
            self._closed = True
            self._due.clear()
            self._changed.notify()

    def _watch(self) -> None:
        try:
            while (late := self._late()) is not None:
                for one in late:
                    one.expire()
        except BaseException:  # whatever it was: what is added from now on starts another
            with self._changed:
                self._runs = False
            raise

    def _late(self) -> list[Expiring] | None:
        """Wait for the next whose time is up; None when it is time to go."""
        with self._changed:
            idle_until = time.monotonic() + self._idle_seconds
            while not self._closed:
                now = time.monotonic()
                if self._due:
                    idle_until = now + self._idle_seconds
                elif now >= idle_until:
                    break
                late = [one for one, due in self._due.items() if due <= now]
                if late:
                    for one in late:
                        del self._due[one]
                    return late
                self._wakes_at = min(self._due.values(), default=idle_until)
                self._changed.wait(self._wakes_at - now)
            self._runs = False  # in the same moment: what is added from now on starts another
            return None
