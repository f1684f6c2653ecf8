"""Bytes that no service would send, piece by piece: huge answers, broken transfers, what is no HTTP at all. Pure.

Nothing here is built in memory as a whole. After the last piece the connection ends.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

NOT_HTTP = b"SSH-2.0-OpenSSH_9.2\r\n"
"""Somebody else's service behind the address."""
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
INFORMATIONAL = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n",
}
"""Form -> the interim answer (RFC 9110, 15.2; RFC 2518, 10.1; RFC 8297)."""

PIECE_BYTES = 65_536
_OPENING = b'{"requestId":"'  # like the beginning of a right answer
_OK = b"HTTP/1.1 200 OK\r\n"
_JSON = b"Content-Type: application/json\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_LAST = b"Connection: close\r\n"
_LINE_BYTES = 1_000


def informational(form: str | None) -> bytes:
    """The interim answers that go before the real one; many: one of each, and one more."""
    if form == "many":
        return b"".join((*INFORMATIONAL.values(), INFORMATIONAL["103"]))
    return INFORMATIONAL[form or "100"]


def huge(form: str | None, size: int) -> Iterator[bytes]:
    """An answer of an absurd size: `size` bytes of body (gzip: once unpacked), or of header lines."""
    if form == "headers":
        yield _OK + _JSON
        yield from _header_lines(size)
    elif form == "body":
        yield _OK + _JSON + _LAST + b"Content-Length: %d\r\n\r\n" % size
        yield from _body(size)
    else:
        packed = form == "gzip"
        yield _OK + _JSON + _LAST + (b"Content-Encoding: gzip\r\n" if packed else b"") + _CHUNKED + b"\r\n"
        for piece in _gzip(size) if packed else _body(size):
            yield _chunk(piece)
        yield b"0\r\n\r\n"


def no_length(status: int, body: bytes) -> Iterator[bytes]:
    """Half of the body, without a length and without chunks: it ends where the connection does."""
    yield _head(status) + _LAST + b"\r\n" + body[: len(body) // 2]


def chunked_broken(status: int, body: bytes) -> Iterator[bytes]:
    """The whole body in two chunks, and then the end without the last, empty chunk."""
    half = len(body) // 2
    chunks = b"".join(_chunk(part) for part in (body[:half], body[half:]) if part)
    yield _head(status) + _CHUNKED + b"\r\n" + chunks


def _head(status: int) -> bytes:
    return b"HTTP/1.1 %d Emulated\r\n" % status + _JSON


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n" % len(piece) + piece + b"\r\n"


def _body(size: int) -> Iterator[bytes]:
    piece = _OPENING.ljust(PIECE_BYTES, b"0")
    while size > 0:
        yield piece[:size]
        size -= len(piece)
        piece = b"0" * PIECE_BYTES


def _gzip(size: int) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)  # 31: with the header of gzip
    for piece in _body(size):
        if packed := packer.compress(piece):  # an empty chunk would be the last
            yield packed
    yield packer.flush()


def _header_lines(size: int) -> Iterator[bytes]:
    number = 0
    while size > 0:
        line = b"X-Line-%d: " % number
        yield line.ljust(_LINE_BYTES - 2, b"x") + b"\r\n"
        size -= _LINE_BYTES
        number += 1
