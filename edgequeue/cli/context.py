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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from edgequeue.errors import ConfigError, InvalidEvent, QueueFull, ServiceError, ServiceUnavailable, StoreError

if TYPE_CHECKING:
    from edgequeue.config import Settings
    from edgequeue.queue import EventQueue

log = logging.getLogger("edgequeue")

KINDS_MAX = 1000
"""Kinds of warnings told apart and counted; further ones are shown each time."""

_F = TypeVar("_F", bound=Callable[..., Any])


Missing = Literal["create", "note", "refuse"]
"""Where there is no database yet: it is created, created with a note on stderr, or asked for (exit code 2)."""


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
    def queue(self, missing: Missing = "create", *, looking: bool = False) -> Iterator[EventQueue]:
        """The queue, open for the length of the block. `missing`: what is done where there is no database yet.

        `looking`: the command changes nothing, so it also works where the database cannot be written.
        """
        from edgequeue.queue import EventQueue

        settings = self.settings()
        database = settings.queue.database
        new = is_missing(database)
        if new and missing == "refuse":
            raise Wrong(f"there is no queue at {database} yet. edgequeue init creates it, the first enqueue too.")
        with EventQueue.from_settings(settings, looking=looking) as queue:
            if new and missing == "note":
                note_created(database)
            yield queue


def is_missing(database: Path) -> bool:
    """Whether the file could be there and is not; whatever else is wrong with its place the store can say better."""
    try:
        database.stat()
    except FileNotFoundError:
        return database.parent.is_dir()
    except OSError:
        return False
    return False


def note_created(database: Path) -> None:
    """For commands that only look: that they have made a file. Where there should have been one, that is the news."""
    text = f"Note: there was no queue at {database}; a new, empty one was just created there."
    click.echo(f"{text} If there should be one, look for its file: deleted, moved, or its disk not mounted.", err=True)


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
        case ServiceUnavailable():
            return Code.REMAIN, str(error)
        case ConfigError() | InvalidEvent() | ServiceError():
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
        self.say: Callable[[str], None] = partial(click.echo, err=True)
        """Writes a line; a progress bar puts its own way in place of it while it is shown."""
        self._seen: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, unless one like it has been written."""
        try:
            text = record.getMessage()
            if self.timed:
                self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
                self.say(self.format(record))
                return
            kind = re.sub(r"\d+", "#", text)
            if record.levelno >= logging.WARNING and (kind in self._seen or len(self._seen) < KINDS_MAX):
                self._seen[kind] = self._seen.get(kind, 0) + 1
                if self._seen[kind] > 1:
                    return
            self.say(f"{record.levelname.capitalize()}: {text}")
            if record.exc_info:
                self.say(logging.Formatter().formatException(record.exc_info))
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
    """The package's messages on stderr while the command runs: warnings, with -v everything.

    Those of the HTTP client are warnings alone; with -v httpx names each request as well. httpcore never tells more:
    its debug messages hold whole answers.
    """
    verbose = bool(ctx.params.get("verbose"))
    handler = OnStderr()
    levels = {
        log: logging.DEBUG if verbose else logging.WARNING,
        logging.getLogger("httpx"): logging.INFO if verbose else logging.WARNING,
        logging.getLogger("httpcore"): logging.WARNING,
    }
    before = {logger: logger.level for logger in levels}
    for logger, level in levels.items():
        logger.addHandler(handler)
        logger.setLevel(level)

    def stop() -> None:
        for logger, level in before.items():
            logger.removeHandler(handler)
            logger.setLevel(level)
        with suppress(BrokenPipeError):
            handler.close()

    ctx.call_on_close(stop)
    ctx.meta["edgequeue.log"] = handler
    return handler
