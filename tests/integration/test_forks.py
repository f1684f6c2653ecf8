"""A process that is copied: both halves enqueue and deliver, and neither loses what the other was told is safe.

SQLite keeps its locks in the memory of the process, and the kernel gives them to no child: nothing that was open before
a fork may be open after it. In processes of their own, because pytest's has threads.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgequeue import AdobeEdge, EventQueue
from edgequeue.emulator import Emulator, Fault
from edgequeue.store.facade import SqliteStore
from edgequeue.testing import ManualClock
from tests.integration.scripts import BOUND_SECONDS, PRELUDE, ROOT, finish, run, start
from tests.support import WEB

KILLED_CHILD = """
import signal
def pipe():
    reading, writing = os.pipe()
    return lambda: os.read(reading, 1), lambda: os.write(writing, b"x")
store = opened()
put(store)
put_one, say_put_one = pipe()
closed, say_closed = pipe()
child = os.fork()
if child == 0:
    put(store)
    say_put_one()
    closed()
    for _ in range(20):
        put(store)
    os.kill(os.getpid(), signal.SIGKILL)
put_one()
store.close()
say_closed()
os.waitpid(child, 0)
"""


def counted(path: Path) -> int:
    """How many events are there, in a sound file with books that balance."""
    store = SqliteStore.open(path, clock=ManualClock())
    counts = store.counts()
    assert store.check() == []
    assert counts.balanced
    store.close()
    return counts.enqueued


def test_what_a_child_enqueued_is_safe_when_its_parent_closes(tmp_path: Path) -> None:
    """The parent is not the last to close: the log stays, and the child's events are there after it was killed."""
    run(KILLED_CHILD, tmp_path / "queue.db")
    assert counted(tmp_path / "queue.db") == 22


def test_a_child_that_only_ends_takes_nothing_with_it(tmp_path: Path) -> None:
    """A child that never used the queue ends long after its parent; meanwhile a third process enqueues and is killed.
    The end of the child's interpreter must not remove the log that holds those events.
    """
    parent = """
import subprocess, time
store = opened()
put(store)
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    os.read(reading, 1)
    sys.exit(0)
store.close()
subprocess.run([sys.executable, "-c", os.environ["THIRD"], str(PATH)])
assert PATH.with_name(PATH.name + "-wal").stat().st_size > 0
os.write(writing, b"x")
_, ended = os.waitpid(child, 0)
assert ended == 0
"""
    third = (
        "import signal\nstore = opened()\nfor _ in range(20):\n    put(store)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run(f"os.environ['THIRD'] = {PRELUDE + third!r}\n{parent}", tmp_path / "queue.db")
    assert counted(tmp_path / "queue.db") == 21


def test_a_fork_waits_for_whoever_looks_and_whoever_upgrades(tmp_path: Path) -> None:
    """A listing in the middle of a page, a file that is being made: the child can use both all the same."""
    words = run(
        """
store = opened()
for _ in range(50):
    put(store)
from edgequeue.store.base import EventFilter
assert len(list(store.events(EventFilter()))) == 50  # imports done: Python's own import locks do not survive a fork
done = threading.Event()
def look():
    while not done.wait(0.001):
        assert len(list(store.events(EventFilter()))) >= 50
def make():
    number = 0
    while not done.wait(0.001):
        number += 1
        SqliteStore.open(PATH.with_name(f"made-{number}.db")).close()
threads = [threading.Thread(target=one, daemon=True) for one in (look, look, make)]
for thread in threads:
    thread.start()
for round in range(15):
    child = os.fork()
    if child == 0:
        put(store)
        list(store.events(EventFilter()))
        SqliteStore.open(PATH.with_name(f"child-{round}.db")).close()
        os._exit(0)
    _, ended = os.waitpid(child, 0)
    assert ended == 0
done.set()
for thread in threads:
    thread.join(30)
    assert not thread.is_alive()
print(store.counts().pending, store.check() or "sound")
""",
        tmp_path / "queue.db",
    )
    assert words == ["65", "sound"]


BOTH_SEND = """
import os, sys
from edgequeue import AdobeEdge, EventQueue
path, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
event = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}
web = AdobeEdge("web", datastream_id="fork", endpoint=url, batch_events_max=5)
with EventQueue(path, [web]) as queue:
    queue.enqueue(event)
    queue.start()
    for _ in range(count):
        queue.enqueue(event)
    child = os.fork()  # in the middle of the worker's exchanges
    if child == 0:
        queue.start()
    for _ in range(count):
        queue.enqueue(event)
    if child:
        _, ended = os.waitpid(child, 0)
        assert ended == 0, ended
    queue.sync(timeout_seconds=30)
    assert queue.status().ledger.balanced
"""


def test_both_halves_of_a_process_with_a_worker_enqueue_and_deliver(tmp_path: Path) -> None:
    """The child starts a worker of its own, its parent's goes on, both leave the `with` block: each event arrives once
    and is delivered. Whoever has the lease sends, and sync waits for it.
    """
    with Emulator() as service:
        service.add_fault(Fault("delay", seconds=0.01, times=None))
        command = [sys.executable, "-c", BOTH_SEND, str(tmp_path / "queue.db"), service.url, "40"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2 * BOUND_SECONDS)
        assert ended.returncode == 0, ended.stderr
        with EventQueue(tmp_path / "queue.db", [AdobeEdge(WEB, datastream_id="fork", endpoint=service.url)]) as queue:
            queue.sync()
            ledger = queue.status().ledger
        assert (ledger.enqueued, ledger.delivered, ledger.balanced) == (121, 121, True)
        assert (service.arrived.distinct, service.arrived.duplicates) == (121, 0)


@pytest.mark.parametrize("end", ["parent", "child"])
def test_either_half_may_be_killed(tmp_path: Path, end: str) -> None:
    """What both were told is safe is there, whoever was killed and in the middle of whatever."""
    process = start(
        """
end = sys.argv[2]
store = opened()
put(store)
child = os.fork()
name = "parent" if child else "child"
if name != end:  # the survivor enqueues until the other one is gone
    for _ in range(60):
        os.write(1, (put(store) + "\\n").encode())
    store.close()
    os._exit(0)
import signal
for _ in range(20):
    os.write(1, (put(store) + "\\n").encode())
os.kill(os.getpid(), signal.SIGKILL)
""",
        tmp_path / "queue.db",
        end,
    )
    if end == "child":
        ids = finish(process)
    else:
        with process:
            out, _ = process.communicate(timeout=BOUND_SECONDS)  # the pipe is open until the child has ended too
        assert process.returncode == -signal.SIGKILL
        ids = out.split()
    assert len(ids) == len(set(ids)) == 80
    assert counted(tmp_path / "queue.db") == 81


FORK_WHILE_IMPORTING = """
import os, sys, threading
from pathlib import Path
from edgequeue.lazily import importing
folder = Path(sys.argv[1])
words = "import __main__; __main__.begun.set(); __main__.forking.wait(); done = range(10**6)"
(folder / "slow_module.py").write_text(words)
sys.path.insert(0, str(folder))
begun, forking = threading.Event(), threading.Event()
def load():
    with importing():
        import slow_module
threading.Thread(target=load).start()
begun.wait()
forking.set()
child = os.fork()  # Python does not wait for the import, and the module would be locked in the child for ever
import slow_module
if child == 0:
    os._exit(len(slow_module.done) != 10**6)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_fork_waits_for_an_import_under_way(tmp_path: Path) -> None:
    """A worker's thread imports what it needs first when it needs it: the child must be able to as well."""
    command = [sys.executable, "-c", FORK_WHILE_IMPORTING, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=BOUND_SECONDS)
    assert (ended.returncode, ended.stderr) == (0, "")


LOOK_AT_IMPORTS = """
import sys, threading
from edgequeue import AdobeEdge, EventQueue, lazily
event = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}
def look(name, values):
    if name == "import" and threading.current_thread() is not threading.main_thread() and not lazily._turn._is_owned():
        print(values[0], flush=True)
sys.addaudithook(look)
path, url = sys.argv[1:]
done = threading.Event()
gone = AdobeEdge("gone", datastream_id="d", endpoint="http://127.0.0.1:1")
found = [AdobeEdge("web", datastream_id="d", endpoint=url), gone]
with EventQueue(path, found, on_delivered=lambda record: done.set()) as queue:
    queue.enqueue(event, destination="gone")
    queue.enqueue(event, destination="web")
    queue.start()
    done.wait(60)
    queue.status()
"""


def test_what_a_worker_imports_it_imports_so_that_a_fork_waits(tmp_path: Path) -> None:
    """Its threads import nothing otherwise, from the first request to the first failure."""
    with Emulator() as service:
        command = [sys.executable, "-c", LOOK_AT_IMPORTS, str(tmp_path / "queue.db"), service.url]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2 * BOUND_SECONDS)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
