"""Sending several requests at once, each on a thread of its own, so that who waits for the answers can be interrupted.

Threads, not asyncio: measured, httpx threads hold 0.94–0.99 of the ideal up to 32 requests in flight, and its asyncio
client collapses from there on. They are daemons: a process that ends does not wait for a service that never answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue

from edgequeue.errors import MaybeSent, TransportError
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.sender import Sender

Answer = HttpResponse | TransportError
"""What came of a request: the answer, or why there is none."""


ASKING = (429, 503)
"""Statuses that ask for patience: what has not begun by then is not sent."""

_Errand = tuple[int, HttpRequest, Mapping[str, str], "SimpleQueue[tuple[int, Answer]]"]


class Couriers:
    """Threads that carry requests; they are started when first needed and end with `close`."""

    def __init__(self, sender: Sender, name: str) -> None:
        self._sender = sender
        self._name = name
        self._errands: SimpleQueue[_Errand | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def ready(self, count: int) -> None:
        """Have so many threads; RuntimeError where the system has none left. Ask before anything is on record."""
        while len(self._threads) < count:
            thread = threading.Thread(target=self._carry, name=f"edgequeue-{self._name}-courier", daemon=True)
            thread.start()
            self._threads.append(thread)

    def send_all(
        self,
        requests: Sequence[HttpRequest],
        credentials: Mapping[str, str],
        heed: Callable[[Answer], None],
        meanwhile: Callable[[], None] | None = None,
    ) -> tuple[list[Answer], BaseException | None]:
        """Answers in the order of the requests, and what interrupted the wait (Ctrl-C), if anything did.

        `meanwhile` is called when they are on their way, and `heed` hears each answer but the last; both in the thread
        that waits. An interruption ends the exchanges at once; those without an answer may have arrived.
        """
        self.ready(len(requests))
        back: SimpleQueue[tuple[int, Answer]] = SimpleQueue()
        for index, request in enumerate(requests):
            self._errands.put((index, request, credentials, back))
        answers: dict[int, Answer] = {}
        interruption: BaseException | None = None
        while len(answers) < len(requests):
            try:
                if meanwhile is not None:
                    once, meanwhile = meanwhile, None
                    once()
                index, answer = back.get()
                answers[index] = answer
                if len(answers) < len(requests):
                    heed(answer)
            except BaseException as raised:  # Ctrl-C: what was answered is still settled before it goes on
                if interruption is not None:
                    break
                interruption = raised
                self._sender.abort()
        lost = MaybeSent("interrupted before the answer came", code="interrupted")
        return [answers.get(index, lost) for index in range(len(requests))], interruption

    def close(self) -> None:
        """Let the threads end; those in the middle of an exchange end after it."""
        for _ in self._threads:
            self._errands.put(None)
        self._threads = []

    def _carry(self) -> None:
        while (errand := self._errands.get()) is not None:
            index, request, credentials, back = errand
            try:
                answer = self._sender.send(request, credentials)
                if answer.status in ASKING or answer.header("retry-after") is not None:
                    self._sender.withhold()
                back.put((index, answer))
            except TransportError as error:
                back.put((index, error))
            except BaseException as error:  # whatever it is, the worker must not wait for ever
                back.put((index, MaybeSent(f"the transport failed: {type(error).__name__}", code="transport")))
