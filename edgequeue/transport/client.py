"""Requests carried by httpx: kept-alive connections, verified TLS, one deadline, bounded answers.

What can be told apart is told apart: NotSent when no byte of the request can have gone out, MaybeSent from the first
byte on, whatever happened then. Redirects are not followed, cookies are not kept.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from edgequeue.errors import NotSent, TransportError
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.sender import Sender, host_of
from edgequeue.transport import faults, wire
from edgequeue.transport.exchange import Exchange, Gone, Line
from edgequeue.transport.hands import Hands
from edgequeue.transport.opening import KEEP_ALIVE_SECONDS, Opening
from edgequeue.transport.watch import Watch

if TYPE_CHECKING:
    import ssl


class Transport(Sender, Protocol):
    """A sender that somebody owns. Implementations are safe to use from several threads at once."""

    def close(self) -> None:
        """End the sends in progress and close all connections; a later send raises NotSent, code "closed"."""


class HttpxTransport:
    """The transport that ships.

    `timeout_seconds` is for a whole exchange, from the name's look-up to the last byte of the answer;
    `connect_timeout_seconds` for each address of the host, so that a second one is tried when the first is mute.
    `ca_file` replaces the certificates that are trusted, `client_cert` is a PEM file with certificate and key, and
    `proxy` a URL in place of the environment's HTTP_PROXY, HTTPS_PROXY and NO_PROXY. `connections_max` connections
    are kept for later; while they are needed there are as many as sends in progress.
    """

    def __init__(
        self,
        *,
        connect_timeout_seconds: float = 10.0,
        timeout_seconds: float = 30.0,
        ca_file: Path | None = None,
        client_cert: Path | None = None,
        proxy: str | None = None,
        connections_max: int = 4,
    ) -> None:
        connect_timeout_seconds = min(connect_timeout_seconds, timeout_seconds)
        self._opening = Opening(connect_timeout_seconds, timeout_seconds, ca_file, client_cert, proxy)
        self._connections_max = connections_max
        self._closed = False
        self._idle: list[Line] = []
        self._begin()

    def _begin(self) -> None:
        """What belongs to one process: a fork copies neither threads nor who holds a lock, and shares connections."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._tls_lock = threading.Lock()
        self._tls: ssl.SSLContext | None = None
        self._hands = Hands("edgequeue-send", KEEP_ALIVE_SECONDS)
        self._watch = Watch("edgequeue-watch", KEEP_ALIVE_SECONDS)
        self._under_way: set[Exchange] = set()
        idle, self._idle = self._idle, []
        for line in idle:
            line.close()  # ours only: the parent's connection stays open

    @property
    def way(self) -> Hashable:
        """The proxy and the certificates: with the same ones another transport fares as this one does."""
        return self._opening.proxy, self._opening.ca_file, self._opening.client_cert

    def send(self, request: HttpRequest, credentials: Mapping[str, str]) -> HttpResponse:
        """Send one request and read its answer. Raises NotSent or MaybeSent, after `timeout_seconds` at the latest."""
        host = host_of(request.url)
        headers = wire.headers_of(request, credentials)
        exchange = Exchange(host, self._opening.timeout_seconds)
        with self._entered(exchange):
            if request.fresh or not self._send_here(exchange, request, headers):
                self._start(exchange, lambda: self._carry(exchange, request, headers))
            return exchange.result()

    def reach(self, url: str) -> None:
        """Connect and hang up. Behind a proxy only a request can tell, so nothing is found out and nothing raised."""
        if not self._opening.goes_direct():
            return
        exchange = Exchange(host_of(url), self._opening.connect_timeout_seconds)
        exchange.progress.phase = faults.Phase.CONNECT
        with self._entered(exchange):
            self._start(exchange, lambda: self._knock(exchange, url))
            exchange.result()

    def withhold(self) -> None:
        """End the sends in progress of which no byte is out yet; they raise NotSent, code "aborted"."""
        for exchange in self._sending():
            exchange.withhold()

    def abort(self) -> None:
        """End the sends in progress at once; they raise NotSent or MaybeSent, code "aborted"."""
        for exchange in self._sending():
            exchange.abort()

    def _sending(self) -> list[Exchange]:
        if self._process != os.getpid():
            return []
        with self._lock:
            return list(self._under_way)

    def close(self) -> None:
        """End the sends in progress and close all connections. Closing twice is fine."""
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        self.abort()
        self._hands.close()
        self._watch.close()
        for line in idle:
            line.close()

    @contextmanager
    def _entered(self, exchange: Exchange) -> Iterator[None]:
        """While somebody waits for it, it is known to who ends the sends in progress."""
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            if self._closed:
                text = f"nothing was sent to {exchange.progress.host}: the transport is closed"
                raise NotSent(text, code="closed")
            self._under_way.add(exchange)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(exchange)

    def _start(self, exchange: Exchange, work: Callable[[], HttpResponse | TransportError]) -> None:
        """Begin an exchange on a thread of its own, so that whatever blocks there can be left behind."""

        def errand() -> Callable[[], None]:
            result = work()
            return lambda: exchange.settle(result)

        try:
            self._hands.do(errand)
        except RuntimeError as error:  # the system is out of threads
            raise NotSent(f"nothing was sent to {exchange.progress.host}: {error}", code="connect") from error

    def _send_here(self, exchange: Exchange, request: HttpRequest, headers: Mapping[str, str]) -> bool:
        """Send on a connection that is kept, in this thread; False where none is any more, and nothing was sent.

        Whatever blocks on an open connection ends when it is shut down, at the deadline by the watch. To hand such an
        exchange over to a thread of its own, and its answer back, cost a drain a tenth.
        """
        with self._lock:
            line = self._idle.pop() if self._idle else None
        if line is None or not self._watched(exchange, line):
            return False
        try:
            exchange.opens = False
            exchange.settle(self._carry(exchange, request, headers, line))
        except Gone:
            exchange.opens = True
            return False
        finally:
            self._watch.remove(exchange)
        return True

    def _watched(self, exchange: Exchange, line: Line) -> bool:
        try:
            self._watch.add(exchange, exchange.progress.timeout_seconds)
        except RuntimeError:  # the system is out of threads; one of ours may be free
            self._give_back(line, usable=True)
            return False
        return True

    # --- one exchange -------------------------------------------------------------------------------------------------

    def _knock(self, exchange: Exchange, url: str) -> HttpResponse | TransportError:
        parts = urlsplit(url)
        result: HttpResponse | TransportError = HttpResponse(0, {}, b"")
        try:
            port = parts.port or (80 if parts.scheme == "http" else 443)
            socket.create_connection(
                (parts.hostname or "", port), timeout=self._opening.connect_timeout_seconds
            ).close()
        except TimeoutError:
            result = faults.timed_out(exchange.progress)
        except (OSError, UnicodeError) as error:
            result = faults.failed(exchange.progress, error)
            result.__cause__ = error
        return result

    def _carry(
        self, exchange: Exchange, request: HttpRequest, headers: Mapping[str, str], line: Line | None = None
    ) -> HttpResponse | TransportError:
        clean = False
        result: HttpResponse | TransportError
        try:
            line = line or self._take(fresh=request.fresh)
            exchange.hold(line)
            result, clean = wire.carry(line, exchange, request, headers)
        except TransportError as error:
            result = error
        except Gone:
            raise
        except Exception as error:
            result = faults.failed(exchange.progress, error)
            result.__cause__ = error
        finally:
            wanted = exchange.hold(None)
            if line is not None:
                self._give_back(line, usable=wanted and clean)
        if isinstance(result, TransportError) and result.retry_after_seconds is None:
            result.retry_after_seconds = exchange.progress.retry_after_seconds
        return result

    def _take(self, *, fresh: bool) -> Line:
        """A line that nobody uses, the one used last: its connection is the most likely to be alive. Or a new one."""
        with self._lock:
            if self._idle and not fresh:
                return self._idle.pop()
        with self._tls_lock:  # reading the certificates takes a while, and abort must not wait for it
            if self._tls is None:
                self._tls = self._opening.tls_context()
        return Line(self._opening.client(self._tls))

    def _give_back(self, line: Line, *, usable: bool) -> None:
        """Keep a line for later. One that failed, or on which more came than the answer, is not used again."""
        with self._lock:
            keep = usable and not self._closed and len(self._idle) < self._connections_max
            if keep:
                self._idle.append(line)
        if not keep:
            line.close()
