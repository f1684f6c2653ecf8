"""What a fork means for an open database: no lock may be held in the middle of anything when the process is copied.

Connections are closed before it: SQLite's locks do not come along, its belief in them does (`Database.before_fork`).
"""

from __future__ import annotations

import logging  # noqa: F401  (see _before_fork)
import os
import threading
import weakref
from typing import Protocol

import edgequeue.lazily  # noqa: F401  (see _before_fork)


class Forks(Protocol):
    """What is told before and after a fork."""

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


OPEN: weakref.WeakSet[Forks] = weakref.WeakSet()
_held_for_fork: list[Forks] = []
_fork_turn = threading.Lock()
"""Two threads may fork at the same time: one after the other. And nobody opens a database meanwhile."""


def opened(database: Forks) -> None:
    """Tell a database of every fork from now on; waits for one that is under way."""
    with _fork_turn:
        OPEN.add(database)


def _before_fork() -> None:
    # Hooks run in the reverse order of their registration. The logging library takes its lock in one: it has to come
    # after this, because whoever holds a lock of ours may log, or import something. So both are imported above.
    _fork_turn.acquire()
    for database in list(OPEN):
        _held_for_fork.append(database)  # first: where a signal's handler raises, what is held so far is let go after
        database.before_fork()


def _after_fork_in_parent() -> None:
    while _held_for_fork:
        _held_for_fork.pop().after_fork_in_parent()
    _fork_turn.release()


def _after_fork_in_child() -> None:
    while _held_for_fork:
        _held_for_fork.pop().after_fork_in_child()
    _fork_turn.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
