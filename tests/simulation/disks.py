"""What outlives a process: here the shipped store in memory made transactional; `sqlite_disk.py` has the real one.

A change is drawn a fate before it is made. One that fails or crashes in its middle runs all the same, and is then taken
back to exactly what was committed before it.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple, Protocol

from edgequeue.clock import QueueClock, next_boot
from edgequeue.errors import StoreFull
from edgequeue.model import Disposition, Status
from edgequeue.store.base import Lease, Store
from edgequeue.testing import MemoryStore
from tests.simulation.machine import Machine


class Crash(BaseException):
    """The process is gone; nothing of it runs any more."""


class Fate(Enum):
    """What becomes of a change before it is committed."""

    FULL = "the disk is full"
    CRASH = "crash before the commit"


class Seen(NamedTuple):
    """An event as the rows have it. `states`: every state that they give it; there must be one."""

    number: int
    states: frozenset[Status]
    attempts: int
    not_before_ms: int


Change = Callable[[], Any]


@functools.lru_cache(maxsize=64)
def states_of(waiting: bool, travelling: bool, ending: Status | None, accepted: bool) -> frozenset[Status]:
    """What the rows of an event say that it is; more than one, where they contradict each other."""
    states = {Status.SENDING if travelling else Status.PENDING} if waiting else set()
    states |= {ending} if ending is not None else set()
    return frozenset(states | {Status.DELIVERED} if accepted else states)


class Disk(Protocol):
    """The durable side of the world."""

    def open(self) -> Store:
        """The store, for one process."""

    def change(self, store: Store, change: Change, fate: Fate | None) -> Any:
        """Make a change and return what it returns; or StoreFull or Crash, with nothing changed."""

    def abandon(self, store: Store, leases: list[Lease]) -> None:
        """A process that had these was killed: the system closes its files."""

    def power_cut(self) -> None:
        """The machine went down and is up again; every process was abandoned before."""

    def steal(self, lease: Lease) -> None:
        """Somebody removes the lease's file: another worker may come, and the first does not know."""

    def close(self) -> None:
        """The world has ended."""

    def seen(self) -> dict[int, Seen]:
        """Every event, by sequence."""

    def travelling(self) -> list[int]:
        """The sequences in open requests, as often as they stand there."""

    def request_ids(self) -> set[str]:
        """Every request on record."""

    @property
    def books(self) -> Store:
        """For looking, from outside of any process."""


# --- in memory --------------------------------------------------------------------------------------------------------


class Committed(MemoryStore):
    """`MemoryStore` with boots, and with an image of itself to go back to."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._machine = machine

    def image(self) -> dict[str, Any]:
        """All that is kept, apart from what goes on changing."""
        kept = {name: getattr(self, name) for name in ("_last_sequence", "_last_number", "_changes")}
        for name in ("_events", "_requests", "_places"):
            kept[name] = {key: copy.copy(row) for key, row in getattr(self, name).items()}
        for sent in kept["_requests"].values():
            sent.notes = dict(sent.notes)
        for place in kept["_places"].values():
            place.ended = place.ended.copy()
        return kept

    def restore(self, image: dict[str, Any]) -> None:
        """Be as an image says."""
        for name, value in image.items():
            setattr(self, name, value)

    def boot(self) -> None:
        """The first open after a reboot, as `upkeep.open_books` does it: the queue clock goes on."""
        known = self._clock.boot
        if known.boot_id == self._machine.boot_id():
            return
        times = [known.started_ms, *(event.enqueued_ms for event in self._events.values())]
        times += [max(sent.opened_ms, sent.closed_ms or 0) for sent in self._requests.values()]
        times += [event.ending.ended_ms for event in self._events.values() if event.ending is not None]
        times += [place.last_accepted_ms or 0 for place in self._places.values()]
        times += [max(place.hold.since_ms, place.hold.tried_ms) for place in self._places.values()]
        self._clock = QueueClock(next_boot(known, max(times), self._machine), self._machine)


class MemoryDisk:
    """All processes share one `Committed`."""

    store_type = Committed

    def __init__(self, machine: Machine) -> None:
        self._store = self.store_type(machine)

    @property
    def books(self) -> Committed:
        return self._store

    def open(self) -> Committed:
        self._store.boot()
        return self._store

    def change(self, store: Store, change: Change, fate: Fate | None) -> Any:
        image = self._store.image() if fate else {}
        result = change()
        if fate is None:
            return result
        self._store.restore(image)
        raise StoreFull("the disk is full") if fate is Fate.FULL else Crash

    def abandon(self, store: Store, leases: list[Lease]) -> None:
        for lease in leases:
            self._store.release(lease)

    def power_cut(self) -> None:
        self._store.boot()

    def close(self) -> None:
        """Nothing to let go of."""

    def steal(self, lease: Lease) -> None:
        self._store.release(lease)

    def seen(self) -> dict[int, Seen]:
        accepted: set[int] = set()
        travelling = set(self.travelling())
        for sent in self._store._requests.values():
            if sent.settlement is None:
                continue
            if not sent.notes:
                if sent.settlement.verdict.disposition is Disposition.ACCEPTED:
                    accepted.update(sent.sequences)
                continue
            accepted.update(sequence for sequence in sent.sequences if sent.accepted(sequence))
        found = {}
        for sequence, event in self._store._events.items():
            ending = None if event.ending is None else event.ending.state
            states = states_of(event.waiting, sequence in travelling, ending, sequence in accepted)
            found[sequence] = Seen(int(event.reference or 0), states, event.attempts, event.not_before_ms)
        return found

    def request_ids(self) -> set[str]:
        return {sent.request_id for sent in self._store._requests.values()}

    def travelling(self) -> list[int]:
        return [one for sent in self._store._requests.values() if sent.open for one in sent.sequences]
