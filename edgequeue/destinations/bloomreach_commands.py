"""What Bloomreach is known to refuse, looked for when a command is enqueued, and the times that are added to it.

Pure, and the hot path: nothing is copied unless something has to be added. The caller's objects are never changed.
The rules are those of Bloomreach's pages "Batch commands", "Data structure" and "Most common API requests errors".
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from math import isfinite
from typing import Any, NamedTuple

from edgequeue.destinations.payload import encode_json, refuse_document, refuse_other_keys, require_object
from edgequeue.errors import InvalidEvent

CUSTOMERS, EVENTS, SYSTEM_TIME = "customers", "customers/events", "system/time"
"""The tracking routes of Bloomreach's documents; "customers" updates properties, "customers/events" adds an event."""

COMMAND_BYTES_MAX = 790_000
"""Bytes of a command as encoded: each "must be less than 800 KBytes"; KB is 1000 or 1024, so with a margin."""

VALUE_BYTES_MAX = 15_900
"""Bytes of a property's value as encoded: "less than 16 KBytes", with the same margin."""

PROPERTIES_MAX = 255
"""Properties of an event ("Data structure")."""

SECONDS_MAX = 100_000_000_000
"""A time beyond this (the year 5138) is one in milliseconds."""

_KEYS = frozenset(("name", "data", "command_id"))
_DATA_KEYS = {
    CUSTOMERS: frozenset(("customer_ids", "properties", "update_timestamp")),
    EVENTS: frozenset(("customer_ids", "event_type", "properties", "timestamp")),
}
_TIME = {CUSTOMERS: "update_timestamp", EVENTS: "timestamp"}
"""What a queued command says its moment with. Without it the server takes the time of receipt."""

_ROUTE = re.compile(r"[a-z0-9_-]+(?:/[a-z0-9_-]+)*")
_NOT_TRACKING = re.compile(
    r"batch|customers/(?:attributes|export|anonymize|consents|contextual).*|(?:analyses|catalogs|consents|data|track)/.*"
)
"""Routes of Bloomreach's other interfaces (data, analyses, catalogs, GDPR), and the batch itself."""

_NO_IDS = frozenset(("null", "undefined"))


class Checked(NamedTuple):
    """A command that has all it needs. `data` is the caller's own object unless a time was added (`stamped`); None
    for a command without. `occurred_ms`: its time in milliseconds since 1970, None where it has none.
    """

    data: dict[str, Any] | None
    stamped: bool
    occurred_ms: int | None


def check_command(command: dict[str, Any], wall_ms: int, warnings: list[str]) -> Checked:
    """Check a command's shape, identities and time, and add a time that is missing; InvalidEvent names the field."""
    if not command.keys() <= _KEYS:
        refuse_document(command, "commands")
        refuse_other_keys(command, _KEYS, "", "A command has 'name', 'data' and, if need be, 'command_id'.")
    name = _route(command)
    if "command_id" in command and (not isinstance(command["command_id"], str) or not command["command_id"]):
        raise InvalidEvent(
            "must be a text that is not empty",
            field="command_id",
            remedy="Leave it out, and the command gets the event's own id.",
        )
    if name == SYSTEM_TIME and "data" not in command:
        return Checked(None, False, None)
    if "data" not in command:
        raise InvalidEvent("is missing", field="data", remedy='Hand over {"name": "customers/events", "data": {…}}.')
    data = require_object(command["data"], "data")
    if name not in _TIME:
        return Checked(data, False, None)
    _check_data(name, data, warnings)
    key = _TIME[name]
    if key in data:
        return Checked(data, False, _milliseconds(data[key], f"data.{key}"))
    return Checked({**data, key: wall_ms / 1000}, True, wall_ms)


def check_sizes(command: dict[str, Any], size: int) -> None:
    """InvalidEvent where the command (`size` bytes as encoded) or one value of its properties is too large."""
    if size <= VALUE_BYTES_MAX:
        return  # so no value within is larger
    if size > COMMAND_BYTES_MAX:
        raise InvalidEvent(
            f"the command has {size:,} bytes; Bloomreach takes at most {COMMAND_BYTES_MAX:,}",
            remedy="Make it smaller, or split it.",
        )
    data = command.get("data")
    properties = data.get("properties") if isinstance(data, dict) else None
    for key, value in properties.items() if isinstance(properties, dict) else ():
        size = len(encode_json(value))
        if size > VALUE_BYTES_MAX:
            raise InvalidEvent(
                f"the value has {size:,} bytes; Bloomreach takes at most {VALUE_BYTES_MAX:,} for a property",
                field=f"data.properties.{key}",
                remedy="Make it smaller, or spread it over several properties.",
            )


def _route(command: dict[str, Any]) -> str:
    """The command's route, if the tracking interface may have it."""
    remedy = 'Use "customers" or "customers/events".'
    if "name" not in command:
        raise InvalidEvent("the command has no 'name'", field="name", remedy=remedy)
    name = command["name"]
    if isinstance(name, str) and (name in _TIME or name == SYSTEM_TIME):
        return name
    if not isinstance(name, str) or not _ROUTE.fullmatch(name):
        raise InvalidEvent(f"{name!r:.60} is no route of the Tracking API", field="name", remedy=remedy)
    if near := get_close_matches(name, (*_TIME, SYSTEM_TIME), n=1, cutoff=0.9):
        raise InvalidEvent(f"{name!r} is no route of the Tracking API; is it {near[0]!r}?", field="name", remedy=remedy)
    if _NOT_TRACKING.fullmatch(name):
        raise InvalidEvent(f"{name!r:.60} is a route of another API, not of tracking", field="name", remedy=remedy)
    return name


def _check_data(name: str, data: dict[str, Any], warnings: list[str]) -> None:
    if "customer_ids" not in data:
        raise _no_customer("is missing")
    _check_ids(require_object(data["customer_ids"], "data.customer_ids"), warnings)
    if name == EVENTS:
        event_type = data.get("event_type")
        if not isinstance(event_type, str) or not event_type.strip():
            raise InvalidEvent(
                "is missing" if "event_type" not in data else "must be a text that is not empty",
                field="data.event_type",
                remedy='Name what happened, such as "purchase".',
            )
    if "properties" in data:
        count = len(require_object(data["properties"], "data.properties"))
        if name == EVENTS and count > PROPERTIES_MAX:
            raise InvalidEvent(
                f"an event of {count} properties is too large, at most {PROPERTIES_MAX}",
                field="data.properties",
                remedy="Send fewer, or gather some in a list or an object.",
            )
    if not data.keys() <= _DATA_KEYS[name]:
        others = ", ".join(f"{key!r:.60}" for key in data if key not in _DATA_KEYS[name])
        warnings.append(f"data has {others}, which Bloomreach's documents do not know for {name!r}")


def _check_ids(ids: dict[str, Any], warnings: list[str]) -> None:
    """At least one id that Bloomreach takes for one; what stands beside it is kept, with a warning."""
    unusable = []
    for key, value in ids.items():
        if isinstance(value, str):
            if not _is_id(value):
                unusable.append(key)
        elif value is None:
            unusable.append(key)
        elif not isinstance(value, int) or isinstance(value, bool):
            raise InvalidEvent("must be a text", field=f"data.customer_ids.{key}")
    if len(unusable) == len(ids):
        raise _no_customer("has no id that Bloomreach takes for one" if ids else "is empty")
    warnings.extend(f"data.customer_ids.{key} is no id: {ids[key]!r:.60}" for key in unusable)


def _is_id(text: str) -> bool:
    """Whether it has a letter or a digit, and is not what a program writes for nothing."""
    return any(map(str.isalnum, text)) and text.strip().lower() not in _NO_IDS


def _no_customer(what: str) -> InvalidEvent:
    return InvalidEvent(
        f"{what}, and Bloomreach refuses a command without a customer",
        field="data.customer_ids",
        remedy='Add one such as {"registered": "jane@example.com"}.',
    )


def _milliseconds(value: Any, field: str) -> int:
    remedy = "Write UNIX seconds, such as 1795236078.123, or leave it out."
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidEvent(f"{value!r:.60} is no number of seconds", field=field, remedy=remedy)
    if isinstance(value, float) and not isfinite(value):
        raise InvalidEvent(f"{value} is no number in JSON", field=field, remedy=remedy)
    if abs(value) >= SECONDS_MAX:
        raise InvalidEvent(f"{value!r:.60} is no time in seconds; is it in milliseconds?", field=field, remedy=remedy)
    return round(value * 1000)
