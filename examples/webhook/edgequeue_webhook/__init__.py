"""A destination of its own for edgequeue: a webhook that takes `{"events": [{…}, …]}` and answers 2xx with JSON.

    [destinations.shop]
    type = "webhook"
    endpoint = "https://shop.example/hooks/till"
    auth = "shop"                       # optional: an [auth.*] table with type = "bearer"

What the webhook promises: 2xx with a JSON object for a request that it has taken whole, and `{"refused": {"<position>":
"<reason>"}}` in it for events that it will never take. Everything here is pure: no network, no clock, no dice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from edgequeue.destinations.base import Destination
from edgequeue.destinations.payload import (
    check_size,
    encode_json,
    reference_at,
    refuse_document,
    require_object,
    split_document,
)
from edgequeue.errors import InvalidEvent
from edgequeue.learning import Doubt
from edgequeue.model import ID_PLACEHOLDER, Batch, Disposition, Draft, HttpRequest, HttpResponse, Limits, Problem
from edgequeue.outcome import Outcome, Verdict
from edgequeue.reading import deferred, is_foreign, json_object, nobodys, paused, refused, shortened

EVENTS_MAX, BYTES_MAX = 100, 256_000
"""What the webhook takes in one request, by its own documents."""

_ID_OFFSET = len(b'{"_id":"')


@dataclass(frozen=True, kw_only=True)
class Webhook(Destination):
    """A webhook. `source` tells it which device is speaking."""

    type: ClassVar[str] = "webhook"

    source: str = "edgequeue"

    @cached_property
    def limits(self) -> Limits:
        """What one request may hold, or what the operator lowered it to."""
        return self.limited(EVENTS_MAX, BYTES_MAX)

    def check(self, event: Any, wall_ms: int) -> Draft:
        """Any JSON object is an event; one without an `_id` gets the event's own id, so that it can be told apart."""
        event = require_object(event, "")
        refuse_document(event, "events")
        if not event:
            raise InvalidEvent("the event is empty", remedy="Hand over an object with at least one field.")
        mint = "_id" not in event
        payload = encode_json({"_id": ID_PLACEHOLDER, **event} if mint else event)
        check_size(len(payload), BYTES_MAX - self.limits.frame_bytes, "the webhook")
        warnings: list[str] = []
        reference = reference_at(event, self.reference_path, warnings) if self.reference_path else None
        return Draft(payload, _ID_OFFSET if mint else -1, None, reference, False, tuple(warnings))

    def split(self, document: Mapping[str, Any]) -> list[Any] | None:
        """The events of a whole request document, for `enqueue_many` and the command line."""
        return split_document(document, "events")

    def item(self, payload: bytes) -> bytes:
        """An event travels as it was stored."""
        return payload

    def encode(self, batch: Batch) -> HttpRequest:
        """One request. The same batch always makes the same bytes."""
        headers, body = self.written(batch)
        headers |= {"x-source": self.source, "idempotency-key": batch.request_id}
        return HttpRequest("POST", self.endpoint, headers, body)

    def interpret(self, batch: Batch, response: HttpResponse) -> Outcome:
        """What the answer means for each event. When in doubt an event is kept: only a definite refusal kills it."""
        if is_foreign(response):  # a login page, a redirect
            return nobodys(response, "a page, not an answer of the webhook's")
        document = json_object(response.body)
        if response.status < 300:
            if document is None:
                return nobodys(response, "a success without the webhook's JSON", maybe_taken=True)
            return _taken(batch, response, document)
        text = shortened(str((document or {}).get("error") or f"HTTP {response.status}"))
        problem = Problem(f"http_{response.status}", text, status=response.status)
        if response.status in (400, 413, 422):  # halves a batch; one event alone is dead if the webhook itself says so
            return refused(response, batch, problem, definite=document is not None and "error" in document)
        if response.status in (408, 425, 429) or response.status >= 500:
            doubt = Doubt.FAILED if response.status == 500 else None
            return deferred(response, problem, doubt)
        remedy = f"Check endpoint and auth in [destinations.{self.name}]."
        problem = Problem(problem.code, text, remedy, response.status)
        return paused(response, problem, renewable=response.status in (401, 403))


def _taken(batch: Batch, response: HttpResponse, document: Mapping[str, Any]) -> Outcome:
    """Every event was taken but those that the answer names."""
    refusals = document.get("refused")
    exceptions = {
        position: Verdict(Disposition.REJECT, Problem("refused", shortened(str(reason)), "Mend it.", response.status))
        for position in range(len(batch))
        if isinstance(refusals, dict) and (reason := refusals.get(str(position))) is not None
    }
    receipt = response.header("x-request-id")
    service = {"requestId": shortened(receipt)} if receipt else {}
    verdict = Verdict(Disposition.ACCEPTED, receipt=shortened(receipt) if receipt else None)
    return Outcome(verdict, exceptions=exceptions, service=service, http_status=response.status, told=True)
