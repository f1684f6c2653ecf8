"""What the kernel tells of the network is heard, folded and passed on; and nothing else wakes anybody."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.network import FOLD_SECONDS, Fold, NetworkWatch, brings_network, listen, read_news

BOUND_SECONDS = 30.0
"""No wait of a test is longer; none should come near."""

UP, RUNNING = 0x1, 0x40
NEW_LINK, DEL_LINK, NEW_ADDRESS, DEL_ADDRESS, NEW_ROUTE, DEL_ROUTE = 16, 17, 20, 21, 24, 25


def message(kind: int, body: bytes = b"", length: int | None = None) -> bytes:
    """A netlink message as rtnetlink(7) lays it out, with its filling."""
    whole = struct.pack("=IHHII", 16 + len(body) if length is None else length, kind, 0, 0, 0) + body
    return whole + bytes(-len(whole) % 4)


def link(flags: int, kind: int = NEW_LINK) -> bytes:
    """A message of link number 3, with a name as its only attribute."""
    return message(kind, struct.pack("=BxHiII", 0, 1, 3, flags, 0) + struct.pack("=HH5s", 9, 3, b"eth0\0"))


# --- what a message says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "brings"),
    [
        (link(UP | RUNNING), True),
        (link(UP | RUNNING | 0x11002), True),
        (link(UP), False),  # switched on, and no cable
        (link(0), False),
        (link(UP | RUNNING, DEL_LINK), False),
        (message(NEW_ADDRESS, bytes(8)), True),
        (message(DEL_ADDRESS, bytes(8)), False),
        (message(NEW_ROUTE, bytes(12)), True),
        (message(DEL_ROUTE, bytes(12)), False),
        (message(4), True),  # an overrun: what was lost may have been one of these
        (message(3), False),  # the end of a list
        (b"", False),
        (link(0) + message(DEL_ROUTE, b"odd") + message(NEW_ROUTE), True),
        (link(UP | RUNNING)[:20], False),  # cut in the middle of what counts
        (message(NEW_LINK), False),
        (message(DEL_ROUTE, length=0) + message(NEW_ROUTE), False),  # a length that would never lead on
        (message(DEL_ROUTE, length=0xFFFFFFFF) + message(NEW_ROUTE), False),
    ],
)
def test_only_what_comes_counts(data: bytes, brings: bool) -> None:
    """An address, a route, a link that works; not what goes, and not what is no message."""
    assert brings_network(data) is brings


@given(st.binary(max_size=200) | st.lists(st.binary(max_size=40).map(lambda body: message(17, body))).map(b"".join))
def test_any_bytes_are_read_without_a_fault(data: bytes) -> None:
    """Never an exception, and always an end."""
    assert brings_network(data) in (True, False)


@given(st.lists(st.binary(max_size=40)), st.sampled_from([link(UP | RUNNING), message(NEW_ADDRESS, bytes(8))]))
def test_what_goes_before_hides_nothing(bodies: list[bytes], news: bytes) -> None:
    """One message among others, of any length, is found."""
    assert brings_network(b"".join(message(DEL_ROUTE, body) for body in bodies) + news)


# --- many changes, few calls -----------------------------------------------------------------------------------------


def calls_of(changes: list[float]) -> list[float]:
    """When there are calls, for changes at these times: the loop of the watch, without its clock."""
    fold, calls = Fold(), []
    for each in changes:
        now = each
        while (seconds := fold.wait_seconds(calls[-1] if calls else 0.0)) is not None:
            due = (calls[-1] if calls else 0.0) + seconds
            if due > now:
                break
            assert fold.quiet(due)
            calls.append(due)
        if fold.change(now):
            calls.append(now)
    last = calls[-1] if calls else 0.0
    if (seconds := fold.wait_seconds(last)) is not None:
        assert fold.quiet(last + seconds)
        calls.append(last + seconds)
    assert fold.wait_seconds(1e9) is None
    return calls


@pytest.mark.parametrize(
    ("changes", "calls"),
    [
        ([10.0], [10.0]),
        ([10.0, 10.25, 10.5], [10.0, 11.5]),
        ([10.0, 10.5, 11.0], [10.0, 11.0]),
        ([10.0, 10.5, 11.0, 11.5, 12.0, 12.5], [10.0, 11.0, 12.0, 13.5]),
        ([10.0, 20.0, 20.5], [10.0, 20.0, 21.5]),
    ],
)
def test_a_burst_is_folded(changes: list[float], calls: list[float]) -> None:
    """At once for the first, then once a second, and once more when the last is a second old."""
    assert calls_of(changes) == calls


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60).map(sorted))
def test_each_change_is_followed_by_a_call_and_calls_are_few(quarters: list[int]) -> None:
    """Within two seconds; and between two calls there is a second."""
    changes = [each / 4 for each in quarters]
    calls = calls_of(changes)
    assert all(any(0 <= call - each <= 2 * FOLD_SECONDS for call in calls) for each in changes)
    assert all(later - earlier >= FOLD_SECONDS for earlier, later in itertools.pairwise(calls))
    assert calls[0] == changes[0]


def test_quiet_before_its_time_is_no_end() -> None:
    """Something that goes wakes the watch as well."""
    fold = Fold()
    assert fold.change(1.0)
    assert not fold.change(1.5)
    assert not fold.quiet(2.0)
    assert fold.quiet(2.5)
    assert not fold.quiet(9.0)


# --- the watch -------------------------------------------------------------------------------------------------------


class Calls:
    """Counts calls, and waits for them."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait(self, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.count >= count, BOUND_SECONDS)


@contextmanager
def kernel() -> Iterator[tuple[socket.socket, socket.socket]]:
    """What stands for the kernel, and the socket on which it tells."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        yield ours, theirs


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "edgequeue-network"]


def test_a_burst_comes_to_few_calls() -> None:
    """The first message of it is told at once, and the last one too, a second later."""
    calls = Calls()
    with kernel() as (ours, theirs):
        watch = NetworkWatch(calls, source=lambda: theirs)
        assert watch.start()
        ours.send(message(DEL_ADDRESS, bytes(8)))
        ours.send(message(NEW_ADDRESS, bytes(8)))
        assert calls.wait(1)
        for _ in range(100):
            ours.send(link(UP | RUNNING))
        assert calls.wait(2)
        watch.close()
    assert calls.count < 100  # two, unless this machine needs seconds to send a hundred messages


def test_what_changed_raises_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next change is told as well."""
    calls = Calls()

    def failing() -> None:
        calls()
        raise ValueError("of the application")

    with kernel() as (ours, theirs), caplog.at_level(logging.ERROR, "edgequeue"):
        watch = NetworkWatch(failing, source=lambda: theirs)
        assert watch.start()
        for count in (1, 2):
            ours.send(message(NEW_ROUTE))
            assert calls.wait(count)
        watch.close()
    assert "of the application" in caplog.text


def test_close_ends_the_thread_and_may_be_called_again() -> None:
    """Also before a start; after it a watch does not begin again."""
    with kernel() as (_, theirs):
        watch = NetworkWatch(Calls(), source=lambda: theirs)
        assert watch.start()
        assert watch.start()
        (thread,) = threads()
        watch.close()
        assert not thread.is_alive()
        watch.close()
        assert not watch.start()
    unused = NetworkWatch(Calls())
    unused.close()
    assert not unused.start()


def test_changed_may_close_the_watch() -> None:
    """Whoever waited for the network only once; nobody waits for himself."""
    closed = threading.Event()

    def once() -> None:
        watch.close()
        closed.set()

    with kernel() as (ours, theirs):
        watch = NetworkWatch(once, source=lambda: theirs)
        assert watch.start()
        (thread,) = threads()
        ours.send(message(NEW_ROUTE))
        assert closed.wait(BOUND_SECONDS)
        thread.join(BOUND_SECONDS)
        assert not thread.is_alive()


def test_where_the_system_does_not_tell_nothing_happens() -> None:
    """No thread, no error: the worker goes by its clock alone."""
    watch = NetworkWatch(Calls(), source=lambda: None)
    assert not watch.start()
    assert threads() == []
    watch.close()


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_another_system_does_not_tell(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """Only Linux has this."""
    monkeypatch.setattr(sys, "platform", platform)
    assert listen() is None


# --- a real change of this machine -----------------------------------------------------------------------------------

ADD_REPLACE = 0x1 | 0x4 | 0x400 | 0x100  # NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE
REMOVE = 0x1 | 0x4


def set_address(kind: int, flags: int, address: str = "127.77.0.1") -> int:
    """Ask the kernel to give `lo` an address of its own network, or to take it away; 0, or its error number."""
    found = socket.inet_aton(address)
    attributes = b"".join(struct.pack("=HH4s", 8, which, found) for which in (2, 1))  # IFA_LOCAL, IFA_ADDRESS
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 254, socket.if_nametoindex("lo")) + attributes
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asking:
        asking.settimeout(BOUND_SECONDS)
        asking.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        return -int(struct.unpack_from("=i", asking.recv(4096), 16)[0])


@pytest.fixture
def change() -> Iterator[None]:
    """Leave to change the network, and an address that is gone afterwards."""
    source = listen()
    if source is None:
        pytest.skip("changes of the network are not told here (no netlink)")
    source.close()
    error = set_address(NEW_ADDRESS, ADD_REPLACE)
    if error in (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP):
        pytest.skip(f"an address of lo may not be changed here: {os.strerror(error)}")
    assert error == 0
    assert set_address(DEL_ADDRESS, REMOVE) == 0
    yield
    set_address(DEL_ADDRESS, REMOVE)


@pytest.mark.usefixtures("change")
def test_an_address_that_appears_is_heard_of() -> None:
    """From the kernel itself, each time."""
    calls = Calls()
    watch = NetworkWatch(calls)
    assert watch.start()
    for count in (1, 2):
        assert set_address(NEW_ADDRESS, ADD_REPLACE) == 0
        assert calls.wait(count)
        assert set_address(DEL_ADDRESS, REMOVE) == 0
    watch.close()


@pytest.mark.usefixtures("change")
def test_more_changes_than_there_is_room_for_are_a_change() -> None:
    """What the kernel had to throw away may have been the one that counts; and the socket goes on."""
    with listen() as one, listen() as other:  # type: ignore[union-attr]
        for each in (one, other):
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the least there is: some 2 kB
        for _ in range(100):
            assert set_address(NEW_ADDRESS, ADD_REPLACE) == 0
            assert set_address(DEL_ADDRESS, REMOVE) == 0
        with pytest.raises(OSError, match="buffer space"):
            one.recv(65536)
        assert read_news(other)
        assert not read_news(other)


FORKING = """
import os, sys, threading
sys.path.insert(0, os.environ["TESTS_OF"])
from edgequeue.network import NetworkWatch
from tests.integration.test_network import ADD_REPLACE, NEW_ADDRESS, Calls, set_address

calls = Calls()
watch = NetworkWatch(calls)
assert watch.start()
child = os.fork()
if child == 0:
    if sys.argv[1] == "again":
        assert watch.start()
        assert set_address(NEW_ADDRESS, ADD_REPLACE) == 0
        assert calls.wait(1)
    watch.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert set_address(NEW_ADDRESS, ADD_REPLACE) == 0
print(calls.wait(1))
watch.close()
"""


@pytest.mark.usefixtures("change")
@pytest.mark.parametrize("child", ["closes", "again"])
def test_what_a_forked_child_does_with_its_copy_is_not_the_parents(child: str) -> None:
    """It shares the pipe: closing the copy must not end the parent's watch. And it may start one of its own."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, child]
    environment = {**os.environ, "TESTS_OF": str(Path(__file__).resolve().parents[2])}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BOUND_SECONDS)
    assert (found.stdout.strip(), found.stderr) == ("True", "")
