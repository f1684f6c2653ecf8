"""Whether there are credentials for a destination. An account of type ims is asked for a token; no event is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgequeue.auth import Denied, Ims
from edgequeue.cli.output import count
from edgequeue.runner import over_http

if TYPE_CHECKING:
    from edgequeue.destinations.base import Destination


def obtained(destination: Destination, connect_seconds_max: float) -> str | Denied:
    """What there is, in words and without the secret, or why there is nothing.

    Asked as by hand; destinations with the same account get the same answer, and one request is made for all.
    """
    account = destination.credentials
    connect_seconds = min(connect_seconds_max, destination.connect_timeout_seconds)
    sender = over_http(replace(destination, connect_timeout_seconds=connect_seconds))
    try:
        found = account.headers(sender, anew=True)
    finally:
        close = getattr(sender, "close", None)
        if close is not None:
            close()
    if isinstance(found, Denied):
        return found
    if isinstance(account, Ims) and account.token_seconds is not None:
        return f"one was obtained from {account.service}, it lives {_duration(account.token_seconds)}"
    return "there is one"


def _duration(seconds: float) -> str:
    """A time to come, in the unit that suits it."""
    minutes = max(round(seconds / 60), 1)
    return count(minutes, "minute") if minutes < 120 else count(round(minutes / 60), "hour")
