"""Imports that are put off until somebody needs them, and what a fork means for them.

Python keeps a lock for each module while it is imported. A process that is copied while another thread imports one has
it locked for ever, and whoever asks for the module there waits for ever. So a fork waits for imports under way.
"""

from __future__ import annotations

import logging  # noqa: F401  (see below)
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_turn = threading.RLock()


@contextmanager
def importing() -> Iterator[None]:
    """Around each import within a function that a thread may run. No lock of ours may be waited for inside."""
    with _turn:
        yield


def _after_fork_in_child() -> None:
    global _turn
    _turn = threading.RLock()


# Hooks run in the reverse order of their registration: an import takes the lock of the logging library, which is to be
# held after ours. So that is imported above.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _turn.acquire(),
        after_in_parent=lambda: _turn.release(),
        after_in_child=_after_fork_in_child,
    )
