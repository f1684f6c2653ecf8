"""Adobe's streaming ingestion (DCCS), `POST /collection/…`, read from Adobe's documents: its checks and its answers.

Pure. A batch is judged message by message and answered 207, whatever became of the messages; a single message is
answered 200 or refused whole. What is asked of a message stands in `dccs_messages.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgequeue.emulator import dccs_messages
from edgequeue.emulator.contract import (
    JSON_TYPE,
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
)
from edgequeue.emulator.dccs_messages import UNKNOWN_FORMAT, id_of, is_lost, missing_fields, told, wrong_with
from edgequeue.emulator.options import Inlet, Options

PATH = "/collection/"
BATCH_PATH = "/collection/batch/"
BODY_BYTES_MAX = 1_000_000
"""1 MB (same tutorial, response codes, 413); read as 10^6, the smaller of its two readings."""
FLOW_ID = "x-adobe-flow-id"
"""The flow of raw data, as header or parameter ("Create an HTTP API streaming connection")."""
VALIDATIONS = ("syncValidation", "synchronousValidation")
"""Both spellings of the parameter that asks for validation at once."""

INLET_PROBLEM = "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet"
AUTHORIZATION_PROBLEM = "https://ns.adobe.com/adobecloud/problem/data-collection-service-authorization"

TITLES: Mapping[int, str] = {
    400: "Invalid XDM Message Format", 401: "Authorization", 403: "Authorization", 404: "Inlet not found",
    413: "Payload too large", 415: "Unsupported media type", 429: "Too many requests",
    500: "Error in processing payload", 501: "Synchronous validation is not supported for this location",
    503: "Service is not currently available",
}  # fmt: skip
"""Titles by status (the tutorial's response codes; those of 404, 415 and 501 are ours, no document names them)."""


def inlet_of(path: str) -> str | None:
    """The inlet that a path of either endpoint names; None for other paths."""
    for prefix in (BATCH_PATH, PATH):
        inlet = path.removeprefix(prefix)
        if path.startswith(prefix) and inlet and "/" not in inlet:
            return inlet
    return None


def judge(options: Options, request: Request, stamp: Stamp, inlet: Inlet | None) -> Verdict:
    """What the service answers to a single message or a batch, and which messages it takes. None: unknown inlet."""
    batch = request.path.startswith(BATCH_PATH)
    name = inlet_of(request.path) or ""
    try:
        document: object = read_document(request)
    except Malformed:
        document = None
    carried = document.get("messages") if batch and isinstance(document, dict) else [document]
    messages = carried if isinstance(carried, list) and document is not None else []
    ids = [found for message in messages if (found := id_of(message))]
    if inlet is None:
        return Verdict(refusal(404, f"[{name}] Inlet does not exist"), (), ids, len(messages))
    refused = _check_request(options, request, inlet, stamp.access, batch)
    if refused is None and (not messages or not isinstance(document, dict)):
        refused = refusal(400, told(options, name, None, UNKNOWN_FORMAT))
    if refused is not None:
        return Verdict(refused, (), ids, len(messages))
    flow_id = request.headers.get(FLOW_ID) or request.query.get(FLOW_ID)
    wrongs = [wrong_with(options, inlet, message, flow_id) for message in messages]
    all_of_them = [Accepted(id_of(message), message) for message in messages]
    accepted = [
        one
        for one, wrong in zip(all_of_them, wrongs, strict=True)
        if wrong is None and not is_lost(options, inlet, one.payload, flow_id)
    ]
    answer, request_id = (
        _batch_answer(options, name, messages, wrongs, stamp)
        if batch
        else _single_answer(options, name, messages[0], wrongs[0], stamp, _validation(request))
    )
    return Verdict(answer, accepted, ids, len(messages), request_id, all_of_them if batch else ())


def refusal(status: int, message: str, cause: Mapping[str, Any] | None = None) -> Answer:
    """The service's problem document for a whole request; `cause` is the report of streaming validation."""
    authorization = status in (401, 403)
    document = {
        "type": AUTHORIZATION_PROBLEM if authorization else INLET_PROBLEM,
        # "Create an HTTP API streaming connection" shows the status of this one as a string.
        "status": str(status) if authorization else status,
        "title": TITLES.get(status, "Data collection service"),
        "report": {"message": message} | ({"cause": cause} if cause else {}),
    }
    return json_answer(status, document)


def _check_request(options: Options, request: Request, inlet: Inlet, access: Access, batch: bool) -> Answer | None:
    wrong = _wrong_access(inlet, request, access) or _wrong_sandbox(options, request)
    if wrong is not None:
        return wrong
    known = (JSON_TYPE, SMILE_TYPE) if options.smile else (JSON_TYPE,)
    if request.media_type not in known:
        return refusal(415, f"Content-Type must be {' or '.join(known)}")
    if request.length > BODY_BYTES_MAX:
        return refusal(413, f"Total payload request is greater than {BODY_BYTES_MAX} bytes")
    if batch and _validation(request) is not None:
        return refusal(400, "syncValidation cannot be used for the batch endpoint")
    return None


def _wrong_access(inlet: Inlet, request: Request, access: Access) -> Answer | None:
    if inlet.authenticated is False:
        return None
    if access is Access.MISSING or (inlet.authenticated and request.bearer is None):
        return refusal(401, "[id] Ims service token is empty")
    if access not in (Access.OPEN, Access.VALID):
        # The batch tutorial says 403 for such a token, "Create an HTTP API streaming connection" says 401: one each.
        return refusal(403 if access is Access.WRONG else 401, "[id] Ims service token is invalid or expired")
    return None


def _wrong_sandbox(options: Options, request: Request) -> Answer | None:
    """The reference calls the header required, no sample sends it, no document shows its errors: these are ours."""
    sandbox = request.headers.get("x-sandbox-name")
    if options.sandbox is None or sandbox == options.sandbox:
        return None
    return refusal(403, "x-sandbox-name is not known") if sandbox else refusal(400, "x-sandbox-name is missing")


def _validation(request: Request) -> bool | None:
    """Whether validation at once is asked for; None: it is not spoken of."""
    asked = [request.query[name].lower() == "true" for name in VALIDATIONS if name in request.query]
    return asked[0] if asked else None


def _batch_answer(
    options: Options, inlet: str, messages: list[Any], wrongs: list[str | None], stamp: Stamp
) -> tuple[Answer, str]:
    received_ms = int(stamp.at * 1000)
    batch_id = f"{received_ms}:{stamp.nonce % 10_000}:{stamp.serial}"
    newer = options.error_shape == "newer"
    responses: list[dict[str, object]] = []
    for index, (message, wrong) in enumerate(zip(messages, wrongs, strict=True)):
        entry: dict[str, object] = {"xactionId": f"{stamp.uuid}-{index}" if newer else f"{batch_id}:{index}"}
        if wrong is not None and newer:
            entry |= {"status": 400, "message": wrong}
        elif wrong is not None:
            entry = {"statusCode": 400, "message": told(options, inlet, message, wrong)}
        responses.append(entry)
    document = {"inletId": inlet, "batchId": batch_id, "receivedTimeMs": received_ms, "responses": responses}
    return json_answer(207, document), batch_id


def _single_answer(
    options: Options, inlet: str, message: Any, wrong: str | None, stamp: Stamp, validation: bool | None
) -> tuple[Answer, str | None]:
    missing = missing_fields(options, message) if validation and wrong is not None else []
    if missing:
        invalid = told(options, inlet, message, "Message is invalid")
        return refusal(400, invalid, dccs_messages.violations(missing)), None
    if wrong is not None:
        return refusal(400, told(options, inlet, message, wrong)), None
    received_ms = int(stamp.at * 1000)
    # No index here: the xactionId of a single message has three parts (API reference sample).
    xaction_id = f"{received_ms}:{stamp.nonce % 10_000}:{stamp.serial}"
    # The API reference shows the time as a string here, the batch tutorial as a number.
    document: dict[str, Any] = {"inletId": inlet, "xactionId": xaction_id, "receivedTimeMs": str(received_ms)}
    if validation is not None:  # "Streaming ingestion validation" shows the one, the tutorials on streaming the other
        document["syncValidation"] = {"status": "pass"} if validation else {"skipped": True}
    return json_answer(200, document), xaction_id
