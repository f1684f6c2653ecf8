"""A reader for Smile, the binary JSON that both Adobe services accept as `application/x-jackson-smile`.

Written from the format's specification (FasterXML smile-format-specification 1.0.7) and from nothing else in this
project, so that it can disagree with our encoder. Reading only; `decode` is the one entry.
"""

from __future__ import annotations

import struct
from typing import Any

SHARED_MAX = 1024
"""Back-reference tables hold this many strings, then start again empty (specification, "Shared")."""
SHARED_VALUE_BYTES_MAX = 64
"""Longer string values are never shared (specification)."""
DEPTH_MAX = 200
"""Nesting bound of this reader, so that a hostile body cannot exhaust the stack."""

_END = object()


def decode(data: bytes) -> Any:
    """The value in a Smile document; ValueError on anything malformed, truncated or followed by other bytes."""
    if len(data) < 4 or data[:3] != b":)\n" or data[3] >> 4:
        raise ValueError("not a Smile document of version 0")
    reader = _Reader(data)
    try:
        value = reader.value()
    except (IndexError, struct.error) as error:
        raise ValueError("Smile document is cut short") from error
    if value is _END or reader.rest() not in (b"", b"\xff"):
        raise ValueError("Smile document does not end after its value")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 4
        self._depth = 0
        self._share_names = bool(data[3] & 1)
        self._share_values = bool(data[3] & 2)
        self._names: list[str] = []
        self._values: list[str] = []

    def rest(self) -> bytes:
        return self._data[self._at :]

    def value(self) -> Any:
        token = self._byte()
        if 0x40 <= token <= 0xBF:  # short strings: ASCII from 1, Unicode from 2 bytes, 32 lengths each
            base = 1 if token < 0x80 else 2
            return self._share(self._text((token & 0x3F) + base if token < 0x80 else (token - 0x80) + base))
        if 0xC0 <= token <= 0xDF:
            return _zigzag(token & 0x1F)
        if 0x01 <= token <= 0x1F:
            return self._referenced(self._values, token - 1)
        if 0xEC <= token <= 0xEF:
            return self._referenced(self._values, (token & 3) << 8 | self._byte())
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        return self._other(token)

    def _other(self, token: int) -> Any:
        if token in (0x24, 0x25):
            return _zigzag(self._vint())
        if token == 0x26:
            return self._big_integer()
        if token == 0x28:
            return struct.unpack(">f", self._seven_bits(5).to_bytes(5, "big")[-4:])[0]
        if token == 0x29:
            return struct.unpack(">d", self._seven_bits(10).to_bytes(9, "big")[-8:])[0]
        if token in (0xE0, 0xE4):
            return self._long_text()
        if token == 0xF8:
            return self._array()
        if token == 0xFA:
            return self._object()
        if token == 0xF9:
            return _END
        raise ValueError(f"Smile token 0x{token:02x} is not expected here")

    def _array(self) -> list[Any]:
        self._enter()
        items: list[Any] = []
        while (item := self.value()) is not _END:
            items.append(item)
        self._depth -= 1
        return items

    def _object(self) -> dict[str, Any]:
        self._enter()
        members: dict[str, Any] = {}
        while (name := self._name()) is not None:
            value = self.value()
            if value is _END:
                raise ValueError("Smile array ends inside an object")
            members[name] = value
        self._depth -= 1
        return members

    def _name(self) -> str | None:
        token = self._byte()
        if token == 0xFB:
            return None
        if token == 0x20:
            return ""
        if 0x40 <= token <= 0x7F:
            return self._referenced(self._names, token - 0x40)
        if 0x30 <= token <= 0x33:
            return self._referenced(self._names, (token & 3) << 8 | self._byte())
        if token == 0x34:
            name = self._long_text()
        elif 0x80 <= token <= 0xF7:
            name = self._text(token - 0x80 + 1 if token < 0xC0 else token - 0xC0 + 2)
        else:
            raise ValueError(f"Smile name token 0x{token:02x} is not known")
        if self._share_names:
            _remember(self._names, name)
        return name

    def _share(self, text: str) -> str:
        if self._share_values and len(text.encode()) <= SHARED_VALUE_BYTES_MAX:
            _remember(self._values, text)
        return text

    def _referenced(self, table: list[str], index: int) -> str:
        if index & 0xFF >= 0xFE:  # would put FE or FF into the stream, which the format keeps free
            raise ValueError(f"Smile back reference {index} is not allowed")
        return table[index]

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _text(self, length: int) -> str:
        raw = self._data[self._at : self._at + length]
        if len(raw) < length:
            raise IndexError(length)
        self._at += length
        return raw.decode("utf-8")

    def _long_text(self) -> str:
        end = self._data.find(b"\xfc", self._at)
        if end < 0:
            raise IndexError(end)
        text = self._text(end - self._at)
        self._at += 1
        return text

    def _vint(self) -> int:
        number = 0
        while not (byte := self._byte()) & 0x80:
            number = number << 7 | byte
        return number << 6 | byte & 0x3F

    def _seven_bits(self, count: int) -> int:
        number = 0
        for _ in range(count):
            number = number << 7 | self._byte() & 0x7F
        return number

    def _big_integer(self) -> int:
        length = self._vint()
        if length > len(self._data):
            raise IndexError(length)
        whole, left = divmod(length * 8, 7)  # the last byte holds only the bits left over
        number = self._seven_bits(whole)
        if left:
            number = number << left | self._byte() & ((1 << left) - 1)
        return int.from_bytes(number.to_bytes(length, "big"), "big", signed=True)

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ValueError(f"Smile document is nested deeper than {DEPTH_MAX}")


_CONSTANTS: dict[int, Any] = {0x20: "", 0x21: None, 0x22: False, 0x23: True}


def _zigzag(number: int) -> int:
    return (number >> 1) ^ -(number & 1)


def _remember(table: list[str], text: str) -> None:
    if len(table) == SHARED_MAX:
        table.clear()
    table.append(text)
