"""What a destination is: its settings, its limits, what it takes, how it is written and how its answers are read.

A destination is a frozen dataclass of its settings, and everything it does is pure: no network, no clock, no dice.
The worker carries the bytes. A new one subclasses `Destination` and passes the suite `edgequeue.testing.contract`;
`docs/destinations.md` shows how.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from edgequeue.auth import Anonymous, Credentials
from edgequeue.destinations.framing import JSON_TYPE, Adding, Framing, JsonFraming, SmileFraming
from edgequeue.errors import ConfigError
from edgequeue.model import Batch, Draft, HttpRequest, HttpResponse, Limits
from edgequeue.outcome import Outcome
from edgequeue.sender import is_loopback

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Destination(ABC):
    """Where events go. The settings here are common to all types; `name` is the table's name in the configuration."""

    type: ClassVar[str]
    credential_headers: ClassVar[tuple[str, ...]] = ("authorization",)
    """Which of the account's headers the service asks for."""
    list_key: ClassVar[str] = "events"
    """The list of a request document that the items stand in."""
    encodings: ClassVar[tuple[str, ...]] = ("json",)
    """What `encoding` may be; "smile" only where the service is documented to take it."""

    name: str
    _: KW_ONLY
    endpoint: str = ""
    auth: Credentials | None = None
    enabled: bool = True
    encoding: str = "json"
    smile_shared_values: bool = False
    not_before: datetime | None = None
    sandbox_name: str | None = None
    path: str | None = None
    reference_path: str | None = None
    requests_in_flight_max: int = 4
    requests_per_second_max: float | None = None
    batch_events_max: int | None = None
    batch_bytes_max: int | None = None
    attempts_max: int = 3
    connect_timeout_seconds: float = 10.0
    timeout_seconds: float = 30.0
    ca_file: Path | None = None
    client_cert: Path | None = None
    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    insecure: bool = False

    def __post_init__(self) -> None:
        """Check the settings that are common to all types; ConfigError names the key and the remedy."""
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"destination name {self.name!r}: use letters, digits, '_', '-' and '.', at most 64")
        self._check_endpoint()
        if self.auth is not None and not callable(getattr(self.auth, "headers", None)):
            self._fault("auth", "is no account; give Ims(…) or Bearer(…), or in a file the name of an [auth.*] table")
        for key in ("requests_in_flight_max", "attempts_max", "batch_events_max", "batch_bytes_max"):
            value = getattr(self, key)
            if value is not None and value < 1:
                self._fault(key, f"is {value}; it must be 1 or more")
        for key in ("connect_timeout_seconds", "timeout_seconds", "requests_per_second_max"):
            value = getattr(self, key)
            if value is not None and not value > 0:
                self._fault(key, f"is {value}; it must be more than 0")
        if self.encoding not in self.encodings:
            self._fault("encoding", f"is {self.encoding!r}; this type writes {' or '.join(map(repr, self.encodings))}")
        if self.proxy is not None and not self.proxy.startswith(("http://", "https://")):
            self._fault("proxy", "is no address of an HTTP proxy; it begins with http://")  # it may hold a password
        if self.sandbox_name is not None:
            self._check_header("sandbox_name")
        if self.not_before is not None and self.not_before.tzinfo is None:
            self._fault("not_before", "has no time zone; write it as 2026-11-21T10:45:00Z")

    # --- to be written for each type -----------------------------------------------------------------------------

    @property
    @abstractmethod
    def limits(self) -> Limits:
        """What one request may hold."""

    @abstractmethod
    def check(self, event: Any, wall_ms: int) -> Draft:
        """Check one event and encode it for the store; InvalidEvent names field, reason and remedy.

        `wall_ms` (milliseconds since 1970) is what a missing timestamp is stamped with.
        """

    @abstractmethod
    def split(self, document: Mapping[str, Any]) -> list[Any] | None:
        """The events of a whole request document, or None when the document is a single event."""

    @abstractmethod
    def item(self, payload: bytes) -> bytes:
        """One stored event as it stands in a request body, in today's envelope."""

    @abstractmethod
    def encode(self, batch: Batch) -> HttpRequest:
        """The request that carries the batch, without credentials."""

    @abstractmethod
    def interpret(self, batch: Batch, response: HttpResponse) -> Outcome:
        """What an answer means for each event of the batch."""

    # --- shared ---------------------------------------------------------------------------------------------------

    @property
    def credentials(self) -> Credentials:
        """What signs the requests; nothing where no `auth` is set."""
        return self.auth or Anonymous()

    @property
    def signs(self) -> bool:
        """Whether the requests carry credentials."""
        return self.auth is not None

    @property
    def place(self) -> str:
        """Where the requests go: what was learned of one place counts for nothing at another."""
        return f"{self.type} {self.endpoint}{self.path or ''}"

    @property
    def not_before_ms(self) -> int | None:
        """`not_before` in milliseconds since 1970."""
        return None if self.not_before is None else round(self.not_before.timestamp() * 1000)

    @cached_property
    def framing(self) -> Framing:
        """How the items of a request stand together."""
        if self.encoding == "smile":
            return SmileFraming(self.list_key, shared_values=self.smile_shared_values)
        return JsonFraming(self.list_key)

    @cached_property
    def in_json(self) -> Self:
        """The same destination without Smile, for a service that turns out not to take it."""
        return self if self.encoding == "json" else replace(self, encoding="json")

    def begin(self) -> Adding:
        """A new request: what each stored payload adds to its body."""
        if self.encoding == "json":
            return self.item
        add = self.framing.begin()
        return lambda payload: add(self.item(payload))

    def written(self, batch: Batch, *, framed: bool = True) -> tuple[dict[str, str], bytes]:
        """Headers and body of a batch; not `framed`: one event without the list around it.

        One event alone is written in JSON where that is shorter: what was measured when it was enqueued is its JSON.
        """
        headers, framing = self.headers(), self.framing
        if framing.content_type == JSON_TYPE or len(batch) > 1:
            return headers, batch.items[0] if len(batch) == 1 and not framed else framing.document(batch.items)
        item = self.item(batch.records[0].payload)
        body = framing.document(batch.items) if framed else framing.alone(item)
        plain = JsonFraming(self.list_key).document([item]) if framed else item
        if len(body) <= len(plain):
            return headers, body
        return {**headers, "content-type": JSON_TYPE}, plain

    def headers(self) -> dict[str, str]:
        """The headers every request has, apart from credentials."""
        found = {"content-type": self.framing.content_type, "accept": "application/json"}
        if self.sandbox_name:
            found["x-sandbox-name"] = self.sandbox_name
        return found

    def limited(self, events_max: int, bytes_max: int) -> Limits:
        """The service's limits, lowered where the operator set lower ones."""
        return Limits(
            events_max=min(events_max, self.batch_events_max or events_max),
            bytes_max=min(bytes_max, self.batch_bytes_max or bytes_max),
            frame_bytes=self.framing.frame_bytes,
        )

    def _fault(self, key: str, text: str) -> None:
        raise ConfigError(f"[destinations.{self.name}] {key} {text}")

    def _check_header(self, key: str) -> None:
        """A setting that is sent as a header: visible ASCII characters."""
        value = getattr(self, key)
        if not value or not value.isascii() or not value.isprintable() or value != value.strip():
            self._fault(key, f"is {value!r}, which no header can hold; give it without accents and line breaks")

    def _check_endpoint(self) -> None:
        if not self.endpoint:
            self._fault("endpoint", "is missing; give the service's address, https://…")
        try:
            parts = urlsplit(self.endpoint)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigError(f"[destinations.{self.name}] endpoint {self.endpoint!r} is no address: {error}") from None
        if parts.scheme not in ("https", "http") or not host:
            self._fault("endpoint", f"{self.endpoint!r} is no address; it begins with https://")
        if parts.username or parts.password:
            self._fault("endpoint", "holds a user name or a password; credentials belong into an [auth.*] table")
        if parts.scheme == "http" and not is_loopback(host):
            if self.signs:
                self._fault("endpoint", "is http://, and credentials are never sent unencrypted; use https://")
            if not self.insecure:
                self._fault("endpoint", "is http://; use https://, or set insecure = true if you accept the risk")
