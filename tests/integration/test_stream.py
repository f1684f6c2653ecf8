"""A turn goes on while there is more to send and all is accepted; what was answered is settled meanwhile."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from edgequeue import judging
from edgequeue.auth import Credentials, Denied
from edgequeue.courier import Halt
from edgequeue.destinations.adobe_edge import AdobeEdge
from edgequeue.errors import StoreError
from edgequeue.flight import BURST_MS
from edgequeue.model import HttpRequest, HttpResponse, Problem
from edgequeue.retry import Hold
from edgequeue.sender import Sender
from edgequeue.store.facade import SqliteStore
from edgequeue.testing import ManualClock
from edgequeue.turns import Turn
from edgequeue.window import Window
from edgequeue.worker import LINGER_SECONDS, Worker
from tests.support import WEB, eventually, put

EVENTS, IN_FLIGHT = 12, 2
"""Events of which each request takes two: six requests, two at once, and one more on record."""

EDGE = AdobeEdge(
    WEB, datastream_id="stream", endpoint="http://127.0.0.1:9", batch_events_max=2, requests_in_flight_max=IN_FLIGHT
)


class Answering:
    """A sender without a network: the answer to the request of that number, from 1."""

    way = None

    def __init__(self, status: Callable[[int], int], headers: Mapping[str, str] | None = None) -> None:
        self._status = status
        self._headers = headers or {}  # of those that are no 200
        self._turn = threading.Lock()
        self.sent = self.under_way = self.at_once = 0
        self.aborted = threading.Event()

    def send(self, request: HttpRequest, credentials: Mapping[str, str]) -> HttpResponse:
        with self._turn:
            self.sent += 1
            number = self.sent
            self.under_way += 1
            self.at_once = max(self.at_once, self.under_way)
        status = self._status(number)
        with self._turn:
            self.under_way -= 1
        request_id = parse_qs(urlsplit(request.url).query)["requestId"][0]
        body = json.dumps({"requestId": request_id, "handle": []}).encode()
        more = self._headers if status != 200 else {}
        return HttpResponse(status, {"content-type": "application/json", **more}, body)

    def reach(self, url: str) -> None:
        """It is always there."""

    def withhold(self) -> None:
        """Nothing waits."""

    def abort(self) -> None:
        self.aborted.set()


class Failing(SqliteStore):
    """A store whose disk refuses the first settlement."""

    refused = False

    def settle(self, *values: Any, **named: Any) -> None:
        if not self.refused:
            self.refused = True
            raise StoreError("the disk failed this once")
        super().settle(*values, **named)


def filled(store: SqliteStore) -> SqliteStore:
    store.register(WEB, EDGE.type)
    put(store, EVENTS)
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = filled(SqliteStore.open(tmp_path / "queue.db"))
    yield store
    store.close()


def accepted(number: int) -> int:
    return 200


def test_one_turn_sends_all_and_tells_of_each_request_once(store: SqliteStore) -> None:
    told: list[str] = []
    sender = Answering(accepted)
    worker = Worker(
        store,
        EDGE,
        sender,
        kind="test",
        listener=lambda lease, settled, hold: told.extend(batch.request_id for batch, _ in settled),
    )
    turn = worker.step()
    worker.close()
    assert (turn.delivered, turn.requests, turn.claimed, sender.sent) == (EVENTS, 6, EVENTS, 6)
    assert sorted(told) == sorted(one.request_id for one in store.requests(None, None))
    assert (len(told), store.counts().delivered) == (6, EVENTS)


def test_the_next_request_is_on_record_before_one_is_answered(store: SqliteStore) -> None:
    """Who is free need not wait for the disk; and never are more on their way than may be."""

    def when_more_is_on_record(number: int) -> int:
        if number <= IN_FLIGHT:
            eventually(lambda: sender.at_once == IN_FLIGHT)
        if number == IN_FLIGHT + 1:
            eventually(lambda: len(store.requests(None, None)) > number)
        return 200

    sender = Answering(when_more_is_on_record)
    worker = Worker(store, EDGE, sender, kind="test")
    worker.step()
    worker.close()
    assert (sender.sent, sender.at_once) == (6, IN_FLIGHT)


def test_what_was_answered_is_settled_while_other_answers_are_awaited(store: SqliteStore) -> None:
    """One service that hangs does not hold back what the others said."""

    def all_but_one(number: int) -> int:
        if number == 1:
            eventually(lambda: store.counts().delivered == EVENTS - 2)
        return 200

    worker = Worker(store, EDGE, Answering(all_but_one), kind="test")
    assert worker.step().delivered == EVENTS
    worker.close()


def test_what_the_disk_refuses_is_settled_with_the_next(tmp_path: Path) -> None:
    """Nothing that was answered is forgotten, and nothing is sent twice."""
    store = filled(Failing.open(tmp_path / "queue.db"))
    told: list[int] = []
    sender = Answering(accepted)
    worker = Worker(store, EDGE, sender, kind="test", listener=lambda lease, settled, hold: told.append(len(settled)))
    while worker.step().claimed:
        pass
    worker.close()
    assert (store.refused, sum(told), sender.sent) == (True, 6, 6)
    assert (store.counts().delivered, store.counts().pending) == (EVENTS, 0)
    store.close()


def test_who_is_told_to_stop_sends_nothing_more(store: SqliteStore) -> None:
    """And what it sent is settled."""
    worker = Worker(store, EDGE, Answering(accepted), kind="test")
    worker.stop()
    worker.step()
    worker.close()
    counts = store.counts()
    assert (counts.delivered, counts.pending) == (2 * IN_FLIGHT, EVENTS - 2 * IN_FLIGHT)


@pytest.mark.parametrize("status", [500, 503, 400])
def test_trouble_takes_back_what_has_not_begun(store: SqliteStore, status: int) -> None:
    """Whatever the trouble is: it leaves no request on record, counts for nobody, and is not sent after all in this
    turn, though what went before was accepted meanwhile.
    """
    waiting: list[int] = []

    def status_of(number: int) -> int:
        if number <= IN_FLIGHT:
            return 200
        if number == IN_FLIGHT + 1:
            eventually(lambda: len(store.requests(None, None)) > 2 * IN_FLIGHT)
            waiting.append(len(store.requests(None, None)))
            return status
        eventually(lambda: worker._couriers._halt is not Halt.NOTHING)
        return 200

    sender = Answering(status_of)
    worker = Worker(store, EDGE, sender, kind="test")
    turn = worker.step()
    worker.close()
    on_record = store.requests(None, None)
    assert len(on_record) == sender.sent == 2 * IN_FLIGHT < waiting[0]
    assert not [one for one in on_record if one.outcome is None]
    assert turn.delivered == store.counts().delivered == EVENTS // 2
    assert len(turn.deferred) == 2, "what was not sent was not deferred"
    assert store.counts().balanced


def test_nothing_is_sent_after_a_plea_to_wait(store: SqliteStore) -> None:
    """Not even what the waiting thread had in hand when it came, and posts a moment later."""
    heard: list[int] = []

    def status_of(number: int) -> int:
        if heard:
            heard.append(number)
        if number == 2 * IN_FLIGHT:
            heard.append(number)
            return 429
        return 200

    for _ in range(20):
        put(store, EVENTS)
        sender = Answering(status_of)
        worker = Worker(store, EDGE, sender, kind="test")
        worker.step()
        worker.close()
        begun_before = sum(number < 2 * IN_FLIGHT + IN_FLIGHT for number in heard)
        assert begun_before == len(heard), "only what was on its way when it came"
        heard.clear()
        store.set_hold(WEB, Hold())


def test_never_are_more_on_record_than_twice_what_may_be_on_its_way(store: SqliteStore) -> None:
    """However slow the disk is with settling: so many could arrive twice after a kill."""
    put(store, 10 * EVENTS)
    found: list[int] = []

    def count_open(number: int) -> int:
        found.append(sum(one.outcome is None for one in store.requests(None, None)))
        return 200

    worker = Worker(store, EDGE, Answering(count_open), kind="test")
    worker.step()
    worker.close()
    assert IN_FLIGHT < max(found) <= 2 * IN_FLIGHT


def test_fewer_at_once_are_fewer_on_their_way(store: SqliteStore) -> None:
    """Where more at once was too much, the threads that there are do not take what is to wait."""
    put(store, 10 * EVENTS)
    sender = Answering(accepted)
    worker = Worker(store, replace(EDGE, requests_in_flight_max=4), sender, kind="test")
    worker.step(events_max=16)
    assert sender.at_once > 0
    worker._preparing._window = Window(size=1)
    sender.at_once = 0
    worker.step(events_max=None)
    worker.close()
    assert sender.at_once == 1


@pytest.mark.parametrize("fails", ["record", "judge"])
def test_a_turn_that_fails_leaves_no_request_open(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Whatever failed, and wherever: what it was about is sent again by the next turn, not after a restart."""
    broken = [True]

    def once(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any, **named: Any) -> Any:
            found = method(*values, **named)
            if broken.pop() if broken else False:
                raise ArithmeticError("a fault of ours")
            return found

        return call

    if fails == "record":
        monkeypatch.setattr(store, "record", once(store.record))
    else:
        monkeypatch.setattr(judging, "weigh", once(judging.weigh))
    worker = Worker(store, EDGE, Answering(accepted), kind="test")
    with pytest.raises(ArithmeticError):
        worker.step()
    assert store.counts().sending == 0
    while worker.step().claimed:
        pass
    worker.close()
    assert store.counts().delivered == EVENTS


def test_an_interruption_is_raised_though_the_disk_fails(tmp_path: Path) -> None:
    """Ctrl-C ends the program; that its last answers could not be written down is the next one's affair."""
    store = filled(Failing.open(tmp_path / "queue.db"))
    sender = Answering(accepted)

    def interrupted(number: int) -> int:
        if number == IN_FLIGHT:
            signal.raise_signal(signal.SIGINT)
            assert sender.aborted.wait(30)
        return 200

    sender._status = interrupted
    worker = Worker(store, EDGE, sender, kind="test")
    with pytest.raises(KeyboardInterrupt):
        worker.step()
    while worker.step().claimed:
        pass
    worker.close()
    assert (store.counts().delivered, store.counts().sending) == (EVENTS, 0)
    store.close()


class Ending(Credentials):
    """Credentials that are good for so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def headers(self, sender: Sender, *, anew: bool = False) -> Mapping[str, str] | Denied:
        self.looks -= 1
        return {} if self.looks >= 0 else Denied(Problem("gone", "no token any more"))


def test_no_credentials_no_request(store: SqliteStore) -> None:
    """They are asked for again in a long turn: a token may have ended since it began."""
    worker = Worker(store, replace(EDGE, auth=Ending(1)), Answering(accepted), kind="test")
    assert worker.step().delivered == 2 * IN_FLIGHT
    assert worker.step().delivered == 0
    assert worker.hold.problem is not None
    worker.close()
    assert store.counts().sending == 0


def test_whoever_runs_a_long_turn_is_told_of_it(tmp_path: Path) -> None:
    """Once a second, what was done since; the result is the rest. Who says no ends it."""
    for goes_on, delivered in ((True, EVENTS), (False, 2 * IN_FLIGHT)):
        clock = ManualClock()
        store = filled(SqliteStore.open(tmp_path / f"{goes_on}.db", clock=clock))
        told: list[Turn] = []

        def tell(turn: Turn, told: list[Turn] = told, goes_on: bool = goes_on) -> bool:
            told.append(turn)
            return goes_on

        def slowly(number: int, clock: ManualClock = clock) -> int:
            if number % IN_FLIGHT == 0:
                clock.advance((BURST_MS + 1) / 1000)
            return 200

        worker = Worker(store, EDGE, Answering(slowly), kind="test")
        rest = worker.step(tell=tell)
        worker.close()
        assert told, "it took several seconds"
        assert rest.claimed, "the result is never empty"
        assert sum(one.delivered for one in (*told, rest)) == store.counts().delivered >= delivered
        assert goes_on or store.counts().delivered < EVENTS
        store.close()


def test_an_interrupted_turn_is_settled_before_it_raises(store: SqliteStore) -> None:
    """Ctrl-C in the thread that waits: what was answered counts, the exchanges are cut off, nothing follows."""
    sender = Answering(accepted)

    def interrupted(number: int) -> int:
        if number == IN_FLIGHT:
            signal.raise_signal(signal.SIGINT)
            assert sender.aborted.wait(30)
        return 200

    sender._status = interrupted
    worker = Worker(store, EDGE, sender, kind="test")
    with pytest.raises(KeyboardInterrupt):
        worker.step()
    worker.close()
    counts = store.counts()
    assert (counts.sending, counts.delivered + counts.pending) == (0, EVENTS)
    assert counts.delivered <= 2 * sender.sent < EVENTS


def test_a_turn_says_whether_there_may_be_more(store: SqliteStore) -> None:
    """With as many events as may be on their way: yes. With fewer: no, and a worker waits for more to go with them."""
    worker = Worker(store, EDGE, Answering(accepted), kind="test")
    worker.stop()
    assert [worker.step().full for _ in range(EVENTS // (2 * IN_FLIGHT))] == [True] * 3
    put(store)
    assert not worker.step().full
    worker.close()


class Lingering(Worker):
    """A worker that ends where it would wait for more events to go together, and says for how long."""

    waited: float | None = None

    def pause_unless_asked(self, seconds: float) -> None:
        self.waited = seconds
        self.stop()


def test_a_worker_lingers_only_after_a_turn_that_left_nothing(store: SqliteStore) -> None:
    """While there is more it goes on at once; then it waits a moment, so that what comes one by one goes together."""
    put(store)
    worker = Lingering(store, EDGE, Answering(accepted), kind="test")
    worker.run()
    assert worker.waited == LINGER_SECONDS
    assert (store.counts().delivered, store.counts().pending) == (EVENTS + 1, 0)


class Blocking:
    """Told of what was settled, and busy with it until released."""

    def __init__(self) -> None:
        self.busy, self.release = threading.Event(), threading.Event()

    def __call__(self, *told: object) -> None:
        self.busy.set()
        assert self.release.wait(30)


def test_a_plea_to_wait_is_on_disk_while_a_callback_is_slow(store: SqliteStore) -> None:
    """Whoever runs the turn may be busy with the application's own code: power may fail meanwhile."""
    listener = Blocking()

    def status_of(number: int) -> int:
        if number <= IN_FLIGHT:
            return 200
        assert listener.busy.wait(30)
        return 429

    worker = Worker(store, EDGE, Answering(status_of, {"retry-after": "600"}), kind="test", listener=listener)
    thread = threading.Thread(target=worker.step)
    thread.start()
    eventually(lambda: store.hold(WEB).asked_until_ms > store.now_ms() + 500_000)
    assert not listener.release.is_set()
    listener.release.set()
    thread.join(30)
    worker.close()
    assert store.hold(WEB).asked_until_ms > store.now_ms() + 500_000, "and nothing that is settled makes it unsaid"


def test_what_is_settled_later_does_not_make_a_plea_unsaid(store: SqliteStore) -> None:
    """The destination was well when it was judged last, and that is not what is true by now."""
    worker = Worker(store, EDGE, Answering(accepted), kind="test")
    assert worker.acquire()
    lease = worker._lease
    assert lease is not None
    settling = worker._settling
    settling.begin()
    settling.heed(lease, 600.0)
    settling.heed(lease, 5.0)
    settling.take_back(-1)
    settling.write_down(lease, judged=False)
    assert store.hold(WEB).asked_until_ms > store.now_ms() + 500_000
    worker.close()
