"""Answers that are not the service's own: portals, a proxy's pages, garbage. Pure."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from edgequeue.emulator.contract import JSON_TYPE, Answer
from edgequeue.emulator.faults import Fault

PORTAL_PATH = "/_emulator/portal"
PORTAL_PAGE = b"""<!DOCTYPE html>
<html><head><title>Welcome to Free WiFi</title></head>
<body><h1>Please sign in</h1><form method="post"><input name="room"><button>Connect</button></form></body></html>
"""
PORTAL_JSON = b'{"status":"login required"}'
NOISE = bytes(range(128, 256))
"""Neither UTF-8 nor JSON."""
HTML_TYPE = "text/html; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
CONTENT_TYPES = {"text": TEXT_TYPE, "html": HTML_TYPE, "none": ""}
"""Form of a content_type fault -> the Content-Type sent."""

FOREIGN_UUID = "00000000-0000-4000-8000-000000000000"
FOREIGN_BATCH = "1565628583792:1485:153"
"""The batchId in the sample of "Send multiple messages in a single HTTP request"."""
_FOREIGN = {
    "requestId": f"{FOREIGN_UUID}-0000000000000000",
    "inletId": "somebody-elses",
    "batchId": FOREIGN_BATCH,
    "xactionId": FOREIGN_BATCH,
    "access_token": "somebody-elses",
    "id": FOREIGN_UUID,
}
STAND_IN = json.dumps({"requestId": _FOREIGN["requestId"]}).encode()
"""For the answers that have no body: Edge's, when silent."""
_REDIRECTS = {"redirect": 302, "redirect307": 307, "redirect308": 308}


def portal(fault: Fault) -> Answer:
    """What a captive portal says in the service's place."""
    form = fault.form or ""
    if form in _REDIRECTS:
        return Answer(_REDIRECTS[form], b"", "text/html", (("Location", PORTAL_PATH),))
    if form == "json":
        return Answer(200, PORTAL_JSON)
    return Answer(511 if form == "511" else fault.status or 200, PORTAL_PAGE, HTML_TYPE)


def instead(form: str | None, answer: Answer) -> Answer:
    """The answer with the body of a proxy or load balancer, by the form of a status fault; own: as it is."""
    status = answer.status
    try:
        line = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        line = f"{status} Unknown"
    if form == "plain":
        return replace(answer, body=f"{line}\n".encode(), content_type="text/plain")
    if form == "empty":
        return replace(answer, body=b"", content_type="")
    if form == "json":
        return replace(answer, body=json.dumps({"message": line}).encode(), content_type=JSON_TYPE)
    if form == "html":
        page = f"<html><head><title>{line}</title></head><body><h1>{line}</h1><hr>proxy</body></html>\n"
        return replace(answer, body=page.encode(), content_type="text/html")
    return answer


def garbage(form: str | None, status: int, answer: Answer) -> Answer:
    """What is left of the service's answer, for the forms whose fault lies in the body."""
    body = answer.body or STAND_IN
    if form == "html_json":
        page = b"<!DOCTYPE html>\n<html><body><pre>" + body + b"</pre></body></html>\n"
        return Answer(status, page, HTML_TYPE)
    if form == "gzip_broken":
        packed = gzip.compress(body, mtime=0)
        return Answer(status, packed[: len(packed) // 2], headers=(("Content-Encoding", "gzip"),))
    bodies = {"noise": NOISE, "empty": b"", "array": b"[" + body + b"]", "short": body}
    return Answer(status, bodies.get(form or "", body[: len(body) // 2]))


def packed(answer: Answer) -> Answer:
    """The same answer with Content-Encoding gzip; one without a body stays without."""
    if not answer.body:
        return answer
    headers = (*answer.headers, ("Content-Encoding", "gzip"))
    return replace(answer, body=gzip.compress(answer.body, mtime=0), headers=headers)


def somebody_elses(answer: Answer) -> Answer:
    """The same answer with the ids of somebody else in it; a silent one becomes 202. A refusal stays one."""
    if answer.status == 204:
        answer = replace(answer, status=202)
    if answer.body and not answer.content_type.endswith("json"):
        return answer
    document: dict[str, Any] = json.loads(answer.body or STAND_IN)
    document |= {name: value for name, value in _FOREIGN.items() if name in document}
    if "responses" in document:
        document["responses"] = [foreign_entry(entry) for entry in document["responses"]]
    if "results" in document:
        document["results"] = [foreign_result(index, one) for index, one in enumerate(document["results"])]
    headers = tuple(
        (name, _FOREIGN["requestId"] if name.lower() == "x-request-id" else value) for name, value in answer.headers
    )
    return replace(answer, body=json.dumps(document).encode(), headers=headers)


def foreign_result(index: int, result: dict[str, Any]) -> dict[str, Any]:
    """The result of a Bloomreach command with the command_id of somebody else."""
    return result | {"command_id": f"somebody-elses-{index}"}


def foreign_entry(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry of a batch answer with another prefix before its index; one without an xactionId stays as it is."""
    own = str(entry.get("xactionId", ""))
    prefix, colon, index = own.rpartition(":")
    if colon and prefix:
        return entry | {"xactionId": f"{FOREIGN_BATCH}:{index}"}
    return entry | {"xactionId": f"{FOREIGN_UUID}-{own.rpartition('-')[2]}"} if own else entry
