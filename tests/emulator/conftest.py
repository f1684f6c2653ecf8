"""Fixtures of the emulator's tests: a running emulator, a client that ignores the machine's proxies, and builders."""

from __future__ import annotations

import json
import socket
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


@pytest.fixture
def said(edge_event: Callable[..., Document]) -> Callable[..., bytes]:
    """All the bytes that Edge answers, up to the end of the connection; ConnectionResetError where it is reset."""

    def ask(emulator: Emulator, event_id: str = "e-1", connection: str = "close", most: int | None = None) -> bytes:
        body = json.dumps({"events": [edge_event(event_id)]}).encode()
        head = (
            f"POST /ee/v2/collect?dataStreamId=web HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Connection: {connection}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        received = b""
        with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as opened:
            opened.sendall(head.encode() + body)
            while (most is None or len(received) < most) and (part := opened.recv(65536)):
                received += part
        return received

    return ask
