"""How people name a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from freezegun import freeze_time

from edgequeue.cli.since import parse_since, parse_span
from tests.acceptance.cli_harness import Cli, event

NOW = datetime(2026, 11, 21, 4, 41, 18, tzinfo=UTC)  # a Saturday; 05:41:18 in Berlin


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The device's time zone."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2d", "2026-11-19T05:41:18+01:00"),
        ("3h", "2026-11-21T02:41:18+01:00"),
        ("15m", "2026-11-21T05:26:18+01:00"),
        ("30s", "2026-11-21T05:40:48+01:00"),
        ("1w", "2026-11-14T05:41:18+01:00"),
        ("1.5h", "2026-11-21T04:11:18+01:00"),
        ("today", "2026-11-21T00:00:00+01:00"),
        ("yesterday", "2026-11-20T00:00:00+01:00"),
        ("saturday", "2026-11-21T00:00:00+01:00"),
        ("friday", "2026-11-20T00:00:00+01:00"),
        ("Tuesday", "2026-11-17T00:00:00+01:00"),
        ("sun", "2026-11-15T00:00:00+01:00"),
        ("2026-11-01", "2026-11-01T00:00:00+01:00"),
        ("2026-07-01", "2026-07-01T00:00:00+02:00"),
        ("2026-07-01T12:30:00", "2026-07-01T12:30:00+02:00"),
        ("2026-07-01 12:30", "2026-07-01T12:30:00+02:00"),
        ("2026-11-21T04:41:18Z", "2026-11-21T05:41:18+01:00"),
        ("2026-11-21t04:41:18.123z", "2026-11-21T05:41:18.123+01:00"),
        ("2026-11-21T04:41:18-05:00", "2026-11-21T10:41:18+01:00"),
    ],
)
def test_times(text: str, expected: str) -> None:
    """Lengths of time, days by name, dates and RFC 3339; in the device's zone, with the offset of that day."""
    assert parse_since(text, NOW) == datetime.fromisoformat(expected)
    assert parse_since(text, NOW).tzinfo is not None


@pytest.mark.parametrize(
    "text", ["", "d", "2", "2y", "tu", "someday", "2026-13-01", "21.11.2026", "9999999999d", "-2d"]
)
def test_what_is_no_time(text: str) -> None:
    """The message says what can be written."""
    with pytest.raises(ValueError, match="tuesday"):
        parse_since(text, NOW)


def test_spans() -> None:
    """A length of time, for `prune --older-than`."""
    assert parse_span("7d") == timedelta(days=7)
    assert parse_span("0s") == timedelta(0)
    for text in ("7", "tuesday", "", "999999999w"):
        with pytest.raises(ValueError, match=r"length of time|longer"):
            parse_span(text)


def test_the_option(tmp_path: Path) -> None:
    """`list --since` takes all of them; what is none is a usage error."""
    cli = Cli(tmp_path).configure()
    cli.enqueue(event(1))
    with freeze_time(datetime.now(UTC) + timedelta(days=3), real_asyncio=True):
        assert len(cli.lines("list", "--since", "1w")) == 1
        assert cli.lines("list", "--since", "yesterday") == []
    result = cli("list", "--since", "whenever")
    assert result.exit_code == 2
    assert "write one of" in result.stderr
