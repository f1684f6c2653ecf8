"""Zeros ahead of the log: nothing that SQLite, a crash or a salvage takes for more than its end."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgequeue.store.connecting import checkpoint_bytes
from edgequeue.store.facade import SqliteStore
from edgequeue.store.logroom import AHEAD_BYTES, BYTES_MIN
from edgequeue.testing import ManualClock
from tests.support import WEB, put

PUTS = 60
"""Some 4 KB of log each: beyond `BYTES_MIN`."""


def opened(path: Path) -> SqliteStore:
    store = SqliteStore.open(path, clock=ManualClock())
    store.register(WEB, "adobe-edge")
    return store


def log_bytes(store: SqliteStore) -> int:
    return Path(f"{store.path}-wal").stat().st_size


def test_a_process_that_stores_a_few_events_makes_no_room(tmp_path: Path) -> None:
    """It would write more than its events."""
    store = opened(tmp_path / "queue.db")
    put(store, 5)
    assert log_bytes(store) < BYTES_MIN
    store.close()


def test_the_log_has_room_ahead_and_no_more_than_that(tmp_path: Path) -> None:
    """The file ends in zeros; and it never grows beyond where it is begun anew by much."""
    store = opened(tmp_path / "queue.db")
    put(store, PUTS)
    log = Path(f"{store.path}-wal").read_bytes()
    assert len(log) - len(log.rstrip(b"\0")) > AHEAD_BYTES // 2
    put(store, 1500)
    assert log_bytes(store) <= checkpoint_bytes(store.path) + AHEAD_BYTES
    store.close()


def test_a_log_with_room_is_a_sound_one_after_a_kill(tmp_path: Path) -> None:
    """What is copied here is what a kill leaves: every event is there, and nothing is salvaged."""
    store = opened(tmp_path / "live.db")
    ids = put(store, PUTS)
    for suffix in ("", "-wal", "-shm", ".mark"):
        shutil.copy(f"{store.path}{suffix}", tmp_path / f"killed.db{suffix}")
    store.close()
    killed = opened(tmp_path / "killed.db")
    assert (killed.counts().enqueued, killed.salvages(), killed.check()) == (len(ids), [], [])
    killed.close()


def test_no_room_is_no_error(tmp_path: Path) -> None:
    """The log cannot be opened a second time, as on a disk that fails: events go in all the same."""
    store = opened(tmp_path / "queue.db")
    put(store, 1)
    store._intake._log_room._log = str(tmp_path / "missing" / "log")
    put(store, PUTS)
    assert store.counts().enqueued == PUTS + 1
    store.close()
