"""The command line: `edgequeue [--config FILE] [-v] COMMAND`.

The commands stand in a table with their one-line helps, so that `--help` and completion import none of them: a module
of commands, and what it needs, is imported when one of its commands is called. `context` opens what commands work on
and maps errors to exit codes, `output` writes for people and for programs, `reading` and `since` are pure.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click

from edgequeue._version import __version__
from edgequeue.cli.context import State, ended, start_logging
from edgequeue.cli.once import OnceGroup


class Entry(NamedTuple):
    """A command: the module of this package that has it, the name of the function there, and its help in a line."""

    module: str
    function: str
    help: str


SECTIONS: dict[str, dict[str, Entry]] = {
    "Set up": {
        "init": Entry("setup", "init", "Write a configuration and create the queue."),
        "doctor": Entry("doctor", "doctor", "Check everything; say what is wrong and what to do."),
        "connection": Entry("connection", "connection", "Adobe streaming connections: create, show, list."),
        "completion": Entry("setup", "completion", "Print the script that completes commands in your shell."),
    },
    "Send": {
        "enqueue": Entry("enqueue", "enqueue", "Store events; print an id for each."),
        "sync": Entry("send", "sync", "Send what waits, now."),
        "run": Entry("send", "run", "Send for good, in the foreground (for systemd)."),
    },
    "Look": {
        "status": Entry("look", "status", "The queue at a glance: why, ledger, destinations."),
        "why": Entry("look", "why", "One sentence: why nothing is being sent."),
        "list": Entry("events", "list_events", "Events by status, destination and time."),
        "show": Entry("events", "show", "One event: payload, and each request it was in."),
        "find": Entry("events", "find", "Events by your own key, such as an order number."),
        "requests": Entry("look", "requests", "What was sent, when, and with what answer."),
    },
    "Mend and tidy": {
        "requeue": Entry("mend", "requeue", "Send dead events once more."),
        "prune": Entry("mend", "prune", "Delete events that have ended, to free space."),
        "export": Entry("mend", "export", "Write events out as JSON Lines."),
    },
    "Try": {
        "emulator": Entry("play", "emulator", "The services on this machine, with faults."),
        "demo": Entry("play", "demo", "The whole story in a minute, without a network."),
    },
}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Commands(OnceGroup):
    """The group of all commands, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(import_module(f"edgequeue.cli.{entry.module}"), entry.function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest name for one that does not exist."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(name, COMMANDS, n=1)
            ctx.fail(f"There is no command {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table above, by what the user wants to do."""
        width = max(map(len, COMMANDS))
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in section.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Names and options, without an import for each command."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=entry.help) for name, entry in COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever it raises becomes a message and an exit code."""
        with ended(ctx):
            return super().invoke(ctx)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nA queue in three commands:\n  edgequeue init --emulator\n  edgequeue enqueue events.jsonl\n"
    "  edgequeue sync",
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The configuration. Without it: $EDGEQUEUE_CONFIG, ./edgequeue.toml, edgequeue/edgequeue.toml in your"
    " configuration directory, /etc/edgequeue/edgequeue.toml.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say more: debug messages, and the traceback of an error.")
@click.version_option(__version__, prog_name="edgequeue", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, config: Path | None, verbose: bool) -> None:
    """An offline-first event queue: safe on disk when enqueue returns, sent when the network is back, accounted for
    always.

    Exit codes: 0 done; 1 unexpected error; 2 usage, configuration, invalid input, unknown id; 3 events remain that
    this command was asked to send; 4 done, but events died or invalid ones were skipped; 5 the database or its disk
    cannot be used; 130 interrupted.
    """
    ctx.obj = State(config, verbose)
    start_logging(ctx)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: runs the command and ends the process with its exit code."""
    cli.main(args=None if arguments is None else list(arguments), prog_name="edgequeue")
    sys.exit(0)
