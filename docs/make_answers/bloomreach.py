"""The tables of Bloomreach: which answers there are; what each of them comes to, the code itself says."""

from __future__ import annotations

from typing import Any

from rows import CRM, Cells, Row, batch, by_status, fate, merged, patient, remedy, response, state
from services import ERRORS, read

INVALID = {"success": False, "message": "Invalid JSON"}
OURS = ("Could not authenticate", "Invalid project id")
"""What Bloomreach says of our configuration, with 400."""

TAKEN = {"success": True}
REFUSED = {"success": False, "errors": ["Field 'event_type' is required."]}
UNAUTHORISED = {"success": False, "errors": ["Not authorized to update specified customer properties."]}


def status_rows() -> list[Row]:
    """Bloomreach by status."""
    rows = [
        Row("200 with `results`", Cells("told apart, see below", "–", "–")),
        Row("200 with `success: false`", read(CRM, patient(200, INVALID))),
        Row("204", read(CRM, response(204))),
        *by_status(lambda status: read(CRM, patient(status)), [s for s in range(200, 300) if s != 204]),
    ]
    rows += [Row(f"400: “{text}”", read(CRM, patient(400, {"success": False, "error": text}))) for text in OURS]
    statuses = [status for status in ERRORS if status != 511]
    return [*merged(rows), *by_status(lambda status: read(CRM, patient(status, INVALID)), statuses, beside=True)]


def result_rows() -> list[Row]:
    """Bloomreach command by command: one of two is answered so, or both."""
    rows = [
        Row("`success: true`", _result(TAKEN)),
        Row("`success: false`", _result(REFUSED)),
        Row("`success: false`, “Not authorized to …”", _result(UNAUTHORISED)),
        Row("no result for it, in an answer with fewer results", _result(None)),
        Row("a result that does not say whether it succeeded", _result({})),
        Row("a result with another command's `command_id`", _result(TAKEN | {"command_id": "another"})),
    ]
    return merged(rows)


def _result(result: dict[str, Any] | None) -> Cells:
    last = [] if result is None else [result]
    beside = CRM.interpret(batch(2), patient(200, {"success": True, "results": [TAKEN, *last]}))
    every = CRM.interpret(batch(2), patient(200, {"success": True, "results": last * 2 or [TAKEN]}))
    verdict = beside.of(1)
    together, alone = state(beside.signal), state(every.signal)
    held = together if together == alone else f"{together}; if every command is answered so: {alone}"
    events = fate(beside, verdict) + (", by itself" if beside.singly else "")
    if fate(every, every.of(1)) != fate(beside, verdict):
        events += f"; if every command is answered so: {fate(every, every.of(1))}"
    return Cells(events, held, remedy(verdict, beside.signal))
