"""Real power cuts: a file system on a loop device is shut down under a queue that sells and sends, and mounted again.

kill -9 alone can never show a missing sync, because the kernel keeps the pages. Here the process is killed and then the
file system is shut down without writing anything more, its own journal included (FS_IOC_SHUTDOWN, no log flush): what
is mounted afterwards is what had reached the device. A disk that lies about having synced is not simulated.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from edgequeue import EventQueue
from edgequeue.emulator import Emulator
from tests.support import sequence_of
from tests.torture.disks import MIB, LoopDisk, loop_disk
from tests.torture.rounds import ROOT, dice, rounds

CUTS = {"ext4": rounds(8, 150), "xfs": rounds(4, 150)}
CUTS_OF_OTHERS = rounds(6, 50)
BYTES = {"ext4": 96 * MIB, "xfs": 320 * MIB}  # mkfs.xfs makes nothing smaller than 300 MiB
ACKNOWLEDGED_MAX = 600
"""The power is cut at a random number of acknowledgements up to this."""

CONFIG = """
[queue]
database = "{database}"
durability = "{durability}"

[destinations.web]
type = "adobe-edge"
endpoint = "{url}"
datastream_id = "power"
"""


@dataclass(slots=True)
class Account:
    """What was promised over all cuts, and what was found."""

    cuts: int = 0
    acknowledged: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def till_and_cut(disk: LoopDisk, config: Path, synchronous: str, acknowledgements: int) -> list[str]:
    """Sell until so many events are acknowledged, kill, cut the power, mount again; returns what was acknowledged."""
    command = [sys.executable, "-m", "tests.torture.power", str(config), synchronous]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as till:
        assert till.stdout is not None
        ids = [till.stdout.readline().strip() for _ in range(acknowledgements)]
        assert all(ids), "the till ended by itself"
        till.send_signal(signal.SIGKILL)
        ids += [line.strip() for line in till.stdout if line.endswith("\n")]
    disk.cut()
    disk.mount()
    return ids


def cut_power(
    disk: LoopDisk, service: Emulator, dice: Random, *, cuts: int, durability: str, synchronous: str
) -> Account:
    """Cut after cut on one queue: each till goes on with what the cuts before have left."""
    account = Account()
    config = disk.place.with_name("edgequeue.toml")  # not on the disk itself: nobody syncs it
    config.write_text(CONFIG.format(database=disk.place / "queue.db", url=service.url, durability=durability))
    for _ in range(cuts):
        ids = till_and_cut(disk, config, synchronous, dice.randrange(1, ACKNOWLEDGED_MAX))
        account.cuts += 1
        account.acknowledged += ids
        with EventQueue(disk.place / "queue.db") as queue:
            account.failures += queue.damage()
            if not queue.status().ledger.balanced:
                account.failures.append("the ledger does not balance")
            lost = {one for one in ids if queue.get(one) is None}
        account.lost += lost
        if lost and min(map(sequence_of, lost)) < max((sequence_of(one) for one in ids if one not in lost), default=0):
            account.failures.append("something was lost from the middle")
    return account


@pytest.fixture(params=["ext4", "xfs"])
def journaling(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoopDisk]:
    """A disk with one of the file systems that can be shut down."""
    with loop_disk(tmp_path, BYTES[request.param], request.param) as disk:
        yield disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    with loop_disk(tmp_path, BYTES["ext4"]) as disk:
        yield disk


@pytest.fixture
def service() -> Iterator[Emulator]:
    with Emulator() as service:
        yield service


def report(account: Account, what: str) -> None:
    text = f"{what}: {account.cuts} cuts, {len(account.acknowledged)} acknowledged, {len(account.lost)} lost"
    print(text)  # noqa: T201 (make torture shows it)


@pytest.mark.slow
def test_power_cuts_lose_nothing_that_was_acknowledged(journaling: LoopDisk, service: Emulator) -> None:
    """Every acknowledged event is there after each cut, in one state, and at the end all have arrived."""
    disk, cuts = journaling, CUTS[journaling.kind]
    account = cut_power(disk, service, dice(), cuts=cuts, durability="full", synchronous="as configured")
    report(account, f"{disk.kind}, synchronous=FULL")
    assert (account.lost, account.failures) == ([], [])
    with EventQueue.open(disk.place.with_name("edgequeue.toml")) as queue:
        assert queue.sync(timeout_seconds=60).remaining == 0
        states = {one.event_id: one.status for one in queue.events()}
    assert {states[one] for one in account.acknowledged} == {"delivered"}
    assert set(states) <= set(service.arrived.by_id), "what is delivered has arrived"


@pytest.mark.slow
def test_the_same_cuts_find_a_queue_that_does_not_sync(disk: LoopDisk, service: Emulator) -> None:
    """synchronous=OFF loses acknowledged events, or damages the file: if this shows nothing, the rig is blind."""
    caught = 0
    for _ in range(CUTS_OF_OTHERS):
        account = cut_power(disk, service, dice(), cuts=1, durability="full", synchronous="OFF")
        caught += bool(account.lost or account.failures)
        if caught:
            report(account, "synchronous=OFF")
            return
    raise AssertionError("no cut lost anything without a sync")


@pytest.mark.slow
def test_the_weaker_durability_loses_the_last_seconds_and_damages_nothing(disk: LoopDisk, service: Emulator) -> None:
    """What is gone is the end of what was acknowledged, never something before it; file and ledger stay sound."""
    account = cut_power(disk, service, dice(), cuts=CUTS_OF_OTHERS, durability="normal", synchronous="as configured")
    report(account, 'durability="normal"')
    assert account.failures == []
