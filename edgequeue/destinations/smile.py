"""Smile, the binary JSON of Jackson: `application/x-jackson-smile`, which both Adobe services take.

Pure. `encode` writes one document; `Packing` fills a request by its encoded bytes, item after item. Names are shared,
as Jackson does by default; sharing texts as well is the caller's choice. The reader is `smile_reader`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import orjson

from edgequeue.destinations.smile_tables import Table
from edgequeue.destinations.smile_tokens import (
    END_ARRAY,
    END_OBJECT,
    FALSE,
    HEADER,
    NAME_REFERENCES,
    NULL,
    SHARED_NAMES,
    SHARED_VALUES,
    SMALL_INTEGERS,
    START_ARRAY,
    START_OBJECT,
    TEXT_REFERENCES,
    TRUE,
    LongName,
    double,
    integer,
    name_literal,
    shareable_name,
    text_literal,
)

DEPTH_MAX = 270
"""Objects and lists within each other; an event has at most 254 (`payload.DEPTH_MAX`), its envelope a few more."""


def encode(document: Any, *, shared_values: bool = False) -> bytes:
    """One document, header and value: what `json.loads` gives, integers of any size.

    A name of over 56 UTF-8 bytes anywhere turns sharing of names off for the whole document. ValueError for a lone
    surrogate, a number that is not finite, a key that is no text, any other type, more than `DEPTH_MAX` levels.
    """
    return _begin(document, None, shared_values)[1]


class Packing:
    """A request document `{"<key>": [item, item, …]}` in the making, so that a batch is filled by its encoded size.

    `b"".join(items) + Packing.END` is the whole document, where `items` are the answers of `item` that are not None.
    """

    END: ClassVar[bytes] = END_ARRAY + END_OBJECT
    """What closes the list of items and the document."""

    def __init__(self, key: str, *, shared_values: bool = False) -> None:
        self._key = key
        self._shared_values = shared_values
        self._writer: _Writer | None = None

    def item(self, payload: bytes) -> bytes | None:
        """The bytes that one more item, given as JSON, adds; those of the first begin with the document's opening.

        None when this item cannot stand beside those before it: it has a name of over 56 bytes and they share theirs.
        It belongs into a new document then. After None or ValueError (as in `encode`, or no JSON) nothing was added.
        """
        value = orjson.loads(payload)
        if self._writer is None:
            self._writer, first = _begin(value, self._key, self._shared_values)
            return first
        try:
            return self._writer.write(value)
        except LongName:
            return None


def _begin(value: Any, key: str | None, shared_values: bool) -> tuple[_Writer, bytes]:
    """A document's writer and first bytes; whether it shares names is decided by the value (and key) it begins with."""
    writer = _Writer(shared_names=True, shared_values=shared_values)
    try:
        return writer, writer.opening(key) + writer.write(value)
    except LongName:
        writer = _Writer(shared_names=False, shared_values=shared_values)
        return writer, writer.opening(key) + writer.write(value)


class _Writer:
    """Writes the values of one document. It runs for every event that is sent, so what is needed often is at hand."""

    __slots__ = ("_add", "_flags", "_known_name", "_known_text", "_new_name", "_new_text", "_parts", "_tables")

    def __init__(self, *, shared_names: bool, shared_values: bool) -> None:
        names = Table(shareable_name, NAME_REFERENCES) if shared_names else None
        texts = Table(text_literal, TEXT_REFERENCES) if shared_values else None
        self._flags = SHARED_NAMES * shared_names | SHARED_VALUES * shared_values
        self._tables = [table for table in (names, texts) if table]
        self._known_name: Callable[[str], bytes | None] = names.tokens.get if names else _nothing
        self._known_text = texts.tokens.get if texts else None
        self._new_name = names.new if names else name_literal
        self._new_text = texts.new if texts else text_literal
        self._parts: list[bytes] = []
        self._add = self._parts.append

    def opening(self, key: str | None) -> bytes:
        """The header and, with a key, what opens the object and the list under it. It comes first, and once."""
        head = HEADER + bytes((self._flags,))
        if key is None:
            return head
        return head + START_OBJECT + (self._known_name(key) or self._new_name(key)) + START_ARRAY

    def write(self, value: Any) -> bytes:
        """The value's bytes. ValueError and LongName leave the tables as if it had never been tried."""
        for table in self._tables:
            table.mark()
        try:
            self._value(value, 0)
            return b"".join(self._parts)
        except BaseException:
            for table in self._tables:
                table.restore()
            raise
        finally:
            self._parts.clear()

    def _value(self, value: Any, depth: int) -> None:
        kind = type(value)
        if kind is dict:
            self._object(value, depth + 1)
        elif kind is list:
            self._array(value, depth + 1)
        elif kind is str:
            self._add((self._known_text and self._known_text(value)) or self._new_text(value))
        elif kind in _LEAVES:
            self._add(_LEAVES[kind](value))
        else:
            raise ValueError(f"a value of type {kind.__name__} is none of JSON: write text, numbers, lists and dicts")

    def _object(self, members: dict[str, Any], depth: int) -> None:
        if depth > DEPTH_MAX:
            raise _too_deep()
        add, known_name, known_text, new_text = self._add, self._known_name, self._known_text, self._new_text
        add(START_OBJECT)
        for name, value in members.items():
            add(known_name(name) or self._new_name(name))
            kind = type(value)
            if kind is str:  # the three most frequent kinds without a call more
                add((known_text and known_text(value)) or new_text(value))
            elif kind is dict:
                self._object(value, depth + 1)
            elif kind is int:
                add(SMALL_INTEGERS.get(value) or integer(value))
            else:
                self._value(value, depth)
        add(END_OBJECT)

    def _array(self, values: list[Any], depth: int) -> None:
        if depth > DEPTH_MAX:
            raise _too_deep()
        self._add(START_ARRAY)
        for value in values:
            self._value(value, depth)
        self._add(END_ARRAY)


def _nothing(string: str) -> None:
    """What is known of a string where nothing is shared."""


_LEAVES: dict[type, Callable[[Any], bytes]] = {
    int: integer,
    float: double,
    bool: lambda value: TRUE if value else FALSE,
    type(None): lambda _: NULL,
}


def _too_deep() -> ValueError:
    return ValueError(f"nested more than {DEPTH_MAX} levels deep: make it flatter")
