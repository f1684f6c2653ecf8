"""The lease on a destination: an OS file lock, held for life.

The kernel lets go of it when the process dies, however it dies; no heartbeat is written and no clock is asked, so that
an idle queue writes nothing and no clock step can make two workers of one.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from edgequeue.store.connecting import inherit_owner

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    _look = _lock
else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        # flock, not lockf: it belongs to the open file, so another queue object in this process is refused as well.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _look(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class FileLock:
    """One locked file. The file stays: removing it would let two processes lock two files of one name."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        _HELD.add(self)

    @classmethod
    def take(cls, path: Path) -> FileLock | None:
        """The lock, or None while somebody else has it. OSError when the file cannot be made.

        Tried a few times within some milliseconds, because `is_held` takes a shared lock to look.
        """
        descriptor = _opened(path)
        try:
            for _ in range(5):
                if _lock(descriptor):
                    return cls(descriptor)
                time.sleep(0.002)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def release(self) -> None:
        """Let go. A forked child only closes its copy: the lock is its parent's."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        _HELD.discard(self)


def _opened(path: Path) -> int:
    """The lock file's descriptor; a new one belongs to whom its directory belongs. A link is never followed."""
    flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    inherit_owner(descriptor, path)
    return descriptor


_HELD: set[FileLock] = set()


def _after_fork_in_child() -> None:
    """A child has no worker: it must not keep its parent's leases alive when the parent has died."""
    for lock in list(_HELD):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def lease_path(database: Path, destination: str) -> Path:
    """The lock file of a destination, beside the database."""
    return database.with_name(f"{database.name}.{destination}.lease")


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock at this moment."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return not _look(descriptor)
    finally:
        os.close(descriptor)
