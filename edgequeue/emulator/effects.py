"""What a fault makes of an answer. Pure: (fault, verdict, what the service would say) -> what to do on the wire."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate

from edgequeue.emulator.contract import Accepted, Answer, Verdict
from edgequeue.emulator.faults import Fault

PORTAL_PATH = "/_emulator/portal"
PORTAL_PAGE = b"""<!DOCTYPE html>
<html><head><title>Welcome to Free WiFi</title></head>
<body><h1>Please sign in</h1><form method="post"><input name="room"><button>Connect</button></form></body></html>
"""
NOISE = bytes(range(128, 256))
"""Neither UTF-8 nor JSON."""

Refusal = Callable[[int, str | None], Answer]
"""(status, EXEG code or None) -> the service's own error answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the connection has to do, in this order: wait, send, and at the end close or bring about `offline`.

    `answer` None: drop the connection without a byte. `drip_seconds`: pause between single bytes. `short`: announce
    the whole body, send half of it, close. `offline` takes effect after the answer, if any.
    """

    answer: Answer | None
    wait_seconds: float = 0.0
    drip_seconds: float = 0.0
    short: bool = False
    offline: Fault | None = None


def apply(fault: Fault | None, verdict: Verdict, refusal: Refusal, now: float) -> tuple[Reply, Sequence[Accepted]]:
    """The reply under this fault, and the events that count as accepted. `now` is UNIX time in seconds."""
    reply = Reply(verdict.answer)
    if fault is None:
        return reply, verdict.accepted
    seconds = fault.seconds or 0.0
    if fault.kind == "delay":
        return replace(reply, wait_seconds=seconds), verdict.accepted
    if fault.kind == "drip":
        return replace(reply, drip_seconds=seconds), verdict.accepted
    if fault.kind == "cut_after":
        return Reply(None), verdict.accepted
    if fault.kind == "status" and fault.status is not None and fault.status < 300:
        return _with_success(fault, verdict, refusal)
    return _refused(fault, verdict, refusal, now), ()


def _refused(fault: Fault, verdict: Verdict, refusal: Refusal, now: float) -> Reply:
    status = fault.status or 503
    if fault.kind == "status":
        return Reply(refusal(status, fault.code))
    if fault.kind == "retry_after":
        answer = refusal(status, None)
        return Reply(replace(answer, headers=(*answer.headers, ("Retry-After", _retry_after(fault, now)))))
    if fault.kind == "captive_portal":
        return Reply(_portal(fault.form))
    if fault.kind == "garbage":
        return _garbage(fault.form, verdict.answer)
    return Reply(None, offline=fault if fault.kind == "offline" else None)  # else cut_before


def _with_success(fault: Fault, verdict: Verdict, refusal: Refusal) -> tuple[Reply, Sequence[Accepted]]:
    """A status of success asked for: the verdict stands where it is a refusal, else only the status changes."""
    if verdict.answer.status >= 300:
        return Reply(verdict.answer), verdict.accepted
    if fault.status == 207 and verdict.answer.status in (202, 204):  # Edge only: DCCS has a 207 of its own
        return Reply(refusal(207, None)), verdict.accepted
    return Reply(replace(verdict.answer, status=fault.status or 200)), verdict.accepted


def _retry_after(fault: Fault, now: float) -> str:
    seconds = math.ceil(fault.seconds or 0.0)
    # A date has whole seconds: rounded up, so that it never asks for less than it was told to.
    return formatdate(math.ceil(now) + seconds, usegmt=True) if fault.form == "date" else str(seconds)


def _portal(form: str | None) -> Answer:
    if form == "redirect":
        return Answer(302, b"", "text/html", (("Location", PORTAL_PATH),))
    return Answer(511 if form == "511" else 200, PORTAL_PAGE, "text/html; charset=utf-8")


def _garbage(form: str | None, answer: Answer) -> Reply:
    body = answer.body or b'{"requestId":"00000000-0000-4000-8000-000000000000"}'  # silent answers have none
    if form == "noise":
        return Reply(Answer(200, NOISE))
    if form == "short":
        return Reply(Answer(200, body), short=True)
    return Reply(Answer(200, body[: len(body) // 2]))
