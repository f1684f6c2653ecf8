"""The migrations: one line of them, exactly the tables that the code means, all or nothing, run only where needed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from edgequeue.errors import QueueBusy, SchemaError, StoreError
from edgequeue.learning import NOTHING
from edgequeue.store import schema
from edgequeue.store.facade import SqliteStore
from edgequeue.store.tables import metadata
from edgequeue.testing import ManualClock
from tests.conftest import MakeStore
from tests.integration.scripts import ROOT, finish, run, start
from tests.support import WEB, put

RELEASED = ROOT / "tests" / "data" / "migrations.sha256.json"

FAILING = """
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade():
    op.execute("CREATE TABLE half (id INTEGER)")
    op.execute("ALTER TABLE events ADD COLUMN more TEXT")
    op.execute("{fault}")
"""
"""A migration that may fail after it has already changed something."""


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(schema.migrations_dir()))
    return ScriptDirectory.from_config(config)


def objects(path: Path) -> dict[str, str]:
    """What SQLite itself says is in the file."""
    connection = sqlite3.connect(path)
    found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    connection.close()
    return found


def migrate(path: Path, to: str, *statements: str) -> None:
    """Alembic's own upgrade of a file, and what is to be in it then."""
    config = Config()
    config.set_main_option("script_location", str(schema.migrations_dir()))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def plain(sql: str) -> str:
    """A statement without the spaces that nobody reads."""
    return re.sub(r"\s+", "", sql)


def revision(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]
    connection.close()
    return found


# --- the scripts ------------------------------------------------------------------------------------------------------


def test_the_revision_is_the_newest_migration() -> None:
    """What opening compares with is what upgrading comes to."""
    assert scripts().get_heads() == [schema.REVISION]


def test_the_migrations_are_one_line() -> None:
    """Each follows one other, from one base, and no number comes twice."""
    found = list(scripts().walk_revisions())
    assert [one.down_revision for one in found] == [*(one.revision for one in found[1:]), None]
    assert len({one.revision for one in found}) == len(found)


def test_a_released_migration_is_never_edited() -> None:
    """Databases out there were made by it: what is wrong with it is mended by the next one.

    A new migration is added to the file of sums when it is released.
    """
    released = json.loads(RELEASED.read_text())
    folder = ROOT / "migrations" / "versions"
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.py"))}
    assert found == released


def test_migrations_do_not_import_edgequeue() -> None:
    """They mean the same in five years, whatever becomes of the code."""
    for path in (ROOT / "migrations" / "versions").glob("*.py"):
        assert "edgequeue" not in [
            word for line in path.read_text().splitlines() if "import" in line for word in line.split()
        ]


# --- what they build --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database that has walked through all migrations."""
    path = tmp_path_factory.mktemp("migrated") / "queue.db"
    schema.create_file(path)
    migrate(path, "head")
    return path


def test_a_new_database_is_what_the_migrations_build(migrated: Path, template: Path) -> None:
    """It is made from `latest.STATEMENTS` instead, which no migration may leave behind. Where this fails: copy what
    SQLite shows of a migrated database over.
    """

    def columns(path: Path) -> dict[str, list[tuple[object, ...]]]:
        connection = sqlite3.connect(path)
        found = {name: connection.execute(f"PRAGMA table_info({name})").fetchall() for name in objects(path)}
        connection.close()
        return found

    assert columns(template) == columns(migrated)
    assert {name: plain(sql) for name, sql in objects(template).items()} == {
        name: plain(sql) for name, sql in objects(migrated).items()
    }
    assert revision(template) == revision(migrated)


def test_the_migrated_tables_are_those_that_the_code_means(migrated: Path) -> None:
    """Alembic's own comparison finds nothing to change."""
    engine = create_engine(f"sqlite:///{migrated}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_what_the_comparison_does_not_see_is_there_too(migrated: Path, tmp_path: Path) -> None:
    """WITHOUT ROWID and the partial index, in the migrated file as in one made from the tables themselves."""
    engine = create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    metadata.create_all(engine)
    engine.dispose()
    built, made = objects(migrated), objects(tmp_path / "made.db")
    del built["alembic_version"]
    assert built.keys() == made.keys()

    def without_rowid(found: dict[str, str]) -> set[str]:
        return {name for name, sql in found.items() if "WITHOUT ROWID" in sql}

    assert without_rowid(built) == without_rowid(made) == {"pending", "attempts"}
    for found in (built, made):
        assert found["requests_open"].endswith("ON requests (destination) WHERE closed_ms IS NULL")


def test_the_columns_stand_in_the_order_that_the_statements_count_on(template: Path) -> None:
    """`INSERT INTO events VALUES (…)` names no columns."""
    connection = sqlite3.connect(template)
    for name, table in metadata.tables.items():
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        assert columns == [column.name for column in table.columns]
    connection.close()


def test_a_database_of_the_first_revision_is_upgraded_with_its_events(tmp_path: Path) -> None:
    """Opened by this version, it keeps what it has, and has what is new."""
    path = tmp_path / "queue.db"
    schema.create_file(path)
    migrate(
        path,
        "0001",
        "INSERT INTO queue VALUES (1, 'abcdefgh', 0)",
        "INSERT INTO destinations (name, type) VALUES ('web', 'adobe-edge')",
        "INSERT INTO events VALUES (1, 5, 1, 1, 0, 0, 1, 0, NULL, 'P4711', 0, x'7b7d')",
        "INSERT INTO pending (destination, priority, sequence) VALUES (1, 1, 1)",
    )
    store = SqliteStore.open(path, clock=ManualClock())
    assert (store.counts().pending, store.find("P4711")[0].destination, store.learned(WEB)) == (1, WEB, NOTHING)
    store.close()
    assert revision(path) == [schema.REVISION]


# --- when they run ----------------------------------------------------------------------------------------------------


def test_alembic_is_imported_only_for_an_upgrade(tmp_path: Path) -> None:
    """A new database is made without it, and one that is of this version is opened without it: it takes 29 MB."""
    code = "opened().close(); print(*({'alembic', 'sqlalchemy'} & set(sys.modules)))"
    assert run(code, tmp_path / "queue.db") == []
    assert run(code, tmp_path / "queue.db") == []
    old = tmp_path / "old.db"
    schema.create_file(old)
    migrate(old, "0001")
    assert sorted(run(code, old)) == ["alembic", "sqlalchemy"]


def test_eight_processes_open_one_new_file_at_once(tmp_path: Path) -> None:
    """One migrates, the others wait; all agree on the queue's id and can put."""
    code = """
print("ready", flush=True)
sys.stdin.readline()
store = opened()
print(store.queue_id, put(store))
store.close()
"""
    processes = [start(code, tmp_path / "queue.db") for _ in range(8)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    words = [finish(process) for process in processes]
    assert len({queue_id for queue_id, _ in words}) == 1
    assert len({event_id for _, event_id in words}) == 8


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations that a test may add to, in place of the real ones."""
    folder = tmp_path / "migrations"
    shutil.copytree(schema.migrations_dir(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(schema, "migrations_dir", lambda: folder)
    return folder


def add_migration(folder: Path, fault: str) -> None:
    shutil.rmtree(folder / "versions" / "__pycache__", ignore_errors=True)  # the clock may not tell two texts apart
    (folder / "versions" / "0004_more.py").write_text(FAILING.format(fault=fault))


def test_a_migration_that_fails_half_way_changes_nothing(
    copied: Path, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tables, its columns and its number are taken back together, what was queued is there, and the next opening
    with a migration that works succeeds.
    """
    store = make_store()
    store.register(WEB, "adobe-edge")
    ids = put(store, 3)
    store.close()
    before = objects(store.path)
    monkeypatch.setattr(schema, "REVISION", "0004")
    add_migration(copied, "INSERT INTO nowhere VALUES (1)")
    with pytest.raises(SchemaError, match="could not be brought to this version") as raised:
        make_store()
    assert raised.value.__cause__ is not None
    assert (objects(store.path), revision(store.path)) == (before, ["0003"])
    add_migration(copied, "SELECT 1")
    again = make_store()
    assert revision(store.path) == ["0004"]
    assert "half" in objects(store.path)
    assert [one.event_id for one in again.records([1, 2, 3])] == ids


def test_a_first_opening_that_fails_leaves_an_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing half-made stands in the way of the next try."""
    with monkeypatch.context() as patch:
        patch.setattr(schema, "STATEMENTS", (*schema.STATEMENTS, "INSERT INTO nowhere VALUES (1)"))
        with pytest.raises(StoreError):
            SqliteStore.open(tmp_path / "queue.db", clock=ManualClock())
    assert objects(tmp_path / "queue.db") == {}
    SqliteStore.open(tmp_path / "queue.db", clock=ManualClock()).close()
    assert revision(tmp_path / "queue.db") == [schema.REVISION]


def test_a_lock_is_not_a_broken_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who holds a new file's lock for too long is QueueBusy: try again."""
    path = tmp_path / "queue.db"
    schema.create_file(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA journal_mode = WAL")
    holder.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(schema, "UPGRADE_PATIENCE_MS", 50)
    try:
        with pytest.raises(QueueBusy):
            SqliteStore.open(path, clock=ManualClock())
    finally:
        holder.close()
    SqliteStore.open(path, clock=ManualClock()).close()


# --- where they are ---------------------------------------------------------------------------------------------------


def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package as it might stand somewhere else."""
    package = tmp_path / "edgequeue"
    (package / "store").mkdir(parents=True)
    monkeypatch.setattr(schema, "__file__", str(package / "store" / "schema.py"))
    return package


def test_the_installed_copy_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a wheel the migrations stand inside the package; a folder `migrations` beside it is somebody else's."""
    package = installed(tmp_path, monkeypatch)
    for folder in (package / "_migrations", tmp_path / "migrations"):
        folder.mkdir()
        (folder / "env.py").touch()
    assert schema.migrations_dir() == package / "_migrations"


def test_in_a_checkout_the_checkouts_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable install imports the package from the checkout, where there is no installed copy to go stale."""
    installed(tmp_path, monkeypatch)
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "env.py").touch()
    assert schema.migrations_dir() == tmp_path / "migrations"


def test_without_migrations_the_error_names_both_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that whoever packaged it wrongly sees where they belong."""
    package = installed(tmp_path, monkeypatch)
    with pytest.raises(SchemaError) as raised:
        schema.migrations_dir()
    assert str(package / "_migrations") in str(raised.value)
    assert str(tmp_path / "migrations") in str(raised.value)
