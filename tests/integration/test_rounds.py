"""A turn goes on in rounds of requests while there is more to send; each is settled while the next is on its way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from edgequeue.destinations.adobe_edge import AdobeEdge
from edgequeue.errors import StoreError
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.store.facade import SqliteStore
from edgequeue.worker import LINGER_SECONDS, Worker
from tests.support import WEB, put

EVENTS, IN_FLIGHT = 12, 2
"""Events of which each request takes two: three rounds of two requests."""

EDGE = AdobeEdge(
    WEB, datastream_id="rounds", endpoint="http://127.0.0.1:9", batch_events_max=2, requests_in_flight_max=IN_FLIGHT
)


class Answering:
    """A sender without a network: the answer to the request of that number, from 1."""

    way = None

    def __init__(self, status: Callable[[int], int]) -> None:
        self._status = status
        self._turn = threading.Lock()
        self.sent = 0

    def send(self, request: HttpRequest, credentials: Mapping[str, str]) -> HttpResponse:
        with self._turn:
            self.sent += 1
            status = self._status(self.sent)
        request_id = parse_qs(urlsplit(request.url).query)["requestId"][0]
        body = json.dumps({"requestId": request_id, "handle": []}).encode()
        return HttpResponse(status, {"content-type": "application/json"}, body)

    def reach(self, url: str) -> None:
        """It is always there."""

    def withhold(self) -> None:
        """Nothing waits."""

    def abort(self) -> None:
        """Nothing is ever under way."""


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


def test_one_turn_sends_all_rounds_and_tells_of_each(store: SqliteStore) -> None:
    """In the order in which they went."""
    told: list[int] = []
    sender = Answering(accepted)
    worker = Worker(store, EDGE, sender, kind="test", listener=lambda lease, settled, hold: told.append(len(settled)))
    turn = worker.step()
    worker.close()
    assert (turn.delivered, turn.requests, turn.claimed, sender.sent) == (EVENTS, 6, EVENTS, 6)
    assert (told, store.counts().delivered) == ([IN_FLIGHT] * 3, EVENTS)
    assert len(store.requests(None, None)) == 6


def test_what_the_disk_refuses_during_a_round_is_settled_with_the_next(tmp_path: Path) -> None:
    """Nothing that was answered is forgotten, and nothing is sent twice."""
    store = filled(Failing.open(tmp_path / "queue.db"))
    told: list[int] = []
    sender = Answering(accepted)
    worker = Worker(store, EDGE, sender, kind="test", listener=lambda lease, settled, hold: told.append(len(settled)))
    while worker.step().claimed:
        pass
    worker.close()
    assert (told[0], sum(told), sender.sent) == (2 * IN_FLIGHT, 6, 6)
    assert (store.counts().delivered, store.counts().pending) == (EVENTS, 0)
    store.close()


def test_who_is_told_to_stop_ends_after_the_round_under_way(store: SqliteStore) -> None:
    """And what it sent is settled."""
    worker = Worker(store, EDGE, Answering(accepted), kind="test")
    worker.stop()
    worker.step()
    worker.close()
    counts = store.counts()
    assert (counts.delivered, counts.pending) == (2 * IN_FLIGHT, EVENTS - 2 * IN_FLIGHT)


def test_trouble_ends_the_rounds(store: SqliteStore) -> None:
    """A service that is busy in the second round gets no third; the first is delivered all the same."""
    sender = Answering(lambda number: 200 if number <= IN_FLIGHT else 503)
    worker = Worker(store, EDGE, sender, kind="test")
    turn = worker.step()
    worker.close()
    assert sender.sent <= 2 * IN_FLIGHT
    assert (turn.delivered, store.counts().delivered, store.counts().balanced) == (4, 4, True)
    assert store.hold(WEB).problem is not None


def test_a_turn_says_whether_there_may_be_more(store: SqliteStore) -> None:
    """With as many events as a round takes: yes. With fewer: no, and a worker waits for more to go with them."""
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
