"""Several requests at once: what has not begun when an answer asks for patience is not sent."""

from __future__ import annotations

import threading

import pytest

from edgequeue.courier import Couriers
from edgequeue.errors import NotSent
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.testing import ScriptedTransport, response


class Slow(ScriptedTransport):
    """The second request is still connecting when the first is answered."""

    def __init__(self, first: HttpResponse) -> None:
        super().__init__([first])
        self.withheld = threading.Event()

    def send(self, request: HttpRequest, credentials: object) -> HttpResponse:
        if request.url == "second":
            assert self.withheld.wait(30)
            raise NotSent("stopped while it was connecting", code="aborted")
        return super().send(request, {})

    def withhold(self) -> None:
        self.withheld.set()


@pytest.mark.parametrize("answer", [response(429), response(503), response(200, {}, retry_after="9")])
def test_who_asks_for_patience_is_not_sent_what_has_not_begun(answer: HttpResponse) -> None:
    """A Retry-After is kept from the moment it is heard, also by the requests of the same turn."""
    couriers = Couriers(Slow(answer), "web")
    answers, _ = couriers.send_all([HttpRequest("POST", url, {}, b"") for url in ("first", "second")], {})
    couriers.close()
    assert answers[0] == answer
    assert isinstance(answers[1], NotSent)
