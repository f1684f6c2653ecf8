"""The SQLite store and the one in memory, step by step: whatever is done, both say the same and both balance.

The two were written apart: one is tables and SQL, the other objects in dictionaries. Where they agree on every step of
a random life (puts, crashes, rescues, late answers, requeues, prunes, wrong clocks), a mistake would have to be made
twice.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgequeue.errors import LeaseLost, NotSent
from edgequeue.model import TRANSITIONS, Batch, Claimed, Disposition, Priority, Problem, Status
from edgequeue.outcome import Death, Outcome, Settlement, Verdict, failed, settle
from edgequeue.retry import Hold, HoldState, RetryPolicy
from edgequeue.store.base import Closing, EventFilter, NewRequest, Store
from edgequeue.store.facade import SqliteStore
from edgequeue.testing import ManualClock, MemoryStore
from edgequeue.views import Record
from tests.support import REFUSAL, TILL, TIMEOUT_SECONDS, WEB, draft, sequence_of

NAMES = (WEB, TILL)
POLICY = RetryPolicy()
LANES = st.sampled_from(list(Priority))
WHERE = st.sampled_from(NAMES)
VERDICTS = st.builds(
    Verdict,
    st.sampled_from([Disposition.ACCEPTED, Disposition.REJECT, Disposition.ACCEPTED, *Disposition]),
    st.sampled_from([None, REFUSAL, Problem("http_503", "too busy", "", 503), Problem("cut", "no answer")]),
    st.sampled_from([None, "batch:{position}", "receipt"]),
)
HOLDS = st.sampled_from(
    [None, Hold(), Hold(HoldState.OFFLINE, 2, 5, 90_000, 6, REFUSAL, 6), Hold(HoldState.PAUSED, 1, 7, 200_000, 7)]
)


class Pair(NamedTuple):
    """What one step gave in each of the two stores."""

    disk: Any
    memory: Any


class Open(NamedTuple):
    """A request on record in both, not answered yet."""

    lease: Pair
    numbers: Pair
    batch: Batch


class TwoStores(RuleBasedStateMachine):
    """One life, lived twice."""

    template: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        shutil.copy(self.template, self.directory / "queue.db")
        self.clock = ManualClock()
        self.disk = SqliteStore.open(self.directory / "queue.db", clock=self.clock)
        self.memory = MemoryStore(self.clock)
        self.leases: dict[str, Pair] = {}
        self.lost: list[Pair] = []
        self.open: list[Open] = []
        self.requests = 0
        self.before: dict[int, Status] = {}

    def teardown(self) -> None:
        with suppress(AttributeError):
            for sequence in self.before:
                assert self._detail(self.disk, sequence) == self._detail(self.memory, sequence)
            assert self.disk.check() == []
        for lease in self.leases.values():
            self.disk.release(lease.disk)
        self.disk.close()
        self.memory.close()
        shutil.rmtree(self.directory)

    @initialize()
    def register(self) -> None:
        for store in (self.disk, self.memory):
            for name in NAMES:
                store.register(name, "adobe-edge")
        for name in NAMES:
            self._acquire(name)
        for name in (WEB, WEB, TILL):
            self.put(name, Priority.NORMAL, 3)

    # --- taking events in ---------------------------------------------------------------------------------------------

    @rule(to=WHERE, lane=LANES, count=st.integers(0, 6))
    def put(self, to: str, lane: Priority, count: int) -> None:
        drafts = [draft("x" * number, reference=f"P{number % 3}") for number in range(count)]
        ids = [store.put_many(to, drafts, lane, TIMEOUT_SECONDS) for store in (self.disk, self.memory)]
        ids = [
            [*few, store.put(to, draft(), lane, TIMEOUT_SECONDS)]
            for few, store in zip(ids, (self.disk, self.memory), strict=True)
        ]
        assert [*map(sequence_of, ids[0])] == [*map(sequence_of, ids[1])]

    # --- workers come and die -----------------------------------------------------------------------------------------

    @rule(name=WHERE, rescues=st.booleans())
    def crash(self, name: str, rescues: bool) -> None:
        """A worker dies, another takes its place; without `rescues` that one has not yet looked at what was left."""
        for store, lease in zip((self.disk, self.memory), self.leases[name], strict=True):
            assert store.acquire(name, "second") is None
            store.release(lease)
        self.lost.append(self.leases[name])
        self._acquire(name)
        if rescues:
            self.rescue(name)

    @rule(name=WHERE)
    def rescue(self, name: str) -> None:
        disk, memory = self.leases[name]
        assert self.disk.rescue(disk) == self.memory.rescue(memory)

    def _acquire(self, name: str) -> None:
        disk, memory = self.disk.acquire(name, "test"), self.memory.acquire(name, "test")
        assert disk is not None
        assert memory is not None
        assert disk.fence == memory.fence
        self.leases[name] = Pair(disk, memory)

    # --- sending ------------------------------------------------------------------------------------------------------

    @rule(data=st.data(), events_max=st.integers(1, 5), bytes_max=st.sampled_from([1, 150, 10_000]))
    def send(self, data: st.DataObject, events_max: int, bytes_max: int) -> None:
        holders = list(self.leases.values())
        lease = data.draw(st.sampled_from(holders * 4 + self.lost[-1:]))
        now_ms = self.disk.now_ms()
        if lease in self.lost:
            for store, one in zip((self.disk, self.memory), lease, strict=True):
                with pytest.raises(LeaseLost):
                    store.claim(one, now_ms, events_max, bytes_max)
        holder = self.leases[lease.disk.name]
        claimed = self.disk.claim(holder.disk, now_ms, events_max, bytes_max)
        twin = self.memory.claim(holder.memory, now_ms, events_max, bytes_max)
        assert [_anonymous(one) for one in claimed] == [_anonymous(one) for one in twin]
        if not claimed:
            return
        cut = data.draw(st.integers(0, len(claimed)))
        loads = [load for load in (claimed[:cut], claimed[cut:]) if load]
        news = []
        for load in loads:
            self.requests += 1
            news.append(NewRequest(f"request-{self.requests}", tuple(one.sequence for one in load), 100 * len(load)))
        if lease in self.lost:
            for store, one in zip((self.disk, self.memory), lease, strict=True):
                with pytest.raises(LeaseLost):
                    store.record(one, news, now_ms)
            return
        numbers = [self.disk.record(lease.disk, news, now_ms), self.memory.record(lease.memory, news, now_ms)]
        for load, new, disk, memory in zip(loads, news, *numbers, strict=True):
            batch = Batch(new.request_id, tuple(load), tuple(one.payload for one in load))
            self.open.append(Open(lease, Pair(disk, memory), batch))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), verdict=VERDICTS, hold=HOLDS, split=st.booleans(), dice=st.floats(0, 1))
    def settle(self, data: st.DataObject, verdict: Verdict, hold: Hold | None, split: bool, dice: float) -> None:
        chosen = data.draw(st.sampled_from(self.open))
        positions = st.integers(0, len(chosen.batch) - 1)
        but = data.draw(st.dictionaries(positions, VERDICTS, max_size=2))
        service = {"requestId": "r"} if split else {}
        outcome = Outcome(verdict, exceptions=but, split=split, service=service, http_status=200)
        settlement = settle(
            chosen.batch, outcome, attempts_max=3, policy=POLICY, now_ms=self.disk.now_ms(), unit_random=dice
        )
        self._close(chosen, settlement, hold)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def offline(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.open))
        outcome = failed(NotSent("no route", code="connect"))
        settlement = settle(
            chosen.batch, outcome, attempts_max=3, policy=POLICY, now_ms=self.disk.now_ms(), unit_random=0.0
        )
        self._close(chosen, settlement, None)

    def _close(self, chosen: Open, settlement: Settlement, hold: Hold | None) -> None:
        self.open.remove(chosen)
        now_ms = self.disk.now_ms()
        self.disk.settle(chosen.lease.disk, [Closing(chosen.numbers.disk, settlement)], now_ms, hold)
        self.memory.settle(chosen.lease.memory, [Closing(chosen.numbers.memory, settlement)], now_ms, hold)

    @rule(name=WHERE)
    def bury(self, name: str) -> None:
        for store, lease in zip((self.disk, self.memory), self.leases[name], strict=True):
            found = store.claim(lease, store.now_ms(), 1, 1)
            deaths = [Death(one.sequence, one.priority, one.attempts, REFUSAL) for one in found]
            store.bury(lease, deaths, store.now_ms())

    # --- mending and tidying ------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from([None, *NAMES]), some=st.booleans(), data=st.data())
    def requeue(self, name: str | None, some: bool, data: st.DataObject) -> None:
        chosen = data.draw(st.sets(st.sampled_from(sorted(self.before) or [0]), max_size=3)) if some else None
        counts = []
        for store in (self.disk, self.memory):
            ids = None if chosen is None else [one.event_id for one in store.records(sorted(chosen))]
            counts.append(store.requeue(ids, name))
        assert counts[0] == counts[1]

    @rule(delivered=st.sampled_from([None, 0, 5_000]), dead=st.sampled_from([None, 0, 5_000]))
    def prune(self, delivered: int | None, dead: int | None) -> None:
        times = [None if age is None else self.disk.now_ms() + 1 - age for age in (delivered, dead)]
        assert self.disk.prune(*times) == self.memory.prune(*times)

    # --- time and the destination's state -----------------------------------------------------------------------------

    @rule(passed=st.sampled_from([0.5, 3, 400]), stepped=st.sampled_from([0, 0, -86_400, 1, 7_200]))
    def pass_time(self, passed: float, stepped: float) -> None:
        self.clock.advance(passed)
        self.clock.step_wall(stepped)
        self.disk.note_wall_clock()
        self.memory.note_wall_clock()

    @rule(name=WHERE, hold=HOLDS, reopens=st.booleans())
    def come_and_go(self, name: str, hold: Hold | None, reopens: bool) -> None:
        """A hold and a request to send are written; or another process opens the file, and what was held stays held."""
        for store in (self.disk, self.memory):
            store.set_hold(name, hold or Hold())
            store.ask_to_send(name)
        if reopens:
            again = SqliteStore.open(self.disk.path, clock=self.clock)
            self.disk.close()
            self.disk = again

    # --- what must hold after every step ------------------------------------------------------------------------------

    @invariant()
    def the_books_agree_and_balance(self) -> None:
        for name in (None, *NAMES) if self.disk.destination_rows() else ():
            counts = self.disk.counts(name)
            assert counts == self.memory.counts(name)
            assert counts.balanced
            assert min(getattr(counts, status) for status in Status) >= 0

    @invariant()
    def the_events_agree_and_go_only_where_they_may(self) -> None:
        records = list(_shown(self.disk))
        assert records == list(_shown(self.memory))
        now = {int(record.event_id): record.status for record in records}
        for sequence, status in now.items():
            before = self.before.get(sequence, Status.PENDING)
            assert status is before or status in TRANSITIONS[before], f"{before} -> {status}"
            assert status is not Status.LOST
        self.before = now

    @invariant()
    def requests_and_destinations_agree(self) -> None:
        assert self.disk.requests(None, None) == self.memory.requests(None, None)
        rows = [[replace(row, owner=None) for row in store.destination_rows()] for store in (self.disk, self.memory)]
        assert rows[0] == rows[1]
        for row in rows[0]:
            assert self.disk.next_due_ms(row.name) == self.memory.next_due_ms(row.name)
            assert self.disk.wake_number(row.name) == self.memory.wake_number(row.name)

    def _detail(self, store: Store, sequence: int) -> Any:
        (record,) = store.records([sequence])
        detail = store.get(record.event_id)
        assert detail is not None
        return replace(detail, event_id="", payload=detail.payload["note"])


def _shown(store: Store) -> Iterator[Record]:
    """All events, with their sequence in place of the id, whose nonce differs."""
    for record in store.events(EventFilter()):
        yield replace(record, event_id=str(sequence_of(record.event_id)))


def _anonymous(one: Claimed) -> Claimed:
    return one._replace(payload=one.payload.partition(b'"note"')[2])


@pytest.fixture(scope="module", autouse=True)
def _template(template: Path) -> None:
    TwoStores.template = template


TestTwoStores = TwoStores.TestCase
TestTwoStores.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
