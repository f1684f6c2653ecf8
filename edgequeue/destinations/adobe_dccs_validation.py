"""DCCS's own check of one message (`syncValidation=true`): the request, and what its answer says. Pure.

For development alone: 60 requests a minute and inlet, the single endpoint only, and not at every data centre (501).
A message that passes is taken in like any other; one that fails is not stored. Sources: Adobe's pages "Streaming
validation" and "Streaming ingestion".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from edgequeue.destinations import adobe_answers as answers
from edgequeue.destinations.adobe_dccs import AdobeDccs
from edgequeue.destinations.statuses import text_of
from edgequeue.model import ID_PLACEHOLDER, Batch, Claimed, Draft, HttpRequest, HttpResponse
from edgequeue.reading import is_page, json_object, shortened

PARAMETER = "syncValidation=true"
DEPTH_MAX = 20
"""Violations within violations; Adobe's nest a few levels."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a message: `passed` is None where the service did not check it. `faults`: a line for each."""

    passed: bool | None
    text: str
    faults: tuple[str, ...] = ()
    receipt: str | None = None


def validation_request(destination: AdobeDccs, draft: Draft, event_id: str) -> HttpRequest:
    """The request that asks for the check of one event; `event_id` (38 characters) stands in where it has no `_id`."""
    payload = draft.payload
    if draft.id_offset >= 0:
        end = draft.id_offset + len(ID_PLACEHOLDER)
        payload = payload[: draft.id_offset] + event_id.encode("ascii") + payload[end:]
    record = Claimed(1, 1, 0, None, payload, True)
    request = destination.encode(Batch(event_id, (record,), (destination.item(payload),)))
    return replace(request, url=f"{request.url}{'&' if '?' in request.url else '?'}{PARAMETER}", fresh=True)


def validation_report(response: HttpResponse) -> Report:
    """What the answer says; lenient, nothing raises."""
    if is_page(response):
        return Report(None, "a web page answered, and not Adobe: check the network and the proxy")
    document = json_object(response.body) or {}
    if response.status == 200:
        checked = document.get("syncValidation")
        receipt = shortened(text_of(document.get("xactionId"))) or None
        if isinstance(checked, dict) and checked.get("skipped"):
            return Report(None, "the message was taken, and not checked: this inlet skips it", receipt=receipt)
        return Report(True, "the message passed, and was taken", receipt=receipt)
    if response.status == 501:
        return Report(None, "this data centre does not check messages (HTTP 501); Adobe's VA7 does")
    said = answers.described(document or None, response)
    if response.status != 400:
        return Report(None, f"the message was not checked: HTTP {response.status}: {said}")
    return Report(False, f"the message was refused: {said}", tuple(dict.fromkeys(_faults(document))))


def _faults(document: dict[str, Any]) -> Iterator[str]:
    """The violations of the report, innermost first, as "#/pointer: message"."""
    report = document.get("report")
    cause = report.get("cause") if isinstance(report, dict) else document.get("cause")
    if isinstance(cause, dict):
        yield from _violations(cause.get("_streamingValidation"), DEPTH_MAX)


def _violations(found: Any, depth: int) -> Iterator[str]:
    for one in found if isinstance(found, list) and depth else ():
        if not isinstance(one, dict):
            continue
        inner = list(_violations(one.get("causingExceptions"), depth - 1))
        yield from inner
        message = text_of(one.get("message"))
        if message and not inner:
            pointer = text_of(one.get("pointerToViolation"))
            yield shortened(message if not pointer or message.startswith(pointer) else f"{pointer}: {message}")
