"""`enqueue`: events from files or standard input into the queue, in one transaction."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from edgequeue.cli.context import Code, State, epilog, json_option
from edgequeue.cli.output import count, to_json, write_json, write_lines
from edgequeue.cli.reading import Entry, read_events
from edgequeue.errors import InvalidEvent

if TYPE_CHECKING:
    from edgequeue.destinations.base import Destination
    from edgequeue.queue import EventQueue


class Feed:
    """The events of all files for one destination, one at a time, with the place of the one handed over last.

    Where `label` is set, what is invalid is reported on stderr under that label and left out; else it is raised.
    """

    def __init__(self, queue: EventQueue, to: str | None, files: Sequence[str], label: str | None) -> None:
        self._queue = queue
        self._to = to
        self._files = files
        self._label = label
        self._entry: Entry | None = None
        self._part: int | None = None
        self.valid = self.invalid = 0
        self.refused: InvalidEvent | None = None

    @property
    def where(self) -> str:
        """The place of the event handed over last."""
        place = self._entry.where if self._entry else ""
        return place if self._part is None else f"{place}, event {self._part}"

    def __iter__(self) -> Iterator[Any]:
        for file in self._files:
            name = "standard input" if file == "-" else click.format_filename(file)
            before = self.valid + self.invalid
            for event in self._events(file, name):
                self.valid += 1
                yield event
            if self.valid + self.invalid == before:
                click.echo(f"Note: {name} is empty.", err=True)

    def _events(self, file: str, name: str) -> Iterator[Any]:
        try:
            with _opened(file) as stream:
                for entry in read_events(stream, name):
                    if isinstance(entry, InvalidEvent):
                        self._refuse(entry)
                    else:
                        yield from self._parts(entry)
        except OSError as error:
            self._refuse(InvalidEvent(f"it cannot be read: {error.strerror}", remedy="Check it.", where=name))

    def _parts(self, entry: Entry) -> Iterator[Any]:
        """The events of one value: a whole request document is taken apart."""
        self._entry, self._part = entry, None
        try:
            _refuse_what_is_no_event(entry.value)
            _refuse_other_type(entry.value, self._queue.target(self._to))
            parts = self._queue.split(entry.value, self._to)
        except InvalidEvent as error:
            self._refuse(error.at(self.where))
            return
        whole = len(parts) == 1 and parts[0] is entry.value
        for number, part in enumerate(parts, start=1):
            self._part = None if whole else number
            if self._label is None:
                yield part
                continue
            try:
                self._queue.check(part, self._to)
            except InvalidEvent as error:
                self._refuse(error.at(self.where))
            else:
                yield part

    def _refuse(self, error: InvalidEvent) -> None:
        self.invalid += 1
        if self._label is None:
            self.refused = error
            raise error
        click.echo(f"{self._label}: {error}", err=True)


_KINDS = {str: "a text", bool: "true or false", int: "a number", float: "a number", type(None): "null", list: "a list"}

_DOCUMENTS = {"adobe-edge": "events", "adobe-dccs": "messages", "bloomreach": "commands"}
"""Type of destination -> the key under which its whole request documents have their events."""


def _refuse_what_is_no_event(value: Any) -> None:
    """InvalidEvent for JSON that is no object."""
    if not isinstance(value, Mapping):
        kind = _KINDS.get(type(value), "no object")
        raise InvalidEvent(f"this is {kind}, not an event", remedy="Write one JSON object per line.")


def _refuse_other_type(document: Mapping[str, Any], target: Destination) -> None:
    """InvalidEvent for a whole request document as another type of destination takes it."""
    own = _DOCUMENTS.get(target.type)
    for kind, key in _DOCUMENTS.items():
        if own is not None and key != own and isinstance(document.get(key), list) and "xdm" not in document:
            raise InvalidEvent(
                f'{{"{key}": […]}} is a request document for {kind}, and {target.name!r} is of type {target.type}',
                remedy=f'Choose a destination of type {kind} with --to, or write {{"{own}": […]}}.',
            )


def _opened(file: str) -> AbstractContextManager[IO[bytes]]:
    if file == "-":
        return nullcontext(sys.stdin.buffer)
    return Path(file).open("rb")


@click.command(
    epilog=epilog(
        "edgequeue enqueue sales.jsonl",
        "jq -c .sales[] today.json | edgequeue enqueue --priority high",
        "edgequeue enqueue --reference P4711 sale.json",
        "edgequeue enqueue --check --to web *.json",
    )
)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--to", metavar="NAME", help="The destination; may be left out where there is only one.")
@click.option(
    "--priority",
    type=click.Choice(["high", "normal", "low"]),
    default="normal",
    show_default=True,
    help="What is sent first: all of high, then normal, then low.",
)
@click.option("--reference", metavar="TEXT", help="Your own key for the events, 1 to 200 characters; see find.")
@click.option("--skip-invalid", is_flag=True, help="Store the valid ones, report the others on stderr; exit code 4.")
@click.option("--check", is_flag=True, help="Store nothing; say how many are valid, and what is wrong with the others.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="How long to wait while another process writes; then exit code 5, and nothing is stored.",
)
@json_option('{"event_id": …} for each; with --check {"valid": …, "invalid": …}.')
@click.pass_context
def enqueue(
    ctx: click.Context,
    files: tuple[str, ...],
    to: str | None,
    priority: str,
    reference: str | None,
    skip_invalid: bool,
    check: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Store events; print an id for each, in the order of the input.

    FILE holds JSON Lines (an event a line, read as a stream) or a JSON document of at most 64 MB: an event, an array
    of events, or a whole request document. - is standard input, also where no FILE is given.

    All events of all files are stored in one transaction or none is. When this ends with 0, they survive a power cut.
    """
    from edgequeue.given import as_reference

    state: State = ctx.obj
    if not files:
        if sys.stdin.isatty():
            raise click.UsageError("Nothing to read: name a FILE, or pipe events into this command.", ctx)
        files = ("-",)
    with state.queue() as queue:
        queue.target(to)
        if reference is not None:
            as_reference(reference)
        label = "Invalid" if check else "Skipped" if skip_invalid else None
        feed = Feed(queue, to, files, label)
        if check:
            _say_checked(feed, as_json)
        else:
            _store(queue, feed, to, priority, reference, timeout, as_json)
    if feed.invalid:
        ctx.exit(Code.DIED if skip_invalid else Code.WRONG)


def _say_checked(feed: Feed, as_json: bool) -> None:
    for _ in feed:
        pass
    if as_json:
        write_json({"valid": feed.valid, "invalid": feed.invalid})
    else:
        click.echo(f"{count(feed.valid, 'event')} valid, {feed.invalid:,} invalid; nothing was stored.")


def _store(
    queue: EventQueue,
    feed: Feed,
    to: str | None,
    priority: str,
    reference: str | None,
    timeout_seconds: float,
    as_json: bool,
) -> None:
    try:
        ids = queue.enqueue_many(feed, to, priority=priority, reference=reference, timeout_seconds=timeout_seconds)
    except InvalidEvent as error:
        raise (error if error is feed.refused else error.at(feed.where)) from None
    write_lines(to_json({"event_id": event_id}) if as_json else event_id.encode() for event_id in ids)
