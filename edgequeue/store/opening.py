"""Opening a file that may be damaged: what a look at the files tells is salvaged before SQLite sees them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import edgequeue.store.forking  # noqa: F401  (its hook has to be registered before ours)
from edgequeue.clock import Clock
from edgequeue.errors import FileReplaced, NotAQueue, StoreDamaged
from edgequeue.lazily import importing
from edgequeue.store.identity import Identity, identity, in_exchange
from edgequeue.store.mark import read_mark
from edgequeue.store.trouble import KEEP_IT

Opened = TypeVar("Opened")


class _Turn:
    """One salvage at a time in this process; a forked child has a turn of its own."""

    def __init__(self) -> None:
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        self.lock = threading.RLock()  # what was put in place of another file may have to be salvaged in its turn


TURN = _Turn()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(  # before the locks of the databases, which a salvage takes after its own
        before=lambda: TURN.lock.acquire(),
        after_in_parent=lambda: TURN.lock.release(),
        after_in_child=TURN.reset_after_fork,
    )


def salvaging(path: Path, opened: Callable[..., Opened], clock: Clock) -> Opened:
    """Open a file, and where it is damaged salvage it first. `opened(checked=…)`: with a quick check, or without.

    A database that was closed properly costs three looks at the directory here.
    """
    sides = os.path.exists(f"{path}-wal") or os.path.exists(f"{path}-shm")  # noqa: PTH110 (0.5 us each)
    left = sides or _is_emptied(path)
    if in_exchange(path):
        with importing():
            from edgequeue.store.salvage.aside import finish_plan

        finish_plan(path)
    seen = identity(path)
    if left:
        with importing():
            from edgequeue.store.salvage.detect import suspicion, was_left

        found = suspicion(path)
        left = was_left(path)
        if found is not None:
            with suppress(StoreDamaged):  # nothing of ours is there: the opening says it better
                text = f"{path}: the database is damaged ({found.reason}). {KEEP_IT}"
                _salvage_closed(path, StoreDamaged(text), clock, seen)
                seen = identity(path)
    try:
        return opened(checked=left)
    except NotAQueue:
        raise
    except StoreDamaged as error:
        _salvage_closed(path, error, clock, seen)
    except FileReplaced:  # by another process, this moment
        pass
    return opened(checked=False)


def _is_emptied(path: Path) -> bool:
    """Whether a queue was in this file, of which nothing is left."""
    with suppress(FileNotFoundError):
        return os.stat(path).st_size == 0 and read_mark(path) is not None  # noqa: PTH116 (as above)
    return False


def _salvage_closed(path: Path, error: StoreDamaged, clock: Clock, seen: Identity | None) -> None:
    with importing():
        from edgequeue.store.salvage.salvage import salvage

    with TURN.lock:
        salvage(path, error, clock.wall_ms(), seen)
