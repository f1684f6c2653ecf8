"""Whatever goes wrong, nothing spins."""

from __future__ import annotations

from pathlib import Path

from edgequeue import AdobeEdge, EventQueue
from edgequeue.errors import NotSent
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.testing import ScriptedTransport, accept

EVENT = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}


def closed(_request: HttpRequest) -> HttpResponse:
    raise NotSent("nothing was sent: the transport is closed", code="closed")


def test_a_transport_that_says_it_is_closed_ends_a_sync(tmp_path: Path) -> None:
    """It says nothing about the destination, so there is no backoff; the sync ends all the same."""
    network = ScriptedTransport([closed] * 1000)
    with EventQueue(tmp_path / "queue.db", [AdobeEdge("web", datastream_id="d")], transport=lambda _: network) as queue:
        queue.enqueue(EVENT)
        report = queue.sync()
    assert (report.delivered, report.remaining, report.stopped_because) == (0, 1, "waiting")


def test_a_transport_of_the_applications_own_outlives_a_sync(tmp_path: Path) -> None:
    """What the caller made is the caller's to close."""
    network = ScriptedTransport(then=accept)
    with EventQueue(tmp_path / "queue.db", [AdobeEdge("web", datastream_id="d")], transport=lambda _: network) as queue:
        for _ in range(2):
            queue.enqueue(EVENT)
            assert queue.sync().delivered == 1
