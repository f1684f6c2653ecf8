"""What a fault makes of an answer. Pure: (fault, verdict, what the service would say) -> what to do on the wire."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate

from edgequeue.emulator import answers, bloomreach_results, bodies, pieces
from edgequeue.emulator.contract import Accepted, Answer, Verdict
from edgequeue.emulator.faults import Fault
from edgequeue.emulator.wire import render

Refusal = Callable[[int, str | None], Answer]
"""(status, code or None) -> the service's own error answer."""
SUCCESSES = range(200, 300)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the connection has to do, in this order: wait, send, and at the end close or bring about `offline`.

    `answer` None: drop the connection without a byte. `before` goes ahead of it. `drip_seconds`: pause between single
    bytes. `stray`: bytes after it, at once or after `stray_seconds`. `pieces` are sent in place of the answer, and
    then the connection ends. `offline` takes effect after the answer, if any.

    `ending` closes the connection: body and headers in the middle of them, reset in the body with RST, now after the
    whole answer though it promised otherwise, next when the next request begins. Empty: as the request says.
    """

    answer: Answer | None
    wait_seconds: float = 0.0
    drip_seconds: float = 0.0
    before: bytes = b""
    stray: bytes = b""
    stray_seconds: float = 0.0
    pieces: Iterable[bytes] | None = None
    ending: str = ""
    offline: Fault | None = None


def apply(fault: Fault | None, verdict: Verdict, refusal: Refusal, now: float) -> tuple[Reply, Sequence[Accepted]]:
    """The reply under this fault, and the events that count as accepted. `now` is UNIX time in seconds."""
    if fault is None:
        return Reply(verdict.answer), verdict.accepted
    if fault.kind == "answer":
        return _reshaped(fault, verdict, refusal)
    if fault.kind == "results":
        answer, accepted = bloomreach_results.reshape(fault, verdict)
        return Reply(answer), accepted
    if fault.kind == "status" and fault.status in SUCCESSES:
        return Reply(_with_success(fault, verdict.answer, refusal)), verdict.accepted
    reply = _heard(fault, verdict.answer, refusal)
    if reply is not None:
        return reply, verdict.accepted
    return _refused(fault, verdict, refusal, now), ()


def _heard(fault: Fault, answer: Answer, refusal: Refusal) -> Reply | None:
    """The reply of a fault that leaves the service's word as it is; None for all others."""
    reply, seconds, form = Reply(answer), fault.seconds or 0.0, fault.form or ""
    match fault.kind, form:
        case "delay", _:
            return replace(reply, wait_seconds=seconds)
        case "drip", _:
            return replace(reply, drip_seconds=seconds)
        case "cut_after", _:
            return Reply(None)
        case (("cut_during" | "idle_close"), _):
            return replace(reply, ending=form)
        case "content_type", _:
            return Reply(replace(answer, content_type=bodies.CONTENT_TYPES[form]))
        case "garbage", "gzip":
            return Reply(bodies.packed(answer))
        case "informational", ("100" | "102" | "103" | "many"):
            return replace(reply, before=pieces.informational(form))
        case "stray", _:
            stray = bodies.NOISE if form == "bytes" else render(refusal(400, None), keep_alive=True)
            return replace(reply, stray=stray, stray_seconds=seconds)
    return None


def _refused(fault: Fault, verdict: Verdict, refusal: Refusal, now: float) -> Reply:
    status = fault.status or 503
    match fault.kind:
        case "status":
            return Reply(bodies.instead(fault.form, refusal(status, fault.code)))
        case "retry_after":
            answer = refusal(status, None)
            return Reply(replace(answer, headers=(*answer.headers, ("Retry-After", _retry_after(fault, now)))))
        case "captive_portal":
            return Reply(bodies.portal(fault))
        case "garbage":
            return _garbage(fault, verdict.answer)
        case "informational":  # switching, alone
            return Reply(Answer(101), pieces=(pieces.SWITCHING,))
        case "huge":
            return Reply(Answer(200), pieces=pieces.huge(fault.form, fault.bytes or 0))
        case "offline":
            return Reply(None, offline=fault)
    return Reply(None)  # cut_before


def _with_success(fault: Fault, answer: Answer, refusal: Refusal) -> Answer:
    """A status of success asked for: the verdict stands where it is a refusal, else status and form change."""
    if answer.status not in SUCCESSES:
        return answer
    if fault.status == 207 and answer.status in (202, 204):  # Edge only: DCCS has a 207 of its own
        answer = refusal(207, None)
    return bodies.instead(fault.form, replace(answer, status=fault.status or 200))


def _reshaped(fault: Fault, verdict: Verdict, refusal: Refusal) -> tuple[Reply, Sequence[Accepted]]:
    single = verdict.accepted and not verdict.messages
    if single and fault.status is not None and fault.status not in SUCCESSES:
        return Reply(refusal(fault.status, None)), ()
    answer, accepted = answers.reshape(fault, verdict)
    return Reply(answer), accepted


def _retry_after(fault: Fault, now: float) -> str:
    seconds = math.ceil(fault.seconds or 0.0)
    # A date has whole seconds: rounded up, so that it never asks for less than it was told to.
    return formatdate(math.ceil(now) + seconds, usegmt=True) if fault.form == "date" else str(seconds)


def _garbage(fault: Fault, answer: Answer) -> Reply:
    status = fault.status or 200
    body = answer.body or bodies.STAND_IN
    match fault.form:
        case "not_http":
            return Reply(None, pieces=(pieces.NOT_HTTP,))
        case "no_length":
            return Reply(Answer(status), pieces=pieces.no_length(status, body))
        case "chunked_broken":
            return Reply(Answer(status), pieces=pieces.chunked_broken(status, body))
        case "wrong_id":
            return Reply(bodies.somebody_elses(answer))
    broken = bodies.garbage(fault.form, status, answer)
    return Reply(broken, ending="body" if fault.form == "short" else "")
