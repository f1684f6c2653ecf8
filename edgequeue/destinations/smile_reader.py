"""A strict reader of Smile, for tests and tools: everything that Jackson 2.7.8 may write, and nothing malformed.

Pure. Written from FasterXML smile-format-specification 1.0.7. Whatever the bytes are, `decode` ends with a value or
with a ValueError that names the offset.
"""

from __future__ import annotations

import struct
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any

from edgequeue.destinations.smile_tokens import HEADER, RAW_BINARY, SHARED_NAMES, SHARED_VALUES, SHORT_BYTES_MAX, SLOTS

DEPTH_MAX = 1000
"""Objects and lists within each other: as many as Jackson reads since 2.15."""

_LENGTH_BITS = 31
"""A length is an int of Java."""

_END_ARRAY, _END_MARKER = b"\xf9", b"\xff"
_CONSTANTS: dict[int, Any] = {0x20: "", 0x21: None, 0x22: False, 0x23: True}
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def decode(data: bytes) -> Any:
    """The value of a document; big decimals as Decimal, binary as bytes, of equal names in an object the last.

    ValueError, with the offset, for what is malformed, cut short, nested over `DEPTH_MAX` levels or followed by more
    than the one end marker (FF) that the format allows.
    """
    return _Reader(bytes(data)).document()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 4
        self._flags = data[3] if len(data) > 3 else 0
        self._names: list[str] = []
        self._texts: list[str] = []

    def document(self) -> Any:
        """The header, one value, the end."""
        if self._data[:3] != HEADER or len(self._data) < 4:
            raise self._fault(0, "this is no Smile document: it does not begin with ':)' and a line feed")
        if self._flags & ~(SHARED_NAMES | SHARED_VALUES | RAW_BINARY):
            raise self._fault(3, f"version and flags {self._flags:#04x} are not known")
        value = self._value()
        if self._data[self._at :] not in (b"", _END_MARKER):
            raise self._fault(self._at, "the document goes on after its value")
        return value

    def _value(self) -> Any:
        """One value with all that is in it; a stack of its own instead of recursion, so that depth costs no frames."""
        above: list[tuple[Any, str | None]] = []  # containers that are open, and the name under which each came
        inside: dict[str, Any] | list[Any] | None = None
        name: str | None = None
        while True:
            if isinstance(inside, dict):
                name = self._name()
                ended = name is None
            else:
                ended = inside is not None and self._ends_array()
            if ended:
                value: Any = inside
                inside, name = above.pop()
            else:
                value = self._scalar_or_start()
                if isinstance(value, dict | list):
                    if len(above) == DEPTH_MAX:
                        raise self._fault(self._at - 1, f"nested more than {DEPTH_MAX} levels deep")
                    above.append((inside, name))
                    inside = value
                    continue
            if inside is None:
                return value
            if isinstance(inside, dict):
                inside[name or ""] = value
            else:
                inside.append(value)

    def _ends_array(self) -> bool:
        ends = self._data[self._at : self._at + 1] == _END_ARRAY
        self._at += ends
        return ends

    # --- one token of a value ---------------------------------------------------------------------------------------

    def _scalar_or_start(self) -> Any:
        """A value without anything in it; an empty dict or list where one begins."""
        at, token = self._at, self._byte()
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        match token >> 5:
            case 0 if token:
                return self._referenced(at, self._texts, token - 1)
            case 1:
                return self._number(at, token)
            case 2 | 3:
                return self._shared(self._texts, SHARED_VALUES, self._text(token - 0x3F, "ascii"))
            case 4 | 5:
                size = token - 0x7E
                text = self._text(size, "utf-8")
                return text if size > SHORT_BYTES_MAX else self._shared(self._texts, SHARED_VALUES, text)
            case 6:
                return _signed(token & 0x1F)
            case 7:
                return self._other(at, token)
        raise self._fault(at, f"token {token:#04x} is not known")

    def _number(self, at: int, token: int) -> int | float | Decimal:
        match token:
            case 0x24:
                return _signed(self._vint(32))
            case 0x25:
                return _signed(self._vint(64))
            case 0x26:
                return self._big_integer()
            case 0x28:
                return float(struct.unpack(">f", self._fixed(5, 4))[0])
            case 0x29:
                return float(struct.unpack(">d", self._fixed(10, 8))[0])
            case 0x2A:
                scale = _signed(self._vint(32))
                return Decimal(self._big_integer()).scaleb(-scale, _EXACT)
        raise self._fault(at, f"token {token:#04x} is not known")

    def _other(self, at: int, token: int) -> Any:
        match token:
            case 0xF8:
                return []
            case 0xFA:
                return {}
            case 0xE0:
                return self._long_text("ascii")
            case 0xE4:
                return self._long_text("utf-8")
            case 0xE8:
                return self._safe_binary()
            case 0xEC | 0xED | 0xEE | 0xEF:
                return self._far_reference(at, self._texts, token, 31)
            case 0xFD if self._flags & RAW_BINARY:
                return self._take(self._vint(_LENGTH_BITS))
        raise self._fault(at, f"token {token:#04x} does not begin a value here")

    # --- names and references ---------------------------------------------------------------------------------------

    def _name(self) -> str | None:
        """The next name of an object, None at its end."""
        at, token = self._at, self._byte()
        match token:
            case 0xFB:
                return None
            case 0x20:
                return ""
            case 0x30 | 0x31 | 0x32 | 0x33:
                return self._far_reference(at, self._names, token, 64)
            case 0x34:
                name = self._long_text("utf-8")
                return self._shared(self._names, SHARED_NAMES, name) if name else name
        match token >> 6:
            case 1:
                return self._referenced(at, self._names, token - 0x40)
            case 2:
                return self._shared(self._names, SHARED_NAMES, self._text(token - 0x7F, "ascii"))
            case 3 if token < 0xF8:
                return self._shared(self._names, SHARED_NAMES, self._text(token - 0xBE, "utf-8"))
        raise self._fault(at, f"token {token:#04x} is neither a name nor the end of an object")

    def _shared(self, table: list[str], flag: int, string: str) -> str:
        if self._flags & flag:
            if len(table) == SLOTS:
                table.clear()
            table.append(string)
        return string

    def _far_reference(self, at: int, table: list[str], token: int, near_count: int) -> str:
        slot = (token & 3) << 8 | self._byte()
        if slot < near_count:
            raise self._fault(at, f"slot {slot} has a token of its own and must not be referenced with two bytes")
        if slot & 0xFF >= 0xFE:
            raise self._fault(at, f"slot {slot} must never be referenced")
        return self._referenced(at, table, slot)

    def _referenced(self, at: int, table: list[str], slot: int) -> str:
        if slot >= len(table):
            raise self._fault(at, f"reference to slot {slot}, where the table has {len(table)}")
        return table[slot]

    # --- bytes ------------------------------------------------------------------------------------------------------

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise self._fault(
                len(self._data), f"the document is cut short, {size} bytes were to come from byte {self._at}"
            )
        self._at += size
        return taken

    def _text(self, size: int, encoding: str) -> str:
        at = self._at
        try:
            return self._take(size).decode(encoding)
        except UnicodeDecodeError as error:
            raise self._fault(at + error.start, f"this is no {encoding.upper()}") from None

    def _long_text(self, encoding: str) -> str:
        end = self._data.find(b"\xfc", self._at)
        if end < 0:
            raise self._fault(self._at, "the text that begins here has no end")
        text = self._text(end - self._at, encoding)
        self._at += 1
        return text

    def _vint(self, bits: int) -> int:
        at, number = self._at, 0
        for _ in range(5 if bits <= 32 else 10):
            byte = self._byte()
            if byte & 0x80:
                number = number << 6 | byte & 0x3F
                if byte & 0x40 or number >> bits:
                    break
                return number
            number = number << 7 | byte
        raise self._fault(at, f"this is no number of {bits} bits")

    def _seven_bits(self, size: int) -> bytes:
        at, groups = self._at, self._take(size)
        if not groups.isascii():
            raise self._fault(at, f"one of the {size} bytes from here has its top bit set")
        return groups

    def _fixed(self, groups: int, size: int) -> bytes:
        """Bits at the right of a number of groups; what stands before them is ignored (Jackson puts signs there)."""
        number = 0
        for group in self._seven_bits(groups):
            number = number << 7 | group
        return (number & (1 << 8 * size) - 1).to_bytes(size, "big")

    def _safe_binary(self) -> bytes:
        size = self._vint(_LENGTH_BITS)
        groups = self._seven_bits((size * 8 + 6) // 7)
        whole = bytearray()
        for start in range(0, len(groups), 8):
            *full, last = groups[start : start + 8]
            number = 0
            for group in full:
                number = number << 7 | group
            left = len(full)  # as many bytes as full groups: the last group has one bit of each
            whole += (number << left | last & (1 << left) - 1).to_bytes(left, "big")
        return bytes(whole)

    def _big_integer(self) -> int:
        at = self._at
        data = self._safe_binary()
        if not data:
            raise self._fault(at, "a big integer has no bytes")
        return int.from_bytes(data, "big", signed=True)

    def _fault(self, at: int, reason: str) -> ValueError:
        return ValueError(f"Smile, byte {at}: {reason}")


def _signed(zigzag: int) -> int:
    return zigzag >> 1 ^ -(zigzag & 1)
