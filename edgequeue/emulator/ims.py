"""Adobe's token service (IMS), `POST /ims/token/v3`: the OAuth server-to-server exchange, read from Adobe's documents.

Errors have the OAuth shape (RFC 6749, 5.2); the texts of invalid_client are those that clients of IMS have seen. Strict
where the documents only advise: a secret in the query string, which ends up in logs, is refused. No answer repeats what
was sent. Pure but for `issue`, which it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from edgequeue.emulator.contract import Answer, Request, Verdict, json_answer
from edgequeue.emulator.options import Options

PATH = "/ims/token/v3"
FORM_TYPE = "application/x-www-form-urlencoded"
GRANT_TYPE = "client_credentials"
SECRET_PARAMETERS = ("client_secret", "access_token")
"""Not in a query string."""
ERRORS: Mapping[int, str] = {
    400: "invalid_request", 401: "invalid_client", 403: "access_denied", 429: "too_many_requests",
    500: "server_error", 503: "temporarily_unavailable",
}  # fmt: skip
"""The `error` of a status that somebody asked for (RFC 6749; 429 is ours)."""
_NO_STORE = (("Cache-Control", "no-store"),)  # RFC 6749, 5.1


def judge(options: Options, request: Request, issue: Callable[[float], str]) -> Verdict:
    """A token, or why there is none. `issue` makes a token that is valid for so many seconds."""
    return Verdict(_refused(options, request) or _token(options, issue))


def refusal(status: int, error: str | None = None, description: str = "emulated") -> Answer:
    """An error answer in the OAuth shape; without `error` the one that goes with the status."""
    error = error or ERRORS.get(status, "invalid_request" if status < 500 else "server_error")
    return json_answer(status, {"error": error, "error_description": description}, headers=_NO_STORE)


def _token(options: Options, issue: Callable[[float], str]) -> Answer:
    document = {
        "access_token": issue(options.token_seconds),
        "token_type": "bearer",
        # The retired JWT exchange answered milliseconds; a client may still meet them.
        "expires_in": int(options.token_seconds * (1000 if options.token_milliseconds else 1)),
    }
    return json_answer(200, document, headers=_NO_STORE)


def _refused(options: Options, request: Request) -> Answer | None:
    if any(name in request.query for name in SECRET_PARAMETERS):
        return refusal(400, "invalid_request", "client_secret must be in the body, not in the query string")
    if request.media_type != FORM_TYPE:
        return refusal(400, "invalid_request", f"Content-Type must be {FORM_TYPE}")
    form = _form(request.body)
    if form is None:
        return refusal(400, "invalid_request", "the body is malformed, or names a parameter twice")
    if not form.get("grant_type"):
        return refusal(400, "invalid_request", "grant_type is missing")
    if form["grant_type"] != GRANT_TYPE:
        return refusal(400, "unsupported_grant_type", f"grant_type must be {GRANT_TYPE}")
    for name, known in (("client_id", options.client_id), ("client_secret", options.client_secret)):
        if not form.get(name) or form[name] != (known or form[name]):
            return refusal(400, "invalid_client", f"invalid {name} parameter")
    wrong = _wrong_with_scope(options, form.get("scope", ""))
    return refusal(400, "invalid_scope", wrong) if wrong else None


def _form(body: bytes) -> dict[str, str] | None:
    """The parameters; None where they cannot be read, or one comes twice (RFC 6749, 3.2)."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        return None
    form = dict(pairs)
    return form if len(form) == len(pairs) else None


def _wrong_with_scope(options: Options, text: str) -> str | None:
    scopes = [scope.strip() for scope in text.split(",")]
    if not all(scopes):
        return "scope is missing or empty"
    if any(len(scope.split()) > 1 for scope in scopes):  # OAuth's own separator, but not that of IMS
        return "scopes are separated by commas"
    if options.scopes is not None and not options.scopes.issuperset(scopes):
        return "scope is not known"
    return None
