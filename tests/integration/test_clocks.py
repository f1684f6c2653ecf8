"""Clocks that lie: a boot in 1970, steps of hours and years both ways, reboots, a cloned card, a backup put back.

Whole queues with a network that answers by a script; the machine's clocks are in the tests' hands. The same in
thousands of worlds, with everything else that can go wrong, is `make simulate`.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgequeue import AdobeEdge, EventQueue
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.retry import RETRY_AFTER_SECONDS_MAX
from edgequeue.testing import ManualClock, ScriptedTransport, accept, event_for, response
from tests.conftest import MakeStore
from tests.support import ACCEPTED, WEB, answer, lease_of, put, send

EDGE = AdobeEdge("web", datastream_id="clocks")
YEAR_SECONDS = 365 * 86_400
HOUR_SECONDS = 3_600
STEPS_SECONDS = [-56 * YEAR_SECONDS, -HOUR_SECONDS, HOUR_SECONDS, 20 * YEAR_SECONDS]
FIRST_BOOT = datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)
TRUE_TIME = datetime(2026, 11, 21, 4, 41, tzinfo=UTC)


class Device:
    """A machine with a queue; what is sent is answered by `answers`, then accepted."""

    def __init__(self, folder: Path, clock: ManualClock, *answers: HttpResponse) -> None:
        self.path = folder / "queue.db"
        self.clock = clock
        self.network = ScriptedTransport(answers, then=accept)
        self._stack = ExitStack()
        self.queue = self._open()

    def _open(self) -> EventQueue:
        queue = EventQueue(self.path, [EDGE], clock=self.clock, transport=self.network)
        return self._stack.enter_context(queue)

    def enqueue(self, count: int = 1) -> list[str]:
        return self.queue.enqueue_many(event_for("adobe-edge", number=number) for number in range(count))

    def reboot(self, off_seconds: float = 0.0, step_seconds: float = 0.0) -> None:
        """Off and on again, with a wall clock that may show something else."""
        self.queue.close()
        self.clock.reboot(off_seconds)
        self.clock.step_wall(step_seconds)
        self.queue = self._open()

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def device(stack: ExitStack, folder: Path, *answers: HttpResponse, clock: ManualClock | None = None) -> Device:
    folder.mkdir(exist_ok=True)
    made = Device(folder, clock or ManualClock(), *answers)
    stack.callback(made.close)
    return made


# --- ids --------------------------------------------------------------------------------------------------------------


class Sent(NamedTuple):
    ids: set[str]
    distinct: int


def sent_by(devices: list[Device]) -> Sent:
    """The `_id`s that these devices sent, as the service sees them."""
    ids = [event["xdm"]["_id"] for one in devices for request in one.network.requests for event in events_of(request)]
    return Sent(set(ids), len(ids))


def events_of(request: HttpRequest) -> list[Any]:
    found: list[Any] = orjson.loads(request.body)["events"]
    return found


def test_clones_of_a_card_mint_different_ids(tmp_path: Path, stack: ExitStack) -> None:
    """Same queue id, same sequences, even the same boot and clock: the nonce of each event is of its own. What was
    pending when the card was cloned is sent by all with the one id that it has, so that the services see one event.
    """
    first = device(stack, tmp_path / "first")
    before = set(first.enqueue(3))
    first.queue.close()
    for name in ("second", "third"):
        shutil.copytree(tmp_path / "first", tmp_path / name)
    first.queue = first._open()
    devices = [first, device(stack, tmp_path / "second"), device(stack, tmp_path / "third")]
    minted = [one.enqueue(200) for one in devices]
    assert {tuple(event_id.split("-")[0:2]) for event_id in minted[0]} == {
        tuple(event_id.split("-")[0:2]) for event_id in minted[2]
    }
    assert len({event_id for ids in minted for event_id in ids}) == 600
    for one in devices:
        assert one.queue.sync().remaining == 0
    found = sent_by(devices)
    assert found.ids == before.union(*minted)
    assert found.distinct == 600 + 3 * len(before)
    assert devices[1].queue.get(minted[0][0]) is None  # the other device's event is not ours of the same sequence


def test_a_backup_put_back_mints_no_id_again(tmp_path: Path, stack: ExitStack) -> None:
    """Sequences are given again, ids are not; and what the backup has pending is sent with the id that it had."""
    one = device(stack, tmp_path)
    minted = one.enqueue(5)
    with closing(sqlite3.connect(one.path)) as source, closing(sqlite3.connect(tmp_path / "backup")) as target:
        source.backup(target)
    for _ in range(3):
        minted += one.enqueue(5)
        one.queue.sync()
        one.queue.close()
        for suffix in ("", "-wal", "-shm"):
            one.path.with_name(f"queue.db{suffix}").unlink(missing_ok=True)
        shutil.copy(tmp_path / "backup", one.path)
        one.queue = one._open()
    minted += one.enqueue(5)
    assert len(set(minted)) == len(minted) == 25
    assert one.queue.sync().remaining == 0
    assert sent_by([one]).ids == set(minted)
    assert one.queue.status().ledger.balanced


# --- times ------------------------------------------------------------------------------------------------------------


def test_a_boot_in_1970_is_repaired_when_the_clock_is_set(tmp_path: Path, stack: ExitStack) -> None:
    """`occurred_at` keeps what the application or the device said; when the event was enqueued is kept by boot and time
    since boot, and shown right once the clock is.
    """
    clock = ManualClock(FIRST_BOOT)
    one = device(stack, tmp_path, clock=clock)
    said = one.queue.enqueue(event_for("adobe-edge", number=1, timestamp="2026-11-20T18:30:00.000Z"))
    ours = one.queue.enqueue(event_for("adobe-edge", number=2))
    clock.advance(60)
    clock.step_wall((TRUE_TIME - FIRST_BOOT).total_seconds())
    one.queue.sync()
    for event_id, occurred_at in ((said, datetime(2026, 11, 20, 18, 30, tzinfo=UTC)), (ours, FIRST_BOOT)):
        record = one.queue.get(event_id)
        assert record is not None
        assert (record.occurred_at, record.enqueued_at) == (occurred_at, TRUE_TIME)
    with closing(sqlite3.connect(one.path)) as connection:
        query = "SELECT b.boot_id, e.enqueued_ms - b.base_ms, e.stamped FROM events e JOIN boots b ON b.number = e.boot"
        assert connection.execute(query).fetchall() == [("boot-1", 100_000, 0), ("boot-1", 100_000, 1)]
    assert events_of(one.network.requests[0])[1]["xdm"]["timestamp"].startswith("1970-01-01T00:00:07")


def test_what_a_boot_did_last_is_not_moved_to_when_the_power_came_back(make_store: MakeStore) -> None:
    """The next boot begins at the last moment that is known: the answer that came then came before the power went."""
    clock = ManualClock()
    store = make_store(clock=clock)
    store.register(WEB, EDGE.type)
    put(store)
    clock.advance(5)
    travelling = send(store, lease_of(store))
    clock.advance(5)
    answer(store, travelling, ACCEPTED)
    answered_at = store.at(store.now_ms())
    store.close()
    clock.reboot(3 * 86_400)
    later = make_store(clock=clock)
    (request,) = later.requests(WEB, None)
    (row,) = later.destination_rows()
    assert row.last_accepted_ms is not None
    assert request.closed_at == later.at(row.last_accepted_ms) == answered_at


# --- waits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_seconds", STEPS_SECONDS)
@pytest.mark.parametrize("reboots", [False, True], ids=["running", "rebooted"])
def test_no_step_ends_a_wait_or_makes_it_longer(
    tmp_path: Path, stack: ExitStack, step_seconds: float, reboots: bool
) -> None:
    """A Retry-After of ten minutes is ten minutes, wherever the wall clock goes, also over a short reboot."""
    one = device(stack, tmp_path, response(503, retry_after="600"))
    one.enqueue()
    assert one.queue.sync().remaining == 1
    one.clock.advance(1)
    if reboots:
        one.reboot(step_seconds=step_seconds)
    else:
        one.clock.step_wall(step_seconds)
    one.clock.advance(598)
    assert (one.queue.sync().requests, len(one.network.requests)) == (0, 1)
    one.clock.advance(2)  # one of them for what the machine did after it last wrote anything down
    assert one.queue.sync().delivered == 1


@pytest.mark.parametrize("date_seconds", [-YEAR_SECONDS, 0, 600, 20 * YEAR_SECONDS])
@pytest.mark.parametrize("step_seconds", STEPS_SECONDS)
def test_a_retry_after_as_a_date_is_bounded_whatever_both_clocks_say(
    tmp_path: Path, stack: ExitStack, date_seconds: float, step_seconds: float
) -> None:
    """With the answer's own date it is exact; without, the device's clock decides, between nothing and an hour."""
    date = (TRUE_TIME + timedelta(seconds=date_seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    one = device(stack, tmp_path, response(503, retry_after=date), clock=ManualClock(TRUE_TIME))
    one.clock.step_wall(step_seconds)
    one.enqueue()
    assert one.queue.sync().remaining == 1
    one.clock.advance(RETRY_AFTER_SECONDS_MAX)
    assert one.queue.sync().delivered == 1


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("step_seconds", STEPS_SECONDS)
def test_no_step_makes_a_record_old(tmp_path: Path, stack: ExitStack, step_seconds: float, trusted: bool) -> None:
    """Delivered events are kept seven days and dead ones thirty, of time that has passed; steps prune nothing, noted or
    not, and keep nothing for longer.
    """
    clock = ManualClock(trusted=trusted)
    one = device(stack, tmp_path, clock=clock)
    one.enqueue(4)
    one.queue.sync()
    clock.step_wall(step_seconds)
    assert one.queue.prune() == 0
    one.queue.sync()
    clock.advance(6 * 86_400)
    assert one.queue.prune() == 0
    clock.advance(86_400 + 1)
    assert one.queue.prune() == 4


def test_a_clock_that_was_set_by_hand_makes_no_years_of_a_reboot(tmp_path: Path, stack: ExitStack) -> None:
    """NTP had set it; then somebody sets it back by years, and the kernel takes its word back. After the reboot it is
    right again: the time between is no time off, and nothing gets old by it.
    """
    clock = ManualClock(trusted=True)
    one = device(stack, tmp_path, clock=clock)
    one.enqueue(4)
    one.queue.sync()
    clock.step_wall(-10 * YEAR_SECONDS)
    clock.trust(False)
    one.queue.sync()  # notes it
    clock.trust(True)
    one.reboot(step_seconds=10 * YEAR_SECONDS)
    assert one.queue.prune() == 0
    assert one.queue.status().ledger.delivered == 4


def test_a_lease_is_not_a_matter_of_time(make_store: MakeStore) -> None:
    """Neither a step nor a year frees it; only its holder does, or its end."""
    clock = ManualClock()
    first, second = make_store(clock=clock), make_store(clock=clock)
    first.register(WEB, EDGE.type)
    lease = lease_of(first)
    for step_seconds in STEPS_SECONDS:
        clock.step_wall(step_seconds)
        clock.advance(YEAR_SECONDS)
        assert second.acquire(WEB, "sync") is None
    first.release(lease)
    assert second.acquire(WEB, "sync") is not None


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.floats(0, 10**6)),
        st.tuples(st.just("step_wall"), st.sampled_from(STEPS_SECONDS)),
        st.tuples(st.just("reboot"), st.floats(0, 10**7)),
        st.tuples(st.just("trust"), st.booleans()),
        st.tuples(st.just("enqueue"), st.integers(1, 3)),
    ),
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
def test_in_any_history_ids_differ_and_times_of_one_boot_are_in_order(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, Any]]
) -> None:
    """Whatever is done to the clock between: no id twice, queue times in the order of the sequence, all delivered."""
    with ExitStack() as stack:
        one = device(stack, tmp_path_factory.mktemp("history"))
        ids = one.enqueue()
        for name, value in moves:
            if name == "enqueue":
                ids += one.enqueue(value)
            elif name == "reboot":
                one.reboot(value)
            else:
                getattr(one.clock, name)(value)
        assert len(set(ids)) == len(ids)
        with closing(sqlite3.connect(one.path)) as connection:
            times = [row[0] for row in connection.execute("SELECT enqueued_ms FROM events ORDER BY sequence")]
        assert all(before <= after for before, after in pairwise(times))
        assert one.queue.sync().remaining == 0
