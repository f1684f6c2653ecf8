"""What an attacker's rigs found once must not come back."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from edgequeue import AdobeEdge, Bearer, ConfigError, EventQueue, StoreDamaged, StoreError
from edgequeue.emulator import Emulator, Fault
from edgequeue.errors import QueueBusy
from edgequeue.model import HttpResponse, Priority, Problem
from edgequeue.retry import Hold, HoldState
from edgequeue.store.facade import SqliteStore
from edgequeue.store.lease import lease_path
from edgequeue.testing import ManualClock, MemoryStore, ScriptedTransport, accept, event_for, response
from edgequeue.worker import Worker
from tests.conftest import MakeStore
from tests.support import kill, lease_of, send

EVENT = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}


def web(name: str = "web", **more: Any) -> AdobeEdge:
    return AdobeEdge(name, datastream_id="d", endpoint="http://127.0.0.1:9", **more)


def test_a_log_whose_database_is_gone_is_never_thrown_away(tmp_path: Path) -> None:
    """Opening would make SQLite discard the log, and with it events that were acknowledged: they are salvaged."""
    database = tmp_path / "queue.db"
    child = os.fork() if hasattr(os, "fork") else pytest.skip("only where there is fork")
    if child == 0:
        queue = EventQueue(database, [web()])
        queue.enqueue(EVENT)
        os._exit(0)  # without close: the event stands in the log alone
    os.waitpid(child, 0)
    log = Path(f"{database}-wal")
    before = log.read_bytes()
    assert before
    database.unlink()
    with EventQueue(database, [web()]) as queue:
        assert (queue.status().ledger.pending, queue.status().ledger.lost) == (1, 0)
    assert Path(f"{database}.damaged-1-wal").read_bytes() == before


def test_a_log_of_somebody_else_without_its_database_is_left_alone(tmp_path: Path) -> None:
    """Nothing in it is ours: it is refused, and not a byte of it is changed."""
    log = tmp_path / "queue.db-wal"
    log.write_bytes(b"somebody's log" * 1000)
    with pytest.raises(StoreDamaged, match=r"its log .* holds data"):
        EventQueue(tmp_path / "queue.db", [web()])
    assert log.read_bytes() == b"somebody's log" * 1000


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="only where links can be refused")
def test_a_lease_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """A link planted in the directory must not make root hand somebody else's file over."""
    secret = tmp_path / "secret"
    secret.write_text("root's own")
    (tmp_path / "queue.db.web.lease").symlink_to(secret)
    with EventQueue(tmp_path / "queue.db", [web()], transport=lambda _: ScriptedTransport([], then=accept)) as queue:
        queue.enqueue(EVENT)
        with pytest.raises(StoreError, match="lease"):
            queue.sync()
    assert secret.read_text() == "root's own"


def test_retention_runs_in_every_sync(tmp_path: Path) -> None:
    """A device that only ever syncs by hand keeps no more than one that runs a worker."""
    clock = ManualClock()
    network = ScriptedTransport([], then=accept)
    with EventQueue(tmp_path / "queue.db", [web()], clock=clock, transport=lambda _: network) as queue:
        old = queue.enqueue(EVENT)
        queue.sync()
        clock.advance(8 * 86_400)
        queue.enqueue(EVENT)
        queue.sync()
        assert queue.get(old) is None
        assert queue.status().ledger.delivered == 2, "the counts stay"


def test_prune_takes_no_status_that_it_would_misread(tmp_path: Path) -> None:
    """`expired` alone cannot be pruned, and must not take the dead along."""
    with EventQueue(tmp_path / "queue.db", [web()]) as queue, pytest.raises(ConfigError, match="prune takes"):
        queue.prune(0, statuses=["expired"])


def test_requeue_of_nothing_is_refused(tmp_path: Path) -> None:
    """`requeue(*ids)` with no ids must not mean everything."""
    with EventQueue(tmp_path / "queue.db", [web()]) as queue, pytest.raises(ConfigError, match="everything=True"):
        queue.requeue(*[])


def test_a_limit_holds_over_all_destinations(tmp_path: Path) -> None:
    """Ten are ten, however many destinations drain at the same time."""
    network = ScriptedTransport([], then=accept)
    places = [web("one", requests_in_flight_max=1), web("two", requests_in_flight_max=1)]
    with EventQueue(tmp_path / "queue.db", places, transport=lambda _: network) as queue:
        for name in ("one", "two"):
            queue.enqueue_many((EVENT for _ in range(30)), name)
        report = queue.sync(limit=10)
        assert (report.delivered, report.remaining, report.stopped_because) == (10, 50, "limit")


def test_a_retry_after_binds_whatever_its_status(tmp_path: Path) -> None:
    """A 502 with Retry-After is waited out as a 503 is."""
    network = ScriptedTransport([HttpResponse(502, {"retry-after": "600"}, b"{}")])
    with EventQueue(tmp_path / "queue.db", [web()], transport=lambda _: network) as queue:
        queue.enqueue(EVENT)
        queue.sync()
        assert queue.sync().requests == 0
        assert "The service asked for this wait" in queue.status().why


def test_a_worker_without_its_lease_stops_sending(tmp_path: Path) -> None:
    """When the lease's file is removed and another worker takes over, the first one sends nothing more."""
    with Emulator() as service:
        place = AdobeEdge("web", datastream_id="d", endpoint=service.url)
        with EventQueue(tmp_path / "queue.db", [place]) as first, EventQueue(tmp_path / "queue.db", [place]) as second:
            first.start()
            ids = [first.enqueue(EVENT)]
            (tmp_path / "queue.db.web.lease").unlink(missing_ok=True)
            service.add_fault(Fault("status", status=422, times=None, event_id=ids[0]))
            ids.append(second.enqueue(EVENT))
            second.sync(timeout_seconds=30)
            ids.append(second.enqueue(EVENT))
            second.sync(timeout_seconds=30)
            first.stop()
            assert second.status().ledger.balanced
            assert second.status().ledger.pending == 0
            assert all(count <= 2 for count in service.arrived.by_id.values())


def test_a_worker_with_nothing_to_send_learns_that_its_lease_is_gone(make_store: MakeStore) -> None:
    """The other one died with all events in an open request: who has only these left must rescue them, not wait."""
    first, second = make_store(), make_store()
    place = AdobeEdge("web", datastream_id="d")
    first.register(place.name, place.type)
    worker = Worker(first, place, ScriptedTransport(then=accept), kind="run")
    assert worker.step().leased
    lease_path(first.path, place.name).unlink()
    first.put(place.name, place.check(event_for(place.type), first.wall_ms()), Priority.NORMAL, 1.0)
    kill(second, send(second, lease_of(second)))
    assert not worker.step().leased
    assert worker.step().delivered == 1
    worker.close()


class _FailingAtFirst(MemoryStore):
    """Its first answers are errors, as a disk's that is just being mended."""

    failures = 1

    def hold(self, name: str) -> Hold:
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        return super().hold(name)


def test_a_worker_that_starts_on_a_failing_disk_begins_when_it_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread does not end for good with the first error; and what was paused is still tried at once."""
    monkeypatch.setattr("edgequeue.worker.STORE_TROUBLE_SECONDS", 0.001)
    store, place, network = _FailingAtFirst(ManualClock()), web(), ScriptedTransport(then=accept)
    store.register("web", place.type)
    store.put("web", place.check(EVENT, store.wall_ms()), Priority.NORMAL, 1.0)
    far_ms = store.now_ms() + 10**9
    store.set_hold("web", Hold(HoldState.PAUSED, until_ms=far_ms, problem=Problem("http_401", "refused")))
    worker = Worker(store, place, network, kind="test")
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert network.wait_for_requests(1)
    worker.stop()
    thread.join()
    assert store.failures == 0


@pytest.mark.parametrize("token", ["s3cr3t-token", "requestId", "EXEG-0104"])
def test_an_answer_that_repeats_the_token_is_kept_without_it(tmp_path: Path, token: str) -> None:
    """A refusal that quotes our own header leaks nothing; a "token" that is a piece of all answers misreads none."""
    problem = {"type": "https://ns.adobe.com/aep/errors/EXEG-0104-422", "detail": f"the caller sent {token}"}
    network = ScriptedTransport([response(422, problem)], then=accept)
    place = AdobeEdge("web", datastream_id="d", endpoint="https://server.example", auth=Bearer(token))
    with EventQueue(tmp_path / "queue.db", [place], transport=lambda _: network) as queue:
        dead = queue.enqueue(EVENT)
        assert queue.sync().dead == 1
        queue.enqueue_many([EVENT] * 3)
        assert queue.sync().delivered == 3
        shown = str([queue.get(dead), queue.requests(), queue.status()])
        assert token != "s3cr3t-token" or (token not in shown and "the caller sent [the token]" in shown)


def test_a_lock_is_given_back_wherever_ctrl_c_comes(tmp_path: Path) -> None:
    """An interrupt right after the acquire leaves no lock behind: the next put is as good as any."""
    store = SqliteStore.open(tmp_path / "queue.db")

    class Interrupting:
        def __init__(self, lock: Any) -> None:
            self._lock = lock

        def acquire(self, **options: Any) -> bool:
            self._lock.acquire(**options)
            raise KeyboardInterrupt  # taken, and nobody has heard of it

        def __getattr__(self, name: str) -> Any:
            return getattr(self._lock, name)

    database = store._database
    real = database.write_turn
    database.write_turn = Interrupting(real)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt), database.write(1.0):
        pass
    database.write_turn = real
    free: list[bool] = []

    def other() -> None:
        free.append(real.acquire(timeout=5))
        real.release()

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert free == [True]
    store.close()


def test_nobody_is_told_that_a_stored_event_was_not_stored() -> None:
    """The leader of a commit was interrupted after it: the others get their ids, it gets its interrupt."""
    from edgequeue.store.commit import CommittedError, GroupCommit

    entered = threading.Event()

    def commit_one(item: str, _deadline: float) -> str:
        entered.set()
        while len(group._waiting) < 2:
            pass
        return f"id of {item}"

    def commit(take: Any, _deadline: float) -> list[str]:
        results = [f"id of {item}" for item in take()]
        raise CommittedError(results) from KeyboardInterrupt()

    group: GroupCommit[str, str] = GroupCommit(commit_one, commit)
    heard: list[Any] = []

    def put(item: str) -> None:
        try:
            heard.append(group.submit(item, 30))
        except (KeyboardInterrupt, QueueBusy) as error:
            heard.append(type(error).__name__)

    threads = [threading.Thread(target=put, args=(item,)) for item in ("alone", "one", "other")]
    threads[0].start()
    entered.wait(30)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert "KeyboardInterrupt" in heard
    assert set(heard) - {"KeyboardInterrupt"} in ({"id of alone", "id of one"}, {"id of alone", "id of other"})
