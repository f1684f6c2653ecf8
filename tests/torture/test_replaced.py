"""A database that is deleted, moved or replaced while it is open: it is noticed before an event is acknowledged, and by
the worker at its next look. What was acknowledged after that is in the file that has the name.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgequeue import EventQueue
from edgequeue.emulator import Emulator
from edgequeue.errors import LeaseLost, NotAQueue
from edgequeue.model import Draft, Priority
from edgequeue.outcome import Death
from edgequeue.preparing import DAMAGED
from edgequeue.store.base import EventFilter
from edgequeue.store.facade import SqliteStore
from edgequeue.testing import ManualClock
from tests.integration.scripts import BOUND_SECONDS, finish, start
from tests.support import ACCEPTED, TIMEOUT_SECONDS, WEB, answer, claim, draft, lease_of, put, send, sequence_of

SIDES = ("", "-wal", "-shm", f".{WEB}.lease")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[SqliteStore]:
    store = opened(tmp_path / "queue.db")
    yield store
    store.close()


def opened(path: Path) -> SqliteStore:
    store = SqliteStore.open(path, clock=ManualClock())
    store.register(WEB, "adobe-edge")
    return store


def delete(path: Path) -> None:
    for suffix in SIDES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def there(path: Path) -> list[str]:
    """The events that somebody finds who opens the file now."""
    store = opened(path)
    try:
        return [one.event_id for one in store.events(EventFilter())]
    finally:
        store.close()


class Meanwhile(Draft):
    """An event in the middle of whose commit something happens: the store takes it apart under the write lock."""

    act: Any = None

    def __iter__(self) -> Iterator[Any]:
        if self.act is not None:
            act, self.act = self.act, None
            act()
        return super().__iter__()


# --- deleted ----------------------------------------------------------------------------------------------------------


def test_an_event_goes_into_a_new_file_where_the_old_one_was_deleted(
    running: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says it loudly, with the number of events that went with the old one."""
    put(running, 3)
    delete(running.path)
    new = put(running, 2)
    assert there(running.path) == new
    assert (running.counts().enqueued, running.counts().balanced) == (2, True)
    (said,) = (one for one in caplog.records if one.levelno == logging.ERROR)
    assert "deleted or replaced while it was open, and with it 3 events" in said.message


def test_nor_is_an_event_lost_whose_commit_was_under_way(running: SqliteStore) -> None:
    """The check before the write cannot see it: the one after the commit does, and the event is stored again."""
    put(running, 3)
    fields = draft("last")
    event = Meanwhile(*fields)
    event.act = lambda: delete(running.path)
    event_id = running.put(WEB, event, Priority.NORMAL, TIMEOUT_SECONDS)
    assert there(running.path) == [event_id]


def test_all_events_of_threads_that_share_a_commit_are_in_the_new_file(running: SqliteStore) -> None:
    """The leader's error is every follower's, and each stores its own again."""
    put(running, 3)
    acknowledged: list[str] = []
    afterwards: list[str] = []
    begin, gone = threading.Barrier(8), threading.Event()

    def sell(number: int) -> None:
        begin.wait()
        for turn in range(20):
            if (number, turn) == (0, 10):
                delete(running.path)
                gone.set()
            to = afterwards if gone.is_set() else acknowledged
            to.append(running.put(WEB, draft(), Priority.NORMAL, TIMEOUT_SECONDS))

    threads = [threading.Thread(target=sell, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_SECONDS)
    found = set(there(running.path))
    assert len({*acknowledged, *afterwards}) == 160
    assert len(afterwards) >= 10
    assert set(afterwards) <= found <= {*acknowledged, *afterwards}


def test_what_the_log_still_holds_comes_back(running: SqliteStore) -> None:
    """Only the database itself was deleted: its log is not thrown away, as SQLite would."""
    before = put(running, 3)
    running.path.unlink()
    (new,) = put(running)
    assert there(running.path) == [*before, new]


@pytest.mark.parametrize("names", [["-wal"], ["-shm"], ["-wal", "-shm"]], ids="+".join)
def test_a_log_that_was_deleted_loses_nothing(
    running: SqliteStore, names: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """What is in it is copied back, by whichever object comes first; the others follow without a word of damage."""
    others = [opened(running.path) for _ in range(2)]
    before = put(running, 3)
    for name in names:
        Path(f"{running.path}{name}").unlink()
    after = [one for store in (running, *others) for one in put(store, 2)]
    assert there(running.path) == [*before, *after]
    assert "its log was deleted while it was open; what was in it is in the database" in caplog.text
    assert running.salvages() == []
    for store in others:
        store.close()
    assert there(running.path) == [*before, *after]


def test_a_log_that_was_deleted_loses_nothing_of_two_processes(running: SqliteStore) -> None:
    """Each has acknowledged events that stand in the log alone; both go on."""
    child = start(
        """
store = opened()
print(put(store), flush=True)
sys.stdin.readline()
print(put(store))
store.close()
""",
        running.path,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    ids = [child.stdout.readline().strip(), *put(running)]
    for name in ("-wal", "-shm"):
        Path(f"{running.path}{name}").unlink()
    ids += put(running)
    child.stdin.write("go\n")
    child.stdin.flush()
    ids += finish(child)
    assert there(running.path) == [*ids]
    assert put(running) == there(running.path)[4:]


@pytest.mark.parametrize("how", ["cut", "overwritten"])
def test_what_was_acknowledged_after_a_log_was_damaged_comes_back(running: SqliteStore, how: str) -> None:
    """SQLite writes on behind what it does not read again."""
    put(running, 3)
    log = Path(f"{running.path}-wal")
    if how == "cut":
        os.truncate(log, 0)
    else:
        with log.open("r+b") as file:
            file.write(bytes(log.stat().st_size))
    ids = put(running, 4)
    assert set(ids[1:]) <= set(there(running.path))
    assert running.counts().balanced


def test_a_file_that_nobody_else_may_read_stays_one(running: SqliteStore) -> None:
    """The new one has the mode of the old one."""
    delete(running.path)
    put(running)
    assert running.path.stat().st_mode & 0o777 == 0o600


# --- replaced ---------------------------------------------------------------------------------------------------------


def test_a_backup_that_is_put_back_is_used_from_then_on(
    running: SqliteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No two events have one id, no sequence is given again, and what is not in the backup is counted as lost."""
    (first,) = put(running)
    sqlite3.connect(running.path).backup(sqlite3.connect(tmp_path / "backup.db"))
    (gone,) = put(running)
    delete(running.path)
    shutil.move(tmp_path / "backup.db", running.path)
    (new,) = put(running)
    assert there(running.path) == [first, new]
    assert sequence_of(new) == sequence_of(gone) + 1
    ledger = running.counts()
    assert (ledger.enqueued, ledger.lost, ledger.pending, ledger.balanced) == (3, 1, 2, True)
    assert "newest event is gone" in caplog.text


@pytest.mark.parametrize("table", ["recipes", "events"])
def test_somebody_elses_database_in_its_place_is_refused_and_not_touched(
    running: SqliteStore, tmp_path: Path, table: str
) -> None:
    """Each enqueue says so; once it has gone, everything goes on."""
    put(running)
    connection = sqlite3.connect(tmp_path / "recipes.db")
    connection.execute(f"CREATE TABLE {table} (name TEXT)")
    connection.commit()
    connection.close()
    foreign = (tmp_path / "recipes.db").read_bytes()
    delete(running.path)
    shutil.copy(tmp_path / "recipes.db", running.path)
    for _ in range(2):
        with pytest.raises(NotAQueue, match="belongs to another program"):
            put(running)
        with pytest.raises(NotAQueue, match="belongs to another program"):
            running.change_counter()
    assert running.path.read_bytes() == foreign
    assert sorted(one.name for one in tmp_path.iterdir() if "damaged" in one.name) == []
    delete(running.path)
    assert put(running) == there(running.path)


def test_an_answer_to_a_request_of_the_old_file_changes_nothing_in_the_new_one(running: SqliteStore) -> None:
    """There its number and its sequences are somebody else's."""
    put(running, 2)
    lease = lease_of(running)
    travelling = send(running, lease)
    delete(running.path)
    other = opened(running.path)
    put(other, 2)
    taken = lease_of(running)  # the lease's file is deleted with the others, or released: another may take it
    assert (taken.fence, taken.destination) == (lease.fence, lease.destination)
    send(other, taken)
    answer(running, travelling, ACCEPTED)
    assert running.counts().delivered == 0
    assert running.counts().sending == 2
    for use in (
        lambda: claim(running, lease),
        lambda: running.bury(lease, [Death(1, Priority.NORMAL, 0, DAMAGED)], 0),
    ):
        with pytest.raises(LeaseLost):
            use()
    assert running.counts().dead == 0
    other.close()


def test_who_only_looks_sees_another_file_by_the_change_counter(running: SqliteStore) -> None:
    """Also where the new file has come to the same number."""
    before = running.change_counter()
    delete(running.path)
    assert running.change_counter() != before


# --- other processes --------------------------------------------------------------------------------------------------

CONFIG = """
[queue]
database = "queue.db"

[destinations.web]
type = "adobe-edge"
endpoint = "{url}"
datastream_id = "torture"
"""

SELLER = """
import sys
from edgequeue import EventQueue
with EventQueue.open(sys.argv[1]) as queue:
    for line in sys.stdin:
        event = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}
        print(queue.enqueue(event), flush=True)
"""


class Shop:
    """A till in a process of its own, `edgequeue run` in another, and the service."""

    def __init__(self, folder: Path, service: Emulator, stack: ExitStack) -> None:
        self.config, self.database = folder / "edgequeue.toml", folder / "queue.db"
        self.config.write_text(CONFIG.format(url=service.url))
        self._service = service
        self._worker = self._start(stack, "-m", "edgequeue", "--config", str(self.config), "run")
        self._till = self._start(stack, "-c", SELLER, str(self.config))

    def _start(self, stack: ExitStack, *words: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = stack.enter_context(
            subprocess.Popen([sys.executable, *words], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        )
        stack.callback(process.kill)
        return process

    def sell(self) -> str:
        """The id that the till was told."""
        assert self._till.stdin is not None
        assert self._till.stdout is not None
        self._till.stdin.write("sale\n")
        self._till.stdin.flush()
        return self._till.stdout.readline().strip()

    def arrive(self, *ids: str) -> None:
        """Return once the service has them and the worker has settled them."""
        deadline = time.monotonic() + BOUND_SECONDS
        never = threading.Event()
        while not set(ids) <= set(self._service.arrived.by_id) or self._pending():
            assert time.monotonic() < deadline, f"{ids} did not arrive"
            never.wait(0.02)

    def _pending(self) -> int:
        connection = sqlite3.connect(self.database)
        try:
            return int(connection.execute("SELECT count(*) FROM pending").fetchone()[0])
        finally:
            connection.close()

    def end(self) -> str:
        """What the worker has said on its way."""
        self._worker.terminate()
        _, said = self._worker.communicate(timeout=BOUND_SECONDS)
        finish(self._till)
        return said


@contextmanager
def shop(folder: Path) -> Iterator[Shop]:
    with Emulator() as service, ExitStack() as stack:
        one = Shop(folder, service, stack)
        one.arrive(one.sell())
        yield one


def test_till_and_worker_go_on_in_a_new_file(tmp_path: Path) -> None:
    """Neither is started again; the worker is told by its own look at the file."""
    with shop(tmp_path) as one:
        delete(one.database)
        one.arrive(one.sell(), one.sell())
        assert "deleted or replaced while it was open" in one.end()
    with EventQueue.open(one.config) as queue:
        ledger = queue.status().ledger
    assert (ledger.enqueued, ledger.delivered, ledger.balanced) == (2, 2, True)


@pytest.mark.parametrize("kept", [0, 1024], ids=["all of it", "all but the first page"])
def test_till_and_worker_go_on_where_the_file_was_zeroed(tmp_path: Path, kept: int) -> None:
    """While both have it open. The one event that was in it is counted as lost."""
    with shop(tmp_path) as one:
        connection = sqlite3.connect(one.database)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        with one.database.open("r+b") as file:
            size = file.seek(0, 2)
            file.seek(kept)
            file.write(bytes(size - kept))
        one.arrive(one.sell(), one.sell())
        one.end()
    with EventQueue.open(one.config) as queue:
        status = queue.status()
    assert [salvage.lost for salvage in status.salvages] == [1]
    ledger = status.ledger
    assert (ledger.enqueued, ledger.lost, ledger.delivered, ledger.balanced) == (3, 1, 2, True)


def test_a_database_deleted_beside_its_log_is_not_counted_twice(tmp_path: Path) -> None:
    """What had been delivered may go out again, as nothing is left that says so; it is one event all the same."""
    with shop(tmp_path) as one:
        one.database.unlink()
        one.arrive(one.sell())
        one.end()
    with EventQueue.open(one.config) as queue:
        status = queue.status()
    assert (status.ledger.enqueued, status.ledger.delivered, status.ledger.balanced) == (2, 2, True)
    assert [Path(salvage.place).exists() for salvage in status.salvages] == [True]
