"""What cannot be used: configuration, database, ids. Each with its exit code, its place and a remedy."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.cli_harness import CLOSED, Cli, edge, event

READING = [["status"], ["why"], ["list"], ["requests"], ["export"], ["find", "P1"]]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path).configure()


def test_no_configuration(tmp_path: Path) -> None:
    """The file that was asked for is named, and how to get one."""
    cli = Cli(tmp_path)
    for command in [*READING, ["sync"], ["run"], ["prune"], ["requeue", "--all"]]:
        result = cli(*command)
        assert result.exit_code == 2, command
        assert str(cli.config) in result.stderr
        assert "edgequeue init" in result.stderr


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[destinations.web]\ntype = "adobe-edge"\ndatastream_idd = "d"', "did you mean datastream_id"),
        ('[destinations.web]\ntype = "adobe-edge"', "datastream_id is missing"),
        ('[destinations.web]\ntype = "adobe-egde"\n', "'adobe-edge'"),
        ('[destinations.web\ntype = "adobe-edge"\n', "line 4, column"),
        ("[destinations]\n", "no destination is configured"),
    ],
)
def test_a_wrong_configuration(cli: Cli, table: str, message: str) -> None:
    """Exit code 2, with the file and the key."""
    cli.configure(table)
    result = cli("sync")
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    if table != "[destinations]\n":
        assert str(cli.config) in result.stderr


def test_a_missing_directory(cli: Cli) -> None:
    """Exit code 5: the database cannot be made there."""
    cli.configure(database="missing/queue.db")
    result = cli("enqueue", stdin=json.dumps(event()))
    assert result.exit_code == 5
    assert f"the directory {cli.directory / 'missing'} does not exist" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_not_ours(cli: Cli) -> None:
    """Exit code 5, naming the place."""
    place = cli.directory / "theirs"
    place.mkdir(mode=0o500)
    cli.configure(database="theirs/queue.db")
    result = cli("status")
    assert result.exit_code == 5
    assert str(place) in result.stderr


def test_a_file_that_is_no_database(cli: Cli) -> None:
    """Exit code 5; the file stays as it is."""
    cli.database.write_bytes(b"dear diary\n" * 1000)
    for command in (["status"], ["sync"], ["enqueue"]):
        result = cli(*command, stdin=json.dumps(event()))
        assert result.exit_code == 5
        assert "no SQLite database" in result.stderr
    assert cli.database.read_bytes() == b"dear diary\n" * 1000


@pytest.mark.parametrize("intact", [100, 4096, 20_000])
def test_a_damaged_database(cli: Cli, intact: int) -> None:
    """It is salvaged by whichever command meets it, which says so and goes on; the file is kept, and no file has to be
    deleted by hand.
    """
    cli.enqueue(*(event(number, text="x" * 500) for number in range(200)))
    content = cli.database.read_bytes()
    damaged = content[:intact] + b"\xaa" * (len(content) - intact)
    cli.database.write_bytes(damaged)
    listed = cli("list")
    assert listed.exit_code == 0, listed.output
    assert "was damaged" in listed.stderr
    assert "Traceback" not in listed.output
    assert cli.database.with_name(f"{cli.database.name}.damaged-1").read_bytes() == damaged
    assert "the damaged file is" in cli("doctor").output
    cli.enqueue(event())
    ledger = json.loads(cli("status", "--json").stdout)["ledger"]
    assert ledger["balanced"]
    assert ledger["pending"] >= 1


def test_every_command_says_what_a_loss_means(cli: Cli) -> None:
    """A file that became empty: only the mark knows how much stood in it, and no event has a row any more."""
    (event_id,) = cli.enqueue(event(1))
    cli.enqueue(event(2))
    cli.database.write_bytes(b"")
    for end in ("-wal", "-shm"):
        cli.database.with_name(f"{cli.database.name}{end}").unlink(missing_ok=True)
    assert "2 were lost to damage" in cli("why").stdout
    assert "2 events left no row behind" in cli("list", "--status", "lost").stdout
    assert "left no row behind" not in cli("list", "--status", "lost", "--since", "1d").stdout
    assert "lost to damage" in cli("show", event_id).stderr
    assert "0 events salvaged, 2 lost" in cli("doctor").stdout


def test_a_database_of_a_newer_edgequeue(cli: Cli) -> None:
    """Exit code 5, and what to do: upgrade."""
    cli.enqueue(event())
    with closing(sqlite3.connect(cli.database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    result = cli("status")
    assert result.exit_code == 5
    assert "Upgrade edgequeue" in result.stderr


def test_a_locked_database(cli: Cli) -> None:
    """Exit code 5 after the time-out, and nothing is stored; looking works all the same."""
    cli.enqueue(event())
    with closing(sqlite3.connect(cli.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        result = cli("enqueue", "--timeout", "0.05", stdin=json.dumps(event()))
        assert result.exit_code == 5
        assert "another process holds the write lock; nothing was stored" in result.stderr
        assert cli.json("status")["ledger"]["enqueued"] == 1
        other.execute("ROLLBACK")
    assert cli("enqueue", "--timeout", "0.05", stdin=json.dumps(event())).exit_code == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["show", "nope"], "no event 'nope' in this queue"),
        (["show", ""], "no event '' in this queue"),
        (["show", "\udcff"], "no event '\\udcff' in this queue"),
        (["requeue", "nope"], "no event 'nope' in this queue"),
        (["find", "nope"], "no event has the reference 'nope'"),
        (["find", "\udcff"], "no event has the reference '\\udcff'"),
        (["requests", "nope"], "no request 'nope'"),
        (["list", "--to", "nope"], "no destination is named 'nope'; there are: web"),
        (["export", "--to", "nope"], "no destination is named 'nope'"),
        (["requests", "--to", "nope"], "no destination is named 'nope'"),
        (["requeue", "--all", "--to", "nope"], "no destination is named 'nope'"),
        (["sync", "--to", "nope"], "no destination is named 'nope'"),
    ],
)
def test_unknown_ids_and_names(cli: Cli, command: list[str], message: str) -> None:
    """Exit code 2."""
    cli.enqueue(event())
    result = cli(*command)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_an_ambiguous_id(cli: Cli) -> None:
    """Exit code 2, with what it may mean."""
    first, second = cli.enqueue(event(1), event(2))
    for text in (first[:15], "sale-"):
        result = cli("show", text)
        assert result.exit_code == 2
        assert first in result.stderr
        assert second in result.stderr


def test_a_destination_that_is_configured_no_longer(cli: Cli) -> None:
    """Its events are kept, shown, and not sent; sync says so with exit code 3."""
    cli.enqueue(event(1))
    cli.configure(edge("other"))
    status = cli.json("status")
    assert status["destinations"]["web"]["state"] == "unconfigured"
    assert status["destinations"]["web"]["reason"]["code"] == "unconfigured"
    assert len(cli.lines("list", "--to", "web")) == 1
    result = cli("sync")
    assert result.exit_code == 3
    assert "[destinations.web] back" in result.stdout
    assert cli("sync", "--to", "web").exit_code == 2
    assert cli("sync", "--to", "other").exit_code == 0


def test_looking_needs_no_secret(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set stops nobody from looking, mending and enqueuing."""
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    auth = '[auth.adobe]\ntype = "bearer"\ntoken_env = "NO_SUCH_TOKEN"'
    cli.configure(edge("web", CLOSED, auth="adobe"), auth)
    cli.enqueue(event(1), options=("--reference", "P1"))
    for command in [*READING, ["requeue", "--all"], ["prune"], ["show", "sale-1"]]:
        result = cli(*command)
        assert result.exit_code == 0, (command, result.stderr)
    result = cli("sync")
    assert result.exit_code == 3
    assert "the variable NO_SUCH_TOKEN is not set" in result.stdout
    assert cli.json("status")["destinations"]["web"]["state"] == "paused"
