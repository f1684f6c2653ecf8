"""How Adobe's answers are read: problem+json and the table of Edge's error codes.

Pure, and lenient: fields may be missing, of another type, or many; nothing here raises, whatever the bytes are.
The codes are those of Edge's troubleshooting page ("Detailed error codes list", developer.adobe.com); where the
code is not listed the status decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edgequeue.destinations.statuses import DEFER, MEND, PAUSE, REFUSE, SPLIT, WAIT, Reading, text_of
from edgequeue.model import HttpResponse
from edgequeue.outcome import Outcome
from edgequeue.reading import is_foreign, is_page, nobodys, shortened

_DATASTREAM = "Check datastream_id in [destinations.{name}]."
_IN_ADOBE = "Mend datastream {datastream_id} in Adobe's Data Collection, or check datastream_id."
_SIGNING = "Renew the token in the [auth.*] table of [destinations.{name}]; check its client_id and org_id."
_RIGHTS = "Give the account of [destinations.{name}] the rights in Adobe's Developer Console and Admin Console."
_OURS = "This looks like a fault of edgequeue or of something between it and Adobe; report it."

EXEG: Mapping[str, tuple[Reading, str]] = {
    # the datastream
    "EXEG-0000-503": (WAIT, ""),
    "EXEG-0001-500": (DEFER, ""),
    "EXEG-0002-400": (PAUSE, "Adobe did not find the datastream parameter ({code}). Check datastream_parameter."),
    "EXEG-0003-400": (PAUSE, "datastream {datastream_id} is not known to Adobe ({code}). " + _DATASTREAM),
    "EXEG-0004-422": (PAUSE, "datastream {datastream_id} is disabled ({code}). Enable it, or check datastream_id."),
    "EXEG-0010-422": (PAUSE, _IN_ADOBE),
    "EXEG-0011-422": (PAUSE, _IN_ADOBE),
    "EXEG-0012-422": (PAUSE, _IN_ADOBE),
    "EXEG-0013-422": (PAUSE, "Create the identity namespace in Adobe, or mend datastream {datastream_id}."),
    # the request
    "EXEG-0100-500": (SPLIT, ""),
    "EXEG-0101-400": (REFUSE, MEND),
    "EXEG-0102-400": (REFUSE, MEND),
    "EXEG-0103-400": (REFUSE, MEND),
    "EXEG-0104-422": (REFUSE, MEND),
    "EXEG-0105-400": (REFUSE, MEND),
    "EXEG-0106-400": (PAUSE, _OURS),
    "EXEG-0107-400": (PAUSE, "Check datastream_parameter and path in [destinations.{name}]."),
    "EXEG-0108-400": (PAUSE, "Check datastream_parameter and path in [destinations.{name}]."),
    "EXEG-0109-408": (REFUSE, _OURS),
    "EXEG-0110-400": (PAUSE, "Check datastream_parameter and path in [destinations.{name}]."),
    "EXEG-0111-415": (PAUSE, _OURS),
    "EXEG-0112-413": (REFUSE, MEND),
    "EXEG-0113-400": (PAUSE, _IN_ADOBE),
    # the services behind it
    "EXEG-0200-504": (DEFER, ""),
    "EXEG-0201-503": (WAIT, ""),
    "EXEG-0202-502": (DEFER, ""),
    "EXEG-0203-502": (DEFER, ""),
    "EXEG-0205-502": (DEFER, ""),
    # identities and consent
    "EXEG-0300-502": (DEFER, ""),
    "EXEG-0302-409": (REFUSE, MEND),
    "EXEG-0304-400": (REFUSE, MEND),
    "EXEG-0305-400": (REFUSE, MEND),
    "EXEG-0306-400": (REFUSE, MEND),
    "EXEG-0307-502": (DEFER, ""),
    "EXEG-0308-400": (REFUSE, MEND),
    # who may send
    "EXEG-0400-403": (PAUSE, "Adobe takes no events from this country ({code}); ask your Adobe representative."),
    "EXEG-0500-401": (PAUSE, _SIGNING),
    "EXEG-0501-401": (PAUSE, "Adobe asks for a user's token ({code}). " + _SIGNING),
    "EXEG-0502-401": (PAUSE, _SIGNING),
    "EXEG-0503-401": (PAUSE, "The access token has expired ({code}). " + _SIGNING),
    "EXEG-0504-401": (PAUSE, _RIGHTS),
    "EXEG-0505-401": (PAUSE, "The token lacks a scope ({code}). " + _SIGNING),
    "EXEG-0506-401": (PAUSE, _RIGHTS),
}
"""Edge's error codes: what each comes to, and the remedy for the operator ({name}, {datastream_id}, {code})."""

RENEWABLE = frozenset(("http_401", "http_403", "EXEG-0500-401", "EXEG-0502-401", "EXEG-0503-401"))
"""Codes of refusals that a new token may be all it takes for: it has ended, or its signature is not known."""

_CODE = re.compile(r"EXEG-[0-9]{4}-[0-9]{3}")


def foreign(response: HttpResponse) -> Outcome | None:
    """The outcome for an answer that cannot be the service's own, whatever it says; None for one that may be."""
    if is_page(response):
        return nobodys(response, "a web page, not an answer of Adobe's")
    return nobodys(response, "not a status that Adobe answers with") if is_foreign(response) else None


def without_its_body(response: HttpResponse) -> Outcome:
    """The outcome for a success that does not say what the service's own says: it may have taken the events."""
    return nobodys(response, "a success without what Adobe answers", maybe_taken=True)


def edge_code(document: Mapping[str, Any] | None) -> str | None:
    """Edge's error code, "EXEG-NNNN-SSS", from a problem's `type`; None when there is none."""
    found = _CODE.search(text_of((document or {}).get("type")))
    return found[0] if found else None


def described(document: Mapping[str, Any] | None, response: HttpResponse) -> str:
    """What the service says went wrong, on one line: title, detail, and the entries of the report."""
    if document is None:
        body = response.body[:2000].decode("utf-8", "replace")
        return shortened(body) or f"HTTP {response.status} without a text"
    report = document.get("report")
    report = report if isinstance(report, dict) else {}
    entries = report.get("errors")
    parts = [document.get(key) for key in ("title", "detail", "message", "error_code", "error")]
    parts.append(report.get("message"))
    parts.extend(entries if isinstance(entries, list) else [entries])
    texts = dict.fromkeys(text for text in map(text_of, parts) if text)  # each once: title and message often agree
    return shortened("; ".join(texts)) or f"HTTP {response.status} without a text"


def ids_of(document: Mapping[str, Any] | None) -> dict[str, Any]:
    """Edge's own id of a refused request, for its support; empty where it names none."""
    report = (document or {}).get("report")
    places = (document or {}, report if isinstance(report, dict) else {})
    found = next((text for one in places if (text := text_of(one.get("requestId")))), "")
    return {"requestId": shortened(found)} if found else {}
