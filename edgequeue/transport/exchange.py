"""One request under way: how far it has come, and the means to end it from any thread.

httpx can be ended from outside in one way only: by shutting the socket down. It tells of a new socket, and not which
of several kept ones it takes again; so each `Line` has a client of its own with one connection, and knows its socket.
An `Exchange` that needs a new connection runs in a thread of its own, because nothing can end a name's look-up or a
connect: whoever waits for it goes away at the deadline, and an exchange that was cut can never begin to send.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edgequeue.errors import TransportError
from edgequeue.model import HttpResponse
from edgequeue.transport import faults
from edgequeue.transport.faults import Phase, Progress

if TYPE_CHECKING:
    import httpx


class Cut(Exception):
    """Raised inside httpx, by its trace, to end an exchange before its first byte."""


class Gone(Exception):
    """Raised inside httpx, by its trace: the kept connection has gone, and a new one is not to be opened here."""


class Line:
    """A client with at most one connection, and a handle on its socket. Used by one exchange at a time."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self._socket: socket.socket | None = None
        self._owned = False
        self._carried = 0

    @property
    def reused(self) -> bool:
        """Whether the connection had carried another request before the one it carries now."""
        return self._carried > 1

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, trace: Callable[..., None]
    ) -> httpx.Request:
        """A request for the client. Its own `build_request` merges settings that it does not have: 60 us."""
        import httpx

        extensions = {"trace": trace, "timeout": self.client.timeout.as_dict()}
        return httpx.Request(method, url, headers=headers, content=body, extensions=extensions)

    def follow(self, step: str, info: Mapping[str, Any]) -> None:
        """Keep hold of the socket and count its requests, by what httpcore's trace tells."""
        match step:
            case "connect_tcp.started":
                self._carried = 0
            case "send_request_headers.started" if info["request"].method != b"CONNECT":  # that one is the proxy's
                self._carried += 1
            case "connect_tcp.complete":
                self._hold(info["return_value"].get_extra_info("socket"))
            case "start_tls.complete":
                self._hold(_strict(info["return_value"].get_extra_info("socket")))
            case "start_tls.started" if self._socket is not None:
                # the handshake moves the descriptor into a socket that is not to be had before it is over
                self._hold(socket.socket(fileno=os.dup(self._socket.fileno())), owned=True)
            case "start_tls.failed":
                self._hold(None)

    def shut(self) -> None:
        """End the connection: a thread that waits for it wakes up. The socket is left to its owner to close."""
        if self._socket is not None:
            with suppress(OSError):  # it is closed, or was never connected
                # not SSLSocket.shutdown: that one first takes TLS off, and a write in between would go out in clear
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection and the client."""
        self._hold(None)
        with suppress(OSError):
            self.client.close()

    def _hold(self, held: socket.socket | None, *, owned: bool = False) -> None:
        if self._owned and self._socket is not None:
            self._socket.close()
        self._socket, self._owned = held, owned


class Exchange:
    """One request under way. It ends once: with an answer, with an error, or by being cut."""

    def __init__(self, host: str, timeout_seconds: float) -> None:
        self.progress = Progress(host, timeout_seconds)
        self._lock = threading.Lock()
        self._settled = threading.Event()
        self._result: HttpResponse | TransportError | None = None
        self._line: Line | None = None
        self.opens = True
        """Whether it may open a connection."""

    # --- for the thread that waits, and any other ------------------------------------------------------------------

    def result(self) -> HttpResponse:
        """The answer; waits for it until the deadline. Raises NotSent or MaybeSent."""
        try:
            if not self._settled.wait(self.progress.timeout_seconds):
                self._cut(faults.timed_out)
        finally:
            self.abort()  # where the wait itself was interrupted; nothing otherwise
        assert self._result is not None
        if isinstance(self._result, TransportError):
            raise self._result
        return self._result

    def abort(self) -> None:
        """End it now, whatever it is doing; nothing when it has ended."""
        self._cut(faults.aborted)

    def expire(self) -> None:
        """Its time is up."""
        self._cut(faults.timed_out)

    def withhold(self) -> None:
        """End it if no byte of the request is out yet."""
        self._cut(faults.aborted, begun=False)

    def _cut(self, reason: Any, *, begun: bool = True) -> None:
        with self._lock:
            if self._settled.is_set() or (self.progress.begun and not begun):
                return
            self._result = reason(self.progress)
            self._settled.set()
            if self._line is not None:
                self._line.shut()

    # --- for the thread that carries it ----------------------------------------------------------------------------

    def hold(self, line: Line | None) -> bool:
        """Use a line, or let go of it; whether the exchange is still wanted."""
        with self._lock:
            self._line = line
            return not self._settled.is_set()

    def settle(self, result: HttpResponse | TransportError) -> None:
        """End with a result, unless it was cut before."""
        with self._lock:
            if not self._settled.is_set():
                self._result = result
                self._settled.set()

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """httpcore's trace: what it is about to do or has done, as in "http11.send_request_headers.started"."""
        step = name.partition(".")[2]
        with self._lock:
            if self._line is not None:
                self._line.follow(step, info)
            match step:
                case "connect_tcp.started":
                    self._stop_if_cut()
                    if not self.opens:
                        raise Gone
                    self.progress.phase = Phase.CONNECT
                    self.progress.peer = f"{info['host']}:{info['port']}"
                case "connect_tcp.complete" if self._settled.is_set():
                    info["return_value"].close()
                    raise Cut
                case "start_tls.started":
                    self.progress.phase = Phase.TLS
                case "send_request_headers.started":
                    self._stop_if_cut()
                    self.progress.begun = info["request"].method != b"CONNECT"  # that one is for the proxy
                    self.progress.phase = Phase.WRITE if self.progress.begun else Phase.PROXY
                case "receive_response_headers.started" if self.progress.begun:
                    self.progress.phase = Phase.WAIT
                case "receive_response_headers.complete" if self.progress.begun:
                    self.progress.phase = Phase.READ

    def _stop_if_cut(self) -> None:
        if self._settled.is_set():
            raise Cut


def _strict(held: socket.socket) -> socket.socket:
    """The socket, made to tell a cut from an end: an answer without a length is whole only if TLS ended, too.

    That is RFC 9112, 9.8; Python takes a cut for an end unless it is told not to, and httpcore does not tell it.
    """
    if hasattr(held, "suppress_ragged_eofs"):  # an SSLSocket; ssl is not imported for the sake of asking
        held.suppress_ragged_eofs = False
    return held
