"""What every command needs: settings and queue opened, errors as messages with an exit code, warnings on stderr."""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgequeue.errors import ConfigError, InvalidEvent, QueueFull, StoreError

if TYPE_CHECKING:
    from edgequeue.config import Settings
    from edgequeue.queue import EventQueue

log = logging.getLogger("edgequeue")

KINDS_MAX = 1000
"""Kinds of warnings told apart and counted; further ones are shown each time."""

_F = TypeVar("_F", bound=Callable[..., Any])


class Code(IntEnum):
    """The exit codes. Where several apply: 5, 2, 3, 4."""

    DONE = 0
    UNEXPECTED = 1
    WRONG = 2
    REMAIN = 3
    DIED = 4
    STORE = 5
    INTERRUPTED = 130


class Wrong(click.ClickException):
    """Something that was given is wrong or not known; exit code 2."""

    exit_code = Code.WRONG


@dataclass(frozen=True, slots=True)
class State:
    """The options of the group, for each command."""

    config: Path | None
    verbose: bool

    def find_config(self) -> Path:
        """The absolute path of the configuration; ConfigError says where it was looked for."""
        from edgequeue.config import find_config

        return find_config(self.config, os.environ)

    def settings(self) -> Settings:
        """The configuration, its warnings logged."""
        from edgequeue.config import load_settings

        settings = load_settings(self.find_config())
        for text in settings.warnings:
            log.warning("%s", text, extra={"action": "warn"})
        return settings

    @contextmanager
    def queue(self) -> Iterator[EventQueue]:
        """The queue, open for the length of the block."""
        from edgequeue.queue import EventQueue

        with EventQueue.from_settings(self.settings()) as queue:
            yield queue


def known_destination(queue: EventQueue, name: str | None) -> str | None:
    """The name, if the configuration has it or events are stored for it; Wrong lists the ones there are."""
    if name is None or name in queue.destinations:
        return name
    names = queue.status().destinations
    if name in names:
        return name
    raise Wrong(f"no destination is named {name!r}; there are: {', '.join(names) or 'none'}.")


def epilog(*lines: str) -> str:
    """The examples at the end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def json_option(text: str) -> Callable[[_F], _F]:
    """`--json`, with what it writes."""
    return click.option("--json", "as_json", is_flag=True, help=f"For programs: {text}")


# --- errors ----------------------------------------------------------------------------------------------------------


@contextmanager
def ended(ctx: click.Context) -> Iterator[None]:
    """Errors of the block as a message on stderr and an exit code; click shows its own."""
    try:
        yield
        sys.stdout.flush()  # a reader that went away is noticed here, not by the interpreter's last words
    except click.exceptions.Exit:
        _flush()
        raise
    except BrokenPipeError:
        _silence()
        ctx.exit(Code.DONE)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted. Nothing that was stored is lost.", err=True)
        ctx.exit(Code.INTERRUPTED)
    except click.ClickException:
        if ctx.params.get("verbose"):
            click.echo(traceback.format_exc(), err=True)
        raise
    except Exception as error:
        code, text = explained(error)
        if ctx.params.get("verbose"):
            click.echo(traceback.format_exc(), err=True)
            text = text.removesuffix("; run again with -v for details")
        click.echo(f"Error: {text}", err=True)
        ctx.exit(code)


def explained(error: Exception) -> tuple[Code, str]:
    """The exit code and the message for an error."""
    database_error = _driver_error(error)
    if database_error is not None:
        return Code.STORE, f"the database: {database_error}. Run edgequeue doctor"
    match error:
        case StoreError() | QueueFull():
            return Code.STORE, str(error)
        case ConfigError() | InvalidEvent():
            return Code.WRONG, str(error)
        case OSError() if error.filename is not None:
            return Code.UNEXPECTED, f"{error.filename}: {error.strerror}"
    return Code.UNEXPECTED, f"unexpected: {type(error).__name__}: {error}; run again with -v for details"


def _driver_error(error: Exception) -> Exception | None:
    """The driver's error, where it comes bare or in SQLAlchemy's wrapping."""
    from sqlite3 import Error

    origin = getattr(error, "orig", error)
    return origin if isinstance(origin, Error) else None


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()


def _silence() -> None:
    """Nobody reads our output any more: let the rest of it go nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- messages on stderr ----------------------------------------------------------------------------------------------


class OnStderr(logging.Handler):
    """Log records as lines on stderr. Warnings that differ only in their figures are shown once, and counted."""

    def __init__(self, *, timed: bool = False) -> None:
        super().__init__()
        self.timed = timed
        self._seen: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, unless one like it has been written."""
        try:
            text = record.getMessage()
            if self.timed:
                self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
                click.echo(self.format(record), err=True)
                return
            kind = re.sub(r"\d+", "#", text)
            if record.levelno >= logging.WARNING and (kind in self._seen or len(self._seen) < KINDS_MAX):
                self._seen[kind] = self._seen.get(kind, 0) + 1
                if self._seen[kind] > 1:
                    return
            click.echo(f"{record.levelname.capitalize()}: {text}", err=True)
            if record.exc_info:
                click.echo(logging.Formatter().formatException(record.exc_info), err=True)
        except Exception:
            self.handleError(record)

    @property
    def repeated(self) -> Mapping[str, int]:
        """How often each kind of warning came again."""
        return {kind: count - 1 for kind, count in self._seen.items() if count > 1}

    def close(self) -> None:
        """Say how often warnings came again."""
        for kind, count in self.repeated.items():
            times = "once more" if count == 1 else f"{count:,} times more"
            click.echo(f"Warning: {times}: {kind}", err=True)
        self._seen.clear()
        super().close()


def start_logging(ctx: click.Context) -> OnStderr:
    """The package's messages on stderr while the command runs: warnings, with -v everything."""
    handler = OnStderr()
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if ctx.params.get("verbose") else logging.WARNING)

    def stop() -> None:
        log.removeHandler(handler)
        log.setLevel(before)
        with suppress(BrokenPipeError):
            handler.close()

    ctx.call_on_close(stop)
    ctx.meta["edgequeue.log"] = handler
    return handler
