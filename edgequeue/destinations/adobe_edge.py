"""Adobe Edge Network, non-interactive collection: `POST /ee/v2/collect` with up to 60,000 bytes of events.

An event is `{"xdm": {…}, "data": {…}?, "query": {…}?}` and is stored as it stands in the request. Edge judges a
request as a whole before it dispatches anything, so a refusal that does not name its event bisects the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from edgequeue.destinations import adobe_answers as answers
from edgequeue.destinations import statuses
from edgequeue.destinations.adobe_events import (
    PROFILE_EVENT_BYTES_MAX,
    check_identity_map,
    complete,
    profile_warning,
)
from edgequeue.destinations.base import Destination
from edgequeue.destinations.payload import (
    check_size,
    encode_json,
    reference_at,
    refuse_document,
    refuse_other_keys,
    require_object,
    split_document,
)
from edgequeue.errors import InvalidEvent
from edgequeue.model import Batch, Draft, HttpRequest, HttpResponse, Limits, Problem
from edgequeue.outcome import Outcome
from edgequeue.reading import accepted, json_object, nobodys, shortened

EVENTS_MAX = 100
"""Events in a request; Adobe names no figure, and the bytes are the real limit."""

BYTES_MAX = 60_000
"""Bytes of a request body: Adobe's guardrail is 64 KB, with a margin because KB is 1000 or 1024."""

FRAME_BYTES = len(b'{"events":[]}')
_ID_OFFSET = len(b'{"xdm":{"_id":"')
_KEYS = frozenset(("xdm", "data", "query"))
_PARAMETERS = ("dataStreamId", "datastreamId")

_SERVER_HOST = "server.adobedc.net"
_ENDPOINT_OPEN = "https://edge.adobedc.net"
_ENDPOINT_SIGNED = f"https://{_SERVER_HOST}"


@dataclass(frozen=True, kw_only=True)
class AdobeEdge(Destination):
    """A datastream. Adobe's documents write its parameter in both spellings, so `datastream_parameter` is a setting.

    `silent`: the service answers 204 without a body, and there are no receipts.
    """

    type: ClassVar[str] = "adobe-edge"
    credential_headers: ClassVar[tuple[str, ...]] = ("authorization", "x-api-key", "x-gw-ims-org-id")
    encodings: ClassVar[tuple[str, ...]] = ("json", "smile")

    datastream_id: str = ""
    datastream_parameter: str = "dataStreamId"
    silent: bool = False

    def __post_init__(self) -> None:
        """Fill in endpoint and path, and check the settings; ConfigError names the key."""
        if not self.endpoint:
            object.__setattr__(self, "endpoint", _ENDPOINT_SIGNED if self.auth else _ENDPOINT_OPEN)
        if self.path is None:
            object.__setattr__(self, "path", "/ee/v2/collect")
        super().__post_init__()
        parts = urlsplit(self.endpoint)
        if parts.query or parts.fragment:
            self._fault("endpoint", f"{self.endpoint!r} has a '?' or a '#'; give the address alone")
        if not (self.path or "").startswith("/"):
            self._fault("path", f"is {self.path!r}; it begins with '/'")
        if not self.datastream_id:
            self._fault("datastream_id", "is missing; it stands in Adobe's Data Collection, under Datastreams")
        if self.datastream_parameter not in _PARAMETERS:
            self._fault("datastream_parameter", f"is {self.datastream_parameter!r}; use one of {_PARAMETERS}")
        if parts.hostname == _SERVER_HOST and self.auth is None:
            self._fault("auth", f"is missing; {_SERVER_HOST} needs it. Without credentials use {_ENDPOINT_OPEN}")

    @cached_property
    def limits(self) -> Limits:
        """100 events and 60,000 bytes, or what the operator lowered them to."""
        return self.limited(EVENTS_MAX, BYTES_MAX)

    def check(self, event: Any, wall_ms: int) -> Draft:
        """Check shape, identities, timestamp and size, and encode the event as it stands in a request."""
        event = require_object(event, "")
        if not event.keys() <= _KEYS:
            _refuse_shape(event)
        if "xdm" not in event:
            raise InvalidEvent("the event has no 'xdm'", field="xdm", remedy='Hand over {"xdm": {…}}.')
        xdm = require_object(event["xdm"], "xdm")
        for key in ("data", "query"):
            if key in event:
                require_object(event[key], key)
        warnings: list[str] = []
        check_identity_map(xdm, warnings)
        entity = complete(xdm, "xdm", wall_ms)
        if entity.fields is not xdm:
            event = {"xdm": None, **event}  # first, so that the _id stands at a constant offset
            event["xdm"] = entity.fields
        payload = encode_json(event)
        size = len(payload)
        check_size(size, BYTES_MAX - FRAME_BYTES, "Adobe Edge")
        if size > PROFILE_EVENT_BYTES_MAX:
            warnings.append(profile_warning(size, PROFILE_EVENT_BYTES_MAX))
        reference = reference_at(event, self.reference_path, warnings) if self.reference_path else None
        id_offset = _ID_OFFSET if entity.minted else -1
        return Draft(payload, id_offset, entity.occurred_ms, reference, entity.stamped, tuple(warnings))

    def split(self, document: Mapping[str, Any]) -> list[Any] | None:
        """The events of `{"events": […]}`; InvalidEvent when `query`, `meta` or anything else stands beside them."""
        return split_document(document, "events")

    def item(self, payload: bytes) -> bytes:
        """The event as it was stored: Edge's envelope adds nothing to it."""
        return payload

    def encode(self, batch: Batch) -> HttpRequest:
        """The batch as one request, whose request id Edge echoes."""
        parameters = {self.datastream_parameter: self.datastream_id, "requestId": batch.request_id}
        if self.silent:
            parameters["silent"] = "true"
        url = f"{self.endpoint.rstrip('/')}{self.path}?{urlencode(parameters)}"
        # A silent answer names nobody's request: on a connection used before it might be another one's.
        return HttpRequest("POST", url, *self.written(batch), fresh=self.silent)

    def interpret(self, batch: Batch, response: HttpResponse) -> Outcome:
        """What Edge's answer means; never raises, and accepts nothing but 200, 202, 204 (silent) and 207."""
        strange = answers.foreign(response)
        if strange:
            return strange
        document = json_object(response.body)
        if response.status < 300:
            return self._success(batch, response, document)
        code = answers.edge_code(document)
        reading, remedy = self._reading(response.status, code)
        remedy = remedy.format(name=self.name, datastream_id=self.datastream_id, code=code)
        ours, _, rest = remedy.partition(f"({code}). ")  # where the table says what is wrong, in the operator's words
        problem = Problem(
            code=code or f"http_{response.status}",
            text=f"{ours}({code})" if rest else answers.described(document, response),
            remedy=rest or remedy,
            status=response.status,
        )
        # Definite is what Edge's own table lists: anything on the way may answer 400, and so may an Edge to come.
        definite = code in answers.EXEG
        outcome = statuses.outcome_of(
            reading, response, batch, problem, definite=definite, renewable=problem.code in answers.RENEWABLE
        )
        return replace(outcome, service=answers.ids_of(document))

    def _success(self, batch: Batch, response: HttpResponse, document: dict[str, Any] | None) -> Outcome:
        if response.status == 204:
            if not self.silent:
                return nobodys(response, "an empty success that was not asked for (silent is off)")
            answered = response.header("x-request-id")
            return accepted(response, service={"requestId": shortened(answered)} if answered else {})
        request_id = shortened(statuses.text_of((document or {}).get("requestId")))
        expected = {200: "handle", 202: "requestId", 207: "requestId"}.get(response.status)
        if document is None or not request_id or expected not in document:
            return answers.without_its_body(response)
        service: dict[str, Any] = {"requestId": request_id}
        problem = None
        if response.status == 207:
            problem = _partial(document, response, service)
        # The server appends a suffix to our id. What an answer with another id means is weighed beside the others.
        echoed = request_id.lower().startswith(batch.request_id.lower())
        outcome = accepted(response, service=service, receipt=request_id, problem=problem)
        return replace(outcome, echoed=echoed, must_echo=True)

    def _reading(self, status: int, code: str | None) -> tuple[statuses.Reading, str]:
        """The code decides, but never turns a server's fault or a plea to wait into a refusal of the events."""
        by_status = statuses.reading_of_status(status)
        known = answers.EXEG.get(code or "")
        if known and (status < 500 or int((code or "")[-3:]) >= 500) and status not in (429, 503):
            return known
        return by_status, _REMEDIES.get(status) or _REMEDY.get(by_status, "")


_REMEDY = {statuses.PAUSE: "Check endpoint and path in [destinations.{name}].", statuses.REFUSE: statuses.MEND}
_REMEDIES = {
    401: "Adobe wants other credentials: check auth in [destinations.{name}] and the [auth.*] table it names.",
    403: "Adobe does not allow it: check auth in [destinations.{name}], its client_id and its org_id.",
    407: "The proxy wants credentials: check proxy in [destinations.{name}].",
    415: "What answered does not take JSON: check endpoint and encoding in [destinations.{name}].",
}


def _partial(document: dict[str, Any], response: HttpResponse, service: dict[str, Any]) -> Problem | None:
    """The first of a 207's errors; the codes of all go into `service`. The gateway took the events all the same."""
    errors = document.get("errors")
    errors = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    if not errors:
        return None
    codes = [answers.edge_code(error) or shortened(statuses.text_of(error.get("type"))) for error in errors[:20]]
    service["errors"] = codes
    return Problem(codes[0] or "http_207", answers.described(errors[0], response), status=response.status)


def _refuse_shape(event: dict[str, Any]) -> None:
    if "event" in event:
        raise InvalidEvent(
            "the event is wrapped in 'event', as the interact endpoint has it",
            field="event",
            remedy='Hand over what is inside: {"xdm": {…}}.',
        )
    refuse_document(event, "events")
    refuse_other_keys(event, _KEYS, "", "An event has 'xdm' and, if need be, 'data' and 'query'.")
