"""What the answers of Adobe Experience Platform mean: done, again, other credentials, or no. Pure, and lenient.

Adobe does not document which key of an error body holds the code, so all that have been seen are looked at. Codes of
the gateway are six digits (Platform troubleshooting guide), those of Flow Service `NNNN-SSS` (its error reference).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import quote_plus

import orjson

from edgequeue.model import HttpResponse, Problem
from edgequeue.reading import is_foreign, json_object, retry_after_seconds, shortened

KEYS = ("errorCode", "error_code", "code", "type", "title", "detail", "message", "errorMessage", "error", "report")
"""Where codes and texts have been seen, the most exact first."""

_TEXTS = ("title", "detail", "message", "errorMessage", "error", "error_description", "report", "errorDetails")
_CODE = re.compile(r"(?<![0-9A-Za-z-])([A-Z]{2,6}-)?[0-9]{4}-[0-9]{3}(?![0-9A-Za-z-])|(?<![0-9-])[0-9]{6}(?![0-9-])")
_DEPTH_MAX = 4

SECRET_CHARACTERS_MIN = 8
"""Shorter ones would be found in ids and words; Adobe's tokens have hundreds of characters, client secrets over 30."""

TOKEN_CODES = ("401013", "403010")
"""The gateway's codes for a token that is not valid and one that is missing."""

_ACCOUNT = "Check the [auth.*] table that [flow_service] names: "
_AGAIN = "Nothing is lost: run the same command again, it goes on where it stopped."
_RIGHTS = (
    "Give the project's technical account the rights in Adobe: Manage Sources (Flow Service), View Schemas, "
    "View Datasets, in this sandbox."
)
_REMEDIES: Mapping[str, str] = {
    "401013": _ACCOUNT + "its token is not accepted.",
    "403010": _ACCOUNT + "its token is not accepted.",
    "403000": _ACCOUNT + "client_id is missing; it is sent as x-api-key.",
    "403003": _ACCOUNT + "client_id is not known to Adobe.",
    "400003": "A header is missing: check client_id and org_id of the account, and sandbox_name in [flow_service].",
    "403025": _ACCOUNT + "org_id, and whether the project has the Experience Platform API.",
    "1425-400": "Mapping and dataset must have the same schema and version: check --schema-id and --schema-version.",
    "1417-400": "Check --dataset-id and --schema-id.",
}
_STATUS_REMEDIES: Mapping[int, str] = {
    401: _ACCOUNT + "its token is not accepted.",
    403: _RIGHTS,
    404: "Check endpoint, sandbox_name and mapping_path in [flow_service]: what was asked for is not there.",
    409: "Something of this name is there, and could not be found: look it up in the Platform UI (Sources).",
}


class Meaning(Enum):
    """What an answer comes to. AGAIN may pass; RENEW may with other credentials; EXISTS is 409; REFUSED will not."""

    DONE = "done"
    AGAIN = "again"
    RENEW = "renew"
    EXISTS = "exists"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as read. `document` is the JSON object of a DONE, and empty otherwise; `problem` what went wrong."""

    meaning: Meaning
    problem: Problem
    document: Mapping[str, Any] = field(default_factory=dict)
    retry_after_seconds: float | None = None


def read(response: HttpResponse, host: str, hidden: Sequence[str] = ()) -> Answer:
    """What an answer comes to. A page, a redirect, or a 2xx without a JSON object is not the service's: AGAIN.

    `hidden` are secrets, which no text may repeat even where the service does.
    """
    status = response.status
    wait_seconds = retry_after_seconds(response)
    document = without(json_object(response.body), hidden)
    if is_foreign(response) or (status < 300 and document is None):
        text = f"instead of {host}, something else answered with HTTP {status}"
        remedy = "Log in to the network, or check the proxy and [flow_service] endpoint."
        return Answer(Meaning.AGAIN, Problem("not_the_service", text, remedy, status), {}, wait_seconds)
    if status < 300:
        return Answer(Meaning.DONE, Problem("", ""), document or {})
    said = document or {}
    code = code_of(said) or f"http_{status}"
    text = f"{host} answered HTTP {status}{_in_words(said, without(_readable(response.body), hidden))}"
    problem = Problem(code, text, _remedy(code, status), status)
    return Answer(_meaning(status, code), problem, {}, wait_seconds)


def without(value: Any, hidden: Sequence[str]) -> Any:
    """A value of JSON whose texts repeat none of these secrets, as they are or as they stand in a form."""
    if isinstance(value, str):
        for secret in hidden:
            if len(secret) >= SECRET_CHARACTERS_MIN:
                value = value.replace(secret, "***").replace(quote_plus(secret), "***")
        return value
    if isinstance(value, dict):
        return {key: without(each, hidden) for key, each in value.items()}
    return [without(each, hidden) for each in value] if isinstance(value, list) else value


def _meaning(status: int, code: str) -> Meaning:
    if status == 401 or code in TOKEN_CODES:
        return Meaning.RENEW
    if status in (408, 425, 429) or status >= 500:
        return Meaning.AGAIN
    return Meaning.EXISTS if status == 409 else Meaning.REFUSED


def _remedy(code: str, status: int) -> str:
    if status in (408, 425, 429) or status >= 500:
        return _AGAIN
    if code in _REMEDIES:
        return _REMEDIES[code]
    if code.startswith("20") and code.endswith(("-400", "-403", "-404")):  # 2000..2121: token, sandbox, permission
        return "Check sandbox_name in [flow_service], and the account's rights in that sandbox."
    return _STATUS_REMEDIES.get(status, "Mend what the answer names, and run the same command again.")


def code_of(document: Mapping[str, Any]) -> str | None:
    """The service's code, wherever the body has it; None when there is none."""
    for key in KEYS:
        for text in _texts(document.get(key)):
            found = _CODE.search(text)
            if found:
                return found[0]
    return None


def _in_words(document: Mapping[str, Any], body: str) -> str:
    """The service's own words, each once, after a colon; the body itself where it is no JSON object."""
    texts = [text for key in _TEXTS for text in _texts(document.get(key))]
    code = code_of(document)
    if code is not None and not any(code in text for text in texts):
        texts.append(code)
    if not texts:
        texts = [body]
    words = shortened("; ".join(dict.fromkeys(text.strip() for text in texts if text.strip())))
    return f": {words}" if words else ""


def _readable(body: bytes) -> str:
    """A body as text; JSON without the escapes in which a secret would not be recognised."""
    try:
        return orjson.dumps(orjson.loads(body)).decode()
    except ValueError:
        return body.decode("utf-8", "replace")


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """All texts and numbers in a value, however it is nested."""
    if depth > _DEPTH_MAX or isinstance(value, bool):
        return
    if isinstance(value, str | int):
        yield str(value)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, depth + 1)
