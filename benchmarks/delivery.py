"""Row 7: draining over HTTP with `EventQueue.sync`, against the same client that posts ready-made bodies.

The service is a process of its own and answers as Edge does (`service.py`). With answers that take their time the ideal
is that of the requests in flight: so many at once, each as long as its answer takes, and nothing between two of them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from math import ceil
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from events import stream
from harness import Bench, in_child, interleave, seconds_of
from report import Figure, Skipped, against, of_values, short
from service import seen, service

IN_FLIGHT = 16
EVENTS_PER_REQUEST = 60
PAYLOAD_BYTES = 990
"""About; so that 60 events fit into the 60,000 bytes that Edge takes."""


def measure(bench: Bench) -> Iterator[tuple[str, Figure | Skipped]]:
    yield "http", _against_client(bench)
    for delay_ms, requests in ((50, bench.of(960, 160, 16)), (300, bench.of(320, 48, 16))):
        if bench.scale == "tiny":
            delay_ms //= 10
        ratios = []
        for _ in range(bench.of(3, 1, 1)):
            with service(delay_ms / 1000) as url, bench.place() as place:
                found = in_child(drain, place, url, requests * EVENTS_PER_REQUEST, IN_FLIGHT)
            ideal = ceil(found["requests"] / IN_FLIGHT) * delay_ms / 1000
            ratios.append(ideal / found["seconds"])
        rate = requests * EVENTS_PER_REQUEST / found["seconds"]
        name = {50: "http_50", 300: "http_300", 5: "http_50", 30: "http_300"}[delay_ms]
        yield name, of_values(ratios, f"{short(rate)} events/s; ideal {short(IN_FLIGHT / delay_ms * 60_000)}")


def _against_client(bench: Bench) -> Figure:
    count, repeats = bench.of((60_000, 5), (12_000, 2), (600, 1))
    rates: dict[str, list[float]] = {"ours": [], "client": []}

    def ours() -> float:
        with service() as url, bench.place() as place:
            return count / float(in_child(drain, place, url, count, None)["seconds"])

    def client() -> float:
        """The best that it can do: one connection or as many as ours."""
        with service() as url:
            return max(count / float(in_child(post, url, count, threads)) for threads in (1, 4))

    rates = interleave({"ours": ours, "client": client}, repeats)
    return against(rates["ours"], rates["client"], " events/s")


def _edge(url: str, in_flight: int | None) -> Any:
    from edgequeue.destinations.adobe_edge import AdobeEdge

    more = {} if in_flight is None else {"requests_in_flight_max": in_flight}
    return AdobeEdge("web", datastream_id="bench", endpoint=url, batch_events_max=EVENTS_PER_REQUEST, **more)


def _events(count: int) -> Iterator[dict[str, Any]]:
    """Events that leave room for 60 in a request."""
    for event in stream(count):
        xdm = {key: value for key, value in event["xdm"].items() if key != "device"}
        yield {**event, "xdm": xdm}


def drain(place: str, url: str, count: int, in_flight: int | None) -> dict[str, float]:
    """Enqueue, then time the drain; every event must have arrived, once.

    A first event is drained before the clock starts: the client has its libraries loaded by then, too.
    """
    from edgequeue import EventQueue

    with EventQueue(Path(place, "queue.db"), [_edge(url, in_flight)]) as queue:
        queue.enqueue_many(_events(1))
        queue.sync()
        before = json.loads(seen(url))["requests"]
        queue.enqueue_many(_events(count))
        done = None

        def sync() -> None:
            nonlocal done
            done = queue.sync()

        seconds = seconds_of(sync)
        assert done is not None
        assert done.delivered == count, f"{done.delivered} of {count} delivered: {done.stopped_because}"
        assert json.loads(seen(url))["requests"] - before == done.requests, "a request came twice"
        return {"seconds": seconds, "requests": done.requests}


def post(url: str, count: int, threads: int) -> float:
    """Seconds that httpx takes for the same requests, made beforehand, one client for all threads."""
    import httpx

    errands: SimpleQueue[Any] = SimpleQueue()
    for request in _requests(url, count):
        errands.put(request)

    def work() -> None:
        while True:
            try:
                one = errands.get_nowait()
            except Empty:
                return
            client.request(one.method, one.url, headers=one.headers, content=one.body).raise_for_status()

    with closing(httpx.Client(timeout=30.0)) as client:
        workers = [threading.Thread(target=work) for _ in range(threads)]

        def run() -> None:
            for one in workers:
                one.start()
            for one in workers:
                one.join()

        return seconds_of(run)


def _requests(url: str, count: int) -> list[Any]:
    """The requests that a drain of so many events sends."""
    from edgequeue.batching import fill
    from edgequeue.model import Batch, Claimed

    edge = _edge(url, None)
    records = []
    for number, event in enumerate(_events(count)):
        records.append(Claimed(number, 1, 0, None, edge.check(event, 0).payload, True))
    loads = fill(records, edge.limits, edge.begin, count)
    return [edge.encode(Batch(f"00000000-0000-4000-8000-{number:012d}", *load)) for number, load in enumerate(loads)]
