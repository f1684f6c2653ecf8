"""The emulator as one object: the services, faults and a memory behind a port on loopback.

Serves each connection in a thread of its own: read a request, ask `routing.py`, send what it says with `speaking.py`.
Ports and threads are `listener.py`'s, HTTP is `wire.py`'s.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, Unpack

from edgequeue.emulator import dccs, ims
from edgequeue.emulator.contract import Request, json_answer
from edgequeue.emulator.faults import Fault, Faults
from edgequeue.emulator.listener import Listener
from edgequeue.emulator.looking import Looking
from edgequeue.emulator.memory import Memory, RequestSeen
from edgequeue.emulator.mood import Mood
from edgequeue.emulator.options import Given, options_of
from edgequeue.emulator.routing import Services
from edgequeue.emulator.settings import Adjustable
from edgequeue.emulator.speaking import send
from edgequeue.emulator.wire import Reader, WireError, render

IDLE_SECONDS = 300.0
"""A connection on which nothing comes in for that long is closed (ours; longer than any client pools one)."""


class Emulator(Adjustable, Looking):
    """Edge, DCCS, IMS, Bloomreach, Flow Service and its neighbours on loopback, with faults on request.

    A context manager; all methods are thread-safe. `port` 0 means any free port. `mood` draws faults for the requests
    that no other fault is meant for. `keep_payloads` keeps every accepted payload, a number the last so many.
    `on_request` is called with each request in its connection's thread, before it is answered. All other arguments are
    those of `options.Options`: what the emulated organisation looks like. None of them is needed: anything goes then,
    and only the platform asks for a token, which may be any.

    What may be set while it runs stands in `settings.py`, what can be asked of it in `looking.py`.
    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        keep_payloads: bool | int = False,
        on_request: Callable[[RequestSeen], None] | None = None,
        mood: Mood | None = None,
        **given: Unpack[Given],
    ) -> None:
        memory = Memory(None if keep_payloads is True else int(keep_payloads))
        self._faults = Faults()
        services = Services(options_of(**given), memory, self._faults, on_request)
        Adjustable.__init__(self, services)
        Looking.__init__(self, memory, services.objects)
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
