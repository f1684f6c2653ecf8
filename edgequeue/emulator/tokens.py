"""The tokens that IMS has issued, and what the services make of the token of a request. Safe from any thread.

Ends are counted by a monotonic clock: a token's life must not hang on what somebody does to the wall clock.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable

from edgequeue.emulator.contract import Access
from edgequeue.emulator.options import Options

TOKENS_KEPT_MAX = 10_000
"""The latest tokens are known; older ones become unknown (ours, so that a soak test stays modest)."""


class Tokens:
    """Issues tokens and knows them again. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ends: dict[str, float] = {}  # token -> when it ends, oldest first

    def issue(self, seconds: float) -> str:
        """A fresh token that is valid for so long."""
        token = secrets.token_urlsafe(48)
        with self._lock:
            self._ends[token] = self._clock() + seconds
            if len(self._ends) > TOKENS_KEPT_MAX:
                del self._ends[next(iter(self._ends))]
        return token

    def revoke(self) -> None:
        """All tokens issued so far have ended."""
        with self._lock:
            self._ends = dict.fromkeys(self._ends, -1.0)

    def access(self, options: Options, bearer: str | None) -> Access:
        """What this bearer token is worth; None: the request has none."""
        issues = options.client_id is not None or options.client_secret is not None
        if options.token is None and not issues:
            return Access.OPEN
        if bearer is None:
            return Access.MISSING
        if bearer == options.token:
            return Access.VALID
        if not issues:
            return Access.WRONG
        with self._lock:
            end = self._ends.get(bearer)
        if end is None:
            return Access.UNKNOWN
        return Access.VALID if self._clock() < end else Access.ENDED
