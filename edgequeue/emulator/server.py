"""The emulator as one object: the services, faults and a memory behind a port on loopback.

Serves each connection in a thread of its own: read a request, ask `routing.py`, send what it says with `speaking.py`.
Ports and threads are `listener.py`'s, HTTP is `wire.py`'s.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from edgequeue.emulator import dccs, ims
from edgequeue.emulator.contract import TOKEN_SECONDS, Options, Request, json_answer
from edgequeue.emulator.faults import Fault, Faults
from edgequeue.emulator.listener import Listener
from edgequeue.emulator.memory import Arrived, Memory, RequestSeen
from edgequeue.emulator.mood import Mood
from edgequeue.emulator.routing import Services
from edgequeue.emulator.settings import Adjustable
from edgequeue.emulator.speaking import send
from edgequeue.emulator.wire import Reader, WireError, render

IDLE_SECONDS = 300.0
"""A connection on which nothing comes in for that long is closed (ours; longer than any client pools one)."""


class Emulator(Adjustable):
    """Adobe Edge, DCCS and IMS on loopback, with faults on request. A context manager; all methods are thread-safe.

    `port` 0 means any free port. `token` switches authentication on. `client_id` and `client_secret` do so too: the
    services then take the tokens that IMS has issued, each for `token_seconds` (answered as milliseconds with
    `token_milliseconds`), and Edge that x-api-key. `org_id`, `datastreams`, `inlets` and `scopes` are what the
    services know; None: anything goes. `required_fields` are dotted paths that each DCCS entity must have.
    `error_shape` is `older` or `newer` (refused messages in a DCCS batch answer). `mood` draws faults for the requests
    that no other fault is meant for. `keep_payloads` keeps every accepted payload, a number the last so many.
    `on_request` is called with each request in its connection's thread, before it is answered.

    What may be set while it runs stands in `settings.py`.
    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        token: str | None = None,
        org_id: str | None = None,
        datastreams: Iterable[str] | None = None,
        inlets: Iterable[str] | None = None,
        required_fields: Iterable[str] = (),
        error_shape: str = "older",
        keep_payloads: bool | int = False,
        on_request: Callable[[RequestSeen], None] | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        token_seconds: float = TOKEN_SECONDS,
        token_milliseconds: bool = False,
        scopes: Iterable[str] | None = None,
        mood: Mood | None = None,
    ) -> None:
        options = Options(
            token=token,
            org_id=org_id,
            datastreams=None if datastreams is None else frozenset(datastreams),
            inlets=None if inlets is None else frozenset(inlets),
            required_fields=tuple(required_fields),
            error_shape=error_shape,
            client_id=client_id,
            client_secret=client_secret,
            token_seconds=token_seconds,
            token_milliseconds=token_milliseconds,
            scopes=None if scopes is None else frozenset(scopes),
        )
        self._memory = Memory(None if keep_payloads is True else int(keep_payloads))
        self._faults = Faults()
        super().__init__(Services(options, self._memory, self._faults, on_request))
        self.mood = mood
        self._listener = Listener(host, port, self._serve)

    def start(self) -> Self:
        """Listen; does nothing when it already does. OSError where the port is taken. After a stop: the same port."""
        self._listener.open()
        return self

    def stop(self) -> None:
        """End all waits, cut all connections, free the port. Bounded in time; does nothing when already stopped."""
        self._listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port listened on; before the first start the one asked for."""
        return self._listener.port

    @property
    def url(self) -> str:
        """`http://HOST:PORT`, without a slash at the end."""
        host = self._listener.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def inlet_url(self, inlet: str) -> str:
        """The URL of a DCCS inlet, as Flow Service would give it."""
        return f"{self.url}{dccs.PATH}{inlet}"

    @property
    def token_url(self) -> str:
        """Where IMS answers."""
        return f"{self.url}{ims.PATH}"

    def add_fault(self, fault: Fault) -> None:
        """Queue a fault for the next matching requests; an offline fault that names no request acts at once."""
        if fault.at_once:
            self.go_offline(fault.seconds)
        else:
            self._faults.add(fault)

    def clear_faults(self) -> None:
        """Forget the faults still to come. It does not bring the port back: that is `go_online()`."""
        self._faults.clear()

    def go_offline(self, seconds: float | None = None) -> None:
        """Refuse connections, cut the open ones; back after that many seconds, None: until `go_online()`."""
        self._listener.go_offline(seconds)

    def go_online(self) -> None:
        """Listen again, on the same port."""
        self._listener.go_online()

    @property
    def arrived(self) -> Arrived:
        """What has been accepted so far by both services together, a snapshot."""
        return self._memory.arrived()

    def arrived_at(self, service: str) -> Arrived:
        """What has been accepted so far by one service, `edge` or `dccs`."""
        return self._memory.arrived(service)

    @property
    def requests(self) -> list[RequestSeen]:
        """The requests so far, oldest first; the latest `memory.REQUESTS_KEPT_MAX` of them."""
        return self._memory.requests

    @property
    def token_requests(self) -> int:
        """How often IMS was asked for a token, whatever it answered."""
        return self._memory.token_requests

    @property
    def unknown_paths(self) -> dict[str, int]:
        """Paths that no service has, and how often each was asked for."""
        return self._memory.unknown_paths

    @property
    def payloads(self) -> list[Mapping[str, Any]]:
        """The accepted events (Edge) and messages (DCCS) as they were sent; empty without `keep_payloads`."""
        return self._memory.payloads

    def reset(self) -> None:
        """Forget all requests and arrivals. Faults still to come stay."""
        self._memory.reset()

    def _serve(self, connection: socket.socket, cut: threading.Event) -> None:
        connection.settimeout(IDLE_SECONDS)
        reader = Reader(connection)
        with suppress(OSError):  # the client has gone, or has been silent for too long
            while not cut.is_set() and (request := _read(reader, connection)) is not None:
                reply = self._services.reply(request)
                more = False
                try:
                    more = send(connection, cut, reply, request)
                finally:
                    if reply.offline is not None:  # only now: it cuts the connection the answer travels on
                        self.go_offline(reply.offline.seconds)
                if not more:
                    return


def _read(reader: Reader, connection: socket.socket) -> Request | None:
    """The next request; None when there will be none: the client has closed, or sent what cannot be read."""
    try:
        return reader.next()
    except WireError as error:
        document = {"status": error.status, "title": "Bad request", "detail": error.reason}
        connection.sendall(render(json_answer(error.status, document), keep_alive=False))
        return None
