"""The tables of Edge and DCCS: which answers there are; what each of them comes to, the code itself says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rows import (
    DCCS,
    EDGE,
    SILENT,
    Cells,
    Row,
    batch,
    by_status,
    cells,
    fate,
    merged,
    patient,
    remedy,
    response,
    state,
)

from edgequeue import Destination
from edgequeue.destinations.adobe_answers import EXEG
from edgequeue.emulator.edge_problems import PROBLEMS
from edgequeue.learning import Learned
from edgequeue.model import HttpResponse

PAGE = b"<!DOCTYPE html><title>Log in</title>"
PROBLEM = {"type": "about:blank", "title": "no", "report": {"message": "the value is wrong"}}
"""A refusal in Adobe's words that names no code and no setting."""

ERRORS = range(400, 600)
OTHER_ID = "00000000-0000-4000-8000-000000000000"

OURS = (
    "Message has an absent or wrong ims org in the header",
    "Message has unknown xdm format",
    "Dataset does not exist",
    "Unknown flowId",
)
"""What DCCS says of what our configuration wrote into the envelope."""


def read(destination: Destination, answer: HttpResponse, **options: Any) -> Cells:
    """What a destination makes of an answer."""
    return cells(lambda sent: destination.interpret(sent, answer), **options)


def by_words(destination: Destination) -> list[Row]:
    """Each error status, in Adobe's own words and in others: one row where that makes no difference."""
    own = {status: read(destination, patient(status, PROBLEM)) for status in ERRORS}
    bare = {status: read(destination, patient(status, b"no")) for status in ERRORS}
    same = [status for status in ERRORS if own[status] == bare[status]]
    other = [status for status in ERRORS if status not in same]
    rows = [Row(", ".join(map(str, one)), cell) for cell, one in groups(own, other)]
    rows = [Row(f"{row.answer}, in Adobe's own words", row.cells) for row in rows]
    rows += [
        Row(f"{', '.join(map(str, one))}, in plain text, in other JSON or without a word", cell)
        for cell, one in groups(bare, other)
    ]
    return [*rows, *by_status(own.__getitem__, [status for status in same if status != 511], beside=True)]


def groups(found: dict[int, Cells], statuses: list[int]) -> Iterator[tuple[Cells, list[int]]]:
    """Statuses that come to the same."""
    for one in dict.fromkeys(found[status] for status in statuses):
        yield one, [status for status in statuses if found[status] == one]


def edge_rows() -> list[Row]:
    """Edge by status."""
    own = {"requestId": batch(1).request_id}
    other = response(202, {"requestId": OTHER_ID})
    rows = [
        Row("202 with a `requestId`", read(EDGE, response(202, own))),
        Row("200 with `requestId` and `handle`", read(EDGE, response(200, own | {"handle": []}))),
        Row("207: one of Adobe's services behind it failed", read(EDGE, response(207, own | {"errors": [PROBLEM]}))),
        Row("204, with `silent = true`", read(SILENT, response(204))),
        Row("204, without it", read(EDGE, response(204))),
        Row("a success that names another request's id", read(EDGE, other, learned=Learned(echoes=True))),
        Row("the first answer ever, though it names another request's id", read(EDGE, other)),
        *by_status(lambda status: read(EDGE, patient(status)), [s for s in range(200, 300) if s != 204], beside=True),
    ]
    return [*merged(rows), *by_words(EDGE)]


def code_rows() -> list[Row]:
    """Edge by its error codes, with their titles."""
    rows = []
    for code in EXEG:
        status, number = int(code[-3:]), code[5:9]
        answer = patient(status, {"type": f"https://ns.adobe.com/aep/errors/{code}", "title": PROBLEMS[number][1]})
        rows.append(Row(f"{code} {PROBLEMS[number][1]}", read(EDGE, answer)))
    return merged(rows, "<br>")


def dccs_rows() -> list[Row]:
    """DCCS by status, for requests as a whole."""
    single = DCCS.interpret(batch(1, single=True), response(200, {"inletId": "INLET", "xactionId": "1:2:3"}))
    rows = [
        Row("207, or 200 with `responses`", Cells("told apart, see below", "–", "–")),
        Row("200 with an `xactionId`, for a single message", cells(lambda _: single)),
    ]
    rows += by_status(
        lambda status: read(DCCS, patient(status)), [s for s in range(200, 300) if s not in (200, 207)], beside=True
    )
    for text in OURS:
        answer = response(400, PROBLEM | {"report": {"message": text}})
        rows.append(Row(f"400, 422: “{text}”, where the envelope is edgequeue's", read(DCCS, answer)))
    return [*merged(rows), *by_words(DCCS)]


def entry_rows() -> list[Row]:
    """DCCS message by message: one of two is answered so, or both."""
    odd = {"missing": [_taken(0)], "silent": [_taken(0), {"note": "queued"}], "swapped": [_taken(1), _taken(0)]}
    rows = [
        Row("an `xactionId`, with no status or with 2xx", _entry([_taken(0), _taken(1)])),
        *by_status(lambda status: _entry([_taken(0), {"statusCode": status, "message": "no"}]), ERRORS),
        Row("no entry for it, in an answer with fewer entries", _entry(odd["missing"])),
        Row("an entry that says nothing", _entry(odd["silent"])),
        Row("entries whose numbers contradict their order", _entry(odd["swapped"])),
    ]
    return merged(rows)


def _taken(index: int) -> dict[str, Any]:
    return {"xactionId": f"b:{index}"}


def _entry(entries: list[dict[str, Any]]) -> Cells:
    beside = DCCS.interpret(batch(2), response(207, {"inletId": "INLET", "batchId": "b", "responses": entries}))
    same = {"inletId": "INLET", "batchId": "b", "responses": [entries[-1]] * 2}
    every = beside if len(entries) == 1 or "xactionId" in entries[-1] else DCCS.interpret(batch(2), response(207, same))
    verdict = beside.of(1)
    events = fate(beside, verdict) + (", by itself to the single endpoint" if beside.singly else "")
    together, alone = state(beside.signal), state(every.signal)
    held = together if together == alone else f"{together}; if every message is answered so: {alone}"
    return Cells(events, held, remedy(verdict, beside.signal))
