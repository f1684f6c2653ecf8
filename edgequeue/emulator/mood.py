"""A mood: faults drawn by chance, for soak tests. The same seed draws the same faults in the same order."""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Iterable

from edgequeue.emulator.compact import parse_fault, with_end
from edgequeue.emulator.faults import Fault


class Mood:
    """Draws a fault for a share `rate` (0 to 1) of the requests, from `faults` (values or compact texts). Thread-safe.

    `times` of a fault does not matter here: each stays in the lot. `service` and `event_id` do: a fault drawn for a
    request that it is not meant for does nothing. ValueError for a rate or fault that is wrong, and for none at all.
    """

    def __init__(self, seed: int, rate: float, faults: Iterable[Fault | str]) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"rate={rate}: must be from 0 to 1")
        self.seed = seed
        self.rate = rate
        self.faults = tuple(with_end(parse_fault(one) if isinstance(one, str) else one) for one in faults)
        if not self.faults:
            raise ValueError("a mood needs at least one fault")
        self._lock = threading.Lock()
        self._random = random.Random(seed)

    def draw(self, service: str | None, ids: Collection[str]) -> Fault | None:
        """The fault for the next request; None: it is well."""
        with self._lock:  # two draws a request whatever comes of them, so that each draw hangs on its number alone
            struck, fault = self._random.random() < self.rate, self._random.choice(self.faults)
        return fault if struck and fault.matches(service, ids) else None
