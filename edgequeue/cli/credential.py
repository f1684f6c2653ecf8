"""Whether there are credentials for the destinations. An account of type ims is asked for a token; no event is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgequeue.auth import Denied, Ims
from edgequeue.cli.context import Code
from edgequeue.cli.finding import CONNECT_SECONDS, Finding
from edgequeue.cli.output import count, local
from edgequeue.retry import HoldState, RetryPolicy
from edgequeue.runner import over_http

if TYPE_CHECKING:
    from edgequeue.destinations.base import Destination
    from edgequeue.views import DestinationView, Reason

_REFUSED = re.compile(r"no_secret|bad_secret|http_40[13]$|EXEG-05")
"""Codes of pauses that other credentials end, beside those that the token service brought about."""


def tokens(destinations: Sequence[Destination], views: Mapping[str, DestinationView]) -> Iterator[Finding]:
    """One finding for each account, with the names of the destinations that share it; more where they fare differently,
    each with its own way to the network. `views` tell how the destinations stand in the database.
    """
    accounts: dict[int, list[Destination]] = {}
    for one in destinations:
        accounts.setdefault(id(one.auth), []).append(one)
    for sharing in accounts.values():
        known = {one.name: views[one.name] for one in sharing if one.name in views}
        asked = _asked(known)
        found: dict[Finding, list[str]] = {}
        for one in sharing:
            found.setdefault(asked or _token(one), []).append(one.name)
        for finding, names in found.items():
            text = finding.text + (_still_paused(names, known) if finding.ok else "")
            yield replace(finding, check=f"token {', '.join(names)}", text=text)


def _asked(views: Mapping[str, DestinationView]) -> Finding | None:
    """Where the token service has asked for patience: its wait, which binds `doctor` too."""
    waits = [one.asked_until for one in views.values() if one.asked_until and _is_token_services(one.reason)]
    if not waits:
        return None
    text = f"the token service asked to wait until {local(max(waits))}, so it was not asked for a token now"
    return Finding("", False, text, "It is asked again by itself after that; nothing is lost.", Code.REMAIN)


def _is_token_services(reason: Reason | None) -> bool:
    """Its refusals have codes of their own; its statuses do not, but each text of its trouble names it."""
    return reason is not None and (reason.code.startswith("ims_") or "the token service " in reason.text)


def _still_paused(names: Sequence[str], views: Mapping[str, DestinationView]) -> str:
    """What becomes of a pause for credentials under a running worker, now that there is a token."""
    paused = [name for name in names if name in views and _waits_for_credentials(views[name])]
    if not paused:
        return ""
    verb = "is" if len(paused) == 1 else "are"
    minutes = count(round(RetryPolicy().probe_seconds / 60), "minute")
    return (
        f". {', '.join(paused)} {verb} still paused: the running worker tries again by itself within {minutes}, or at "
        "once with edgequeue sync; after a change of the configuration or of a variable, restart it"
    )


def _waits_for_credentials(view: DestinationView) -> bool:
    reason = view.reason
    if view.worker is None or view.state != "paused" or view.asked_until is not None or reason is None:
        return False
    return _is_token_services(reason) or _REFUSED.match(reason.code) is not None


def _token(destination: Destination) -> Finding:
    """Whether there are credentials; where a token has to be fetched, this does. Its check has no name yet."""
    found = obtained(destination, CONNECT_SECONDS)
    if not isinstance(found, Denied):
        return Finding("", True, f"{found}; whether it is accepted only sending can tell")
    code = Code.WRONG if found.state is HoldState.PAUSED else Code.REMAIN
    return Finding("", False, found.problem.text, found.problem.remedy or "Check the network.", code)


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
