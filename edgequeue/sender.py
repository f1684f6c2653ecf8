"""What carries a request: the interface between those who know what to send and the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edgequeue.model import HttpRequest, HttpResponse


class Sender(Protocol):
    """Carries one request at a time for each thread that asks; safe from any thread."""

    def send(self, request: HttpRequest, credentials: Mapping[str, str]) -> HttpResponse:
        """The answer. Raises NotSent or MaybeSent when there is none."""

    def reach(self, url: str) -> None:
        """Whether the host can be connected to at all; NotSent when not. Sends nothing."""

    def withhold(self) -> None:
        """End the sends in progress of which no byte is out yet: another answer has asked for patience."""

    def abort(self) -> None:
        """End the sends in progress at once."""
