"""What DCCS asks of a message: its envelope, its schemas, its organisation, its flow, the fields its entity must have.

Pure. Texts are those of "Send multiple messages in a single HTTP request" where it shows one; the others are ours.
"""

from __future__ import annotations

from typing import Any

from edgequeue.emulator.contract import text_at
from edgequeue.emulator.options import Inlet, Options

ANY_ORG = "emulated@AdobeOrg"
"""Filled in for a missing imsOrgId when the emulator was told no organisation."""
VIOLATIONS_MAX = 5
"""Validation stops there ("Streaming ingestion validation")."""

UNKNOWN_FORMAT = "Message has unknown xdm format"
WRONG_ORG = "Message has an absent or wrong ims org in the header"
NO_FLOW = "Message has no x-adobe-flow-id"
UNKNOWN_FLOW = "Message has an unknown flow id"


def told(options: Options, inlet: str, message: object, wrong: str) -> str:
    """The text of a refusal, with the inlet and the organisation in front, as the service writes it."""
    org = options.org_id or text_at(message, "header", "imsOrgId") or ANY_ORG
    return f"inletId: [{inlet}] imsOrgId: [{org}] {wrong}"


def id_of(message: object) -> str | None:
    """The `_id` of a message: that of its entity, or, in raw data, its own."""
    return text_at(message, "body", "xdmEntity", "_id") or text_at(message, "_id")


def wrong_with(options: Options, inlet: Inlet, message: object, flow_id: str | None) -> str | None:
    """The text that says what is wrong with a message, or None. `flow_id` is the one beside the body.

    Where the inlet's data type is not known, an object without an envelope is raw data if it has a flow id.
    """
    if not isinstance(message, dict):
        return UNKNOWN_FORMAT
    bare = "header" not in message and "body" not in message
    if inlet.data_type == "raw" or (inlet.data_type is None and bare and flow_id):
        return _wrong_flow(options, inlet, flow_id) if flow_id else NO_FLOW
    wrong = _wrong_with_envelope(options, message)
    if wrong is not None:
        return wrong
    missing = missing_fields(options, message)
    if missing:
        return f"Message is missing required field {missing[0]}"
    return _wrong_flow(options, inlet, _flow_of(message, flow_id))


def is_lost(options: Options, inlet: Inlet, message: object, flow_id: str | None) -> bool:
    """Whether a message that nothing is wrong with reaches nobody, because its flow is not enabled."""
    flow_id = _flow_of(message, flow_id)
    known = inlet.flow_ids is None or flow_id in inlet.flow_ids
    return not known and (flow_id in inlet.starting_flow_ids or options.unknown_flows == "lost")


def missing_fields(options: Options, message: object) -> list[str]:
    """The required fields that the entity of a message does not have, VIOLATIONS_MAX at most."""
    body = message.get("body") if isinstance(message, dict) else None
    entity = body.get("xdmEntity") if isinstance(body, dict) else None
    missing = [path for path in options.required_fields if isinstance(entity, dict) and not _has(entity, path)]
    return missing[:VIOLATIONS_MAX]


def violations(missing: list[str]) -> dict[str, Any]:
    """The report of streaming validation on missing fields, in the shape that its page shows."""
    each = [_violation("required", f"required key [{path}] not found") for path in missing]
    whole = _violation(None, f"{len(each)} schema violation{'' if len(each) == 1 else 's'} found")
    return {"_streamingValidation": [whole | {"causingExceptions": each}]}


def _violation(keyword: str | None, message: str) -> dict[str, Any]:
    where: dict[str, Any] = {"schemaLocation": "#", "pointerToViolation": "#", "causingExceptions": []}
    return where | ({"keyword": keyword} if keyword else {}) | {"message": message}


def _wrong_with_envelope(options: Options, message: dict[str, Any]) -> str | None:
    header, body = message.get("header"), message.get("body")
    if not isinstance(header, dict) or not isinstance(body, dict):
        missing = "body" if isinstance(header, dict) else "header"
        mandatory = f"The '{missing}' field is mandatory. Provide a valid '{missing}' value and try again."
        return mandatory if options.error_shape == "newer" else UNKNOWN_FORMAT
    org = header.get("imsOrgId")
    if org is not None and not _is_right_org(options, org):
        return WRONG_ORG
    schema = _schema_of(header)
    # Before schemaRef there was xdmSchema; the service no longer knows it.
    if schema is None or schema != _schema_of(body.get("xdmMeta")) or not isinstance(body.get("xdmEntity"), dict):
        return UNKNOWN_FORMAT
    if "source" in header and text_at(header, "source", "name") is None:
        return "Message has a source without a name in the header"
    return None


def _flow_of(message: object, flow_id: str | None) -> str | None:
    return text_at(message, "header", "flowId") or flow_id


def _wrong_flow(options: Options, inlet: Inlet, flow_id: str | None) -> str | None:
    if inlet.flow_ids is None or options.unknown_flows == "lost":
        return None
    return None if flow_id in inlet.flow_ids | inlet.starting_flow_ids else UNKNOWN_FLOW


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
