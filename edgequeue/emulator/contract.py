"""What the parts of the emulator hand to each other: a parsed request, an answer, a verdict.

The services themselves (`edge.py`, `dccs.py`, …) are pure functions from (options, request, stamp) to a verdict; time
and nonces come in with the stamp. Nothing here opens a socket or remembers anything.
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


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read to its end. Header names are in lower case; `query` holds the first value of each key.

    `body` holds at most the bytes that any service would accept; `length` is the true size in bytes. `pairs` are all
    parameters of the query; `encoded_path` is the path as it was sent, percent-encoded.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int = 0
    keep_alive: bool = True
    pairs: tuple[tuple[str, str], ...] = ()
    encoded_path: str = ""

    def values(self, name: str) -> list[str]:
        """All values of a query parameter, in their order."""
        return [value for key, value in self.pairs if key == name]

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
    messages of a DCCS batch or commands of a Bloomreach batch, in their order.
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
