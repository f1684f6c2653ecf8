"""What Adobe's token service (IMS) may answer when a token is needed to send: no event is touched, whatever it says.

The expectations are those of the OAuth documents and of the design, written down by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.integration.answers_case import NOBODY, After, Case

CONSOLE = "Check client_id, client_secret and scopes"
ENDPOINT = "Check endpoint in the [auth.*] table."
ALONE = "It is asked again by itself; nothing is lost."
UNKNOWN = "something in between"
IMPATIENT = {"auth": "ims", "timeout_seconds": 0.5}

WAITING = (408, 425, 429, 500, 502, 503, 504)
BARE = ("plain", "empty", "json")

FORGOTTEN_SECONDS = 6
"""Within 5 s after a failure not even a sync by hand asks the token service again."""


def cases() -> Iterator[Case]:
    yield _case("status:status=400", _after("paused", "ims_invalid_request", CONSOLE))
    yield _case("status:status=401", _after("paused", "ims_invalid_client", CONSOLE))
    for status in (403, 404, 405):
        for form in ("own", *BARE):
            yield _case(f"status:status={status}:form={form}", _after("paused", f"http_{status}", ENDPOINT))
    for form in BARE:
        for status in (400, 401):
            yield _case(f"status:status={status}:form={form}", _after("backing_off", f"http_{status}", UNKNOWN))
    for status in WAITING:
        for form in ("own", "plain"):
            yield _case(f"status:status={status}:form={form}", _after("backing_off", f"http_{status}", ALONE))
    yield from _strange()
    for form in ("seconds", "date"):
        after = replace(_after("backing_off", "http_429", "The service asked for this wait"), asked_seconds=30)
        yield _case(f"retry_after:status=429:seconds=30:form={form}", after)


def _strange() -> Iterator[Case]:
    """Nobody's answers, and none."""
    for status in (200, 400, 401, 404, 500):
        yield _case(f"status:status={status}:form=html", _after("backing_off", "not_the_service", NOBODY))
    for form in ("page", "redirect", "redirect307", "redirect308", "511", "login", "json"):
        yield _case(f"captive_portal:form={form}", _after("backing_off", "not_the_service", NOBODY))
    for form in ("truncated", "noise", "empty", "array", "html_json", "no_length"):
        yield _case(f"garbage:form={form}", _after("backing_off", "not_the_service", NOBODY))
    for fault in ("cut_before", "cut_after", "cut_during:form=body", "garbage:form=short", "garbage:form=not_http"):
        yield _case(fault, _after("backing_off", "cut", ALONE))
    yield _case("huge", _after("backing_off", "body_too_large", ALONE))
    late = _case("delay:seconds=60", _after("backing_off", "read_timeout", ALONE))
    yield replace(late, settings=IMPATIENT)


def _after(state: str, code: str, remedy: str) -> After:
    """Nothing was sent to Edge: no request, no history. In the end one request carries all."""
    return After(("",), requests=0, state=state, code=code, remedy=remedy, requests_later=1)


def _case(fault: str, after: After) -> Case:
    if after.state == "paused":
        after = replace(after, requests_later=2)  # one event asks whether it is well again
    faults = (f"{fault}:service=ims:times=always",)
    settings = {"auth": "ims"}
    return Case(f"token service, {fault}", "edge", faults, after, settings=settings, passes_seconds=FORGOTTEN_SECONDS)
