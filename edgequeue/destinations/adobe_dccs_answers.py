"""How DCCS's answers are read: a 207 says for each message what became of it, and refusals say whose fault it was.

Pure; nothing here raises. What cannot be told apart by event (`adobe_dccs_places.py`) is of unknown outcome and
travels again, one by one and with the same `_id`. A refusal of something that our configuration wrote into the
envelope pauses the destination; a refusal of what the application brought is the event's own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from edgequeue.destinations import adobe_answers as answers
from edgequeue.destinations import statuses
from edgequeue.destinations.adobe_dccs_places import Entry, entry_of, placed, receipt_template
from edgequeue.learning import Doubt
from edgequeue.model import Batch, Disposition, HttpResponse, Problem
from edgequeue.outcome import Outcome, Verdict
from edgequeue.reading import UNPROVEN, accepted, json_object, nobodys, paused, retry_after_seconds, shortened
from edgequeue.retry import WELL, HoldState, Signal

_REFUSALS = frozenset((400, 404, 409, 413, 422))
"""Statuses of an entry that refuse the message itself; other 4xx are about credentials and the like."""

_PREAMBLE = re.compile(r"\s*inletId:\s*\[[^\]]*\]\s*(?:\w+:\s*\[[^\]]*\]\s*)*(?=[A-Z#])")
"""`inletId: […] imsOrgId: […] ` stands before every refusal and names nothing that is wrong."""

_SETTINGS = (
    (re.compile(r"\bims\s?org|\borgani[sz]ation\b", re.IGNORECASE), "org_id"),
    (re.compile(r"\bdataset", re.IGNORECASE), "dataset_id"),
    (re.compile(r"\b(data)?flow\s?id\b|\bdataflow\b", re.IGNORECASE), "flow_id"),
    (
        re.compile(
            r"schema\s?ref|unknown (schema|xdm format)|schema\b.* not (exist|found|known|specified)", re.IGNORECASE
        ),
        "schema_id",
    ),
)
"""Which setting a refusal speaks of; the first that matches. What speaks of the event's own data ("the value does not
match the schema") is about the event."""

_DATA = re.compile(
    r"#/(?!header\b)|required (field|key|property)|expected type|\bxdmEntity\b|\btimestamp\b|streamingValidation",
    re.IGNORECASE,
)
"""Texts about an event's own data: a JSON pointer into it, a field that is missing or of another type."""

_HEADER = re.compile(
    r"#/header\b|\bheader\.\w|\bin the (message )?header\b|\bxdmMeta\b|\bims ?org|\b(data[sS]etId|flowId|schemaRef)\b"
    r"|unknown (schema|xdm format)|schema\b.* not (exist|found|known|specified)",
    re.IGNORECASE,
)
"""Texts about the envelope, whatever else they speak of: its names, and pointers into it."""

_CREDENTIALS = "Check auth in [destinations.{name}] and the [auth.*] table it names."
_REMEDIES = {
    401: "The inlet wants valid credentials. " + _CREDENTIALS,
    403: "The token is not valid or lacks rights. " + _CREDENTIALS,
    404: "Adobe does not know this inlet. Check endpoint in [destinations.{name}].",
    407: "The proxy wants credentials. Check proxy in [destinations.{name}].",
    415: "What answered does not take JSON. Check endpoint and encoding in [destinations.{name}].",
}


def interpret(
    batch: Batch, response: HttpResponse, wrapped: Sequence[bool], name: str, *, inlet: str, single: bool
) -> Outcome:
    """What an answer means for each event; `wrapped` tells which of them stand in our own envelope.

    `single`: it answers one message on the single endpoint, where a 200 with its xactionId is the acceptance. An answer
    that names another inlet than ours is not `echoed`; what that means is weighed beside the others.
    """
    strange = answers.foreign(response)
    if strange:
        return strange
    document = json_object(response.body)
    if response.status in (200, 207):
        outcome = _success(batch, response, document or {}, wrapped, name, single=single)
        named = statuses.text_of((document or {}).get("inletId"))
        return replace(outcome, echoed=named == inlet if named else None)
    if response.status == 204:
        return nobodys(response, "an empty success, which DCCS does not answer with")
    if response.status < 300:
        return answers.without_its_body(response)
    text = answers.described(document, response)
    problem = _problem(response.status, text, name)
    reason = _reason(document) or text
    setting = _setting_at_fault(reason) if response.status in (400, 422) else None
    if setting and all(wrapped):
        return paused(response, _blamed(problem, setting, name))
    definite = _is_dccs(document) and (not any(wrapped) or response.status == 413 or _about_data(reason))
    reading = statuses.reading_of_status(response.status)
    return statuses.outcome_of(
        reading, response, batch, problem, definite=definite, renewable=problem.code in answers.RENEWABLE
    )


def _success(
    batch: Batch,
    response: HttpResponse,
    document: Mapping[str, Any],
    wrapped: Sequence[bool],
    name: str,
    *,
    single: bool,
) -> Outcome:
    responses = document.get("responses")
    if isinstance(responses, list):
        return _by_message(batch, response, document, [entry_of(element) for element in responses], wrapped, name)
    if single and response.status == 200:
        return _of_one(response, document)
    return answers.without_its_body(response)


def _of_one(response: HttpResponse, document: Mapping[str, Any]) -> Outcome:
    receipt = shortened(statuses.text_of(document.get("xactionId")))
    if not receipt or "inletId" not in document:
        return answers.without_its_body(response)
    return accepted(response, service=_ids(document), receipt=receipt)


def _ids(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _bounded(document[key]) for key in ("inletId", "batchId", "receivedTimeMs") if key in document}


def _by_message(
    batch: Batch,
    response: HttpResponse,
    document: Mapping[str, Any],
    entries: Sequence[Entry],
    wrapped: Sequence[bool],
    name: str,
) -> Outcome:
    pairs = list(zip(placed(entries, len(batch), statuses.text_of(document.get("batchId"))), wrapped, strict=True))
    # One accepted message in our envelope proves the envelope: what is refused beside it is refused for itself.
    proven = any(entry is not None and entry.accepted and ours for entry, ours in pairs)
    beside = any(entry is not None and entry.accepted for entry, _ in pairs)
    verdicts = [_verdict(entry, response, name, suspect=ours and not proven, beside=beside) for entry, ours in pairs]
    default, exceptions = _condensed(verdicts)
    return Outcome(
        default,
        exceptions=exceptions,
        signal=_signal(verdicts, response),
        singly=any(verdict.disposition is Disposition.UNKNOWN for verdict in verdicts),
        service=_ids(document),
        http_status=response.status,
        told=True,
    )


def _verdict(entry: Entry | None, response: HttpResponse, name: str, *, suspect: bool, beside: bool) -> Verdict:
    """What an entry means for its event; `suspect`: its envelope is ours, and nothing has proved it right; `beside`:
    another message was accepted.
    """
    if entry is None:
        return _unknown(response, "the answer does not tell what became of this event")
    if entry.accepted:
        return Verdict(Disposition.ACCEPTED, receipt=entry.receipt)
    status = entry.status or 0
    if status < 400:
        return _unknown(response, "the answer for this event cannot be read")
    problem = _problem(status, entry.text, name, refusals=_REFUSALS)
    if status not in _REFUSALS:
        # Beside an accepted message it is this one's trouble, and waits by itself, or it would go out with each turn.
        # (A token that were refused would be refused for all of them.)
        asked = status in (429, 503) and retry_after_seconds(response)
        own = status in (408, 425) or (beside and status < 600 and not asked and status != 500)
        doubt = Doubt.STRANGE if own else statuses.doubt_of_status(status)
        return Verdict(Disposition.DEFER, problem, entry.receipt, doubt)
    setting = _setting_at_fault(entry.text) if suspect else None
    if setting:
        return Verdict(Disposition.DEFER, _blamed(problem, setting, name), entry.receipt)
    if suspect and not _about_data(entry.text):  # it may be about what our configuration wrote, in words unknown here
        return Verdict(Disposition.DEFER, replace(problem, remedy=UNPROVEN), entry.receipt, Doubt.REFUSED)
    return Verdict(Disposition.REJECT, problem, entry.receipt)


def _unknown(response: HttpResponse, text: str) -> Verdict:
    problem = Problem("not_told_apart", text, "It is sent again, one by one and with the same _id.", response.status)
    return Verdict(Disposition.UNKNOWN, problem)


def _condensed(verdicts: Sequence[Verdict]) -> tuple[Verdict, dict[int, Verdict]]:
    """One verdict for as many events as can be, and the others by position: each of those costs the store a row."""
    accepted = [position for position, verdict in enumerate(verdicts) if verdict.disposition is Disposition.ACCEPTED]
    template = receipt_template([(position, verdicts[position].receipt) for position in accepted])
    if template:
        told = set(accepted)
        default = Verdict(Disposition.ACCEPTED, receipt=template)
        return default, {position: verdict for position, verdict in enumerate(verdicts) if position not in told}
    default = Counter(verdicts).most_common(1)[0][0]
    return default, {position: verdict for position, verdict in enumerate(verdicts) if verdict != default}


def _signal(verdicts: Sequence[Verdict], response: HttpResponse) -> Signal:
    """What the answer says about the destination as a whole: a pause first, then a plea to wait, then success."""
    waiting = [verdict.problem for verdict in verdicts if verdict.disposition is Disposition.DEFER and verdict.problem]
    doubted = all(one.doubt for one in verdicts if one.disposition is Disposition.DEFER)
    for problem in waiting if not doubted else ():
        if statuses.reading_of_status(problem.status or 0) not in (statuses.DEFER, statuses.WAIT):
            renewable = problem.code in answers.RENEWABLE
            return Signal(HoldState.PAUSED, problem, retry_after_seconds(response), renewable=renewable)
    seconds = retry_after_seconds(response) if waiting else None
    busy = not doubted and any(statuses.reading_of_status(one.status or 0) is statuses.WAIT for one in waiting)
    asked = busy or bool(seconds)  # whatever kept a message, a wait that was asked for binds
    if not asked and any(verdict.disposition is Disposition.ACCEPTED for verdict in verdicts):
        return WELL
    if len(verdicts) == 1 and verdicts[0].disposition is Disposition.UNKNOWN:
        waiting.append(verdicts[0].problem or Problem("not_told_apart", ""))  # alone already: at once would be for ever
    return Signal(HoldState.BACKING_OFF, waiting[0], seconds) if waiting else WELL


# --- whose fault it was ---------------------------------------------------------------------------------------------


def _problem(status: int, text: str, name: str, *, refusals: frozenset[int] = frozenset()) -> Problem:
    reading = statuses.REFUSE if status in refusals else statuses.reading_of_status(status)
    remedy = ""
    if reading is statuses.REFUSE:
        remedy = statuses.MEND
    elif reading is statuses.PAUSE:
        remedy = _REMEDIES.get(status, "Check endpoint in [destinations.{name}].")
    return Problem(f"http_{status}", text, remedy.format(name=name), status)


def _is_dccs(document: Mapping[str, Any] | None) -> bool:
    """Whether a refusal is DCCS's own: a problem with its type, or with its report."""
    if document is None:
        return False
    return "data-collection-service" in statuses.text_of(document.get("type")) or bool(_reason(document))


def _about_data(text: str) -> bool:
    """Whether a refusal speaks of the event's own fields, which no setting of ours wrote."""
    said = _PREAMBLE.sub("", text, count=1)
    return _HEADER.search(said) is None and _DATA.search(said) is not None


def _setting_at_fault(text: str) -> str | None:
    """The setting that a refusal speaks of, None when it speaks of nothing that we wrote."""
    if _about_data(text):
        return None
    said = _PREAMBLE.sub("", text, count=1)
    return next((setting for pattern, setting in _SETTINGS if pattern.search(said)), None)


def _blamed(problem: Problem, setting: str, name: str) -> Problem:
    return replace(problem, remedy=f"Check {setting} in [destinations.{name}]: Adobe refuses what it says.")


def _reason(document: Mapping[str, Any] | None) -> str:
    """The exact reason in a problem+json, rather than its title, which is the same for many reasons."""
    report = (document or {}).get("report")
    return statuses.text_of(report.get("message")) if isinstance(report, dict) else ""


def _bounded(value: Any) -> Any:
    return value if isinstance(value, int) else shortened(statuses.text_of(value))
