"""A destination that somebody else wrote, with faults in it: its events are kept, and nobody beside it suffers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgequeue import AdobeEdge, ConfigError, EventQueue
from edgequeue.model import Batch, Draft, HttpRequest
from edgequeue.testing import ScriptedTransport, accept, event_for

WEB = AdobeEdge("web", datastream_id="d", endpoint="https://server.example")


@dataclass(frozen=True, kw_only=True)
class Faulty(AdobeEdge):
    """Cannot write its requests."""

    def encode(self, batch: Batch) -> HttpRequest:
        raise KeyError("template")


@dataclass(frozen=True, kw_only=True)
class Misplaced(AdobeEdge):
    """Names a place for the id that is not the placeholder's."""

    def check(self, event: Any, wall_ms: int) -> Draft:
        draft = super().check(event, wall_ms)
        return draft._replace(id_offset=draft.id_offset - 1)


def test_code_that_fails_pauses_its_destination_and_no_other(tmp_path: Path) -> None:
    """The technician reads whose fault it is; the other destination drains."""
    theirs = Faulty("theirs", datastream_id="d", endpoint="https://server.example")
    network = ScriptedTransport(then=accept)
    with EventQueue(tmp_path / "queue.db", [theirs, WEB], transport=lambda _: network) as queue:
        for name in ("theirs", "web"):
            queue.enqueue_many([event_for("adobe-edge", number=n) for n in range(3)], name)
        report = queue.sync()
        assert (report.delivered, report.dead, report.remaining) == (3, 0, 3)
        view = queue.status().destinations["theirs"]
        assert view.state == "paused"
        assert view.reason is not None
        assert "adobe-edge" in view.reason.text
        assert "KeyError" in view.reason.text
        assert queue.status().ledger.balanced


def test_a_place_for_the_id_that_is_none_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    """Written over something else the id would break the payload without a word."""
    theirs = Misplaced("theirs", datastream_id="d", endpoint="https://server.example")
    with EventQueue(tmp_path / "queue.db", [theirs]) as queue:
        with pytest.raises(ConfigError, match="the placeholder is not there"):
            queue.enqueue(event_for("adobe-edge"))
        assert queue.status().ledger.enqueued == 0
