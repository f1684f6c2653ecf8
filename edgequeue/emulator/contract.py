"""What the parts of the emulator hand to each other: options, a parsed request, an answer, a verdict.

The services themselves (`edge.py`, `dccs.py`) are pure functions from (options, request, stamp) to a verdict; time and
nonces come in with the stamp. Nothing here opens a socket or remembers anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, NoReturn

from edgequeue.emulator import smile

JSON_TYPE = "application/json"
SMILE_TYPE = "application/x-jackson-smile"
ERROR_SHAPES = ("older", "newer")
"""The two documented shapes of a refused message in a DCCS batch answer."""
TOKEN_SECONDS = 86_399.0
"""What IMS answers as expires_in: about a day."""
TOKEN_SECONDS_MAX = 10_000_000.0
"""From here on a client may take expires_in for milliseconds."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the emulated organisation looks like. None means: not checked, anything goes.

    `datastreams`, `inlets` and `scopes` are the known ones; `token` is a valid bearer token of both services;
    `required_fields` are dotted paths that each `xdmEntity` must have. With `client_id` or `client_secret` both
    services take the tokens that IMS has issued; each lives `token_seconds`, answered as milliseconds on request.
    """

    token: str | None = field(default=None, repr=False)
    org_id: str | None = None
    datastreams: frozenset[str] | None = None
    inlets: frozenset[str] | None = None
    required_fields: tuple[str, ...] = ()
    error_shape: str = "older"
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    token_seconds: float = TOKEN_SECONDS
    token_milliseconds: bool = False
    scopes: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.token_seconds <= TOKEN_SECONDS_MAX:
            raise ValueError(f"token_seconds is {self.token_seconds}; it must be from 0 to {TOKEN_SECONDS_MAX}")
        if self.error_shape not in ERROR_SHAPES:
            raise ValueError(f"error_shape is {self.error_shape!r}; it must be one of: {', '.join(ERROR_SHAPES)}")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read to its end. Header names are in lower case; `query` holds the first value of each key.

    `body` holds at most the bytes that any service would accept; `length` is the true size in bytes.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int = 0
    keep_alive: bool = True

    @property
    def media_type(self) -> str:
        """The Content-Type without parameters, in lower case; empty when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def bearer(self) -> str | None:
        """The bearer token sent; None when there is no Authorization header of that scheme, or an empty one."""
        scheme, _, token = self.headers.get("authorization", "").strip().partition(" ")
        return (token.strip() or None) if scheme.lower() == "bearer" else None


class Access(Enum):
    """What a service makes of the bearer token of a request."""

    OPEN = "no token is asked for"
    VALID = "the token is valid"
    MISSING = "there is none"
    WRONG = "it is not the one token of the options"
    UNKNOWN = "it is none that IMS has issued"
    ENDED = "IMS has issued it, but it has expired or was revoked"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is new with each request: UNIX time in seconds, a serial number from 1, a fresh UUID, 64 random bits.

    `access` is what became of the request's bearer token, so that the services need not know the tokens.
    """

    at: float
    serial: int
    uuid: str
    nonce: int
    access: Access = Access.OPEN


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; `headers` come beside Content-Type (none where it is empty) and Content-Length."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()


class Accepted(NamedTuple):
    """One accepted event: its `_id` (None when it has none) and the event or message as it was sent."""

    id: str | None
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a service makes of a request: its answer, what it accepted, and what the request carried.

    `ids` are the `_id`s of all events in the request, accepted or not: a fault may be meant for one of them.
    `events` counts all events in the request; `request_id` is the id that the service answers with. `messages` are all
    messages of a DCCS batch, in their order.
    """

    answer: Answer
    accepted: Sequence[Accepted] = ()
    ids: Sequence[str] = ()
    events: int = 0
    request_id: str | None = None
    messages: Sequence[Accepted] = ()


class Malformed(ValueError):
    """The body is neither JSON nor Smile."""


def json_answer(
    status: int, document: object, content_type: str = JSON_TYPE, headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    """An answer with the document as compact JSON."""
    return Answer(status, json.dumps(document, separators=(",", ":")).encode(), content_type, headers)


def read_document(request: Request) -> object:
    """The decoded body, JSON or Smile by its Content-Type. Raises Malformed; NaN and Infinity are not JSON."""
    try:
        if request.media_type == SMILE_TYPE:
            return smile.decode(request.body)
        return _DECODER.decode(request.body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error


def text_at(document: object, *path: str) -> str | None:
    """The non-empty string at that path of nested objects, else None."""
    for key in path:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document if isinstance(document, str) and document else None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
