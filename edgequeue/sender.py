"""What carries a request: the interface between those who know what to send and the network."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from edgequeue.model import HttpRequest, HttpResponse


class Sender(Protocol):
    """Carries one request at a time for each thread that asks; safe from any thread."""

    @property
    def way(self) -> Hashable:
        """The way to the network: what fails on it says nothing about senders with another way."""

    def send(self, request: HttpRequest, credentials: Mapping[str, str]) -> HttpResponse:
        """The answer. Raises NotSent or MaybeSent when there is none."""

    def reach(self, url: str) -> None:
        """Whether the host can be connected to at all; NotSent when not. Sends nothing."""

    def withhold(self) -> None:
        """End the sends in progress of which no byte is out yet: another answer has asked for patience."""

    def abort(self) -> None:
        """End the sends in progress at once, from any thread; later ones go on normally."""


def host_of(url: str) -> str:
    """The host as messages name it, with its port where that is not the usual one."""
    parts = urlsplit(url)
    host = parts.hostname or "the service"
    return host if parts.port is None else f"{f'[{host}]' if ':' in host else host}:{parts.port}"


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address means this machine itself: what is sent there cannot be overheard."""
    return re.fullmatch(r"localhost|127\.\d+\.\d+\.\d+|::1", host or "") is not None
