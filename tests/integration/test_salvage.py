"""One event in trouble never blocks the others, and dies only of a definite refusal: worker, store and rules together.

A service in the test's hands answers each request by what is in it; the clock is moved, so hours pass in no time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import ceil, log2
from random import Random
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.destinations.adobe_dccs import AdobeDccs
from edgequeue.destinations.adobe_edge import AdobeEdge
from edgequeue.errors import MaybeSent, NotSent
from edgequeue.learning import UNECHOED_TURNS_MAX
from edgequeue.model import HttpRequest, HttpResponse, Priority
from edgequeue.retry import HoldState
from edgequeue.testing import ManualClock, MemoryStore, ScriptedTransport, accept, event_for
from edgequeue.turns import Turn
from edgequeue.worker import Worker

EDGE = AdobeEdge("web", datastream_id="d")
DCCS = AdobeDccs("web", endpoint="https://dcs.example/collection/inlet", dataset_id="d", schema_id="https://schema")
HTML = b"<!DOCTYPE html><html><body>Sign in</body></html>"
REFUSAL = json.dumps({"type": "https://ns.adobe.com/aep/errors/EXEG-0103-400", "status": 400, "title": "bad"}).encode()

Service = Callable[[HttpRequest], HttpResponse]


def purchases(request: HttpRequest) -> list[str]:
    """Which purchases a request carries."""
    document = json.loads(request.body)
    found = [event["xdm"] for event in document.get("events", ())]
    messages = document.get("messages", [document] if "body" in document else [])
    found += [message["body"]["xdmEntity"] for message in messages]
    return [xdm["commerce"]["order"]["purchaseID"] for xdm in found]


def for_poison(poison: str, answer: Callable[[], HttpResponse]) -> Service:
    """A service that gives this answer to whatever carries the poison, and takes everything else."""
    return lambda request: answer() if poison in purchases(request) else accept(request)


def always(answer: Callable[[], HttpResponse]) -> Service:
    return lambda _: answer()


def plain(status: int, body: bytes = b"Bad Request") -> Callable[[], HttpResponse]:
    return lambda: HttpResponse(status, {"content-type": "text/plain"}, body)


def cut() -> HttpResponse:
    raise MaybeSent("the connection was closed before the answer was complete", code="cut")


class Rig:
    """A worker on a store in memory, and the service it sends to."""

    def __init__(self, destination: AdobeEdge | AdobeDccs = EDGE, seed: int = 1) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.destination = destination
        self.store.register("web", destination.type)
        self.service: Service = accept
        self.network = ScriptedTransport(then=lambda request: self.service(request))
        self.seed = seed
        self.worker = self.begin()
        self.count = 0

    def begin(self) -> Worker:
        return Worker(self.store, self.destination, self.network, kind="test", dice=Random(self.seed))

    def put(self, count: int = 1) -> list[str]:
        """Enqueue purchases, numbered on."""
        ids = []
        for _ in range(count):
            self.count += 1
            draft = self.destination.check(event_for(self.destination.type, number=self.count), self.store.wall_ms())
            ids.append(self.store.put("web", draft, Priority.NORMAL, 1.0))
        return ids

    def run(self, seconds: float, each: Callable[[], object] = lambda: None) -> None:
        """Turns until there is nothing due, then on to the next due moment, for so much time."""
        until_ms = self.store.now_ms() + round(seconds * 1000)
        for _ in range(100_000):
            turn = self.worker.step()
            each()
            idle = not turn.claimed or self.worker.hold.waits(self.store.now_ms())
            if idle and not self._advance(turn, until_ms):
                return
        raise AssertionError("a busy loop")

    def trickle(self, count: int, every_seconds: float = 60.0) -> None:
        """So many more purchases, one at a time."""
        for _ in range(count):
            self.put()
            self.run(every_seconds)

    def _advance(self, turn: Turn, until_ms: int) -> bool:
        now_ms = self.store.now_ms()
        waits = [self.worker.hold.until_ms, turn.next_due_ms or 0, self.store.next_due_ms("web") or 0]
        due_ms = min((one for one in waits if one > now_ms), default=until_ms)
        if turn.next_due_ms is None and self.store.next_due_ms("web") is None:
            return False
        self.clock.advance((min(due_ms, until_ms) - now_ms) / 1000 + 0.001)
        return due_ms < until_ms

    def counts(self) -> tuple[int, int, int]:
        """(delivered, dead, pending)"""
        found = self.store.counts("web")
        assert found.balanced
        return found.delivered, found.dead, found.pending


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.worker.close()


# --- what kills -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [1, 37, 100, 777, 1000])
@pytest.mark.parametrize("answer", [plain(400, REFUSAL), plain(400), plain(422, b""), plain(413)])
def test_a_poison_event_among_a_thousand_dies_alone_within_the_bound(
    rig: Rig, place: int, answer: Callable[[], HttpResponse]
) -> None:
    """Refused in the service's words or in nobody's: it dies, its neighbours go through, in so many requests."""
    ids = rig.put(1000)
    rig.service = for_poison(f"P-{place}", answer)
    rig.run(60)
    assert rig.counts() == (999, 1, 0)
    record = rig.store.get(ids[place - 1])
    assert record is not None
    assert (record.status, record.attempts) == ("dead", 1)
    bisecting = len(rig.network.requests) - 9  # the nine batches without it
    assert bisecting <= 2 * ceil(log2(100)) + 2


@pytest.mark.parametrize("answer", [plain(400, REFUSAL), plain(400)])
@given(count=st.integers(1, 100), places=st.sets(st.integers(1, 100), min_size=1, max_size=8))
def test_however_many_are_poison_exactly_they_die_within_the_bound(
    answer: Callable[[], HttpResponse], count: int, places: set[int]
) -> None:
    """k poison events in a batch of n: at most 2·k·⌈log2 n⌉ + 2 requests, and no attempt is spent by bisecting.

    Refused in nobody's words they die only before a witness, which may come later.
    """
    rig = Rig()
    rig.put(count)
    bad = {f"P-{place}" for place in places if place <= count}
    rig.service = lambda request: answer() if bad & set(purchases(request)) else accept(request)
    rig.run(900)
    assert rig.counts()[0] == count - len(bad)
    if answer().body == REFUSAL:
        assert len(rig.network.requests) <= 2 * len(bad) * ceil(log2(count)) + 2
    else:
        rig.trickle(40, 3600)
    assert rig.counts() == (rig.count - len(bad), len(bad), 0)
    rig.worker.close()


def test_a_middlebox_that_refuses_everything_in_plain_text_kills_nobody(rig: Rig) -> None:
    """Nothing was accepted beside the refusals, so nothing says that it was the events; and it is not hammered."""
    rig.put(300)
    rig.service = always(plain(400))
    rig.run(24 * 3600)
    assert rig.counts() == (0, 0, 300)
    assert len(rig.network.requests) < 24 * 60
    rig.service = accept
    rig.run(3600)
    assert rig.counts() == (300, 0, 0)


def test_an_unexplained_refusal_of_the_only_event_waits_for_a_witness(rig: Rig) -> None:
    """It is kept for as long as nothing else was accepted; then the next refusal settles it."""
    rig.put()
    rig.service = for_poison("P-1", plain(400))
    rig.run(7200)
    assert rig.counts() == (0, 0, 1)
    rig.trickle(12, 3600)
    assert rig.counts() == (12, 1, 0)


def test_a_500_that_follows_one_event_kills_it_only_before_a_witness(rig: Rig) -> None:
    """Five such answers to it alone, and others accepted in between; until then it is kept, for days."""
    ids = rig.put(3)
    rig.service = always(plain(500))
    rig.run(48 * 3600)
    assert rig.counts() == (0, 0, 3)
    rig.service = for_poison("P-2", plain(500))
    rig.run(48 * 3600)
    assert rig.counts() == (2, 0, 1), "the others were accepted before its last strikes, not between them"
    rig.trickle(200, 3600)
    assert rig.counts() == (202, 1, 0)
    record = rig.store.get(ids[1])
    assert record is not None
    alone = [trip for trip in record.history if trip.http_status == 500]
    assert (record.status, record.error.status if record.error else None) == ("dead", 500)
    assert len(alone) >= 5


def test_a_suspect_is_convicted_also_where_one_request_goes_out_at_a_time() -> None:
    """With each new event it would fail that one's first try, for ever: so it travels alone, and they bear witness."""
    rig = Rig(replace(EDGE, requests_in_flight_max=1))
    rig.put()
    rig.service = for_poison("P-1", plain(500))
    rig.worker.step()
    for number in range(60):  # whenever it is due, there is a new one beside it
        rig.put()
        rig.clock.advance(900)
        while rig.counts()[0] == number:
            rig.worker.step()
            rig.clock.advance(1)
    assert rig.counts() == (60, 1, 0)
    rig.worker.close()


@pytest.mark.parametrize("share", [0.02, 0.2, 0.4, 0.6, 0.75])
@pytest.mark.parametrize("answer", [plain(500), plain(400, REFUSAL[:40])])
def test_a_service_that_fails_at_random_kills_nobody(share: float, answer: Callable[[], HttpResponse]) -> None:
    """Failures of anybody's requests are no evidence against one event, however many acceptances are between them."""
    for seed in range(2):
        rig = Rig(seed=seed)
        dice = Random(seed)
        rig.service = lambda request, dice=dice: accept(request) if dice.random() < share else answer()  # type: ignore[misc]
        rig.trickle(120, 30)
        assert rig.counts()[1] == 0
        rig.service = accept
        rig.run(2 * 3600)
        assert rig.counts() == (rig.count, 0, 0)
        rig.worker.close()


def test_an_acceptance_before_an_outage_is_no_witness_in_it(rig: Rig) -> None:
    """One failed, another was accepted, and then the service falls over: the one is not held to it."""
    rig.put()
    rig.service = always(plain(500))
    rig.run(0.1)
    rig.service = for_poison("P-1", plain(500))
    rig.put()
    rig.run(5)
    rig.service = always(plain(500))
    rig.run(24 * 3600)
    assert rig.counts() == (1, 0, 1)


@pytest.mark.parametrize(("bad", "answer"), [(101, plain(500)), (130, plain(403, HTML)), (333, cut)])
def test_more_bad_events_than_a_batch_holds_do_not_block_the_others(
    rig: Rig, bad: int, answer: Callable[[], HttpResponse]
) -> None:
    """They stand at the head of the queue, all of them: the others go through all the same."""
    rig.put(bad + 200)
    poison = {f"P-{number}" for number in range(1, bad + 1)}
    rig.service = lambda request: answer() if poison & set(purchases(request)) else accept(request)
    rig.run(24 * 3600)
    assert rig.counts() == (200, 0, bad)


CONFIGURATION = [
    "Sandbox not found",
    "invalid IMS_ORG",
    "org id does not match the inlet",
    "schema version 3 is not supported",
    "contentType is invalid",
    "source name is invalid",
    "Inlet is not enabled for this org",
    "Dataset does not exist",
    "Message has unknown xdm format",
    "something that nobody has thought of",
]


@pytest.mark.parametrize("text", CONFIGURATION)
@pytest.mark.parametrize("form", ["whole", "each"])
def test_what_refuses_everything_that_we_wrote_kills_nobody(text: str, form: str) -> None:
    """In whatever words: nothing was accepted, so it may be our own organisation, schema, dataset or sandbox."""
    rig = Rig(DCCS)
    whole = {
        "type": "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet",
        "report": {"message": text},
    }

    def service(request: HttpRequest) -> HttpResponse:
        each = {"batchId": "b", "responses": [{"statusCode": 400, "message": text}] * len(purchases(request))}
        if form == "each" and "messages" in json.loads(request.body):
            return plain(207, json.dumps(each).encode())()
        return plain(400, json.dumps(whole).encode())()

    rig.service = service
    rig.put(300)
    rig.run(6 * 3600)
    assert rig.counts() == (0, 0, 300)
    rig.service = accept
    rig.run(2 * 3600)
    assert rig.counts() == (300, 0, 0)
    rig.worker.close()


@pytest.mark.parametrize(
    "document",
    [
        {"error_code": "400003", "message": "Api Key is required"},
        {"type": "about:blank", "title": "Bad Request", "status": 400},
        {"type": "https://ns.adobe.com/aep/errors/EXEG-9999-400", "title": "Invalid datastream configuration"},
    ],
)
def test_a_refusal_that_edges_table_does_not_list_kills_nobody_without_a_witness(
    rig: Rig, document: dict[str, object]
) -> None:
    """A gateway, a proxy, an Edge to come: everything is refused, so it is not the events."""
    rig.put(300)
    rig.service = always(plain(400, json.dumps(document).encode()))
    rig.run(6 * 3600)
    assert rig.counts() == (0, 0, 300)


@pytest.mark.parametrize(
    "answer",
    [
        plain(422, json.dumps({"type": "https://ns.adobe.com/aep/errors/EXEG-0013-422", "status": 422}).encode()),
        plain(401, b'{"error_code":"401013"}'),
        plain(403, b""),
        plain(404, b""),
    ],
)
def test_one_event_that_pauses_the_destination_is_set_aside(rig: Rig, answer: Callable[[], HttpResponse]) -> None:
    """A namespace that only this event brings: the others were accepted, so it is not our configuration."""
    rig.put(90)
    rig.service = for_poison("P-40", answer)
    rig.run(3600)
    assert rig.counts() == (89, 0, 1)
    rig.trickle(10, 120)
    assert rig.counts() == (99, 0, 1)


def test_a_configuration_that_goes_wrong_pauses_whatever_was_set_aside_before(rig: Rig) -> None:
    """What was excused once is not excused for ever: the operator hears of it."""
    gone = plain(404, b"")
    rig.put(90)
    rig.service = for_poison("P-40", gone)
    rig.run(3600)
    rig.service = always(gone)
    rig.trickle(5, 300)
    assert rig.worker.hold.state is HoldState.PAUSED


@pytest.mark.parametrize("answer", [cut, plain(502), plain(504), plain(200, b""), plain(403, HTML), plain(500, HTML)])
def test_what_is_nobodys_answer_sets_an_event_aside_and_never_kills_it(
    rig: Rig, answer: Callable[[], HttpResponse]
) -> None:
    """One event that always meets a cut, an empty success or a web page: the others go through, it is kept."""
    rig.put(250)
    rig.service = for_poison("P-10", answer)
    rig.run(300)
    assert rig.counts() == (249, 0, 1)
    rig.put(50)
    rig.run(15)
    assert rig.counts() == (299, 0, 1), "and those that come later do not wait for it"
    rig.service = accept
    rig.run(400)
    assert rig.counts() == (300, 0, 0)


@pytest.mark.parametrize("count", [1, 2, 30, 250])
def test_our_own_configurations_fault_pauses_and_kills_nobody(rig: Rig, count: int) -> None:
    """A wrong organisation in the file: none dies, with one event or with many; corrected, everything goes."""
    rig = Rig(DCCS)
    text = {"status": 400, "title": "Invalid XDM Message Format", "report": {"message": "absent or wrong ims org"}}
    rig.put(count)
    rig.service = always(plain(400, json.dumps(text).encode()))
    rig.run(3600)
    assert rig.counts() == (0, 0, count)
    assert rig.worker.hold.state is HoldState.PAUSED
    assert len(rig.network.requests) <= 4 + 3600 / 180 + 1
    rig.service = accept
    rig.run(400)
    assert rig.counts() == (count, 0, 0)
    rig.worker.close()


# --- what is not an answer to us --------------------------------------------------------------------------------------


def test_an_event_is_refused_for_good_only_on_a_connection_of_its_own(rig: Rig) -> None:
    """A refusal on a reused connection may be the late answer to another request: it is asked for once more."""
    rig.put()
    rig.service = lambda request: HttpResponse(400, {}, REFUSAL, reused=True)
    rig.run(10)
    assert [request.fresh for request in rig.network.requests] == [False, True]
    assert rig.counts() == (0, 1, 0)


def test_a_stray_refusal_on_a_reused_connection_kills_nobody(rig: Rig) -> None:
    """The fresh connection tells that the service takes it."""
    rig.put()
    rig.service = lambda request: accept(request) if request.fresh else HttpResponse(400, {}, REFUSAL, reused=True)
    rig.run(10)
    assert rig.counts() == (1, 0, 0)


def test_an_acceptance_with_another_requests_id_counts_for_nothing(rig: Rig) -> None:
    """Once Edge was seen to name our id, another id is somebody else's answer: sent again, the same event."""
    rig.put()
    rig.run(10)
    rig.put(5)
    stray = [HttpResponse(202, {}, b'{"requestId":"0b6d5b1c-27a2-4b56-8f10-6a5b6c9c8f11-0123456789abcdef"}')]
    rig.service = lambda request: stray.pop() if stray else accept(request)
    rig.run(60)
    assert rig.counts() == (6, 0, 0)
    assert len(rig.network.requests) == 3


def test_a_service_that_does_not_echo_is_not_sent_everything_for_ever(rig: Rig) -> None:
    """It has named ids of its own in turn after turn, on fresh connections: those are its acceptances."""
    own = HttpResponse(202, {}, b'{"requestId":"0b6d5b1c-27a2-4b56-8f10-6a5b6c9c8f11"}')
    rig.service = always(lambda: own)
    rig.put(300)
    rig.run(60)
    assert rig.counts() == (300, 0, 0)
    assert len(rig.network.requests) == 3 + UNECHOED_TURNS_MAX + 2


def test_the_very_first_answer_with_another_requests_id_counts_for_nothing(rig: Rig) -> None:
    """Edge's documents promise the echo: before it was ever seen, it is waited for."""
    stray = [HttpResponse(202, {}, b'{"requestId":"0b6d5b1c-27a2-4b56-8f10-6a5b6c9c8f11-0123456789abcdef"}')]
    rig.service = lambda request: stray.pop() if stray else accept(request)
    rig.put(5)
    rig.run(60)
    assert rig.counts() == (5, 0, 0)
    assert len(rig.network.requests) == 2


def test_what_was_learned_of_one_place_counts_for_nothing_at_another(rig: Rig) -> None:
    """Another endpoint, which names ids of its own: it is not sent everything for ever because the last one echoed."""
    rig.put(5)
    rig.run(10)
    rig.worker.close()
    rig.destination = AdobeEdge("web", endpoint="https://other.example", datastream_id="d")
    rig.worker = rig.begin()
    rig.service = always(lambda: HttpResponse(202, {}, b'{"requestId":"0b6d5b1c-27a2-4b56-8f10-6a5b6c9c8f11"}'))
    rig.put(50)
    rig.run(600)
    assert rig.counts() == (55, 0, 0)


def test_a_service_that_has_echoed_is_never_believed_without_it(rig: Rig) -> None:
    """A cache that answers with an old acceptance has taken nothing, however often it does; nothing is lost."""
    rig.put(5)
    rig.run(10)
    rig.service = always(lambda: HttpResponse(202, {}, b'{"requestId":"0b6d5b1c-27a2-4b56-8f10-6a5b6c9c8f11"}'))
    rig.put(50)
    rig.run(3600)
    assert rig.counts() == (5, 0, 50)
    assert len(rig.network.requests) < 60, "and it is not asked at full speed"
    rig.service = accept
    rig.run(600)
    assert rig.counts() == (55, 0, 0)


def test_a_silent_answer_is_taken_from_a_fresh_connection_alone(rig: Rig) -> None:
    """A 204 names nobody's request: a late one of an earlier request must not pass for the next one's."""
    rig = Rig(AdobeEdge("web", datastream_id="d", silent=True))
    rig.service = always(lambda: HttpResponse(204, {}, b""))
    rig.put(250)
    rig.run(10)
    assert rig.counts() == (250, 0, 0)
    assert all(request.fresh for request in rig.network.requests)
    rig.worker.close()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 503])
def test_a_retry_after_binds_whatever_it_comes_with(rig: Rig, status: int) -> None:
    """Also beside a refusal that would be halved at once, also by hand."""
    rig.put(40)
    rig.service = always(lambda: HttpResponse(status, {"retry-after": "60"}, REFUSAL))
    rig.worker.step()
    for _ in range(55):
        rig.clock.advance(1)
        rig.worker.step(by_hand=True)
    assert len(rig.network.requests) == 1


# --- sizes, and what cannot be told apart -----------------------------------------------------------------------------


@pytest.mark.parametrize("body", [HTML, b"", json.dumps({"type": "EXEG-0112-413", "title": "too large"}).encode()])
def test_a_size_that_passes_is_learned_and_kept(rig: Rig, body: bytes) -> None:
    """A proxy's own limit is found once, not at each batch, and a worker that begins anew knows it."""
    rig.put(400)
    rig.service = lambda request: HttpResponse(413, {}, body) if len(request.body) > 8_000 else accept(request)
    rig.destination = AdobeEdge("web", datastream_id="d")
    rig.run(60)
    assert rig.counts() == (400, 0, 0)
    before = len(rig.network.requests)
    rig.worker.close()
    rig.worker = rig.begin()
    rig.put(100)
    rig.run(60)
    refused = [one for one in rig.network.requests[before:] if len(one.body) > 10_000]
    assert refused == []
    assert rig.counts() == (500, 0, 0)


def test_what_was_refused_for_its_size_alone_is_the_events_fault_only_in_the_services_words(rig: Rig) -> None:
    """A proxy's HTML 413 for an event alone keeps it for ever: another way to the service may take it."""
    rig.put(2)
    rig.service = for_poison("P-1", plain(413, HTML))
    rig.run(3600)
    assert rig.counts() == (1, 0, 1)


def test_events_that_cannot_be_told_apart_go_to_the_single_endpoint() -> None:
    """Adobe's own part-failure sample has five messages and four answers: nothing is done by guessing."""
    rig = Rig(DCCS)
    ids = rig.put(5)
    sample = {
        "inletId": "inlet",
        "batchId": "1565628583792:1485:153",
        "responses": [{"xactionId": "1565628583792:1485:152:3"}, *[{"statusCode": 400, "message": "bad"}] * 3],
    }
    script = [HttpResponse(207, {}, json.dumps(sample).encode())]
    rig.service = lambda request: script.pop() if script else accept(request)
    rig.run(60)
    assert rig.counts() == (5, 0, 0)
    paths = [urlsplit(request.url).path for request in rig.network.requests]
    assert paths == ["/collection/batch/inlet", *["/collection/inlet"] * 5]
    record = rig.store.get(ids[0])
    assert record is not None
    assert [trip.disposition for trip in record.history] == ["unknown", "accepted"]
    rig.worker.close()


@pytest.mark.parametrize("status", [500, 502])
def test_a_message_that_fails_in_every_answer_does_not_hold_its_batch(status: int) -> None:
    """DCCS says so for the message alone: it waits by itself; five 500s beside acceptances are its refusal."""
    rig = Rig(DCCS)
    rig.put(20)

    def service(request: HttpRequest) -> HttpResponse:
        entries = [
            {"statusCode": status, "message": "boom"} if one == "P-3" else {"xactionId": f"b:{position}"}
            for position, one in enumerate(purchases(request))
        ]
        if len(entries) == 1 and "messages" not in json.loads(request.body):
            return plain(status)() if "P-3" in purchases(request) else accept(request)
        return HttpResponse(207, {}, json.dumps({"batchId": "b", "responses": entries}).encode())

    rig.service = service
    rig.run(1)
    assert rig.counts() == (19, 0, 1)
    rig.trickle(30, 1800)
    assert rig.counts() == ((49, 1, 0) if status == 500 else (49, 0, 1))
    rig.worker.close()


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_by_hand_means_now_for_an_event_that_waits_as_well(rig: Rig) -> None:
    """Its own wait is our backoff: a sync skips it for one try."""
    rig.put(3)
    rig.service = for_poison("P-1", cut)
    rig.run(120)
    assert rig.counts() == (2, 0, 1)
    before = len(rig.network.requests)
    rig.service = accept
    rig.worker.step(by_hand=True)
    assert len(rig.network.requests) == before + 1
    assert rig.counts() == (3, 0, 0)


def test_syncs_by_hand_find_a_poison_event_too(rig: Rig) -> None:
    """What each has learned outlives it: a technician who runs sync again and again gets the others through."""
    rig.put(60)
    rig.service = for_poison("P-30", cut)
    for _ in range(60):
        while (turn := rig.worker.step(by_hand=True)).delivered:
            assert turn.claimed
        rig.worker.close()
        rig.worker = rig.begin()
    assert rig.counts() == (59, 0, 1)


def test_being_offline_is_no_strike_against_any_event(rig: Rig) -> None:
    """Nothing was sent: nothing is learned."""
    rig.put(5)

    def gone(_: HttpRequest) -> HttpResponse:
        raise NotSent("no route", code="connect")

    rig.service = gone
    rig.run(3600)
    assert rig.store.learned("web").suspects == {}
