"""A service of raw sockets on loopback, for the transports: it does with each request exactly what it is told."""

from __future__ import annotations

import fcntl
import os
import queue
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from edgequeue.model import HttpRequest
from tests.contract.transport import BOUND_SECONDS, Answer, CloseUnanswered, Received, Refuse, Silence

PATH = "/collect?secret=query-of-the-request"

FLOOD_BYTES = 64 * 1024 * 1024

STRAY = b"HTTP/1.1 299 Stray\r\ncontent-length: 0\r\n\r\n"


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
class Flood:
    """The service sends the first bytes, and then the others again and again, `FLOOD_BYTES` of them or fewer."""

    first: bytes
    then: bytes


@dataclass(frozen=True)
class Farewell:
    """The service sends these bytes and ends the encrypted connection as TLS wants it (close_notify)."""

    data: bytes


@dataclass(frozen=True)
class Reset:
    """The service sends these bytes and resets the connection (RST); then it is `over`."""

    data: bytes = b""
    over: threading.Event = field(default_factory=threading.Event, compare=False)


class End(Enum):
    """What becomes of a connection on which nothing is under way."""

    STRAY = auto()  # a whole answer that nobody asked for
    CLOSED = auto()
    RESET = auto()


@dataclass(frozen=True)
class Later:
    """The service answers, and when it is told (`happen`), it does something to the idle connection."""

    end: End
    go: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    def happen(self) -> None:
        """Let it happen; when this returns, the client's system has been told: loopback delivers at once."""
        self.go.set()
        assert self.done.wait(BOUND_SECONDS)


@dataclass(frozen=True)
class Meeting:
    """The service answers when as many requests as the barrier has parties have come in."""

    barrier: threading.Barrier


@dataclass(frozen=True)
class Tunnel:
    """The service is a proxy: it opens the way (CONNECT) and then speaks TLS on it itself."""

    context: ssl.SSLContext


class RawService:
    """Listens on a free port of 127.0.0.1 or ::1, each connection in a thread of its own, until it is closed."""

    def __init__(self, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.flooded_bytes = 0
        self._host = f"[{host}]" if ":" in host else host
        self._context = context
        self._acts: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._nobody = socket.socket(family)  # bound and not listening: the port stays refused for the whole test
        self._nobody.bind((host, 0))
        self._listener = socket.create_server((host, 0), family=family)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    def will(self, act: Any) -> HttpRequest:
        """Do this with the next request, which is the one returned."""
        port = self.port
        if isinstance(act, Refuse):
            port = self._nobody.getsockname()[1]
        else:
            self._acts.put(act)
        url = f"{'https' if self._context else 'http'}://{self._host}:{port}{PATH}"
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
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is sent is there when it is
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
        return self._do(act, connection)

    def _do(self, act: Any, connection: socket.socket) -> bool:
        match act:
            case Answer():
                connection.sendall(_written(act))
                return True
            case Raw(data, close):
                connection.sendall(data)
                return not close
            case Later():
                connection.sendall(_written(Answer()))
                return _end(act, connection)
            case Silence():
                connection.recv(1)
            case Drip(first):
                connection.sendall(first)
                while not self._closing.wait(0.02):
                    connection.sendall(b"x")
            case Flood():
                self._flood(act, connection)
            case Farewell(data):
                assert isinstance(connection, ssl.SSLSocket)
                connection.sendall(data)
                connection.unwrap()
            case Reset(data, over):
                connection.sendall(data)
                _await_arrival(connection)
                reset(connection)
                over.set()
            case Meeting(barrier):
                barrier.wait(BOUND_SECONDS)
                connection.sendall(_written(Answer(body=b"")))
                return True
            case Tunnel(context):
                connection.sendall(b"HTTP/1.1 200 Go ahead\r\n\r\n")
                with context.wrap_socket(connection, server_side=True) as inner:
                    while self._one(inner):
                        pass
            case CloseUnanswered():
                pass
        return False

    def _flood(self, act: Flood, connection: socket.socket) -> None:
        piece = act.then * (65536 // len(act.then))
        connection.sendall(act.first)
        while self.flooded_bytes < FLOOD_BYTES and not self._closing.is_set():
            connection.sendall(piece)
            self.flooded_bytes += len(piece)


def _written(answer: Answer) -> bytes:
    head = [f"HTTP/1.1 {answer.status} Whatever", f"content-length: {len(answer.body)}"]
    lines = [*head, *(f"{name}: {value}" for name, value in answer.headers), "", ""]
    return "\r\n".join(lines).encode() + answer.body


def _end(act: Later, connection: socket.socket) -> bool:
    """Wait until it is time, and do it; whether the connection stays open."""
    try:
        act.go.wait(BOUND_SECONDS)
        match act.end:
            case End.STRAY:
                connection.sendall(STRAY)
            case End.CLOSED:
                connection.close()
            case End.RESET:
                reset(connection)
    finally:
        act.done.set()
    return act.end is End.STRAY


def _await_arrival(connection: socket.socket) -> None:
    """Until the other side's system has all of it: a reset takes along what has not left this one's."""
    if hasattr(termios, "TIOCOUTQ"):
        while struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]:
            os.sched_yield()


def reset(connection: socket.socket) -> None:
    """Close it with a reset (RST) in place of an end (FIN)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


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
