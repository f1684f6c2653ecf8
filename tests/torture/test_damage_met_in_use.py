"""Damage that only shows in use: rows that contradict each other are salvaged by whatever meets them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edgequeue.errors import StoreDamaged
from edgequeue.store.connecting import PAGE_BYTES
from edgequeue.store.facade import SqliteStore
from edgequeue.testing import ManualClock
from tests.conftest import MakeStore
from tests.support import WEB, deliver, lease_of, put

FAR_MS = 2**62

_ODD_INDEX = "CREATE UNIQUE INDEX out_of_order ON pending (destination) WHERE sequence > 5 OR sequence = 3"


def change(path: Path, statement: str) -> None:
    """What no statement of ours does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def kept(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.glob(f"{path.name}.damaged-?"))


@pytest.fixture
def store(make_store: MakeStore) -> SqliteStore:
    """Two delivered events and three that wait."""
    store = make_store()
    store.register(WEB, "adobe-edge")
    put(store, 2)
    lease = lease_of(store)
    deliver(store, lease)
    store.release(lease)
    put(store, 3)
    return store


def test_an_event_that_is_missing_is_lost_and_holds_up_nothing(store: SqliteStore) -> None:
    """It waits in the work list, and there is nothing to send: who sends would look for it for ever."""
    change(store.path, "DELETE FROM events WHERE sequence = 4")
    claimed = store.claim(lease_of(store), FAR_MS, 10, 10_000)
    assert [one.sequence for one in claimed] == [3, 5]
    counts = store.counts()
    assert (counts.balanced, counts.pending, counts.lost, kept(store.path)) == (True, 2, 1, ["queue.db.damaged-1"])


def test_rows_that_contradict_our_own_keys_stop_nobody(store: SqliteStore) -> None:
    """A row stands where the next one belongs: it is the file that is wrong, and the event goes into a sound one."""
    change(store.path, _ODD_INDEX)
    assert put(store)
    assert (store.counts().pending, store.counts().balanced, kept(store.path)) == (4, True, ["queue.db.damaged-1"])


def test_a_ledger_that_does_not_balance_is_damage(store: SqliteStore) -> None:
    """Who asks for it has it salvaged, and is told what balances."""
    change(store.path, "UPDATE destinations SET delivered = 7")
    assert store.counts().balanced
    assert kept(store.path) == ["queue.db.damaged-1"]


@pytest.mark.parametrize("version", ["000#", "", "3", "00030"])
def test_a_damaged_version_is_no_newer_edgequeue(store: SqliteStore, make_store: MakeStore, version: str) -> None:
    """Nobody can upgrade to it: the events go into a new file."""
    store.close()
    change(store.path, f"UPDATE alembic_version SET version_num = '{version}'")
    again = make_store()
    assert (again.counts().pending, again.counts().balanced) == (3, True)
    assert kept(store.path) == ["queue.db.damaged-1"]


def test_damage_upon_damage_waits_in_words_that_are_true(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that damages what it was just given is not to be filled with copies; who opens it anew may go on."""
    monkeypatch.setattr(SqliteStore, "_patience", 600.0)
    for balanced in (True, False):
        change(store.path, "UPDATE destinations SET delivered = delivered + 5")
        assert store.counts().balanced is balanced
    with pytest.raises(StoreDamaged, match=r"so soon after a salvage .* nothing is deleted"):
        store.mend(StoreDamaged("damaged (again). "), store.generation)
    with closing(SqliteStore.open(store.path, clock=ManualClock())) as other:
        assert other.counts().balanced


@pytest.mark.parametrize("page", range(4, 30, 3))
def test_the_check_mends_what_it_finds(make_store: MakeStore, page: int) -> None:
    """Also where it cannot go on itself: who runs `doctor` first is not told to move a queue aside that can be read."""
    store = make_store()
    store.register(WEB, "adobe-edge")
    put(store, 60)
    store.close()
    with store.path.open("r+b") as file:
        file.seek(page * PAGE_BYTES)
        file.write(b"\xa5" * PAGE_BYTES)
    again = make_store()
    again.register(WEB, "adobe-edge")
    assert again.check() == []
    assert again.counts().balanced
    assert again.counts().pending >= 40
