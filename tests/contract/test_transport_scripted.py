"""The scripted transport keeps the contract of the real one, without a socket."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from edgequeue.errors import MaybeSent, NotSent
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.testing import SILENCE, ScriptedTransport, accept, response
from tests.contract.transport import (
    BOUND_SECONDS,
    Answer,
    CloseUnanswered,
    Received,
    Refuse,
    Silence,
    TransportContract,
)

URL = "https://edge.example/collect?q=query-of-the-request"


class Script:
    """The other end of the contract's tests: what a service will do becomes the script's next answer."""

    def __init__(self, transport: ScriptedTransport) -> None:
        self._transport = transport
        self._refused = 0

    @property
    def received(self) -> list[Received]:
        sent = zip(self._transport.requests, self._transport.credentials, strict=True)
        found = [_received(request, credentials) for request, credentials in sent]
        return found[self._refused :]

    def will(self, act: object) -> HttpRequest:
        match act:
            case Answer(status, headers, body):
                self._transport.add(_answer(status, headers, body))
            case Refuse():
                self._refused += 1
                self._transport.add(NotSent("nobody listens there", code="connect"))
            case CloseUnanswered():
                self._transport.add(MaybeSent("the line was cut", code="cut"))
            case Silence():
                self._transport.add(SILENCE)
        return HttpRequest("POST", URL, {"content-type": "application/json"}, b'{"a":1}')

    def wait_received(self, count: int) -> None:
        assert self._transport.wait_for_requests(count, BOUND_SECONDS)


def _answer(status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> HttpResponse:
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name.lower()] = f"{joined[name.lower()]}, {value}" if name.lower() in joined else value
    return HttpResponse(status, joined, body, datetime(2026, 11, 21, tzinfo=UTC))


def _received(request: HttpRequest, credentials: Mapping[str, str]) -> Received:
    return Received(request.method, urlsplit(request.url).path, {**request.headers, **credentials}, request.body)


@pytest.fixture
def transport() -> Iterator[ScriptedTransport]:
    transport = ScriptedTransport()
    yield transport
    transport.close()


@pytest.fixture
def service(transport: ScriptedTransport) -> Script:
    return Script(transport)


class TestScriptedContract(TransportContract):
    """The contract, by script."""


# --- what a script can do besides -------------------------------------------------------------------------------------

REQUEST = HttpRequest("POST", URL, {}, b'{"events":[{}]}')


def test_answers_come_in_order_and_then_the_last_word(transport: ScriptedTransport) -> None:
    """After the script, `then` answers everything; without it the network is gone."""
    scripted = ScriptedTransport([response(503), response(202)], then=response(200))
    assert [scripted.send(REQUEST, {}).status for _ in range(4)] == [503, 202, 200, 200]
    with pytest.raises(NotSent):
        transport.send(REQUEST, {})


def test_an_answer_may_be_a_function_of_the_request() -> None:
    """What it raises is what came of the request; what was sent is kept either way."""
    counter = itertools.count(1)

    def second_time_lucky(request: HttpRequest) -> HttpResponse:
        if next(counter) == 1:
            raise MaybeSent("cut", code="cut")
        return response(200, {"echo": request.body.decode()})

    scripted = ScriptedTransport(then=second_time_lucky)
    with pytest.raises(MaybeSent):
        scripted.send(REQUEST, {"authorization": "Bearer t"})
    assert scripted.send(REQUEST, {}).body == b'{"echo": "{\\"events\\":[{}]}"}'
    assert scripted.requests == [REQUEST, REQUEST]
    assert scripted.credentials == [{"authorization": "Bearer t"}, {}]


def test_an_answer_may_say_that_its_connection_was_used_before() -> None:
    """By script, also from a function; never to a request that asked for a connection of its own."""
    again = replace(response(200), reused=True)
    scripted = ScriptedTransport([response(200), again, lambda _: again], then=again)
    assert [scripted.send(REQUEST, {}).reused for _ in range(3)] == [False, True, True]
    assert not scripted.send(replace(REQUEST, fresh=True), {}).reused
    scripted.add(lambda _: again)
    assert not scripted.send(replace(REQUEST, fresh=True), {}).reused


def test_reaching_uses_up_an_outage_and_nothing_else() -> None:
    """As a try of its own, which sends nothing: an answer of the service is left for the request."""
    scripted = ScriptedTransport([NotSent("no route", code="connect"), response(200)])
    with pytest.raises(NotSent, match="no route"):
        scripted.reach(URL)
    scripted.reach(URL)
    assert scripted.send(REQUEST, {}).status == 200
    with pytest.raises(NotSent):
        scripted.reach(URL)
    assert scripted.requests == [REQUEST]


def test_waiting_for_requests_that_do_not_come_ends(transport: ScriptedTransport) -> None:
    """False, and no exception: the test says what it expected."""
    assert not transport.wait_for_requests(1, 0.01)


def test_accept_answers_both_services() -> None:
    """With a receipt for each message where the service gives one."""
    messages = HttpRequest("POST", URL, {}, b'{"messages":[{},{}]}')
    assert accept(REQUEST).body.startswith(b'{"requestId": "test')
    assert accept(messages).body.count(b"xactionId") == 2
