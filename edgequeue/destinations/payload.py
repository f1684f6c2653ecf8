"""The JSON rules that all destinations share: what an event may hold, and how it becomes bytes.

orjson refuses most of what JSON cannot carry (keys that are no text, lone surrogates, integers beyond 64 bits, sets)
and is told to refuse dates and dataclasses too, so that no codec decides how those look. NaN and the infinities it
writes as `null` without a word; they are looked for here. A refusal names the dotted path of the culprit. Only a
refusal pays for the search; the common case is one call of orjson and one search for `null`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any, NamedTuple

import orjson

from edgequeue.errors import InvalidEvent
from edgequeue.model import REFERENCE_LENGTH_MAX

DEPTH_MAX = 254
"""Objects and lists within each other; orjson writes and reads no more."""

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_PLAIN = frozenset((str, int, bool, type(None)))


def encode_json(document: Any, where: str = "") -> bytes:
    """The document as compact JSON in UTF-8, keys in their own order.

    `where` is the document's dotted path within the event ("" for the whole event). InvalidEvent names the culprit.
    """
    try:
        encoded = orjson.dumps(document, option=_OPTIONS)
    except TypeError as error:
        raise _refusal(document, where, str(error)) from None
    if b"null" in encoded and not _all_finite(document):
        raise _refusal(document, where, "holds a number that is not finite")
    return encoded


def require_object(value: Any, field: str) -> dict[str, Any]:
    """The value, if it is a JSON object (a dict); InvalidEvent names the field ("" for the event itself)."""
    if isinstance(value, dict):
        return value
    subject = "the event" if not field else "this"
    raise InvalidEvent(
        f"{subject} must be a JSON object, not {_kind(value)}",
        field=field,
        remedy="Hand over a dict." if isinstance(value, Mapping) else "",
    )


def refuse_other_keys(document: Mapping[str, Any], allowed: frozenset[str], field: str, remedy: str) -> None:
    """InvalidEvent naming the keys of an object that would not travel, if there are any."""
    others = [_shown(key) for key in document if key not in allowed]
    if others:
        raise InvalidEvent(f"unknown key {', '.join(others)}", field=field, remedy=remedy)


def split_document(document: Mapping[str, Any], key: str) -> list[Any] | None:
    """The events under `key` of a whole request document; None when the document has no such key.

    InvalidEvent when something stands beside the list, because it would be dropped without a word.
    """
    if not isinstance(document, Mapping) or key not in document:
        return None
    refuse_other_keys(
        document, frozenset((key,)), "", f"Only {key!r} of a request document is taken; put the rest into each event."
    )
    events = document[key]
    if not isinstance(events, list):
        raise InvalidEvent(f"must be a list of events, not {_kind(events)}", field=key)
    return events


def refuse_document(event: Mapping[str, Any], key: str) -> None:
    """InvalidEvent when a whole request document, with its events under `key`, is handed over as one event."""
    if key in event:
        raise InvalidEvent(
            "a whole request document holds several events", field=key, remedy="Use enqueue_many, or the command line."
        )


def check_size(size: int, size_max: int, where: str) -> None:
    """InvalidEvent when the event would not fit into any request: `size` and `size_max` in bytes as encoded."""
    if size > size_max:
        raise InvalidEvent(
            f"the event has {size:,} bytes; {where} takes at most {size_max:,}", remedy="Make it smaller, or split it."
        )


def reference_at(event: Mapping[str, Any], path: str, warnings: list[str]) -> str | None:
    """The application's own key for the event: the text or whole number at a dotted path, None when it is missing.

    InvalidEvent when it is longer than `REFERENCE_LENGTH_MAX` characters; anything else there is a warning.
    """
    value: Any = event
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None or value == "":
        return None
    if not isinstance(value, str | int) or isinstance(value, bool):
        warnings.append(f"{path} is {_kind(value)}: only a text or a whole number becomes the reference")
        return None
    text = str(value)
    if len(text) > REFERENCE_LENGTH_MAX:
        raise InvalidEvent(
            f"a reference of {len(text)} characters is too long, at most {REFERENCE_LENGTH_MAX}",
            field=path,
            remedy="Point reference_path at a shorter field.",
        )
    return text


# --- looking for the culprit ----------------------------------------------------------------------------------------


class _Fault(NamedTuple):
    reason: str
    remedy: str


def _all_finite(document: Any) -> bool:
    """Whether no NaN and no infinity is inside. Lean: every event that holds a `null` comes by here."""
    values = [document]
    for value in values:  # grows while it is walked: no recursion, no paths
        kind = type(value)
        if kind in _PLAIN:
            continue
        if kind is float:
            if not isfinite(value):
                return False
        elif isinstance(value, dict):
            values.extend(value.values())
        elif isinstance(value, list | tuple):
            values.extend(value)
        elif isinstance(value, Enum):
            values.append(value.value)
    return True


def _refusal(document: Any, where: str, otherwise: str) -> InvalidEvent:
    """The first thing, in reading order, that cannot be written as JSON; `otherwise` when the search finds none."""
    stack = [(where, document, 0)]
    while stack:
        path, value, depth = stack.pop()
        if depth > DEPTH_MAX:
            shown = ".".join(path.split(".")[:5])
            return InvalidEvent(f"is nested more than {DEPTH_MAX} levels deep", field=shown, remedy="Make it flatter.")
        if isinstance(value, Enum):
            value = value.value
        pairs: Iterable[tuple[Any, Any]]
        if isinstance(value, dict):
            pairs = list(value.items())
        elif isinstance(value, list) or type(value) is tuple:
            pairs = [(str(position), child) for position, child in enumerate(value)]
        else:
            fault = _leaf_fault(value)
            if fault:
                return InvalidEvent(fault.reason, field=path, remedy=fault.remedy)
            continue
        for key, _ in pairs:
            if type(key) is not str or _leaf_fault(key):
                return InvalidEvent(
                    f"the key {_shown(key)} is no valid text", field=path, remedy="Use plain texts as keys."
                )
        prefix = f"{path}." if path else ""
        stack.extend((f"{prefix}{key}", child, depth + 1) for key, child in reversed(pairs))
    return InvalidEvent(f"cannot be written as JSON: {otherwise}", field=where)


def _leaf_fault(value: Any) -> _Fault | None:
    match value:
        case float() if not isfinite(value):
            return _Fault(f"{value} is no number in JSON", "Leave the field out, or send null.")
        case int() if not -(2**63) <= value < 2**64:
            return _Fault("is an integer beyond 64 bits", "Send it as a text.")
        case date() | time():
            return _Fault(f"is {_kind(value)}, which JSON does not have", "Use .isoformat().")
        case Decimal():
            return _Fault("is a Decimal, which JSON does not have", "Use float() or str().")
        case bytes() | bytearray():
            return _Fault(f"is {_kind(value)}, which JSON does not have", "Decode it to a text first.")
    try:
        orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        if isinstance(value, str):
            return _Fault("holds a lone surrogate, which is no valid text", "Repair or remove that character.")
        return _Fault(f"is {_kind(value)}, which JSON does not have", "Use text, numbers, lists and dicts.")
    return None


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _shown(key: Any) -> str:
    """A key as a message can show it, whatever it holds."""
    return ascii(key)[:60] if isinstance(key, str) and not key.isprintable() else repr(key)[:60]
