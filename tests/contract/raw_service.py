"""A service of raw sockets on loopback, for the transports: it does with each request exactly what it is told."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edgequeue.model import HttpRequest
from tests.contract.transport import BOUND_SECONDS, Answer, CloseUnanswered, Received, Refuse, Silence

PATH = "/collect?secret=query-of-the-request"


@dataclass(frozen=True)
class Raw:
    """The service sends these bytes; then it closes the connection, or leaves it open until the client goes."""

    data: bytes
    close: bool = True


@dataclass(frozen=True)
class Drip:
    """The service sends the first bytes, and then one byte after another for as long as the client stays."""

    first: bytes


@dataclass(frozen=True)
class Meeting:
    """The service answers when as many requests as the barrier has parties have come in."""

    barrier: threading.Barrier


@dataclass(frozen=True)
class Tunnel:
    """The service is a proxy: it opens the way (CONNECT) and then speaks TLS on it itself."""

    context: ssl.SSLContext


class RawService:
    """Listens on a free port of 127.0.0.1, each connection in a thread of its own, until it is closed."""

    def __init__(self, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.received: list[Received] = []
        self.connections = 0
        self._context = context
        self._acts: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._nobody = socket.socket()  # bound and not listening: the port stays refused for the whole test
        self._nobody.bind((host, 0))
        self._listener = socket.create_server((host, 0))
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    def will(self, act: Any) -> HttpRequest:
        """Do this with the next request, which is the one returned."""
        port = self.port
        if isinstance(act, Refuse):
            port = self._nobody.getsockname()[1]
        else:
            self._acts.put(act)
        url = f"{'https' if self._context else 'http'}://127.0.0.1:{port}{PATH}"
        return HttpRequest("POST", url, {"content-type": "application/json"}, b'{"events":[1,2,3]}')

    def wait_received(self, count: int) -> None:
        """Return when so many requests have come in."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, BOUND_SECONDS)

    def close(self) -> None:
        """Close all sockets and wait for all threads."""
        self._closing.set()
        for each in (self._listener, *self._open):
            with suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(BOUND_SECONDS)
        self._listener.close()
        self._nobody.close()

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(BOUND_SECONDS)
                self._open.add(connection)
                self.connections += 1
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        """Requests of one connection, one after another, until either side closes it."""
        try:
            if self._context:
                plain, connection = connection, self._context.wrap_socket(connection, server_side=True)
                self._open.discard(plain)
                self._open.add(connection)
            while self._one(connection):
                pass
        except OSError:
            pass  # the client went away, or refused our certificate
        finally:
            self._open.discard(connection)
            connection.close()

    def _one(self, connection: socket.socket) -> bool:
        """One request; whether the connection stays open."""
        request = _read(connection)
        if request is None:
            return False
        act = self._acts.get(timeout=BOUND_SECONDS)
        with self._changed:
            self.received.append(request)
            self._changed.notify_all()
        match act:
            case Answer(status, headers, body):
                head = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}"]
                lines = [*head, *(f"{name}: {value}" for name, value in headers), "", ""]
                connection.sendall("\r\n".join(lines).encode() + body)
                return True
            case Raw(data, close):
                connection.sendall(data)
                return not close
            case Silence():
                connection.recv(1)
            case Drip(first):
                connection.sendall(first)
                while not self._closing.wait(0.02):
                    connection.sendall(b"x")
            case Meeting(barrier):
                barrier.wait(BOUND_SECONDS)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                return True
            case Tunnel(context):
                connection.sendall(b"HTTP/1.1 200 Go ahead\r\n\r\n")
                with context.wrap_socket(connection, server_side=True) as inner:
                    while self._one(inner):
                        pass
            case CloseUnanswered():
                pass
        return False


def _read(connection: socket.socket) -> Received | None:
    """One request with its body; None when the client has closed."""
    with connection.makefile("rb") as stream:
        first = stream.readline().decode().split()
        if not first:
            return None
        headers = {}
        while line := stream.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", "0")))
    return Received(first[0], first[1], headers, body)
