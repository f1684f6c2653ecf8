"""One request written and its answer read, on a line: what goes out, how much comes in, what must not stay behind.

An answer is bounded in bytes here; in time it is by the exchange, which shuts the line down at the deadline.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edgequeue._version import __version__
from edgequeue.errors import MaybeSent, NotSent
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.reading import retry_after_seconds

if TYPE_CHECKING:
    import httpx

    from edgequeue.transport.exchange import Exchange, Line

BODY_BYTES_MAX = 4 * 1024 * 1024
"""Bytes of an answer, decoded; the services' own stay far below (a status for each event of a 1 MB batch)."""

_LENGTH_DIGITS_MAX = 15
"""Digits of a Content-Length that are worth reading as a number."""

_LAYERS = ("_stream", "_httpcore_stream", "_connection")
"""How httpx 0.27 and 0.28 on httpcore 1.0 wrap the answer's stream around the connection that h11 speaks on."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?")


def carry(
    line: Line, exchange: Exchange, request: HttpRequest, headers: Mapping[str, str]
) -> tuple[HttpResponse, bool]:
    """Write the request and read the answer: the answer, and whether the line may be used again.

    Raises what httpx raises, and MaybeSent for an answer that cannot be taken.
    """
    built = line.request(request.method, request.url, headers, request.body, exchange.trace)
    port = built.url.port or (80 if built.url.scheme == "http" else 443)
    exchange.progress.wire_host = f"{built.url.raw_host.decode('ascii')}:{port}"
    response = line.client.send(built, auth=None, stream=True)
    status, heads, now = response.status_code, dict(response.headers.items()), datetime.now(UTC)
    if status >= 400:  # kept even where the body cannot be read
        exchange.progress.retry_after_seconds = retry_after_seconds(HttpResponse(status, heads, b"", now))
    try:
        body = _body(response, exchange.progress.host)
        clean = not _stray(response)
    finally:
        response.close()
    return HttpResponse(status, heads, body, now, line.reused), clean


def headers_of(request: HttpRequest, credentials: Mapping[str, str]) -> dict[str, str]:
    """All headers of a request, names in lower case; NotSent when one cannot be written."""
    ours = {"accept": "*/*", "accept-encoding": "identity", "connection": "keep-alive"}
    ours["user-agent"] = f"edgequeue/{__version__}"
    named = [*ours.items(), *request.headers.items(), *credentials.items()]
    for name, value in named:
        if not _HEADER_NAME.fullmatch(name) or (value and not _HEADER_VALUE.fullmatch(value)):
            text = f"the header {name!r} holds a character that no header may hold (a line break, an accent)"
            raise NotSent(text, code="protocol")
    return {name.lower(): value for name, value in named}


def _stray(response: httpx.Response) -> bool:
    """Whether bytes came after the end of the answer: h11 keeps them, as the beginning of the next one.

    Nothing public tells. Where the way to h11 is another one, in a version to come, nothing is found.
    """
    layer: object = response.stream
    for _ in range(8):  # three or four layers, and no loop without an end
        state = getattr(layer, "_h11_state", None)
        if state is not None:
            trailing, _ = getattr(state, "trailing_data", (b"", False))
            return bool(trailing)
        layer = next((found for name in _LAYERS if (found := getattr(layer, name, None)) is not None), None)
    return False


def _body(response: httpx.Response, host: str) -> bytes:
    """The whole body, decoded; MaybeSent when it is over `BODY_BYTES_MAX` or cannot be decoded."""
    too_large = MaybeSent(f"{host} answered with more than {BODY_BYTES_MAX} bytes", code="body_too_large")
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > _LENGTH_DIGITS_MAX or int(announced) > BODY_BYTES_MAX):
        raise too_large  # nobody pays for bytes that are thrown away
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise too_large
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if not body or encoding not in ("gzip", "x-gzip", "deflate"):
        return bytes(body)
    # not asked for, and sent by some all the same; httpx's own decoder knows no limit
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    damaged = f"{host} answered with a compressed body that is damaged"
    try:
        decoded = decoder.decompress(body, BODY_BYTES_MAX + 1)
    except zlib.error as error:
        raise MaybeSent(damaged, code="protocol") from error
    if len(decoded) > BODY_BYTES_MAX:
        raise too_large
    if not decoder.eof:  # cut off before its end and whole to HTTP: a part must not pass for the answer
        raise MaybeSent(damaged, code="protocol")
    return decoded
