"""A service that costs almost nothing: answers Edge's collect as it should be answered, after a delay, and counts.

The emulator checks every event against the services' contract, and so would be what is measured. This reads no more of
a request than its length and its request id. `python benchmarks/service.py DELAY_SECONDS` prints its address and port.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

from edgequeue.model import HttpRequest, HttpResponse

ANSWER = '{"requestId":"%s","handle":[]}'


class Service(asyncio.Protocol):
    """One connection. `GET` answers how many requests and bytes of bodies have come over all connections."""

    delay_seconds = 0.0
    requests = 0
    body_bytes = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._data = bytearray()

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._data[:end])
            length = 0
            if (start := head.lower().find(b"content-length:")) >= 0:
                length = int(head[start + 15 :].split(b"\r\n", 1)[0])
            if len(self._data) < end + 4 + length:
                return
            del self._data[: end + 4 + length]
            self._request(head, length)

    def _request(self, head: bytes, length: int) -> None:
        kind = type(self)
        if head.startswith(b"GET"):
            self._answer(f'{{"requests":{kind.requests},"body_bytes":{kind.body_bytes}}}')
            return
        kind.requests += 1
        kind.body_bytes += length
        _, _, rest = head.partition(b"requestId=")
        answer = ANSWER % rest[:36].decode()
        if kind.delay_seconds:
            asyncio.get_running_loop().call_later(kind.delay_seconds, self._answer, answer)
        else:
            self._answer(answer)

    def _answer(self, body: str) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write((head + body).encode())


async def serve(delay_seconds: float) -> None:
    Service.delay_seconds = delay_seconds
    server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", 0, backlog=256)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


@contextmanager
def service(delay_seconds: float = 0.0) -> Iterator[str]:
    """The service in a process of its own; its address."""
    command = [sys.executable, str(Path(__file__)), str(delay_seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def seen(url: str) -> bytes:
    """What the service has counted, as JSON."""
    with urlopen(url) as answer:
        found: bytes = answer.read()
    return found


class Instantly:
    """A sender without a network, for what happens before it: answers at once, and keeps when each request came."""

    way = None

    def __init__(self) -> None:
        self.came: list[float] = []

    def send(self, request: HttpRequest, credentials: Mapping[str, str]) -> HttpResponse:
        self.came.append(time.monotonic())
        request_id = parse_qs(urlsplit(request.url).query)["requestId"][0]
        return HttpResponse(200, {"content-type": "application/json"}, (ANSWER % request_id).encode())

    def reach(self, url: str) -> None:
        """It is always there."""

    def withhold(self) -> None:
        """Nothing is ever under way."""

    def abort(self) -> None:
        """Nothing is ever under way."""


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
