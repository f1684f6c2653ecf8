"""Tokens against a real token service: one for all, renewed once where it is refused, and no event is ever touched."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgequeue import AdobeDccs, AdobeEdge, Bearer, EventQueue, Ims, Secret
from edgequeue.emulator import Emulator, Fault
from edgequeue.runner import over_http
from edgequeue.testing import ManualClock
from edgequeue.worker import Worker

ORG, CLIENT, SECRET = "org@AdobeOrg", "client-1", "s3cr3t-of-the-client"


def event(**more: Any) -> dict[str, Any]:
    return {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}, "eventType": "sale", **more}}


@pytest.fixture
def service() -> Iterator[Emulator]:
    with Emulator(client_id=CLIENT, client_secret=SECRET, org_id=ORG) as service:
        yield service


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return path


@pytest.fixture
def open_queue(tmp_path: Path, service: Emulator, secret: Path) -> Iterator[Callable[..., EventQueue]]:
    """Opens a queue with two destinations that share an account; each call is a process of its own, so to speak."""
    opened: list[EventQueue] = []

    def make(**options: Any) -> EventQueue:
        account = Ims(CLIENT, Secret(path=secret), ORG, endpoint=service.token_url)
        schema = "https://ns.adobe.com/contoso/schemas/1"
        destinations = [
            AdobeEdge("web", endpoint=service.url, datastream_id="d", auth=account),
            AdobeDccs(
                "till", endpoint=service.inlet_url("i"), org_id=ORG, dataset_id="s", schema_id=schema, auth=account
            ),
        ]
        opened.append(EventQueue(tmp_path / "queue.db", destinations, **options))
        return opened[-1]

    yield make
    for queue in opened:
        queue.close()


def fill(queue: EventQueue, count: int = 20) -> None:
    for name in ("web", "till"):
        queue.enqueue_many((event(n=n) for n in range(count)), name)


def states(queue: EventQueue) -> set[str]:
    return {one.state for one in queue.status().destinations.values()}


def test_one_token_serves_both_destinations_for_its_whole_life(service: Emulator, open_queue: Any) -> None:
    """Whoever comes first fetches it; sync after sync it is the same."""
    queue = open_queue()
    for _ in range(5):
        fill(queue)
        assert queue.sync().remaining == 0
    assert service.token_requests == 1


def test_a_token_that_the_service_gave_up_is_renewed_once_in_the_same_sync(service: Emulator, open_queue: Any) -> None:
    """A 401 costs one more token request and no event anything."""
    queue = open_queue()
    fill(queue)
    queue.sync()
    service.revoke_tokens()
    fill(queue)
    report = queue.sync()
    assert (report.remaining, report.dead) == (0, 0)
    assert service.token_requests == 2
    assert {record.attempts for record in queue.events()} == {0}


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_refused_again_after_renewal_pause(service: Emulator, open_queue: Any, status: int) -> None:
    """Renewed once; then an operator has to look, and each later sync by hand asks for one token."""
    service.add_fault(Fault("status", times=None, service="edge", status=status, form="empty"))
    queue = open_queue()
    queue.enqueue(event(), "web")
    report = queue.sync()
    assert (report.stopped_because, report.remaining, report.requests) == ("waiting", 1, 2)
    assert service.token_requests == 2
    view = queue.status().destinations["web"]
    assert (view.state, view.reason.code) == ("paused", f"http_{status}")
    for number in range(3):
        open_queue().sync()  # as another process would: it has no token yet
        assert service.token_requests == 3 + number
    service.clear_faults()
    assert queue.sync().remaining == 0


def test_a_wrong_secret_pauses_ten_thousand_events_and_touches_none(
    service: Emulator, open_queue: Any, secret: Path
) -> None:
    """One request to the token service a sync, none to the others; corrected, the next sync drains all."""
    secret.write_text("not-the-s3cr3t")
    queue = open_queue()
    fill(queue, 5_000)
    for number in range(1, 4):
        report = open_queue().sync()
        assert (report.remaining, report.dead, report.requests) == (10_000, 0, 0)
        assert service.token_requests == number
    assert states(queue) == {"paused"}
    view = queue.status().destinations["web"]
    assert view.reason.code == "ims_invalid_client"
    assert "client_secret" in view.reason.remedy
    assert "not-the-s3cr3t" not in str(queue.status())
    assert service.requests == [] or {seen.service for seen in service.requests} == {"ims"}
    secret.write_text(SECRET)
    report = open_queue().sync()
    assert (report.remaining, report.delivered, report.dead) == (0, 10_000, 0)


def test_a_paused_worker_asks_once_per_interval(service: Emulator, tmp_path: Path, secret: Path) -> None:
    """Each 180 s one request to the token service, whatever is pending; corrected, it goes on by itself."""
    secret.write_text("not-the-s3cr3t")
    clock = ManualClock()
    account = Ims(CLIENT, Secret(path=secret), ORG, endpoint=service.token_url, _clock=clock)
    edge = AdobeEdge("web", endpoint=service.url, datastream_id="d", auth=account)
    with EventQueue(tmp_path / "queue.db", [edge], clock=clock) as queue, closing(over_http(edge)) as sender:
        fill_one = queue.enqueue_many((event(n=n) for n in range(500)), "web")
        worker = Worker(queue._store, edge, sender, kind="test")
        for _ in range(3600 // 5):
            worker.step()
            clock.advance(5)
        assert service.token_requests == 3600 / 180
        assert {seen.service for seen in service.requests} == {"ims"}
        secret.write_text(SECRET)
        clock.advance(180)
        while worker.step().claimed:
            pass
        worker.close()
        assert queue.status().ledger.delivered == len(fill_one)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", service="ims", status=503, times=None),
        Fault("captive_portal", service="ims", times=None),
        Fault("cut_before", service="ims", times=None),
    ],
)
def test_a_token_service_in_trouble_defers(service: Emulator, open_queue: Any, fault: Fault) -> None:
    """It is not our credentials' fault: backing off, nothing is sent without a token."""
    service.add_fault(fault)
    queue = open_queue()
    fill(queue)
    report = queue.sync()
    assert (report.remaining, report.dead, report.requests) == (40, 0, 0)
    assert states(queue) == {"backing_off"}
    assert {seen.service for seen in service.requests} <= {"ims", None}


def test_a_retry_after_of_the_token_service_binds_by_hand_too(service: Emulator, open_queue: Any) -> None:
    """Who asks for patience is given it, by each process."""
    service.add_fault(Fault("retry_after", service="ims", status=429, seconds=600))
    fill(open_queue())
    open_queue().sync(destination="web")
    open_queue().sync(destination="web")
    assert service.token_requests == 1


def test_a_token_file_that_has_changed_is_read_again_without_a_pause(tmp_path: Path) -> None:
    """A bearer token is renewed by somebody else, in its file: what comes next is signed with the new one."""
    token = tmp_path / "token"
    token.write_text("first")
    with Emulator(token="first") as service:
        account = Bearer(Secret(path=token), client_id=CLIENT, org_id=ORG)
        destination = AdobeEdge("web", endpoint=service.url, datastream_id="d", auth=account)
        with EventQueue(tmp_path / "queue.db", [destination]) as queue:
            for current in ("first", "second"):
                service.token = current
                token.write_text(current)
                queue.enqueue(event())
                assert queue.sync().remaining == 0
        assert [seen.status for seen in service.requests] == [202, 202]


def test_a_token_file_that_changes_while_its_token_is_refused_is_tried_again_at_once(tmp_path: Path) -> None:
    """The 401 of the old token costs one request and no pause."""
    token = tmp_path / "token"
    token.write_text("first")
    with Emulator(token="second", on_request=lambda _: token.write_text("second")) as service:
        account = Bearer(Secret(path=token), client_id=CLIENT, org_id=ORG)
        destination = AdobeEdge("web", endpoint=service.url, datastream_id="d", auth=account)
        with EventQueue(tmp_path / "queue.db", [destination]) as queue:
            queue.enqueue(event())
            assert queue.sync().remaining == 0
        assert [seen.status for seen in service.requests] == [401, 202]


def test_destinations_in_parallel_wait_for_one_token(service: Emulator, open_queue: Any) -> None:
    """Two workers and two syncs at once: the token is fetched by one of them."""
    service.add_fault(Fault("delay", service="ims", seconds=0.3))
    queue = open_queue()
    fill(queue, 50)
    threads = [threading.Thread(target=queue.sync, kwargs={"destination": name}) for name in ("web", "till")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.status().ledger.delivered == 100
    assert service.token_requests == 1
