"""Events that a destination takes, and answers of a service that takes them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edgequeue.errors import ConfigError
from edgequeue.model import HttpRequest, HttpResponse


def event_for(type_name: str, *, number: int = 1, **fields: Any) -> dict[str, Any]:
    """A small valid event for a type of destination: a purchase. `fields` are added to its XDM, for bloomreach to its
    properties, or replace what is there; `number` makes one purchase another.
    """
    if type_name == "bloomreach":
        properties = {"purchase_id": f"P-{number}", "total_price": 12.5, **fields}
        ids = {"registered": f"customer-{number}@example.com"}
        data = {"customer_ids": ids, "event_type": "purchase", "properties": properties}
        return {"name": "customers/events", "data": data}
    xdm = {
        "eventType": "commerce.purchases",
        "identityMap": {"loyalty": [{"id": f"L-{number}", "primary": True}]},
        "commerce": {"order": {"purchaseID": f"P-{number}", "priceTotal": 12.5}},
    }
    if type_name in ("adobe-edge", "adobe-dccs"):
        return {"xdm": {**xdm, **fields}}
    raise ConfigError(
        f"no event is known for destination type {type_name!r}; there are: adobe-dccs, adobe-edge, bloomreach"
    )


def response(status: int = 200, document: Any = None, **headers: str) -> HttpResponse:
    """An answer of a service, with `document` as JSON; `retry_after="5"` becomes the header `retry-after`."""
    body = b"" if document is None else json.dumps(document).encode()
    return HttpResponse(status, {name.lower().replace("_", "-"): value for name, value in headers.items()}, body)


def accept(request: HttpRequest) -> HttpResponse:
    """The answer of a service that takes every event of the request: Adobe Edge Network's, streaming ingestion's, or
    Bloomreach's.
    """
    document = json.loads(request.body)
    if "commands" in document:
        results = [{"success": True, "command_id": command.get("command_id")} for command in document["commands"]]
        return response(200, {"results": results, "success": True}, x_request_id="test")
    address = urlsplit(request.url)
    inlet = address.path.rpartition("/")[2]
    if "messages" in document:
        receipts = [{"xactionId": f"test:{position}"} for position in range(len(document["messages"]))]
        return response(200, {"inletId": inlet, "batchId": "test", "responses": receipts})
    if "events" not in document:  # one message on the single endpoint
        return response(200, {"inletId": inlet, "xactionId": "test", "receivedTimeMs": 0})
    request_id = parse_qs(address.query).get("requestId", ["test"])[0]
    return response(200, {"requestId": f"{request_id}-0123456789abcdef", "handle": []})
