"""HTTP/1.1 on a connected socket: read one bounded request, write one answer. As much of RFC 9112 as clients use.

Knows nothing of the services. A body longer than any service accepts is read to its end, so that the client gets its
413, but only its first bytes are kept.
"""

from __future__ import annotations

import socket
import time
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

from edgequeue.emulator.contract import Answer, Request

HEAD_BYTES_MAX = 32_768
"""Request line and headers; tokens are under 4 KB. More is answered 431."""
BODY_BYTES_KEPT = 1_000_001
"""One byte more than the largest body that any service accepts (1,000,000)."""
BODY_BYTES_MAX = 64 * 1024 * 1024
"""More than this is not even read: the connection ends."""
_RECEIVE_BYTES = 262_144


class WireError(Exception):
    """The bytes are no request that can be read; `status` is the answer, after which the connection ends."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Reader:
    """Reads requests from one connection, one after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()

    def next(self) -> Request | None:
        """The next request; None when the client has closed. Raises WireError, OSError (also on a time-out)."""
        head = self._head()
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = _request_line(first)
        headers = _headers(lines)
        if headers.get("expect", "").lower() == "100-continue":
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, length = self._body(headers)
        try:
            url = urlsplit(target)
        except ValueError:
            raise WireError(400, "request target is malformed") from None
        pairs = tuple(parse_qsl(url.query, keep_blank_values=True))
        query = dict(reversed(pairs))  # the first of each name
        connection = headers.get("connection", "").lower()
        keep_alive = connection == "keep-alive" if version == "HTTP/1.0" else connection != "close"
        return Request(method, unquote(url.path), query, headers, body, length, keep_alive, pairs, url.path)

    def _head(self) -> bytes | None:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise WireError(431, "request head is too large")
            if not self._more():
                return None
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        return head

    def _more(self) -> bool:
        received = self._connection.recv(_RECEIVE_BYTES)
        self._buffer += received
        return bool(received)

    def _body(self, headers: dict[str, str]) -> tuple[bytes, int]:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks()
        text = headers.get("content-length", "0")
        if not (text.isascii() and text.isdigit()):
            raise WireError(400, f"Content-Length {text!r} is not a number")
        length = int(text) if len(text) < 16 else BODY_BYTES_MAX + 1
        return self._take(length, BODY_BYTES_KEPT), length

    def _chunks(self) -> tuple[bytes, int]:
        kept, length = bytearray(), 0
        while size := self._chunk_size():
            kept += self._take(size, BODY_BYTES_KEPT - len(kept))
            length += size
            if length > BODY_BYTES_MAX:
                raise WireError(413, "body is too large to be read")
            self._line()
        while self._line():  # trailers
            pass
        return bytes(kept), length

    def _chunk_size(self) -> int:
        text = self._line().partition(b";")[0].strip()
        try:
            size = int(text, 16)
        except ValueError:
            raise WireError(400, "chunk size is not a number") from None
        if size < 0:
            raise WireError(400, "chunk size is negative")
        return size

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > HEAD_BYTES_MAX or not self._more():
                raise WireError(400, "chunked body is malformed")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _take(self, length: int, keep: int) -> bytes:
        """Read `length` bytes and return the first `keep` of them."""
        if length > BODY_BYTES_MAX:
            raise WireError(413, "body is too large to be read")
        kept = bytearray()
        while length:
            if not self._buffer and not self._more():
                raise WireError(400, "body is shorter than announced")
            part = self._buffer[:length]
            kept += part[: keep - len(kept)]
            length -= len(part)
            del self._buffer[: len(part)]
        return bytes(kept)


def render(answer: Answer, keep_alive: bool, with_body: bool = True) -> bytes:
    """Head and body as one piece, so that an answer costs one system call; `with_body` is False for HEAD."""
    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [f"HTTP/1.1 {answer.status} {reason}", f"Date: {_date(int(time.time()))}"]
    if answer.status not in (204, 304):  # RFC 9110, 8.6: no Content-Length where there can be no content
        lines += [f"Content-Type: {answer.content_type}"] if answer.content_type else []
        lines.append(f"Content-Length: {len(answer.body)}")
    lines += [f"{name}: {value}" for name, value in answer.headers]
    if not keep_alive:
        lines.append("Connection: close")
    head = "\r\n".join((*lines, "", "")).encode("latin-1")
    return head + answer.body if with_body and answer.status not in (204, 304) else head


def _date(second: int) -> str:
    global _last_date
    if _last_date[0] != second:  # formatting it is a tenth of the work of an answer
        _last_date = (second, formatdate(second, usegmt=True))
    return _last_date[1]


_last_date = (0, "")


def _request_line(line: str) -> tuple[str, str, str]:
    parts = line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise WireError(400, "request line is not HTTP/1.1")
    return parts[0], parts[1], parts[2]


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise WireError(400, "header line is malformed")
        headers.setdefault(name.lower(), value.strip())
    return headers
