"""Upgrades that are killed at each of their statements, databases of every released schema, and those of newer ones.

`tests/data/schemas/NNNN.sqlite` is a queue as the migration of that number left it: one event delivered and pruned, one
delivered, one dead, one pending, one in an open request. A released file is never changed.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edgequeue.cli import COMMANDS
from edgequeue.errors import SchemaTooNew
from edgequeue.store import schema
from edgequeue.store.facade import SqliteStore
from edgequeue.testing import ManualClock
from tests.acceptance.cli_harness import Cli
from tests.integration.scripts import ROOT, run
from tests.support import ACCEPTED, WEB, answer, lease_of, put, send, sequence_of

SCHEMAS = ROOT / "tests" / "data" / "schemas"
RELEASED = sorted(json.loads((ROOT / "tests" / "data" / "migrations.sha256.json").read_text()))
REVISIONS = [name[:4] for name in RELEASED]
IDS = [f"k1osk2ab-{number:012d}-{number:016x}" for number in (2, 3, 4, 5)]


def test_there_is_a_database_of_every_released_schema() -> None:
    """Who adds a migration adds a queue as it is after it: upgrade a copy of the one before, with
    `alembic upgrade`, and give what is new some content.
    """
    assert [path.stem for path in sorted(SCHEMAS.glob("*.sqlite"))] == REVISIONS
    for path in SCHEMAS.glob("*.sqlite"):
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(path.stem,)]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_of_every_released_schema_opens_with_all_its_events(revision: str, tmp_path: Path) -> None:
    """Each in its state, with its payload, reference and history; and the queue goes on from there."""
    path = tmp_path / "queue.db"
    shutil.copy(SCHEMAS / f"{revision}.sqlite", path)
    store = SqliteStore.open(path, clock=ManualClock())
    details = [store.get(event_id) for event_id in IDS]
    assert [one and one.status.value for one in details] == ["delivered", "dead", "pending", "sending"]
    for number, one in enumerate(details, start=2):
        assert one is not None
        assert (one.reference, one.payload["note"]) == (f"P471{number}", f"sale {number}")
    delivered, dead = details[0], details[1]
    assert delivered is not None
    assert dead is not None
    assert (delivered.receipt, [entry.disposition for entry in delivered.history]) == ("batch:0", ["accepted"])
    assert dead.error is not None
    assert dead.error.code == "http_422"
    counts = store.counts()
    assert (counts.enqueued, counts.delivered, counts.dead, counts.pending, counts.sending) == (5, 2, 1, 1, 1)
    assert counts.balanced
    (new,) = put(store)
    assert (new[:8], sequence_of(new)) == ("k1osk2ab", 6)
    lease = lease_of(store)
    answer(store, send(store, lease), ACCEPTED)
    assert store.requeue([IDS[1]]) == 1
    answer(store, send(store, lease), ACCEPTED)
    assert store.counts().delivered == 6
    assert store.check() == []
    store.close()


# --- killed half-way --------------------------------------------------------------------------------------------------

KILLED_AT_EACH_STATEMENT = """
import shutil, signal, sqlite3
from alembic import command  # loaded once, for all the children
import edgequeue.store.schema
real, begun = sqlite3.connect, Path(sys.argv[2])

def clean():
    for path in PATH.parent.glob(PATH.name + "*"):
        path.unlink()
    if begun.is_file():
        shutil.copy(begun, PATH)

def tables():
    with real(PATH) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
        names = [name for name, _ in found]
        version = connection.execute("SELECT version_num FROM alembic_version").fetchall() if names else None
    connection.close()
    return found, version

def killed_at(number):
    seen = [0]
    def step(_statement):
        seen[0] += 1
        if seen[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
    def connect(*values, **named):
        connection = real(*values, **named)
        connection.set_trace_callback(step)
        return connection
    sqlite3.connect = connect
    SqliteStore.open(PATH).close()

clean()
old = tables() if begun.is_file() else ([], None)
SqliteStore.open(PATH).close()
new = tables()
kills = {"old": 0, "new": 0}
while True:
    clean()
    child = os.fork()
    if child == 0:
        killed_at(sum(kills.values()) + 1)
        os._exit(0)
    _, ended = os.waitpid(child, 0)
    if ended == 0:
        break
    assert ended == signal.SIGKILL, ended
    left = tables() if PATH.exists() else ([], None)
    assert left in (old, new), left
    kills["new" if left == new else "old"] += 1
    store = SqliteStore.open(PATH)
    assert tables() == new
    counts = store.counts()
    assert counts.balanced and counts.enqueued == (5 if begun.is_file() else 0), counts
    assert store.check() == []
    store.register("web", "adobe-edge")
    put(store)
    store.close()
assert new == tables()
print(kills["old"], kills["new"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("revision", ["nothing", *REVISIONS[:-1]])
def test_an_upgrade_killed_at_any_statement_leaves_the_old_tables_or_the_new(revision: str, tmp_path: Path) -> None:
    """Never half; the next opening upgrades what is left, and every event is there. SIGKILL before each statement that
    the opening makes, from every released schema and from no file at all.
    """
    (old, new) = run(KILLED_AT_EACH_STATEMENT, tmp_path / "queue.db", SCHEMAS / f"{revision}.sqlite")
    assert int(old) >= 5
    assert int(new) >= 1


# --- newer ones -------------------------------------------------------------------------------------------------------

NEWER = "0999"


def newer(path: Path) -> bytes:
    """A queue that a later version has upgraded; the file as it is then."""
    shutil.copy(SCHEMAS / f"{REVISIONS[-1]}.sqlite", path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE events ADD COLUMN of_the_future TEXT")
        connection.execute(f"UPDATE alembic_version SET version_num = '{NEWER}'")
    return path.read_bytes()


ARGUMENTS: dict[str, list[str]] = {
    "init": ["--type", "adobe-edge", "--datastream-id", "x", "--force"],
    "enqueue": ["-"],
    "show": [IDS[0]],
    "find": ["P4712"],
    "requeue": ["--all"],
}
NO_QUEUE = {"connection", "completion", "emulator", "demo"}
"""Commands that use no queue, or one of their own."""


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - NO_QUEUE))
def test_every_command_refuses_a_newer_schema(name: str, tmp_path: Path) -> None:
    """Exit code 5 and a message that names the file, both versions and the remedy; the file is not touched."""
    cli = Cli(tmp_path).configure()
    before = newer(cli.database)
    result = cli(name, *ARGUMENTS.get(name, []), stdin='{"xdm": {}}')
    shown = " ".join((result.stdout + result.stderr).split())
    assert result.exit_code == 5, shown
    assert "Traceback" not in shown
    for word in (str(cli.database), NEWER, schema.REVISION, "Upgrade edgequeue", "nothing was changed"):
        assert word in shown
    assert cli.database.read_bytes() == before


def test_a_queue_object_refuses_a_newer_schema(tmp_path: Path) -> None:
    """SchemaTooNew, for applications."""
    before = newer(tmp_path / "queue.db")
    with pytest.raises(SchemaTooNew, match=f"schema {NEWER}, this one knows {schema.REVISION}"):
        SqliteStore.open(tmp_path / "queue.db", clock=ManualClock())
    assert (tmp_path / "queue.db").read_bytes() == before


def test_an_upgrade_under_an_older_process_loses_nothing(tmp_path: Path) -> None:
    """A process goes on enqueuing while a newer version upgrades the file under it: what it is told is safe is there,
    and what it can store no more it is told in words that say what to do.
    """
    path = tmp_path / "queue.db"
    store = SqliteStore.open(path, clock=ManualClock())
    store.register(WEB, "adobe-edge")
    ids, lease = put(store, 3), lease_of(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE events ADD COLUMN of_the_future TEXT")
        connection.execute(f"UPDATE alembic_version SET version_num = '{NEWER}'")
    with pytest.raises(SchemaTooNew, match="Restart") as raised:
        put(store)
    assert NEWER in str(raised.value)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE pending RENAME COLUMN attempts TO tries")
    with pytest.raises(SchemaTooNew, match="Restart"):
        store.claim(lease, 0, 10, 10_000)
    assert [one.name for one in tmp_path.glob("*.damaged*")] == [], "what is newer is not damaged"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (len(ids),)
    store.close()
