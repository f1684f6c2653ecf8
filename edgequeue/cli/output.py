"""Writing: tables, sentences and local times for people, JSON in UTC for programs. No rich: it costs 100 ms."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import IO, TYPE_CHECKING, Any
from unicodedata import east_asian_width

import click

from edgequeue.clock import in_zone
from edgequeue.views import as_json

if TYPE_CHECKING:
    from edgequeue.views import EventError, SalvageView

COLUMNS_MAX = 100
"""Sentences are not set wider than this, however wide the terminal is."""

CHUNK_LINES = 500
"""Lines written at once."""

ELASTIC_MIN = 8
"""A column is not cut to less."""

_COLOURS = {
    "ok": "green",
    "delivered": "green",
    "accepted": "green",
    "offline": "yellow",
    "backing off": "yellow",
    "waiting": "yellow",
    "deferred": "yellow",
    "defer": "yellow",
    "retry": "yellow",
    "unknown": "yellow",
    "partial": "yellow",
    "paused": "red",
    "unconfigured": "red",
    "dead": "red",
    "rejected": "red",
    "reject": "red",
    "lost": "red",
}


def to_json(view: Any) -> bytes:
    """A view, or plain values, as one line of JSON in UTF-8."""
    from orjson import dumps

    return dumps(as_json(view))


def write_json(view: Any) -> None:
    """One JSON document on stdout; bytes, so that it is UTF-8 whatever the terminal's encoding is."""
    click.echo(to_json(view))


def write_lines(lines: Iterable[bytes], stream: IO[bytes] | None = None) -> int:
    """Lines as they come, on stdout unless another stream is given, some hundred at a time; returns how many."""
    number = 0
    rest = iter(lines)
    while chunk := list(islice(rest, CHUNK_LINES)):
        click.echo(b"\n".join(chunk), file=stream)
        number += len(chunk)
    return number


def sentence(text: str, indent: str = "", lead: str | None = None) -> None:
    """Text for people, wrapped at the terminal's width; as one line where there is none.

    `lead` stands in the place of the first line's indent, and is as wide as that on the screen.
    """
    click.echo((indent if lead is None else lead) + f"\n{indent}".join(_wrapped(text, columns() - len(indent))))


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of that width in a terminal, else one; what has no space to be broken at is left whole."""
    if not sys.stdout.isatty():
        return [text]
    return textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False) or [""]


def columns() -> int:
    """The width to set text in."""
    return min(shutil.get_terminal_size().columns, COLUMNS_MAX)


def coloured(word: str) -> str:
    """A state or a status in its colour; click leaves the colour out where the output is no terminal."""
    colour = _COLOURS.get(word)
    return click.style(word, fg=colour) if colour else word


def clean(value: Any) -> str:
    """A value as text that cannot steer the terminal: what came from elsewhere may hold control characters."""
    text = "–" if value is None or value == "" else str(value)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def local(moment: datetime | None, now: datetime | None = None) -> str:
    """A time in the device's zone: the clock alone where it is today's, else date and minute; a dash for none."""
    if moment is None:
        return "–"
    mine, today = in_zone(moment), in_zone(now or datetime.now(UTC))
    return mine.strftime("%H:%M:%S" if mine.date() == today.date() else "%Y-%m-%d %H:%M")


def local_full(moment: datetime | None) -> str:
    """A time in the device's zone with date, milliseconds and offset."""
    return "–" if moment is None else in_zone(moment).isoformat(sep=" ", timespec="milliseconds")


def age(moment: datetime | None) -> str:
    """How long ago that was, in its two largest units: 2d 6h, 41m 12s."""
    if moment is None:
        return "–"
    left = max(int((datetime.now(UTC) - moment).total_seconds()), 0)
    parts: list[str] = []
    for unit, seconds in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, seconds)
        if number or parts:
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2]) or "now"


def table(
    heads: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Iterable[int] = (), elastic: Sequence[int] = ()
) -> None:
    """Aligned columns under their heads. Columns numbered in `right` hold figures and stand to the right; those in
    `elastic` are cut where the terminal is too narrow. What is no terminal is as wide as it has to be.
    """
    lines = [list(heads), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    if sys.stdout.isatty():
        _narrow(widths, elastic, shutil.get_terminal_size().columns)
    figures = set(right)
    for number, line in enumerate(lines):
        cells = [
            _padded(_cut(cell, width), width, index in figures)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        if number == 0:
            click.echo(click.style("  ".join(cells).rstrip(), bold=True))
        else:
            click.echo("  ".join(_painted(cell) for cell in cells).rstrip())


def _narrow(widths: list[int], elastic: Sequence[int], room: int) -> None:
    """Take from the widest elastic column until the line fits, or nothing is left to take."""
    while sum(widths) + 2 * (len(widths) - 1) > room:
        widest = max(elastic, key=widths.__getitem__, default=None)
        if widest is None or widths[widest] <= ELASTIC_MIN:
            return
        widths[widest] -= 1


def _cut(text: str, width: int) -> str:
    while _width(text) > width:
        text = text.removesuffix("…")[:-1] + "…"
    return text


def facts(rows: Iterable[tuple[str, Any]]) -> None:
    """Names and values below each other, wrapped in a terminal; rows whose value is None are left out."""
    kept = [(name, clean(value)) for name, value in rows if value is not None]
    width = max((_width(name) for name, _ in kept), default=0)
    for name, value in kept:
        lead = f"{click.style(_padded(name, width, False), bold=True)}  "
        sentence(_painted(value), indent=" " * (width + 2), lead=lead)


def why_refused(error: EventError) -> str:
    """An error in words: the message first, then the service's code where it says more than the HTTP status does."""
    code = error.code if error.code and not error.code.startswith("http_") else None
    if not error.message:
        return code or (f"HTTP {error.status}" if error.status else error.code or "no reason given")
    return error.message if code is None or code in error.message else f"{error.message} ({code})"


def salvaged(one: SalvageView) -> str:
    """What became of a damaged database, in one line."""
    back = f"{count(one.events, 'event')} salvaged, {'at least ' * one.more_lost}{one.lost:,} lost"
    if not one.events and not one.lost:
        back = "nothing in it could be read"
    return f"{local(one.salvaged_at)}: the database was damaged, {back}"


def count(number: int, word: str) -> str:
    """`1 event`, `1,234 events`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _painted(cell: str) -> str:
    word = cell.strip()
    return cell.replace(word, coloured(word)) if word in _COLOURS else cell


def _padded(text: str, width: int, right: bool) -> str:
    filling = " " * (width - _width(text))
    return filling + text if right else text + filling


def _width(text: str) -> int:
    """Columns in a terminal: letters of East Asia take two."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)
