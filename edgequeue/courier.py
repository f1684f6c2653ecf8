"""Sending several requests at once, each on a thread of its own, so that who waits for the answers can be interrupted.

Threads, not asyncio: measured, httpx threads hold 0.94–0.99 of the ideal up to 32 requests in flight, and its asyncio
client collapses from there on. They are daemons: a process that ends does not wait for a service that never answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import IntEnum
from queue import Empty, SimpleQueue
from typing import NamedTuple

from edgequeue.errors import MaybeSent, TransportError
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.reading import asked_seconds
from edgequeue.sender import Sender

Answer = HttpResponse | TransportError
"""What came of a request: the answer, or why there is none."""

Heed = Callable[[float], None]
"""Told for how many seconds a service asked to be left alone. Raises nothing, and is safe from any thread."""

ASKING = (429, 503)
"""Statuses that ask for patience: what has not begun by then is not sent."""


def asks_for_patience(answer: HttpResponse) -> bool:
    """Whether nothing more may be sent for the time being."""
    return answer.status in ASKING or answer.header("retry-after") is not None


class Reply(NamedTuple):
    """What came of the request of that number, after so long; `answer` is None where it was taken back, unsent."""

    number: int
    answer: Answer | None
    took_ms: int = 0


class Errand(NamedTuple):
    """A request to be sent, and what is sent along. `follows`: others were answered before, and it goes only as long as
    all goes well.
    """

    number: int
    request: HttpRequest
    credentials: Mapping[str, str]
    follows: bool = False


class Halt(IntEnum):
    """What is not sent any more, if it has not begun."""

    NOTHING = 0
    FOLLOWING = 1  # what would follow after trouble
    ALL = 2


class Couriers:
    """Threads that carry requests, each the next one that waits; they are started when first needed.

    As many requests are on their way at once as there are threads; those beyond wait until one is free. The thread that
    hears of trouble, or of a plea for patience, halts the others before they take the next one. `begin`, `post` and
    `wait` belong to one thread; `recall` to any.
    """

    def __init__(self, sender: Sender, name: str) -> None:
        self._sender = sender
        self._name = name
        self._errands: SimpleQueue[Errand | None] = SimpleQueue()
        self._replies: SimpleQueue[Reply] = SimpleQueue()
        self._come: list[Reply] = []
        self._halt = Halt.NOTHING
        self._heed: Heed | None = None
        self._threads: list[threading.Thread] = []

    @property
    def count(self) -> int:
        """How many threads there are."""
        return len(self._threads)

    def begin(self, heed: Heed) -> None:
        """Begin a turn: what was halted before is forgotten. `heed` is told of each plea to wait in the thread that has
        it: whoever waits for the replies may be busy, and power may fail before it has looked.
        """
        self._heed = heed
        self._halt = Halt.NOTHING

    def ready(self, count: int) -> None:
        """Have so many threads; RuntimeError where the system has none left. Ask before anything is on record."""
        while len(self._threads) < count:
            thread = threading.Thread(target=self._carry, name=f"edgequeue-{self._name}-courier", daemon=True)
            thread.start()
            self._threads.append(thread)

    def post(self, errand: Errand) -> None:
        """Have it sent by the next thread that is free."""
        self._errands.put(errand)

    def wait(self, count: int, seconds: float) -> list[Reply]:
        """What has come of what was posted: one reply at least, and all that come until there are `count`, or until
        `seconds` after the first.
        """
        if not self._come:  # kept here, so that an interrupted wait loses none
            self._come.append(self._replies.get())
        until = time.monotonic() + seconds
        with suppress(Empty):
            while True:
                left = max(until - time.monotonic(), 0.0) if len(self._come) < count else 0.0
                self._come.append(self._replies.get(timeout=left))
        come, self._come = self._come, []
        return come

    def recall(self, halt: Halt = Halt.ALL) -> None:
        """Take back what has not begun, and whatever is posted from now on in this turn. The replies say which."""
        self._halt = max(self._halt, halt)
        kept: list[Errand | None] = []
        with suppress(Empty):
            while True:
                errand = self._errands.get_nowait()
                if errand is None or not self._is_halted(errand):
                    kept.append(errand)
                else:
                    self._replies.put(Reply(errand.number, None))
        for one in kept:
            self._errands.put(one)

    def _is_halted(self, errand: Errand) -> bool:
        return self._halt is Halt.ALL or (self._halt is Halt.FOLLOWING and errand.follows)

    def close(self) -> None:
        """Let the threads end; those in the middle of an exchange end after it."""
        for _ in self._threads:
            self._errands.put(None)
        self._threads = []

    def _carry(self) -> None:
        while (errand := self._errands.get()) is not None:
            begun = time.monotonic()
            answer = None if self._is_halted(errand) else self._send(errand)
            self._replies.put(Reply(errand.number, answer, round((time.monotonic() - begun) * 1000)))
            del errand, answer  # neither a request nor its credentials are kept while the thread is idle

    def _send(self, errand: Errand) -> Answer:
        answer = self._answer(errand)
        if isinstance(answer, TransportError):
            self.recall(Halt.FOLLOWING)
        elif asks_for_patience(answer):
            self.recall()
            self._sender.withhold()
        elif answer.status >= 400:
            self.recall(Halt.FOLLOWING)
        if self._heed is not None and (seconds := asked_seconds(answer)):
            self._heed(seconds)
        return answer

    def _answer(self, errand: Errand) -> Answer:
        try:
            return self._sender.send(errand.request, errand.credentials)
        except TransportError as error:
            return error
        except BaseException as error:  # whatever it is, the worker must not wait for ever
            return MaybeSent(f"the transport failed: {type(error).__name__}", code="transport")
