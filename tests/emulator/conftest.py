"""Fixtures of the emulator's tests: a running emulator, a client that ignores the machine's proxies, and builders."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

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


@pytest.fixture
def command() -> Callable[..., Document]:
    """A Bloomreach command that tracks an event."""

    def build(command_id: str | None = "c-1", **data: Any) -> Document:
        event = {"customer_ids": {"registered": "a@example.com"}, "event_type": "purchase", "timestamp": 123456.78}
        built = {"name": "customers/events", "command_id": command_id, "data": {**event, "properties": {}, **data}}
        return {name: value for name, value in built.items() if value is not None}

    return build


@pytest.fixture
def track(client: httpx.Client) -> Callable[..., httpx.Response]:
    """POST commands to project `shop` of an emulator."""

    def post(emulator: Emulator, *commands: Any, project: str = "shop", **more: Any) -> httpx.Response:
        url = f"{emulator.url}/track/v2/projects/{project}/batch"
        return client.post(url, json={"commands": list(commands)}, **more)

    return post


class Platform:
    """The requests of "Create an HTTP API streaming connection", made of an emulator. Each answers with the response;
    `refused` is the code of an error.
    """

    HEADERS: ClassVar[dict[str, str]] = {
        "authorization": "Bearer any",
        "x-api-key": "till",
        "x-gw-ims-org-id": "shop@AdobeOrg",
        "x-sandbox-name": "prod",
    }
    SPEC: ClassVar[dict[str, str]] = {"id": "bc7b00d6-623a-4dfc-9fdb-f1240aeadaeb", "version": "1.0"}
    SCHEMA: ClassVar[str] = "https://ns.adobe.com/shop/schemas/7f68"

    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client = client
        self._base = f"{url}/data/foundation/"

    def post(self, path: str, document: Any, **headers: str) -> httpx.Response:
        return self._client.post(self._base + path, json=document, headers=self.HEADERS | headers)

    def get(self, path: str, *pairs: tuple[str, Any], **headers: str) -> httpx.Response:
        return self._client.get(self._base + path, params=list(pairs) or None, headers=self.HEADERS | headers)

    def connection(self, name: str = "till", data_type: str = "xdm", **params: Any) -> httpx.Response:
        auth = {"specName": "Streaming Connection", "params": {"dataType": data_type, **params}}
        return self.post("flowservice/connections", {"name": name, "connectionSpec": self.SPEC, "auth": auth})

    def source(self, base: str, **more: Any) -> httpx.Response:
        document = {"name": "source", "baseConnectionId": base, "connectionSpec": self.SPEC, **more}
        return self.post("flowservice/sourceConnections", document)

    def target(self, dataset: str = "d1", version: str = "1.0", **more: Any) -> httpx.Response:
        schema = {"id": self.SCHEMA, "version": f"application/vnd.adobe.xed-full+json;version={version}"}
        spec = {"id": "c604ff05-7f1a-43c0-8e18-33bf874cb11c", "version": "1.0"}
        document = {"name": "target", "data": {"schema": schema}, "params": {"dataSetId": dataset}}
        return self.post("flowservice/targetConnections", {**document, "connectionSpec": spec, **more})

    def mapping(self, **more: Any) -> httpx.Response:
        mappings = [{"destinationXdmPath": "person.name.firstName", "sourceAttribute": "firstName"}]
        document = {"version": 0, "xdmSchema": self.SCHEMA, "xdmVersion": "1.0", "mappings": mappings, **more}
        return self.post("conversion/mappingSets", document)

    def flow(self, source: str, target: str, mapping: str | None = None, **more: Any) -> httpx.Response:
        document: Document = {"name": "flow", "sourceConnectionIds": [source], "targetConnectionIds": [target]}
        if mapping is None:
            document["flowSpec"] = {"id": "d8a6f005-7eaf-4153-983e-e8574508b877", "version": "1.0"}
        else:
            document["flowSpec"] = {"id": "c1a19761-d2c7-4702-b9fa-fe91f0613e81", "version": "1.0"}
            params = {"mappingId": mapping, "mappingVersion": 0}
            document["transformations"] = [{"name": "Mapping", "params": params}]
        return self.post("flowservice/flows", document | more)

    def whole(self, data_type: str = "xdm", **params: Any) -> tuple[str, str]:
        """Everything that a streaming connection needs: the inlet's URL and the flow's id."""
        base = self.connection(data_type=data_type, **params).json()["id"]
        source, target = self.source(base).json()["id"], self.target().json()["id"]
        flow = self.flow(source, target).json()["id"]
        shown = self.get(f"flowservice/connections/{base}").json()["items"][0]
        return shown["auth"]["params"]["inletUrl"], flow

    @staticmethod
    def refused(answer: httpx.Response) -> str:
        document = answer.json()
        if "error_code" in document:
            return str(document["error_code"])
        assert document["status"] == answer.status_code
        return str(document["type"].rpartition("/")[2])


@pytest.fixture
def on_platform(client: httpx.Client) -> Callable[[Emulator], Platform]:
    return lambda emulator: Platform(client, emulator.url)


@pytest.fixture
def platform(emulator: Emulator, on_platform: Callable[[Emulator], Platform]) -> Platform:
    return on_platform(emulator)
