"""One `connection create` at a time for each configuration: two at once would each find nothing, and make everything.

The lock is on the configuration itself: nothing is left beside it, and it needs no right to write there. A create
replaces the file, so who has waited makes sure that what it has locked is still the file of that name. Other machines,
and other configurations for the same sandbox, are not kept apart.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import click

from edgequeue.cli.context import Code

TRIES_MAX = 600
TRY_SECONDS = 0.2
"""Two minutes in all: longer than a create takes that is not asked to wait."""


class Busy(click.ClickException):
    """Another create is still at work; exit code 3."""

    exit_code = Code.REMAIN


if sys.platform == "win32":

    def _lock(descriptor: int) -> bool:
        """Always: a lock on the file would keep others from reading it there."""
        return True
else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        """Whether the lock is ours now, or cannot be had at all, as on some network file systems."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """The block runs while no other one does with this configuration; waits for it, and raises Busy after two minutes.

    OSError where the file cannot be read.
    """
    descriptor = _locked(path)
    tries = 0
    while descriptor is None:
        tries += 1
        if tries == TRIES_MAX:
            raise Busy(
                f"another edgequeue connection create with {path} is still at work. Nothing was made by this one: "
                "run the same command again when the other has ended."
            )
        if tries == 1:
            minutes = TRIES_MAX * TRY_SECONDS / 60
            text = f"Another edgequeue connection create with {path} is at work; waiting for it, {minutes:.0f} minutes"
            click.echo(f"{text} at most.", err=True)
        sleep(TRY_SECONDS)
        descriptor = _locked(path)
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    """The descriptor of the file of this name, locked; None while somebody else has it, or has just replaced it."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        if _lock(descriptor) and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
