"""Bloomreach with worker, store and rules together: every answer, and ten thousand commands of which some are bad.

The service is in the test's hands and the clock stands still until it is moved.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edgequeue import Bloomreach, EventQueue
from edgequeue.errors import MaybeSent
from edgequeue.model import HttpRequest, HttpResponse, Priority, Status
from edgequeue.store.base import EventFilter
from edgequeue.testing import ManualClock, MemoryStore, ScriptedTransport, accept, event_for, response
from edgequeue.worker import Worker
from tests.integration.answers_bloomreach import Answered, Service, answers, commands_of
from tests.integration.answers_case import NAME, trips_of

CRM = Bloomreach(NAME, project_token="p-1", public_token="t0ken-of-the-project")
UNTHROTTLED = replace(CRM, requests_per_second_max=None, requests_in_flight_max=1)
"""For a clock that stands still; one request at a time, so that their number is no matter of luck."""


@pytest.fixture
def queue_on(tmp_path: Path) -> Callable[..., tuple[EventQueue, ScriptedTransport, ManualClock]]:
    """Opens a queue whose network is a service."""

    def begin(service: Service) -> tuple[EventQueue, ScriptedTransport, ManualClock]:
        clock, network = ManualClock(), ScriptedTransport(then=service)
        return EventQueue(tmp_path / "queue.db", [UNTHROTTLED], clock=clock, transport=network), network, clock

    return begin


# --- every answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", list(answers()), ids=str)
def test_each_answer_comes_to_what_the_design_says(
    case: Answered,
    queue_on: Callable[..., tuple[EventQueue, ScriptedTransport, ManualClock]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Disposition, ledger, requests and what `status` says, after one sync; then everything is delivered."""
    dice = Random(7)
    monkeypatch.setattr("edgequeue.sending.Random", lambda: dice)
    current: list[Service] = [case.service]
    queue, network, clock = queue_on(lambda request: current[0](request))
    after = case.after
    with queue:
        ids = queue.enqueue_many(event_for("bloomreach", number=number) for number in range(3))
        queue.sync()
        found = [record for one in ids if (record := queue.get(one)) is not None]
        status = queue.status()
        view = status.destinations[NAME]
        trips = [trips_of(record) for record in found]
        assert trips == (list(after.trips) if len(after.trips) > 1 else list(after.trips) * 3)
        assert (len(network.requests), status.ledger.delivered, status.ledger.dead) == (
            after.requests,
            after.delivered,
            after.dead,
        )
        assert all(record.attempts == (record.status == "dead") for record in found)
        assert all(record.error is not None and record.error.message for record in found if record.status == "dead")
        assert view.state == after.state
        assert (view.reason.code if view.reason else "") == after.code
        assert after.remedy in (view.reason.remedy if view.reason else "")
        if after.asked_seconds:
            clock.advance(after.asked_seconds - 1)
            assert queue.sync().requests == 0
            clock.advance(2)
        current[0] = accept
        for _ in range(3):
            if queue.sync().remaining == 0:
                break
        ledger = queue.status().ledger
        assert (ledger.pending, ledger.delivered, ledger.balanced) == (0, 3 - after.dead, True)


def test_a_retry_is_the_same_to_the_byte(
    queue_on: Callable[..., tuple[EventQueue, ScriptedTransport, ManualClock]],
) -> None:
    """Bloomreach drops exact duplicates and knows no other: neither time nor id is written anew, days later."""
    queue, network, clock = queue_on(accept)
    with queue:
        ids = queue.enqueue_many([event_for("bloomreach"), {"name": "customers", "data": {"customer_ids": {"a": "1"}}}])
        network.add(MaybeSent("no answer in time", code="read_timeout"), response(503))
        for _ in range(3):
            queue.sync()
            clock.advance(86_400)
        assert [one.status for one in queue.events()] == ["delivered", "delivered"]
    bodies = [request.body for request in network.requests]
    assert bodies == [bodies[0]] * 3
    assert [command["command_id"] for command in json.loads(bodies[0])["commands"]] == ids


def test_an_event_is_found_by_its_command_id(
    queue_on: Callable[..., tuple[EventQueue, ScriptedTransport, ManualClock]],
) -> None:
    """The application's own, or the event's id where it brought none; the receipt is the request's id."""
    queue, _, _ = queue_on(accept)
    with queue:
        own = queue.enqueue({**event_for("bloomreach"), "command_id": "sale-4711"})
        minted = queue.enqueue(event_for("bloomreach"))
        queue.sync()
        assert queue.resolve("sale-4711") == [own]
        assert queue.resolve(minted) == [minted]
        record = queue.get(own)
        assert record is not None
        assert record.receipt == "test"


def test_the_pace_holds_up_nobody_who_has_nothing_left_to_send(tmp_path: Path) -> None:
    """The pace is for the next request; a sync that has sent everything ends, though no time has passed."""
    network = ScriptedTransport(then=accept)
    with EventQueue(tmp_path / "queue.db", [CRM], clock=ManualClock(), transport=network) as queue:
        queue.enqueue(event_for("bloomreach"))
        assert queue.sync(timeout_seconds=5).stopped_because == "empty"


@pytest.mark.parametrize(
    ("access", "secret"),
    [
        ({"public_token": "t0ken-of-the-project"}, "t0ken-of-the-project"),
        ({"private_key_id": "key-1", "private_secret": "s3cret-of-the-key"}, "s3cret-of-the-key"),
    ],
)
def test_a_secret_that_an_answer_repeats_is_not_kept(tmp_path: Path, access: dict[str, str], secret: str) -> None:
    """Not the header's value, and not the secret that Basic encodes in it."""
    crm = Bloomreach(NAME, project_token="p-1", **access)  # type: ignore[arg-type]
    network = ScriptedTransport()

    def echo(_: HttpRequest) -> HttpResponse:
        (sent,) = {one["authorization"] for one in network.credentials}
        return response(401, {"error": f"no key {secret} in {sent}"})

    network = ScriptedTransport(then=echo)
    with EventQueue(tmp_path / "queue.db", [crm], clock=ManualClock(), transport=network) as queue:
        queue.enqueue(event_for("bloomreach"))
        queue.sync()
        reason = queue.status().destinations[NAME].reason
    assert reason is not None
    assert "no key [the token] in" in reason.text
    shown = network.credentials[0]["authorization"].partition(" ")[2]
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert secret.encode() not in content
        assert shown.encode() not in content


# --- ten thousand commands --------------------------------------------------------------------------------------------


@dataclass
class Strict:
    """A service that judges each command by rules of its own project, and writes down when it was asked."""

    clock: ManualClock
    asked_ms: list[int] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.asked_ms.append(self.clock.boot_ms())
        commands = json.loads(request.body)["commands"]
        if not 1 <= len(commands) <= 50 or len(request.body) > 1_000_000:
            return response(400, {"success": False, "message": "Invalid JSON"})
        results = [self._judge(command) for command in commands]
        return response(
            200, {"success": True, "results": results, "start_time": 1.5, "end_time": 1.6}, x_request_id="r"
        )

    def _judge(self, command: dict[str, Any]) -> dict[str, Any]:
        told = {"command_id": command["command_id"]}
        data = command.get("data", {})
        errors = []
        if command["name"] == "customers/events" and not isinstance(data.get("timestamp"), float):
            errors.append("Field 'timestamp' is required here.")
        if command["name"] == "customers" and not isinstance(data.get("update_timestamp"), float):
            errors.append("Field 'update_timestamp' is required here.")
        if data.get("properties", {}).get("total_price", 0) < 0:
            errors.append(f"Price of {data['properties']['purchase_id']} is negative.")
        if errors:
            self.refused[command["command_id"]] += 1
            return {"success": False, "errors": errors, **told}
        self.taken[command["command_id"]] += 1
        return {"success": True, **told}


def mixed(number: int) -> dict[str, Any]:
    """A command of one of the three kinds; each hundredth is one that the service refuses."""
    price = {"total_price": -1.0} if number % 100 == 37 else {}
    event = event_for("bloomreach", number=number, **price)
    if number % 100 == 37 or number % 3 == 0:
        return event
    if number % 30 == 1:
        return {"name": "system/time"}
    ids = event["data"]["customer_ids"]
    return {"name": "customers", "data": {"customer_ids": ids, "properties": {"visits": number}}}


def test_ten_thousand_commands_at_the_pace_that_bloomreach_wants() -> None:
    """1 % are dead, each with its own errors; the rest is delivered once, 50 a request and 5 requests a second."""
    clock = ManualClock()
    store = MemoryStore(clock)
    store.register(NAME, CRM.type)
    service = Strict(clock)
    network = ScriptedTransport(then=service)
    worker = Worker(store, CRM, network, kind="test", dice=Random(5))
    drafts = [CRM.check(mixed(number), store.wall_ms()) for number in range(10_000)]
    ids = store.put_many(NAME, drafts, Priority.NORMAL, 1.0)
    while True:
        turn = worker.step()
        if turn.next_due_ms is None and not turn.claimed:
            break
        now_ms = store.now_ms()
        clock.advance(max((turn.next_due_ms or now_ms) - now_ms, 0) / 1000)
    worker.close()
    counts = store.counts(NAME)
    assert (counts.delivered, counts.dead, counts.pending, counts.balanced) == (9_900, 100, 0, True)
    bad = [event_id for number, event_id in enumerate(ids) if number % 100 == 37]
    assert service.taken == Counter(set(ids) - set(bad))
    assert service.refused == Counter(bad)
    dead = {one.event_id: one for one in store.events(EventFilter(Status.DEAD))}
    for number, event_id in zip(range(37, 10_000, 100), bad, strict=True):
        error = dead[event_id].error
        assert error is not None
        assert (error.message, error.status) == (f"Price of P-{number} is negative.", 200)
    assert max(len(commands_of(request)) for request in network.requests) == 50
    assert len(network.requests) == 200
    asked = service.asked_ms
    assert all(later - earlier >= 1000 for earlier, later in zip(asked, asked[5:], strict=False))
    assert asked[-1] - asked[0] == 199 * 200, "and no slower than that"
