"""The error answers of the Edge Network: problem documents (RFC 7807) by EXEG number.

Numbers, statuses and titles are those of Edge Network API, "Troubleshooting"; details are shortened. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from edgequeue.emulator.contract import Answer, json_answer

PROBLEM_TYPE = "application/problem+json"
ERRORS_URL = "https://ns.adobe.com/aep/errors/"

PROBLEMS: Mapping[str, tuple[int, str, str]] = {
    "0000": (503, "Service unavailable", "The service is temporarily unable to process your request."),
    "0001": (500, "Unexpected error", "An unexpected error has occurred while processing the request."),
    "0002": (400, "Missing datastream parameter", "The required datastream parameter {0} is missing."),
    "0003": (400, "Invalid datastream ID", "The datastream ID {0} referenced in your request does not exist."),
    "0004": (422, "Datastream disabled", "The datastream is disabled."),
    "0010": (422, "Invalid datastream configuration", "The datastream configuration is missing."),
    "0011": (422, "Could not retrieve sandbox details", "The sandbox details could not be retrieved."),
    "0012": (422, "The referenced sandbox cannot be resolved", "The referenced sandbox does not exist."),
    "0013": (422, "The referenced identity namespace code cannot be resolved", "The namespace does not exist."),
    "0100": (500, "JSON processing error", "An error occurred while processing your JSON request."),
    "0101": (400, "Invalid JSON request", "The JSON request is invalid. Fix the request and try again."),
    "0102": (400, "Invalid request field", "The value supplied for the {0} field does not match your input schema."),
    "0103": (400, "Missing required value", "The {0} field is mandatory. Provide a valid {0} value and try again."),
    "0104": (422, "Input validation error", "The request is invalid. See the attached report."),
    "0105": (400, "Input validation error", "The request is invalid. Update your request and try again."),
    "0106": (400, "Invalid Content-Type header", "The provided Content-Type header value is invalid."),
    "0107": (400, "Missing required parameter", "The required parameter {0} is missing from your request."),
    "0108": (400, "Invalid parameter type", "The {0} parameter type is not supported."),
    "0109": (408, "Empty request", "The request body is empty. Update your request and try again."),
    "0110": (400, "Missing parameter value", "The {0} value is required when cookie support is enabled."),
    "0111": (415, "Invalid request", "The request content type is not supported. Supported types are {0}."),
    "0112": (413, "Invalid request", "The request payload is too large. The maximum accepted size is {0} bytes."),
    "0113": (400, "Invalid request", "The configuration override payload is invalid."),
    "0200": (504, "The service call has timed out", "The service call exceeded the allowed time and was canceled."),
    "0201": (503, "The service is temporarily unavailable", "An upstream service is temporarily unable to serve this."),
    "0202": (502, "The service failed to process this request", "An upstream service failed to process this request."),
    "0203": (502, "The service call has failed", "An error occurred while calling an upstream service."),
    "0205": (502, "Data exchange producer request failed", "An upstream service failed to return data."),
    "0300": (502, "Could not check user consent", "An error occurred while checking user consent."),
    "0302": (409, "Update operation not supported", "The update cannot be performed."),
    "0304": (400, "Unexpected identities provided", "Unexpected identities were provided for event #{0}."),
    "0305": (400, "Invalid identity provided", "The request contains an invalid identity ({0}) in {1}."),
    "0306": (400, "Event is missing primary identity", "There was no primary identity provided for event #{0}."),
    "0307": (502, "User consent update error", "An error occurred while updating user consent settings."),
    "0308": (400, "Invalid identity format", "Event #{0} contains an ID ({1}) in invalid format in {2}."),
    "0400": (403, "Request ignored due to geographical restrictions", "Requests from this country are not allowed."),
    "0500": (401, "Invalid authorization token", "The required authorization token is missing or malformed."),
    "0501": (401, "Invalid user authorization token", "The required user token is missing or malformed."),
    "0502": (401, "Invalid authorization token signature", "The authorization token signature is invalid."),
    "0503": (401, "Authorization token expired", "The authorization token has expired. Generate a new one."),
    "0504": (401, "Missing required product context", "The token is missing the required product context."),
    "0505": (401, "Missing required authorization token scope", "The token is missing the scope acp.foundation."),
    "0506": (401, "Missing sandbox write permissions", "The token does not have DATASET.WRITE permissions."),
}
"""EXEG number -> status, title, detail; {0} and so on stand for what is wrong. Fatal errors only."""

CODE_OF_STATUS: Mapping[int, str] = {
    400: "0105", 401: "0503", 403: "0400", 408: "0109", 409: "0302", 413: "0112",
    415: "0111", 422: "0104", 500: "0001", 502: "0202", 503: "0201", 504: "0200",
}  # fmt: skip
"""The number a status fault uses when it names none (ours); other statuses get 0000 with that status."""


def problem(code: str, request_id: str | None, *details: object, status: int | None = None) -> Answer:
    """The problem document of an EXEG number; `status` overrides the code's own."""
    own_status, title, detail = PROBLEMS.get(code, (500, "Emulated error", "An error that somebody asked for."))
    status = status or own_status
    document = {
        "type": f"{ERRORS_URL}EXEG-{code}-{status}",
        "status": status,
        "title": title,
        "detail": detail.format(*(details or ("(emulated)",) * 3)),
        "report": {"requestId": request_id},
    }
    return json_answer(status, document, PROBLEM_TYPE)


def refusal(status: int, code: str | None, request_id: str | None) -> Answer:
    """The service's own error body for a status that somebody asked for; `code` picks the EXEG number."""
    return problem(code or CODE_OF_STATUS.get(status, "0000"), request_id, status=status)


def partly(request_id: str | None) -> Answer:
    """207: the gateway took the request, one upstream failed ("Troubleshooting", non-fatal errors)."""
    upstream = json.loads(problem("0201", request_id).body)
    return json_answer(207, {"requestId": request_id, "handle": [], "errors": [upstream]})
