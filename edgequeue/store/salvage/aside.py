"""Damaged files moved aside, together and at once, and the new database put in their place.

The moment of truth is one rename. What is going on stands in the lock file, so that whoever comes after a power cut
ends it or takes it back; nothing is ever deleted but our own unfinished copies.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from edgequeue.errors import QueueBusy, StoreError
from edgequeue.store.identity import Identity, identity, plan_path
from edgequeue.store.lease import FileLock

PATIENCE_SECONDS = 5.0
"""How long one process waits for another's salvage, which takes some 3 s per 100,000 events, before it says so."""

OPENING_SECONDS = 60.0
"""The same for who opens a queue: a program that starts with the machine is rather late than not there."""

SIDES = ("-wal", "-shm", "-journal")

SHARED_FIRST, SHARED_SIZE = 0x40000002, 510
_LOG_FIRST, _LOG_SIZE = 120, 2
"""Where SQLite's locks are: bytes of the database (os_unix.c), and of the shared memory for who writes to the log and
who copies it back (wal.c)."""


@contextmanager
def alone(database: Path, *, opening: bool) -> Iterator[None]:
    """Be the one who salvages; what another began and did not end is ended first. QueueBusy while another is at it."""
    deadline = time.monotonic() + (OPENING_SECONDS if opening else PATIENCE_SECONDS)
    while True:
        try:
            lock = FileLock.take(plan_path(database))
        except OSError as error:
            raise StoreError(
                f"{database}: damaged, and {plan_path(database).name} cannot be made: {error.strerror}. "
                "Check the directory's owner"
            ) from error
        if lock is not None:
            break
        if time.monotonic() >= deadline:
            raise QueueBusy(f"{database}: another process is salvaging it; nothing was stored. Try again in a moment")
        time.sleep(0.05)
    try:
        _finish(database)
        yield
    finally:
        lock.release()


def finish_plan(database: Path) -> None:
    """End what a salvage that was interrupted had begun; mostly there is nothing."""
    with alone(database, opening=True):
        pass


@contextmanager
def writers_out(database: Path) -> Iterator[None]:
    """Nobody commits into the damaged files from here on: SQLite's own lock for writers, and one that keeps another
    process's close from taking itself for the last and removing what has its name by then. QueueBusy where they write.
    """
    if sys.platform == "win32":  # files that are open cannot be renamed there, so nobody else has them open
        yield
        return
    import fcntl

    held: list[int] = []
    try:
        for path, kind, size, start in (
            (database, fcntl.LOCK_SH, SHARED_SIZE, SHARED_FIRST),
            (database.with_name(f"{database.name}-shm"), fcntl.LOCK_EX, _LOG_SIZE, _LOG_FIRST),
        ):
            with suppress(FileNotFoundError):
                held.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
                _lock(held[-1], kind | fcntl.LOCK_NB, size, start, database)
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def _lock(descriptor: int, kind: int, size: int, start: int, database: Path) -> None:
    import fcntl

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.lockf(descriptor, kind, size, start)
        except OSError as error:
            if time.monotonic() >= deadline:
                text = f"{database}: damaged, and another process is writing to it; nothing was stored. Try again"
                raise QueueBusy(text) from error
            time.sleep(0.002)
        else:
            return


def exchange(database: Path, new: Path, place: Path) -> None:
    """Put `new` where `database` is, and keep the damaged files under the name `place`. For who is `alone`."""
    found = identity(new)
    assert found is not None
    _plan(database, f"{place.name} {found[0]} {found[1]}\n")
    if database.exists():
        _keep(database, place)
    new.replace(database)
    sync_directory(database.parent)
    _move_sides(database, place)
    _plan(database, "")


def _finish(database: Path) -> None:
    """After an interruption: past the rename the rest is done, before it nothing has happened."""
    words = plan_path(database).read_text(errors="replace").split()
    if len(words) == 3 and all(word.isdecimal() for word in words[1:]):
        place = database.with_name(words[0])
        planned: Identity = (int(words[1]), int(words[2]))
        here, kept = identity(database), identity(place)
        if here is not None and here[1] == planned[1]:  # a device's number may be another after a reboot
            _move_sides(database, place)
        elif here is None and kept is not None:
            place.replace(database)
        elif here is not None and here == kept:
            place.unlink()  # a second name of the same file
        sync_directory(database.parent)
    if words:
        _plan(database, "")
    for unfinished in database.parent.glob(f"{escape(database.name)}.salvaging*"):
        unfinished.unlink()


def _plan(database: Path, text: str) -> None:
    with plan_path(database).open("r+") as file:
        file.write(text)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    sync_directory(database.parent)


def _keep(database: Path, place: Path) -> None:
    """A second name for the damaged file: its own is never without a file. File systems without such names move it."""
    try:
        place.hardlink_to(database)
    except OSError:
        database.replace(place)
    sync_directory(database.parent)


def _move_sides(database: Path, place: Path) -> None:
    for suffix in SIDES:
        with suppress(FileNotFoundError):
            Path(f"{database}{suffix}").replace(f"{place}{suffix}")
    sync_directory(database.parent)


def sync_directory(directory: Path) -> None:
    """Names are safe only when their directory is."""
    if sys.platform == "win32":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def new_place(database: Path) -> Path:
    """The name under which a damaged file is kept, beside the database: the first number that is free."""
    number = 1
    while any(os.path.lexists(f"{database}.damaged-{number}{suffix}") for suffix in ("", *SIDES)):
        number += 1
    return database.with_name(f"{database.name}.damaged-{number}")
