"""What Bloomreach asks of a command, and by what a command is known again. Pure.

Texts are those of "Batch commands" and "Most common API requests errors" where they show one; the others are ours.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from edgequeue.emulator.contract import text_at

COMMAND_BYTES_MAX = 800_000
"""A command must be smaller: 800 KBytes ("Batch commands", Limitations), read as 800 * 1000."""
VALUE_BYTES_MAX = 16_000
"""The value of a property must be smaller: 16 KBytes (same place), read as 16 * 1000."""
PROPERTIES_MAX = 255
"""Properties of an event ("Data structure")."""

CUSTOMERS = "customers"
EVENTS = "customers/events"
SYSTEM_TIME = "system/time"
CLICKS = "campaigns/clicks"
"""Bloomreach's own mobile kit tracks with it; stands for all tracking routes whose data no page describes."""
NO_IDS = "At least one id should be specified."
NO_VALID_ID = "At least one valid id should be specified"


def identity_of(command: object) -> str | None:
    """By what a command is counted: its command_id, else a digest of its bytes. None: it asks for the time."""
    if text_at(command, "name") == SYSTEM_TIME:
        return None
    return text_at(command, "command_id") or f"sha256:{hashlib.sha256(_encoded(command)).hexdigest()}"


def wrong_with(command: object) -> str | None:
    """The first thing that is wrong with a command, as the text of its result; None for a good one."""
    if not isinstance(command, dict):
        return "Command must be an object."
    name, data = command.get("name"), command.get("data")
    if not isinstance(name, str) or not name:
        return "Field 'name' is required."
    if name not in _CHECKS:
        return f"Command '{name}' is not a tracking route."  # the routes that export belong to another API
    if not isinstance(command.get("command_id", ""), str):
        return "Field 'command_id' must be a string."
    if name == SYSTEM_TIME:
        return None
    if not isinstance(data, dict):
        return "Field 'data' is required."
    if len(_encoded(command)) >= COMMAND_BYTES_MAX:
        return f"Command must be smaller than {COMMAND_BYTES_MAX} bytes."
    return _CHECKS[name](data)


def _wrong_with_event(data: Mapping[str, Any]) -> str | None:
    wrong = _wrong_with_ids(data.get("customer_ids"))
    if wrong is None and text_at(data, "event_type") is None:
        wrong = "Field 'event_type' is required."
    if wrong is None and len(_properties(data)) > PROPERTIES_MAX:
        wrong = f"An event has at most {PROPERTIES_MAX} properties."
    return wrong or _wrong_with_properties(data) or _wrong_with_number(data, "timestamp")


def _wrong_with_customer(data: Mapping[str, Any]) -> str | None:
    wrong = _wrong_with_ids(data.get("customer_ids")) or _wrong_with_properties(data)
    return wrong or _wrong_with_number(data, "update_timestamp")


def _wrong_with_ids(ids: object) -> str | None:
    if not isinstance(ids, dict) or not ids:
        return NO_IDS
    return None if any(_is_usable(value) for value in ids.values()) else NO_VALID_ID


def _is_usable(value: object) -> bool:
    """It holds a letter or digit and is neither "null" nor "undefined" ("Most common API requests errors")."""
    if isinstance(value, list):
        return any(_is_usable(one) for one in value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    text = str(value)
    return text.lower() not in ("null", "undefined") and any(letter.isalnum() for letter in text)


def _properties(data: Mapping[str, Any]) -> Mapping[str, Any]:
    found = data.get("properties")
    return found if isinstance(found, dict) else {}


def _wrong_with_properties(data: Mapping[str, Any]) -> str | None:
    if not isinstance(data.get("properties", {}), dict):
        return "Field 'properties' must be an object."
    for name, value in _properties(data).items():
        size = len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else len(_encoded(value))
        if size >= VALUE_BYTES_MAX:
            return f"Property '{name}' must be smaller than {VALUE_BYTES_MAX} bytes."
    return None


def _wrong_with_number(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is None and name not in data:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if number and math.isfinite(value) else f"Field '{name}' must be a number."  # type: ignore[arg-type]


def _encoded(value: object) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")  # a lone surrogate came as an escape, and is measured all the same


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    CUSTOMERS: _wrong_with_customer,
    EVENTS: _wrong_with_event,
    SYSTEM_TIME: lambda _: None,
    CLICKS: lambda _: None,
}
"""The tracking routes, and what is asked of their data."""
