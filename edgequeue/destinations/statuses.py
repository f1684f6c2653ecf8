"""What an answer comes to by its status, for services that say no more: shared by the destinations that ship.

Pure, and lenient: nothing here raises, whatever the bytes are.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import orjson

from edgequeue.learning import Doubt
from edgequeue.model import Batch, HttpResponse, Problem
from edgequeue.outcome import Outcome
from edgequeue.reading import deferred, nobodys, paused, refused


class Reading(Enum):
    """What an answer comes to. REFUSE bisects; SPLIT bisects, but one event alone comes back later."""

    PAUSE = "pause"
    REFUSE = "refuse"
    SPLIT = "split"
    DEFER = "defer"
    WAIT = "wait"


PAUSE, REFUSE, SPLIT, DEFER, WAIT = Reading

STATUS: Mapping[int, Reading] = {
    400: REFUSE,
    408: DEFER,
    409: REFUSE,
    413: REFUSE,
    422: REFUSE,
    425: DEFER,
    429: WAIT,
    503: WAIT,
}
"""The statuses that do not follow their class: any other 4xx pauses (credentials, address), any other 5xx defers."""

MEND = "Mend the event and enqueue it again."
"""The remedy for an event that was refused for what it holds."""


def text_of(value: Any) -> str:
    """A value as text: texts and numbers as they are, objects as JSON, nothing for the rest."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | dict):
        return ""
    return orjson.dumps(value).decode() if isinstance(value, dict) else str(value)


def reading_of_status(status: int) -> Reading:
    """What a status from 400 on means when nothing more is known."""
    return STATUS.get(status, DEFER if status >= 500 else PAUSE)


def outcome_of(
    reading: Reading, response: HttpResponse, batch: Batch, problem: Problem, *, definite: bool, renewable: bool
) -> Outcome:
    """The outcome for a whole request; `definite`: a refusal is known to be the service's own, and about the events;
    `renewable`: other credentials may be all that a pause takes.
    """
    match reading:
        case Reading.PAUSE:
            return paused(response, problem, renewable=renewable)
        case Reading.REFUSE if _cut_off(response.body):
            return nobodys(response, "a part of an answer")  # cut off on the way: it may have said anything
        case Reading.REFUSE:
            return refused(response, batch, problem, definite=definite)
        case Reading.SPLIT if len(batch) > 1:
            return refused(response, batch, problem)
        case Reading.SPLIT:
            return deferred(response, problem, Doubt.FAILED)
    return deferred(response, problem, doubt_of_status(response.status))


def _cut_off(body: bytes) -> bool:
    """Whether it begins as JSON does and is none."""
    if body.lstrip()[:1] not in (b"{", b"["):
        return False
    try:
        orjson.loads(body)
    except ValueError:
        return True
    return False


def doubt_of_status(status: int) -> Doubt | None:
    """Whether a failure may be the event's own. Asking for patience (429, 503 and the like) is about the service."""
    if status < 500 or status == 503:
        return None
    return Doubt.FAILED if status == 500 else Doubt.STRANGE
