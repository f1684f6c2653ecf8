"""What any service, or anything between it and the device, may do: no answer, half of one, too much, nobody's.

The same cases for both destinations; the expectations are those of the design ("Outcomes"), written down by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.integration.answers_case import (
    After,
    Case,
    accepted,
    asks_to_wait,
    foreign,
    unanswered,
    unclear,
)

SUCCESS = {"edge": 202, "dccs": 207}
BUSY = {("edge", 429): "EXEG-0000-429", ("edge", 503): "EXEG-0201-503", ("dccs", 429): "http_429"}
"""The code of an answer that asks for patience, in the service's own words."""

IMPATIENT = {"timeout_seconds": 0.5}
ONE_BY_ONE = {"batch_events_max": 1}
"""Three requests on one kept connection: what is left on it can be taken for an answer."""


def cases() -> Iterator[Case]:
    for on in SUCCESS:
        yield from _nobodys(on)
        yield from _garbage(on)
        yield from _cut(on)
        yield from _slow(on)
        yield from _odd(on)
        yield from _kept(on)
        yield from _waits(on)
    # Sixty entries, so that the time is over in the middle of the body: half of the batch may be quick enough.
    slow = unanswered("deadline", arrived=60)
    drip = ("drip:seconds=0.001",)
    yield Case("drip into the body", "dccs", drip, slow, events=60, settings={"timeout_seconds": 1.0})


def _always(on: str, fault: str, after: After) -> Case:
    return Case(fault, on, (f"{fault}:times=always",), after)


def _nobodys(on: str) -> Iterator[Case]:
    """A login page in every form."""
    pages = {"page": 200, "redirect": 302, "redirect307": 307, "redirect308": 308, "511": 511, "login": 401}
    for form, status in pages.items():
        yield _always(on, f"captive_portal:form={form}", foreign(status))
    for status in (200, 400, 403, 404, 422, 500):
        yield _always(on, f"captive_portal:form=login:status={status}", foreign(status))
    yield _always(on, "captive_portal:form=json", unclear(200))


def _garbage(on: str) -> Iterator[Case]:
    """A success that is not whole, or not the service's."""
    for form in ("truncated", "noise", "empty", "array", "no_length"):
        yield _always(on, f"garbage:form={form}", unclear(200))
    yield _always(on, "garbage:form=html_json", foreign(200))
    for form in ("short", "not_http", "chunked_broken"):
        yield _always(on, f"garbage:form={form}", unanswered("cut"))
    yield _always(on, "garbage:form=gzip_broken", unanswered("protocol"))
    yield _always(on, "garbage:form=gzip", accepted(SUCCESS[on]))
    # The other id is somebody else's answer.
    after = replace(unclear(SUCCESS[on]), code="not_our_answer", remedy="It is sent again with the same _id.")
    for form, known in (("wrong_id, service known", True), ("wrong_id, first answer ever", False)):
        fault = "garbage:form=wrong_id:times=always"
        if known or on == "edge":  # no document of DCCS's promises that it names our inlet
            yield Case(form, on, (fault,), after, known=known)


def _cut(on: str) -> Iterator[Case]:
    """The connection ends before, during or after the answer."""
    yield _always(on, "cut_before", unanswered("cut"))
    for fault in ("cut_during:form=body", "cut_during:form=headers", "cut_during:form=reset", "cut_after"):
        yield _always(on, fault, unanswered("cut", arrived=3))
    yield Case("cut_after, one event", on, ("cut_after",), replace(_lost_one(), code="cut"), events=1)
    offline = After(("",), requests=0, state="offline", code="connect", requests_later=1)
    yield Case("offline", on, ("offline",), offline)
    yield Case("offline in the middle", on, (f"offline:service={on}",), unanswered("cut"))


def _lost_one() -> After:
    return replace(unanswered("cut", arrived=1), duplicates=1)


def _slow(on: str) -> Iterator[Case]:
    """Late, byte by byte, or never."""
    late = unanswered("read_timeout", arrived=3)
    yield Case("delay beyond the time-out", on, ("delay:seconds=60",), late, settings=IMPATIENT)
    yield Case("drip beyond the time-out", on, ("drip:seconds=0.02",), late, settings=IMPATIENT)
    yield _always(on, "delay:seconds=0.05", accepted(SUCCESS[on]))
    yield _always(on, "drip:seconds=0.0001", accepted(SUCCESS[on]))


def _odd(on: str) -> Iterator[Case]:
    """Other content types, interim answers, far too much."""
    for form in ("text", "html", "none"):
        yield _always(on, f"content_type:form={form}", accepted(SUCCESS[on]))
    for form in ("100", "102", "103", "many"):
        yield _always(on, f"informational:form={form}", accepted(SUCCESS[on]))
    yield _always(on, "informational:form=switching", unanswered("protocol"))
    for form in ("body", "chunked", "gzip"):
        yield _always(on, f"huge:form={form}", unanswered("body_too_large"))
    yield _always(on, "huge:form=headers", unanswered("protocol"))


def _kept(on: str) -> Iterator[Case]:
    """What happens to a connection between two answers, with three requests on it where there is one."""
    taken = {"edge": 202, "dccs": 200}[on]  # one message at a time goes to DCCS's single endpoint
    three = replace(accepted(taken), requests=3)
    for fault in ("stray:form=same", "stray:form=bytes"):
        yield replace(_always(on, fault, three), settings=ONE_BY_ONE)
    # The stray refusal is taken for the answer to the second request, which the service takes unheard.
    told, again = f"accepted {taken}", f"defer 400, accepted {taken}"
    stray = After((told, again, told), requests=4, delivered=3, duplicates=1)
    if on == "dccs":  # each of its requests has a connection of its own
        stray = three
    yield Case("stray:form=later", on, ("stray:form=later:seconds=0.5",), stray, settings=ONE_BY_ONE)
    yield _always(on, "idle_close:form=now", accepted(SUCCESS[on]))
    ended = replace(unanswered("cut"), trips=(told, "unknown -", ""), delivered=1, arrived=1, requests_later=2)
    ended = three if on == "dccs" else replace(ended, duplicates=0)
    yield Case("idle_close:form=next", on, ("idle_close:form=next",), ended, settings=ONE_BY_ONE)


def _waits(on: str) -> Iterator[Case]:
    """Retry-After in both forms; a day is too long, an hour is the most."""
    for status in (429, 503):
        code = BUSY.get((on, status), f"http_{status}")
        for form in ("seconds", "date"):
            fault = f"retry_after:status={status}:seconds=30:form={form}"
            yield Case(fault, on, (fault,), asks_to_wait(status, code, 30))
    code = BUSY.get((on, 503), "http_503")
    for form in ("seconds", "date"):
        fault = f"retry_after:seconds=86400:form={form}"
        yield Case(fault, on, (fault,), asks_to_wait(503, code, 3600))
