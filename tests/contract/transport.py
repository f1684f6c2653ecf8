"""What every transport must do: subclass `TransportContract` and give it the fixtures `transport` and `service`.

A service is told what it does with the next request, `service.will(act)`, and gives the request to send for it. The
real transports meet real sockets here; a scripted one brings a service that needs none.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol

import pytest

from edgequeue.errors import MaybeSent, NotSent, TransportError
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.transport import Transport

BOUND_SECONDS = 30.0
"""No wait of a test is longer; none should come near."""

CREDENTIALS = {"authorization": "Bearer s3cr3t-token", "x-api-key": "s3cr3t-key"}


@dataclass(frozen=True)
class Answer:
    """The service answers."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"{}"


@dataclass(frozen=True)
class Refuse:
    """Nobody listens there."""


@dataclass(frozen=True)
class CloseUnanswered:
    """The service reads the request and closes the connection."""


@dataclass(frozen=True)
class Silence:
    """The service reads the request and never answers."""


@dataclass(frozen=True)
class Received:
    """A request as the service got it; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Service(Protocol):
    """The other end."""

    received: list[Received]

    def will(self, act: Any) -> HttpRequest:
        """Do this with the next request, which is the one returned."""

    def wait_received(self, count: int) -> None:
        """Return when so many requests have come in; fails after `BOUND_SECONDS`."""


class TransportContract:
    """The rules for all transports."""

    def test_an_answer_comes_back_whole(self, transport: Transport, service: Service) -> None:
        """Status, headers and body are the service's own."""
        request = service.will(Answer(207, (("X-Request-Id", "r1"),), b'{"status":207}'))
        response = transport.send(request, {})
        assert (response.status, response.body) == (207, b'{"status":207}')
        assert response.header("x-request-ID") == "r1"
        assert response.received_at.tzinfo is not None

    def test_header_names_are_lower_case_and_repeated_ones_joined(self, transport: Transport, service: Service) -> None:
        """One way to look a header up, however the service wrote it."""
        response = transport.send(service.will(Answer(headers=(("X-Many", "a"), ("x-MANY", "b")))), {})
        assert response.headers["x-many"] == "a, b"
        assert all(name == name.lower() for name in response.headers)

    def test_the_service_gets_body_headers_and_credentials(self, transport: Transport, service: Service) -> None:
        """What was asked for goes out, byte for byte."""
        request = service.will(Answer())
        transport.send(request, CREDENTIALS)
        (received,) = service.received
        assert (received.method, received.body) == (request.method, request.body)
        assert {**request.headers, **CREDENTIALS}.items() <= received.headers.items()

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 404, 407, 429, 500, 503])
    def test_any_status_is_an_answer(self, transport: Transport, service: Service, status: int) -> None:
        """No status is an exception, and no redirect is followed: what it means is for the destination to say."""
        elsewhere = (("location", "http://127.0.0.1:9/elsewhere"),)
        assert transport.send(service.will(Answer(status, elsewhere)), {}).status == status
        assert len(service.received) == 1

    def test_a_fresh_request_is_the_first_of_its_connection(self, transport: Transport, service: Service) -> None:
        """Whatever was sent before, its answer cannot be another's; and an ordinary request goes on normally."""
        for fresh in (False, True, True, False):
            request = replace(service.will(Answer(202)), fresh=fresh)
            response = transport.send(request, {})
            assert response.status == 202
            assert not (fresh and response.reused)

    def test_a_refused_connection_is_not_sent(self, transport: Transport, service: Service) -> None:
        """Nobody listened, so nobody took the request."""
        with pytest.raises(NotSent) as raised:
            transport.send(service.will(Refuse()), CREDENTIALS)
        assert raised.value.code == "connect"
        check_discretion(raised.value, transport)
        assert service.received == []

    def test_a_connection_that_ends_unanswered_is_maybe_sent(self, transport: Transport, service: Service) -> None:
        """The service may have taken the request before it went away."""
        with pytest.raises(MaybeSent) as raised:
            transport.send(service.will(CloseUnanswered()), CREDENTIALS)
        assert raised.value.code == "cut"
        check_discretion(raised.value, transport)

    def test_a_send_after_a_failure_goes_on_normally(self, transport: Transport, service: Service) -> None:
        """A failure leaves nothing behind."""
        with pytest.raises(MaybeSent):
            transport.send(service.will(CloseUnanswered()), {})
        assert transport.send(service.will(Answer(202)), {}).status == 202

    @pytest.mark.parametrize("before", [0, 1])
    def test_abort_ends_a_send_in_progress(self, transport: Transport, service: Service, before: int) -> None:
        """From any thread, on a new connection and on a kept one; later sends go on normally."""
        for _ in range(before):
            transport.send(service.will(Answer()), {})
        sending = send_in_thread(transport, service.will(Silence()), CREDENTIALS)
        service.wait_received(before + 1)
        transport.abort()
        error = sending.exception(BOUND_SECONDS)
        assert isinstance(error, MaybeSent)
        assert error.code == "aborted"
        check_discretion(error, transport)
        assert transport.send(service.will(Answer(201)), {}).status == 201

    def test_abort_with_nothing_in_progress_does_nothing(self, transport: Transport, service: Service) -> None:
        """It is about the sends in progress, not about later ones."""
        transport.abort()
        assert transport.send(service.will(Answer()), {}).status == 200

    def test_withhold_leaves_alone_what_has_begun(self, transport: Transport, service: Service) -> None:
        """Its bytes are out: whatever another answer asks for, this one is waited for."""
        sending = send_in_thread(transport, service.will(Silence()))
        service.wait_received(1)
        transport.withhold()
        transport.abort()
        assert isinstance(sending.exception(BOUND_SECONDS), MaybeSent)

    def test_close_ends_a_send_in_progress(self, transport: Transport, service: Service) -> None:
        """Whoever shuts down does not wait for a mute service."""
        sending = send_in_thread(transport, service.will(Silence()))
        service.wait_received(1)
        transport.close()
        assert isinstance(sending.exception(BOUND_SECONDS), MaybeSent)

    def test_after_close_nothing_is_sent(self, transport: Transport, service: Service) -> None:
        """Closing twice is fine; a send is refused before its first byte."""
        request = service.will(Answer())
        transport.close()
        transport.close()
        with pytest.raises(NotSent) as raised:
            transport.send(request, {})
        assert raised.value.code == "closed"
        assert service.received == []


def check_discretion(error: TransportError, transport: Transport) -> None:
    """Neither the message nor what a log would show of the error holds a credential or a query string."""
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(transport) + repr(vars(error))
    assert "s3cr3t" not in shown
    assert "query-of-the-request" not in shown


def send_in_thread(
    transport: Transport, request: HttpRequest, credentials: Mapping[str, str] = MappingProxyType({})
) -> Future[HttpResponse]:
    """What comes of a send in a thread of its own."""
    future: Future[HttpResponse] = Future()

    def run() -> None:
        try:
            future.set_result(transport.send(request, credentials))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
