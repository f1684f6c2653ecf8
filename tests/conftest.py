"""What all tests share: a clock in their hands, stores that are quick to make, and how hypothesis runs."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from edgequeue.store.facade import SqliteStore
from edgequeue.store.schema import create_file, ensure_schema
from edgequeue.store.sqlite import Database
from edgequeue.testing import ManualClock

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "local"))

# Who starts the tests in the background has Ctrl-C ignored in them, and in every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

MakeStore = Callable[..., SqliteStore]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that is new and nothing else; copying it takes a hundredth of the time of making one."""
    path = tmp_path_factory.mktemp("template") / "queue.db"
    create_file(path)
    database = Database(path)
    ensure_schema(database)
    database.close()
    return path


@pytest.fixture
def make_store(tmp_path: Path, template: Path, clock: ManualClock) -> Iterator[MakeStore]:
    """Opens a SQLite store under the test's own directory, the same file again when it is asked twice."""
    opened: list[SqliteStore] = []

    def make(name: str = "queue.db", **options: object) -> SqliteStore:
        path = tmp_path / name
        if not path.exists():
            shutil.copy(template, path)
        opened.append(SqliteStore.open(path, **{"clock": clock, **options}))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for store in opened:
        store.close()
