"""A queue on a disk that cannot be written is looked at all the same: nothing is changed, and nothing is left out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edgequeue import AdobeEdge, EventQueue, QueueBusy, StoreError
from edgequeue.cli import cli
from edgequeue.model import HttpResponse
from edgequeue.testing import ManualClock, ScriptedTransport
from tests.torture.disks import MIB, fill, memory_disk
from tests.torture.rounds import ROOT

EVENT: dict[str, Any] = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}
ACCEPTED = HttpResponse(204, {"x-request-id": "r"}, b"")

CONFIG = """
[queue]
database = "queue.db"

[destinations.web]
type = "adobe-edge"
endpoint = "http://127.0.0.1:9"
datastream_id = "looked-at"
silent = true
"""

ENQUEUE_AND_DIE = """
import os, sys
from edgequeue import EventQueue
queue = EventQueue.open(sys.argv[1])
event = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}
print(*(queue.enqueue(event) for _ in range(7)), flush=True)
os._exit(9)
"""

LOOK_AS_NOBODY = """
import os, sys
from edgequeue import EventQueue
# Whatever is imported late is imported here: nobody may not be allowed to read the interpreter.
list(EventQueue(sys.argv[2]).events())
os.setgid(65534)
os.setuid(65534)
queue = EventQueue(sys.argv[1], looking=True)
print(*(one.event_id for one in queue.events()))
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with memory_disk(tmp_path, 6 * MIB) as found:
        (found / "edgequeue.toml").write_text(CONFIG)
        yield found


def mount_read_only(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)


def edgequeue(place: Path, *arguments: str) -> Result:
    """The command line, in this process."""
    given = ["--config", str(place / "edgequeue.toml"), *arguments]
    return CliRunner().invoke(cli, given, prog_name="edgequeue", input=json.dumps(EVENT))


def open_queue(place: Path, **options: Any) -> EventQueue:
    destination = AdobeEdge("web", datastream_id="looked-at", silent=True)
    return EventQueue(place / "queue.db", [destination], transport=ScriptedTransport(then=ACCEPTED), **options)


def sell(place: Path) -> list[str]:
    """Two delivered events and three pending ones; the queue is closed."""
    with open_queue(place) as queue:
        ids = queue.enqueue_many([EVENT] * 2, reference="P1")
        queue.sync()
        return ids + queue.enqueue_many([EVENT] * 3)


def sell_and_die(place: Path) -> list[str]:
    """Events that are in the log alone: the process ended without closing."""
    command = [sys.executable, "-c", ENQUEUE_AND_DIE, str(place / "edgequeue.toml")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()


@pytest.mark.parametrize("sold", [sell, sell_and_die], ids=["closed", "killed, with a log"])
def test_every_command_that_looks_works_on_a_disk_mounted_read_only(place: Path, sold: Any) -> None:
    """The same ledger and the same events as before; what would store or send something ends with exit code 5."""
    ids = sold(place)
    mount_read_only(place)
    before = {path.name: path.read_bytes() for path in place.iterdir() if path.suffix != ".db-shm"}
    found = json.loads(edgequeue(place, "status", "--json").stdout)
    assert (found["ledger"]["enqueued"], found["ledger"]["balanced"]) == (len(ids), True)
    listed = edgequeue(place, "list", "--json", "--limit", "100").stdout.splitlines()
    assert {json.loads(line)["event_id"] for line in listed} == set(ids)
    looks = (["why"], ["show", ids[0]], ["requests"], ["export", "--status", "all"])
    assert [(one, edgequeue(place, *one).exit_code) for one in looks] == [(one, 0) for one in looks]
    examined = edgequeue(place, "doctor", "--json")
    findings = {one["check"]: one for one in json.loads(examined.stdout)["findings"]}
    assert (examined.exit_code, findings["ledger"]["ok"], findings["disk"]["ok"]) == (5, True, False)
    assert "read-only" in findings["disk"]["text"]
    changes = (["enqueue", "-"], ["sync"])
    refused = [edgequeue(place, *one) for one in changes]
    assert [one.exit_code for one in refused] == [5] * len(changes), [one.stderr for one in refused]
    assert all("ead-only" in one.stderr for one in refused)
    assert {path.name: path.read_bytes() for path in place.iterdir() if path.suffix != ".db-shm"} == before


def test_a_library_looks_where_it_says_so_and_writing_is_refused_with_the_reason(place: Path) -> None:
    """After another boot too, which cannot be written down; without `looking` the queue does not open."""
    ids = sell(place)
    mount_read_only(place)
    with pytest.raises(StoreError, match="read-only"):
        open_queue(place, clock=ManualClock())
    with open_queue(place, clock=ManualClock(), looking=True) as queue:
        assert [one.event_id for one in queue.events()] == ids
        assert queue.status().ledger.pending == 3
        for change in (lambda: queue.enqueue(EVENT), lambda: queue.prune(0), lambda: queue.sync()):
            with pytest.raises(StoreError, match="ead-only"):
                change()


def test_a_full_disk_without_a_reserve_can_be_looked_at(place: Path) -> None:
    """Not even SQLite's shared memory has room, and looking takes none."""
    ids = sell(place)
    (place / "queue.db.reserve").unlink()
    fill(place)
    found = edgequeue(place, "status", "--json")
    assert (found.exit_code, json.loads(found.stdout)["ledger"]["enqueued"]) == (0, len(ids))


def test_who_looks_never_gives_up_the_reserve(place: Path) -> None:
    """It is for those who empty the queue."""
    sell(place)
    fill(place)
    assert edgequeue(place, "status").exit_code == 0
    assert (place / "queue.db.reserve").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="to become another user needs root")
def test_another_user_who_may_only_read_is_shown_the_queue(tmp_path: Path) -> None:
    """A directory and a file without the right to write: what group and mode of the database allow."""
    ids = sell(tmp_path)
    (tmp_path / "queue.db").chmod(0o644)
    for directory in (*tmp_path.parents[:2], tmp_path):
        directory.chmod(0o755)
    command = [sys.executable, "-c", LOOK_AS_NOBODY, str(tmp_path / "queue.db"), str(tmp_path / "another.db")]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout.split() == ids, found.stderr


def test_a_queue_that_is_written_while_it_is_read_as_unchanging_is_not_believed(place: Path) -> None:
    """Nobody had it open, so it was read without locks; then somebody opened it."""
    sell(place)
    reserve, balloon = place / "queue.db.reserve", place / "balloon"
    reserve.unlink()
    fill(place)
    with open_queue(place, looking=True) as looker:
        assert looker.status().ledger.pending == 3
        balloon.unlink()
        with open_queue(place) as writer:
            writer.enqueue(EVENT)
            with pytest.raises(QueueBusy, match="Look again"):
                looker.status()
        with pytest.raises(QueueBusy, match="Look again"):
            looker.status()
