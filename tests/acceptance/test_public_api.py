"""The public surface: what is listed, what it costs to import, and that nothing more is promised."""

from __future__ import annotations

import subprocess
import sys

import edgequeue

HEAVY = ("httpx", "alembic", "click", "rich", "backoff", "sqlalchemy", "orjson", "asyncio", "ssl", "email")


def modules_after(script: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport sys; print('\\n'.join(sys.modules))"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return set(done.stdout.split())


def test_the_public_names_are_these() -> None:
    """Adding or removing a name is a decision: it changes this list and the changelog."""
    assert set(edgequeue.__all__) == {
        "AdobeDccs", "AdobeEdge", "Bearer", "Bloomreach", "ConfigError", "Destination", "EdgeQueueError", "EventQueue",
        "Ims", "InvalidEvent", "Paused", "Priority", "QueueBusy", "QueueClosed", "QueueFull", "QueueStatus", "Record",
        "RecordDetail", "RequestView",
        "SchemaError", "SchemaTooNew", "Secret", "Status", "StoreDamaged", "StoreError", "StoreFull", "SyncReport",
        "__version__",
    }  # fmt: skip


def test_every_public_name_can_be_had() -> None:
    """Lazy names resolve, and only those exist."""
    for name in edgequeue.__all__:
        assert getattr(edgequeue, name) is not None
    assert not hasattr(edgequeue, "NoSuchName")
    assert set(dir(edgequeue)) >= set(edgequeue.__all__)


def test_importing_edgequeue_loads_nothing_heavy() -> None:
    """An application pays for what it uses, when it uses it."""
    loaded = modules_after("import edgequeue")
    assert loaded.isdisjoint(HEAVY)


def test_enqueuing_loads_neither_the_network_nor_the_command_line(tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    """The path to `enqueue` on a current database imports no httpx, alembic, backoff, click, rich or SQLAlchemy."""
    database = tmp_path_factory.mktemp("queue") / "queue.db"
    script = (
        "from edgequeue import AdobeEdge, EventQueue\n"
        f"queue = EventQueue({str(database)!r}, [AdobeEdge('web', datastream_id='d')])\n"
        "queue.enqueue({'xdm': {'identityMap': {'Till': [{'id': 'till-7', 'primary': True}]}}})\n"
        "queue.close()"
    )
    modules_after(script)  # the first run makes the tables
    assert modules_after(script).isdisjoint({"httpx", "alembic", "backoff", "click", "rich", "sqlalchemy"})
