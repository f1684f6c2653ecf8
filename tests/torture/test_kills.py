"""SIGKILL at random moments of many enqueuing processes and of the worker, against a service that keeps its own books.

The tills write down each acknowledgement the moment they have it; the service is a process of its own and knows what
arrived; the queue has its ledger. After all rounds the three have to agree.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edgequeue import EventQueue
from tests.support import eventually
from tests.torture.rounds import ROOT, dice, rounds
from tests.torture.till import BURST, KINDS

ROUNDS = rounds(6, 300)
TILLS = 4
BOUND_SECONDS = 60.0

CONFIG = """
[queue]
database = "queue.db"

[destinations.web]
type = "adobe-edge"
endpoint = "{url}"
datastream_id = "kills"
batch_events_max = 7
"""


@contextmanager
def service() -> Iterator[str]:
    """The emulator as a process of its own; yields its address."""
    command = [sys.executable, "-m", "edgequeue.emulator", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as emulator:
        assert emulator.stdout is not None
        try:
            yield emulator.stdout.readline().split()[-1]
        finally:
            emulator.terminate()


def books(url: str) -> dict[str, int]:
    """How often each event arrived, by the service's own account."""
    with urllib.request.urlopen(f"{url}/_emulator/arrived?ids=1", timeout=BOUND_SECONDS) as answer:
        document: dict[str, Any] = json.load(answer)
    assert document["anonymous"] == 0
    return dict(document["by_id"])


class Shop:
    """Tills and a worker on one queue, some of them killed in each round."""

    def __init__(self, config: Path, dice: Random) -> None:
        self._config = config
        self._dice = dice
        self._paper = config.with_name("acknowledged")
        self._paper.touch()
        self._worker: subprocess.Popen[str] | None = None
        self.kills = 0

    def round(self) -> None:
        """Open some tills, kill some of them and perhaps the worker when a random number of events is acknowledged."""
        if self._worker is None:
            self._worker = self._start("-m", "edgequeue", "--config", str(self._config), "run")
        kinds = [self._dice.choice(KINDS) for _ in range(TILLS)]
        tills = [self._start("-m", "tests.torture.till", str(self._config), kind) for kind in kinds]
        victims = [*self._dice.sample(tills, self._dice.randrange(1, TILLS + 1)), self._worker]
        self._dice.shuffle(victims)
        if self._dice.random() < 0.5:
            victims.remove(self._worker)
        for victim in victims:
            wanted = self._size() + self._dice.randrange(BURST * TILLS // len(victims)) * LINE_BYTES
            eventually(lambda: self._size() >= wanted or not any(one.poll() is None for one in tills), BOUND_SECONDS)  # noqa: B023
            self._kill(victim)
        for till in tills:
            till.wait(BOUND_SECONDS)
            assert till.returncode in (0, -signal.SIGKILL)

    def close(self) -> None:
        """The last worker is killed as well."""
        if self._worker is not None:
            self._kill(self._worker)

    def acknowledged(self) -> list[str]:
        """All ids that an enqueue returned; a line that was cut off by the kill is none."""
        return [line.strip() for line in self._paper.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        with self._paper.open("a") as paper:
            output = subprocess.DEVNULL if "run" in arguments else paper
            return subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT, stdout=output, stderr=subprocess.DEVNULL, text=True
            )

    def _kill(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait(BOUND_SECONDS)
        self.kills += process.returncode == -signal.SIGKILL
        if process is self._worker:
            self._worker = None

    def _size(self) -> int:
        return self._paper.stat().st_size


LINE_BYTES = 39
"""An acknowledged event id and its end of line."""


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing_and_repeat_only_what_had_no_answer(tmp_path: Path) -> None:
    """Acknowledged ⊆ delivered = accepted by the service; a second arrival had a first request without an answer."""
    with service() as url:
        config = tmp_path / "edgequeue.toml"
        config.write_text(CONFIG.format(url=url))
        shop = Shop(config, dice())
        try:
            for _ in range(ROUNDS):
                shop.round()
        finally:
            shop.close()
        with EventQueue.open(config) as queue:
            assert queue.sync(timeout_seconds=BOUND_SECONDS).remaining == 0
            ledger = queue.status().ledger
            states = {record.event_id: record.status for record in queue.events()}
            arrived = books(url)
            repeated = {event_id: times for event_id, times in arrived.items() if times > 1}
            unexplained = [
                (event_id, times) for event_id, times in repeated.items() if times - 1 > lost_answers(queue, event_id)
            ]
            assert queue.damage() == []
    acknowledged = shop.acknowledged()
    print(f"{ROUNDS} rounds, {shop.kills} kills, {len(acknowledged)} acknowledged, {len(repeated)} repeated")  # noqa: T201
    assert len(set(acknowledged)) == len(acknowledged)
    assert [one for one in acknowledged if states.get(one) != "delivered"] == []
    assert set(arrived) == set(states), "what is delivered was accepted by the service, and nothing else was"
    assert ledger.balanced
    assert ledger.delivered == ledger.enqueued == len(states)
    assert unexplained == []
    assert shop.kills >= ROUNDS, "the kills must hit, or this shows nothing"


def lost_answers(queue: EventQueue, event_id: str) -> int:
    """How many requests with this event have an unknown outcome."""
    found = queue.get(event_id)
    assert found is not None
    return sum(trip.disposition == "unknown" for trip in found.history)
