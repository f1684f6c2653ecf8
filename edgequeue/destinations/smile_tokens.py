"""The tokens of Smile, and what is written for one name, text or number alone.

Source of every byte here: FasterXML smile-format-specification 1.0.7; where it leaves a choice, what Jackson 2.7.8 does
(`tests/oracle` compares).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from math import isfinite

HEADER = b":)\n"
"""The first three bytes of a document; the fourth holds the version (high half, 0) and the flags."""
SHARED_NAMES, SHARED_VALUES, RAW_BINARY = 1, 2, 4
"""Flags of the header: what a reader has to keep or expect."""

SLOTS = 1024
"""Strings that a table of references holds; then it is cleared and begins at 0 again."""
SHORT_BYTES_MAX = 64
"""Longer texts are written with an end marker and take no slot; ASCII names are short up to the same length."""
SHARED_NAME_BYTES_MAX = 56
"""Jackson shares longer names too; the specification does not say so, and other readers may count differently."""

EMPTY, NULL, FALSE, TRUE = b"\x20", b"\x21", b"\x22", b"\x23"
START_ARRAY, END_ARRAY, START_OBJECT, END_OBJECT = b"\xf8", b"\xf9", b"\xfa", b"\xfb"
END_TEXT = b"\xfc"


class LongName(Exception):
    """A name that is over `SHARED_NAME_BYTES_MAX`, in a document that shares its names: a finding, no error."""


def _references(near: int, near_count: int, far: int) -> tuple[bytes, ...]:
    """The token for each slot; empty where it would hold FE or FF, which the format keeps free of everything."""
    return tuple(
        bytes((near + slot,))
        if slot < near_count
        else b""
        if slot & 0xFF >= 0xFE
        else bytes((far | slot >> 8, slot & 0xFF))
        for slot in range(SLOTS)
    )


NAME_REFERENCES = _references(0x40, 64, 0x30)
TEXT_REFERENCES = _references(0x01, 31, 0xEC)

_ASCII = (EMPTY, *(bytes((0x3F + size,)) for size in range(1, SHORT_BYTES_MAX + 1)))
_UNICODE = tuple(bytes((0x7E + size,)) for size in range(SHORT_BYTES_MAX + 1))


def text_literal(text: str) -> bytes:
    """A text: up to 64 bytes with its length in the token, longer with its end marked."""
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise _surrogate(error) from None
    size = len(data)
    if size == len(text):
        return _ASCII[size] + data if size <= SHORT_BYTES_MAX else b"\xe0" + data + END_TEXT
    return _UNICODE[size] + data if size <= SHORT_BYTES_MAX else b"\xe4" + data + END_TEXT


def name_literal(name: str) -> bytes:
    """A name: ASCII of up to 64 bytes and Unicode of up to 56 short, the rest with its end marked."""
    if not isinstance(name, str):
        raise ValueError(f"a key of type {type(name).__name__} is no text: write a text")
    try:
        data = name.encode()
    except UnicodeEncodeError as error:
        raise _surrogate(error) from None
    size = len(data)
    if not size:
        return EMPTY
    if size == len(name) and size <= SHORT_BYTES_MAX:
        return bytes((0x7F + size,)) + data
    if size != len(name) and size <= SHARED_NAME_BYTES_MAX:  # the specification has room for 57, Jackson stops here
        return bytes((0xBE + size,)) + data
    return b"\x34" + data + END_TEXT


@lru_cache(maxsize=4096)
def shareable_name(name: str) -> bytes:
    """`name_literal` of a name in a document that shares names; LongName when it must not be in one.

    Kept from document to document, because names are a schema's: few, and the same in each event.
    """
    literal = name_literal(name)
    if len(literal) > SHARED_NAME_BYTES_MAX + 1:
        raise LongName
    return literal


def _surrogate(error: UnicodeEncodeError) -> ValueError:
    # The text itself stays out of the message, and with `from None` out of the chain.
    return ValueError(f"character {error.start} of a text or key is a lone surrogate, no valid text: remove it")


# --- numbers ----------------------------------------------------------------------------------------------------------


def vint(number: int) -> bytes:
    """A number of 0 or more in groups of seven bits, most significant first; the last has six, and its top bit set."""
    groups = bytearray((number & 0x3F | 0x80,))
    number >>= 6
    while number:
        groups.append(number & 0x7F)
        number >>= 7
    groups.reverse()
    return bytes(groups)


def safe_binary(data: bytes) -> bytes:
    """Seven bytes in eight of seven bits each; the bits left over stand at the right of a last byte."""
    encoded = bytearray()
    for start in range(0, len(data), 7):
        chunk = data[start : start + 7]
        bits = int.from_bytes(chunk, "big")
        left = len(chunk)  # 8 bits each, of which the full groups take 7
        encoded.extend(bits >> shift & 0x7F for shift in range(8 * left - 7, left - 1, -7))
        encoded.append(bits & ((1 << left) - 1))
    return bytes(encoded)


def integer(number: int) -> bytes:
    """An integer of any size: one byte from -16 to 15, then 32 bits, 64 bits, big."""
    zigzag = number << 1 if number >= 0 else ~(number << 1)
    if zigzag < 1 << 5:
        return bytes((0xC0 | zigzag,))
    if zigzag < 1 << 64:
        return (b"\x24" if zigzag < 1 << 32 else b"\x25") + vint(zigzag)
    size = (zigzag >> 1).bit_length() // 8 + 1  # with the sign's bit, as few bytes as two's complement needs
    return b"\x26" + vint(size) + safe_binary(number.to_bytes(size, "big", signed=True))


SMALL_INTEGERS = {number: integer(number) for number in range(-16, 1024)}
"""What quantities, counts and sizes of screens come to, written beforehand."""


def double(number: float) -> bytes:
    """A double in ten bytes of seven bits, never a 32-bit float, which would lose digits; ValueError unless finite."""
    if not isfinite(number):
        raise ValueError(f"{number} is no number in JSON: leave the field out, or write null")
    bits: int = _BITS.unpack(_DOUBLE.pack(number))[0]
    high, middle, low = bits >> 42, bits >> 21, bits  # three shifts of a wide number instead of nine
    return bytes(
        (
            0x29,
            high >> 21,
            high >> 14 & 0x7F,
            high >> 7 & 0x7F,
            high & 0x7F,
            middle >> 14 & 0x7F,
            middle >> 7 & 0x7F,
            middle & 0x7F,
            low >> 14 & 0x7F,
            low >> 7 & 0x7F,
            low & 0x7F,
        )
    )


_BITS, _DOUBLE = struct.Struct(">Q"), struct.Struct(">d")
