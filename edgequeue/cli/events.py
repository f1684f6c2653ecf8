"""`list`, `show` and `find`: what became of events. Reads; resolves no secret."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import click

from edgequeue.cli.context import State, Wrong, epilog, json_option, known_destination
from edgequeue.cli.output import (
    clean,
    count,
    facts,
    local,
    local_full,
    table,
    to_json,
    why_refused,
    write_json,
    write_lines,
)
from edgequeue.cli.since import FORMS, parse_since
from edgequeue.explain import held_back
from edgequeue.model import Disposition, Status

if TYPE_CHECKING:
    from edgequeue.queue import EventQueue
    from edgequeue.views import QueueStatus, Record, RecordDetail

EVENTS_SHOWN = 50
"""Events listed for people where --limit says nothing else."""

COUNTED_MAX = 1000
"""How many further events are counted for the note below the list."""

FEW = 5
"""As many events found by their reference are shown with all that is known of them, for people."""

STATUSES = click.Choice([status.value for status in Status])


def _since(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    try:
        return None if value is None else parse_since(value, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


since_option = click.option(
    "--since", metavar="TIME", callback=_since, help=f"Only events enqueued since then: {FORMS}; local time."
)


@click.command(
    "list",
    epilog=epilog("edgequeue list --status dead", "edgequeue list --since tuesday --to web", "edgequeue list --json"),
)
@click.option("--status", type=STATUSES, metavar="STATUS", help=f"Only events that are {', '.join(Status)}.")
@click.option("--to", metavar="NAME", help="Only events for this destination.")
@since_option
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help=f"The newest N, newest first. Without it the newest {EVENTS_SHOWN}; with --json all, oldest first.",
)
@json_option("a line for each event, times in UTC.")
@click.pass_obj
def list_events(
    state: State, status: str | None, to: str | None, since: datetime | None, limit: int | None, as_json: bool
) -> None:
    """Events by status, destination and time of enqueue, the newest first.

    Events that were pruned are not listed any more; the ledger (status) still counts them.
    """
    with state.queue(missing="note", looking=True) as queue:
        known_destination(queue, to)
        newest_first = not as_json or limit is not None
        wanted_max = limit if as_json or limit else EVENTS_SHOWN + COUNTED_MAX + 1
        found = queue.events(status, to, since, wanted_max, newest_first)
        if as_json:
            write_lines(map(to_json, found))
            return
        shown = list(islice(found, limit or EVENTS_SHOWN))
        if not shown:
            click.echo("No such events." if status or to or since else "No events.")
            if status == Status.LOST and not (to or since) and (lost := queue.status().ledger.lost):
                click.echo(f"{count(lost, 'event')} left no row behind: their ids are not known. See: edgequeue doctor")
            return
        _say_records(shown)
        more = 0 if limit else sum(1 for _ in found)
    if more:
        figure = f"more than {COUNTED_MAX:,}" if more > COUNTED_MAX else f"{more:,}"
        click.echo(f"\n… and {figure} more: --limit N shows the newest N, --json all of them.")


def _say_records(records: Iterable[Record]) -> None:
    """A table; in a terminal of the usual width ids are shortened to what `show` understands."""
    short = sys.stdout.isatty()
    rows = [
        (
            local(one.enqueued_at),
            one.event_id[:21] if short else one.event_id,
            one.destination,
            one.status.value,
            one.reference,
            _note(one),
        )
        for one in records
    ]
    table(("Enqueued", "Event", "Destination", "Status", "Reference", "Note"), rows, elastic=(2, 4, 5))


_PREAMBLE = re.compile(r"^(?:\w+: \[[^\]]*\] )+")
"""What DCCS puts before each refusal (inletId, imsOrgId): in a narrow column it would hide what is wrong."""


def _note(record: Record) -> str | None:
    """The one thing to know beside the status."""
    if record.error is not None:
        return _PREAMBLE.sub("", why_refused(record.error), count=1)
    if record.next_attempt_at is not None:
        return f"next try {local(record.next_attempt_at)}"
    return None


@click.command(epilog=epilog("edgequeue find P4711"))
@click.argument("reference")
@json_option("a line for each event, times in UTC.")
@click.pass_obj
def find(state: State, reference: str, as_json: bool) -> None:
    """Events by your own key, such as an order number: what enqueue --reference or reference_path set.

    A few are shown with the time of their delivery and the service's receipt, more of them as list shows them.
    """
    with state.queue(missing="refuse", looking=True) as queue:
        found = referenced(queue, reference)
        few = [] if as_json or len(found) > FEW else [queue.get(one.event_id) for one in found]
    if as_json:
        write_lines(map(to_json, found))
        return
    if not few:
        _say_records(found)
        click.echo("\nReceipts and times of delivery: edgequeue show EVENT")
    for number, one in enumerate(one for one in few if one is not None):
        if number:
            click.echo()
        _say_facts(one)


def referenced(queue: EventQueue, reference: str) -> list[Record]:
    """The events with that reference, oldest first; Wrong where there is none."""
    found = queue.find(reference) if _is_text(reference) else []
    if not found:
        raise Wrong(f"no event has the reference {reference!r}. It may have been pruned, or was never enqueued here.")
    return found


# --- one event -------------------------------------------------------------------------------------------------------


@click.command(epilog=epilog("edgequeue show k3v9q2xw-000000000042", "edgequeue show --json order-4711"))
@click.argument("event")
@json_option("one document, times in UTC.")
@click.pass_obj
def show(state: State, event: str, as_json: bool) -> None:
    """One event: status, times, error, each request it was in, and its payload.

    EVENT is an event id, the _id in the payload, or the beginning of either if only one event begins like that.
    """
    with state.queue(missing="refuse", looking=True) as queue:
        found = queue.get(resolved(queue, event))
        standing = None if found is None or as_json else queue.status()
    if found is None:
        raise _unknown(event)
    if standing is None:
        write_json(found)
    else:
        _say_record(found, standing)


def resolved(queue: EventQueue, text: str) -> str:
    """The id of the one event that a text may mean; Wrong where there is none, or several."""
    ids = queue.resolve(text) if text and _is_text(text) else []
    if not ids:
        raise _unknown(text)
    if len(ids) > 1 and text not in ids:
        listed = "\n  ".join(ids)
        raise Wrong(f"{text!r} may be several events; give more of the id:\n  {listed}")
    return text if text in ids else ids[0]


def _unknown(text: str) -> Wrong:
    return Wrong(f"no event {text!r} in this queue; it may have been pruned, or lost to damage. See: edgequeue list")


def _is_text(text: str) -> bool:
    """Whether it can be stored at all: bytes on the command line that are no UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _say_record(one: RecordDetail, standing: QueueStatus) -> None:
    _say_facts(one)
    held = _held_back(one, standing)
    if held:
        click.echo()
        facts([("Held back", held)])
    click.echo()
    _say_history(one)
    click.echo("\nPayload")
    if one.payload is None:
        click.echo("  It cannot be read: the file was damaged.")
        return
    for line in json.dumps(one.payload, indent=2, ensure_ascii=False).splitlines():
        click.echo("  " + clean(line))


def _say_facts(one: RecordDetail) -> None:
    delivered_at = _delivered_at(one)
    facts(
        [
            ("Event", one.event_id),
            ("Status", one.status.value),
            ("Destination", one.destination),
            ("Reference", one.reference),
            ("Priority", one.priority),
            ("Enqueued", local_full(one.enqueued_at)),
            ("Occurred", local_full(one.occurred_at) if one.occurred_at else None),
            ("Delivered", local_full(delivered_at) if delivered_at else None),
            ("Attempts", f"{one.attempts:,}"),
            ("Next try", local_full(one.next_attempt_at) if one.next_attempt_at else None),
            ("Receipt", one.receipt),
            ("Error", why_refused(one.error) if one.error else None),
        ]
    )


def _held_back(one: RecordDetail, standing: QueueStatus) -> str:
    """What keeps a pending event's destination from being sent to; nothing where nothing does."""
    view = standing.destinations.get(one.destination)
    if view is None or one.status is not Status.PENDING:
        return ""
    return held_back(view, datetime.now(UTC), running=standing.worker is not None)


def _delivered_at(one: RecordDetail) -> datetime | None:
    """When the answer came that accepted it; None where no request of its history did."""
    return next((entry.closed_at for entry in one.history if entry.disposition == Disposition.ACCEPTED), None)


def _say_history(one: RecordDetail) -> None:
    if not one.history:
        click.echo("It was in no request yet.")
        return
    click.echo(f"It was in {count(len(one.history), 'request')}:")
    rows = [
        (
            local(entry.opened_at),
            entry.request_id[:8] if sys.stdout.isatty() else entry.request_id,
            f"{entry.events:,}",
            entry.disposition or "open",
            entry.http_status,
            why_refused(entry.error) if entry.error else entry.receipt,
        )
        for entry in one.history
    ]
    table(("Opened", "Request", "Events", "For this event", "HTTP", "Answer"), rows, right=(2,), elastic=(5,))
