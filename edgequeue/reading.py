"""The default reading of an HTTP answer: what destinations and accounts share when they say what it comes to.

Pure, and lenient: whatever the bytes are, nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from edgequeue.errors import TransportError
from edgequeue.learning import Doubt
from edgequeue.model import Batch, Disposition, HttpResponse, Problem
from edgequeue.outcome import Outcome, Verdict
from edgequeue.retry import WELL, HoldState, Signal, parse_http_date, parse_retry_after

TEXT_MAX = 500
"""Characters kept of a service's error text; more belongs into the service's own log."""

UNPROVEN = (
    "Perhaps a proxy or our settings: check endpoint and the ids in [destinations.*]. "
    "The event is kept; it is dead only when it is refused again while others are accepted."
)

_LEADING = b" \t\r\n\f\v\x00\xef\xbb\xbf\xfe\xff"
"""What may stand before the first character of a page: white space and byte order marks."""


def accepted(
    response: HttpResponse, *, service: Mapping[str, Any], receipt: str | None = None, problem: Problem | None = None
) -> Outcome:
    """Every event of the batch was taken; a `problem` is recorded beside it."""
    verdict = Verdict(Disposition.ACCEPTED, problem, receipt)
    return Outcome(verdict, service=service, http_status=response.status)


def deferred(response: HttpResponse, problem: Problem, doubt: Doubt | None = None) -> Outcome:
    """Come back later: no attempt is spent, the destination backs off, and a Retry-After is honoured."""
    signal = Signal(HoldState.BACKING_OFF, problem, retry_after_seconds(response))
    return Outcome(Verdict(Disposition.DEFER, problem, doubt=doubt), signal=signal, http_status=response.status)


def paused(response: HttpResponse, problem: Problem, *, renewable: bool = False) -> Outcome:
    """The operator has to mend something: every event is kept and the destination waits.

    `renewable`: other credentials may be all that it takes, so they are renewed once before it comes to that.
    """
    signal = Signal(HoldState.PAUSED, problem, retry_after_seconds(response), renewable=renewable)
    return Outcome(Verdict(Disposition.DEFER, problem), signal=signal, http_status=response.status)


def refused(response: HttpResponse, batch: Batch, problem: Problem, *, definite: bool = True) -> Outcome:
    """The batch was refused as a whole: one event alone is dead, several are sent again in halves.

    Not `definite`: it was not said in the service's own words, or may be about what our configuration wrote; one event
    alone is then under suspicion. A Retry-After is kept here too.
    """
    wait_seconds = retry_after_seconds(response)
    signal = Signal(HoldState.BACKING_OFF, problem, wait_seconds) if wait_seconds else WELL
    if len(batch) > 1:
        verdict = Verdict(Disposition.DEFER, problem)
        too_large = response.status == 413
        return Outcome(
            verdict,
            signal=signal,
            split=True,
            definite=definite,
            too_large=too_large,
            http_status=response.status,
        )
    if definite:
        return Outcome(Verdict(Disposition.REJECT, problem), signal=signal, http_status=response.status)
    problem = replace(problem, remedy=UNPROVEN)
    signal = Signal(HoldState.BACKING_OFF, problem, wait_seconds)
    return Outcome(Verdict(Disposition.DEFER, problem, doubt=Doubt.REFUSED), signal=signal, http_status=response.status)


def nobodys(response: HttpResponse, text: str, *, maybe_taken: bool = False) -> Outcome:
    """An answer that is not the service's own: a captive portal, a proxy, a cut-off body. It counts for nothing.

    `maybe_taken`: the service may stand behind it all the same, so whether it has the events is unknown.
    """
    too_large = response.status == 413  # a proxy's own limit: smaller requests may pass it, and no event dies of it
    remedy = "Something between this device and the service answered: log in to the network, or check the proxy."
    if too_large:
        remedy = "Something between this device and the service limits requests; smaller ones are made by themselves."
    problem = Problem("not_the_service", f"HTTP {response.status}: {text}", remedy, response.status)
    disposition = Disposition.UNKNOWN if maybe_taken else Disposition.DEFER
    # A proxy may ask for patience too; what came with a page of 200 or 302 is no plea of anybody's.
    wait_seconds = asked_seconds(response)
    signal = Signal(HoldState.BACKING_OFF, problem, wait_seconds)
    return Outcome(
        Verdict(disposition, problem, doubt=Doubt.STRANGE),
        signal=signal,
        split=too_large,
        too_large=too_large,
        http_status=response.status,
    )


def retry_after_seconds(response: HttpResponse) -> float | None:
    """The wait that the answer asks for; a date is read by the answer's own Date: our clock may be wrong."""
    now = parse_http_date(response.header("date")) or response.received_at
    return parse_retry_after(response.header("retry-after"), now)


def asked_seconds(answer: HttpResponse | TransportError) -> float | None:
    """The wait that binds: of a refusal or a failure, also where only the head of the answer came."""
    if isinstance(answer, TransportError):
        return answer.retry_after_seconds
    return retry_after_seconds(answer) if answer.status >= 400 else None


def shortened(text: str) -> str:
    """A service's text on one line and at most `TEXT_MAX` characters."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_MAX else line[: TEXT_MAX - 1] + "…"


def is_foreign(response: HttpResponse) -> bool:
    """Whether it cannot be the answer of one of Adobe's services: a web page, a redirect, an odd status."""
    return (
        is_page(response) or not 200 <= response.status < 600 or 300 <= response.status < 400 or response.status == 511
    )


def is_page(response: HttpResponse) -> bool:
    """Whether the body is a web page, whatever its content type."""
    return response.body.lstrip(_LEADING)[:1] == b"<"


def json_object(body: bytes) -> dict[str, Any] | None:
    """The body as a JSON object, whatever its content type; None when it is anything else."""
    try:
        document = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
