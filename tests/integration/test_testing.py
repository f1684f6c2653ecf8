"""What ships for other people's tests does what its own documentation says."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import edgequeue.testing
from edgequeue import AdobeDccs, AdobeEdge, Bloomreach, ConfigError, Destination, EventQueue
from edgequeue.testing import ManualClock, MemoryStore, ScriptedTransport, accept, event_for, response
from edgequeue.worker import Worker
from tests.integration.scripts import ROOT

EDGE = AdobeEdge("web", datastream_id="test")
DCCS = AdobeDccs(
    "till",
    endpoint="https://dcs.adobedc.net/collection/0f1e2d",
    dataset_id="6021a1b2c3",
    schema_id="https://ns.adobe.com/acme/schemas/77aa",
)
CRM = Bloomreach("crm", project_token="p-1", public_token="t0ken")


def test_the_documented_example_runs(tmp_path: Path) -> None:
    """The lines in the package's docstring are a test that passes."""
    doc = inspect.getdoc(edgequeue.testing) or ""
    example = textwrap.dedent("".join(line + "\n" for line in doc.splitlines() if line.startswith("    ") or not line))
    names: dict[str, Any] = {}
    exec(example, names)
    names["test_a_sale_made_offline_arrives_later"](tmp_path)


@pytest.mark.parametrize("destination", [EDGE, DCCS, CRM], ids=lambda one: one.type)
def test_an_event_of_each_type_goes_the_whole_way(tmp_path: Path, destination: Destination) -> None:
    """What `event_for` makes is taken without a warning, and `accept` answers as the service does."""
    network = ScriptedTransport(then=accept)
    with EventQueue(tmp_path / "queue.db", [destination], transport=network, clock=ManualClock()) as queue:
        events = [event_for(destination.type, number=number) for number in range(3)]
        assert queue.check(events[0]) == ()
        ids = queue.enqueue_many(events)
        assert queue.sync().delivered == 3
        assert [record.status for record in queue.events()] == ["delivered"] * 3
        assert all(record.receipt for event_id in ids if (record := queue.get(event_id)))


def test_an_events_fields_can_be_given() -> None:
    """They stand in its XDM, in place of what would be there."""
    event = event_for("adobe-edge", number=7, eventType="web.visit", note="x")
    assert (event["xdm"]["eventType"], event["xdm"]["note"]) == ("web.visit", "x")
    assert event["xdm"]["commerce"]["order"]["purchaseID"] == "P-7"
    with pytest.raises(ConfigError, match="carrier-pigeon"):
        event_for("carrier-pigeon")


def test_a_worker_runs_on_the_store_in_memory() -> None:
    """Without a file: the same turns, the same books."""
    clock = ManualClock()
    store = MemoryStore(clock)
    store.register("web", "adobe-edge")
    network = ScriptedTransport([response(503, retry_after="60")], then=accept)
    worker = Worker(store, EDGE, network, kind="test")
    from edgequeue.model import Priority

    event_id = store.put("web", EDGE.check(event_for("adobe-edge"), store.wall_ms()), Priority.NORMAL, 1.0)
    assert worker.step().delivered == 0
    assert worker.step().claimed == 0, "the service has asked for a wait"
    clock.advance(301)
    assert worker.step().delivered == 1
    record = store.get(event_id)
    assert record is not None
    assert [trip.disposition for trip in record.history] == ["defer", "accepted"]
    worker.close()
    store.close()


def test_the_package_needs_neither_pytest_nor_the_network() -> None:
    """An application may use it with any test runner."""
    code = "import sys, edgequeue.testing; print(*({'pytest', 'hypothesis', 'httpx', 'sqlalchemy'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_all_names_are_listed() -> None:
    """What is exported is there and documented."""
    for name in edgequeue.testing.__all__:
        value = getattr(edgequeue.testing, name)
        assert inspect.getdoc(value), name
