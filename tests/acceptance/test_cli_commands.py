"""The command line as a whole: help, names, what is imported when, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edgequeue import __version__
from edgequeue.cli import COMMANDS, SECTIONS, cli
from edgequeue.cli.context import ended
from tests.acceptance.cli_harness import ROOT, Cli, event

HEAVY = ("rich", "httpx", "sqlalchemy", "alembic", "backoff", "edgequeue.queue", "edgequeue.config")
PROMISED = {
    *("init", "enqueue", "sync", "run", "status", "why", "list", "show", "find", "requests", "requeue", "prune"),
    *("export", "doctor", "emulator", "demo", "completion", "connection"),
}


def test_every_promised_command_is_there() -> None:
    """The commands are those of the documentation, each in one section."""
    assert set(COMMANDS) == PROMISED
    assert sum(map(len, SECTIONS.values())) == len(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str) -> None:
    """What it does, each option with a text, and an example that calls the command."""
    result = CliRunner().invoke(cli, [name, "--help"], prog_name="edgequeue")
    assert result.exit_code == 0
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.name == name
    assert command.help
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert parameter.help, parameter.name  # type: ignore[attr-defined]
    assert "Examples:" in result.stdout
    assert f"edgequeue {name}" in result.stdout.partition("Examples:")[2]


ONE_VALUE = [
    (name, option.opts[0])
    for name in sorted(COMMANDS)
    for option in cli.get_command(None, name).params  # type: ignore[arg-type, union-attr]
    if isinstance(option, click.Option) and not (option.multiple or option.is_flag)
]


@pytest.mark.parametrize(("name", "option"), ONE_VALUE)
def test_an_option_with_one_value_is_given_once(tmp_path: Path, name: str, option: str) -> None:
    """Exit code 2 that names it, whatever the values are: none of them is dropped without a word."""
    for form in ([option, "1", f"{option}=2"], [option, "1", option, "1"]):
        result = Cli(tmp_path)(name, *form)
        assert result.exit_code == 2
        assert f"{option} is given twice, and only one can count. Give it once." in result.stderr
        assert f"Usage: edgequeue {name} " in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_is_named_once(tmp_path: Path) -> None:
    """The options before the command are no exception."""
    result = Cli(tmp_path)("--config", "other.toml", "status")
    assert result.exit_code == 2
    assert "--config is given twice" in result.stderr


def test_what_may_be_repeated_may_be(tmp_path: Path) -> None:
    """Options that take several values, and flags: nothing is lost by saying a thing twice."""
    cli = Cli(tmp_path).configure()
    cli.enqueue(event(1))
    assert cli("prune", "--status", "dead", "--status", "delivered", "--json", "--json").exit_code == 0


def test_help_imports_nothing_heavy() -> None:
    """`--help` answers at once on a small device: no command's module and none of their libraries is imported."""
    code = (
        "import sys; from edgequeue.cli import cli\n"
        "try: cli(['--help'], prog_name='edgequeue')\n"
        "except SystemExit: pass\n"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stderr.strip() == "[]"
    for title in SECTIONS:
        assert f"{title}:" in found.stdout


def test_version() -> None:
    """As a program shows it."""
    found = subprocess.run(
        [sys.executable, "-m", "edgequeue", "--version"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout == f"edgequeue {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stats"], "Did you mean 'status'?"),
        (["nonsense"], "There is no command 'nonsense'."),
        (["--nonsense"], "No such option"),
        (["sync", "--nonsense"], "No such option"),
        (["sync", "--timeout", "soon"], "not a valid float"),
        (["show"], "Missing argument"),
        (["list", "--status", "gone"], "'gone' is not one of"),
        (["requeue"], "or give --all"),
        (["requeue", "--to", "web", "x"], "--to goes with --all"),
        (["prune", "--older-than", "tuesday"], "no length of time"),
        (["emulator", "--fault", "flood"], "unknown fault"),
        (["emulator", "--fault", "offline"], "offline needs seconds"),
        (["completion", "csh"], "'csh' is not one of"),
    ],
)
def test_usage_errors(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Exit code 2, and a message that says what would be right."""
    result = CliRunner().invoke(cli, ["--config", str(tmp_path / "x.toml"), *arguments], prog_name="edgequeue")
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """The script for each shell, and what it asks for."""
    result = CliRunner().invoke(cli, ["completion", shell], prog_name="edgequeue")
    assert result.exit_code == 0
    assert "_EDGEQUEUE_COMPLETE" in result.stdout


def test_completing_names_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of commands by their beginning, and a command's options."""
    monkeypatch.setenv("_EDGEQUEUE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "edgequeue re")
    monkeypatch.setenv("COMP_CWORD", "1")
    result = CliRunner().invoke(cli, [], prog_name="edgequeue")
    assert result.stdout.split() == ["plain,requests", "plain,requeue"]
    monkeypatch.setenv("COMP_WORDS", "edgequeue sync --t")
    monkeypatch.setenv("COMP_CWORD", "2")
    result = CliRunner().invoke(cli, [], prog_name="edgequeue")
    assert result.stdout.split() == ["plain,--to", "plain,--timeout"]


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    """`edgequeue list | head -1`: no traceback, no message."""
    cli = Cli(tmp_path).configure()
    cli.enqueue(*(event(number) for number in range(2000)))
    with cli.process("list", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@click.command()
@click.option("-v", "--verbose", is_flag=True)
@click.pass_context
def broken(ctx: click.Context, verbose: bool) -> None:
    """A command that fails as none should."""
    with ended(ctx):
        raise ZeroDivisionError("division by zero")


def test_an_unexpected_error_is_one_line() -> None:
    """Exit code 1 and how to learn more; with -v the traceback."""
    result = CliRunner().invoke(broken)
    assert result.exit_code == 1
    assert result.stderr == "Error: unexpected: ZeroDivisionError: division by zero; run again with -v for details\n"
    result = CliRunner().invoke(broken, ["-v"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("Error: unexpected: ZeroDivisionError: division by zero\n")


def test_warnings_that_differ_in_figures_are_shown_once(tmp_path: Path) -> None:
    """A thousand events of the same defect make two lines, not a thousand."""
    cli = Cli(tmp_path).configure()
    large = [json.dumps(event(number, text="x" * (10_000 + number))) for number in range(30)]
    result = cli("enqueue", stdin="\n".join(large))
    assert result.exit_code == 0
    warnings = result.stderr.splitlines()
    assert len(warnings) == 2
    assert warnings[0].startswith("Warning: web: ")
    assert warnings[1].startswith("Warning: 29 times more: web: ")
