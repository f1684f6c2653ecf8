"""A database that was killed, and one of its files damaged before the next opening: what the log holds is kept."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from pathlib import Path
from random import Random

import pytest

from edgequeue import AdobeEdge, EventQueue
from edgequeue.store.base import EventFilter
from edgequeue.store.connecting import PAGE_BYTES
from edgequeue.store.facade import SqliteStore
from edgequeue.store.mark import mark_path
from edgequeue.testing import ManualClock
from tests.support import WEB, put
from tests.torture.damage import SIDES

FRAME_BYTES = PAGE_BYTES + 24


class Killed:
    """The files of a queue that was killed: `early` events stand in the database, `late` ones in its log alone. Without
    its `mark`, as after a power cut.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "killed.db"
        live = folder / "live.db"
        store = SqliteStore.open(live, clock=ManualClock())
        store.register(WEB, "adobe-edge")
        self.early = put(store, 20)
        connection = sqlite3.connect(live)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        self.late = put(store, 20)
        self._copied(live, self.path)
        self.mark = mark_path(live).read_bytes()
        store.close()

    def _copied(self, source: Path, to: Path) -> None:
        for suffix in SIDES:
            shutil.copy(f"{source}{suffix}", f"{to}{suffix}")

    def copy(self, folder: Path) -> Path:
        """A copy to damage."""
        folder.mkdir(exist_ok=True)
        self._copied(self.path, folder / "queue.db")
        return folder / "queue.db"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    return Killed(tmp_path_factory.mktemp("killed"))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


def opened(path: Path) -> SqliteStore:
    store = SqliteStore.open(path, clock=ManualClock())
    store.register(WEB, "adobe-edge")
    return store


def came_back(path: Path) -> set[str]:
    """The events of the queue after it was opened; its ledger balances."""
    store = opened(path)
    try:
        assert store.counts().balanced
        return {one.event_id for one in store.events(EventFilter())}
    finally:
        store.close()


def moved_aside(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.glob("*.damaged-*") if not one.name.endswith("-shm"))


# --- whose log it is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["zeros", "garbage"])
def test_a_damaged_page_of_the_database_does_not_cost_its_log(killed: Killed, tmp_path: Path, how: str) -> None:
    """A page that cannot be read is no sign that the log is another queue's: what stands in the log comes back."""
    for page in range(killed.path.stat().st_size // PAGE_BYTES):
        path = killed.copy(tmp_path / str(page))
        with path.open("r+b") as file:
            file.seek(page * PAGE_BYTES)
            file.write(bytes(PAGE_BYTES) if how == "zeros" else Random(page).randbytes(PAGE_BYTES))
        assert set(killed.late) <= came_back(path), f"page {page + 1}"


def test_a_flipped_mark_in_the_databases_header_does_not_cost_its_log(killed: Killed, tmp_path: Path) -> None:
    """The queue's own row says whose it is as well: one of the two that agrees is enough."""
    path = killed.copy(tmp_path)
    with path.open("r+b") as file:
        file.seek(60)
        mark = file.read(4)
        file.seek(60)
        file.write(bytes((mark[0] ^ 1, *mark[1:])))
    assert {*killed.early, *killed.late} <= came_back(path)


# --- whose events they are --------------------------------------------------------------------------------------------


def without_names(killed: Killed, folder: Path) -> Path:
    """The database gone, as someone deletes it, and its log left: no row says what destination 1 was called."""
    path = killed.copy(folder)
    path.unlink()
    return path


def pending_of(path: Path, *names: str) -> dict[str, int]:
    """What waits for each destination, after a queue with these was opened."""
    found = [AdobeEdge(name, endpoint="http://127.0.0.1:9", datastream_id="d") for name in names]
    with EventQueue(path, found) as queue:
        return {name: one.counts.pending for name, one in queue.status().destinations.items()}


def test_events_without_a_name_go_to_the_one_destination_that_is_not_known(killed: Killed, tmp_path: Path) -> None:
    """The configuration is the last that knows it; the events are sent."""
    path = without_names(killed, tmp_path)
    waiting = pending_of(path, WEB)
    assert (list(waiting), waiting[WEB] >= len(killed.late)) == ([WEB], True)


def test_with_two_destinations_nobody_guesses(killed: Killed, tmp_path: Path) -> None:
    """Events must not go to somebody else: they wait under a name that says that it is none."""
    waiting = pending_of(without_names(killed, tmp_path), WEB, "till")
    assert (waiting[WEB], waiting["till"], waiting["unknown-1"] > 0) == (0, 0, True)


def test_a_revision_of_the_schema_is_no_destinations_name(killed: Killed, tmp_path: Path) -> None:
    """It stands in an index of the same shape as the destinations' names, which a lost first page mixes up."""
    path = killed.copy(tmp_path)
    connection = sqlite3.connect(path)
    places = {"alembic": "sqlite_autoindex_alembic_version_1", "names": "sqlite_autoindex_destinations_1"}
    query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
    roots = {key: connection.execute(query, (name,)).fetchone()[0] for key, name in places.items()}
    roots["rows"] = connection.execute(query, ("destinations",)).fetchone()[0]
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with path.open("r+b") as file:
        for root in (1, roots["rows"], roots["names"]):
            file.seek((root - 1) * PAGE_BYTES)
            file.write(bytes(PAGE_BYTES))
    assert roots["alembic"] not in (1, roots["rows"], roots["names"])
    assert pending_of(path, WEB) == {WEB: 40}
