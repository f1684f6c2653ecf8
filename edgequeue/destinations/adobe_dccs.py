"""Adobe streaming ingestion (DCCS): `POST /collection/batch/{inlet}`, up to 200 messages and 950,000 bytes, and
`POST /collection/{inlet}` for one.

An event `{"xdm": {…}}` is stored alone and put into an envelope from today's configuration when it is sent, so a
corrected `dataset_id` helps the backlog too. A full message `{"header": {…}, "body": {…}}` is sent as it is, and raw
data, `{"data": {…}}`, without anything around it. Which of them a stored payload is, its first bytes tell. What the
answers mean stands in `adobe_dccs_answers.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from edgequeue.destinations import adobe_dccs_answers as answers
from edgequeue.destinations.adobe_dccs_messages import (
    CONTENT_TYPE,
    check_message,
    check_raw,
    message_with,
    refuse_shape,
)
from edgequeue.destinations.adobe_events import (
    PROFILE_EVENT_BYTES_MAX,
    PROFILE_RECORD_BYTES_MAX,
    complete,
    profile_warning,
)
from edgequeue.destinations.base import Destination
from edgequeue.destinations.payload import (
    check_size,
    encode_json,
    reference_at,
    refuse_other_keys,
    require_object,
    split_document,
)
from edgequeue.errors import InvalidEvent
from edgequeue.model import Batch, Draft, HttpRequest, HttpResponse, Limits
from edgequeue.outcome import Outcome

EVENTS_MAX = 200
"""Messages in a request; the only figure in Adobe's documents is an example with 200."""

BYTES_MAX = 950_000
"""Bytes of a request body: Adobe answers 413 above 1 MB; 10^6 or 2^20 is not said, so with a margin."""

FRAME_BYTES = len(b'{"messages":[]}')
_WRAPPED = b'{"xdm":'
_RAW = b'{"data":'
_WRAPPED_ID_OFFSET = len(b'{"xdm":{"_id":"')
_MESSAGE_ID_OFFSET = len(b'{"body":{"xdmEntity":{"_id":"')
FLOW_ID = "x-adobe-flow-id"
"""The header, or the parameter, that names the dataflow of raw data."""

_INLET_PATH = re.compile(r"(?P<before>.*/collection)/(?:batch/)?(?P<inlet>[^/]+)/?")


@dataclass(frozen=True, kw_only=True)
class AdobeDccs(Destination):
    """An inlet (a streaming connection) that takes XDM or raw data. `endpoint` is its URL as Flow Service gives it.

    `dataset_id` and `schema_id` are needed for events that are wrapped here; without them only full messages are taken.
    Raw data wants a `flow_id`, sent as a header or in the query (`flow_id_in`), and travels one message a request
    unless `batch_events_max` says otherwise: no document shows a batch of it.
    """

    type: ClassVar[str] = "adobe-dccs"
    list_key: ClassVar[str] = "messages"
    encodings: ClassVar[tuple[str, ...]] = ("json", "smile")

    data_type: str = "xdm"
    org_id: str | None = None
    dataset_id: str | None = None
    schema_id: str | None = None
    schema_version: int = 1
    schema_content_type: str | None = None
    schema_class: str = "event"
    flow_id: str | None = None
    flow_id_in: str = "header"
    source_name: str | None = None

    def __post_init__(self) -> None:
        """Check the settings; ConfigError names the key."""
        super().__post_init__()
        if self.data_type not in ("xdm", "raw"):
            self._fault("data_type", f"is {self.data_type!r}; use 'xdm' or 'raw'")
        if self.data_type == "raw" and not self.flow_id:
            self._fault("flow_id", "is missing; raw data needs the id of its dataflow")
        if self.flow_id:
            self._check_header("flow_id")
        if self.flow_id_in not in ("header", "query"):
            self._fault("flow_id_in", f"is {self.flow_id_in!r}; use 'header' or 'query'")
        if self.schema_class not in ("event", "record"):
            self._fault("schema_class", f"is {self.schema_class!r}; use 'event' or 'record'")
        if self.schema_version < 1:
            self._fault("schema_version", f"is {self.schema_version}; it must be 1 or more")
        if self.path is not None:
            self._fault("path", "has no place here; give the whole inlet URL as endpoint")
        parts = urlsplit(self.endpoint)
        found = _INLET_PATH.fullmatch(parts.path)
        if not found or found["inlet"] == "batch" or parts.query or parts.fragment:
            self._fault(
                "endpoint", f"{self.endpoint!r} is no inlet URL; it looks like https://dcs.adobedc.net/collection/<id>"
            )

    @cached_property
    def limits(self) -> Limits:
        """200 messages and 950,000 bytes, or what the operator lowered them to; one message of raw data."""
        alone = self.data_type == "raw" and self.batch_events_max is None
        return self.limited(1 if alone else EVENTS_MAX, BYTES_MAX)

    def check(self, event: Any, wall_ms: int) -> Draft:
        """Check an event or a full message and encode it for the store; a full message keeps its own envelope.

        Raw data is stored as it is: what means what in it is the mapping's business.
        """
        event = require_object(event, "")
        warnings: list[str] = []
        if self.data_type == "raw":
            payload = encode_json(check_raw(event))
            check_size(len(payload) - len(_RAW) - 1, BYTES_MAX - FRAME_BYTES, "Adobe streaming ingestion")
            reference = reference_at(event, self.reference_path, warnings) if self.reference_path else None
            return Draft(payload, -1, None, reference, False, tuple(warnings))
        timed = self.schema_class == "event"
        if "xdm" in event:
            self._check_wrapped(event)
            entity = complete(require_object(event["xdm"], "xdm"), "xdm", wall_ms, timed=timed)
            payload = encode_json({"xdm": entity.fields})
            id_offset = _WRAPPED_ID_OFFSET
            size = len(payload) - len(_WRAPPED) - 1
            item_size = size + self._envelope_size
        else:
            refuse_shape(event)
            fields = check_message(event, self.org_id)
            entity = complete(fields, "body.xdmEntity", wall_ms, timed=timed)
            payload = encode_json(message_with(event, entity.fields, fields))
            id_offset = _MESSAGE_ID_OFFSET
            size = item_size = len(payload)
        check_size(item_size, BYTES_MAX - FRAME_BYTES, "Adobe streaming ingestion")
        profile_max = PROFILE_EVENT_BYTES_MAX if timed else PROFILE_RECORD_BYTES_MAX
        if size > profile_max and "xdm" not in event:
            size = len(encode_json(entity.fields))  # a full message was measured with its envelope
        if size > profile_max:
            warnings.append(profile_warning(size, profile_max))
        reference = reference_at(event, self.reference_path, warnings) if self.reference_path else None
        return Draft(
            payload, id_offset if entity.minted else -1, entity.occurred_ms, reference, entity.stamped, tuple(warnings)
        )

    def split(self, document: Mapping[str, Any]) -> list[Any] | None:
        """The messages of `{"messages": […]}`; InvalidEvent when anything else stands beside them."""
        return split_document(document, "messages")

    def item(self, payload: bytes) -> bytes:
        """The event in today's envelope, raw data or a full message as it is."""
        if not payload.startswith(_WRAPPED):
            return payload[len(_RAW) : -1] if payload.startswith(_RAW) else payload
        before, after = self._envelope
        return before + payload[len(_WRAPPED) : -1] + after

    def encode(self, batch: Batch) -> HttpRequest:
        """The batch as one request; DCCS takes no request id, its answer names the batch instead.

        An event alone goes to the single endpoint, where its outcome is beyond doubt.
        """
        # Always on a fresh connection: no answer of DCCS says which request it is for, and a stray one that accepts as
        # many messages would pass for ours.
        url = self.single_url if len(batch) == 1 else self.batch_url
        return HttpRequest("POST", url, *self.written(batch, framed=False), fresh=True)

    def headers(self) -> dict[str, str]:
        """Those of every destination, and for raw data the flow id: XDM messages carry it themselves."""
        found = super().headers()
        if self.data_type == "raw" and self.flow_id and self.flow_id_in == "header":
            found[FLOW_ID] = self.flow_id
        return found

    def interpret(self, batch: Batch, response: HttpResponse) -> Outcome:
        """What DCCS's answer means; never raises, and accepts nothing but 200 and 207."""
        ours = tuple(record.payload.startswith((_WRAPPED, _RAW)) for record in batch.records)
        inlet = self._inlet["inlet"]
        return answers.interpret(batch, response, ours, self.name, inlet=inlet, single=len(batch) == 1)

    @cached_property
    def single_url(self) -> str:
        """The inlet URL, which takes one message."""
        return self._url("")

    @cached_property
    def batch_url(self) -> str:
        """The inlet URL with `/collection/` replaced by `/collection/batch/`, as Adobe's own client does it."""
        return self._url("batch/")

    def _url(self, between: str) -> str:
        path = f"{self._inlet['before']}/{between}{self._inlet['inlet']}"
        query = urlencode({FLOW_ID: self.flow_id}) if self.data_type == "raw" and self.flow_id_in == "query" else ""
        return urlsplit(self.endpoint)._replace(path=path, query=query).geturl()

    @cached_property
    def _inlet(self) -> re.Match[str]:
        found = _INLET_PATH.fullmatch(urlsplit(self.endpoint).path)
        assert found  # checked when the destination was made
        return found

    @cached_property
    def _envelope(self) -> tuple[bytes, bytes]:
        """What stands before and after the entity of a wrapped event.

        A setting that is missing now, but was there at enqueue, is left out: the service names it in its refusal.
        """
        content_type = self.schema_content_type or f"{CONTENT_TYPE}{self.schema_version}"
        schema_ref = {"id": self.schema_id, "contentType": content_type} if self.schema_id else None
        header = {
            "schemaRef": schema_ref,
            "imsOrgId": self.org_id,
            "datasetId": self.dataset_id,
            "flowId": self.flow_id,
            "source": {"name": self.source_name} if self.source_name else None,  # one without a name is an error
        }
        meta = {"schemaRef": schema_ref} if schema_ref else {}
        before = encode_json({key: value for key, value in header.items() if value})
        return b'{"header":' + before + b',"body":{"xdmMeta":' + encode_json(meta) + b',"xdmEntity":', b"}}"

    @cached_property
    def _envelope_size(self) -> int:
        return sum(map(len, self._envelope))

    def _check_wrapped(self, event: dict[str, Any]) -> None:
        if len(event) > 1:
            refuse_other_keys(event, frozenset(("xdm",)), "", "An event has 'xdm' alone; the envelope is added here.")
        missing = [key for key in ("dataset_id", "schema_id") if not getattr(self, key)]
        if missing:
            raise InvalidEvent(
                f"cannot be wrapped, because [destinations.{self.name}] has no {' and no '.join(missing)}",
                field="xdm",
                remedy="Set what is missing, or enqueue a full message with header and body.",
            )
