"""Group commit with a commit function in the test's hands: who leads, who follows, and who hears of an error."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from edgequeue.errors import QueueBusy
from edgequeue.store.commit import GroupCommit

BOUND_SECONDS = 20.0
"""No wait of a test is longer; none should come near."""


class Disk:
    """A commit that waits at a gate before it takes its group, and at another before it returns."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.error: BaseException | None = None
        self.gate = threading.Event()
        self.reached = threading.Semaphore(0)
        self.taken = threading.Semaphore(0)
        self.flushed = threading.Event()
        self.flushed.set()

    def commit_one(self, item: str, deadline: float) -> str:
        return self.commit(lambda: [item], deadline)[0]

    def commit(self, take: Callable[[], list[str]], deadline: float) -> list[str]:
        self.reached.release()
        if not self.gate.wait(max(deadline - time.monotonic(), 0)):
            raise QueueBusy("somebody else holds the lock")
        group = take()
        self.groups.append(group)
        self.taken.release()
        assert self.flushed.wait(BOUND_SECONDS)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return [item.upper() for item in group]


class Line(list[Any]):
    """Those who wait, with a sign for each that joins."""

    def __init__(self) -> None:
        super().__init__()
        self.joined = threading.Semaphore(0)

    def append(self, ticket: Any) -> None:
        super().append(ticket)
        self.joined.release()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def group(disk: Disk) -> GroupCommit[str, str]:
    return GroupCommit(disk.commit_one, disk.commit)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


Submit = Callable[..., Future[str]]


@pytest.fixture
def submit(group: GroupCommit[str, str], pool: ThreadPoolExecutor) -> Submit:
    """Submit in a thread of its own behind a commit that is under way; returns when the item waits."""
    line = group._waiting = Line()

    def run(item: str, timeout_seconds: float = BOUND_SECONDS) -> Future[str]:
        future = pool.submit(group.submit, item, timeout_seconds)
        assert line.joined.acquire(timeout=BOUND_SECONDS)
        return future

    return run


@pytest.fixture
def alone(disk: Disk, group: GroupCommit[str, str], pool: ThreadPoolExecutor) -> Callable[[str], Future[str]]:
    """Submit where nobody waits; returns when the item is in its commit and the flush is under way."""

    def run(item: str) -> Future[str]:
        disk.gate.set()
        disk.flushed.clear()
        future = pool.submit(group.submit, item, BOUND_SECONDS)
        assert disk.taken.acquire(timeout=BOUND_SECONDS)
        return future

    return run


@pytest.fixture
def lead(disk: Disk, alone: Callable[[str], Future[str]], submit: Submit) -> Submit:
    """Submit an item that leads a group; returns when it waits for the lock, so that others may still join."""

    def run(item: str, timeout_seconds: float = BOUND_SECONDS) -> Future[str]:
        before = alone("before")
        leader = submit(item, timeout_seconds)
        disk.gate.clear()
        disk.flushed.set()
        assert before.result(BOUND_SECONDS) == "BEFORE"
        disk.groups.clear()
        return leader

    return run


def test_one_alone_commits_at_once(disk: Disk, group: GroupCommit[str, str]) -> None:
    """No other thread is needed, and none is made."""
    disk.gate.set()
    before = threading.active_count()
    assert [group.submit(item, 1.0) for item in "ab"] == ["A", "B"]
    assert disk.groups == [["a"], ["b"]]
    assert threading.active_count() == before


def test_who_comes_before_the_lock_is_had_shares_the_commit(disk: Disk, lead: Submit, submit: Submit) -> None:
    """One leader, one commit, and to each its own result."""
    waiting = [lead("a"), *(submit(item) for item in "bcde")]
    disk.gate.set()
    assert [one.result(BOUND_SECONDS) for one in waiting] == ["A", "B", "C", "D", "E"]
    assert disk.groups == [["a", "b", "c", "d", "e"]]


def test_who_comes_during_a_commit_is_in_the_next(disk: Disk, alone: Submit, submit: Submit) -> None:
    """The lead is handed on to the first of them, who commits for all of them."""
    first = alone("a")
    later = [submit(item) for item in "bcd"]
    assert not any(one.done() for one in later)
    disk.flushed.set()
    assert [one.result(BOUND_SECONDS) for one in [first, *later]] == ["A", "B", "C", "D"]
    assert disk.groups == [["a"], ["b", "c", "d"]]


def test_an_error_reaches_who_was_in_the_commit_and_nobody_else(disk: Disk, alone: Submit, submit: Submit) -> None:
    """The caller has to hear that its event was not stored; the next group is not concerned."""
    disk.error = OSError("the disk is gone")
    failed = alone("a")
    later = [submit(item) for item in "bc"]
    disk.flushed.set()
    assert isinstance(failed.exception(BOUND_SECONDS), OSError)
    assert [one.result(BOUND_SECONDS) for one in later] == ["B", "C"]


def test_an_error_of_a_shared_commit_is_everybodys(disk: Disk, lead: Submit, submit: Submit) -> None:
    """Leader and followers alike."""
    waiting = [lead("a"), submit("b"), submit("c")]
    disk.error = OSError("the disk is gone")
    disk.gate.set()
    assert [type(one.exception(BOUND_SECONDS)) for one in waiting] == [OSError] * 3


def test_an_interruption_of_one_alone_leaves_the_lead_free(disk: Disk, alone: Submit, submit: Submit) -> None:
    """Ctrl-C reaches its caller, and who waits behind it is committed all the same."""
    disk.error = KeyboardInterrupt()
    interrupted = alone("a")
    later = submit("b")
    disk.flushed.set()
    assert isinstance(interrupted.exception(BOUND_SECONDS), KeyboardInterrupt)
    assert later.result(BOUND_SECONDS) == "B"


def test_an_interruption_is_the_leaders_alone(disk: Disk, lead: Submit, submit: Submit) -> None:
    """Ctrl-C is for the thread it came to; the others are told in words that they cannot know."""
    waiting = [lead("a"), submit("b"), submit("c")]
    disk.error = KeyboardInterrupt()
    disk.gate.set()
    errors = [one.exception(BOUND_SECONDS) for one in waiting]
    assert isinstance(errors[0], KeyboardInterrupt)
    assert all(isinstance(one, QueueBusy) and "unknown" in str(one) for one in errors[1:])


def test_a_leader_that_does_not_get_the_lock_fails_alone(disk: Disk, lead: Submit, submit: Submit) -> None:
    """Its own time is up; those who came later and have more lead on, and are stored."""
    hasty = lead("a", 0.3)
    patient = [submit(item) for item in "bc"]
    assert isinstance(hasty.exception(BOUND_SECONDS), QueueBusy)
    disk.gate.set()
    assert [one.result(BOUND_SECONDS) for one in patient] == ["B", "C"]
    assert disk.groups == [["b", "c"]]


def test_a_follower_whose_time_is_up_is_withdrawn(disk: Disk, lead: Submit, submit: Submit) -> None:
    """It is told that nothing was stored, and nothing of it is stored later."""
    leader = lead("a")
    hasty = submit("b", 0.05)
    other = submit("c")
    error = hasty.exception(BOUND_SECONDS)
    assert isinstance(error, QueueBusy)
    assert "nothing was stored" in str(error)
    disk.gate.set()
    assert (leader.result(BOUND_SECONDS), other.result(BOUND_SECONDS)) == ("A", "C")
    assert disk.groups == [["a", "c"]]


def test_a_follower_that_is_in_a_commit_waits_for_its_end(disk: Disk, lead: Submit, submit: Submit) -> None:
    """Whatever its own time: it may be stored by now, and must not be told otherwise."""
    leader = lead("a")
    disk.flushed.clear()
    hasty = submit("b", 0.3)
    disk.gate.set()
    assert disk.taken.acquire(timeout=BOUND_SECONDS)
    with pytest.raises(TimeoutError):
        hasty.result(0.5)
    disk.flushed.set()
    assert (leader.result(BOUND_SECONDS), hasty.result(BOUND_SECONDS)) == ("A", "B")


def test_an_interrupted_follower_wakes_who_comes_after_it(
    disk: Disk, group: GroupCommit[str, str], lead: Submit, submit: Submit
) -> None:
    """Each of a group wakes the next. One that is interrupted just then does so as well."""
    leader, threads = lead("a"), []

    def interrupted(item: str) -> None:
        threads.append(threading.get_ident())
        with pytest.raises(KeyboardInterrupt):
            group.submit(item, BOUND_SECONDS)

    thread = threading.Thread(target=interrupted, args=("b",))
    thread.start()
    assert group._waiting.joined.acquire(timeout=BOUND_SECONDS)  # type: ignore[attr-defined]  # it is a Line
    after = [submit(item) for item in "cd"]
    # Raised when it is woken: a thread that waits for a lock runs no step of Python's.
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threads[0]), ctypes.py_object(KeyboardInterrupt))
    disk.gate.set()
    assert [one.result(BOUND_SECONDS) for one in (leader, *after)] == ["A", "C", "D"]
    thread.join(BOUND_SECONDS)
    assert disk.groups == [["a", "b", "c", "d"]]


def test_a_signals_handler_holds_up_nobody(
    disk: Disk, group: GroupCommit[str, str], lead: Submit, submit: Submit, pool: ThreadPoolExecutor
) -> None:
    """The main thread may be anywhere in a handler, waiting for the very thread that comes after it in a group."""
    leader, heard = lead("a"), []

    def wait_for_the_others(number: int, frame: object) -> None:
        disk.gate.set()
        heard.append(others.result(BOUND_SECONDS))

    def come_after_the_main_thread() -> str:
        assert group._waiting.joined.acquire(timeout=BOUND_SECONDS)  # type: ignore[attr-defined]  # it is a Line
        last = submit("c")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        return last.result(BOUND_SECONDS)

    before = signal.signal(signal.SIGUSR1, wait_for_the_others)
    try:
        others = pool.submit(come_after_the_main_thread)
        assert group.submit("b", BOUND_SECONDS) == "B"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (leader.result(BOUND_SECONDS), heard) == ("A", ["C"])
    assert disk.groups == [["a", "b", "c"]]


def test_without_time_one_try_is_made(disk: Disk, group: GroupCommit[str, str]) -> None:
    """A timeout of 0 is stored when the lock is free, and QueueBusy when it is not."""
    with pytest.raises(QueueBusy):
        group.submit("a", 0.0)
    disk.gate.set()
    assert group.submit("b", 0.0) == "B"
    assert disk.groups == [["b"]]


def test_many_threads_lose_and_repeat_nothing(
    group: GroupCommit[str, str], disk: Disk, pool: ThreadPoolExecutor
) -> None:
    """Whatever the interleaving: each item in exactly one commit, each caller its own result."""
    disk.gate.set()

    def sell(till: int) -> list[str]:
        return [group.submit(f"{till}-{number}", BOUND_SECONDS) for number in range(200)]

    sold = list(pool.map(sell, range(16)))
    assert sold == [[f"{till}-{number}" for number in range(200)] for till in range(16)]
    committed = [item for items in disk.groups for item in items]
    assert sorted(committed) == sorted(item for items in sold for item in items)


def test_after_a_fork_nobody_waits_and_nobody_leads(disk: Disk, group: GroupCommit[str, str], lead: Submit) -> None:
    """The child has a group of its own: the threads that led and followed are not there."""
    leader = lead("a")
    child: GroupCommit[str, str] = GroupCommit(lambda item, _: item.upper(), disk.commit)
    child.__dict__.update({name: value for name, value in vars(group).items() if name != "_commit_one"})
    child.reset_after_fork()
    assert child.submit("b", 1.0) == "B"
    disk.gate.set()
    assert leader.result(BOUND_SECONDS) == "A"
