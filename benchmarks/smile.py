"""What Smile saves and what it costs: `python benchmarks/smile.py [--quick]`.

Bytes are beside the same request in JSON (the floor; the ratio is Smile / JSON). Time is that of `Packing.item`, from
stored JSON to encoded bytes, beside orjson's `loads` and `dumps` of the same payloads, interleaved in one run: compare
the ratios, not the microseconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson
from events import make_event
from harness import CHECKOUT, conditions, interleave, seconds_of
from report import against, of_values, short, table

from edgequeue.destinations.smile import Packing

HEADER = {
    "schemaRef": {
        "id": "https://ns.adobe.com/contoso/schemas/6b7c1f20d95e4a83b1c4a7e2f5d08e93",
        "contentType": "application/vnd.adobe.xed-full+json;version=1",
    },
    "imsOrgId": "6F2C1A7B5D3E4F90A1B2C3D4@AdobeOrg",
    "datasetId": "65a1f0c2d94b3e28f7a6b5c4",
    "flowId": "4f6c2d18-9a3b-47e5-8c70-1d2e3f4a5b6c",
    "source": {"name": "contoso-tills"},
}
SALES = 5
"""Every fifth of the harness's events is a purchase."""


def message(number: int) -> dict[str, Any]:
    """A sale as one message of a DCCS batch."""
    entity = {"_id": f"q7f3a9-{number:08d}-5c1e9b04d2a87f36", **make_event(number * SALES)["xdm"]}
    return {"header": HEADER, "body": {"xdmMeta": {"schemaRef": HEADER["schemaRef"]}, "xdmEntity": entity}}


def event(number: int) -> dict[str, Any]:
    """An Edge event of the harness, with the `_id` that the store gives it."""
    return {"xdm": {"_id": f"q7f3a9-{number:08d}-5c1e9b04d2a87f36", **make_event(number)["xdm"]}}


REQUESTS: dict[str, tuple[str, list[list[bytes]]]] = {
    "100 DCCS messages": ("messages", [[orjson.dumps(message(number)) for number in range(100)]]),
    "80 Edge events": ("events", [[orjson.dumps(event(number)) for number in range(80)]]),
    "single Edge events": ("events", [[orjson.dumps(event(number))] for number in range(80)]),
}
"""The key of the request's list, and the stored payloads of each request."""


def in_smile(key: str, requests: Sequence[Sequence[bytes]], shared_values: bool) -> int:
    """Bytes of the requests in Smile."""
    size = 0
    for payloads in requests:
        packing = Packing(key, shared_values=shared_values)
        parts = [packing.item(payload) for payload in payloads]
        size += sum(len(part) for part in parts if part is not None) + len(Packing.END)
    return size


def in_json(key: str, requests: Sequence[Sequence[bytes]]) -> int:
    """Bytes of the same requests in JSON, as the worker joins them."""
    return sum(len(b'{"":[]}') + len(key) + sum(map(len, payloads)) + len(payloads) - 1 for payloads in requests)


def through_orjson(requests: Sequence[Sequence[bytes]]) -> None:
    """What time is compared with."""
    for payloads in requests:
        for payload in payloads:
            orjson.dumps(orjson.loads(payload))


def micros(action: Callable[[], object], rounds: int, events: int) -> float:
    """Microseconds per event, the best of some rounds."""
    return min(seconds_of(action) for _ in range(rounds)) / events * 1e6


def rows_of(name: str, repeats: int, rounds: int) -> list[list[str]]:
    """Bytes and time of one kind of request, texts not shared and shared."""
    key, requests = REQUESTS[name]
    events = sum(map(len, requests))
    plain = in_json(key, requests)
    rows = []
    runs: dict[str, Callable[[], object]] = {"orjson": partial(through_orjson, requests)}
    for shares, shared_values in (("names", False), ("names and texts", True)):
        runs[shares] = partial(in_smile, key, requests, shared_values)
        size = in_smile(key, requests, shared_values)
        rows.append([f"{name}, {shares}", f"{size / plain:.2f}", "", f"{size:,} B against {plain:,} B of JSON"])
    times = interleave({one: partial(micros, run, rounds, events) for one, run in runs.items()}, repeats)
    for shares in list(runs)[1:]:
        ratio = against(times[shares], times["orjson"], " us/event")
        rate = plain / events / of_values(times[shares]).value
        spread = f"{short(ratio.low)} to {short(ratio.high)}"
        note = f"{ratio.note} of orjson; {rate:.1f} MB/s of JSON"
        rows.append([f"{name}, {shares}", f"{ratio.value:.2f}", spread, note])
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    given = parser.parse_args()
    repeats, rounds = (5, 3) if given.quick else (15, 10)
    rows = [row for name in REQUESTS for row in rows_of(name, repeats, rounds)]
    print(conditions(CHECKOUT))
    print(table([["what is shared", "ratio", "spread", "made of"], *rows]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
