"""A transport that answers as it was told."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from copy import copy
from dataclasses import replace
from enum import Enum

from edgequeue.destinations.base import Destination
from edgequeue.errors import MaybeSent, NotSent, TransportError
from edgequeue.model import HttpRequest, HttpResponse


class _Silence(Enum):
    """The answer that never comes."""

    SILENCE = "the service never answers"


SILENCE = _Silence.SILENCE
"""An answer that never comes: the send waits until the transport is aborted or closed."""

Answer = HttpResponse | TransportError | Callable[[HttpRequest], HttpResponse] | _Silence

OFFLINE = NotSent("the script is over: there is no network any more", code="connect")


class ScriptedTransport:
    """Gives the answers of a script, in order, then `then` to whatever else is sent; without it the network is gone.

    An answer is an HttpResponse, a NotSent or MaybeSent to raise, a function of the request (which may raise one of
    them), or `SILENCE`. An answer came on a new connection unless it says `reused`; a `fresh` request's always did.
    `requests` and `credentials` keep what was sent, also where no answer came. It is a transport, and it is what a
    queue wants as `transport`: a function that makes one, which follows the same script. Transports with another `way`
    have a network of their own. Safe from any thread.
    """

    def __init__(self, answers: Iterable[Answer] = (), *, then: Answer = OFFLINE, way: Hashable = None) -> None:
        self.way = way
        self.requests: list[HttpRequest] = []
        self.credentials: list[Mapping[str, str]] = []
        self.closed = False
        self._script = deque(answers)
        self._then = then
        self._changed = threading.Condition()
        self._aborts = 0

    def __call__(self, destination: Destination) -> ScriptedTransport:
        """A transport of its own, which a queue closes when it has done, with this script and this list of requests."""
        line = copy(self)
        line.closed = False
        return line

    def add(self, *answers: Answer) -> None:
        """More answers, after those that are left."""
        with self._changed:
            self._script.extend(answers)

    def send(self, request: HttpRequest, credentials: Mapping[str, str]) -> HttpResponse:
        """The next answer of the script."""
        with self._changed:
            if self.closed:
                raise NotSent("nothing was sent: the transport is closed", code="closed")
            self.requests.append(request)
            self.credentials.append(credentials)
            answer = self._script.popleft() if self._script else self._then
            self._changed.notify_all()
            if answer is SILENCE:
                aborts = self._aborts
                self._changed.wait_for(lambda: self.closed or self._aborts > aborts)
                raise MaybeSent("the transport was aborted before the answer came", code="aborted")
        if isinstance(answer, TransportError):
            raise _anew(answer)
        if isinstance(answer, HttpResponse):
            return _on_its_connection(answer, request)
        assert not isinstance(answer, _Silence)
        return _on_its_connection(answer(request), request)

    def reach(self, url: str) -> None:
        """Whether the service is there: the script's next answer is used up, and raised, if it is a NotSent."""
        with self._changed:
            answer = self._script[0] if self._script else self._then
            if isinstance(answer, NotSent):
                if self._script:
                    self._script.popleft()
                raise _anew(answer)

    def wait_for_requests(self, count: int, timeout_seconds: float = 10.0) -> bool:
        """Return when so many requests have been sent in all; False when they have not been in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, timeout_seconds)

    def withhold(self) -> None:
        """Nothing: what the script answers has always been sent."""

    def abort(self) -> None:
        """End the sends that wait for an answer which never comes; later ones go on normally."""
        with self._changed:
            self._aborts += 1
            self._changed.notify_all()

    def close(self) -> None:
        """End what waits and refuse what comes. Idempotent."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


def _anew(error: TransportError) -> TransportError:
    """The same error, not raised before: threads must not share a traceback."""
    return type(error)(str(error), code=error.code, retry_after_seconds=error.retry_after_seconds)


def _on_its_connection(answer: HttpResponse, request: HttpRequest) -> HttpResponse:
    """The answer as the request can have got it: a fresh one has a new connection, whatever the script says."""
    return replace(answer, reused=False) if request.fresh and answer.reused else answer
