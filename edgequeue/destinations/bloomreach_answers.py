"""How Bloomreach's answers are read: a 200 says for each command what became of it, refusals say whose fault it was.

Pure; nothing here raises. A command is dead where the service itself says so of it: retrying, say its documents, will
not help. A missing permission is no fault of the command: it pauses the destination, unless another command was
accepted beside it. Then the credentials are good, and what is missing is the permission for this kind of command;
those would be refused one by one and for ever, so they are set aside as dead, to be requeued when it is granted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from edgequeue.destinations.statuses import MEND, PAUSE, REFUSE, outcome_of, reading_of_status, text_of
from edgequeue.model import Batch, Disposition, HttpResponse, Problem
from edgequeue.outcome import Outcome, Verdict
from edgequeue.reading import is_foreign, is_page, json_object, nobodys, paused, retry_after_seconds, shortened
from edgequeue.retry import WELL, HoldState, Signal

_ACCESS = "Check public_token, or private_key_id and private_secret, in [destinations.{name}]."
_REMEDIES = {
    401: "Bloomreach does not know this access key. " + _ACCESS,
    403: "The access key is not valid or lacks permissions. " + _ACCESS,
    404: "Bloomreach does not know this address. Check endpoint, project_token and path in [destinations.{name}].",
    407: "The proxy wants credentials. Check proxy in [destinations.{name}].",
}
_PERMISSION = "Give the access key of [destinations.{name}] the permission Set on customer properties and on events"
_REQUEUE = "; then run edgequeue requeue. It is in Bloomreach's Project settings, Access management."

_OURS = (
    (re.compile(r"\bauthenticat|\baccess (key|token)\b", re.IGNORECASE), _ACCESS, True),
    (re.compile(r"\bproject (id|token)\b", re.IGNORECASE), "Check project_token in [destinations.{name}].", False),
)
"""Texts about our configuration: the remedy, and whether other credentials may be all that it takes."""

_UNAUTHORISED = re.compile(r"not authori[sz]ed\b", re.IGNORECASE)


class Entry(NamedTuple):
    """One result: which command it names, whether it was accepted (None: not said), and what the service says."""

    command_id: str | None
    accepted: bool | None
    text: str


def interpret(batch: Batch, response: HttpResponse, name: str) -> Outcome:
    """What an answer means for each command; `name` is the destination's."""
    if is_page(response):
        return nobodys(response, "a web page, not an answer of Bloomreach's")
    if is_foreign(response) or response.status == 204:
        return nobodys(response, "not a status that Bloomreach answers with")
    document = json_object(response.body) or {}
    succeeds = response.status == 200 and document.get("success") is not False
    if succeeds and isinstance(document.get("results"), list):
        return _by_command(batch, response, [entry_of(one) for one in document["results"]], name)
    if succeeds or 200 < response.status < 300:
        return nobodys(response, "a success without the results that Bloomreach answers with", maybe_taken=True)
    return replace(_whole(batch, response, document, name), service=_ids(response))


def _whole(batch: Batch, response: HttpResponse, document: Mapping[str, Any], name: str) -> Outcome:
    """A request that was refused, or failed, without a word on its commands."""
    status, own = response.status, said(document)
    text = own or shortened(response.body[:2000].decode("utf-8", "replace")) or f"HTTP {status} without a text"
    problem = Problem(f"http_{status}", text, "", status)
    for pattern, remedy, renewable in _OURS if status in (200, 400) else ():
        if pattern.search(own):
            return paused(response, replace(problem, remedy=remedy.format(name=name)), renewable=renewable)
    reading = REFUSE if status == 200 else reading_of_status(status)  # 200 with "success": false
    if reading is PAUSE:
        remedy = _REMEDIES.get(status, "Check endpoint and path in [destinations.{name}].")
        problem = replace(problem, remedy=remedy.format(name=name))
    # No refusal of a whole request is definite: none of Bloomreach's says which command it is about.
    return outcome_of(reading, response, batch, problem, definite=False, renewable=status in (401, 403))


def entry_of(element: Any) -> Entry:
    """One element of `results`, whatever it is."""
    if not isinstance(element, dict):
        return Entry(None, None, "")
    named, success = element.get("command_id"), element.get("success")
    return Entry(
        named if isinstance(named, str) else None, success if isinstance(success, bool) else None, said(element)
    )


def said(document: Mapping[str, Any]) -> str:
    """What the service says went wrong, on one line: `error`, `errors` and `message`, as text, list or object."""
    texts: list[str] = []
    for key in ("error", "errors", "message"):
        value = document.get(key)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and "description" in one:
                one = ": ".join(filter(None, (text_of(one.get("code")), text_of(one["description"]))))
            texts.append(text_of(one))
    return shortened("; ".join(dict.fromkeys(filter(None, texts))))


def placed(entries: Sequence[Entry], sent: Sequence[str | None]) -> list[Entry | None]:
    """For each command the entry that speaks of it; None where that cannot be told.

    By `command_id` where every entry has one that we sent once and names once: then their order and number do not
    matter. Else by position, where there are as many and no entry names another command than that at its place. Else
    nothing is known.
    """
    once = {command_id for command_id, count in Counter(sent).items() if command_id is not None and count == 1}
    named = {entry.command_id: entry for entry in entries}
    if entries and len(named) == len(entries) and named.keys() <= once:
        return [named.get(command_id) for command_id in sent]
    fits = len(entries) == len(sent) and all(
        entry.command_id in (None, command_id) for entry, command_id in zip(entries, sent, strict=True)
    )
    return list(entries) if fits else [None] * len(sent)


# --- command by command -----------------------------------------------------------------------------------------------


def _by_command(batch: Batch, response: HttpResponse, entries: Sequence[Entry], name: str) -> Outcome:
    found = placed(entries, [_command_id(record.payload) for record in batch.records])
    beside = any(entry is not None and entry.accepted for entry in found)
    receipt = _ids(response).get("requestId")
    verdicts = [_verdict(entry, response, name, receipt, beside=beside) for entry in found]
    default = Counter(verdicts).most_common(1)[0][0]  # an exception costs the store a row
    return Outcome(
        default,
        exceptions={position: verdict for position, verdict in enumerate(verdicts) if verdict != default},
        signal=_signal(verdicts, response),
        singly=any(verdict.disposition is Disposition.UNKNOWN for verdict in verdicts),
        service=_ids(response),
        http_status=response.status,
        told=True,
    )


def _verdict(entry: Entry | None, response: HttpResponse, name: str, receipt: str | None, *, beside: bool) -> Verdict:
    """What an entry means for its command; `beside`: another command of the request was accepted."""
    if entry is None or entry.accepted is None:
        text = "the answer does not tell what became of this command"
        problem = Problem("not_told_apart", text, "It is sent again by itself, the same to the byte.", response.status)
        return Verdict(Disposition.UNKNOWN, problem)
    if entry.accepted:
        return Verdict(Disposition.ACCEPTED, receipt=receipt)
    text = entry.text or "refused without a reason"
    if not _UNAUTHORISED.match(text):
        return Verdict(Disposition.REJECT, Problem("command_refused", text, MEND, response.status))
    remedy = _PERMISSION.format(name=name) + (_REQUEUE if beside else ".")
    problem = Problem("not_authorized", text, remedy, response.status)
    return Verdict(Disposition.REJECT if beside else Disposition.DEFER, problem)


def _signal(verdicts: Sequence[Verdict], response: HttpResponse) -> Signal:
    """What the answer says about the destination as a whole: a missing permission pauses it."""
    for verdict in verdicts:
        if verdict.disposition is Disposition.DEFER:
            return Signal(HoldState.PAUSED, verdict.problem, retry_after_seconds(response), renewable=True)
    if len(verdicts) == 1 and verdicts[0].disposition is Disposition.UNKNOWN:
        # It is alone already: sent again at once, that would be for ever.
        return Signal(HoldState.BACKING_OFF, verdicts[0].problem, retry_after_seconds(response))
    return WELL


def _command_id(payload: bytes) -> str | None:
    """The `command_id` of a stored command."""
    found = orjson.loads(payload).get("command_id")
    return found if isinstance(found, str) else None


def _ids(response: HttpResponse) -> dict[str, str]:
    """Bloomreach's id of the request, which is the receipt of all its commands."""
    answered = shortened(response.header("x-request-id") or "")
    return {"requestId": answered} if answered else {}
