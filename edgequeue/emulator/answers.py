"""The shapes of a DCCS batch answer (207) on request: what the documents show, and what they leave open. Pure.

"Send multiple messages in a single HTTP request" shows an answer for 5 messages with 4 entries, and the one success
among them ends `:3` behind another prefix, while the prose calls it the first message; the newer shape is that of
Adobe's own client. Whatever the shape: the messages that the answer refuses are not accepted, all others are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from edgequeue.emulator.bodies import foreign_entry
from edgequeue.emulator.contract import Accepted, Answer, Verdict
from edgequeue.emulator.faults import Fault

Entry = dict[str, Any]
TEXTS: Mapping[int, str] = {
    401: "[id] Ims service token is empty", 403: "[id] Ims service token is invalid or expired",
    404: "Inlet does not exist", 429: "Too many requests", 500: "Error in processing payload",
    503: "Service is not currently available",
}  # fmt: skip
"""What a refused entry says (titles and texts of the tutorial's response codes)."""


def reshape(fault: Fault, verdict: Verdict) -> tuple[Answer, Sequence[Accepted]]:
    """The batch answer in the fault's shape, and the messages that it does not refuse.

    A verdict without messages (a single message, a batch refused whole) stays as it is.
    """
    if not verdict.messages or verdict.answer.status != 207:
        return verdict.answer, verdict.accepted
    document = json.loads(verdict.answer.body)
    entries = _entries(fault, verdict.messages, document)
    taken = {id(one) for one in verdict.accepted}  # a message that is silently lost is neither refused nor accepted
    accepted = [
        one for one, entry in zip(verdict.messages, entries, strict=True) if id(one) in taken and not is_refused(entry)
    ]
    document["responses"] = _ordered(fault, verdict.messages, entries)
    return replace(verdict.answer, body=json.dumps(document, separators=(",", ":")).encode()), accepted


def is_refused(entry: Entry) -> bool:
    """Whether an entry refuses its message: it has a status, by either name, and not one of success."""
    status = entry.get("status", entry.get("statusCode"))
    return status is not None and not 200 <= status <= 299


def _entries(fault: Fault, messages: Sequence[Accepted], document: Entry) -> list[Entry]:
    """An entry for each message, in their order: what the service said, or the fault's status, in the fault's shape."""
    found: list[Entry] = []
    for index, (message, own) in enumerate(zip(messages, document["responses"], strict=True)):
        status, text = own.get("status", own.get("statusCode")), own.get("message")
        if fault.status is not None and fault.event_id in (None, message.id) and not is_refused(own):
            status, text = fault.status, TEXTS.get(fault.status, "emulated")
        newer = fault.form == "newer" or (fault.form == "mixed" and index % 2 == 1)
        if fault.form not in ("older", "newer", "mixed"):
            newer = "status" in own or "-" in own.get("xactionId", "")
        entry_id = _newer_id(own, document["batchId"], index) if newer else f"{document['batchId']}:{index}"
        found.append(_entry(newer, entry_id, status, text))
    return found


def _newer_id(own: Entry, batch_id: str, index: int) -> str:
    given = str(own.get("xactionId", ""))
    return given if "-" in given else f"{uuid5(NAMESPACE_URL, batch_id)}-{index}"


def _entry(newer: bool, entry_id: str, status: int | None, text: str | None) -> Entry:
    entry: Entry = {"xactionId": entry_id}
    if status is None:
        return entry
    told = {"message": text} if text else {}
    if newer:
        return entry | {"status": status} | told
    return {"statusCode": status} | told | (entry if 200 <= status <= 299 else {})


def _ordered(fault: Fault, messages: Sequence[Accepted], entries: list[Entry]) -> list[Entry]:
    """The entries as they are sent."""
    if fault.form == "swapped":
        return entries[::-1]
    if fault.form == "foreign":
        return [foreign_entry(entry) for entry in entries]
    if fault.form in ("missing", "unknown_entry"):
        ids = [message.id for message in messages]
        one = ids.index(fault.event_id) if fault.event_id in ids else 0
        instead: list[Entry] = [{"note": "queued"}] if fault.form == "unknown_entry" else []
        return [*entries[:one], *instead, *entries[one + 1 :]]
    return entries
