"""What Bloomreach may answer: by status, in every shape of a refusal, and command by command.

The expectations are those of Bloomreach's pages ("Batch commands", "Authorization errors") and of the design, written
down by hand: a second opinion on the tables in `edgequeue/destinations`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from edgequeue.errors import MaybeSent
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.testing import accept, response
from tests.integration.answers_case import (
    After,
    accepted,
    asks_to_wait,
    backs_off,
    foreign,
    pauses,
    suspected,
    too_large_for_a_proxy,
    unanswered,
    unclear,
)

Service = Callable[[HttpRequest], HttpResponse]

PAGE = b"<!DOCTYPE html><title>Log in</title>"
INVALID = {"success": False, "message": "Invalid JSON"}
ACCESS = "Check public_token, or private_key_id and private_secret, in [destinations.shop]."
ADDRESS = "Check endpoint, project_token and path"
PERMISSION = "the permission Set"

TAKEN, REFUSED = {"success": True}, {"success": False, "errors": ["Field 'event_type' is required."]}
UNAUTHORISED = {"success": False, "errors": ["Not authorized to update specified customer properties."]}
TOLD = ("accepted 200", "accepted 200")


class Answered(NamedTuple):
    """An answer, given to each request, and what it comes to for three commands."""

    name: str
    service: Service
    after: After

    def __str__(self) -> str:
        return self.name


def commands_of(request: HttpRequest) -> list[dict[str, Any]]:
    """The commands that a request carries."""
    commands: list[dict[str, Any]] = json.loads(request.body)["commands"]
    return commands


def answers() -> Iterator[Answered]:
    yield Answered("accepted", accept, accepted(200))
    yield from _refusals()
    yield from _waits()
    yield from _pauses()
    yield from _nobodys()
    yield from _results()


def _always(name: str, status: int, body: Any, after: After, **headers: str) -> Answered:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Answered(f"{status}, {name}", lambda _: HttpResponse(status, named, content), after)


def _refusals() -> Iterator[Answered]:
    """Halved; none of them says which command it is about, so who is alone is under suspicion."""
    for status in (400, 409, 413, 422):
        for name, body in (("own", INVALID), ("plain", b"Bad Request"), ("empty", b"")):
            yield _always(name, status, body, suspected(status, f"http_{status}"))
    yield _always("success false", 200, INVALID, suspected(200, "http_200"))
    yield _always("page", 413, PAGE, too_large_for_a_proxy())


def _waits() -> Iterator[Answered]:
    for status in (408, 425, 429, 500, 502, 503, 504):
        yield _always("own", status, {"success": False, "error": "busy"}, backs_off(status, f"http_{status}"))
    for status in (429, 503):
        yield _always("retry-after", status, {}, asks_to_wait(status, f"http_{status}", 30), retry_after="30")


def _pauses() -> Iterator[Answered]:
    yield _always("token", 400, {"success": False, "error": "Could not authenticate"}, pauses(400, "http_400", ACCESS))
    project = pauses(400, "http_400", "Check project_token")
    yield _always("project", 400, {"success": False, "errors": ["Invalid project id"]}, project)
    for status in (401, 403):
        coded = {"errors": {"code": 1, "description": "access key not found"}, "success": False}
        yield _always("own", status, coded, pauses(status, f"http_{status}", ACCESS))
    yield _always("own", 404, {"error": "not found"}, pauses(404, "http_404", ADDRESS))
    yield _always("own", 405, {}, pauses(405, "http_405", "Check endpoint and path in [destinations.shop]."))


def _nobodys() -> Iterator[Answered]:
    for status in (200, 302, 401, 404, 500, 511):
        yield _always("page", status, PAGE, foreign(status))
    yield _always("nothing", 204, b"", foreign(204))
    for name, body in (("nothing", b""), ("no results", {"success": True}), ("half", b'{"results":[{"suc')):
        yield _always(name, 200, body, unclear(200))
    for status in (201, 202, 207):
        yield _always("results", status, {"success": True, "results": [TAKEN] * 3}, unclear(status))
    yield Answered("cut", _cut, unanswered("cut"))


def _cut(_: HttpRequest) -> HttpResponse:
    raise MaybeSent("the connection was closed before the answer was complete", code="cut")


def _results() -> Iterator[Answered]:
    """Each command with its own result; the last one is answered so, or all are."""
    one_dead = After((*TOLD, "reject 200"), delivered=2, dead=1)
    yield Answered("the last one refused", _last(REFUSED), one_dead)
    yield Answered("the last one not authorised", _last(UNAUTHORISED), one_dead)
    yield Answered("all refused", _each(REFUSED), After(("reject 200",), dead=3))
    yield Answered("none authorised", _each(UNAUTHORISED), pauses(200, "not_authorized", PERMISSION))
    again = After((*TOLD, "unknown 200, accepted 200"), requests=2, delivered=3)
    yield Answered("the last one without a result", lambda request: _told(request, commands_of(request)[:2]), again)
    yield Answered("the last one's result says nothing", _last({}, alone=TAKEN), again)
    yield Answered("in another order", lambda request: _told(request, commands_of(request)[::-1]), accepted(200))
    yield Answered("without command_ids", _bare(None), accepted(200))
    backwards = After(("unknown 200, accepted 200",), requests=4, delivered=3)
    yield Answered("ids that contradict their places", _bare("rotated"), backwards)


def _told(request: HttpRequest, commands: list[dict[str, Any]]) -> HttpResponse:
    """These commands are accepted, by name; one that is alone always is."""
    alone = commands_of(request)[-1:]
    results = [TAKEN | {"command_id": one["command_id"]} for one in commands if len(commands_of(request)) > 1]
    return response(200, {"success": True, "results": results or [TAKEN | {"command_id": alone[0]["command_id"]}]})


def _last(result: dict[str, Any], alone: dict[str, Any] | None = None) -> Service:
    def answer(request: HttpRequest) -> HttpResponse:
        ids = [command["command_id"] for command in commands_of(request)]
        results = [TAKEN | {"command_id": one} for one in ids]
        results[-1] = {**(alone if alone and len(ids) == 1 else result), "command_id": ids[-1]}
        return response(200, {"success": True, "results": results})

    return answer


def _each(result: dict[str, Any]) -> Service:
    return lambda request: response(200, {"success": True, "results": [result for _ in commands_of(request)]})


def _bare(names: str | None) -> Service:
    """All are accepted; none is named, or only the first is, by the name of the last."""

    def answer(request: HttpRequest) -> HttpResponse:
        results: list[dict[str, Any]] = [dict(TAKEN) for _ in commands_of(request)]
        if names and len(results) > 1:
            results[0]["command_id"] = commands_of(request)[-1]["command_id"]
        return response(200, {"success": True, "results": results})

    return answer
