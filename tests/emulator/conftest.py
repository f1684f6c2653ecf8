"""Fixtures of the emulator's tests: a running emulator, a client that ignores the machine's proxies, and builders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from edgequeue.emulator import Emulator

Document = dict[str, Any]
SCHEMA = {
    "id": "https://ns.example.com/till/schemas/sale",
    "contentType": "application/vnd.adobe.xed-full+json;version=1",
}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(port=0, keep_payloads=True) as running:
        yield running


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10) as opened:
        yield opened


@pytest.fixture
def edge_event() -> Callable[..., Document]:
    def build(event_id: str | None = "e-1", **xdm: Any) -> Document:
        identity = {"FPID": [{"id": "5f0c2f6e-7e0b-4d5a-9a53-0c6f3f1f2a11", "primary": True}]}
        full = {"_id": event_id, "identityMap": identity, "timestamp": "2026-03-01T08:15:30.125Z", **xdm}
        return {"xdm": {name: value for name, value in full.items() if value is not None}}

    return build


@pytest.fixture
def dccs_message() -> Callable[..., Document]:
    def build(event_id: str | None = "m-1", header: Document | None = None, **entity: Any) -> Document:
        own = {"schemaRef": SCHEMA, "imsOrgId": "shop@AdobeOrg", "datasetId": "d1"}
        full = {"_id": event_id, "timestamp": "2026-03-01T08:15:30Z", **entity}
        return {
            "header": own | (header or {}),
            "body": {
                "xdmMeta": {"schemaRef": SCHEMA},
                "xdmEntity": {name: value for name, value in full.items() if value is not None},
            },
        }

    return build


@pytest.fixture
def collect(client: httpx.Client) -> Callable[..., httpx.Response]:
    """POST events to the Edge Network of an emulator."""

    def post(emulator: Emulator, *events: Any, headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
        params = {"dataStreamId": "web", **query}
        return client.post(
            f"{emulator.url}/ee/v2/collect", params=params, json={"events": list(events)}, headers=headers or {}
        )

    return post


@pytest.fixture
def batch(client: httpx.Client) -> Callable[..., httpx.Response]:
    """POST messages to the batch endpoint of inlet `till` of an emulator."""

    def post(emulator: Emulator, *messages: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        url = f"{emulator.url}/collection/batch/till"
        return client.post(url, json={"messages": list(messages)}, headers=headers or {})

    return post
