"""The mark beside the database: by it events are counted of which nothing else is left, and it harms nobody."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from edgequeue.errors import StoreDamaged, StoreFull
from edgequeue.model import Priority
from edgequeue.store.facade import SqliteStore
from edgequeue.store.mark import Mark, mark_path, read_mark
from edgequeue.testing import ManualClock
from edgequeue.views import Ledger
from tests.integration.scripts import run
from tests.support import TIMEOUT_SECONDS, WEB, draft, put, sequence_of
from tests.torture.test_damaged_logs import Killed, killed, moved_aside, opened, quiet

__all__ = ["killed", "quiet"]

GIVEN = 40
"""By the fixture: 20 events in the database, then 20 in its log."""


def copy_with_mark(killed: Killed, folder: Path) -> Path:
    """A copy of the queue that was killed, with its mark."""
    path = killed.copy(folder)
    mark_path(path).write_bytes(killed.mark)
    return path


def ledger_of(path: Path) -> Ledger:
    store = opened(path)
    try:
        return store.counts()
    finally:
        store.close()


@pytest.mark.parametrize("what", ["the log", "the log and its memory", "half of the log", "all of the file"])
def test_events_whose_rows_are_gone_are_counted_as_lost(killed: Killed, tmp_path: Path, what: str) -> None:
    """Nothing in the files that are left tells of them."""
    path = copy_with_mark(killed, tmp_path)
    log, memory = Path(f"{path}-wal"), Path(f"{path}-shm")
    if what == "half of the log":
        os.truncate(log, log.stat().st_size // 2)
    else:
        log.unlink()
    if what != "the log":
        memory.unlink()
    if what == "all of the file":
        path.write_bytes(b"")
    ledger = ledger_of(path)
    assert (ledger.enqueued, ledger.balanced) == (GIVEN, True)
    assert ledger.lost == GIVEN - ledger.pending > 0
    assert moved_aside(path) != []


def test_a_file_cut_short_after_it_was_closed_has_what_it_lost_counted(tmp_path: Path) -> None:
    """Also the newest pages, of which no other page knows how many events they held."""
    path = tmp_path / "queue.db"
    store = opened(path)
    put(store, GIVEN)
    store.close()
    os.truncate(path, path.stat().st_size * 2 // 3)
    ledger = ledger_of(path)
    assert (ledger.enqueued, ledger.balanced) == (GIVEN, True)


def test_no_sequence_is_given_twice_after_the_newest_part_was_lost(killed: Killed, tmp_path: Path) -> None:
    """What is in a service's books under an id stays one event's."""
    path = copy_with_mark(killed, tmp_path)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    store = opened(path)
    (new,) = put(store)
    store.close()
    assert sequence_of(new) == GIVEN + 1


def test_the_mark_follows_each_way_in(tmp_path: Path) -> None:
    """One event, many events, several threads' events in one commit; and before the next put."""
    store = opened(tmp_path / "queue.db")

    def given() -> tuple[str, int]:
        return store.queue_id, store.counts().enqueued

    put(store)
    assert read_mark(store.path) == given() == (store.queue_id, 1)
    store.put_many(WEB, [draft()] * 3, Priority.NORMAL, TIMEOUT_SECONDS)
    assert read_mark(store.path) == given() == (store.queue_id, 4)
    tills = [threading.Thread(target=put, args=(store,)) for _ in range(8)]
    with store._database.write():  # they wait for it, and the first of them commits for the others
        for till in tills:
            till.start()
        while len(store._intake._group._waiting) < len(tills) - 1:
            os.sched_yield()
    for till in tills:
        till.join()
    assert read_mark(store.path) == given() == (store.queue_id, 12)
    store.close()


def test_a_queue_that_goes_on_in_a_new_file_has_a_new_mark(tmp_path: Path) -> None:
    """All its files were deleted while it was open, the mark among them."""
    store = opened(tmp_path / "queue.db")
    put(store, 3)
    for file in tmp_path.iterdir():
        file.unlink()
    put(store, 2)
    assert read_mark(store.path) == (store.queue_id, 2)
    store.close()


@pytest.mark.parametrize(
    "words",
    [b"", b"\0" * 31, b"zzzzzzzz 000000000900 00000000\n", b"zzzzzzzz 999999999999 \xff\xff\xff\xff\xff\xff\xff\xff\n"],
)
def test_a_mark_that_makes_no_sense_says_nothing(killed: Killed, tmp_path: Path, words: bytes) -> None:
    """It has a checksum; the queue opens as if there were none."""
    path = killed.copy(tmp_path)
    mark_path(path).write_bytes(words)
    assert read_mark(path) is None
    assert ledger_of(path).enqueued == GIVEN
    assert moved_aside(path) == []
    assert read_mark(path) is not None


def test_another_queues_mark_says_nothing(killed: Killed, tmp_path: Path) -> None:
    """Files are moved about; only the mark of the queue of that id counts."""
    path = killed.copy(tmp_path)
    Mark(path).begin("0ther0ne", 900)
    ledger = ledger_of(path)
    assert (ledger.enqueued, ledger.lost) == (GIVEN, 0)
    assert moved_aside(path) == []


def test_a_queue_whose_mark_cannot_be_written_takes_events(tmp_path: Path) -> None:
    """It is a help, and the database counts."""
    mark_path(tmp_path / "queue.db").mkdir()
    store = SqliteStore.open(tmp_path / "queue.db")
    store.register("web", "adobe-edge")
    put(store, 3)
    assert store.counts().enqueued == 3
    store.close()


# --- what must not be taken for a loss --------------------------------------------------------------------------------


def test_what_was_refused_is_not_lost(tmp_path: Path) -> None:
    """A bulk put that fails has reached further than it gave; damage that is found later does not count that."""
    path = tmp_path / "queue.db"
    store = opened(path)
    put(store, 50)

    with store._database.write() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 1500}")  # the disk is full in the middle
    with pytest.raises(StoreFull):
        store.put_many(WEB, [draft("x" * 900) for _ in range(2000)], Priority.NORMAL, TIMEOUT_SECONDS)
    store.mend(StoreDamaged("found by hand"), store.generation)
    ledger = store.counts()
    assert (ledger.enqueued, ledger.pending, ledger.lost) == (50, 50, 0)
    store.close()


def test_a_new_queue_where_another_was_deleted_is_no_loss(tmp_path: Path) -> None:
    """The mark of the old one is of a file that somebody deleted."""
    path = tmp_path / "queue.db"
    store = opened(path)
    put(store, 5)
    store.close()
    path.unlink()
    ledger = ledger_of(path)
    assert (ledger.enqueued, ledger.lost) == (0, 0)
    assert moved_aside(path) == []


def test_with_a_weaker_durability_a_mark_that_is_ahead_is_no_damage(killed: Killed, tmp_path: Path) -> None:
    """A power cut takes the last events there, as was asked for."""
    path = killed.copy(tmp_path)
    mark_path(path).write_bytes(killed.mark)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    SqliteStore.open(path, clock=ManualClock(), durability="normal").close()
    assert moved_aside(path) == []
    assert ledger_of(path).lost == 0, "and from then on the mark says what the file does"


def test_a_mark_is_not_lowered_by_who_has_read_an_older_number(tmp_path: Path) -> None:
    """Between reading and writing it another process may have stored more."""
    mark = Mark(tmp_path / "queue.db")
    mark.begin("0ther0ne", 9)
    mark.begin("0ther0ne", 7)
    assert read_mark(tmp_path / "queue.db") == ("0ther0ne", 9)
    mark.begin("an0ther1", 3)
    assert read_mark(tmp_path / "queue.db") == ("an0ther1", 3)
    mark.close()


BECOMES_A_DAEMON = """
import os
store = opened()
put(store)
child = os.fork()
if child == 0:
    os.closerange(3, 256)
    files = [open(f"{sys.argv[1]}.own-{number}", "w+") for number in range(8)]
    put(store)
    store.close()
    assert all(os.fstat(one.fileno()).st_size == 0 for one in files)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_child_that_closes_what_it_inherits_writes_into_no_other_file(tmp_path: Path) -> None:
    """As every daemon does: the number of the mark's descriptor is another file's then."""
    run(BECOMES_A_DAEMON, tmp_path / "queue.db")
    assert read_mark(tmp_path / "queue.db") is not None
    assert ledger_of(tmp_path / "queue.db").enqueued == 2
