"""Saying why: the state of each destination, and one sentence for the technician. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from edgequeue.clock import in_zone
from edgequeue.retry import Hold, HoldState
from edgequeue.store.base import DestinationRow
from edgequeue.views import DestinationView, Ledger, Reason, WorkerView

Clockface = Callable[[int], datetime]
"""Queue time in milliseconds -> wall-clock time."""

_NOBODY = "No worker is running: edgequeue sync sends once, edgequeue run for good."
_NOBODY_THEN = "No worker is running: run edgequeue sync then, or edgequeue run now."

_THEY_FAIL = "they fail wherever they go"

WORDS = {"ok": "ok", "offline": "offline", "backing_off": "backing off", "paused": "paused", "waiting": "waiting"}


def destination_view(
    row: DestinationRow,
    *,
    enabled: bool | None,
    now_ms: int,
    at: Clockface,
    place: str | None = None,
) -> DestinationView:
    """A destination as it is shown; `enabled` is None where the configuration does not have it. `place`: where its
    requests go (`Destination.place`); what was learned of another place is not told.
    """
    state, next_ms = _state(row, enabled=enabled, now_ms=now_ms)
    asked_ms = row.hold.asked_until_ms
    return DestinationView(
        type=row.type,
        state=state,
        reason=_reason(row, enabled, now_ms, at),
        next_attempt_at=at(next_ms) if next_ms is not None else None,
        oldest_pending_at=None if row.oldest_pending_ms is None else at(row.oldest_pending_ms),
        last_accepted_at=None if row.last_accepted_ms is None else at(row.last_accepted_ms),
        counts=row.counts,
        last_request=row.last_request,
        asked_until=at(asked_ms) if asked_ms > now_ms else None,
        worker=row.owner,
        learned=tuple(_learned(row, now_ms, at)) if place == row.learned.place else (),
    )


def _learned(row: DestinationRow, now_ms: int, at: Clockface) -> Iterator[str]:
    """What was learned of a destination and shows in what is sent to it."""
    learned, now = row.learned, at(now_ms)
    if learned.bytes_max is not None and now_ms < learned.bytes_until_ms:
        until = _clock(at(learned.bytes_until_ms), now)
        size = f"{learned.bytes_max / 1000:,.0f} KB"
        yield f"requests up to {size} until {until}, because larger ones did not get through"
    count, due_ms = row.suspects
    if count:
        events, they = ("1 event", "it fails wherever it goes") if count == 1 else (f"{count:,} events", _THEY_FAIL)
        when = f"; next try {_clock(at(due_ms), now)}" if due_ms is not None and due_ms > now_ms else ""
        yield f"{events} set aside: {they}{when}"
    if learned.echoes is False:
        yield "answers are not checked by our request id, because the service does not repeat it"


def _state(row: DestinationRow, *, enabled: bool | None, now_ms: int) -> tuple[str, int | None]:
    """The state's name, and when the next try is due where it waits."""
    if enabled is None:
        return "unconfigured", None
    if not enabled:
        return "paused", None
    if row.hold.state is not HoldState.OK and not _opened(row.hold, now_ms):
        next_ms = row.hold.until_ms if row.hold.waits(now_ms) else row.next_due_ms or 0
        return row.hold.state.value, next_ms if next_ms > now_ms else None
    if row.counts.pending and row.next_due_ms is not None and row.next_due_ms > now_ms:
        return "waiting", row.next_due_ms
    return "ok", None


def _reason(row: DestinationRow, enabled: bool | None, now_ms: int, at: Clockface) -> Reason | None:
    if enabled is False:
        remedy = f"Set enabled = true in [destinations.{row.name}]."
        return Reason("disabled", "it is switched off (enabled = false)", remedy, None)
    if enabled is None:
        text = f"the configuration has no destination {row.name!r} any more"
        return Reason("unconfigured", text, f"Put [destinations.{row.name}] back; its events are kept.", None)
    hold: Hold = row.hold
    if hold.problem is None or _opened(hold, now_ms):
        return _set_aside(row, now_ms)
    remedy = hold.problem.remedy
    if hold.asked_until_ms > now_ms:
        until = in_zone(at(hold.asked_until_ms)).strftime("%H:%M:%S")
        whose = "" if hold.state is HoldState.WAITING else "The service asked for this wait; "
        remedy = f"{whose}nothing is sent before {until}, also not by hand."
        remedy = remedy[:1].upper() + remedy[1:]
    return Reason(hold.problem.code, hold.problem.text, remedy, at(hold.since_ms))


def _opened(hold: Hold, now_ms: int) -> bool:
    """Whether it is a `not_before` that has passed."""
    return hold.state is HoldState.WAITING and not hold.waits(now_ms)


def _set_aside(row: DestinationRow, now_ms: int) -> Reason | None:
    """Where the destination is well and all that is pending waits: events that fail wherever they go."""
    if not row.counts.pending or row.next_due_ms is None or row.next_due_ms <= now_ms:
        return None
    error = row.last_request.error if row.last_request else None
    why_so = f": {error.message.rstrip('.')}" if error and error.message else ""
    text = f"what failed wherever it went is set aside{why_so}"
    remedy = "It is tried again by itself and holds up no other; edgequeue requests shows the answers."
    return Reason("set_aside", text, remedy, None)


def why(ledger: Ledger, destinations: Mapping[str, DestinationView], worker: WorkerView | None, now: datetime) -> str:
    """One sentence or two: why nothing is being sent right now, and what would help."""
    waiting = {name: one for name, one in destinations.items() if one.counts.pending or one.counts.sending}
    if not waiting:
        return _nothing_waits(ledger)
    texts = [_trouble(name, one, now, running=worker is not None) for name, one in waiting.items() if one.state != "ok"]
    well = {name: one for name, one in waiting.items() if one.state == "ok"}
    if well:
        texts.append(_sendable(well, worker, named=len(texts) > 0))
    # A pause says itself what to run.
    told = all(one.state in ("unconfigured", "paused") for one in waiting.values())
    if worker is not None or told:
        return " ".join(texts)
    return " ".join([*texts, _NOBODY_THEN if all(one.asked_until for one in waiting.values()) else _NOBODY])


def _sendable(well: Mapping[str, DestinationView], worker: WorkerView | None, *, named: bool) -> str:
    """What waits where nothing holds it back; `named`: there is trouble elsewhere, so say where."""
    count = sum(one.counts.pending + one.counts.sending for one in well.values())
    to = f" for {', '.join(well)}" if named else ""
    if worker is None:
        return f"{_events(count)}{to}."
    who = "a sync" if worker.kind == "sync" else "the worker"
    return f"{_events(count)}{to} and {who} (process {worker.pid}) is sending."


def _nothing_waits(ledger: Ledger) -> str:
    if ledger.enqueued == 0:
        return "The queue is empty: nothing has been enqueued yet."
    if ledger.dead:
        were = "was" if ledger.dead == 1 else "were"
        return (
            f"Nothing waits to be sent, but {ledger.dead} {were} refused: edgequeue list --status dead says why. "
            "Enqueue corrected copies; to send the same once more: edgequeue requeue --all."
        )
    if ledger.lost:
        were = "was" if ledger.lost == 1 else "were"
        return f"Nothing waits to be sent, but {ledger.lost:,} {were} lost to damage: edgequeue doctor says when."
    return "Nothing waits to be sent: everything that was enqueued has been delivered or otherwise ended."


def _events(count: int) -> str:
    return f"{count:,} event waits" if count == 1 else f"{count:,} events wait"


def _trouble(name: str, view: DestinationView, now: datetime, *, running: bool) -> str:
    """How many events a destination holds back, and what `held_back` says."""
    head = f"{_events(view.counts.pending + view.counts.sending)} for {name}"
    return f"{head}: {held_back(view, now, running=running)}"


def held_back(view: DestinationView, now: datetime, *, running: bool) -> str:
    """What holds a destination's events back, since when, and what would help; nothing for one that is well.

    A next try is promised only where somebody will make it: where a worker is `running`.
    """
    if view.state == "ok":
        return ""
    when = f"; next try {_clock(view.next_attempt_at, now)}" if view.next_attempt_at and running else ""
    reason = view.reason
    if reason is None:
        return f"each was refused and is tried again{when}."
    since = f" since {_clock(reason.since, now)}" if reason.since else ""
    label = "" if view.state == "unconfigured" else f"{WORDS[view.state]}{since}: "
    help_text = f" {reason.remedy}" if reason.remedy else ""
    if view.state == "paused" and reason.code != "disabled":
        help_text += " Then run: edgequeue sync."
    return f"{label}{reason.text.rstrip('.')}{when}.{help_text}"


def _clock(moment: datetime | None, now: datetime) -> str:
    """Local time, with the date when it is not today."""
    if moment is None:
        return "soon"
    local, today = in_zone(moment), in_zone(now)
    return local.strftime("%H:%M:%S" if local.date() == today.date() else "%Y-%m-%d %H:%M")
