"""Damaged files: whatever was done to them, the queue opens, counts what is gone, and goes on."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from edgequeue.errors import QueueBusy, StoreDamaged, StoreFull
from edgequeue.model import Priority
from edgequeue.store.base import EventFilter
from edgequeue.store.connecting import PAGE_BYTES
from edgequeue.store.facade import SqliteStore
from edgequeue.store.identity import plan_path
from edgequeue.store.lease import FileLock
from edgequeue.store.mark import Mark
from edgequeue.store.salvage import aside, rebuild
from edgequeue.store.salvage.copying import ROOTS, roots
from edgequeue.store.salvage.image import Image
from edgequeue.store.salvage.pages import TABLE_LEAF
from edgequeue.store.salvage.shapes import SHAPES
from edgequeue.store.tables import metadata
from edgequeue.testing import ManualClock
from tests.integration.scripts import finish, start
from tests.support import TIMEOUT_SECONDS, WEB, draft, put, sequence_of
from tests.torture.damage import DAMAGES, UNSEEN, Specimen, damage_page, examine, specimen, zeroed

SEEDS = 12
"""`make corrupt` does as many as there is time for."""


@pytest.fixture(scope="module", params=[False, True], ids=["closed", "crashed"])
def known(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    """A queue with events in every state: closed properly, and as a power cut leaves it."""
    return specimen(tmp_path_factory.mktemp("known"), Random(int(request.param)), events=150, crashed=request.param)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    return specimen(tmp_path_factory.mktemp("crashed"), Random(7), events=150, crashed=True)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(SEEDS))
def test_damage_in_one_page_costs_what_stood_on_it(known: Specimen, tmp_path: Path, seed: int) -> None:
    """Every event on sound pages is as it was, none goes out twice, the ledger balances, and enqueue works."""
    dice = Random(seed)
    path = known.copy(tmp_path / "queue.db")
    page, how = dice.choice(sorted(known.kinds)), dice.choice(DAMAGES)
    damage_page(path, page, how, dice)
    found = examine(path, known, {page}, exact=how not in UNSEEN)
    assert found.wrong == []


@pytest.mark.parametrize("seed", range(SEEDS // 2))
def test_damage_in_many_pages_leaves_a_queue_that_works(known: Specimen, tmp_path: Path, seed: int) -> None:
    """The ledger balances, nothing raises, and all that came back can be sent."""
    dice = Random(seed)
    path = known.copy(tmp_path / "queue.db")
    pages = set(dice.sample(sorted(known.kinds), dice.randrange(2, 30)))
    for page in pages:
        damage_page(path, page, dice.choice(DAMAGES), dice)
    assert examine(path, known, pages, exact=False).wrong == []


def one_of_each_kind(found: Specimen) -> list[int]:
    """And the pages above the others all: what hangs on one of them is found without it."""
    above = {number for number, kind in found.kinds.items() if kind.endswith("interior")}
    return sorted(above | set({kind: number for number, kind in found.kinds.items()}.values()))


def test_each_kind_of_page_can_be_zeroed(known: Specimen, tmp_path: Path) -> None:
    """Header, interior, leaf, overflow, index and free pages, one after another."""
    for page in one_of_each_kind(known):
        path = known.copy(tmp_path / f"{page}.db")
        damage_page(path, page, zeroed, Random(page))
        assert examine(path, known, {page}, exact=True).wrong == [], known.kinds[page]


@pytest.mark.parametrize("others", [{2}, {4}, {2, 3}, {2, 3, 4}, {3, 7, 19}], ids=str)
def test_the_first_page_may_go_with_pages_after_it(known: Specimen, tmp_path: Path, others: set[int]) -> None:
    """As a disk's block of 4 KiB does: where the tables begin is known all the same, and none that ended goes again."""
    path = known.copy(tmp_path / "queue.db")
    for page in {1} | others:
        damage_page(path, page, zeroed, Random(page))
    assert examine(path, known, {1} | others, exact=True).wrong == []


def test_the_top_of_a_table_may_be_replaced_by_one_of_its_own_leaves(known: Specimen, tmp_path: Path) -> None:
    """Two pages that changed places: both are whole, and the table reads as a small one without a gap.

    By its mark it is more.
    """
    path = known.copy(tmp_path / "queue.db")
    with Image(path) as image:
        top = roots(image)["events"]
        places = {number: image.log.pages.get(number) for number in known.kinds}
        pages = {number: image.page(number) or b"" for number in known.kinds}
    leaf = min(number for number, kind in known.kinds.items() if kind == "events" and pages[number][0] == TABLE_LEAF)
    for number, other in ((top, leaf), (leaf, top)):
        at = places[number]
        with (path if at is None else Path(f"{path}-wal")).open("r+b") as file:
            file.seek((number - 1) * PAGE_BYTES if at is None else at)
            file.write(pages[other])
    Mark(path).begin(next(iter(known.events))[:8], known.enqueued)
    found = examine(path, known, set(), exact=False)
    assert found.wrong == []
    assert found.back >= len(known.events) - 10, "more than stood on the leaf is gone"


@pytest.mark.parametrize("part", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_file_cut_short_keeps_what_is_left(known: Specimen, tmp_path: Path, part: float) -> None:
    """At whatever place, also in the middle of a page."""
    path = known.copy(tmp_path / "queue.db")
    size = int(path.stat().st_size * part)
    os.truncate(path, size)
    gone = set(range(size // PAGE_BYTES + 1, max(known.kinds) + 1))
    assert examine(path, known, gone, exact=False).wrong == []


# --- the log ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(SEEDS // 2))
def test_a_damaged_log_hides_nothing_but_its_damaged_pages(crashed: Specimen, tmp_path: Path, seed: int) -> None:
    """SQLite stops at the first frame that does not fit, and drops what was committed after it without a word."""
    dice = Random(seed)
    path = crashed.copy(tmp_path / "queue.db")
    log = Path(f"{path}-wal")
    size = log.stat().st_size
    with log.open("r+b") as file:
        file.seek(32 + (PAGE_BYTES + 24) * dice.randrange((size - 32) // (PAGE_BYTES + 24) * 9 // 10) + 300)
        file.write(dice.randbytes(40))
    found = examine(path, crashed, set(), exact=False)
    assert found.wrong == []
    assert found.back >= len(crashed.events) - 45, "more than a page of events, and what travelled with them, is gone"


def test_a_log_whose_header_is_overwritten_is_read_all_the_same(crashed: Specimen, tmp_path: Path) -> None:
    """SQLite would take it for empty."""
    path = crashed.copy(tmp_path / "queue.db")
    with Path(f"{path}-wal").open("r+b") as file:
        file.write(b"\xff" * 32)
    found = examine(path, crashed, set(), exact=False)
    assert (found.wrong, found.salvaged, found.back) == ([], True, len(crashed.events))


def test_a_log_that_is_missing_is_noticed(crashed: Specimen, tmp_path: Path) -> None:
    """Its shared memory speaks of it. What was in the log is gone; what is there works."""
    path = crashed.copy(tmp_path / "queue.db")
    Path(f"{path}-wal").unlink()
    found = examine(path, crashed, set(), exact=False)
    assert (found.wrong, found.salvaged) == ([], True)


def test_a_log_of_another_queue_is_not_applied(tmp_path: Path) -> None:
    """It fits by its own checksums, and SQLite would take it; it is moved aside with the rest."""
    mine = specimen(make(tmp_path / "mine"), Random(1), events=60, crashed=False)
    other = specimen(make(tmp_path / "other"), Random(2), events=60, crashed=True)
    path = mine.copy(tmp_path / "queue.db")
    shutil.copy(f"{other.path}-wal", f"{path}-wal")
    found = examine(path, mine, set(), exact=True)
    assert (found.wrong, found.back, found.salvaged) == ([], len(mine.events), True)
    assert Path(f"{path}.damaged-1-wal").read_bytes() == Path(f"{other.path}-wal").read_bytes()


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_torn_end_of_the_log_is_no_damage(crashed: Specimen, tmp_path: Path) -> None:
    """What a power cut leaves of a commit that nobody was told of: SQLite deals with it, and no file is moved."""
    path = crashed.copy(tmp_path / "queue.db")
    cut_log(path)
    Path(f"{path}-shm").unlink()  # as old as it likes, or not there: nobody flushes it
    store = SqliteStore.open(path, clock=ManualClock())
    assert (store.salvages(), store.counts().balanced) == ([], True)
    store.close()


def cut_log(path: Path) -> None:
    log = Path(f"{path}-wal")
    os.truncate(log, log.stat().st_size - PAGE_BYTES - 24)


def test_a_log_cut_short_where_nothing_lost_power_is_damage(crashed: Specimen, tmp_path: Path) -> None:
    """The shared memory tells how far it went: all up to the last whole commit comes back, and more may be lost."""
    path = crashed.copy(tmp_path / "queue.db")
    cut_log(path)
    found = examine(path, crashed, set(), exact=False)
    assert (found.wrong, found.salvaged, found.back) == ([], True, len(crashed.events))
    store = SqliteStore.open(path, clock=ManualClock())
    assert [(one.lost, one.more_lost) for one in store.salvages()] == [(0, True)]
    store.close()


# --- files that are something else ------------------------------------------------------------------------------------


def test_the_same_rows_come_back_from_the_log_alone(crashed: Specimen, tmp_path: Path) -> None:
    """A database that became empty beside its log: what the log has of it is salvaged."""
    path = crashed.copy(tmp_path / "queue.db")
    path.write_bytes(b"")
    assert examine(path, crashed, set(), exact=False).wrong == []


def test_somebody_elses_damaged_file_is_not_touched(tmp_path: Path) -> None:
    """Nothing in it is ours: it is refused, whatever is wrong with it, and no file appears beside it."""
    path = tmp_path / "queue.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.executemany("INSERT INTO recipes VALUES (?)", [("cake" * 300,)] * 50)
    connection.commit()
    connection.close()
    data = bytearray(path.read_bytes())
    data[:100] = b"\xff" * 100
    path.write_bytes(data)
    with pytest.raises(StoreDamaged, match="no SQLite database"):
        SqliteStore.open(path)
    assert (path.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (data, ["queue.db"])


# --- what a salvage keeps ---------------------------------------------------------------------------------------------


def damaged_copy(known: Specimen, path: Path) -> Path:
    """A copy whose first page of requests is zeroed, so that it must be salvaged as soon as it is looked at."""
    known.copy(path)
    damage_page(path, 1, zeroed, Random(0))
    return path


def test_the_damaged_files_are_kept_as_they_were(known: Specimen, tmp_path: Path) -> None:
    """All of them, together, under a name that `doctor` and the log tell."""
    path = damaged_copy(known, tmp_path / "queue.db")
    before = {
        suffix: Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal") if Path(f"{path}{suffix}").exists()
    }
    store = SqliteStore.open(path, clock=ManualClock())
    (one,) = store.salvages()
    store.close()
    assert {suffix: Path(f"{one.place}{suffix}").read_bytes() for suffix in before} == before


def test_old_ids_are_found_and_new_ones_bear_the_new_queues_id(known: Specimen, tmp_path: Path) -> None:
    """The payload's own id is the old one, byte for byte; a second salvage keeps both."""
    path = tmp_path / "queue.db"
    ids = [set(known.events)]
    known.copy(path)
    for turn in range(2):
        damage_page(path, 1, zeroed, Random(0))
        store = SqliteStore.open(path, clock=ManualClock())
        store.register(WEB, "adobe-edge")
        assert {one.event_id for one in store.events(EventFilter())} == set().union(*ids)
        assert all(store.resolve(one[:30]) == [one] for one in list(ids[0])[:3])
        ids.append(set(put(store, 2)))
        assert len(store.salvages()) == turn + 1
        store.close()
    assert len({one[:8] for few in ids for one in few}) == 3


def test_what_was_under_way_is_pending_with_an_unknown_outcome_on_record(known: Specimen, tmp_path: Path) -> None:
    """It may have arrived: it goes again, recognisably the same."""
    store = SqliteStore.open(damaged_copy(known, tmp_path / "queue.db"), clock=ManualClock())
    sending = [one.event_id for one in known.events.values() if one.status == "sending"]
    assert sending
    for event_id in sending:
        detail = store.get(event_id)
        assert detail is not None
        assert (detail.status, detail.history[-1].disposition) == ("pending", "unknown")
    store.close()


def test_a_database_made_in_one_go_has_its_trees_where_we_look_for_them(template: Path) -> None:
    """Without the first page nothing else says where they are."""
    connection = sqlite3.connect(template)
    found = dict(connection.execute("SELECT name, rootpage FROM sqlite_master"))
    connection.close()
    assert {name: found[name] for name in ROOTS} == ROOTS


def test_every_column_of_every_table_has_a_check() -> None:
    """A migration that adds one adds it to `salvage/shapes.py` too, or the rows of that table would not come back."""
    for name, table in metadata.tables.items():
        assert len(SHAPES[name].columns) == len(table.columns), name


# --- while the application runs ---------------------------------------------------------------------------------------


@pytest.fixture
def running(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "queue.db", clock=ManualClock())
    store.register(WEB, "adobe-edge")
    yield store
    store.close()


def ruin(path: Path) -> None:
    """Overwrite every page of events while the file is open; what the log has is copied back first."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((root - 1) * PAGE_BYTES)
        file.write(b"\xff" * PAGE_BYTES)
    connection.close()


def test_a_running_store_goes_on_by_itself(running: SqliteStore) -> None:
    """Enqueue finds the damage, salvages, and stores the event: the application sees nothing of it."""
    put(running, 30)
    ruin(running.path)
    others = SqliteStore.open(running.path, clock=ManualClock())
    (new,) = put(running, 1)
    assert [one.event_id for one in running.events(EventFilter())][-1] == new
    assert running.counts().balanced
    others.register(WEB, "adobe-edge")
    (second,) = put(others, 1)
    assert sequence_of(second) == sequence_of(new) + 1, "the other object has the new file too"
    others.close()
    assert Path(f"{running.path}-wal").exists(), "whose close has taken nothing away"
    assert running.get(second) is not None


def test_another_process_follows_to_the_new_file(running: SqliteStore) -> None:
    """It had the old one open, and would write where nobody looks any more."""
    put(running, 30)
    child = start(
        """
store = opened()
print("ready", flush=True)
sys.stdin.readline()
print(put(store), put(store))
store.close()
""",
        running.path,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == "ready\n"
    ruin(running.path)
    put(running, 1)
    child.stdin.write("go\n")
    child.stdin.flush()
    ids = finish(child)
    assert len(ids) == 2
    assert all(running.get(one) is not None for one in ids)
    assert running.counts().balanced


def test_while_another_process_salvages_one_is_told_to_try_again(
    running: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is stored then, and nothing waits for ever."""
    put(running, 30)
    monkeypatch.setattr(aside, "PATIENCE_SECONDS", 0.05)
    lock = FileLock.take(plan_path(running.path))
    assert lock is not None
    ruin(running.path)
    with pytest.raises(QueueBusy, match="another process is salvaging"):
        list(running.events(EventFilter()))
    lock.release()
    assert running.counts().balanced


@pytest.mark.parametrize("step", ["sync_directory", "_move_sides", "_plan"])
def test_a_salvage_that_was_cut_off_is_ended_or_begun_anew(
    known: Specimen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """At each step of the exchange, first and second call: no event is lost, no file of the old ones is gone."""
    for call in range(1, 4):
        path = damaged_copy(known, make(tmp_path / f"{step}{call}") / "queue.db")
        left = [call]
        whole = getattr(aside, step)

        def cut(*values: object, whole: Callable[..., None] = whole, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise PowerCutError
            whole(*values)

        monkeypatch.setattr(aside, step, cut)
        try:
            SqliteStore.open(path, clock=ManualClock()).close()
        except PowerCutError:
            pass
        finally:
            monkeypatch.undo()
        assert examine(path, known, {1}, exact=True).wrong == []
        assert Path(f"{path}.damaged-1").exists()
        assert plan_path(path).stat().st_size == 0


KILLED_AT = """
left = int(sys.argv[2])
def dying(event, values):
    global left
    if event in ("open", "os.link", "os.rename", "os.remove", "sqlite3.connect") and PATH.name in str(values):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
sys.addaudithook(dying)
opened().close()
"""
"""Dies before so many uses of a file of the queue's name."""

USES_OF_FILES = 34
"""A salvage and the opening after it use files so often."""


def test_a_salvage_that_is_killed_is_ended_by_the_next_open(known: Specimen, tmp_path: Path) -> None:
    """By SIGKILL, at every fifth use of a file, beginning with another one in each run: nothing is lost."""
    kills = 0
    for number in range(Random().randrange(1, 6), USES_OF_FILES, 5):
        path = damaged_copy(known, make(tmp_path / str(number)) / "queue.db")
        child = start(KILLED_AT, path, str(number))
        child.communicate(timeout=60)
        kills += child.returncode == -9
        assert examine(path, known, {1}, exact=True).wrong == [], f"killed at {number}"
        left = sorted(one.name for one in path.parent.iterdir() if "salvaging" in one.name)
        assert (left, Path(f"{path}.damaged-1").exists()) == ([], True), f"killed at {number}"
        assert not Path(f"{path}.damaged-2").exists()
    assert kills >= USES_OF_FILES // 5 - 1


def test_of_many_processes_that_find_the_damage_one_salvages(known: Specimen, tmp_path: Path) -> None:
    """The others wait and use what it has made: one file is kept, and all that they enqueue is there."""
    path = damaged_copy(known, tmp_path / "queue.db")
    children = [start("store = opened()\nprint(put(store), put(store))\nstore.close()\n", path) for _ in range(4)]
    ids = [one for child in children for one in finish(child)]
    store = SqliteStore.open(path, clock=ManualClock())
    there = {one.event_id for one in store.events(EventFilter())}
    assert len(set(ids)) == 8
    assert set(ids) | set(known.events) == there
    assert (len(store.salvages()), store.counts().balanced) == (1, True)
    assert not Path(f"{path}.damaged-2").exists()
    store.close()


class PowerCutError(BaseException):
    """The end of the process, for a test."""


def test_a_disk_without_room_for_the_copy_is_a_clear_error(
    known: Specimen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is touched, nothing half-made is left, and with room it works."""
    path = damaged_copy(known, tmp_path / "queue.db")
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise StoreFull("full")

    monkeypatch.setattr(rebuild, "copy_rows", full)
    with pytest.raises(StoreFull, match="no room for a copy"):
        SqliteStore.open(path, clock=ManualClock())
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*salvaging*"))
    monkeypatch.undo()
    assert examine(path, known, {1}, exact=True).wrong == []


def test_a_put_is_not_done_twice_by_being_done_again(running: SqliteStore) -> None:
    """The events of a bulk put that met the damage are stored once."""
    put(running, 30)
    ruin(running.path)
    ids = running.put_many(WEB, iter([draft("new"), draft("new")]), Priority.NORMAL, TIMEOUT_SECONDS)
    assert [one.event_id for one in running.events(EventFilter())][-2:] == ids
    assert (running.counts().pending, running.counts().balanced) == (32, True)
