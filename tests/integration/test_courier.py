"""Several requests at once: what has not begun when an answer asks for patience is not sent."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from edgequeue.courier import Couriers, Errand
from edgequeue.destinations.adobe_edge import AdobeEdge
from edgequeue.errors import MaybeSent, NotSent
from edgequeue.model import HttpRequest, HttpResponse, Priority
from edgequeue.retry import Hold
from edgequeue.store.base import Lease
from edgequeue.testing import SILENCE, ManualClock, MemoryStore, ScriptedTransport, event_for, response
from edgequeue.worker import Worker
from tests.support import eventually


class Slow(ScriptedTransport):
    """The second request is still connecting when the first is answered."""

    def __init__(self, first: HttpResponse) -> None:
        super().__init__([first])
        self.begun, self.withheld = threading.Event(), threading.Event()

    def send(self, request: HttpRequest, credentials: object) -> HttpResponse:
        if request.url == "second":
            self.begun.set()
            assert self.withheld.wait(30)
            raise NotSent("stopped while it was connecting", code="aborted")
        assert self.begun.wait(30)
        return super().send(request, {})

    def withhold(self) -> None:
        self.withheld.set()


@pytest.mark.parametrize("answer", [response(429), response(503), response(200, {}, retry_after="9")])
def test_who_asks_for_patience_is_not_sent_what_has_not_begun(answer: HttpResponse) -> None:
    """A Retry-After is kept from the moment it is heard, also by the requests of the same turn."""
    couriers = Couriers(Slow(answer), "web")
    couriers.ready(2)
    for number, url in enumerate(("first", "second", "third")):
        couriers.post(Errand(number, HttpRequest("POST", url, {}, b""), {}))
    replies: dict[int, object] = {}
    while len(replies) < 3:
        replies |= {one.number: one.answer for one in couriers.wait(1, 0.0)}
    couriers.close()
    assert replies[0] == answer
    assert isinstance(replies[1], NotSent), "no byte of it was out"
    assert replies[2] is None, "it waited for a free thread, and was taken back"


def test_a_plea_to_wait_is_on_disk_while_other_answers_are_awaited() -> None:
    """Of two requests one is told to wait and the other hangs: a power cut now does not make it unsaid."""
    busy = response(429, {"title": "slower"}, retry_after="300")
    store = MemoryStore(ManualClock())
    network = ScriptedTransport(then=SILENCE)

    def busy_once_both_are_out(request: HttpRequest) -> HttpResponse:
        assert network.wait_for_requests(2)
        return busy

    network.add(busy_once_both_are_out)
    place = AdobeEdge("web", datastream_id="d", batch_events_max=1, requests_in_flight_max=2)
    store.register("web", place.type)
    for number in range(2):
        store.put("web", place.check(event_for(place.type, number=number), store.wall_ms()), Priority.NORMAL, 1.0)
    worker = Worker(store, place, network, kind="test")
    thread = threading.Thread(target=worker.step)
    thread.start()
    eventually(lambda: store.hold("web").asked_until_ms == store.now_ms() + 300_000)
    assert thread.is_alive()
    network.abort()
    thread.join()
    assert worker.hold.asked_until_ms == store.now_ms() + 300_000
    worker.close()


def test_a_plea_to_wait_outlives_a_stop_of_ours() -> None:
    """The head of the answer came and we hung up in its body: the wait binds all the same."""
    network = ScriptedTransport([MaybeSent("stopped", code="aborted", retry_after_seconds=60.0)])
    store, place = MemoryStore(ManualClock()), AdobeEdge("web", datastream_id="d")
    store.register("web", place.type)
    store.put("web", place.check(event_for(place.type), store.wall_ms()), Priority.NORMAL, 1.0)
    worker = Worker(store, place, network, kind="test")
    worker.step()
    worker.close()
    assert store.hold("web").asked_until_ms == store.now_ms() + 60_000


class Written(MemoryStore):
    """Remembers each hold that was written apart from a settled turn."""

    def __init__(self) -> None:
        super().__init__(ManualClock())
        self.asked_ms: list[int] = []

    def set_hold(self, name: str, hold: Hold, lease: Lease | None = None) -> None:
        super().set_hold(name, hold, lease)
        self.asked_ms.append(hold.asked_until_ms - self.now_ms())


def test_a_shorter_plea_does_not_shorten_a_longer_one() -> None:
    """Of three requests one is told to wait for five minutes and the next for a second: five minutes are on disk, also
    if the process dies before the third is answered.
    """
    store = Written()

    def after(count: int, answer: HttpResponse) -> Callable[[HttpRequest], HttpResponse]:
        def wait(request: HttpRequest) -> HttpResponse:
            assert network.wait_for_requests(3), "all three are out before the first is answered"
            eventually(lambda: len(store.asked_ms) >= count)
            return answer

        return wait

    long, short = response(429, {}, retry_after="300"), response(503, {}, retry_after="1")
    network = ScriptedTransport([after(0, long), after(1, short)], then=after(2, response(500, {})))
    place = AdobeEdge("web", datastream_id="d", batch_events_max=1, requests_in_flight_max=3)
    store.register("web", place.type)
    for number in range(3):
        store.put("web", place.check(event_for(place.type, number=number), store.wall_ms()), Priority.NORMAL, 1.0)
    worker = Worker(store, place, network, kind="test")
    worker.step()
    worker.close()
    assert store.asked_ms == [300_000, 300_000]
