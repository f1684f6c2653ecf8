"""Rows of docs/answers.md: answers, run through the code that reads answers, and what it made of them in words.

Nothing is decided here: `interpret`, `failed`, `weigh` and the token service's `reading` are asked, and described.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from edgequeue import AdobeDccs, AdobeEdge
from edgequeue.auth import Denied
from edgequeue.learning import NOTHING, Learned
from edgequeue.model import Batch, Claimed, Disposition, HttpResponse
from edgequeue.outcome import Outcome, Verdict
from edgequeue.retry import HoldState, RetryPolicy, Signal
from edgequeue.weighing import Trip, weigh

EDGE = AdobeEdge("NAME", datastream_id="ID")
SILENT = replace(EDGE, silent=True)
DCCS = AdobeDccs(
    "NAME", endpoint="https://dcs.example/collection/INLET", dataset_id="ds", schema_id="https://ns.example/s"
)
REQUEST_ID = "5f0c9c1e-7a55-4a57-9d6e-0d7c40a3b111"

ANSWERS_MAX = 50
"""So many answers in a row that do not kill an event never will."""

ASKED_SECONDS = 7
NOTHING_TO_DO = "nothing to do: it is tried again"
STATES = {HoldState.OK: "goes on", HoldState.OFFLINE: "offline", HoldState.BACKING_OFF: "backs off"}


class Cells(NamedTuple):
    """What an answer comes to, in words."""

    events: str
    destination: str
    remedy: str


class Row(NamedTuple):
    """A line of a table."""

    answer: str
    cells: Cells


def response(status: int, body: Any = b"", **headers: str) -> HttpResponse:
    """An answer; what is no bytes is written as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def batch(count: int, *, single: bool = False, payload: bytes = b'{"xdm":{}}') -> Batch:
    """A batch of events; `single`: one event on its way to DCCS's single endpoint."""
    travel_max = 0 if single else None
    records = tuple(Claimed(number, 1, 0, travel_max, payload, True) for number in range(count))
    return Batch(REQUEST_ID, records, tuple(payload for _ in records))


Read = Callable[[Batch], Outcome]


def cells(read: Read, *, learned: Learned = NOTHING) -> Cells:
    """What an answer comes to for a batch, and for an event alone where that differs."""
    together_read = read(batch(2))
    many, one = _weighed(together_read, 2, learned), _weighed(read(batch(1)), 1, learned)
    together, alone = state(many.signal), state(one.signal)
    held = together if together == alone else f"{together}; when one is alone: {alone}"
    return Cells(_events(many, one) + _later(many, together_read, learned), held, remedy(one.of(0), one.signal))


def _later(many: Outcome, read: Outcome, learned: Learned) -> str:
    """What becomes of a batch that is answered so again and again."""
    if many.split or many.verdict.doubt is None or not _weighed(read, 2, replace(learned, probed=True)).split:
        return ""
    return "; a batch is *halved in the end*"


def _weighed(outcome: Outcome, count: int, learned: Learned = NOTHING) -> Outcome:
    return _weigh(Trip(batch(count), outcome, 100), learned)[0]


def _weigh(trip: Trip, learned: Learned, *beside: Trip) -> tuple[Outcome, Learned]:
    found = weigh([trip, *beside], learned, probing=False, now_ms=0, policy=RetryPolicy(), unit_random=0.5)
    return found.outcomes[0], found.learned


def _events(many: Outcome, one: Outcome) -> str:
    if not many.split:
        return fate(one, one.of(0))
    return f"halved until each is alone; one alone is {fate(one, one.of(0))}"


def fate(outcome: Outcome, verdict: Verdict) -> str:
    """What becomes of an event that got this verdict by itself."""
    if verdict.disposition is Disposition.ACCEPTED:
        return "delivered"
    if verdict.disposition is Disposition.REJECT:
        return "dead"
    answers = answers_until_dead(replace(verdict, problem=None, receipt=None))
    fatal = f"; dead after {answers} such answers to it alone, while others are accepted" if answers else ""
    if outcome.unsent:
        return "kept, without a trace"
    if verdict.disposition is Disposition.UNKNOWN:
        return "kept: unknown, sent again with the same `_id`" + fatal
    return "kept" + fatal


@cache
def answers_until_dead(verdict: Verdict) -> int | None:
    """How many such answers to an event alone kill it, if another event is accepted beside each; None: never."""
    other = Claimed(99, 1, 0, None, b"{}", True)
    well = Trip(Batch(REQUEST_ID, (other,), (b"{}",)), Outcome(Verdict(Disposition.ACCEPTED)), 100)
    learned = NOTHING
    for number in range(1, ANSWERS_MAX):
        found, learned = _weigh(Trip(batch(1), Outcome(verdict), 100), learned, well)
        if found.of(0).disposition is Disposition.REJECT:
            return number
    return None


def state(signal: Signal | None) -> str:
    """What a signal does to the destination."""
    if signal is None:
        return STATES[HoldState.OK]
    if signal.state is not HoldState.PAUSED:
        return STATES[signal.state] + (" (a Retry-After binds)" if signal.retry_after_seconds == ASKED_SECONDS else "")
    return "pauses, if a new token does not help" if signal.renewable else "pauses"


def remedy(verdict: Verdict, signal: Signal | None) -> str:
    """What `status` or, where the destination goes on, `show` tells the operator to do."""
    if verdict.disposition is Disposition.ACCEPTED:
        return "–"
    problem = (signal.problem if signal else None) or verdict.problem
    return (problem.remedy if problem else "") or NOTHING_TO_DO


def denied(found: object) -> Cells:
    """What an answer of the token service comes to; no event is sent without a token."""
    if not isinstance(found, Denied):
        return Cells("sent, with the token", "goes on", "–")
    signal = Signal(found.state, found.problem, found.retry_after_seconds)
    return Cells("kept, without a trace", state(signal), found.problem.remedy or NOTHING_TO_DO)


def patient(status: int, body: Any = b"") -> HttpResponse:
    """An answer that asks for patience; whether it is listened to, the code decides."""
    return response(status, body, retry_after=str(ASKED_SECONDS))


# --- many answers in few rows -----------------------------------------------------------------------------------------


def by_status(read: Callable[[int], Cells], statuses: Iterable[int], *, beside: bool = False) -> list[Row]:
    """One row for all statuses that come to the same; the most of a class are "any", or beside others "any other"."""
    found = {status: read(status) for status in statuses}
    classes = {kind: [found[status] for status in found if status // 100 == kind] for kind in range(1, 6)}
    most = {kind: Counter(group).most_common(1)[0][0] for kind, group in classes.items() if len(group) > 1}
    rows: list[Row] = []
    for one in dict.fromkeys(found.values()):
        listed = [str(status) for status, cell in found.items() if cell == one and most.get(status // 100) != one]
        others = [
            f"any other {kind}xx" if beside or classes[kind].count(one) < len(classes[kind]) else f"any {kind}xx"
            for kind, cell in most.items()
            if cell == one
        ]
        rows.append(Row(", ".join((*listed, *others)), one))
    return sorted(rows, key=lambda row: row.answer)  # numbers first, then the rest


def merged(rows: Sequence[Row], between: str = "; ") -> list[Row]:
    """One row for all answers that come to the same."""
    distinct = dict.fromkeys(row.cells for row in rows)
    return [Row(between.join(row.answer for row in rows if row.cells == one), one) for one in distinct]


def table(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    lines = ["| answer | for the events | for the destination | what helps |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.answer} | {' | '.join(row.cells)} |" for row in rows]
    return "\n".join(lines)
