"""`requeue`, `prune` and `export`: mending, tidying and taking events along."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from edgequeue.cli.context import State, Wrong, epilog, json_option, known_destination
from edgequeue.cli.events import referenced, resolved, since_option
from edgequeue.cli.output import count, to_json, write_json, write_lines
from edgequeue.cli.since import parse_span
from edgequeue.model import Status

if TYPE_CHECKING:
    from edgequeue.queue import EventQueue
    from edgequeue.views import Record

_ALL = "all"


def _span(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    try:
        return None if value is None else parse_span(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


@click.command(
    epilog=epilog("edgequeue requeue k3v9q2xw-000000000042", "edgequeue requeue --all --to web", "edgequeue sync")
)
@click.argument("events", metavar="[EVENT]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All dead events; with --to those of one destination.")
@click.option("--to", metavar="NAME", help="With --all: only events for this destination.")
@json_option('{"requeued": …}.')
@click.pass_context
def requeue(ctx: click.Context, events: tuple[str, ...], everything: bool, to: str | None, as_json: bool) -> None:
    """Dead events become pending again, with their attempts given back, and are sent with the next sync or by run.

    The payload stays as it is; to mend it, enqueue a corrected copy. Events that are not dead are left alone.
    """
    if bool(events) == everything:
        raise click.UsageError("Name the events to requeue, or give --all (and not both).", ctx)
    if to is not None and not everything:
        raise click.UsageError("--to goes with --all.", ctx)
    state: State = ctx.obj
    with state.queue(missing="refuse") as queue:
        known_destination(queue, to)
        number = queue.requeue(destination=to, everything=True) if everything else _requeue_named(queue, events)
    if as_json:
        write_json({"requeued": number})
    else:
        click.echo(f"{count(number, 'event')} requeued.{' Send with: edgequeue sync' if number else ''}")


def _requeue_named(queue: EventQueue, texts: tuple[str, ...]) -> int:
    ids = list(dict.fromkeys(resolved(queue, text) for text in texts))
    for one in ids:
        record = queue.get(one)
        if record is not None and record.status is not Status.DEAD:
            click.echo(f"Note: {one} is {record.status.value}, not dead; it is left alone.", err=True)
    return queue.requeue(*ids)


@click.command(
    epilog=epilog("edgequeue prune", "edgequeue prune --older-than 1d --status delivered", "edgequeue prune --json")
)
@click.option(
    "--older-than",
    metavar="SPAN",
    callback=_span,
    help="Events that ended longer ago than this (7d, 12h, 30m); without it, those past keep_delivered_days and"
    " keep_dead_days.",
)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(["delivered", "dead"]),
    help="Only these; dead stands for every end but delivered. May be given twice; without it, both.",
)
@json_option('{"pruned": …}.')
@click.pass_obj
def prune(state: State, older_than: timedelta | None, statuses: tuple[str, ...], as_json: bool) -> None:
    """Delete events that have ended, with the requests they were in. They cannot be brought back.

    What waits is never touched, and the ledger keeps counting what is gone. The file does not shrink: its room is used
    again. The worker prunes by itself every hour.
    """
    days = None if older_than is None else older_than / timedelta(days=1)
    with state.queue(missing="refuse") as queue:
        number = queue.prune(days, statuses or ("delivered", "dead"))
    if as_json:
        write_json({"pruned": number})
    else:
        click.echo(f"{count(number, 'event')} pruned.")


@click.command(
    epilog=epilog(
        "edgequeue export --status dead > dead.jsonl",
        "edgequeue export --to web --output backlog.jsonl",
        "edgequeue export --reference P4711",
        "edgequeue --config other.toml enqueue backlog.jsonl",
    )
)
@click.argument("events", metavar="[EVENT]...", nargs=-1)
@click.option("--reference", metavar="KEY", help="Only events with this key of your own; see find.")
@click.option(
    "--status",
    type=click.Choice([*(one.value for one in Status), _ALL]),
    metavar="STATUS",
    help=f"Which events: {', '.join(Status)}, or all. Without it pending; all where events are named.",
)
@click.option("--to", metavar="NAME", help="Only events for this destination.")
@since_option
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to a new file that only you may read; one that exists is never overwritten. Without it: stdout.",
)
@click.pass_obj
def export(
    state: State,
    events: tuple[str, ...],
    reference: str | None,
    status: str | None,
    to: str | None,
    since: datetime | None,
    output: Path | None,
) -> None:
    """Write events out as JSON Lines that enqueue takes again, oldest first. The queue stays as it is.

    EVENT is what show takes; without any, all that the options leave. Each event keeps its _id, so the service can tell
    that it is the same one should it arrive twice.
    """
    chosen = bool(events) or reference is not None
    wanted = None if status == _ALL else status or (None if chosen else Status.PENDING)
    names: set[str] = set()
    with state.queue(missing="refuse", looking=True) as queue:
        known_destination(queue, to)
        ids = _chosen(queue, events, reference) if chosen else None

        def payloads() -> Iterator[bytes]:
            found = queue.export(wanted, to, since) if ids is None else _payloads(queue, ids, wanted, to, since)
            for record, payload in found:
                names.add(record.destination)
                yield payload

        if output is None:
            number = write_lines(payloads())
        else:
            with _new_file(output) as stream:
                number = write_lines(payloads(), stream)
    click.echo(f"{count(number, 'event')} exported{f' to {output}' if output else ''}.", err=True)
    if len(names) > 1:
        click.echo(f"Note: they are for {', '.join(sorted(names))}; export one at a time with --to.", err=True)


def _chosen(queue: EventQueue, texts: tuple[str, ...], reference: str | None) -> list[str]:
    """The ids that the events and the reference name, each once; both together mean what is in both."""
    named = list(dict.fromkeys(resolved(queue, text) for text in texts))
    if reference is None:
        return named
    found = [one.event_id for one in referenced(queue, reference)]
    return [one for one in found if one in named] if texts else found


def _payloads(
    queue: EventQueue, ids: list[str], status: str | None, to: str | None, since: datetime | None
) -> Iterator[tuple[Record, bytes]]:
    """The events of these ids that the options leave, with their payloads."""
    for event_id in ids:
        one = queue.get(event_id)
        if one is None or status not in (None, one.status) or to not in (None, one.destination):
            continue
        if since is not None and one.enqueued_at < since:
            continue
        if one.payload is None:
            click.echo(f"Note: {event_id} cannot be read: the file was damaged.", err=True)
        else:
            yield one, to_json(one.payload)


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file for its owner alone, on disk when the block ends; gone when the block raises."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise Wrong(f"{path} exists and is not overwritten. Name another file, or remove it.") from None
    except OSError as error:
        raise Wrong(f"{path} cannot be written: {error.strerror}. Name another file.") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
