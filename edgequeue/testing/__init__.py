"""Fakes for the tests of an application, the same that edgequeue is tested with: no network, no sleep, no mock.

    from edgequeue import AdobeEdge, EventQueue
    from edgequeue.testing import ManualClock, NotSent, ScriptedTransport, accept, event_for

    def test_a_sale_made_offline_arrives_later(tmp_path):
        clock = ManualClock()
        network = ScriptedTransport([NotSent("no route", code="connect")], then=accept)
        web = AdobeEdge("web", datastream_id="test")
        with EventQueue(tmp_path / "queue.db", [web], clock=clock, transport=network) as queue:
            sale = queue.enqueue(event_for("adobe-edge"), reference="P4711")
            assert queue.sync().stopped_because == "waiting"
            clock.advance(3600)
            assert queue.sync().delivered == 1
            assert queue.get(sale).status == "delivered"

`ScriptedTransport` answers as it is told and keeps what was sent; `ManualClock` stands still until it is moved;
`MemoryStore` is a store without a file, for tests of workers. Nothing here imports pytest.
"""

from __future__ import annotations

from edgequeue.errors import MaybeSent, NotSent
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.testing.clock import ManualClock
from edgequeue.testing.events import accept, event_for, response
from edgequeue.testing.memory import MemoryStore
from edgequeue.testing.transport import SILENCE, ScriptedTransport

__all__ = [
    "SILENCE",
    "HttpRequest",
    "HttpResponse",
    "ManualClock",
    "MaybeSent",
    "MemoryStore",
    "NotSent",
    "ScriptedTransport",
    "accept",
    "event_for",
    "response",
]
