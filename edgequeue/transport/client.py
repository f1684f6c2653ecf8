"""Requests carried by httpx: kept-alive connections, verified TLS, one deadline, bounded answers.

What can be told apart is told apart: NotSent when no byte of the request can have gone out, MaybeSent from the first
byte on, whatever happened then. Redirects are not followed, cookies are not kept.
"""

from __future__ import annotations

import re
import socket
import threading
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from edgequeue._version import __version__
from edgequeue.errors import MaybeSent, NotSent, TransportError
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.transport import faults
from edgequeue.transport.exchange import Exchange, Line

if TYPE_CHECKING:
    import ssl

    import httpx

BODY_BYTES_MAX = 4 * 1024 * 1024
"""Bytes of an answer, decoded; the services' own stay far below (a status for each event of a 1 MB batch)."""

KEEP_ALIVE_SECONDS = 20.0
"""How long an unused connection is taken again; below the 30 s after which the stricter mobile networks forget one."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?")


class Transport(Protocol):
    """What carries requests. Implementations are safe to use from several threads at once."""

    def send(self, request: HttpRequest, credentials: Mapping[str, str]) -> HttpResponse:
        """Send a request with the credentials' headers added; NotSent or MaybeSent when no answer came."""

    def reach(self, url: str) -> None:
        """Connect to the host and hang up; NotSent when that fails. Nothing is sent."""

    def abort(self) -> None:
        """End the sends in progress at once, from any thread; later ones go on normally."""

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
        self._connect_timeout_seconds = min(connect_timeout_seconds, timeout_seconds)
        self._timeout_seconds = timeout_seconds
        self._ca_file = ca_file
        self._client_cert = client_cert
        self._proxy = proxy
        self._connections_max = connections_max
        self._lock = threading.Lock()
        self._tls_lock = threading.Lock()
        self._tls: ssl.SSLContext | None = None
        self._idle: list[Line] = []
        self._under_way: set[Exchange] = set()
        self._closed = False

    def send(self, request: HttpRequest, credentials: Mapping[str, str]) -> HttpResponse:
        """Send one request and read its answer. Raises NotSent or MaybeSent, after `timeout_seconds` at the latest."""
        host = _named(request.url)
        headers = _headers(request, credentials)
        exchange = Exchange(host, self._timeout_seconds)
        self._start(exchange, self._carry, exchange, request, headers)
        return exchange.result()

    def reach(self, url: str) -> None:
        """Connect and hang up. Behind a proxy only a request can tell, so nothing is found out and nothing raised."""
        from urllib.request import getproxies  # brings ssl along, and httpx has long loaded it by then

        if self._proxy or getproxies():
            return
        exchange = Exchange(_named(url), self._connect_timeout_seconds)
        exchange.progress.phase = faults.Phase.CONNECT
        self._start(exchange, self._knock, exchange, url)
        exchange.result()

    def abort(self) -> None:
        """End the sends in progress at once; they raise NotSent or MaybeSent, code "aborted"."""
        with self._lock:
            under_way = list(self._under_way)
        for exchange in under_way:
            exchange.abort()

    def close(self) -> None:
        """End the sends in progress and close all connections. Closing twice is fine."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        self.abort()
        for line in idle:
            line.close()

    def _start(self, exchange: Exchange, target: Callable[..., None], *values: Any) -> None:
        """Begin an exchange on a thread of its own, so that whatever blocks there can be left behind."""
        host = exchange.progress.host
        thread = threading.Thread(target=target, args=values, name="edgequeue-send", daemon=True)
        with self._lock:
            if self._closed:
                raise NotSent(f"nothing was sent to {host}: the transport is closed", code="closed")
            self._under_way.add(exchange)
        try:
            thread.start()
        except RuntimeError as error:  # the system is out of threads
            self._ended(exchange)
            raise NotSent(f"nothing was sent to {host}: {error}", code="connect") from error

    # --- one exchange, in its own thread -----------------------------------------------------------------------------

    def _knock(self, exchange: Exchange, url: str) -> None:
        parts = urlsplit(url)
        result: HttpResponse | TransportError = HttpResponse(0, {}, b"")
        try:
            port = parts.port or (80 if parts.scheme == "http" else 443)
            socket.create_connection((parts.hostname or "", port), timeout=self._connect_timeout_seconds).close()
        except TimeoutError:
            result = faults.timed_out(exchange.progress)
        except (OSError, UnicodeError) as error:
            result = faults.failed(exchange.progress, error)
            result.__cause__ = error
        self._ended(exchange)
        exchange.settle(result)

    def _carry(self, exchange: Exchange, request: HttpRequest, headers: Mapping[str, str]) -> None:
        line: Line | None = None
        try:
            line = self._take()
            exchange.hold(line)
            result: HttpResponse | TransportError = _exchange(line, exchange, request, headers)
        except TransportError as error:
            result = error
        except Exception as error:
            result = faults.failed(exchange.progress, error)
            result.__cause__ = error
        wanted = exchange.hold(None)
        if line is not None:
            self._give_back(line, usable=wanted and isinstance(result, HttpResponse))
        self._ended(exchange)
        exchange.settle(result)  # last, so that whoever sends next finds the connection free

    def _ended(self, exchange: Exchange) -> None:
        with self._lock:
            self._under_way.discard(exchange)

    def _take(self) -> Line:
        """A line that nobody uses, the one used last: its connection is the most likely to be alive."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        with self._tls_lock:  # reading the certificates takes a while, and abort must not wait for it
            if self._tls is None:
                self._tls = _tls_context(self._ca_file, self._client_cert)
        return Line(self._client(self._tls))

    def _give_back(self, line: Line, *, usable: bool) -> None:
        """Keep a line for later. One that failed is not used again: its connection is in an unknown state."""
        with self._lock:
            keep = usable and not self._closed and len(self._idle) < self._connections_max
            if keep:
                self._idle.append(line)
        if not keep:
            line.close()

    def _client(self, context: ssl.SSLContext) -> httpx.Client:
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        import httpx

        try:
            return httpx.Client(
                verify=context,
                proxy=self._proxy,
                timeout=httpx.Timeout(self._timeout_seconds, connect=self._connect_timeout_seconds),
                limits=httpx.Limits(
                    max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE_SECONDS
                ),
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # a captive portal's must not stick
                follow_redirects=False,
            )
        except (ValueError, ImportError, httpx.InvalidURL):  # their texts may hold the proxy's password
            remedy = "check the setting proxy and the variables HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"
            raise NotSent(f"the address of the proxy cannot be used; {remedy}", code="settings") from None


def _exchange(line: Line, exchange: Exchange, request: HttpRequest, headers: Mapping[str, str]) -> HttpResponse:
    """Write the request and read the answer; raises what httpx raises."""
    built = line.client.build_request(
        request.method, request.url, headers=headers, content=request.body, extensions={"trace": exchange.trace}
    )
    exchange.progress.wire_host = built.url.raw_host.decode("ascii")
    response = line.client.send(built, auth=None, stream=True)
    try:
        body = _body(response, exchange.progress.host)
    finally:
        response.close()
    return HttpResponse(response.status_code, dict(response.headers.items()), body, datetime.now(UTC))


def _body(response: httpx.Response, host: str) -> bytes:
    """The whole body, decoded; MaybeSent when it is over `BODY_BYTES_MAX` or cannot be decoded."""
    too_large = MaybeSent(f"{host} answered with more than {BODY_BYTES_MAX} bytes", code="body_too_large")
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise too_large
    if response.headers.get("content-encoding", "").lower() not in ("gzip", "x-gzip", "deflate"):
        return bytes(body)
    # not asked for, and sent by some all the same; httpx's own decoder knows no limit
    try:
        decoded = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(bytes(body), BODY_BYTES_MAX + 1)
    except zlib.error as error:
        raise MaybeSent(f"{host} answered with a compressed body that is damaged", code="protocol") from error
    if len(decoded) > BODY_BYTES_MAX:
        raise too_large
    return decoded


def _headers(request: HttpRequest, credentials: Mapping[str, str]) -> dict[str, str]:
    """All headers of a request, names in lower case; NotSent when one cannot be written."""
    ours = {"user-agent": f"edgequeue/{__version__}", "accept-encoding": "identity"}
    named = [*ours.items(), *request.headers.items(), *credentials.items()]
    for name, value in named:
        if not _HEADER_NAME.fullmatch(name) or (value and not _HEADER_VALUE.fullmatch(value)):
            text = f"the header {name!r} holds a character that no header may hold (a line break, an accent)"
            raise NotSent(text, code="protocol")
    return {name.lower(): value for name, value in named}


def _named(url: str) -> str:
    """The host as messages call it, with its port where that is not the usual one."""
    parts = urlsplit(url)
    host = parts.hostname or "the service"
    return host if parts.port is None else f"{f'[{host}]' if ':' in host else host}:{parts.port}"


def _tls_context(ca_file: Path | None, client_cert: Path | None) -> ssl.SSLContext:
    """What verifies the services. NotSent when a file cannot be used: that may be mended, and the queue waits."""
    import ssl

    import httpx

    used = f"ca_file {ca_file}"
    try:
        context = ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()
        if client_cert:
            used = f"client_cert {client_cert}"
            context.load_cert_chain(client_cert, password="")  # "" rather than being asked for one at the terminal
    except OSError as error:  # ssl.SSLError is one
        reason = (getattr(error, "reason", None) or error.strerror or "unknown").lower().replace("_", " ")
        raise NotSent(f"{used} cannot be used: {reason}", code="settings") from error
    return context
