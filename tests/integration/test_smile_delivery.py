"""Events sent in Smile: read by another reader, packed by their bytes, and sent as JSON where it is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgequeue import AdobeDccs, AdobeEdge, EventQueue
from edgequeue.destinations.base import Destination
from edgequeue.destinations.framing import JSON_TYPE, SMILE_TYPE
from edgequeue.emulator import Emulator, smile
from edgequeue.learning import JSON_MS
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.testing import ManualClock, ScriptedTransport, accept, event_for, response

SCHEMA = "https://ns.adobe.com/contoso/schemas/1"
TILL = AdobeDccs(
    "till", endpoint="https://dcs.example/collection/i", dataset_id="s", schema_id=SCHEMA, batch_bytes_max=60_000
)
EDGE = AdobeEdge("web", datastream_id="d", endpoint="https://server.example", encoding="smile")


def in_json(request: HttpRequest) -> HttpRequest:
    """The request as a service reads it, by the emulator's own reader."""
    if request.headers["content-type"] != SMILE_TYPE:
        return request
    return replace(request, body=json.dumps(smile.decode(request.body)).encode())


def refusing(request: HttpRequest) -> HttpResponse:
    """A service that takes JSON alone."""
    if request.headers["content-type"] == SMILE_TYPE:
        return response(415, {"type": "https://ns.adobe.com/aep/errors/EXEG-0111-415", "status": 415})
    return accept(request)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[EventQueue]:
    with Emulator() as service:
        inlet = service.inlet_url("i")
        destinations = [
            AdobeEdge("web", datastream_id="d", endpoint=service.url, encoding="smile"),
            AdobeEdge("kiosk", datastream_id="d", endpoint=service.url, encoding="smile", smile_shared_values=True),
            AdobeDccs("till", endpoint=inlet, dataset_id="s", schema_id=SCHEMA, encoding="smile"),
            AdobeDccs("door", endpoint=inlet, data_type="raw", flow_id="f", encoding="smile"),
        ]
        with EventQueue(tmp_path / "queue.db", destinations) as queue:
            yield queue


def test_what_is_sent_in_smile_arrives(queue: EventQueue) -> None:
    """Edge and DCCS, in batches and alone, with shared names and with shared values."""
    for name in ("web", "kiosk", "till"):
        kind = queue.destinations[name].type
        queue.enqueue_many((event_for(kind, number=number, café="crème") for number in range(300)), name)
        queue.enqueue(event_for(kind), name)
    queue.enqueue({"data": {"door": 3, "größe": 2**40}}, "door")
    report = queue.sync()
    assert (report.delivered, report.remaining) == (904, 0)


def test_requests_are_filled_by_their_encoded_bytes(tmp_path: Path) -> None:
    """More events fit a request than in JSON, and none exceeds the limit."""
    counts: dict[str, list[int]] = {}
    for encoding in ("json", "smile"):
        network = ScriptedTransport(then=lambda request: accept(in_json(request)))
        place = replace(EDGE, encoding=encoding)
        with EventQueue(tmp_path / encoding, [place], transport=lambda _, network=network: network) as queue:
            queue.enqueue_many(event_for("adobe-edge", number=n, pad={"shelf": "x" * 600}) for n in range(400))
            assert queue.sync().delivered == 400
        assert all(len(request.body) <= 60_000 for request in network.requests)
        counts[encoding] = [len(json.loads(in_json(request).body)["events"]) for request in network.requests]
    assert max(counts["smile"]) > max(counts["json"])


def test_a_long_name_travels_in_a_request_of_its_own_kind(tmp_path: Path) -> None:
    """Where names are too long to be shared by all readers, none are; every event arrives as it was."""
    seen: list[str] = []

    def service(request: HttpRequest) -> HttpResponse:
        document = json.loads(in_json(request).body)
        seen.extend(event["xdm"]["commerce"]["order"]["purchaseID"] for event in document["events"])
        return accept(in_json(request))

    network = ScriptedTransport(then=service)
    with EventQueue(tmp_path / "queue.db", [EDGE], transport=lambda _: network) as queue:
        queue.enqueue_many(
            event_for("adobe-edge", number=n, **({"n" * 80: n} if n % 3 == 0 else {})) for n in range(30)
        )
        assert queue.sync().delivered == 30
    assert sorted(seen) == sorted(f"P-{n}" for n in range(30))


def test_a_service_that_does_not_take_smile_gets_json_for_a_day(tmp_path: Path) -> None:
    """The 415 costs one try and no event anything; it is remembered across restarts, and tried again the next day."""
    clock, network = ManualClock(), ScriptedTransport(then=refusing)

    def types(number: int) -> list[str]:
        """The encodings of the requests for one more event, by a queue that was opened anew."""
        before = len(network.requests)
        with EventQueue(tmp_path / "queue.db", [EDGE], clock=clock, transport=lambda _: network) as queue:
            queue.enqueue(event_for("adobe-edge", number=number))
            report = queue.sync()
            assert (report.delivered, report.dead, report.remaining) == (1, 0, 0)
            assert queue.status().destinations["web"].state == "ok"
        return [request.headers["content-type"] for request in network.requests[before:]]

    assert types(1) == [SMILE_TYPE, JSON_TYPE]
    assert types(2) == [JSON_TYPE]
    clock.advance(JSON_MS / 1000)
    assert types(3) == [SMILE_TYPE, JSON_TYPE]


def test_a_page_with_415_is_followed_by_json_too(tmp_path: Path) -> None:
    """What stands before the service may be what does not know Smile; the try costs nothing."""
    page = HttpResponse(415, {"content-type": "text/html"}, b"<html>no</html>")
    network = ScriptedTransport([page], then=lambda request: accept(in_json(request)))
    with EventQueue(tmp_path / "queue.db", [EDGE], transport=lambda _: network) as queue:
        queue.enqueue(event_for("adobe-edge"))
        assert queue.sync().delivered == 1
    assert [request.headers["content-type"] for request in network.requests] == [SMILE_TYPE, JSON_TYPE]


@pytest.mark.parametrize("place", [EDGE, replace(TILL, encoding="smile")])
def test_an_event_that_smile_makes_larger_travels_in_json(tmp_path: Path, place: Destination) -> None:
    """Fractions take more room in it: what was small enough at enqueue must not be too large when it is sent."""
    network = ScriptedTransport(then=lambda request: accept(in_json(request)))
    with EventQueue(tmp_path / "queue.db", [place], transport=lambda _: network) as queue:
        queue.enqueue(event_for(place.type, readings=[n / 10 for n in range(8000)]))
        queue.enqueue(event_for(place.type, readings=[n / 10 for n in range(7000)]))
        assert queue.sync().delivered == 2
    assert all(request.headers["content-type"] == JSON_TYPE for request in network.requests)
    assert all(len(request.body) < 60_000 for request in network.requests)
