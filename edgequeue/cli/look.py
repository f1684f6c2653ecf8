"""`status`, `why` and `requests`: how the queue stands, and what was sent. Reads; resolves no secret."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from edgequeue.cli.context import State, Wrong, epilog, json_option, known_destination
from edgequeue.cli.output import (
    age,
    clean,
    facts,
    local,
    local_full,
    salvaged,
    sentence,
    table,
    to_json,
    why_refused,
    write_json,
    write_lines,
)
from edgequeue.clock import in_zone

if TYPE_CHECKING:
    from edgequeue.views import DestinationView, Ledger, QueueStatus, RequestView

REQUESTS_SHOWN = 50
"""Requests listed for people where --limit says nothing else."""

_ENDS = ("delivered", "dead", "expired", "evicted", "erased", "lost")


@click.command(epilog=epilog("edgequeue status", "edgequeue status --json | jq .ledger"))
@json_option("one document, times in UTC.")
@click.pass_obj
def status(state: State, as_json: bool) -> None:
    """The queue at a glance: why nothing is sent, the ledger, the destinations, the last request, the worker.

    Delivered and the other endings count for ever: prune never lowers them.
    """
    with state.queue(missing="note", looking=True) as queue:
        found = queue.status()
    if as_json:
        write_json(found)
        return
    sentence(clean(found.why))
    click.echo()
    _say_ledger(found.ledger)
    if found.destinations:
        click.echo()
        _say_destinations(found)
    click.echo()
    worker = found.worker
    facts(
        [
            ("Worker", f"{worker.kind}, process {worker.pid}, since {local(worker.since)}" if worker else "none"),
            ("Database", f"{found.database} ({_size(found.disk_bytes)} with its log)"),
            ("Configuration", found.configuration),
            *(("Salvaged", f"{salvaged(one)}; see edgequeue doctor") for one in found.salvages),
        ]
    )


def _say_ledger(ledger: Ledger) -> None:
    """What was enqueued, and where each of it is; endings that never happened are left out."""
    parts = [f"{ledger.pending:,} pending", f"{ledger.sending:,} sending"]
    parts += [f"{getattr(ledger, name):,} {name}" for name in _ENDS if getattr(ledger, name) or name in _ENDS[:2]]
    facts([("Ledger", f"{ledger.enqueued:,} enqueued = {' + '.join(parts)}")])
    if not ledger.balanced:
        click.echo(click.style("The ledger does not balance. Run: edgequeue doctor", fg="red"))


def _say_destinations(found: QueueStatus) -> None:
    heads = ("Destination", "State", "Pending", "Sending", "Delivered", "Dead", "Oldest", "Next try")
    rows = [
        (
            name,
            view.state.replace("_", " "),
            f"{view.counts.pending:,}",
            f"{view.counts.sending:,}",
            f"{view.counts.delivered:,}",
            f"{view.counts.dead:,}",
            age(view.oldest_pending_at),
            # Promised only where somebody will make it.
            f"{in_zone(view.next_attempt_at):%H:%M:%S}" if view.next_attempt_at and found.worker else None,
        )
        for name, view in found.destinations.items()
    ]
    table(heads, rows, right=(2, 3, 4, 5), elastic=(0,))
    learned = [(name, text) for name, view in found.destinations.items() for text in view.learned]
    if learned:
        click.echo()
        facts(learned)
    last = _last_request(found.destinations)
    if last is not None:
        click.echo()
        facts([("Last request", _in_words(last))])


def _last_request(destinations: dict[str, DestinationView]) -> RequestView | None:
    known = [one.last_request for one in destinations.values() if one.last_request is not None]
    return max(known, key=lambda one: one.opened_at, default=None)


def _in_words(request: RequestView) -> str:
    answer = f", HTTP {request.http_status}" if request.http_status else ""
    trouble = f" ({why_refused(request.error)})" if request.error else ""
    events = f"{request.events:,} event{'' if request.events == 1 else 's'}"
    return (
        f"{local(request.opened_at)} to {request.destination}, {events}: {request.outcome or 'open'}{answer}{trouble}"
    )


def _size(size: int) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size = size / 1000  # type: ignore[assignment]
    return f"{size:.1f} GB"


@click.command(epilog=epilog("edgequeue why"))
@json_option('{"why": …}.')
@click.pass_obj
def why(state: State, as_json: bool) -> None:
    """One sentence: why nothing is being sent right now, and what would help."""
    with state.queue(missing="note", looking=True) as queue:
        text = queue.status().why
    if as_json:
        write_json({"why": text})
    else:
        sentence(clean(text))


@click.command(epilog=epilog("edgequeue requests --to web --limit 5", "edgequeue requests 4f0c2a71"))
@click.argument("request_id", metavar="[REQUEST_ID]", required=False)
@click.option("--to", metavar="NAME", help="Only requests to this destination.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help=f"The newest N requests. Without it {REQUESTS_SHOWN}, with --json all.",
)
@json_option("a line for each request; with REQUEST_ID one document. Times in UTC.")
@click.pass_obj
def requests(state: State, request_id: str | None, to: str | None, limit: int | None, as_json: bool) -> None:
    """What was sent, when, and with what answer, the newest first; or one request, by its id or its beginning.

    Requests are kept as long as the events they carried (see prune).
    """
    with state.queue(missing="refuse", looking=True) as queue:
        known_destination(queue, to)
        if request_id is not None:
            found = _the_one(queue.requests(request_id, destination=to, limit=11), request_id)
            write_json(found) if as_json else _say_request(found)
            return
        shown = limit or (None if as_json else REQUESTS_SHOWN + 1)
        many = queue.requests(destination=to, limit=shown)
    if as_json:
        write_lines(map(to_json, many))
        return
    if not many:
        click.echo("Nothing has been sent yet.")
        return
    _say_requests(many[: limit or REQUESTS_SHOWN])
    if not limit and len(many) > REQUESTS_SHOWN:
        click.echo(f"\nThe newest {REQUESTS_SHOWN}; for more: --limit N", err=True)


def _the_one(found: list[RequestView], text: str) -> RequestView:
    if not found:
        raise Wrong(f"no request {text!r}; it may have been pruned. See: edgequeue requests")
    if len(found) > 1:
        ids = "\n  ".join(one.request_id for one in found[:10])
        raise Wrong(f"{text!r} may be several requests; give more of it:\n  {ids}")
    return found[0]


def _say_requests(many: list[RequestView]) -> None:
    heads = ("Opened", "Request", "Destination", "Events", "Bytes", "Outcome", "HTTP", "Error")
    wide = not sys.stdout.isatty()
    rows = [
        (
            local(one.opened_at),
            one.request_id if wide else one.request_id[:8],
            one.destination,
            f"{one.events:,}",
            f"{one.bytes:,}",
            one.outcome or "open",
            one.http_status,
            one.error.code if one.error else None,
        )
        for one in many
    ]
    table(heads, rows, right=(3, 4), elastic=(2, 7))


def _say_request(one: RequestView) -> None:
    service = one.service.items()
    facts(
        [
            ("Request", one.request_id),
            ("Destination", one.destination),
            ("Opened", local_full(one.opened_at)),
            ("Closed", local_full(one.closed_at)),
            ("Outcome", one.outcome or "open"),
            ("HTTP status", one.http_status),
            ("Events", f"{one.events:,}"),
            ("Bytes", f"{one.bytes:,}"),
            ("Error", why_refused(one.error) if one.error else None),
            *((f"Its {key}", value if isinstance(value, str) else json.dumps(value)) for key, value in service),
        ]
    )
