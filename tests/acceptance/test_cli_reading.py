"""Reading events: which files are JSON Lines, and where what is broken is said to be."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from edgequeue.cli import reading
from edgequeue.cli.reading import Entry, read_events
from edgequeue.errors import InvalidEvent


def read(text: str | bytes) -> list[Entry | InvalidEvent]:
    return list(read_events(io.BytesIO(text.encode() if isinstance(text, str) else text), "f"))


def values(text: str | bytes) -> list[Any]:
    found = read(text)
    assert not [one for one in found if isinstance(one, InvalidEvent)]
    return [one.value for one in found if isinstance(one, Entry)]


def told(text: str | bytes) -> list[str]:
    return [str(one) if isinstance(one, InvalidEvent) else f"{one.where} ok" for one in read(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t\r\n", []),
        ('{"a":1}', [{"a": 1}]),
        ('{"a":1}\n{"a":2}\n', [{"a": 1}, {"a": 2}]),
        ('\n\n{"a":1}\r\n\r\n{"a":2}', [{"a": 1}, {"a": 2}]),
        ('\ufeff{"a":1}\n{"a":2}', [{"a": 1}, {"a": 2}]),
        ('[{"a":1},{"a":2}]', [{"a": 1}, {"a": 2}]),
        ('[\n{"a":1}\n]', [{"a": 1}]),
        ('{\n  "a": 1\n}', [{"a": 1}]),
        ('{ "events":\n[{"a":1}]}', [{"events": [{"a": 1}]}]),
        ("[]", []),
        ("7", [7]),
        ('{"a":"\u2028"}\n{"a":"\x85"}', [{"a": "\u2028"}, {"a": "\x85"}]),
        (json.dumps({"a": 2**70}), [{"a": 2**70}]),
    ],
)
def test_the_forms_of_input(text: str, expected: list[Any]) -> None:
    """An object a line, one document over any number of lines, blank lines, a byte order mark, exact integers."""
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('{"a":1}\n\n{"a":2}', ["f, line 1 ok", "f, line 3 ok"]),
        ('[{"a":1},\n{"a":2}]', ["f, event 1 ok", "f, event 2 ok"]),
        ('{\n"a":1}', ["f ok"]),
    ],
)
def test_each_event_knows_its_place(text: str, places: list[str]) -> None:
    """The line in JSON Lines, the number in an array, the file's name for a whole document."""
    assert told(text) == places


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ('{"a":1}\n{"a":}\n', "f, line 2, column 6", "not JSON"),
        ('{"a":1}\n{"a":1', "f, line 2, column 7", "not JSON"),
        ("\n\n[1,\n2,\n]", "f, line 5, column 1", "not JSON"),
        ('{"a":1}{"a":2}\n', "f, line 1, column 8", "Extra data"),
        ('{"a":1}\n{"a":NaN}', "f, line 2", "NaN is no number"),
        ('{"a":-Infinity}', "f, line 1", "-Infinity is no number"),
        ('{"a":1,"b":{"c":1,"c":2}}', "f, line 1", "the key 'c' stands twice"),
        (b'{"a":1}\n{"a":"\xff"}', "f, line 2", "byte 0xff in column 7 is no UTF-8"),
        (b"\xff\xfe{\x00", "f, line 1", "byte 0xff in column 1 is no UTF-8"),
        ('{"a":' + "9" * 5000 + "}", "f, line 1", "too many digits"),
        ("[" * 100_000, "f, line 1", "nested too deeply"),
    ],
)
def test_what_is_broken_names_its_place(text: str | bytes, place: str, reason: str) -> None:
    """The file, the line and, where JSON itself is broken, the column."""
    bad = [one for one in read(text) if isinstance(one, InvalidEvent)]
    assert len(bad) == 1
    assert bad[0].where == place
    assert reason in str(bad[0])


def test_the_lines_after_a_broken_one_are_read() -> None:
    """In JSON Lines a broken line is one value of several, also when it is the first one."""
    assert told('{"a":1}\nnope\n{"a":3}')[::2] == ["f, line 1 ok", "f, line 3 ok"]
    assert told('{"a":\n{"a":2}\n{"a":3}')[1:] == ["f, line 2 ok", "f, line 3 ok"]
    assert told('{"a":NaN}\n{"a":2}')[1:] == ["f, line 2 ok"]
    assert told(b'{"\xff":1}\n{"a":2}')[1:] == ["f, line 2 ok"]


def test_json_lines_are_read_as_a_stream() -> None:
    """Only the line at hand is asked for: a file of any length needs the memory of one event."""
    asked = 0

    class Stream(io.RawIOBase):
        def readline(self, size: int | None = -1) -> bytes:
            nonlocal asked
            asked += 1
            return b'{"a":1}\n' if asked <= 1000 else b""

    events: Iterator[Any] = read_events(Stream(), "f")  # type: ignore[arg-type]
    next(events)
    next(events)
    assert asked == 2


def test_a_line_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a bound on what is held in memory: beyond it the file is refused from there on."""
    monkeypatch.setattr(reading, "TEXT_BYTES_MAX", 100)
    long = '{"a":"' + "x" * 200 + '"}\n{"a":2}'
    assert ["MB without a new event" in one for one in told(long)] == [True]
    pretty = "[\n" + '"xxxxxxxx",\n' * 50 + "1]"
    assert ["MB without a new event" in one for one in told(pretty)] == [True]
