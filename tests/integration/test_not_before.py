"""`not_before`: nothing is sent to a new dataflow too early, and no wrong clock makes it a wait without end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgequeue import AdobeEdge, EventQueue
from edgequeue.config import parse_settings
from edgequeue.errors import ConfigError
from edgequeue.retry import RETRY_AFTER_SECONDS_MAX
from edgequeue.testing import ManualClock, ScriptedTransport, accept, event_for


def opened(tmp_path: Path, clock: ManualClock, seconds: float) -> tuple[EventQueue, ScriptedTransport]:
    """A queue for a destination that opens so many seconds from the clock's now."""
    opens = datetime.fromtimestamp(clock.wall_ms() / 1000, UTC) + timedelta(seconds=seconds)
    network = ScriptedTransport(then=accept)
    place = AdobeEdge("web", datastream_id="d", endpoint="https://server.example", not_before=opens)
    return EventQueue(tmp_path / "queue.db", [place], clock=clock, transport=lambda _: network), network


def test_nothing_is_sent_before_the_moment_also_not_by_hand(tmp_path: Path) -> None:
    """Five minutes after a dataflow was made; status shows it before any worker has run, and after."""
    clock = ManualClock()
    queue, network = opened(tmp_path, clock, 300)
    with queue:
        queue.enqueue(event_for("adobe-edge"))
        for _ in range(2):
            view = queue.status().destinations["web"]
            assert (view.state, view.reason.code if view.reason else None) == ("waiting", "not_before")
            assert view.next_attempt_at is not None
            assert "not_before" in queue.status().why
            report = queue.sync()
            assert (report.requests, report.stopped_because) == (0, "waiting")
            clock.advance(149)
        clock.advance(3)
        assert queue.status().destinations["web"].state == "ok"
        assert queue.sync().delivered == 1
        assert network.requests


def test_it_is_waited_for_once(tmp_path: Path) -> None:
    """Neither a restart nor a clock that is set back begins the wait anew."""
    clock = ManualClock()
    queue, _ = opened(tmp_path, clock, 300)
    destinations = list(queue.destinations.values())
    with queue:
        queue.enqueue(event_for("adobe-edge"))
        queue.sync()
    clock.advance(200)
    clock.step_wall(-86_400)
    with EventQueue(
        tmp_path / "queue.db", destinations, clock=clock, transport=lambda _: ScriptedTransport(then=accept)
    ) as again:
        assert again.sync().delivered == 0
        clock.advance(101)
        assert again.sync().delivered == 1
        clock.step_wall(-86_400)
        again.enqueue(event_for("adobe-edge"))
        assert again.sync().delivered == 1


def test_taking_it_out_of_the_configuration_ends_the_wait(tmp_path: Path) -> None:
    """Who knows better may send at once."""
    clock = ManualClock()
    queue, _ = opened(tmp_path, clock, 300)
    with queue:
        queue.enqueue(event_for("adobe-edge"))
        queue.sync()
        places = [replace(one, not_before=None) for one in queue.destinations.values()]
    network = ScriptedTransport(then=accept)
    with EventQueue(tmp_path / "queue.db", places, clock=clock, transport=lambda _: network) as queue:
        assert queue.status().destinations["web"].state == "ok"
        assert queue.sync().delivered == 1


@pytest.mark.parametrize("passed_seconds", [3, 200])
def test_another_moment_is_waited_for_anew(tmp_path: Path, passed_seconds: float) -> None:
    """A dataflow that was made again within or after the first wait, with nothing sent in between, has its own."""
    clock = ManualClock()
    queue, _ = opened(tmp_path, clock, 100)
    with queue:
        queue.enqueue(event_for("adobe-edge"))
        queue.sync()
    clock.advance(passed_seconds)
    queue, network = opened(tmp_path, clock, 600)
    with queue:
        assert queue.status().destinations["web"].state == "waiting"
        clock.advance(590)
        assert queue.sync().delivered == 0
        clock.advance(11)
        assert queue.sync().delivered == 1
    assert len(network.requests) == 1


def test_a_shorter_wait_takes_the_place_of_a_longer(tmp_path: Path) -> None:
    """Who mistyped the moment mends the file, and the wait is mended."""
    clock = ManualClock()
    queue, _ = opened(tmp_path, clock, 3000)
    with queue:
        queue.enqueue(event_for("adobe-edge"))
        queue.sync()
    queue, _ = opened(tmp_path, clock, 10)
    with queue:
        clock.advance(11)
        assert queue.sync().delivered == 1


def test_a_clock_in_the_past_waits_an_hour_at_most(tmp_path: Path) -> None:
    """A device that believes in 1970 must not wait for half a century."""
    clock = ManualClock()
    queue, _ = opened(tmp_path, clock, 50 * 365 * 86_400)
    with queue:
        queue.enqueue(event_for("adobe-edge"))
        assert queue.sync().delivered == 0
        clock.advance(RETRY_AFTER_SECONDS_MAX + 1)
        assert queue.sync().delivered == 1


def test_a_moment_that_has_passed_is_no_wait(tmp_path: Path) -> None:
    """It may stay in the file for good."""
    queue, _ = opened(tmp_path, ManualClock(), -1)
    with queue:
        queue.enqueue(event_for("adobe-edge"))
        assert queue.status().destinations["web"].state == "ok"
        assert queue.sync().delivered == 1


FILE = """
[queue]
database = "queue.db"
[destinations.web]
type = "adobe-edge"
datastream_id = "d"
not_before = {}
"""


def test_it_is_a_moment_in_the_file(tmp_path: Path) -> None:
    """TOML has moments of its own; a text, or one without a time zone, is refused by its name."""
    found = parse_settings(FILE.format("2026-11-21T10:45:00Z"), tmp_path / "edgequeue.toml").destinations["web"]
    assert found.not_before == datetime(2026, 11, 21, 10, 45, tzinfo=UTC)
    for value, said in (('"tomorrow"', "a moment without quotes"), ("2026-11-21T10:45:00", "has no time zone")):
        with pytest.raises(ConfigError, match=rf"not_before.*{said}"):
            parse_settings(FILE.format(value), tmp_path / "edgequeue.toml")
