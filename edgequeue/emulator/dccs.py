"""Adobe's streaming ingestion (DCCS), `POST /collection/…`, read from Adobe's documents: its checks and its answers.

Pure. A batch is judged message by message and answered 207, whatever became of the messages; a single message is
answered 200 or refused whole. Texts are those of "Send multiple messages in a single HTTP request".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgequeue.emulator.contract import (
    JSON_TYPE,
    SMILE_TYPE,
    Accepted,
    Access,
    Answer,
    Malformed,
    Options,
    Request,
    Stamp,
    Verdict,
    json_answer,
    read_document,
    text_at,
)

PATH = "/collection/"
BATCH_PATH = "/collection/batch/"
BODY_BYTES_MAX = 1_000_000
"""1 MB (same tutorial, response codes, 413); read as 10^6, the smaller of its two readings."""
ANY_ORG = "emulated@AdobeOrg"
"""Filled in for a missing imsOrgId when the emulator was told no organisation."""

INLET_PROBLEM = "http://ns.adobe.com/adobecloud/problem/data-collection-service/inlet"
AUTHORIZATION_PROBLEM = "https://ns.adobe.com/adobecloud/problem/data-collection-service-authorization"

UNKNOWN_FORMAT = "Message has unknown xdm format"
WRONG_ORG = "Message has an absent or wrong ims org in the header"
INVALID_MESSAGE = "Invalid XDM Message Format"

TITLES: Mapping[int, str] = {
    400: INVALID_MESSAGE, 401: "Authorization", 403: "Authorization", 404: "Inlet not found",
    413: "Payload too large", 415: "Unsupported media type", 429: "Too many requests",
    500: "Error in processing payload", 503: "Service is not currently available",
}  # fmt: skip
"""Titles by status (the tutorial's response codes; those of 404 and 415 are ours, no document names them)."""


def judge(options: Options, request: Request, stamp: Stamp) -> Verdict:
    """What the service answers to a single message or a batch, and which messages it takes."""
    batch = request.path.startswith(BATCH_PATH)
    inlet = request.path[len(BATCH_PATH if batch else PATH) :]
    try:
        document: object = read_document(request)
    except Malformed:
        document = None
    carried = document.get("messages") if batch and isinstance(document, dict) else [document]
    messages = carried if isinstance(carried, list) else []
    if document is None:
        messages = []
    ids = [found for message in messages if (found := _id_of(message))]
    refused = _check_request(options, request, inlet, stamp.access)
    if refused is None and (not messages or not isinstance(document, dict)):
        refused = refusal(400, _told(options, inlet, None, UNKNOWN_FORMAT))
    if refused is not None:
        return Verdict(refused, (), ids, len(messages))
    flow_id = request.headers.get("x-adobe-flow-id") or request.query.get("x-adobe-flow-id")
    wrongs = [_wrong_with(options, message, flow_id) for message in messages]
    all_of_them = [Accepted(_id_of(message), message) for message in messages]
    accepted = [one for one, wrong in zip(all_of_them, wrongs, strict=True) if wrong is None]
    answer, request_id = (
        _batch_answer(options, inlet, messages, wrongs, stamp)
        if batch
        else _single_answer(options, inlet, messages[0], wrongs[0], stamp)
    )
    return Verdict(answer, accepted, ids, len(messages), request_id, all_of_them if batch else ())


def refusal(status: int, message: str) -> Answer:
    """The service's problem document for a whole request."""
    authorization = status in (401, 403)
    document = {
        "type": AUTHORIZATION_PROBLEM if authorization else INLET_PROBLEM,
        # "Create an HTTP API streaming connection" shows the status of this one as a string.
        "status": str(status) if authorization else status,
        "title": TITLES.get(status, "Data collection service"),
        "report": {"message": message},
    }
    return json_answer(status, document)


def _check_request(options: Options, request: Request, inlet: str, access: Access) -> Answer | None:
    if options.inlets is not None and inlet not in options.inlets:
        return refusal(404, f"[{inlet}] Inlet does not exist")
    if access is Access.MISSING:
        return refusal(401, "[id] Ims service token is empty")
    if access not in (Access.OPEN, Access.VALID):
        # The batch tutorial says 403 for such a token, "Create an HTTP API streaming connection" says 401: one each.
        return refusal(403 if access is Access.WRONG else 401, "[id] Ims service token is invalid or expired")
    if request.media_type not in (JSON_TYPE, SMILE_TYPE):
        return refusal(415, f"Content-Type must be {JSON_TYPE} or {SMILE_TYPE}")
    if request.length > BODY_BYTES_MAX:
        return refusal(413, f"Total payload request is greater than {BODY_BYTES_MAX} bytes")
    return None


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
            entry = {"statusCode": 400, "message": _told(options, inlet, message, wrong)}
        responses.append(entry)
    document = {"inletId": inlet, "batchId": batch_id, "receivedTimeMs": received_ms, "responses": responses}
    return json_answer(207, document), batch_id


def _single_answer(
    options: Options, inlet: str, message: Any, wrong: str | None, stamp: Stamp
) -> tuple[Answer, str | None]:
    if wrong is not None:
        return refusal(400, _told(options, inlet, message, wrong)), None
    received_ms = int(stamp.at * 1000)
    # No index here: the xactionId of a single message has three parts (API reference sample).
    xaction_id = f"{received_ms}:{stamp.nonce % 10_000}:{stamp.serial}"
    # The API reference shows the time as a string here, the batch tutorial as a number.
    return json_answer(200, {"inletId": inlet, "xactionId": xaction_id, "receivedTimeMs": str(received_ms)}), xaction_id


def _told(options: Options, inlet: str, message: object, wrong: str) -> str:
    org = options.org_id or text_at(message, "header", "imsOrgId") or ANY_ORG
    return f"inletId: [{inlet}] imsOrgId: [{org}] {wrong}"


def _wrong_with(options: Options, message: object, flow_id: str | None) -> str | None:
    """The text that says what is wrong with a message, or None. With a flow id, an object without envelope is raw."""
    if not isinstance(message, dict):
        return UNKNOWN_FORMAT
    if flow_id and "header" not in message and "body" not in message:
        return None
    header, body = message.get("header"), message.get("body")
    if not isinstance(header, dict) or not isinstance(body, dict):
        missing = "body" if isinstance(header, dict) else "header"
        mandatory = f"The '{missing}' field is mandatory. Provide a valid '{missing}' value and try again."
        return mandatory if options.error_shape == "newer" else UNKNOWN_FORMAT
    org = header.get("imsOrgId")
    if org is not None and not _is_right_org(options, org):
        return WRONG_ORG
    meta, entity = body.get("xdmMeta"), body.get("xdmEntity")
    schema = _schema_of(header)
    # Before schemaRef there was xdmSchema; the service no longer knows it.
    if schema is None or schema != _schema_of(meta) or not isinstance(entity, dict):
        return UNKNOWN_FORMAT
    if "source" in header and text_at(header, "source", "name") is None:
        return "Message has a source without a name in the header"
    missing_field = next((path for path in options.required_fields if not _has(entity, path)), None)
    if missing_field is not None:
        return f"Message is missing required field {missing_field}"
    return None


def _is_right_org(options: Options, org: object) -> bool:
    if not isinstance(org, str) or not org:
        return False
    return org == options.org_id if options.org_id is not None else not org.startswith("invalid")


def _schema_of(holder: object) -> tuple[str, str] | None:
    schema, content_type = text_at(holder, "schemaRef", "id"), text_at(holder, "schemaRef", "contentType")
    return (schema, content_type) if schema and content_type else None


def _has(entity: object, path: str) -> bool:
    for key in path.split("."):
        if not isinstance(entity, dict) or key not in entity:
            return False
        entity = entity[key]
    return True


def _id_of(message: object) -> str | None:
    return text_at(message, "body", "xdmEntity", "_id") or text_at(message, "_id")
