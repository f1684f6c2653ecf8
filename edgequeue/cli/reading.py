"""Events out of files: JSON Lines as a stream, any other JSON document as a whole. Pure: a binary stream in.

The first line decides. Where it is a complete JSON value it begins a JSON Lines file, of which one line at a time is
held; a list, or a value that goes on in the next line, is a document that is read to its end. What cannot be read is
a value (InvalidEvent with its place), so that the caller may go on. The standard library's json keeps integers of any
size exact; what it would let pass (NaN, a key twice in an object) is refused here, and what the destination refuses
is found by the queue.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, NoReturn

from edgequeue.errors import InvalidEvent

TEXT_BYTES_MAX = 64 * 1024 * 1024
"""A line, or a document that is not JSON Lines, may have as much; it is held in memory, several times over."""

_BOM = b"\xef\xbb\xbf"


class Entry(NamedTuple):
    """One JSON value, and where it stands: its line in JSON Lines, else its number in the document's array."""

    value: Any
    name: str
    line: int | None = None
    number: int | None = None

    @property
    def where(self) -> str:
        """The place in words."""
        if self.line is not None:
            return f"{self.name}, line {self.line}"
        return self.name if self.number is None else f"{self.name}, event {self.number}"


class _Refused(ValueError):
    """JSON that a lenient reader would take, changed: the reason and the remedy."""


def read_events(stream: IO[bytes], name: str) -> Iterator[Entry | InvalidEvent]:
    """The values of one file, in order; `name` is what messages call it. An empty file has none."""
    lines = _Lines(stream, name)
    first = lines.next()
    if isinstance(first, _Line):
        parsed = _parse(first.text, name, first.number)
        if isinstance(parsed, list | _Broken):
            yield from _document(first, lines, name)
            return
        yield parsed if isinstance(parsed, InvalidEvent) else Entry(parsed, name, first.number)
        first = lines.next()
    yield from _each(first, lines, name)


class _Line(NamedTuple):
    text: str
    number: int


class _Broken(InvalidEvent):
    """A text that is no JSON, or not all of it."""


class _Lines:
    """The lines of a stream that are not blank, decoded; they end after one that is too long to go on."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._name = name
        self._number = 0

    def next(self) -> _Line | InvalidEvent | None:
        """The next line; InvalidEvent for one that is no UTF-8 or too long, None at the end."""
        while raw := self._stream.readline(TEXT_BYTES_MAX + 1):
            self._number += 1
            if self._number == 1:
                raw = raw.removeprefix(_BOM)
            if len(raw) > TEXT_BYTES_MAX:
                return self._too_long()
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                column = len(raw[: error.start].decode("utf-8", "replace")) + 1
                return self._bad(f"byte 0x{raw[error.start]:02x} in column {column} is no UTF-8", "Save it as UTF-8")
            if text.strip():
                return _Line(text, self._number)
        return None

    def rest(self) -> list[_Line | InvalidEvent]:
        """All further lines, as long as there is room for them."""
        found: list[_Line | InvalidEvent] = []
        room = TEXT_BYTES_MAX
        while (line := self.next()) is not None:
            found.append(line)
            if isinstance(line, InvalidEvent):
                break
            room -= len(line.text)
            if room < 0:
                found.append(self._too_long())
                break
        return found

    def _too_long(self) -> InvalidEvent:
        while self._stream.read(1 << 20):  # nothing after it can be trusted to begin where a line begins
            pass
        megabytes = TEXT_BYTES_MAX // 1024**2
        return self._bad(f"more than {megabytes} MB without a new event", "Write JSON Lines: one event per line")

    def _bad(self, reason: str, remedy: str) -> InvalidEvent:
        return InvalidEvent(reason, remedy=f"{remedy}.", where=f"{self._name}, line {self._number}")


def _each(line: _Line | InvalidEvent | None, lines: _Lines, name: str) -> Iterator[Entry | InvalidEvent]:
    """JSON Lines from `line` on."""
    while line is not None:
        yield _entry(line, name)
        line = lines.next()


def _entry(line: _Line | InvalidEvent, name: str) -> Entry | InvalidEvent:
    if isinstance(line, InvalidEvent):
        return line
    parsed = _parse(line.text, name, line.number)
    return parsed if isinstance(parsed, InvalidEvent) else Entry(parsed, name, line.number)


def _document(first: _Line, lines: _Lines, name: str) -> Iterator[Entry | InvalidEvent]:
    """A document over several lines, or JSON Lines whose very first line is broken."""
    rest = lines.rest()
    bad = next((line for line in rest if isinstance(line, InvalidEvent)), None)
    if bad is not None:
        yield bad
        return
    kept = [first, *(line for line in rest if isinstance(line, _Line))]
    before = [first.number - 1, *(line.number for line in kept)]
    text = "".join("\n" * (line.number - last - 1) + line.text for last, line in zip(before, kept, strict=False))
    parsed = _parse(text, name, first.number)
    if isinstance(parsed, _Broken) and _looks_like_lines(kept, name):
        yield from (_entry(line, name) for line in kept)
        return
    if isinstance(parsed, list):
        yield from (Entry(value, name, None, number) for number, value in enumerate(parsed, start=1))
        return
    yield parsed if isinstance(parsed, InvalidEvent) else Entry(parsed, name)


def _looks_like_lines(lines: list[_Line], name: str) -> bool:
    """Whether a broken document is JSON Lines of which the first is broken: an object begins there, and one is next."""
    if len(lines) < 2 or not lines[0].text.lstrip().startswith("{"):
        return False
    return isinstance(_parse(lines[1].text, name, lines[1].number), dict)


def _parse(text: str, name: str, first_line: int) -> Any:
    """The JSON value of a text whose first line has that number; InvalidEvent says where it is broken."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"{name}, line {first_line + error.lineno - 1}, column {error.colno}"
        more = error.msg == "Extra data"
        remedy = "Write one event per line: jq -c . FILE does it." if more else "Mend it, or leave it out."
        return _Broken(f"this is not JSON: {error.msg}", remedy=remedy, where=where)
    except RecursionError:
        return InvalidEvent("it is nested too deeply", remedy="Make it flatter.", where=f"{name}, line {first_line}")
    except ValueError as error:
        reason, remedy = "it has a number with too many digits", "Write it as a text, in quotes."
        if isinstance(error, _Refused):
            reason, remedy = error.args
        return InvalidEvent(reason, remedy=remedy, where=f"{name}, line {first_line}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        reason = f"the key {twice!r} stands twice in an object, and only one could be kept"
        raise _Refused(reason, "Leave one of the two out, or name it otherwise.")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is no number in JSON", "Leave the field out, or write null.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
