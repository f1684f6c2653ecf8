"""Which entry of a DCCS answer is about which event of the request.

Pure; nothing here raises. Adobe never states the order of `responses`, and its documented part-failure has five
messages, four answers and one receipt that ends with an index the text contradicts. So position alone is not trusted
where the receipts say otherwise, and an index is not trusted unless the whole answer bears it out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from edgequeue.destinations.statuses import text_of
from edgequeue.reading import shortened

UNREADABLE = -1
"""The status of an entry that states one which is no HTTP status, or that is no entry of DCCS at all."""

_SUFFIX = re.compile(r"(?P<prefix>.+)(?P<mark>[:-])(?P<index>[0-9]{1,6})")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_STATUS = re.compile(r"[1-5][0-9]{2}")


class Entry(NamedTuple):
    """One element of `responses`: `status` is None where a success has none, `receipt` is its xactionId."""

    status: int | None
    receipt: str | None
    text: str

    @property
    def accepted(self) -> bool:
        """Whether the message was taken."""
        return self.status is None or 200 <= self.status < 300


def entry_of(element: Any) -> Entry:
    """Read one element in either documented form: `statusCode` and `message`, or `xactionId`, `status`, `message`."""
    if not isinstance(element, dict):
        return Entry(UNREADABLE, None, "")
    receipt = element.get("xactionId")
    receipt = shortened(receipt) or None if isinstance(receipt, str) else None
    stated = element.get("statusCode")
    status = _status(element.get("status") if stated is None else stated)
    if status is None and receipt is None:
        status = UNREADABLE  # neither a receipt nor a status: nothing says that it was taken
    text = "; ".join(filter(None, (text_of(element.get(key)) for key in ("message", "title", "detail"))))
    return Entry(status, receipt, shortened(text) or "no reason given")


def _status(value: Any) -> int | None:
    """A status, written as a number or as text; None when there is none."""
    if value is None:
        return None
    text = str(value).strip() if isinstance(value, str | int) else ""
    return int(text) if _STATUS.fullmatch(text) else UNREADABLE


def placed(entries: Sequence[Entry], sent: int, batch_id: str) -> list[Entry | None]:
    """For each of the `sent` events the entry that answers it; None where the answer does not tell.

    The index at the end of an xactionId counts only if every success and every refusal with an xactionId has one,
    they are distinct and below the number sent, and what stands before them is the answer's own batchId (`…:0`) or a
    UUID (`…-0`). Otherwise the position counts, if there are as many entries as events. Where both count and disagree,
    nothing is known. Fewer entries than events with trusted indices: the others are unknown.
    """
    indices = _trusted_indices(entries, sent, batch_id)
    if len(entries) == sent:
        agree = indices is None or all(entries[index] is entry for index, entry in indices.items())
        return list(entries) if agree else [None] * sent
    if indices is None or len(entries) > sent:
        return [None] * sent
    return [indices.get(position) for position in range(sent)]


def _trusted_indices(entries: Sequence[Entry], sent: int, batch_id: str) -> dict[int, Entry] | None:
    """Event position -> entry, by the index that each xactionId ends with; None when they cannot be trusted."""
    indices: dict[int, Entry] = {}
    for entry in entries:
        if entry.receipt is None and not entry.accepted:
            continue  # the older form of a refusal carries no xactionId
        found = _SUFFIX.fullmatch(entry.receipt or "")
        if not found:
            return None
        before = found["prefix"]
        ours = before == batch_id if found["mark"] == ":" else _UUID.fullmatch(before) is not None
        index = int(found["index"])
        if not ours or index >= sent or index in indices:
            return None
        indices[index] = entry
    return indices or None


def receipt_template(receipts: Sequence[tuple[int, str | None]]) -> str | None:
    """`<prefix>:{position}` when each (position, receipt) reads so; None otherwise. It spares a row for each event."""
    prefixes = set()
    for position, receipt in receipts:
        prefix, colon, index = (receipt or "").rpartition(":")
        if not colon or index != str(position) or "{" in prefix:
            return None
        prefixes.add(prefix)
    return prefixes.pop() + ":{position}" if len(prefixes) == 1 else None
