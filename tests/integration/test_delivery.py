"""From enqueue to receipt over real HTTP, against the emulator: what each kind of answer does."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgequeue import AdobeDccs, AdobeEdge, Bearer, EventQueue, QueueFull, Record, Secret
from edgequeue.emulator import Emulator, Fault
from edgequeue.errors import StoreFull
from edgequeue.model import Problem
from edgequeue.retry import Hold, HoldState
from edgequeue.runner import Runner
from edgequeue.store.delivery import Delivery
from edgequeue.sync import sync
from tests.support import eventually


def event(**more: Any) -> dict[str, Any]:
    return {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}, **more}}


@pytest.fixture
def service() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def open_queue(tmp_path: Path, service: Emulator) -> Iterator[Callable[..., EventQueue]]:
    opened: list[EventQueue] = []

    def make(*destinations: Any, **options: Any) -> EventQueue:
        chosen = destinations or (AdobeEdge("web", endpoint=service.url, datastream_id="d", batch_events_max=16),)
        queue = EventQueue(tmp_path / "queue.db", list(chosen), **options)
        opened.append(queue)
        return queue

    yield make
    for queue in opened:
        queue.close()


def till(service: Emulator, **more: Any) -> AdobeDccs:
    settings = {
        "endpoint": service.inlet_url("till"),
        "dataset_id": "ds",
        "schema_id": "https://ns.adobe.com/x/schemas/1",
    }
    return AdobeDccs("till", **{**settings, **more})


def balanced(queue: EventQueue) -> bool:
    return queue.status().ledger.balanced


# --- accepted ---------------------------------------------------------------------------------------------------------


def test_events_for_both_services_are_delivered_with_their_receipts(service: Emulator, open_queue: Any) -> None:
    """Each event is delivered once, and its receipt is the service's own id for it."""
    queue = open_queue(AdobeEdge("web", endpoint=service.url, datastream_id="d"), till(service))
    web = queue.enqueue_many([event(n=n) for n in range(5)], "web")
    dccs = queue.enqueue_many([{"xdm": {"n": n}} for n in range(5)], "till")
    report = queue.sync()
    assert (report.delivered, report.dead, report.remaining, report.stopped_because) == (10, 0, 0, "empty")
    assert dict(service.arrived.by_id) == dict.fromkeys(web + dccs, 1)
    receipts = [queue.get(one).receipt for one in dccs]
    assert [receipt.rpartition(":")[2] for receipt in receipts] == ["0", "1", "2", "3", "4"]
    assert queue.get(web[0]).receipt.startswith(queue.get(web[0]).request_id)
    assert balanced(queue)


def test_what_is_urgent_travels_first(service: Emulator, open_queue: Any) -> None:
    """All of high, then normal, then low; within a priority the oldest first."""
    queue = open_queue(AdobeEdge("web", endpoint=service.url, datastream_id="d", requests_in_flight_max=1))
    low, normal, high = (queue.enqueue(event(), priority=one) for one in ("low", "normal", "high"))
    queue.sync()
    assert list(service.arrived.ids) == [high, normal, low]


# --- refused ----------------------------------------------------------------------------------------------------------


def test_a_poison_event_dies_alone(service: Emulator, open_queue: Any) -> None:
    """One refused event in 1,000: 1 dead, 999 delivered, in at most 2·⌈log2 n⌉+2 more requests."""
    queue = open_queue(AdobeEdge("web", endpoint=service.url, datastream_id="d", batch_events_max=100))
    ids = queue.enqueue_many(event(n=n) for n in range(1000))
    service.add_fault(Fault("status", status=400, times=None, event_id=ids[637]))
    report = queue.sync()
    assert (report.delivered, report.dead) == (999, 1)
    assert report.requests <= 10 + 2 * 7 + 2
    record = queue.get(ids[637])
    assert record.status == "dead"
    assert record.attempts == 1, "bisecting spends no attempt"
    assert record.error.status == 400
    assert balanced(queue)


def test_a_batch_that_is_too_large_is_halved(service: Emulator, open_queue: Any) -> None:
    """413 for everything over one event: all are delivered, none is blamed."""
    queue = open_queue()
    ids = queue.enqueue_many(event(n=n) for n in range(8))
    for batch in (8, 4, 4):
        del batch
        service.add_fault(Fault("status", status=413))
    report = queue.sync()
    assert (report.delivered, report.dead) == (8, 0)
    assert all(queue.get(one).attempts == 0 for one in ids)


def test_a_message_refused_in_a_batch_is_dead_and_its_neighbours_are_delivered(open_queue: Any, tmp_path: Path) -> None:
    """The per-message answer of DCCS decides per message."""
    with Emulator(required_fields=("_experience",)) as service:
        queue = open_queue(till(service))
        good = queue.enqueue({"xdm": {"_experience": {}}})
        bad = queue.enqueue({"xdm": {"other": 1}})
        report = queue.sync()
        assert (report.delivered, report.dead) == (1, 1)
        assert queue.get(good).status == "delivered"
        assert "_experience" in queue.get(bad).error.message
        assert queue.requests()[0].outcome == "partial"


def test_a_dead_event_can_be_requeued_and_delivered(service: Emulator, open_queue: Any) -> None:
    """Requeue gives an event another life; the history keeps both."""
    queue = open_queue()
    event_id = queue.enqueue(event())
    service.add_fault(Fault("status", status=400))
    assert queue.sync().dead == 1
    assert queue.requeue(event_id) == 1
    assert queue.sync().delivered == 1
    record = queue.get(event_id)
    assert [trip.disposition for trip in record.history] == ["reject", "accepted"]
    assert queue.status().ledger.dead == 0
    assert balanced(queue)


# --- held back --------------------------------------------------------------------------------------------------------


def test_offline_leaves_no_trace_but_one_outage(service: Emulator, open_queue: Any, tmp_path: Path) -> None:
    """Tries that fail before any byte is sent leave no request and no history, and do not grow the database."""
    queue = open_queue()
    event_id = queue.enqueue(event())
    service.go_offline()
    sizes = set()
    for _ in range(20):
        assert queue.sync().stopped_because == "waiting"
        sizes.add(queue.status().disk_bytes)
    assert queue.requests() == []
    record = queue.get(event_id)
    assert (record.status, record.history, record.attempts) == ("pending", (), 0)
    view = queue.status().destinations["web"]
    assert (view.state, view.reason.code) == ("offline", "connect")
    service.go_online()
    assert queue.sync().delivered == 1
    assert queue.status().destinations["web"].reason is None
    assert max(sizes) - min(sizes) < 200_000, "the log is written in place"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_fault_of_ours_pauses_and_keeps_everything(service: Emulator, open_queue: Any, status: int) -> None:
    """Credentials or address wrong: every event is kept, the operator is told, and one try by hand sends one event."""
    queue = open_queue()
    queue.enqueue_many(event(n=n) for n in range(40))
    service.add_fault(Fault("status", status=status, times=None))
    queue.sync()
    asked = len(service.requests)
    view = queue.status().destinations["web"]
    assert view.state == "paused"
    assert view.reason.remedy
    assert "edgequeue sync" in queue.status().why
    queue.sync(timeout_seconds=5)
    assert [seen.events for seen in service.requests[asked:]] == [1], (
        "a pause is probed with one event, and not waited for"
    )
    assert queue.status().ledger.pending == 40
    service.clear_faults()
    assert queue.sync().delivered == 40


def test_a_wait_that_the_service_asks_for_binds_even_by_hand(service: Emulator, open_queue: Any) -> None:
    """Retry-After holds for the destination through sync by hand and a reopened queue."""
    queue = open_queue()
    queue.enqueue(event())
    service.add_fault(Fault("retry_after", seconds=300))
    assert queue.sync().stopped_because == "waiting"
    for _ in range(3):
        assert queue.sync().requests == 0
    queue.close()
    again = open_queue()
    assert again.sync().requests == 0
    assert again.status().destinations["web"].next_attempt_at is not None
    assert len(service.requests) == 1


def test_a_short_wait_is_sat_out_when_there_is_time(service: Emulator, open_queue: Any) -> None:
    """With a timeout, sync waits as it was asked to and goes on."""
    queue = open_queue()
    queue.enqueue(event())
    service.add_fault(Fault("retry_after", seconds=1))
    report = queue.sync(timeout_seconds=60)
    assert (report.delivered, report.requests, report.deferred) == (1, 2, 1)


@pytest.mark.parametrize("fault", ["captive_portal", "garbage", "cut_before"])
def test_nobodys_answer_is_no_delivery_and_no_fault_of_the_event(
    service: Emulator, open_queue: Any, fault: str
) -> None:
    """A login page, half an answer or none at all: the event goes again, no attempt is spent."""
    queue = open_queue()
    event_id = queue.enqueue(event())
    service.add_fault(Fault(fault))
    assert queue.sync().delivered == 0
    assert queue.sync().delivered == 1
    assert queue.get(event_id).attempts == 0
    assert service.arrived.by_id[event_id] == 1


def test_a_lost_answer_is_unknown_and_goes_again_as_the_same_event(service: Emulator, open_queue: Any) -> None:
    """The service sees the same _id twice, and the history shows both requests."""
    queue = open_queue()
    event_id = queue.enqueue(event())
    service.add_fault(Fault("cut_after"))
    queue.sync()
    queue.sync()
    assert [trip.disposition for trip in queue.get(event_id).history] == ["unknown", "accepted"]
    assert service.arrived.by_id[event_id] == 2


def test_a_missing_secret_pauses_without_a_request(service: Emulator, open_queue: Any) -> None:
    """No credentials: nothing is sent, and the remedy names the variable."""
    account = Bearer(Secret(env="EDGEQUEUE_TEST_NO_SUCH_TOKEN"))
    queue = open_queue(AdobeEdge("web", endpoint=service.url, datastream_id="d", auth=account))
    queue.enqueue(event())
    assert queue.sync().requests == 0
    assert "EDGEQUEUE_TEST_NO_SUCH_TOKEN" in queue.status().why
    assert service.requests == []


def test_one_destination_in_trouble_does_not_slow_another(service: Emulator, open_queue: Any) -> None:
    """While one service keeps its answer to itself for minutes, events for the other are delivered."""
    asked, delivered = threading.Event(), threading.Event()
    with Emulator(on_request=lambda _: asked.set()) as mute:
        mute.add_fault(Fault("delay", seconds=600, times=None))
        places = (AdobeEdge("web", endpoint=mute.url, datastream_id="d"), till(service))
        queue = open_queue(*places, on_delivered=lambda _: delivered.set())
        queue.start()
        queue.enqueue(event(), "web")
        assert asked.wait(30)
        queue.enqueue({"xdm": {}}, "till")
        assert delivered.wait(30)
        assert queue.status().destinations["web"].counts.sending == 1
        queue.stop(timeout_seconds=1)


# --- workers ----------------------------------------------------------------------------------------------------------


def test_the_background_worker_delivers_and_tells(service: Emulator, open_queue: Any) -> None:
    """Callbacks get one immutable record each; one that raises stops nothing."""
    told: list[Record] = []
    done = threading.Semaphore(0)

    def tell(record: Record) -> None:
        told.append(record)
        done.release()
        if len(told) == 1:
            raise RuntimeError("the application's own fault")

    queue = open_queue(on_delivered=tell, on_dead=tell)
    queue.start()
    first = queue.enqueue(event())
    assert done.acquire(timeout=30)
    service.add_fault(Fault("status", status=400, times=2))  # on the kept connection, and confirmed on a fresh one
    second = queue.enqueue(event())
    assert done.acquire(timeout=30)
    assert [(record.event_id, record.status) for record in told] == [(first, "delivered"), (second, "dead")]
    assert queue.stop()


def test_a_worker_stops_in_the_middle_of_a_request(service: Emulator, open_queue: Any) -> None:
    """Stop is bounded although the service does not answer; the event stays pending and goes again later."""
    seen = threading.Event()
    with Emulator(on_request=lambda _: seen.set()) as slow:
        slow.add_fault(Fault("delay", seconds=600, times=None))
        queue = open_queue(AdobeEdge("web", endpoint=slow.url, datastream_id="d"))
        queue.start()
        event_id = queue.enqueue(event())
        assert seen.wait(30)
        assert queue.stop(timeout_seconds=1)
        record = queue.get(event_id)
        assert record.status == "pending"
        assert [trip.disposition for trip in record.history] == ["unknown"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where there is fork")
def test_a_forked_child_has_no_worker_and_can_start_its_own(service: Emulator, open_queue: Any) -> None:
    """The child enqueues, starts and stops for itself; the parent's worker goes on."""
    queue = open_queue()
    queue.start()
    queue.enqueue(event())
    child = os.fork()
    if child == 0:
        code = 1
        try:
            queue.enqueue(event())
            code = 0 if queue.stop(timeout_seconds=30) else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    queue.enqueue(event())
    queue.stop()
    queue.sync()
    assert queue.status().ledger.delivered == 3
    assert service.arrived.duplicates == 0


def test_sync_beside_a_running_worker_asks_it_to_send_now(service: Emulator, open_queue: Any, tmp_path: Path) -> None:
    """Where another worker holds the lease, sync makes it try at once and follows its progress."""
    running = open_queue()
    running.enqueue_many(event(n=n) for n in range(20))
    # By itself it would not try within the time of this test: only being asked makes it send.
    far_ms = running._store.now_ms() + 3_600_000
    running._store.set_hold("web", Hold(HoldState.BACKING_OFF, 1, until_ms=far_ms, problem=Problem("busy", "busy")))
    running.start(kind="run")
    eventually(lambda: running.status().worker is not None)  # or sync takes the lease and sends by itself
    with EventQueue(tmp_path / "queue.db", list(running.destinations.values())) as other:
        report = other.sync(timeout_seconds=60)
        assert (report.remaining, report.stopped_because) == (0, "empty")
        assert (report.delivered, report.requests) == (20, len(other.requests()))
        assert other.status().worker.kind == "run"
    assert running.status().ledger.delivered == 20


def test_two_syncs_at_once_deliver_each_event_once(service: Emulator, open_queue: Any, tmp_path: Path) -> None:
    """One of them sends, the other one follows."""
    queue = open_queue()
    ids = queue.enqueue_many(event(n=n) for n in range(400))
    with EventQueue(tmp_path / "queue.db", list(queue.destinations.values())) as other:
        thread = threading.Thread(target=other.sync)
        thread.start()
        queue.sync()
        thread.join()
    assert dict(service.arrived.by_id) == dict.fromkeys(ids, 1)
    assert queue.status().ledger.delivered == 400


def test_a_limit_is_kept(service: Emulator, open_queue: Any) -> None:
    """`limit` events are delivered, no more."""
    queue = open_queue()
    queue.enqueue_many(event(n=n) for n in range(50))
    report = queue.sync(limit=7)
    assert (report.delivered, report.remaining, report.stopped_because) == (7, 43, "limit")


def test_a_pace_slows_a_sync_and_does_not_end_it(service: Emulator, open_queue: Any) -> None:
    """`requests_per_second_max` spaces requests out; sync goes on until the queue is empty."""
    queue = open_queue(
        AdobeEdge("web", endpoint=service.url, datastream_id="d", batch_events_max=10, requests_per_second_max=50)
    )
    queue.enqueue_many(event(n=n) for n in range(40))
    report = queue.sync()
    assert (report.delivered, report.requests, report.stopped_because) == (40, 4, "empty")


def test_answers_that_could_not_be_written_down_are_kept_and_written_later(
    service: Emulator, open_queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that refuses at the wrong moment costs no duplicate: the worker settles before it sends again."""
    queue = open_queue()
    queue.enqueue(event())
    real = Delivery.settle
    refusals = [StoreFull("the disk is full"), StoreFull("the disk is full")]

    def settle(self: Delivery, *values: Any) -> None:
        if refusals:
            raise refusals.pop()
        real(self, *values)

    monkeypatch.setattr(Delivery, "settle", settle)
    monkeypatch.setattr("edgequeue.worker.STORE_TROUBLE_SECONDS", 0.01)
    done = threading.Event()
    queue._callbacks = (lambda _: done.set(), None, None)
    queue.start()
    assert done.wait(30)
    queue.stop()
    assert queue.status().ledger.delivered == 1
    assert service.arrived.duplicates == 0


def test_a_destination_that_the_configuration_no_longer_has_keeps_its_events(
    service: Emulator, open_queue: Any, tmp_path: Path
) -> None:
    """They wait, are counted as remaining, and status says what to put back."""
    queue = open_queue(till(service), AdobeEdge("web", endpoint=service.url, datastream_id="d"))
    queue.enqueue({"xdm": {}}, "till")
    queue.close()
    again = open_queue()
    report = again.sync()
    assert (report.remaining, report.stopped_because) == (1, "empty")
    assert again.status().destinations["till"].state == "unconfigured"
    assert "[destinations.till]" in again.status().why


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_full_queue_refuses_and_keeps_what_it_has(open_queue: Any) -> None:
    """`max_events` refuses the next event by name; nothing of a refused batch is stored."""
    queue = open_queue(max_events=10)
    queue.enqueue_many(event(n=n) for n in range(8))
    with pytest.raises(QueueFull, match="max_events"):
        queue.enqueue_many(event(n=n) for n in range(8))
    assert queue.status().ledger.enqueued == 8
    queue.enqueue(event())
    queue.enqueue(event())
    with pytest.raises(QueueFull, match="max_events"):
        queue.enqueue(event())
    queue.sync()
    queue.enqueue(event())


def test_damaged_payloads_are_set_aside_and_never_sent(service: Emulator, open_queue: Any, tmp_path: Path) -> None:
    """A payload that does not match its checksum is dead with that reason; its neighbours are delivered."""
    queue = open_queue()
    ids = queue.enqueue_many(event(n=n) for n in range(3))
    with sqlite3.connect(tmp_path / "queue.db") as connection:
        connection.execute(
            "UPDATE events SET payload = CAST(replace(payload, 'till-7', 'x') AS BLOB) WHERE sequence = 2"
        )
    connection.close()
    report = queue.sync()
    assert (report.delivered, report.dead) == (2, 1)
    assert queue.get(ids[1]).error.code == "damaged"
    assert ids[1] not in service.arrived.by_id
    assert balanced(queue)


# --- what the technician is told --------------------------------------------------------------------------------------


def test_why_promises_no_retry_where_nobody_runs(service: Emulator, open_queue: Any) -> None:
    """Without a worker there is no next try: it says so and names the commands, whatever failed last."""
    queue = open_queue()
    queue.enqueue(event())
    service.go_offline()
    queue.sync()
    why = queue.status().why
    assert "offline" in why
    assert "No worker is running" in why
    assert "next try" not in why


def test_why_says_that_the_service_asked_for_the_wait(service: Emulator, open_queue: Any) -> None:
    """A Retry-After is not ours to skip, and that is what is said."""
    queue = open_queue()
    queue.enqueue(event())
    service.add_fault(Fault("retry_after", seconds=600))
    queue.sync()
    assert "The service asked for this wait" in queue.status().why


def test_a_stop_of_ours_is_not_held_against_the_destination(open_queue: Any) -> None:
    """What we ended ourselves is no trouble of the service: after a stop the destination is as well as before."""
    seen = threading.Event()
    with Emulator(on_request=lambda _: seen.set()) as slow:
        slow.add_fault(Fault("delay", seconds=600, times=None))
        queue = open_queue(AdobeEdge("web", endpoint=slow.url, datastream_id="d"))
        queue.start()
        queue.enqueue(event())
        assert seen.wait(30)
        queue.stop(timeout_seconds=0.2)
        assert queue.status().destinations["web"].state == "ok"


def test_a_new_cause_has_a_new_beginning(service: Emulator, open_queue: Any) -> None:
    """`since` is when this trouble began, not the one before it."""
    queue = open_queue()
    queue.enqueue(event())
    service.add_fault(Fault("captive_portal"))
    queue.sync()
    first = queue.status().destinations["web"].reason
    service.add_fault(Fault("status", status=502))
    queue.sync()
    second = queue.status().destinations["web"].reason
    assert first.code != second.code
    assert second.since > first.since


def test_adobes_id_of_a_refused_request_is_kept(service: Emulator, open_queue: Any) -> None:
    """Its support asks for it."""
    queue = open_queue()
    queue.enqueue(event())
    service.add_fault(Fault("status", status=422))
    queue.sync()
    (request,) = queue.requests()
    assert request.service["requestId"].startswith(request.request_id)


def test_settings_that_cannot_be_used_pause(open_queue: Any, service: Emulator, tmp_path: Path) -> None:
    """A missing ca_file is no outage: the operator has to mend it, and is told which."""
    queue = open_queue(AdobeEdge("web", endpoint=service.url, datastream_id="d", ca_file=tmp_path / "none.pem"))
    queue.enqueue(event())
    queue.sync()
    view = queue.status().destinations["web"]
    assert (view.state, "none.pem" in view.reason.text) == ("paused", True)


def test_a_token_given_as_text_shows_nowhere(service: Emulator, open_queue: Any) -> None:
    """`Bearer("…")` is as good as a Secret, and as secret."""
    account = Bearer("s3cr3t-token")  # type: ignore[arg-type]
    destination = AdobeEdge("web", endpoint=service.url, datastream_id="d", auth=account)
    assert "s3cr3t" not in repr(destination)
    queue = open_queue(destination)
    queue.enqueue(event())
    assert queue.sync().delivered == 1
    assert "s3cr3t" not in str(queue.status())


@pytest.mark.parametrize("how", ["run", "sync"])
def test_a_network_that_comes_back_ends_the_wait(service: Emulator, open_queue: Any, how: str) -> None:
    """Offline for long, the next try is minutes away; when the machine's network changes it is made now."""
    queue = open_queue()
    queue.enqueue(event())
    store, destinations = queue._store, list(queue.destinations.values())
    service.go_offline()
    queue.sync()
    far_ms = store.now_ms() + 3_600_000
    offline = Hold(HoldState.OFFLINE, 12, until_ms=far_ms, problem=Problem("connect", "no route to host"))
    store.set_hold("web", offline)
    runner = Runner(store, destinations, None, (None, None), how, (None, None, None))
    thread = threading.Thread(target=runner.workers[0].run)
    if how == "sync":
        thread = threading.Thread(target=sync, args=(runner.workers, store, lambda: 1), kwargs={"timeout_seconds": 60})
    thread.start()
    eventually(lambda: queue.status().worker is not None)
    service.go_online()

    def told() -> bool:  # again and again: what came before the worker waits is nothing to it
        runner.workers[0].network_changed()
        return bool(queue.status().ledger.delivered == 1)

    eventually(told)
    runner.workers[0].stop()
    thread.join()
    runner.close()
