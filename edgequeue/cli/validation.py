"""`doctor --validate FILE`: one event is checked by Adobe's streaming validation."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgequeue.auth import Denied
from edgequeue.cli.context import Code, Wrong
from edgequeue.cli.finding import Finding, wrong
from edgequeue.cli.reading import read_events
from edgequeue.destinations.adobe_dccs import AdobeDccs
from edgequeue.destinations.adobe_dccs_validation import Report, validation_report, validation_request
from edgequeue.errors import InvalidEvent, TransportError
from edgequeue.model import format_event_id
from edgequeue.runner import over_http

if TYPE_CHECKING:
    from edgequeue.config import Settings


def validated(settings: Settings, file: Path, name: str | None) -> Iterator[Finding]:
    """What Adobe says of the first event of a file, sent to the destination of that name; Wrong where there is none."""
    destination = _destination(settings, name)
    check = f"validation {destination.name}"
    with file.open("rb") as stream:
        first = next(read_events(stream, str(file)), None)
    if first is None:
        raise Wrong(f"{file} holds no event.")
    try:
        if isinstance(first, InvalidEvent):
            raise first
        draft = destination.check(first.value, time.time_ns() // 1_000_000)
    except InvalidEvent as error:
        yield wrong(check, f"edgequeue itself refuses the event: {error}", "Mend the event.")
        return
    event_id = format_event_id("validate", 0, secrets.randbits(64))
    sender = over_http(destination)
    try:
        credentials = destination.credentials.headers(sender, anew=True)
        if isinstance(credentials, Denied):
            yield wrong(check, credentials.problem.text, credentials.problem.remedy)
            return
        signed = {key: credentials[key] for key in destination.credential_headers if key in credentials}
        response = sender.send(validation_request(destination, draft, event_id), signed)
    except TransportError as error:
        yield Finding(check, False, str(error), "Check the network, and try again.", Code.REMAIN)
        return
    finally:
        close = getattr(sender, "close", None)
        if close is not None:
            close()
    yield from _findings(check, validation_report(response))


def _findings(check: str, report: Report) -> Iterator[Finding]:
    receipt = f" (receipt {report.receipt})" if report.receipt else ""
    if report.passed:
        yield Finding(check, True, f"{report.text}{receipt}")
    elif report.passed is None:
        yield Finding(check, False, f"{report.text}{receipt}", "Try an inlet in development, or look at the dataset.")
    else:
        for fault in report.faults or (report.text,):
            yield wrong(check, fault, "Mend the event, or the schema; nothing of it was stored.")


def _destination(settings: Settings, name: str | None) -> AdobeDccs:
    """The destination that is meant: the one of that name, or the only one that can be asked."""
    able = {key: one for key, one in settings.destinations.items() if isinstance(one, AdobeDccs)}
    if name is not None and name not in settings.destinations:
        raise Wrong(f"there is no destination {name!r}; there are: {', '.join(settings.destinations) or 'none'}.")
    if name is None and len(able) == 1:
        return next(iter(able.values()))
    if name not in able:
        what = f"{name!r} is none of them" if name else "say which with --to"
        raise Wrong(
            f"--validate asks a destination of type adobe-dccs; {what}. There are: {', '.join(able) or 'none'}."
        )
    return able[name]
