"""Adobe Edge Network, `POST /ee/v2/collect`, read from Adobe's documents: what it checks and how it answers.

Pure. Errors are fatal before dispatch: a request with one bad event is refused whole (Edge Network API,
"Troubleshooting", fatal errors). Codes and titles are those of that page; every error is a problem document (RFC 7807).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from edgequeue.emulator.contract import (
    SMILE_TYPE,
    Accepted,
    Access,
    Answer,
    Malformed,
    Request,
    Stamp,
    Verdict,
    json_answer,
    read_document,
    text_at,
)
from edgequeue.emulator.edge_problems import problem
from edgequeue.emulator.options import Options

PATH = "/ee/v2/collect"
BODY_BYTES_MAX = 64_000
"""64 KB (Edge Network API, "Guardrails"); read as 64 * 1000, the smaller of its two readings."""
MEDIA_TYPES = ("application/json", SMILE_TYPE, "text/plain", "text/javascript")

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
"""yyyy-MM-ddTHH:mm:ss, 1 to 9 digits of fraction, Z or an offset ("Retrieving failed batches", accepted patterns)."""
_TOKEN_CODES = {Access.MISSING: "0500", Access.WRONG: "0502", Access.UNKNOWN: "0502", Access.ENDED: "0503"}


class _Refused(Exception):
    def __init__(self, code: str, *details: object, answer: Answer | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.details = details
        self.answer = answer


def judge(options: Options, request: Request, stamp: Stamp) -> Verdict:
    """What the Edge Network answers to a collect request, and which events it takes (all or none)."""
    request_id = _request_id(request, stamp)
    try:
        document: object = read_document(request)
    except Malformed:
        document = None
    carried = document.get("events") if isinstance(document, dict) else None
    events = carried if isinstance(carried, list) else []
    ids = [found for event in events if (found := text_at(event, "xdm", "_id"))]
    seen = Verdict(Answer(202), (), ids, len(events), request_id)
    try:
        _check_access(options, request, stamp.access)
        _check_body(options, request, document)
        for index, event in enumerate(events):
            _check_event(index, event)
    except _Refused as refused:
        answer = refused.answer or problem(refused.code, request_id, *refused.details)
        return replace(seen, answer=answer)
    accepted = [Accepted(text_at(event, "xdm", "_id"), event) for event in events]
    return replace(seen, answer=_success(request, request_id), accepted=accepted)


def _request_id(request: Request, stamp: Stamp) -> str:
    given = request.query.get("requestId") or request.headers.get("x-request-id", "")
    return f"{given if _UUID.fullmatch(given) else stamp.uuid}-{stamp.nonce:016x}"


def _success(request: Request, request_id: str) -> Answer:
    headers = (("x-request-id", request_id),)
    if request.query.get("silent", "").lower() == "true":
        return Answer(204, headers=headers)
    return json_answer(202, {"requestId": request_id}, headers=headers)


def _check_access(options: Options, request: Request, access: Access) -> None:
    if access in _TOKEN_CODES:
        raise _Refused(_TOKEN_CODES[access])
    if access is Access.VALID:
        _check_gateway(options, request)
    datastream = request.query.get("dataStreamId") or request.query.get("datastreamId")
    if not datastream:
        raise _Refused("0002", "dataStreamId")
    if options.datastreams is not None and datastream not in options.datastreams:
        raise _Refused("0003", datastream)


def _check_gateway(options: Options, request: Request) -> None:
    """The API gateway in front asks for two more headers; its errors have a shape of their own."""
    key, org = request.headers.get("x-api-key"), request.headers.get("x-gw-ims-org-id")
    if not key:
        raise _Refused("", answer=_gateway("403000", "Api Key is required"))
    if key != (options.client_id or key):
        raise _Refused("", answer=_gateway("403003", "Api Key is invalid"))
    if not org or org != (options.org_id or org):
        raise _Refused("", answer=_gateway("403025", "x-gw-ims-org-id is missing or not entitled"))


def _gateway(code: str, message: str) -> Answer:
    return json_answer(403, {"error_code": code, "message": message})


def _check_body(options: Options, request: Request, document: object) -> None:
    known = [name for name in MEDIA_TYPES if options.smile or name != SMILE_TYPE]
    if request.media_type not in known:
        raise _Refused("0111", ", ".join(known))
    if request.length > BODY_BYTES_MAX:
        raise _Refused("0112", BODY_BYTES_MAX)
    if not request.length:
        raise _Refused("0109")
    if not isinstance(document, dict):
        raise _Refused("0101")
    if "events" not in document:
        raise _Refused("0103", "events")
    if not isinstance(document["events"], list) or not document["events"]:
        raise _Refused("0105")


def _check_event(index: int, event: object) -> None:
    xdm = event.get("xdm") if isinstance(event, dict) else None
    if not isinstance(xdm, dict):
        raise _Refused("0103", f"events[{index}].xdm")
    _check_identities(index, xdm.get("identityMap"))
    if "timestamp" in xdm and not _is_timestamp(xdm["timestamp"]):
        raise _Refused("0102", f"events[{index}].xdm.timestamp")
    if "_id" in xdm and text_at(xdm, "_id") is None:
        raise _Refused("0102", f"events[{index}].xdm._id")


def _check_identities(index: int, identity_map: Any) -> None:
    primary = False
    for namespace, identities in identity_map.items() if isinstance(identity_map, dict) else ():
        for identity in identities if isinstance(identities, list) else ():
            identifier = text_at(identity, "id")
            if identifier is None:
                raise _Refused("0305", "", namespace)
            if namespace == "FPID" and not _UUID4.fullmatch(identifier):
                raise _Refused("0308", index, identifier, namespace)
            # Adobe's own sample writes the string "true"; the schema says boolean.
            marked = identity.get("primary")
            primary = primary or marked is True or marked == "true"
    if not primary:
        raise _Refused("0306", index)


def _is_timestamp(value: object) -> bool:
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)  # the pattern alone would let the 31st of February pass
    except ValueError:
        return False
    return True
