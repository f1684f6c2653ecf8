"""The results of a Bloomreach batch on request: refused commands, results that cannot be matched, a refusal as a whole.

Pure. Whatever the form: commands that the answer refuses are not accepted, the others are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from edgequeue.emulator.bodies import foreign_result
from edgequeue.emulator.contract import Accepted, Answer, Verdict
from edgequeue.emulator.faults import Fault

REFUSALS: Mapping[str, object] = {
    "refused": ["Emulated error."],
    "unauthorized": ["Not authorized to add event of specified type"],
    "coded": {"code": 3, "description": "Emulated error"},
}
"""Form -> `errors` of a refused command; the second is that of "Most common API requests errors"."""


def reshape(fault: Fault, verdict: Verdict) -> tuple[Answer, Sequence[Accepted]]:
    """The answer in the fault's form, and the commands that it accepts. A batch refused whole stays as it is."""
    if not verdict.messages or verdict.answer.status != 200:
        return verdict.answer, verdict.accepted
    document = json.loads(verdict.answer.body)
    if fault.form == "failed":
        document = {"success": False, "errors": ["Emulated error."]}
        return _answer(verdict, document), ()
    results: list[dict[str, Any]] = document["results"]
    meant = [fault.event_id in (None, message.id) and message.id is not None for message in verdict.messages]
    accepted = verdict.accepted
    if fault.form in REFUSALS:
        refused = {message.id for message, hit in zip(verdict.messages, meant, strict=True) if hit}
        accepted = [one for one in accepted if one.id not in refused]
    document["results"] = _reshaped(fault, results, meant)
    return _answer(verdict, document), accepted


def _reshaped(fault: Fault, results: list[dict[str, Any]], meant: Sequence[bool]) -> list[dict[str, Any]]:
    match fault.form:
        case "swapped":
            return results[::-1]
        case "missing":
            one = meant.index(True) if True in meant else 0
            return [*results[:one], *results[one + 1 :]]
        case "anonymous":
            return [_without_id(result) for result in results]
        case "foreign":
            return [foreign_result(index, result) for index, result in enumerate(results)]
        case "silent":
            return [{} if hit else result for result, hit in zip(results, meant, strict=True)]
    errors = REFUSALS[fault.form or ""]
    return [
        {**result, "success": False, "errors": errors} if hit else result
        for result, hit in zip(results, meant, strict=True)
    ]


def _without_id(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "command_id"}


def _answer(verdict: Verdict, document: object) -> Answer:
    return replace(verdict.answer, body=json.dumps(document, separators=(",", ":")).encode())
