"""What the answers of Adobe's token service (IMS) mean. Pure, and lenient: nothing here raises, whatever the bytes are.

Sources: Adobe's "OAuth Server-to-Server credential API Reference" for the token, RFC 6749 §5.2 for refusals; clients
of IMS have seen 400 `{"error":"invalid_client","error_description":"invalid client_secret parameter"}`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from edgequeue.auth.accounts import Denied, is_token
from edgequeue.errors import NotSent, TransportError
from edgequeue.model import HttpResponse, Problem
from edgequeue.reading import is_foreign, json_object, retry_after_seconds, shortened
from edgequeue.retry import HoldState

LIFE_SECONDS_DEFAULT = 3600.0
"""How long a token is taken to live where the answer does not say so in a way that can be read."""

MILLISECONDS_MIN = 10_000_000.0
"""An `expires_in` from here on is in milliseconds, as the older exchange of JWTs has it (86399992): no token lives for
115 days.
"""

PASSING = ("temporarily_unavailable", "server_error", "slow_down")
"""OAuth errors that go away by themselves; any other one wants an operator."""

_CLIENT = (
    "Check client_id, client_secret and scopes in the [auth.*] table: "
    "they have to be those of the project in Adobe's Developer Console."
)
_ENDPOINT = "Check endpoint in the [auth.*] table."
_BETWEEN = "Something between this device and the token service answered: log in to the network, or check the proxy."
_ALONE = "It is asked again by itself; nothing is lost."
_UNKNOWN = "It may be something in between that answered: check the network and the proxy, then endpoint in [auth.*]."
_UNREACHED: Mapping[str, str] = {
    "dns": "Check the network and the name in endpoint of the [auth.*] table.",
    "tls": "Check the device's clock, ca_file of the destination, and whether the network has a login page.",
    "proxy": "Check the proxy.",
    "settings": "Mend the setting of the destination that it names.",
}


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and how many seconds it lives from when it was asked for."""

    value: str = field(repr=False)
    life_seconds: float


def reading(response: HttpResponse, service: str, *, hidden: str = "") -> Token | Denied:
    """What an answer of the token service comes to. `service` is its host, for the text of a problem; `hidden` is the
    secret, which no text may repeat even where the service does.

    | answer                                              | comes to                                                |
    | --------------------------------------------------- | ------------------------------------------------------- |
    | HTML whatever the status; 1xx, 3xx, 511             | BACKING_OFF, not_the_service: a captive portal, a proxy |
    | 200, a JSON object with a usable `access_token`     | the Token                                               |
    | any other 2xx                                       | BACKING_OFF, not_the_service                            |
    | 400, 401 with `error` one of `PASSING`              | BACKING_OFF, ims_<error>                                |
    | 400, 401 with any other `error`                     | PAUSED, ims_<error>: client_id, client_secret, scopes   |
    | 400, 401 without a JSON `error`                     | BACKING_OFF, http_<status>: nobody knows who answered   |
    | 408, 425, 429, 5xx                                  | BACKING_OFF, http_<status>                              |
    | any other 4xx                                       | PAUSED, http_<status>: endpoint                         |

    Each carries the answer's Retry-After in seconds, a date read by the answer's own Date.
    """
    status = response.status
    if is_foreign(response):
        text = f"instead of the token service {service}, something else answered with HTTP {status}"
        return _backing_off(response, "not_the_service", text, _BETWEEN)
    document = json_object(response.body) or {}
    if status < 300:
        token = document.get("access_token")
        if status == 200 and isinstance(token, str) and is_token(token):
            return Token(token, life_seconds(document.get("expires_in")))
        text = f"the token service {service} answered HTTP {status} without an access token"
        return _backing_off(response, "not_the_service", text, _BETWEEN)
    said = _said(document, response.body, hidden)
    text = f"the token service {service} answered HTTP {status}{f': {said}' if said else ''}"
    if status in (400, 401):
        return _refusal(response, document.get("error"), text, hidden)
    if status in (408, 425, 429) or status >= 500:
        return _backing_off(response, f"http_{status}", text, _ALONE)
    problem = Problem(f"http_{status}", text, _ENDPOINT, status)
    return Denied(problem, retry_after_seconds=retry_after_seconds(response))


def unanswered(error: TransportError, service: str) -> Denied:
    """No answer at all: NotSent is OFFLINE (a setting of the destination PAUSED), MaybeSent BACKING_OFF."""
    text = f"no token from the token service {service}: {error}"
    if not isinstance(error, NotSent):
        return Denied(Problem(error.code, text, _ALONE), HoldState.BACKING_OFF, error.retry_after_seconds)
    state = HoldState.PAUSED if error.code == "settings" else HoldState.OFFLINE
    return Denied(Problem(error.code, text, _UNREACHED.get(error.code, "")), state)


def life_seconds(expires_in: object) -> float:
    """The life of a token in seconds, from `expires_in` as a number or a text, in seconds or milliseconds."""
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float | str):
        return LIFE_SECONDS_DEFAULT
    try:
        number = float(expires_in)
    except (ValueError, OverflowError):
        return LIFE_SECONDS_DEFAULT
    if not math.isfinite(number) or number <= 0:
        return LIFE_SECONDS_DEFAULT
    return number if number < MILLISECONDS_MIN else min(number / 1000, MILLISECONDS_MIN)


def _refusal(response: HttpResponse, error: object, text: str, hidden: str) -> Denied:
    """A 400 or 401: OAuth says in `error` what it is about."""
    name = error.strip() if isinstance(error, str) else ""
    if not name:
        return _backing_off(response, f"http_{response.status}", text, _UNKNOWN)
    code = "ims_" + re.sub(r"[^A-Za-z0-9_.-]+", "_", _without(hidden, name))[:60]
    if name in PASSING:
        return _backing_off(response, code, text, _ALONE)
    return Denied(Problem(code, text, _CLIENT, response.status), retry_after_seconds=retry_after_seconds(response))


def _backing_off(response: HttpResponse, code: str, text: str, remedy: str) -> Denied:
    problem = Problem(code, text, remedy, response.status)
    return Denied(problem, HoldState.BACKING_OFF, retry_after_seconds(response))


def _said(document: Mapping[str, Any], body: bytes, hidden: str) -> str:
    """The service's own words on one line, shortened: those of a JSON object, else the text as it is."""
    parts = [document.get(key) for key in ("error", "error_description", "error_code", "message")]
    texts = [part for part in parts if isinstance(part, str)] or [body.decode("utf-8", "replace")]
    return shortened(_without(hidden, ": ".join(dict.fromkeys(texts))))


def _without(hidden: str, text: str) -> str:
    """The text without a secret in it, as it is or as it stands in a form."""
    if hidden:
        text = text.replace(hidden, "***").replace(quote_plus(hidden), "***")
    return text
