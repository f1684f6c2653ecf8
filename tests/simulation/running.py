"""Running a seed: faults for a while, then calm until everything has drained. Twice, and both must be the same."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.simulation import invariants, outside
from tests.simulation.invariants import Violation
from tests.simulation.machine import Machine
from tests.simulation.plan import plan_of
from tests.simulation.processes import Threaded
from tests.simulation.sqlite_disk import SqliteDisk
from tests.simulation.world import Unexpected, World

DRAIN_TURNS_MAX = 800
"""Turns until a service that is well has everything; the most that 10,000 worlds took is 502."""

RESUMES_PER_TURN = 4
"""A turn with sleeps and named points in it takes so many, and not more."""

WITNESSES_MAX, WITNESS_SECONDS = 150, 900.0
"""So many events accepted one by one, so far apart, convict a suspect. Several suspects take more traffic: each is held
to be innocent while more than one in five requests of the others fail, and theirs are among those."""

PASSING_SECONDS = (0.01, 0.5, 1.0, 5.0, 30.0, 200.0, 1200.0, 4000.0)

MakeWorld = Callable[[int], World]


@dataclass
class Result:
    """What came of a seed; `violation` is None where every promise was kept."""

    seed: int
    trace: str = ""
    violation: Violation | None = None
    lines: list[str] = field(default_factory=list)
    visited: Counter[str] = field(default_factory=Counter)
    drain_turns: int = 0
    requests: int = 0
    events: int = 0


def world_of(seed: int) -> World:
    """The world of a seed, its store in memory."""
    return World(plan_of(seed))


def world_on_sqlite(seed: int) -> World:
    """The world of a seed, its store in a SQLite file of its own."""
    machine = Machine()
    return World(plan_of(seed), SqliteDisk(machine), machine)


def run_seed(seed: int, make: MakeWorld = world_of, *, verbose: bool = False, twice: bool = True) -> Result:
    """Run a world, and once more: what is not the same each time cannot be replayed, and is a fault by itself."""
    first = run_once(make(seed), verbose=verbose)
    if twice and first.violation is None:
        second = run_once(make(seed))
        if second.trace != first.trace:
            first.violation = second.violation or Violation("determinism", "the second run had another trace")
            first.lines = second.lines
    return first


def run_once(world: World, *, verbose: bool = False) -> Result:
    """One life of a world."""
    world.verbose = verbose
    result = Result(world.plan.seed)
    world.note(f"{world.plan}")
    with _hearing(world):
        try:
            _faults(world)
            result.drain_turns = _drain(world)
            _trickle(world)
        except Violation as violation:
            result.violation = violation
            world.note(f"VIOLATION {violation}")
        finally:
            world.close()
    result.trace, result.lines, result.visited = world.trace, list(world.lines), world.visited
    result.requests, result.events = world.service.requests, len(world.acknowledged)
    return result


@contextmanager
def _hearing(world: World) -> Iterator[None]:
    log, handler = logging.getLogger("edgequeue"), Unexpected(world)
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.ERROR)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.level, log.propagate = before


# --- while there are faults -------------------------------------------------------------------------------------------

WORK = {"run": 40, "pass": 10, "put": 6, "start": 5, "sync": 4, "ask_to_send": 1, "stop": 1}
TROUBLE = {"weather": 4, "kill": 1, "power": 0.5}
CLOCKS: Mapping[str, Mapping[str, int]] = {"honest": {}, "lying": {"step": 3}, "trusted": {"synchronise": 2}}
MENDING = {"requeue": 1, "prune": 3}


def _faults(world: World) -> None:
    plan, dice = world.plan, world.dice
    weights = WORK | TROUBLE | CLOCKS[plan.clock] | (MENDING if plan.mends else {})
    weights |= {"steal": 1.5} if plan.steals else {}
    names, sizes = list(weights), list(weights.values())
    outside.enqueue(world, dice.randint(1, dice.choice((12, 12, 30))))
    world.start("run")
    for _ in range(plan.actions):
        _act(world, dice.choices(names, sizes)[0])
        invariants.check_all(world)


def _act(world: World, action: str) -> None:
    """What people and processes do."""
    dice = world.dice
    match action:
        case "run":
            _run_one(world)
        case "pass":
            world.machine.advance(dice.choice(PASSING_SECONDS))
        case "put":
            outside.enqueue(world, dice.randint(1, 6))
        case "start" | "sync":
            if len(world.processes) < world.plan.workers_max:
                world.start("run" if action == "start" else "sync")
        case "stop":
            workers = [one.worker for one in world.processes if one.worker is not None]
            if workers:
                dice.choice(workers).stop()
        case "requeue" | "prune" | "ask_to_send":
            outside.mend(world, action)
        case _:
            _trouble(world, action)


def _trouble(world: World, action: str) -> None:
    """What befalls them."""
    dice = world.dice
    match action:
        case "weather":
            world.service.weather = dice.choice((None, None, *world.plan.moods))
            world.note(f"weather: {world.service.weather}")
        case "kill" if world.processes:
            victim = dice.choice(world.processes)
            world.note(f"{victim.name} is killed")
            world.end(victim)
            world.reap()
        case "power":
            world.note("power cut")
            world.power_cut()
            world.reap()
        case "steal":
            world.steal()
        case "step":
            world.machine.step(dice)
        case "synchronise":
            world.machine.synchronise()


def _run_one(world: World) -> None:
    """One of those who are awake; where nobody is, it is a good moment for time to pass."""
    if not world.processes:
        world.start("run")
    awake = [one for one in world.processes if one.wake_ms <= world.machine.true_ms]
    if awake:
        world.resume(world.dice.choice(awake))
    elif world.dice.random() < 0.7:
        world.machine.advance(_until_somebody_can(world) / 1000)
    else:
        world.machine.advance(world.dice.choice(PASSING_SECONDS))


# --- when they have stopped -------------------------------------------------------------------------------------------


def _drain(world: World) -> int:
    """Turns until nothing is left; Violation after too many."""
    world.calm = world.service.calm = True
    for process in list(world.processes):
        if process.kind == "sync":
            world.end(process)
    world.reap()
    before = world.turns
    _until_drained(world, lambda: not world.left(), DRAIN_TURNS_MAX)
    invariants.everything_drains(world)
    return world.turns - before


def _trickle(world: World) -> None:
    """A single event that waits for a witness gets some: others are accepted, one by one, until it is convicted."""
    if world.suspects() > 1:
        return
    for _ in range(WITNESSES_MAX):
        if not world.suspects():
            return
        outside.enqueue(world, 1)
        world.machine.advance(WITNESS_SECONDS)
        _until_drained(world, lambda: not world.left(), DRAIN_TURNS_MAX)
    if world.suspects():
        raise Violation("everything_drains", f"{world.suspects()} suspects after {WITNESSES_MAX} witnesses")


def _until_drained(world: World, done: Callable[[], bool], turns_max: int) -> None:
    until = world.turns + turns_max
    for _ in range(RESUMES_PER_TURN * turns_max):  # a worker that only sleeps takes no turns
        if done() or world.turns >= until:
            return
        if not world.processes:
            world.start("run")
        awake: list[Threaded] = [one for one in world.processes if one.wake_ms <= world.machine.true_ms]
        if awake:
            world.resume(world.dice.choice(awake))
            invariants.check_all(world)
        else:
            world.machine.advance(_until_somebody_can(world) / 1000)


def _until_somebody_can(world: World) -> int:
    """Milliseconds until a worker is awake and, where it is known what it waits for, that is over."""
    store = world.books
    wake_ms = min(one.wake_ms for one in world.processes) - world.machine.true_ms
    holds = [one.worker.hold for one in world.processes if one.leases and one.worker is not None]
    until_ms = min((hold.until_ms for hold in holds), default=0)  # as they know it: one may have lost its lease
    due_ms = store.next_due_ms(world.name) or 0
    return max(wake_ms, max(until_ms, due_ms) - store.now_ms(), 1)
