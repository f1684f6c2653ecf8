"""A process of the simulation: it runs the real worker until the scheduler lets another run, or until it is killed.

Each has a thread, and only one of them runs at a time: the baton goes from the scheduler to a process and back, at the
named points and wherever the worker would sleep. So the order of everything is the seed's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from edgequeue.courier import Answer, Errand, Halt, Heed, Reply, asks_for_patience
from edgequeue.errors import NotSent, StoreError
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.reading import asked_seconds
from edgequeue.store.base import Lease, Store
from edgequeue.sync import Drain, Tally
from edgequeue.turns import Tell, Turn
from edgequeue.worker import Worker
from tests.simulation import invariants
from tests.simulation.disks import Crash

if TYPE_CHECKING:
    from tests.simulation.service import Told
    from tests.simulation.world import World

CHANGES = frozenset(
    {"register", "put_many", "acquire", "rescue", "record", "settle", "bury", "set_hold"}
    | {"ask_to_send", "requeue", "prune", "note_wall_clock"}
)
"""What changes the store: each is a commit, with a named point before, in and after it."""

MORE_ROUNDS = 0.7
"""How often a worker that could go on within a turn does: between turns the others have theirs."""

EARLY = 0.5
"""How often what was taken back is known before the answer that was the reason for it."""

UNFATED = frozenset(("register", "note_wall_clock"))
"""Changes that cannot fail: they are made when a process begins, or change what is shown and nothing else."""


class Process:
    """Whoever has the store open. `asked_until_ms` and `told` are what it has heard and may not have written down,
    `bound_until_ms` is what was on disk when it recorded its requests."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.leases: list[Lease] = []
        self.stolen: set[int] = set()
        self.wake_ms = 0
        self.asked_until_ms = 0
        self.heard_ms = 0
        self.bound_until_ms = 0
        self.told: set[int] = set()
        self.recorded: list[str] = []
        self.inner = world.disk.open()
        self.store: Store = Handle(self)  # type: ignore[assignment]  # every method of Store is answered by __getattr__

    @property
    def holds_on(self) -> bool:
        """Whether it has the lease, and nobody has taken it away."""
        return any(lease.fence not in self.stolen for lease in self.leases)

    def point(self, name: str) -> None:
        """A moment at which anything may happen. Raises Crash where it is the end."""
        if not self.alive:
            raise Crash
        self.world.at_point(self, name)
        if not self.alive:
            raise Crash

    def pass_on(self) -> None:
        """Let others run; only a process with a thread of its own can."""


class Handle:
    """The store as one process sees it: each change has its points and its fate, and none outlives the process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._process.inner, name)
        if not callable(method):
            return method
        if name == "release":
            wrapped = self._releasing(method)
        else:
            wrapped = self._changing(name, method) if name in CHANGES else self._looking(method)
        setattr(self, name, wrapped)
        return wrapped

    def _looking(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def look(*given: Any, **named: Any) -> Any:
            if not self._process.alive:
                raise Crash
            return method(*given, **named)

        return look

    def _changing(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        process, world = self._process, self._process.world

        def change(*given: Any, **named: Any) -> Any:
            if not process.alive:
                raise Crash
            if name in UNFATED:
                return method(*given, **named)
            process.point(f"before {name}")
            late = invariants.before_a_late_settlement(world, given[0]) if name == "settle" else None
            try:
                result = world.disk.change(process.inner, lambda: method(*given, **named), world.fate(process, name))
            except Crash:
                world.kill(process)
                raise
            if late is not None:
                invariants.only_the_lease_disposes(world, late)
            world.changed(process, name, given, result)
            process.point(f"after {name}")
            return result

        return change

    def _releasing(self, method: Callable[[Lease], None]) -> Callable[[Lease], None]:
        def release(lease: Lease) -> None:
            if not self._process.alive:
                raise Crash
            self._process.leases = [one for one in self._process.leases if one is not lease]
            method(lease)

        return release


class Threaded(Process):
    """A process whose work can be suspended: a running worker, or a sync by hand."""

    def __init__(self, world: World, name: str, kind: str) -> None:
        super().__init__(world, name)
        self.kind = kind
        self.error: BaseException | None = None
        self.ended = False
        self.worker: Worker | None = None
        self._dice = Random(world.dice.getrandbits(32))
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Let it run until it passes the baton on."""
        self._go.release()
        self._back.acquire()
        if self.ended:
            self._thread.join()

    def pass_on(self) -> None:
        self._back.release()
        self._go.acquire()
        if not self.alive:
            raise Crash

    def sleep(self, seconds: float) -> None:
        """Asleep: it is not run before that time has passed."""
        if not self.alive:
            raise Crash
        self.wake_ms = self.world.machine.true_ms + round(seconds * 1000)
        self.pass_on()

    def _main(self) -> None:
        self._go.acquire()
        try:
            if self.alive:
                self._work()
        except Crash:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self.ended = True
            self.world.ended(self)
            self._back.release()

    def _work(self) -> None:
        world = self.world
        self.store.register(world.name, world.plan.destination.type)
        self.worker = SimulatedWorker(self)
        if self.kind == "run":
            self.worker.run()
            return
        drain = Drain(self.worker, self.store, Tally(), None)
        drain.run()
        if drain.error is not None and not isinstance(drain.error, StoreError):
            raise drain.error


class SimulatedWorker(Worker):
    """The real worker; only where it would sleep or start threads does it do as the scheduler says."""

    def __init__(self, process: Threaded) -> None:
        world = process.world
        super().__init__(process.store, world.plan.destination, Line(process), kind=process.kind, dice=process._dice)
        self._process = process
        self._couriers = LockstepCouriers(process)  # type: ignore[assignment]

    def step(self, *, by_hand: bool = False, events_max: int | None = None, tell: Tell | None = None) -> Turn:
        turn = super().step(by_hand=by_hand, events_max=events_max)  # nobody is told in between: what it did is counted
        self._process.world.stepped(self._process, turn, self.hold)
        self._process.pass_on()
        return turn

    def _goes_on(self) -> bool:
        return super()._goes_on() and self._process._dice.random() < MORE_ROUNDS

    def _rest(self, seconds: float) -> bool:
        self._process.sleep(seconds)
        return self._stopping or self._asked or (self._nudged and not self._held())

    def pause(self, seconds: float) -> bool:
        self._process.sleep(seconds)
        return self._stopping

    def pause_unless_asked(self, seconds: float) -> None:
        self._process.sleep(seconds)


class LockstepCouriers:
    """Requests are at the service in the order in which they were posted, as many at once as there would be threads;
    the answers come in any order, some at a time.
    """

    def __init__(self, process: Threaded) -> None:
        self._process = process
        self._halt = Halt.NOTHING
        self._waiting: list[tuple[Errand, str]] = []
        self._under_way: list[tuple[Errand, Told]] = []
        self._taken_back: list[Reply] = []
        self._heed: Heed = lambda seconds: None
        self.count = 0

    def begin(self, heed: Heed) -> None:
        self._halt = Halt.NOTHING
        self._heed = heed

    def ready(self, count: int) -> None:
        self.count = max(self.count, count)

    def post(self, errand: Errand) -> None:
        self._waiting.append((errand, self._process.recorded.pop(0)))

    def wait(self, count: int, seconds: float) -> list[Reply]:
        """Some of the replies: what was taken back may come before the answer that was the reason for it, or after."""
        process, world = self._process, self._process.world
        self._begin()
        replies: list[Reply] = []
        if self._taken_back and world.dice.random() < EARLY:
            replies, self._taken_back = self._taken_back, []
        least = 0 if replies or self._taken_back else 1
        for _ in range(world.dice.randint(least, len(self._under_way))):
            process.point("before answer")
            errand, told = self._under_way.pop(world.dice.randrange(len(self._under_way)))
            world.hears(process, told)
            self._hear(told.answer)
            replies.append(Reply(errand.number, told.answer))
        if not replies:
            replies, self._taken_back = self._taken_back, []
        process.point("after answers")
        return replies

    def _hear(self, answer: Answer) -> None:
        """The thread that has it halts the others, before anybody is told."""
        if isinstance(answer, HttpResponse) and asks_for_patience(answer):
            self.recall()
        elif not isinstance(answer, HttpResponse) or answer.status >= 400:
            self.recall(Halt.FOLLOWING)
        if seconds := asked_seconds(answer):
            self._heed(seconds)

    def _begin(self) -> None:
        """Those for which a thread is free go out, unless they are halted."""
        process, world = self._process, self._process.world
        while self._waiting and len(self._under_way) < self.count:
            errand, request_id = self._waiting.pop(0)
            if self._halt is Halt.ALL or (self._halt is Halt.FOLLOWING and errand.follows):
                self._taken_back.append(Reply(errand.number, None))
                continue
            world.begins_sending(process)
            process.point("before send")
            self._under_way.append((errand, world.take(process, request_id, errand.request)))

    def recall(self, halt: Halt = Halt.ALL) -> None:
        self._halt = max(self._halt, halt)

    def close(self) -> None:
        """Nothing to let go of."""


class Line:
    """The way to the service, for looking whether it is there; what is sent goes by the couriers."""

    way = None

    def __init__(self, process: Threaded) -> None:
        self._process = process

    def reach(self, url: str) -> None:
        self._process.point("before reach")
        if self._process.world.service.unreachable():
            raise NotSent("no route", code="connect")

    def send(self, request: HttpRequest, credentials: Mapping[str, str]) -> HttpResponse:
        raise NotImplementedError("requests go by LockstepCouriers")

    def withhold(self) -> None:
        """Nothing: all requests of a turn have begun."""

    def abort(self) -> None:
        """Nothing: no exchange is waited for."""
