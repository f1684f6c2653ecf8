"""One world: a machine, a disk, a service, the processes on it, and the scheduler that a seed drives."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, deque
from typing import Any

from edgequeue.errors import NotSent
from edgequeue.model import HttpRequest, Status
from edgequeue.retry import Hold
from edgequeue.store.base import Store
from edgequeue.turns import Turn
from tests.simulation import invariants
from tests.simulation.disks import Disk, Fate, MemoryDisk
from tests.simulation.machine import Machine
from tests.simulation.plan import Plan
from tests.simulation.processes import Process, Threaded
from tests.simulation.service import Service, Told

LINES_KEPT = 40

IN_FLIGHT, STEALS_IN_FLIGHT = frozenset(("before record", "before answer", "after answers", "before settle")), 0.08
"""Where a lease is lost in the middle of a turn, and how often: more is to be seen there than elsewhere."""


class World:
    """What there is, and what was promised to whom. `gone`: pruned events and what they had come to."""

    def __init__(self, plan: Plan, disk: Disk | None = None, machine: Machine | None = None) -> None:
        self.plan = plan
        self.dice = plan.dice
        self.name = plan.destination.name
        self.machine = machine or Machine()
        self.disk: Disk = disk or MemoryDisk(self.machine)
        self.service = Service(plan, self.machine)
        self.processes: list[Threaded] = []
        self.acknowledged: set[int] = set()
        self.delivered: set[int] = set()
        self.gone: dict[int, Status] = {}
        self.sent: set[str] = set()
        self.queue_ms = 0
        self.bound_until_ms = 0
        self.fence = 0
        self.turns = 0
        self.calm = False
        self.unexpected: list[str] = []
        self.visited: Counter[str] = Counter()
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.verbose = False
        self._hash = hashlib.sha256()
        self.purchases = 0
        self._started = 0

    @property
    def books(self) -> Store:
        """The store, looked at from outside."""
        return self.disk.books

    @property
    def trace(self) -> str:
        """A hash of every line so far."""
        return self._hash.hexdigest()

    def note(self, line: str) -> None:
        """One event of this world's history."""
        line = f"{self.machine.true_ms:>12} {line}"
        self._hash.update(line.encode())
        self.lines.append(line)
        if self.verbose:
            print(line)

    # --- what happens at the named points -----------------------------------------------------------------------------

    def at_point(self, process: Process, name: str) -> None:
        """The seed decides what happens here: nothing, a kill, a power cut, or somebody else's turn."""
        plan = self.plan
        draw = self.dice.random()
        if not self.calm:
            if draw < plan.crash:
                self.note(f"{process.name} is killed {name}")
                self.visited[f"killed {name}"] += 1
                self.kill(process)
                return
            draw -= plan.crash
            if draw < plan.power_cut:
                self.note(f"power cut {name} of {process.name}")
                self.visited[f"power cut {name}"] += 1
                self.kill(process)
                self.power_cut()
                return
            draw -= plan.power_cut
            if plan.steals and name in IN_FLIGHT and self.dice.random() < STEALS_IN_FLIGHT:
                self.steal()
                process.pass_on()
                return
        if draw < plan.switch:
            process.pass_on()

    def fate(self, process: Process, name: str) -> Fate | None:
        """What becomes of a change before its commit."""
        if self.calm:
            return None
        draw = self.dice.random()
        if draw < self.plan.crash:
            self.note(f"{process.name} is killed in {name}")
            self.visited[f"killed in {name}"] += 1
            return Fate.CRASH
        if draw < self.plan.crash + self.plan.disk_full:
            self.note(f"{process.name}: the disk is full in {name}")
            self.visited[f"full in {name}"] += 1
            return Fate.FULL
        return None

    def changed(self, process: Process, name: str, given: tuple[Any, ...], result: Any) -> None:
        """A change was committed."""
        if name == "acquire":
            if result is not None:
                process.leases.append(result)
                process.asked_until_ms = process.heard_ms = 0  # what it knew without the lease counts for nothing
                self.fence = max(self.fence, result.fence)
                self.note(f"{process.name} has the lease, fence {result.fence}")
        elif name == "record":
            invariants.who_records_has_the_newest_lease(self, given[0].fence)
            process.recorded = [one.request_id for one in given[1]]
            process.bound_until_ms = self.bound_until_ms
            self.note(f"{process.name} records {[list(one.sequences) for one in given[1]]}")
        elif name in ("settle", "set_hold") and process.holds_on:
            self.bound_until_ms = max(self.bound_until_ms, process.heard_ms)
        if name != "acquire":
            self.note(f"{process.name}: {name}")

    # --- what happens on the wire -------------------------------------------------------------------------------------

    def begins_sending(self, process: Process) -> None:
        """A turn's requests are about to go out."""
        process.asked_until_ms = max(process.asked_until_ms, process.heard_ms)
        invariants.a_plea_to_wait_is_kept(self, process)

    def take(self, process: Process, request_id: str, request: HttpRequest) -> Told:
        """A request is at the service, or lost."""
        told = self.service.take(request)
        if not isinstance(told.answer, NotSent):
            self.sent.add(request_id)
        said = getattr(told.answer, "status", None) or getattr(told.answer, "code", None)
        self.note(f"{process.name} sends {len(request.body)} bytes -> {said} {sorted(told.accepted)}")
        return told

    def hears(self, process: Process, told: Told) -> None:
        """An answer has come back."""
        process.told |= told.accepted
        process.heard_ms = max(process.heard_ms, told.asked_until_ms)

    def stepped(self, process: Threaded, turn: Turn, hold: Hold) -> None:
        """A turn ended without an exception."""
        self.turns += 1
        line = f"{turn.claimed} claimed, {turn.delivered} delivered, {turn.dead} dead, {len(turn.deferred)} deferred"
        self.note(f"{process.name} turn: {line}, {hold.state} until {hold.until_ms}")
        invariants.an_accepted_answer_is_applied(self, process)

    # --- who comes and goes -------------------------------------------------------------------------------------------

    def start(self, kind: str) -> Threaded:
        """Another process that sends."""
        self._started += 1
        process = Threaded(self, f"{kind}-{self._started}", kind)
        self.processes.append(process)
        self.note(f"{process.name} starts")
        return process

    def kill(self, process: Process) -> None:
        """SIGKILL: nothing more of it runs, and the system closes its files."""
        if not process.alive:
            return
        process.alive = False
        self.disk.abandon(process.inner, process.leases)
        process.leases = []

    def end(self, process: Threaded) -> None:
        """Kill it, and let its thread go."""
        self.kill(process)
        if not process.ended:
            process.resume()

    def ended(self, process: Threaded) -> None:
        """Its thread is through, one way or another."""
        if process.alive:
            self.note(f"{process.name} ends")
            self.kill(process)

    def steal(self) -> None:
        """Somebody removes the lease's file; its holder does not know, and another worker may come."""
        for process in self.processes:
            if process.holds_on:
                lease = process.leases[-1]
                self.note(f"the lease of {process.name} is taken away")
                self.disk.steal(lease)
                process.stolen.add(lease.fence)

    def power_cut(self) -> None:
        """Everything stops, whoever of them is running; only what is committed is there afterwards."""
        for process in self.processes:
            self.kill(process)
        self.machine.power_cut(self.dice, self.plan.clock)
        self.disk.power_cut()
        self.queue_ms = 0  # it goes on from the last moment that was written, not from the last that there was

    def resume(self, process: Threaded) -> None:
        """Let a process run to its next rest; what it broke is raised here."""
        process.resume()
        self.reap()
        if process.error is not None:
            raise process.error

    def reap(self) -> None:
        """Let the threads of the dead go."""
        for process in self.processes:
            if not process.alive and not process.ended:
                process.resume()
        self.processes = [one for one in self.processes if one.alive]

    def close(self) -> None:
        """Let every thread go."""
        self.calm = True
        for process in self.processes:
            self.kill(process)
        self.reap()
        self.disk.close()

    # --- what is left -------------------------------------------------------------------------------------------------

    def left(self) -> list[str]:
        """What has not ended though it should have: no poison that waits for a witness."""
        patient = {"unclear", "failing"} | ({"too_large"} if self.plan.destination.type == "bloomreach" else set())
        return [
            f"event {sequence} (purchase {one.number})"
            for sequence, one in self.disk.seen().items()
            if one.states & invariants.WAITING and self.service.poison.get(one.number) not in patient
        ]

    def suspects(self) -> int:
        """How many events wait for a witness."""
        return sum(bool(one.states & invariants.WAITING) for one in self.disk.seen().values())


class Unexpected(logging.Handler):
    """Hears what the worker logs of exceptions that nobody has foreseen."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "action", "") in ("unexpected", "interpret") and record.exc_info:
            self._world.unexpected.append(f"{record.getMessage()}: {record.exc_info[1]!r}")
