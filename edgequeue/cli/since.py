"""How people name a time: `2d`, `tuesday`, `yesterday`, a date, RFC 3339. Pure: text and now in, a time out."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from edgequeue.clock import in_zone

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

FORMS = "3h, 2d, 15m, 1w, today, yesterday, tuesday, 2026-11-21 or 2026-11-21T04:41:18Z"
"""For messages: what can be written."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhdw])", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}.*", re.ASCII)


def parse_span(text: str) -> timedelta:
    """A length of time such as `7d`, `12h`, `15m`, `30s` or `1w`; ValueError says what can be written."""
    found = _SPAN.fullmatch(text.strip().lower())
    if not found:
        raise ValueError(f"{text!r} is no length of time; write it like 7d, 12h, 15m, 30s or 1w")
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError:
        raise ValueError(f"{text!r} is longer than can be counted") from None


def parse_since(text: str, now: datetime) -> datetime:
    """The time that a text means, in the device's time zone unless it names one; ValueError says what can be written.

    A weekday is the most recent one, from its midnight on; today's counts. `now` is an aware time.
    """
    wanted = text.strip().lower()
    midnight = in_zone(now).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    try:
        if _SPAN.fullmatch(wanted):
            return now - parse_span(wanted)
        if wanted == "today":
            return in_zone(midnight)
        if wanted == "yesterday":
            return in_zone(midnight - timedelta(days=1))
        weekday = _weekday(wanted)
        if weekday is not None:
            return in_zone(midnight - timedelta(days=(midnight.weekday() - weekday) % 7))
        if _DATE.fullmatch(wanted) or _TIME.fullmatch(wanted):
            return in_zone(datetime.fromisoformat(wanted.upper()))
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} is no time that there is; write one of {FORMS}") from None
    raise ValueError(f"{text!r} is no time; write one of {FORMS}")


def _weekday(text: str) -> int | None:
    """0 for Monday, from the whole name or its first three letters on."""
    if len(text) < 3:
        return None
    return next((number for number, name in enumerate(WEEKDAYS) if name.startswith(text)), None)
