"""What Adobe's streaming ingestion (DCCS) may answer: by status, message by message, and in every shape of a 207.

The expectations are those of Adobe's tutorial ("Send multiple messages in a single HTTP request", response codes) and
of the design, written down by hand: a second opinion on the tables in `edgequeue/destinations`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.integration.answers_case import (
    After,
    Case,
    accepted,
    backs_off,
    dies,
    foreign,
    pauses,
    suspected,
    too_large_for_a_proxy,
    unclear,
)

ENDPOINT = "Check endpoint in [destinations.shop]."
REFUSED = (400, 409, 413, 422)
WAITING = (408, 425, 429, 500, 501, 502, 503, 504)
PAUSED = {
    401: "wants valid credentials", 403: "not valid or lacks rights", 404: "does not know this inlet",
    405: ENDPOINT, 407: "Check proxy", 415: "Check endpoint and encoding",
}  # fmt: skip
BARE = ("plain", "empty", "json")

DEAD_ENTRY = (400, 404, 409, 413, 422)
"""Statuses of an entry that refuse its message."""

SET_ASIDE = (408, 425, 500, 501, 502, 504)
"""Statuses of an entry that say: this one later. Beside accepted ones it holds up no other."""

PATIENCE = (429, 503)
"""Statuses of an entry that ask for patience with the service as a whole."""

PAUSED_ENTRY = {401: PAUSED[401], 403: PAUSED[403], 415: PAUSED[415]}
TOLD = ("accepted 207", "accepted 207")
ONE_BY_ONE = "unknown 207, accepted 200"
"""What could not be told apart goes to the single endpoint."""


def cases() -> Iterator[Case]:
    yield from _statuses()
    yield from _entries()
    yield from _shapes()
    yield from _refused_shapes()
    yield from _settings()


def _statuses() -> Iterator[Case]:
    for form in ("own", *BARE):
        for status in REFUSED:
            # What DCCS says in words that may be about our envelope is no more than a suspicion; its 413 is definite.
            definite = form == "own" and status == 413
            yield _status(status, form, dies(status, fresh=True) if definite else suspected(status, f"http_{status}"))
        for status in WAITING:
            yield _status(status, form, backs_off(status, f"http_{status}"))
        for status, remedy in PAUSED.items():
            yield _status(status, form, pauses(status, f"http_{status}", remedy))
    for status in (*REFUSED, *WAITING, *PAUSED, 511):
        # A proxy's own 413: its limit may be on the size, so the batch is halved all the same.
        yield _status(status, "html", too_large_for_a_proxy() if status == 413 else foreign(status))
    for status in (200, 207):
        yield _status(status, "own", accepted(status))
    for status in (200, 201, 202, 206, 207):
        for form in BARE:
            yield _status(status, form, unclear(status, arrived=3))
        yield _status(status, "html", replace(foreign(status), arrived=3, duplicates=3))
    yield _status(204, "own", replace(foreign(204), arrived=3, duplicates=3))


def _status(status: int, form: str, after: After) -> Case:
    return Case(f"{status}, {form}", "dccs", (f"status:status={status}:form={form}:times=always",), after)


def _entries() -> Iterator[Case]:
    """Every message is answered with a status, or the last one is and the others are accepted."""
    for status in DEAD_ENTRY:
        yield _all(status, backs_off(207, f"http_{status}"))
        yield _last(status, After((*TOLD, "reject 207"), delivered=2, dead=1))
    for status in (*SET_ASIDE, *PATIENCE):
        yield _all(status, backs_off(207, f"http_{status}"))
    for status in (*SET_ASIDE, *PATIENCE, *PAUSED_ENTRY):  # beside accepted ones it is this message's own trouble
        after = After((*TOLD, "defer 207"), delivered=2, state="waiting", code="set_aside", requests_later=1)
        yield _last(status, after)
    for status, remedy in PAUSED_ENTRY.items():
        after = pauses(207, f"http_{status}", remedy)
        yield _all(status, after)


def _all(status: int, after: After) -> Case:
    return Case(f"every message {status}", "dccs", (f"answer:status={status}:times=always",), after)


def _last(status: int, after: After) -> Case:
    fault = f"answer:status={status}:event_id={{last}}:times=always"
    return Case(f"one message {status}", "dccs", (fault,), after)


def _shapes() -> Iterator[Case]:
    """Every message is taken, and the answer says so in this shape."""
    for form in ("older", "newer", "mixed", "foreign"):
        yield Case(f"shape {form}", "dccs", (f"answer:form={form}:times=always",), accepted(207))
        yield Case(f"shape {form}, 200 stated", "dccs", (f"answer:form={form}:status=200",), accepted(207))
    for form in ("missing", "unknown_entry"):
        one = After((ONE_BY_ONE, *TOLD), requests=2, delivered=3, duplicates=1)
        yield Case(f"shape {form}", "dccs", (f"answer:form={form}",), one)
        last = replace(one, trips=(*TOLD, ONE_BY_ONE))
        yield Case(f"shape {form}, the last one", "dccs", (f"answer:form={form}:event_id={{last}}",), last)
    backwards = After((ONE_BY_ONE,), requests=4, delivered=3, duplicates=3)
    yield Case("shape swapped", "dccs", ("answer:form=swapped:times=always",), backwards)


def _refused_shapes() -> Iterator[Case]:
    """The last message is refused with 400, and the answer says so in this shape."""
    told = After((*TOLD, "reject 207"), delivered=2, dead=1)
    alone = "unknown 207, defer 400"  # refused by itself in words that may be about our envelope: a suspicion
    missing = After((*TOLD, alone), 2, 2, state="backing_off", code="http_400", requests_later=1)
    swapped = replace(missing, trips=(ONE_BY_ONE, ONE_BY_ONE, alone), requests=4, duplicates=2)
    shapes = {
        **dict.fromkeys(("refused", "older", "newer", "mixed", "foreign"), told),
        **dict.fromkeys(("missing", "unknown_entry"), missing), "swapped": swapped,
    }  # fmt: skip
    for form, after in shapes.items():
        fault = f"answer:form={form}:status=400:event_id={{last}}:times=always"
        yield Case(f"one message 400, shape {form}", "dccs", (fault,), after)
    refused = backs_off(207, "http_422")
    for form in ("older", "newer", "mixed"):
        fault = f"answer:form={form}:status=422:times=always"
        yield Case(f"every message 422, shape {form}", "dccs", (fault,), refused)


def _settings() -> Iterator[Case]:
    """What the service itself refuses: our configuration pauses, the event's own fault kills it."""
    ours = replace(pauses(207, "http_400", "Check org_id"), requests_later=2)
    wrong_org: dict[str, Any] = {"settings": {"org_id": "wrong@AdobeOrg"}, "service": {"org_id": "right@AdobeOrg"}}
    alone = replace(pauses(400, "http_400", "Check org_id"), requests_later=1)  # from the single endpoint
    yield Case("wrong organisation", "dccs", (), ours, **wrong_org)
    yield Case("wrong organisation, one event", "dccs", (), alone, events=1, **wrong_org)
    inlet = pauses(404, "http_404", PAUSED[404])
    yield Case("unknown inlet", "dccs", (), inlet, service={"inlets": ("another",)})
    for shape in ("older", "newer"):
        field: dict[str, Any] = {"required_fields": ("nope",), "error_shape": shape}
        yield Case(f"missing field, {shape}", "dccs", (), After(("reject 207",), dead=3), service=field)
    renewed = After(("defer 401, accepted 207",), requests=2, delivered=3)
    yield Case("401, a token of IMS", "dccs", ("status:status=401:service=dccs",), renewed, settings={"auth": "ims"})
    entries = After(("defer 207, accepted 207",), requests=2, delivered=3)
    yield Case("every message 401, a token of IMS", "dccs", ("answer:status=401",), entries, settings={"auth": "ims"})
