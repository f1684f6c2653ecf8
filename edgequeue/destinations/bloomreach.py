"""Bloomreach Engagement: `POST /track/v2/projects/{project_token}/batch`, up to 50 commands of the Tracking API.

An event is one command, `{"name": "customers/events", "data": {…}}`, and is stored as it stands in the request. It
carries its time and a `command_id` from the start, so its bytes are the same in every retry: Bloomreach drops exact
duplicates, and nothing else tells it that it has seen a command before. What the answers mean stands in
`bloomreach_answers.py`, what is checked at enqueue in `bloomreach_commands.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from edgequeue.auth import AccessKey, Credentials, Secret
from edgequeue.auth.accounts import as_secret
from edgequeue.destinations import bloomreach_answers as answers
from edgequeue.destinations.base import Destination
from edgequeue.destinations.bloomreach_commands import check_command, check_sizes
from edgequeue.destinations.payload import encode_json, reference_at, require_object, split_document
from edgequeue.model import ID_PLACEHOLDER, Batch, Draft, HttpRequest, HttpResponse, Limits
from edgequeue.outcome import Outcome

EVENTS_MAX = 50
"""Commands in a request ("the maximum allowed size of a single request is 50 commands")."""

BYTES_MAX = 1_000_000
"""Bytes of a request body. Bloomreach names no figure; a command of the largest size fits."""

REQUESTS_PER_SECOND = 5.0
"""The pace of catching up. Bloomreach allows 6,000 requests a minute to an address, and blocks high-volume imports."""

_ID_OFFSET = len(b'{"command_id":"')
_ENDPOINT = "https://api.exponea.com"


@dataclass(frozen=True, kw_only=True)
class Bloomreach(Destination):
    """A project. It is signed for with its public token, or with a private key (`private_key_id`, `private_secret`).

    `path` stands in place of `/track/v2/projects/{project_token}/batch`, for a service that has moved.
    """

    type: ClassVar[str] = "bloomreach"
    list_key: ClassVar[str] = "commands"

    requests_per_second_max: float | None = REQUESTS_PER_SECOND
    project_token: str = ""
    public_token: Secret | str | None = None
    private_key_id: str | None = None
    private_secret: Secret | str | None = None

    def __post_init__(self) -> None:
        """Fill in the endpoint, and check the settings; ConfigError names the key."""
        if not self.endpoint:
            object.__setattr__(self, "endpoint", _ENDPOINT)
        super().__post_init__()
        parts = urlsplit(self.endpoint)
        if parts.query or parts.fragment:
            self._fault("endpoint", f"{self.endpoint!r} has a '?' or a '#'; give the address alone")
        if self.path is None and not self.project_token:
            self._fault("project_token", "is missing; it stands in Project settings, Access management, API")
        if self.path is not None and not self.path.startswith("/"):
            self._fault("path", f"is {self.path!r}; it begins with '/'")
        self._check_access()

    def _check_access(self) -> None:
        """One way of access, and all of it. A secret given as text shows in no repr from then on."""
        for key in ("public_token", "private_secret"):
            if getattr(self, key) is not None:
                object.__setattr__(self, key, as_secret(getattr(self, key), f"[destinations.{self.name}] {key}"))
        if self.auth is not None:
            self._fault("auth", "has no place here; give public_token, or private_key_id and private_secret")
        private = (self.private_key_id, self.private_secret)
        if self.public_token is not None:
            if any(one is not None for one in private):
                self._fault("public_token", "and private_key_id or private_secret are both given; keep one way")
        elif not any(one is not None for one in private):
            self._fault("public_token", "is missing; give it, or private_key_id and private_secret")
        elif self.private_secret is None:
            self._fault("private_secret", "is missing; it belongs to private_key_id")
        elif not self.private_key_id or ":" in self.private_key_id or not self.private_key_id.isprintable():
            self._fault("private_key_id", "is missing, or is none; it belongs to private_secret and has no ':'")

    @cached_property
    def credentials(self) -> Credentials:
        """The project's public token, or its private key."""
        if self.public_token is not None:
            return AccessKey(self.public_token)
        assert self.private_secret is not None  # checked when the destination was made
        return AccessKey(self.private_secret, self.private_key_id)

    @property
    def signs(self) -> bool:
        """Always: there is no access without credentials."""
        return True

    @property
    def place(self) -> str:
        """Where the requests go: another project is another place."""
        return f"{self.type} {self.url}"

    @cached_property
    def limits(self) -> Limits:
        """50 commands and 1,000,000 bytes, or what the operator lowered them to."""
        return self.limited(EVENTS_MAX, BYTES_MAX)

    def check(self, event: Any, wall_ms: int) -> Draft:
        """Check a command, and give it its time and its `command_id` where it has none."""
        command = require_object(event, "")
        warnings: list[str] = []
        checked = check_command(command, wall_ms, warnings)
        reference = reference_at(command, self.reference_path, warnings) if self.reference_path else None
        minted = "command_id" not in command
        if minted:
            command = {"command_id": ID_PLACEHOLDER, **command}
        elif checked.stamped:
            command = {**command}
        if checked.stamped:
            command["data"] = checked.data
        payload = encode_json(command)
        check_sizes(command, len(payload))
        id_offset = _ID_OFFSET if minted else -1
        return Draft(payload, id_offset, checked.occurred_ms, reference, checked.stamped, tuple(warnings))

    def split(self, document: Mapping[str, Any]) -> list[Any] | None:
        """The commands of `{"commands": […]}`; InvalidEvent when anything else stands beside them."""
        return split_document(document, "commands")

    def item(self, payload: bytes) -> bytes:
        """The command as it was stored."""
        return payload

    def encode(self, batch: Batch) -> HttpRequest:
        """The batch as one request."""
        # Always on a fresh connection. `command_id`s prove whose an answer is, but no document promises that each entry
        # has one, and a stray answer that has none and accepts as many commands would pass for ours.
        return HttpRequest("POST", self.url, *self.written(batch), fresh=True)

    def interpret(self, batch: Batch, response: HttpResponse) -> Outcome:
        """What Bloomreach's answer means; never raises, and accepts nothing but the results of a 200."""
        return answers.interpret(batch, response, self.name)

    @cached_property
    def url(self) -> str:
        """Where batches are posted to."""
        path = self.path or f"/track/v2/projects/{quote(self.project_token, safe='')}/batch"
        return f"{self.endpoint.rstrip('/')}{path}"
