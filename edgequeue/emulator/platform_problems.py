"""The error answers of platform.adobe.io: those of the gateway in front, and those of the services behind it. Pure.

The gateway's codes are those of "Platform troubleshooting", those of Flow Service of "Flow Service error messages". No
document shows the body of the latter: the shape here is that of Schema Registry, `type` ending with the code.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgequeue.emulator.contract import Answer, json_answer

ERRORS_URL = "http://ns.adobe.com/aep/errors/"

GATEWAY: Mapping[str, tuple[int, str]] = {
    "400003": (400, "Required header is missing"),
    "401013": (401, "Oauth token is not valid"),
    "403000": (403, "Api Key is required"),
    "403003": (403, "Api Key is invalid"),
    "403010": (403, "Oauth token is missing"),
    "403025": (403, "The organization is not entitled"),
    "429050": (429, "Too many requests"),
}
"""Code -> status, message."""

SERVICE: Mapping[str, tuple[str, str]] = {
    "1004-415": ("Unsupported Media Type", "The provided payload format is unsupported."),
    "1100-400": ("Invalid request", "The request could not be processed."),
    "1101-404": ("Resource not found", "The requested resource is not found."),
    "1102-500": ("Internal Error", "An internal error has occurred. Please try again."),
    "1103-503": ("Service Unavailable", "The service is temporarily unavailable. Please try again."),
    "1104-504": ("Gateway Timeout", "A gateway timeout has occurred. Please try again."),
    "1401-400": ("Invalid request", "The limit and count parameters cannot be given together in the same request."),
    "1403-400": ("Header is missing", "The header 'If-Match' is missing in the request."),
    "1404-412": ("Version not matching", "The supplied version does not match the current version on entity."),
    "1405-400": ("Invalid request", "The request body cannot be null or empty."),
    "1410-400": ("Invalid request", "`State` is not allowed in the create flow request."),
    "1412-400": ("Invalid request", "Invalid Mapping Version in request. Please provide correct mapping version."),
    "1413-400": ("Invalid request", "The spec ID provided is invalid. Please provide a valid spec ID and try again."),
    "1415-400": ("Invalid request", "The auth spec could not be found for the connection spec ID."),
    "1419-400": ("Invalid request", "Error while validating mapping. Please check your mapping."),
    "1425-400": ("Invalid request", "Schema with same id and version must be used in both mapping and target dataset."),
    "1439-400": ("Resource not found", "The requested resource is not found. Verify the resource ID."),
    "1450-400": ("Invalid request", "Invalid operator in filter params."),
    "1451-400": ("Invalid request", "Invalid params provided in query params."),
    "1453-400": ("Invalid request", "Invalid query value provided in query param."),
    "2100-404": ("Sandbox not found", "The sandbox could not be found. Please ensure that its name is correct."),
    "2120-403": ("Forbidden", "You do not have sufficient permissions to perform the operation."),
    "2200-500": ("External service request error", "There was a problem while calling the Catalog service."),
    "2250-500": ("External service request error", "There was a problem while calling the Data Prep service."),
}
"""Code -> title, detail; the status is the end of the code."""

CODE_OF_STATUS: Mapping[int, str] = {
    400: "1100-400", 401: "401013", 403: "2120-403", 404: "1101-404", 412: "1404-412", 415: "1004-415",
    429: "429050", 500: "1102-500", 503: "1103-503", 504: "1104-504",
}  # fmt: skip
"""The code a status fault uses when it names none (ours)."""


def problem(code: str, detail: str | None = None, *, status: int | None = None) -> Answer:
    """The body of a code of either table, or of any other `NNNN-SSS`; `status` overrides the code's own."""
    if code in GATEWAY:
        own_status, message = GATEWAY[code]
        return json_answer(status or own_status, {"error_code": code, "message": detail or message})
    title, own_detail = SERVICE.get(code, ("Emulated error", "An error that somebody asked for."))
    return _problem(f"FLOW-{code}", title, detail or own_detail, status or status_of(code))


def other_problem(name: str, title: str, detail: str) -> Answer:
    """The body of a service beside Flow Service; the name ends with the status, such as XDM-1010-404."""
    return _problem(name, title, detail, status_of(name))


def refusal(status: int, code: str | None) -> Answer:
    """The platform's own error body for a status that somebody asked for."""
    return problem(code or CODE_OF_STATUS.get(status, f"0000-{status}"), status=status)


def status_of(code: str) -> int:
    """The HTTP status of a code: the gateway's own, or the end of the code."""
    return GATEWAY[code][0] if code in GATEWAY else int(code.rpartition("-")[2])


def _problem(name: str, title: str, detail: str, status: int) -> Answer:
    return json_answer(status, {"type": f"{ERRORS_URL}{name}", "title": title, "status": status, "detail": detail})
