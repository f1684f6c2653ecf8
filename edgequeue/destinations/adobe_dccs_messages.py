"""The check of a full DCCS message, `{"header": {…}, "body": {…}}`, that an application brings itself.

Pure. What is refused here is what the service is documented to refuse; everything else is sent as it is.
"""

from __future__ import annotations

from typing import Any

from edgequeue.destinations.payload import refuse_other_keys, require_object
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
