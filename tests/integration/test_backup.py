"""Before an upgrade of a queue that holds events, or ever did, its file is copied; the newest few copies are kept."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from edgequeue.errors import StoreError, StoreFull
from edgequeue.store import backup, schema
from edgequeue.store.base import EventFilter
from edgequeue.store.facade import SqliteStore
from edgequeue.testing import ManualClock
from tests.integration.scripts import ROOT

SCHEMAS = sorted((ROOT / "tests" / "data" / "schemas").glob("*.sqlite"))
OLDER = [one for one in SCHEMAS if one.stem < schema.REVISION]


def sequences(path: Path) -> list[int]:
    """Read as SQLite alone does."""
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT sequence FROM events ORDER BY 1")]
    connection.close()
    return found


def copies(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir() if one.name.startswith(f"{path.name}.before-"))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copy(OLDER[0], tmp_path / "queue.db"))


def test_every_released_schema_is_kept() -> None:
    """One database of each, with events."""
    assert [one.stem for one in SCHEMAS] == [f"{number + 1:04d}" for number in range(int(schema.REVISION))]


@pytest.mark.parametrize("released", SCHEMAS, ids=lambda one: one.stem)
def test_a_database_of_each_schema_opens_with_its_events(tmp_path: Path, released: Path) -> None:
    """Older ones are copied first, and the copy is what the file was."""
    path = Path(shutil.copy(released, tmp_path / "queue.db"))
    before = sequences(path)
    store = SqliteStore.open(path, clock=ManualClock())
    assert len(list(store.events(EventFilter()))) == len(before) > 0
    assert store.counts().balanced
    store.close()
    assert copies(path) == ([f"queue.db.before-{schema.REVISION}"] if released in OLDER else [])
    for name in copies(path):
        assert sequences(path.with_name(name)) == before
        assert path.with_name(name).stat().st_mode & 0o777 == 0o600


def test_a_queue_that_never_held_an_event_is_not_copied(tmp_path: Path) -> None:
    """There is nothing to keep."""
    path = tmp_path / "queue.db"
    SqliteStore.open(path, clock=ManualClock()).close()
    assert copies(path) == []


def test_the_oldest_copies_go(old: Path) -> None:
    """Each takes the room of a queue. Copies that were made by hand have other names, and stay."""
    for number in range(backup.KEPT_MAX + 1):
        place = old.with_name(f"{old.name}.before-000{number}")
        place.touch()
        os.utime(place, (number, number))
    by_hand = old.with_name(f"{old.name}.before-the-fair")
    by_hand.touch()
    SqliteStore.open(old, clock=ManualClock()).close()
    assert copies(old) == ["queue.db.before-0002", "queue.db.before-0003", "queue.db.before-0003-2", by_hand.name]


def test_without_room_for_the_copy_nothing_is_upgraded(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says so; the older version can use the file still."""
    before = old.read_bytes()

    def full(*_: object) -> None:
        raise StoreFull("no room. Free some")

    monkeypatch.setattr(backup, "_copy", full)
    with pytest.raises(StoreFull):
        SqliteStore.open(old, clock=ManualClock())
    assert (sequences(old), copies(old)) == (sequences(OLDER[0]), [])
    assert len(old.read_bytes()) == len(before)


def test_a_copy_that_cannot_be_made_is_told(old: Path) -> None:
    """Something stands where the copy is begun; nothing is changed."""
    old.with_name(f"{old.name}.before-{schema.REVISION}.part").mkdir()
    with pytest.raises(StoreError, match="the backup that is made before an upgrade failed"):
        SqliteStore.open(old, clock=ManualClock())
    assert sequences(old) == sequences(OLDER[0])
