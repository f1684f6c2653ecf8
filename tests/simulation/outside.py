"""Who has the store open only for a moment: the application that enqueues, the operator who mends."""

from __future__ import annotations

import functools
from collections.abc import Callable

from edgequeue.destinations.base import Destination
from edgequeue.errors import StoreError
from edgequeue.model import Draft, Priority, parse_event_id
from edgequeue.testing import event_for
from tests.simulation import invariants
from tests.simulation.disks import Crash
from tests.simulation.processes import Process
from tests.simulation.world import World

WALL_MS = 1_795_236_078_123
LANES = (Priority.NORMAL, Priority.NORMAL, Priority.HIGH, Priority.LOW)
OLD_MS = 600_000


@functools.lru_cache(maxsize=4096)
def _draft(number: int, destination: Destination) -> Draft:
    """A purchase, checked and encoded; its number is its reference."""
    draft = destination.check(event_for(destination.type, number=number), WALL_MS)
    return draft._replace(reference=str(number))


def enqueue(world: World, count: int) -> None:
    """An application enqueues. When it is told so, they are acknowledged; if it dies before, they may be there."""
    process = Process(world, "application")
    before = len(world.disk.seen())
    taken = _done(world, process, lambda: _put(world, process, count))
    invariants.enqueue_stores_all_or_nothing(world, len(world.disk.seen()) - before, count, taken=taken)


def _put(world: World, process: Process, count: int) -> None:
    dice, destination = world.dice, world.plan.destination
    numbers = range(world.purchases + 1, world.purchases + count + 1)
    world.purchases += count
    for number in numbers:
        if not world.calm and dice.random() < world.plan.poison:
            world.service.poison[number] = dice.choice(world.plan.poisons)
    process.store.register(world.name, destination.type)
    drafts = [_draft(number, destination) for number in numbers]
    ids = process.store.put_many(world.name, drafts, dice.choice(LANES), 1.0)
    found = [parsed.sequence_from for one in ids if (parsed := parse_event_id(one))]
    world.acknowledged.update(found)
    world.note(f"enqueued {found}, poison {[world.service.poison.get(number) for number in numbers]}")


def mend(world: World, verb: str) -> None:
    """An operator asks for a try, requeues what is dead, or prunes what is old."""
    process = Process(world, "operator")
    before = world.disk.seen()
    old_ms = world.books.now_ms() - OLD_MS
    given = {"prune": (old_ms, old_ms), "requeue": (None, world.name)}.get(verb, (world.name,))
    _done(world, process, lambda: getattr(process.store, verb)(*given))
    if verb == "prune":
        after = world.disk.seen()
        world.gone.update({key: next(iter(one.states)) for key, one in before.items() if key not in after})
        world.sent &= world.disk.request_ids()


def _done(world: World, process: Process, change: Callable[[], object]) -> bool | None:
    """What a process does that only changes the disk and ends. Whether it could; None where it died of it."""
    done: bool | None = None
    try:
        change()
        done = True
    except Crash:
        world.note(f"{process.name} is gone")
    except StoreError as error:
        world.note(f"{process.name}: {type(error).__name__}")
        done = False
    world.kill(process)
    world.reap()
    return done
