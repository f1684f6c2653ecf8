"""Bloomreach Engagement, `POST /track/v2/projects/{projectToken}/batch`, read from Bloomreach's documents.

Pure. A batch is answered 200 with a result for each command, whatever became of the commands ("Batch commands"); only
credentials and structure refuse it whole. What is asked of a command stands in `bloomreach_commands.py`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from edgequeue.emulator.bloomreach_commands import SYSTEM_TIME, identity_of, wrong_with
from edgequeue.emulator.contract import (
    JSON_TYPE,
    Accepted,
    Answer,
    Malformed,
    Request,
    Stamp,
    Verdict,
    json_answer,
    read_document,
    text_at,
)
from edgequeue.emulator.options import Options

COMMANDS_MAX = 50
""""Batch commands", Limitations: the maximum of a single request."""
BODY_BYTES_MAX = 1_000_000
"""No document gives one; what a client can need for a single command, and some more (ours)."""

REFUSALS: Mapping[str, tuple[int, str, object]] = {
    "could_not_authenticate": (400, "error", "Could not authenticate"),
    "invalid_project": (400, "error", "Invalid project id"),
    "invalid_json": (400, "message", "Invalid JSON"),
    "too_many_commands": (400, "errors", [f"At most {COMMANDS_MAX} commands can be sent in a batch."]),
    "no_commands": (400, "errors", ["Field 'commands' is required."]),
    "key_missing": (401, "error", "Access key not provided"),
    "key_not_found": (401, "errors", {"code": 1, "description": "Access key not found"}),
    "invalid_secret": (403, "errors", {"code": 2, "description": "invalid secret"}),
    "no_permission": (403, "error", "Not authorized to update specified customer properties"),
    "not_found": (404, "message", "The requested URL was not found on the server"),
    "too_large": (413, "error", "Request Entity Too Large"),
    "rate_limited": (429, "error", "Too Many Requests"),
    "unavailable": (503, "error", "Service Unavailable"),
}
"""Name -> status, the key that holds the text, the text ("Authorization errors", "Most common API requests errors").

The documents know all three keys, and a list or an object under `errors`. Those of the numbers of commands, of 413, 429
and 503 are ours: no document shows them.
"""
_NOT_UNDERSTOOD = b"BadRequest: The browser (or proxy) sent a request that this server could not understand.\n"
""""Most common API issues": what a compressed body is answered with."""
_PATH = re.compile(r"/track/v2/projects/([^/]+)/batch")


def project_of(path: str) -> str | None:
    """The project token in a path; None for the paths of others."""
    found = _PATH.fullmatch(path)
    return found[1] if found else None


def judge(options: Options, request: Request, stamp: Stamp) -> Verdict:
    """What the service answers to a batch of commands, and which of them it takes. A time asked for is no event."""
    try:
        document: object = read_document(request) if request.media_type == JSON_TYPE else None
    except Malformed:
        document = None
    carried = document.get("commands") if isinstance(document, dict) else None
    commands = carried if isinstance(carried, list) else []
    each = [Accepted(identity_of(command), command) for command in commands]
    ids = [one.id for one in each if one.id is not None]
    refused = _wrong_request(options, request, stamp, document)
    if refused is not None:
        return Verdict(refused, (), ids, len(ids), stamp.uuid)
    wrongs = [wrong_with(command) for command in commands]
    results = [_result(command, wrong, stamp.at) for command, wrong in zip(commands, wrongs, strict=True)]
    accepted = [one for one, wrong in zip(each, wrongs, strict=True) if wrong is None and one.id is not None]
    answer = _named(stamp.uuid, json_answer(200, _body(results, stamp.at)))
    return Verdict(answer, accepted, ids, len(ids), stamp.uuid, each)


def refusal(status: int, code: str | None, request_id: str | None) -> Answer:
    """The service's own body for a refusal of the whole request; `code` is a name of REFUSALS."""
    if code is None:
        code = next((name for name, (its_status, _, _) in REFUSALS.items() if its_status == status), None)
    _, key, text = REFUSALS.get(code or "", (status, "error", "Emulated error"))
    return _named(request_id, json_answer(status, {"success": False, key: text}))


def _named(request_id: str | None, answer: Answer) -> Answer:
    """Each answer carries its x-request-id ("Authorization errors")."""
    headers = (*answer.headers, ("x-request-id", request_id or ""))
    return Answer(answer.status, answer.body, answer.content_type, headers)


def _refused(code: str, stamp: Stamp) -> Answer:
    return refusal(REFUSALS[code][0], code, stamp.uuid)


def _wrong_request(options: Options, request: Request, stamp: Stamp, document: object) -> Answer | None:
    if request.headers.get("content-encoding", "identity").lower() != "identity" or request.body[:2] == b"\x1f\x8b":
        return _named(stamp.uuid, Answer(400, _NOT_UNDERSTOOD, "text/plain"))
    if options.project_tokens is not None and project_of(request.path) not in options.project_tokens:
        return _refused("invalid_project", stamp)
    code = _wrong_access(options, request)
    if code is None and request.length > BODY_BYTES_MAX:
        code = "too_large"
    if code is None and not isinstance(document, dict):
        code = "invalid_json"
    if code is None and isinstance(document, dict):
        commands = document.get("commands")
        if not isinstance(commands, list) or not commands:
            code = "no_commands"
        elif len(commands) > COMMANDS_MAX:
            code = "too_many_commands"
    return _refused(code, stamp) if code else None


def _wrong_access(options: Options, request: Request) -> str | None:
    """The name of the refusal; None for one of the keys, or where the emulator was told none."""
    if options.public_token is None and options.private_key is None:
        return None
    scheme, _, credentials = request.headers.get("authorization", "").strip().partition(" ")
    if not scheme and "access_token" in request.query:
        scheme, credentials = "token", request.query["access_token"]
    if scheme.lower() == "token" and credentials:
        return None if credentials == options.public_token else "key_not_found"
    if scheme.lower() != "basic" or not credentials:
        return "key_missing"
    try:
        key_id, _, secret = base64.b64decode(credentials, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "key_missing"
    known_id, _, known_secret = (options.private_key or "").partition(":")
    if not known_id or key_id != known_id:
        return "key_not_found"
    return None if secret == known_secret else "invalid_secret"


def _result(command: object, wrong: str | None, now: float) -> dict[str, Any]:
    result: dict[str, Any] = {"success": wrong is None}
    if wrong is not None:
        result["errors"] = [wrong]
    elif text_at(command, "name") == SYSTEM_TIME:
        result["time"] = now
    command_id = text_at(command, "command_id")
    return result | ({"command_id": command_id} if command_id is not None else {})


def _body(results: list[dict[str, Any]], now: float) -> dict[str, Any]:
    # Top-level success is true even when all commands have failed (sample of "Batch commands").
    return {"results": results, "start_time": now, "end_time": now, "success": True}
