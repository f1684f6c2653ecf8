"""What Adobe Edge may answer, and what that comes to: by status, by error code, silent or not, in a poisoned batch.

The expectations are those of the services' documents (Edge Network API, "Troubleshooting") and of the design, written
down by hand: a second opinion on the tables in `edgequeue/destinations`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

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

PATH = "Check endpoint and path in [destinations.shop]."
AUTH = "check auth in [destinations.shop]"
TOKEN = "Renew the token in the [auth.*] table of [destinations.shop]"
RIGHTS = "the rights in Adobe's Developer Console"
DATASTREAM = "Mend datastream d in Adobe's Data Collection"
PARAMETER = "Check datastream_parameter and path"
REPORT = "report it"

REFUSED = (400, 409, 413, 422)
WAITING = (408, 425, 429, 500, 502, 503, 504, 507, 599)
PAUSED = {401: AUTH, 403: AUTH, 404: PATH, 405: PATH, 407: "check proxy", 410: PATH, 415: "check endpoint and encoding"}
BARE = ("plain", "empty", "json")
"""Bodies that are not the service's own, and do not show whose they are."""

OWN = {
    400: dies(400), 401: pauses(401, "EXEG-0503-401", TOKEN), 403: pauses(403, "EXEG-0400-403", "representative"),
    404: pauses(404, "EXEG-0000-404", PATH), 405: pauses(405, "EXEG-0000-405", PATH), 408: dies(408), 409: dies(409),
    413: dies(413), 415: pauses(415, "EXEG-0111-415", REPORT), 422: dies(422), 425: backs_off(425, "EXEG-0000-425"),
    429: backs_off(429, "EXEG-0000-429"), 500: backs_off(500, "EXEG-0001-500"), 502: backs_off(502, "EXEG-0202-502"),
    503: backs_off(503, "EXEG-0201-503"), 504: backs_off(504, "EXEG-0200-504"), 507: backs_off(507, "EXEG-0000-507"),
}  # fmt: skip
"""By status, with the error document that Edge has for it."""

CODES: dict[str, tuple[int, str]] = {
    "0000": (503, "back off"), "0001": (500, "back off"), "0002": (400, "Check datastream_parameter"),
    "0003": (400, "Check datastream_id"), "0004": (422, "Enable it"), "0010": (422, DATASTREAM),
    "0011": (422, DATASTREAM), "0012": (422, DATASTREAM), "0013": (422, "Create the identity namespace"),
    "0100": (500, "split"), "0101": (400, "die"), "0102": (400, "die"), "0103": (400, "die"), "0104": (422, "die"),
    "0105": (400, "die"), "0106": (400, REPORT), "0107": (400, PARAMETER), "0108": (400, PARAMETER),
    "0109": (408, "die"), "0110": (400, PARAMETER), "0111": (415, REPORT), "0112": (413, "die"),
    "0113": (400, DATASTREAM), "0200": (504, "back off"), "0201": (503, "back off"), "0202": (502, "back off"),
    "0203": (502, "back off"), "0205": (502, "back off"), "0300": (502, "back off"), "0302": (409, "die"),
    "0304": (400, "die"), "0305": (400, "die"), "0306": (400, "die"), "0307": (502, "back off"), "0308": (400, "die"),
    "0400": (403, "representative"), "0500": (401, TOKEN), "0501": (401, "Renew the token"), "0502": (401, TOKEN),
    "0503": (401, "Renew the token"), "0504": (401, RIGHTS), "0505": (401, "Renew the token"), "0506": (401, RIGHTS),
}  # fmt: skip
"""Edge's number -> its status, and: die, split, back off, or words of the remedy of a pause."""

SILENT = {"silent": True}
POISONED = ("defer 400, defer 400, reject 400", "defer 400, defer 400, accepted 202", "defer 400, accepted 202")


def cases() -> Iterator[Case]:
    yield from _statuses()
    yield from _codes()
    yield from _successes()
    yield from _singles()


def _statuses() -> Iterator[Case]:
    for status, after in OWN.items():
        yield _status(status, "own", after)
    for form in BARE:
        for status in REFUSED:
            yield _status(status, form, suspected(status, f"http_{status}"))
        for status in WAITING:
            yield _status(status, form, backs_off(status, f"http_{status}"))
        for status, remedy in PAUSED.items():
            yield _status(status, form, pauses(status, f"http_{status}", remedy))
    for status in (*REFUSED, *WAITING, *PAUSED, 511):
        # A proxy's own 413: its limit may be on the size, so the batch is halved all the same.
        yield _status(status, "html", too_large_for_a_proxy() if status == 413 else foreign(status))
    yield _status(511, "plain", foreign(511))


def _status(status: int, form: str, after: After) -> Case:
    return Case(f"{status}, {form}", "edge", (f"status:status={status}:form={form}:times=always",), after)


def _codes() -> Iterator[Case]:
    for number, (status, meaning) in CODES.items():
        code = f"EXEG-{number}-{status}"
        match meaning:
            case "die":
                after = dies(status)
            case "split":
                after = suspected(status, code)
            case "back off":
                after = backs_off(status, code)
            case _:
                after = pauses(status, code, meaning)
        yield Case(f"code {number}", "edge", (f"status:code={number}:times=always",), after)


def _successes() -> Iterator[Case]:
    for settings in ({}, {"datastream_parameter": "datastreamId"}):
        yield Case(f"202 {settings or 'dataStreamId'}", "edge", (), accepted(202), settings=settings)
    yield _success(202, "own", accepted(202))
    yield _success(207, "own", accepted(207))
    for status in (200, 201, 202, 206, 207):
        for form in ("plain", "empty", "json"):
            yield _success(status, form, unclear(status, arrived=3))
        yield _success(status, "html", replace(foreign(status), arrived=3, duplicates=3))
    # What a 200 is to Edge's own words has a `handle`; the emulator's 202 under another number has none.
    for status in (200, 201, 206):
        yield _success(status, "own", unclear(status, arrived=3))
    yield _success(204, "own", replace(foreign(204), arrived=3, duplicates=3))
    yield Case("204, silent", "edge", (), accepted(204), settings=SILENT)
    yield Case("207, silent", "edge", ("status:status=207:times=always",), accepted(207), settings=SILENT)
    fault = "status:status=202:times=always"
    yield Case("202 without a body, silent", "edge", (fault,), unclear(202, arrived=3), settings=SILENT)


def _success(status: int, form: str, after: After) -> Case:
    return Case(f"{status}, {form}", "edge", (f"status:status={status}:form={form}:times=always",), after)


def _singles() -> Iterator[Case]:
    """One event alone, one bad event in a batch, and a datastream that Edge does not know."""
    for number in ("0101", "0306", "0112"):
        status = CODES[number][0]
        after = After((f"reject {status}",), dead=1)
        yield Case(f"one event, code {number}", "edge", (f"status:code={number}:times=always",), after, events=1)
    for number in ("0001", "0100"):
        fault = f"status:code={number}:times=always"
        yield Case(f"one event, code {number}", "edge", (fault,), backs_off(500, f"EXEG-{number}-500"), events=1)
    for number in ("0105", "0306"):
        after = After(POISONED, requests=5, delivered=2, dead=1)
        fault = f"status:code={number}:times=always:event_id={{first}}"
        yield Case(f"one bad event of three, code {number}", "edge", (fault,), after)
    unknown = {"datastreams": ("another",)}
    yield Case("unknown datastream", "edge", (), pauses(400, "EXEG-0003-400", "Check datastream_id"), service=unknown)
    renewed = After(("defer 401, accepted 202",), requests=2, delivered=3)
    yield Case("401, a token of IMS", "edge", ("status:status=401:service=edge",), renewed, settings={"auth": "ims"})
    twice = replace(pauses(401, "EXEG-0503-401", TOKEN), trips=("defer 401, defer 401",), requests=2)
    always = ("status:status=401:service=edge:times=always",)
    yield Case("401 always, a token of IMS", "edge", always, twice, settings={"auth": "ims"})
