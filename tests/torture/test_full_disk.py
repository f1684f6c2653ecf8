"""A disk without a free byte: nothing is stored, nothing is lost, and what is queued can leave.

Small real file systems, in memory and on a loop device, filled to the last byte by a file beside the database.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edgequeue import AdobeEdge, EventQueue, StoreFull
from edgequeue.cli import cli
from edgequeue.emulator import Emulator
from edgequeue.model import HttpResponse
from edgequeue.testing import ScriptedTransport
from tests.support import eventually
from tests.torture.disks import MIB, fill, loop_disk, memory_disk

EVENT: dict[str, Any] = {
    "xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}},
    "data": {"note": "x" * 800},
}
ACCEPTED = HttpResponse(204, {"x-request-id": "r"}, b"")

CONFIG = """
[queue]
database = "queue.db"

[destinations.web]
type = "adobe-edge"
endpoint = "{url}"
datastream_id = "full"
"""


@pytest.fixture(params=["tmpfs of 6 MiB", "tmpfs of 24 MiB", "ext4 of 24 MiB"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A small file system."""
    kind, size = request.param.split()[0], int(request.param.split()[2]) * MIB
    if kind == "tmpfs":
        with memory_disk(tmp_path, size) as found:
            yield found
    else:
        with loop_disk(tmp_path, size) as disk:
            yield disk.place


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """The smallest of them."""
    with memory_disk(tmp_path, 6 * MIB) as found:
        yield found


def edgequeue(config: Path, *arguments: str, stdin: str = "") -> Result:
    """The command line, in this process."""
    return CliRunner().invoke(cli, ["--config", str(config), *arguments], prog_name="edgequeue", input=stdin)


def sell_out(queue: EventQueue) -> list[str]:
    """The ids of as many events as fit, to the last single one."""
    stored: list[str] = []
    for many in (100, 1):
        with pytest.raises(StoreFull, match="nothing was stored"):  # noqa: PT012 (as many as fit)
            while True:
                stored += queue.enqueue_many([EVENT] * many) if many > 1 else [queue.enqueue(EVENT)]
    return stored


def open_queue(place: Path, network: ScriptedTransport, **options: Any) -> EventQueue:
    destination = AdobeEdge("web", datastream_id="full", silent=True)
    return EventQueue(place / "queue.db", [destination], transport=network, **options)


def test_a_full_disk_is_told_looked_at_emptied_and_used_again(place: Path) -> None:
    """Enqueue says so with exit code 5; status, why and doctor work; sync and prune empty it; then it takes events."""
    with Emulator() as service:
        config = place / "edgequeue.toml"
        config.write_text(CONFIG.format(url=service.url))
        with EventQueue.open(config) as queue:
            stored = sell_out(queue)
        fill(place)
        assert shutil.disk_usage(place).free == 0
        for command in ("status", "why"):
            looked = edgequeue(config, command)
            assert (looked.exit_code, f"{len(stored):,} events wait" in looked.stdout) == (0, True), looked
        examined = edgequeue(config, "doctor", "--json")
        findings = {one["check"]: one for one in json.loads(examined.stdout)["findings"]}
        assert (examined.exit_code, findings["disk"]["ok"], findings["ledger"]["ok"]) == (5, False, True)
        sync = edgequeue(config, "sync", "--json")
        assert (sync.exit_code, json.loads(sync.stdout)["delivered"]) == (0, len(stored)), sync.stderr
        pruned = edgequeue(config, "prune", "--older-than", "0d")
        assert pruned.exit_code == 0, pruned.stderr
        fill(place)
        line = json.dumps(EVENT) + "\n"
        taken = edgequeue(config, "enqueue", "-", stdin=line)
        assert taken.exit_code == 0, "the pages that were freed take new events, though the disk is full"
        assert edgequeue(config, "sync").exit_code == 0
        assert service.arrived.distinct == len(stored) + 1
        assert service.arrived.duplicates == 0


def test_while_the_reserve_is_given_up_nothing_is_taken_in(small: Path) -> None:
    """What it made room for is for leaving only: exit code 5, and not one event more in the file."""
    config = small / "edgequeue.toml"
    config.write_text(CONFIG.format(url="http://127.0.0.1:9"))
    with EventQueue.open(config) as queue:
        stored = sell_out(queue)
        (small / "queue.db.reserve").unlink()
        with pytest.raises(StoreFull, match="still delivered"):
            queue.enqueue(EVENT)
        with pytest.raises(StoreFull, match="still delivered"):
            queue.enqueue_many([EVENT] * 3)
        assert queue.status().ledger.pending == len(stored)
    fill(small)  # the log has gone with the last connection, and made room
    refused = edgequeue(config, "enqueue", "-", stdin=json.dumps(EVENT) + "\n")
    assert (refused.exit_code, "the disk is full" in refused.stderr) == (5, True)
    examined = edgequeue(config, "doctor", "--json")
    findings = {one["check"]: one for one in json.loads(examined.stdout)["findings"]}
    assert "reserve" in findings["disk"]["text"]


def test_without_a_reserve_a_full_disk_could_not_be_emptied(small: Path) -> None:
    """That is what it is for: the same disk, the reserve taken away before the last byte."""
    network = ScriptedTransport(then=ACCEPTED)
    with open_queue(small, network) as queue:
        sell_out(queue)
        (small / "queue.db.reserve").unlink()
        balloon = fill(small)
        with pytest.raises(StoreFull):
            queue.sync()
        balloon.unlink()
        assert queue.sync().remaining == 0


@pytest.mark.parametrize("many", [False, True], ids=["single", "bulk"])
def test_a_worker_goes_on_by_itself_when_space_returns(
    small: Path, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    """Nobody restarts anything: what was enqueued before, and what is enqueued after, arrives."""
    monkeypatch.setattr("edgequeue.worker.STORE_TROUBLE_SECONDS", 0.02)
    network = ScriptedTransport(then=ACCEPTED)
    with open_queue(small, network) as queue:
        stored = sell_out(queue)
        (small / "queue.db.reserve").unlink()  # the worst case: not even that is left
        balloon = fill(small)
        queue.start()
        with pytest.raises(StoreFull):
            queue.enqueue_many([EVENT] * 5) if many else queue.enqueue(EVENT)
        balloon.unlink()
        eventually(lambda: queue.status().ledger.delivered == len(stored))
        queue.prune(0)
        queue.enqueue_many([EVENT] * 5) if many else queue.enqueue(EVENT)
        eventually(lambda: queue.status().ledger.delivered == len(stored) + (5 if many else 1))
        assert queue.status().ledger.balanced


def test_the_reserve_is_made_again_once_there_is_space(small: Path) -> None:
    """By whoever enqueues next; a piece of it, as a power cut may leave, counts as none."""
    reserve = small / "queue.db.reserve"
    with open_queue(small, ScriptedTransport(then=ACCEPTED)) as queue:
        queue.enqueue(EVENT)
        size = reserve.stat().st_size
        assert size == shutil.disk_usage(small).total // 8
        for left in (None, size // 2):
            reserve.unlink()
            if left is not None:
                reserve.write_bytes(bytes(left))
            queue.enqueue(EVENT)
            assert reserve.stat().st_size == size
            assert reserve.stat().st_blocks * 512 >= size


def test_a_bulk_put_that_could_not_be_copied_back_is_refused(small: Path) -> None:
    """It is in the log first and in the database then: it needs its size twice."""
    note = {"note": os.urandom(500).hex()}
    with open_queue(small, ScriptedTransport(then=ACCEPTED)) as queue:
        with pytest.raises(StoreFull, match="twice"):
            queue.enqueue_many([EVENT | {"data": note}] * 2600)
        assert queue.status().ledger.enqueued == 0
        assert len(queue.enqueue_many([EVENT | {"data": note}] * 500)) == 500
