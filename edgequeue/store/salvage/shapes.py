"""What rows of our tables look like: whether a record can be one, of whichever table. Pure.

A page that no tree leads to says nothing of the table it belongs to, and a damaged page can read as a page of another
one: a row counts only if every value is of a kind that we write. Times and counts below zero, names that are no names
and states that there are not are damage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from edgequeue.model import ENDED, Disposition, Priority, RequestOutcome
from edgequeue.store.encoding import decode_hold
from edgequeue.store.packing import unpack

Check = Callable[[Any], bool]

LARGE = 1 << 53
"""No number of ours but a nonce is larger."""

_QUEUE_ID = re.compile(r"[0-9a-z]{8}")
_REVISION = re.compile(r"[0-9]{4}")


def _number(value: Any) -> bool:
    return type(value) is int and 0 <= value < LARGE


def _key(value: Any) -> bool:
    return _number(value) and value > 0


def _signed(value: Any) -> bool:
    return type(value) is int and -LARGE < value < LARGE


def _any_number(value: Any) -> bool:
    return type(value) is int


def _text(value: Any) -> bool:
    return type(value) is str


def _named(value: Any) -> bool:
    return type(value) is str and value != ""


def _bytes(value: Any) -> bool:
    return type(value) is bytes


def _maybe(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _one_of(*values: object) -> Check:
    return lambda value: value in values


def _matching(pattern: re.Pattern[str]) -> Check:
    return lambda value: type(value) is str and pattern.fullmatch(value) is not None


is_revision = _matching(_REVISION)
"""Whether a value reads as a revision of the schema."""


class Soft:
    """A column that the row can do without: what cannot be decoded there becomes NULL."""

    def __init__(self, decode: Callable[[str], object]) -> None:
        self._decode = decode

    def __call__(self, value: Any) -> bool:
        if value is None:
            return True
        try:
            self._decode(value)
        except (ValueError, TypeError, KeyError, AttributeError):
            return False
        return True


_OWNER = Soft(lambda text: (lambda pid, kind, since_ms: (pid + since_ms, kind + ""))(**orjson.loads(text)))
_ERROR = Soft(lambda text: orjson.loads(text).keys())
_HOLD = Soft(decode_hold)

_FLAG = _one_of(0, 1)
_PRIORITY = _one_of(*map(int, Priority))
_DISPOSITION = _one_of(*(one.value for one in Disposition))
_STATUS = _maybe(_number)


class Shape(NamedTuple):
    """A table of ours. `key`: how many columns are its key in a table without rowids, 0 where the rowid is the first
    column. `columns` has a check for each; columns that a later version added may be missing at the end.
    """

    name: str
    key: int
    columns: tuple[Check, ...]
    least: int


def _shape(name: str, *columns: Check, key: int = 0, least: int | None = None) -> Shape:
    return Shape(name, key, columns, len(columns) if least is None else least)


SHAPES: Mapping[str, Shape] = {
    one.name: one
    for one in (
        _shape(
            "events",
            *(_key, _any_number, _key, _PRIORITY, _number, _FLAG, _number, _number),
            *(_maybe(_signed), _maybe(_text), _number, _bytes),
        ),
        _shape("pending", _key, _PRIORITY, _key, _signed, _number, _maybe(_number), key=3),
        _shape("endings", _key, _key, _one_of(*ENDED), _number, _number, _STATUS, _maybe(_text), _maybe(_text)),
        _shape(
            "requests",
            *(_key, _named, _key, _number, _number, _maybe(_number)),
            *(_maybe(_one_of(*RequestOutcome)), _maybe(_DISPOSITION), _STATUS),
            *(_maybe(_text), _ERROR, _ERROR, _key, _number, _key, _key, _bytes),
        ),
        _shape(
            "attempts",
            *(_key, _key, _number, _DISPOSITION, _maybe(_text), _STATUS, _maybe(_text), _maybe(_text)),
            key=2,
        ),
        _shape(
            "destinations",
            *(_key, _named, _text, _number, _OWNER, _HOLD, _number, _maybe(_number)),
            *([_number] * 6),
            Soft(orjson.loads),
            least=14,
        ),
        _shape("boots", _key, _named, _signed, _signed, _signed, _FLAG),
        _shape("queue", _one_of(1), _matching(_QUEUE_ID), _number),
        _shape(
            "salvages", *(_key, _matching(_QUEUE_ID), _number, _signed, _number, _number, _number, _text, _text)
        ),
        _shape("alembic_version", is_revision),
        _shape("sqlite_autoindex_destinations_1", _named, _key, key=1),
    )
}  # fmt: skip
"""Our tables, and the index that holds the destinations' names a second time."""

PLAIN = ("alembic_version",)
"""Tables whose rowid is no column of theirs."""


def row_of(shape: Shape, rowid: int, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """A record as a row of that table, None where it cannot be one."""
    if not shape.key and shape.name not in PLAIN:
        if not values or values[0] is not None:
            return None
        values = (rowid, *values[1:])
    if not shape.least <= len(values) <= len(shape.columns):
        return None
    values += (None,) * (len(shape.columns) - len(values))
    if not all(check(value) for check, value in zip(shape.columns, values, strict=True)):
        if not all(isinstance(check, Soft) or check(value) for check, value in zip(shape.columns, values, strict=True)):
            return None
        values = tuple(value if check(value) else None for check, value in zip(shape.columns, values, strict=True))
    return values if shape.name != "requests" or _carries(values) else None


def _carries(row: tuple[Any, ...]) -> bool:
    """Whether the packed sequences of a request are what the row says of them."""
    *_, count, _, first, last, data = row
    try:
        carried = unpack(data, count)
    except ValueError:
        return False
    return bool(len(carried) == count and min(carried) == first and max(carried) == last)
