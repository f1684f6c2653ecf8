"""The tables of a database: made when it is new, else brought to this version; alembic is imported only for the latter.

The migrations stand at the top of the repository and are shipped inside the package as `edgequeue/_migrations`.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgequeue.errors import EdgeQueueError, NotAQueue, SchemaError, SchemaTooNew, StoreDamaged
from edgequeue.lazily import importing
from edgequeue.store.backup import backup_before
from edgequeue.store.connecting import inherit_owner
from edgequeue.store.identity import refuse_empty
from edgequeue.store.latest import STATEMENTS
from edgequeue.store.mark import forget_mark
from edgequeue.store.sqlite import Database, is_later
from edgequeue.store.trouble import KEEP_IT, translate

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger("edgequeue")

REVISION = "0003"
"""The newest migration; a test holds it to alembic's own head."""

UPGRADE_PATIENCE_MS = 30_000
"""Several processes may open a new file at once: one upgrades it, the others wait so long for it."""

OURS = frozenset(
    {
        *("alembic_version", "queue", "boots", "destinations", "events", "pending", "requests", "attempts", "endings"),
        "salvages",
    }
)
"""Our tables, of every version."""

APPLICATION_ID = 0x45517565
"""Tells programs such as `file` that this is a queue of edgequeue ("EQue")."""

_TABLES_OF_OURS_MIN = 5
"""Another program may have tables of the names of ours, but not so many."""

_PAGES_OF_NOTHING = 3
"""A file in which a table has been begun and taken back may have some pages; nobody's events fit in."""

_FAULTS_OF_A_MIGRATION = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT)

_upgrade_turn = threading.Lock()
"""Alembic's context is global to the process: one upgrade at a time, and a fork waits for it."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_upgrade_turn.acquire, after_in_parent=_upgrade_turn.release, after_in_child=_upgrade_turn.release
    )


def ensure_schema(database: Database) -> None:
    """Bring the tables to `REVISION`; normally one SELECT. SchemaError or StoreDamaged if it cannot be."""
    with database.read() as connection:
        found = current_revision(connection, database.path)
    if found is None:
        found = _create(database)
    if found != REVISION:
        with _upgrade_turn:
            _upgrade(database, found)
    database.revision = REVISION


def _create(database: Database) -> str:
    """Make the tables of a new database. Returns their revision: another process may have been first."""
    with database.write(UPGRADE_PATIENCE_MS / 1000) as connection:
        found = current_revision(connection, database.path)
        if found is not None:
            return found
        for statement in STATEMENTS:
            connection.execute(statement)
        connection.execute("INSERT INTO alembic_version VALUES (?)", (REVISION,))
    return REVISION


def current_revision(connection: sqlite3.Connection, path: Path) -> str | None:
    """The revision that the tables are at, None for an empty database. NotAQueue for somebody else's tables;
    StoreDamaged where some of ours are gone.
    """
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        connection.execute("SELECT queue_id FROM queue LIMIT 1")  # others use alembic too
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            raise
        there = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        others = sorted(there - OURS) or sorted(there if len(there) < _TABLES_OF_OURS_MIN else ())
        if others and connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            text = (
                f"{path}: this database belongs to another program (it has the table {others[0]!r}). Name another path"
            )
            raise NotAQueue(text) from None
        if there - {"alembic_version"} or connection.execute("PRAGMA page_count").fetchone()[0] > _PAGES_OF_NOTHING:
            raise StoreDamaged(f"{path}: the database is damaged (tables are missing). {KEEP_IT}") from None
        return None
    if row is None:
        raise StoreDamaged(f"{path}: the database is damaged (its version is missing). {KEEP_IT}")
    return str(row[0])


def migrations_dir() -> Path:
    """Where the migrations are: inside the installed package, or beside it in a checkout.

    An editable install copies them into site-packages, where they would go stale; there the checkout's are taken.
    """
    package = Path(__file__).resolve().parents[1]
    places = (package / "_migrations", package.parent / "migrations")
    for place in places:
        if (place / "env.py").is_file():
            return place
    raise SchemaError(f"the migrations are missing: neither {places[0]} nor {places[1]} is there. Reinstall edgequeue")


def _upgrade(database: Database, found: str) -> None:
    """Run the migrations in one transaction; a failure leaves the tables as they were."""
    with importing():
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    known = {one.revision for one in ScriptDirectory.from_config(config).walk_revisions()}
    _refuse_unknown(database, found, known)  # before a writing connection could change the file's journal mode
    engine = _migration_engine(database)
    try:
        with engine.begin() as connection:
            raw: Any = connection.connection.driver_connection
            now = current_revision(raw, database.path)
            if now == REVISION:  # another process upgraded while we waited for the lock
                return
            _refuse_unknown(database, now, known)
            kept = backup_before(database.path, REVISION)
            if kept is not None:
                log.info("%s: before the upgrade to %s it was copied to %s", database.path, REVISION, kept.name)
            config.attributes["connection"] = connection
            command.upgrade(config, REVISION)
    except EdgeQueueError:
        raise
    except Exception as error:  # whatever a migration raises, the transaction took it back
        cause = getattr(error, "orig", error)
        code = getattr(cause, "sqlite_errorcode", None) or 0
        if isinstance(cause, sqlite3.Error) and code & 0xFF not in _FAULTS_OF_A_MIGRATION:
            raise translate(cause, database.path) from error  # a lock, a full disk, damage
        raise SchemaError(f"{database.path}: the tables could not be brought to this version: {error}") from error
    finally:
        engine.dispose()


def _refuse_unknown(database: Database, found: str | None, known: set[str]) -> None:
    if found is None or found in known:
        return
    if not is_later(found, REVISION):
        raise StoreDamaged(f"{database.path}: the database is damaged (its version is {found[:20]!r}). {KEEP_IT}")
    text = f"{database.path}: written by a newer edgequeue (schema {found}, this one knows {REVISION})"
    raise SchemaTooNew(f"{text}. Upgrade edgequeue; nothing was changed")


def _migration_engine(database: Database) -> Engine:
    """An engine on a connection of its own, with transactions as SQLite means them.

    The driver must not open or close transactions around DDL (isolation_level None in `connect`) and BEGIN IMMEDIATE
    must be ours: with the defaults a migration that fails halfway leaves half of its tables and an empty version.
    """
    with importing():
        from sqlalchemy import create_engine, event
        from sqlalchemy.pool import StaticPool

    def opened() -> sqlite3.Connection:
        connection = database.connect()
        connection.execute(f"PRAGMA busy_timeout = {UPGRADE_PATIENCE_MS}")
        return connection

    engine = create_engine("sqlite://", creator=opened, poolclass=StaticPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def create_file(path: Path) -> None:
    """Make an empty database file that only its owner may read; as root, owned as its directory is.

    StoreDamaged where the file is gone but its log is not: SQLite would throw that log away, and with it what it holds.
    """
    refuse_empty(path)
    if not path.exists():
        forget_mark(path)  # it is of a file that somebody deleted; what begins here is empty, and means it
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            inherit_owner(descriptor, path)
        finally:
            os.close(descriptor)
