"""The tables of what is not the service's: the token service, nobody's answers, and none."""

from __future__ import annotations

from rows import CRM, DCCS, EDGE, Cells, Row, by_status, cells, denied, merged, patient, response
from services import ERRORS, PAGE, groups, read

from edgequeue.auth.ims_answers import PASSING, reading, unanswered
from edgequeue.errors import MaybeSent, NotSent, TransportError
from edgequeue.model import HttpResponse
from edgequeue.outcome import OURS, failed

UNSENT = {
    "dns": "the name is not known, or no name server answers", "connect": "no connection, or refused",
    "connect_timeout": "no connection in time", "tls": "no TLS: the certificate, the clock",
    "proxy": "the proxy refuses, or cannot be reached", "protocol": "a header that cannot be written",
    "settings": "a setting of the connection cannot be used", "closed": "the queue was closed",
    "aborted": "stopped while connecting",
}  # fmt: skip
SENT = {
    "cut": "the connection ended before or in the answer", "read_timeout": "no answer in time",
    "deadline": "an answer that does not end in time", "write_timeout": "the request does not get through in time",
    "protocol": "what came is not HTTP, or damaged", "body_too_large": "an answer of more than 4 MiB",
    "tls": "TLS ended in the middle", "aborted": "stopped in the middle",
}  # fmt: skip
"""How a request ends without an answer, before its first byte and after it: the transport's code, and what it is."""


def token_rows() -> list[Row]:
    """The token service."""
    said = {status: denied(reading(patient(status, {"error": "invalid_client"}), "HOST")) for status in ERRORS}
    bare = {status: denied(reading(patient(status, b"no"), "HOST")) for status in ERRORS}
    rows = [Row("200 with an `access_token`", denied(reading(response(200, {"access_token": "t"}), "HOST")))]
    rows += by_status(lambda status: denied(reading(patient(status), "HOST")), range(200, 300), beside=True)
    for error in PASSING:
        rows.append(Row(f"400, 401: `{error}`", denied(reading(patient(400, {"error": error}), "HOST"))))
    other = [status for status in ERRORS if said[status] != bare[status]]
    for found, words in ((said, "any other `error`"), (bare, "no `error` in JSON")):
        rows += [Row(f"{', '.join(map(str, one))}: {words}", cell) for cell, one in groups(found, other)]
    rows += by_status(said.__getitem__, [status for status in ERRORS if status not in (*other, 511)], beside=True)
    rows.append(Row("a web page, 1xx, 3xx, 511", denied(reading(patient(200, PAGE), "HOST"))))
    for kind, ways in ((NotSent, UNSENT), (MaybeSent, SENT)):  # what we ended ourselves says nothing about the service
        found = {text: unanswered(_error(kind, code), "HOST") for code, text in ways.items() if code not in OURS}
        rows += [Row(text, denied(one)) for text, one in found.items()]
    return merged(rows)


def nobodys_rows() -> list[Row]:
    """What cannot be the service's own, the same for all."""
    pages = by_status(lambda status: _alike(patient(status, PAGE)), range(200, 600))
    statuses = by_status(lambda status: _alike(patient(status)), [*range(100, 200), *range(300, 400), 511])
    halves = {_alike(patient(200, body)) for body in (b"", b'{"requestId":', [1], {"message": "OK"})}
    rows = [Row(f"a web page (a login page) with {row.answer}", row.cells) for row in pages]
    rows += [Row(f"{row.answer}, whatever the body", row.cells) for row in statuses]
    rows += [Row("200 with nothing, half of the answer, or JSON that is not the service's", cell) for cell in halves]
    return merged(rows)


def _alike(answer: HttpResponse) -> Cells:
    found = read(EDGE, answer)
    assert found == read(DCCS, answer) == read(CRM, answer), "they read it alike"
    return found


def connection_rows() -> list[Row]:
    """How a request ends without an answer."""
    rows = [Row(text, cells(lambda _, c=code: failed(_error(NotSent, c)))) for code, text in UNSENT.items()]
    rows += [Row(text, cells(lambda _, c=code: failed(_error(MaybeSent, c)))) for code, text in SENT.items()]
    return merged(rows)


def _error(kind: type[TransportError], code: str) -> TransportError:
    return kind("it failed", code=code)
