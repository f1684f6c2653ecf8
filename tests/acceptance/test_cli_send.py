"""`sync` and `run` against the emulator: exit codes, reports, orderly ends."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import BarColumn
from rich.progress import Progress as Bar

from edgequeue.cli.context import OnStderr
from edgequeue.cli.send import _above
from edgequeue.emulator import Emulator, Fault
from tests.acceptance.cli_harness import CLOSED, Cli, edge, event, screen
from tests.acceptance.test_cli_look import SYNC


@pytest.fixture
def service() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def cli(tmp_path: Path, service: Emulator) -> Cli:
    return Cli(tmp_path).configure(edge("web", service.url))


def test_everything_is_delivered(cli: Cli, service: Emulator) -> None:
    """Exit code 0; the report has every key; people get a sentence and no bar, for this is no terminal."""
    cli.enqueue(event(1), event(2))
    report = cli.json("sync")
    assert list(report) == SYNC
    assert report.pop("seconds") >= 0
    assert list(report.values()) == [2, 0, 0, 1, 0, "empty"]
    assert service.arrived.ids == ("sale-1", "sale-2")
    result = cli("sync")
    assert result.exit_code == 0
    assert result.stdout.startswith("0 events delivered, 0 dead, 0 left; 0 requests in ")
    assert result.stderr == ""


def test_a_refused_event(cli: Cli, service: Emulator) -> None:
    """Exit code 4, and where to look."""
    service.add_fault(Fault("status", status=422, event_id="sale-2", times=None))
    cli.enqueue(event(1), event(2), event(3))
    result = cli("sync")
    assert result.exit_code == 4
    assert result.stdout.startswith("2 events delivered, 1 dead, 0 left")
    assert "edgequeue list --status dead" in result.stdout


def test_offline(cli: Cli) -> None:
    """Exit code 3, and why."""
    cli.configure(edge("web", CLOSED))
    cli.enqueue(event(1))
    result = cli("sync")
    assert result.exit_code == 3
    assert "1 event waits for web: offline" in result.stdout
    result = cli("sync", "--json", "--timeout", "0.01")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["stopped_because"] in ("timeout", "waiting")


def test_the_help_says_what_a_timeout_does_for_a_pause(cli: Cli) -> None:
    """Who waits for a destination that is paused would wait for nothing."""
    words = " ".join(cli("sync", "--help").stdout.split())
    assert "a destination that is paused has one try at the start and is not waited for" in words


def test_dead_and_left(cli: Cli, service: Emulator) -> None:
    """Where events died and others are left, what is left decides: exit code 3."""
    service.add_fault(Fault("status", status=422, event_id="sale-1", times=None))
    cli.configure(edge("web", service.url), edge("away", CLOSED))
    cli.enqueue(event(1), options=("--to", "web"))
    cli.enqueue(event(2), options=("--to", "away"))
    assert cli("sync").exit_code == 3
    cli("requeue", "--all")
    assert cli("sync", "--to", "web").exit_code == 4


def test_limit(cli: Cli, service: Emulator) -> None:
    """Who asks for two is served with two: exit code 0, although more are left."""
    cli.enqueue(*(event(number) for number in range(5)))
    result = cli("sync", "--limit", "2")
    assert result.exit_code == 0
    assert result.stdout.startswith("2 events delivered, 0 dead, 3 left")
    assert service.arrived.events == 2


def test_a_destination_that_is_switched_off(cli: Cli, service: Emulator) -> None:
    """Its events are not asked for: exit code 0 and a sentence about them. Who asks for it by name is told: 2."""
    cli.enqueue(event(1))
    cli.configure(edge("web", service.url, enabled=False))
    result = cli("sync")
    assert result.exit_code == 0
    assert "1 event waits for web, which is switched off (enabled = false)." in result.stdout
    result = cli("sync", "--to", "web")
    assert result.exit_code == 2
    assert "web is switched off (enabled = false)" in result.stderr
    assert service.arrived.events == 0


def test_the_bar_counts_what_can_be_sent(cli: Cli, service: Emulator) -> None:
    """Events of a destination that is switched off are not in the bar: no bar where there are no others."""
    cli.configure(edge("web", service.url), edge("off", service.url))
    cli.enqueue(event(1), event(2), options=("--to", "off"))
    cli.configure(edge("web", service.url), edge("off", service.url, enabled=False))
    code, shown = cli.terminal("sync")
    assert code == 0
    assert "0/" not in shown
    cli.enqueue(event(3), options=("--to", "web"))
    code, shown = cli.terminal("sync")
    assert code == 0
    assert "1/1" in shown
    assert "/3" not in shown


def test_what_is_logged_stands_above_the_bar() -> None:
    """A record that is logged while a bar is shown has a line of its own, and the way back is restored."""
    handler = OnStderr()
    before = handler.say
    written = StringIO()
    console = Console(file=written, force_terminal=True, width=40, color_system=None)
    record = logging.LogRecord(
        "edgequeue", logging.WARNING, "", 0, "the disk is [bold]full[/bold], %s" % ("x" * 60), None, None
    )
    with Bar(BarColumn(bar_width=None), console=console, expand=True) as bar, _above(console, handler):
        bar.add_task("", total=3)
        bar.refresh()
        handler.emit(record)
    assert handler.say is before
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue()).replace("\r", "")
    assert "Warning: the disk is [bold]full[/bold], " + "x" * 60 + "\n" in text


def test_an_interrupted_bar_leaves_one_line(cli: Cli, service: Emulator) -> None:
    """The bar leaves room for the ^C that a terminal writes, so that no half of it stays behind."""
    service.add_fault(Fault("delay", seconds=60, event_id="sale-2"))
    cli.enqueue(event(1), event(2))
    code, shown = cli.terminal("sync", until=lambda: any(one.fault for one in service.requests))
    assert code == 130
    rows = screen(shown)
    assert sum("/2" in row for row in rows) == 1, rows
    assert any("Nothing is lost" in row for row in rows)


def test_a_bar_where_there_is_a_terminal(cli: Cli) -> None:
    """Done of all, on stderr alone; stdout stays for the sentence or the JSON."""
    cli.enqueue(*(event(number) for number in range(300)))
    mine, theirs = os.openpty()
    with cli.process("sync", "--json", stderr=theirs, COLUMNS="80", TERM="xterm") as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # the terminal's way of saying that nobody writes to it any more
            while chunk := os.read(mine, 4096):
                shown += chunk
        said, _ = process.communicate()
    os.close(mine)
    assert process.returncode == 0
    assert json.loads(said)["delivered"] == 300
    assert b"300/300" in shown
    assert b"100%" in shown


def test_run_sends_until_sigterm(cli: Cli, service: Emulator) -> None:
    """What another process enqueues is sent; SIGTERM ends it with 0."""
    with cli.process("run") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Sending from {cli.database} to web.\n"
        cli.enqueue(event(1), event(2))
        report = cli("sync", "--timeout", "30")
        assert report.exit_code == 0
        process.send_signal(signal.SIGTERM)
        rest, log = process.communicate()
    assert process.returncode == 0
    assert rest == "Stopped. What was not delivered waits in the queue.\n"
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO ", line) for line in log.splitlines()), log
    assert "HTTP Request" not in log
    assert service.arrived.ids == ("sale-1", "sale-2")
    assert service.arrived.duplicates == 0


def test_run_ends_with_ctrl_c(cli: Cli) -> None:
    """Exit code 130."""
    with cli.process("run") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130


def test_run_without_a_destination(cli: Cli) -> None:
    """There is nothing to run for: exit code 2."""
    cli.configure("[destinations]")
    result = cli("run")
    assert result.exit_code == 2
    assert "no destination is configured" in result.stderr


def test_an_interrupted_sync(cli: Cli, service: Emulator) -> None:
    """Ctrl-C: exit code 130, nothing is lost, and the next sync goes on."""
    cli.configure(edge("web", service.url, requests_in_flight_max=1, batch_events_max=1))
    service.add_fault(Fault("delay", seconds=60, event_id="sale-2"))
    cli.enqueue(event(1), event(2))
    with cli.process("sync") as process:
        while not any(one.fault for one in service.requests):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    assert process.returncode == 130
    assert "Nothing is lost" in said
    service.clear_faults()
    assert cli("sync").exit_code == 0
    assert service.arrived.distinct == 2


def test_the_emulator_as_a_command(cli: Cli) -> None:
    """It says where it listens, takes events, and sums up at the end."""
    with cli.process("emulator", "--port", "0", "--fault", "status:status=503") as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("emulator listening on ").strip()
        cli.configure(edge("web", url))
        cli.enqueue(event(1))
        assert cli("sync").exit_code == 3
        assert cli("sync").exit_code == 0
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate()
    assert process.returncode == 0
    assert "arrived 1, distinct 1, duplicates 0" in said


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    """The story is told, and every promise in it is kept."""
    directory = tmp_path / "demo"
    with Cli(tmp_path).process("demo", "--fast", "--directory", str(directory)) as process:
        said, wrong = process.communicate()
    assert process.returncode == 0, said + wrong
    status = Cli(directory)("status", "--json")
    assert json.loads(status.stdout)["ledger"]["balanced"] is True
