"""The webhook passes the suite that every destination passes, and does what its own answers say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgequeue_webhook import Webhook

from edgequeue import EventQueue
from edgequeue.testing import ScriptedTransport, response
from edgequeue.testing.contract import DestinationContract

SHOP = Webhook("shop", endpoint="https://shop.example/hooks/till")


class TestWebhook(DestinationContract):
    """The rules for all destinations."""

    destination = SHOP

    def good_event(self) -> dict[str, Any]:
        return {"kind": "sale", "order": "P4711", "total": 12.5}


def test_a_refused_event_dies_alone(tmp_path: Path) -> None:
    """The webhook names what it will never take; the others are delivered."""
    service = ScriptedTransport([response(200, {"refused": {"1": "no such article"}}, x_request_id="r-1")])
    with EventQueue(tmp_path / "queue.db", [SHOP], transport=lambda _: service) as queue:
        ids = queue.enqueue_many([{"article": 1}, {"article": -1}, {"article": 3}])
        report = queue.sync()
        assert (report.delivered, report.dead) == (2, 1)
        refused = queue.get(ids[1])
        assert refused is not None
        assert refused.error is not None
        assert "no such article" in refused.error.message
