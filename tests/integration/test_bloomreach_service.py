"""Bloomreach over HTTP, against the emulator's own reading of its documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgequeue import Bloomreach, EventQueue
from edgequeue.emulator import Emulator, Fault
from edgequeue.testing import event_for


@pytest.fixture
def service() -> Iterator[Emulator]:
    with Emulator(project_tokens=("shop",), public_token="p-t0ken", private_key="key-1:s3cr3t") as found:
        yield found


@pytest.fixture
def open_queue(tmp_path: Path, service: Emulator) -> Iterator[Callable[..., EventQueue]]:
    opened: list[EventQueue] = []

    def make(**settings: Any) -> EventQueue:
        access = {} if "private_key_id" in settings else {"public_token": "p-t0ken"}
        settings = {"requests_per_second_max": None, "project_token": "shop", **access, **settings}
        opened.append(EventQueue(tmp_path / "queue.db", [Bloomreach("crm", endpoint=service.url, **settings)]))
        return opened[-1]

    yield make
    for queue in opened:
        queue.close()


def sales(count: int) -> list[dict[str, Any]]:
    return [event_for("bloomreach", number=number) for number in range(count)]


def refused(number: int) -> dict[str, Any]:
    """A command that is checked and found good here, and that the service does not take: it has no such route."""
    return {"name": "campaigns/banners", "data": {"customer_ids": {"registered": f"c-{number}"}}}


def test_commands_arrive_and_refused_ones_die_with_their_own_errors(service: Emulator, open_queue: Any) -> None:
    """1 % of 2,000 is refused, each by its own result; nobody else is."""
    queue = open_queue()
    commands = [refused(n) if n % 100 == 7 else one for n, one in enumerate(sales(2000))]
    ids = queue.enqueue_many(commands)
    report = queue.sync()
    assert (report.delivered, report.dead, report.remaining, report.requests) == (1980, 20, 0, 40)
    assert service.arrived_at("bloomreach").distinct == 1980
    for number, event_id in enumerate(ids):
        record = queue.get(event_id)
        assert record is not None
        assert record.status == ("dead" if number % 100 == 7 else "delivered")
        assert (record.error is not None) == (number % 100 == 7)


@pytest.mark.parametrize(
    "settings", [{"public_token": "p-t0ken"}, {"private_key_id": "key-1", "private_secret": "s3cr3t"}]
)
def test_both_ways_of_access(service: Emulator, open_queue: Any, settings: dict[str, str]) -> None:
    """The public token, or a private key; neither shows anywhere."""
    queue = open_queue(**settings)
    queue.enqueue(sales(1)[0])
    assert queue.sync().delivered == 1
    shown = str([queue.status(), queue.requests(), list(queue.events())])
    assert "s3cr3t" not in shown
    assert "p-t0ken" not in shown


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"project_token": "another"}, "project_token"), ({"public_token": "wr0ng"}, "public_token")],
)
def test_what_our_configuration_says_wrongly_pauses(open_queue: Any, settings: dict[str, str], named: str) -> None:
    """No command dies of it, and the operator reads which key to mend."""
    queue = open_queue(**settings)
    queue.enqueue_many(sales(120))
    report = queue.sync()
    assert (report.dead, report.remaining) == (0, 120)
    view = queue.status().destinations["crm"]
    assert (view.state, named in view.reason.remedy) == ("paused", True)


def test_429_means_not_saved(service: Emulator, open_queue: Any) -> None:
    """Everything of the request goes again, and each command arrives once."""
    service.add_fault(Fault("retry_after", status=429, seconds=1, service="bloomreach"))
    queue = open_queue()
    queue.enqueue_many(sales(60))
    assert queue.sync(timeout_seconds=30).delivered == 60
    assert service.arrived_at("bloomreach").duplicates == 0


def test_a_lost_answer_is_sent_again_the_same_to_the_byte(service: Emulator, open_queue: Any) -> None:
    """The service knows a command by its bytes alone, so a second copy must be one."""
    service.add_fault(Fault("cut_after", service="bloomreach"))
    queue = open_queue()
    queue.enqueue_many(sales(30))
    queue.sync()
    assert queue.sync().delivered == 30
    arrived = service.arrived_at("bloomreach")
    assert (arrived.distinct, arrived.duplicates) == (30, 30)


def test_catching_up_keeps_its_pace(service: Emulator, open_queue: Any) -> None:
    """Five requests a second by default: what looks like an import is blocked."""
    queue = open_queue(requests_per_second_max=20.0, batch_events_max=1)
    queue.enqueue_many(sales(12))
    assert queue.sync().delivered == 12
    assert service.busiest(0.2, "bloomreach") <= 5
    assert Bloomreach("crm", project_token="p", public_token="t").requests_per_second_max == 5.0
