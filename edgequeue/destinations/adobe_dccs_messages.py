"""The checks of what DCCS takes beside events to be wrapped: full messages, `{"header": {…}, "body": {…}}`, that an
application brings itself, and raw data.

Pure. What is refused here is what the service is documented to refuse; everything else is sent as it is.
"""

from __future__ import annotations

from typing import Any

from edgequeue.destinations.payload import refuse_document, refuse_other_keys, require_object
from edgequeue.errors import InvalidEvent

MESSAGE_KEYS = frozenset(("header", "body"))

CONTENT_TYPE = "application/vnd.adobe.xed-full+json;version="
"""The content type of a schemaRef, without the schema's version."""


def check_message(message: dict[str, Any], org_id: str | None) -> dict[str, Any]:
    """Check header and body against each other and against the destination's `org_id`; return the entity."""
    refuse_other_keys(message, MESSAGE_KEYS, "", "A DCCS message has 'header' and 'body' alone.")
    for key in ("header", "body"):
        if key not in message:
            raise InvalidEvent("a DCCS message needs header and body", field=key)
    header = require_object(message["header"], "header")
    body = require_object(message["body"], "body")
    schema_ref = _schema_ref(header)
    _check_org(header, org_id)
    if "source" in header and not require_object(header["source"], "header.source").get("name"):
        raise InvalidEvent(
            "has no name, and Adobe refuses that", field="header.source", remedy="Name it or leave it out."
        )
    if "xdmMeta" in body:
        meta = require_object(body["xdmMeta"], "body.xdmMeta")
        if "schemaRef" in meta and meta["schemaRef"] != schema_ref:
            raise InvalidEvent(
                "differs from header.schemaRef, and Adobe wants the same schema in both",
                field="body.xdmMeta.schemaRef",
                remedy="Make them equal.",
            )
    if "xdmEntity" not in body:
        raise InvalidEvent("is missing", field="body.xdmEntity", remedy="Put the XDM fields there.")
    return require_object(body["xdmEntity"], "body.xdmEntity")


def message_with(event: dict[str, Any], completed: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The message with what was added to its entity, and that one first where its `_id` stands at a constant offset."""
    if completed is fields:
        return event
    body = {"xdmEntity": None, **event["body"]}
    body["xdmEntity"] = completed
    return {"body": body, "header": event["header"]}


def check_raw(event: dict[str, Any]) -> dict[str, Any]:
    """`{"data": {…}}` and nothing beside it; the service wants a JSON object, whose meaning its mapping knows."""
    if "data" not in event:
        refuse_document(event, "messages")
        raise InvalidEvent(
            "the event has no 'data', and this inlet takes raw data",
            field="data",
            remedy='Hand over {"data": {…}}, or set data_type = "xdm" for an inlet that takes XDM.',
        )
    refuse_other_keys(event, frozenset(("data",)), "", "Raw data stands under 'data' alone.")
    require_object(event["data"], "data")
    return event


def refuse_shape(event: dict[str, Any]) -> None:
    """InvalidEvent for what is neither an event to be wrapped nor a full message."""
    if "data" in event and not MESSAGE_KEYS & event.keys():
        raise InvalidEvent(
            "raw data is for an inlet that takes it, and this one takes XDM",
            field="data",
            remedy='Hand over {"xdm": {…}}, or set data_type = "raw" and flow_id for a raw inlet.',
        )
    refuse_document(event, "messages")
    if not MESSAGE_KEYS & event.keys():
        raise InvalidEvent("the event has no 'xdm'", field="xdm", remedy='Hand over {"xdm": {…}}, or header and body.')


def _schema_ref(header: dict[str, Any]) -> dict[str, Any]:
    if "schemaRef" not in header:
        legacy = "xdmSchema" in header
        raise InvalidEvent(
            'is missing, and DCCS refuses a message without it ("unknown xdm format")'
            + ("; xdmSchema is the older form that it no longer takes" if legacy else ""),
            field="header.schemaRef",
            remedy=f'Add {{"id": "https://ns.adobe.com/…", "contentType": "{CONTENT_TYPE}1"}}.',
        )
    schema_ref = require_object(header["schemaRef"], "header.schemaRef")
    for key in ("id", "contentType"):
        value = schema_ref.get(key)
        if not isinstance(value, str) or not value:
            raise InvalidEvent("must be a text that is not empty", field=f"header.schemaRef.{key}")
    return schema_ref


def _check_org(header: dict[str, Any], org_id: str | None) -> None:
    if "imsOrgId" not in header:
        return  # DCCS fills it in
    theirs = header["imsOrgId"]
    if not isinstance(theirs, str) or not theirs:
        raise InvalidEvent(
            "must be a text that is not empty", field="header.imsOrgId", remedy="Leave it out: Adobe fills it in."
        )
    if org_id and theirs != org_id:
        raise InvalidEvent(
            f"is {theirs!r:.100}, but this destination sends for {org_id!r}",
            field="header.imsOrgId",
            remedy="Correct the message, or enqueue it for another destination.",
        )
