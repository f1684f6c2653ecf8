"""Adobe's Flow Service, `/data/foundation/flowservice/…`: make, read and list connections and flows.

Pure: what is made travels in the verdict, and counts only if no fault keeps it from being made. Names are not unique,
and no key makes a repeated POST the same (nothing in the documents says otherwise).
"""

from __future__ import annotations

import hashlib
from typing import Any

from edgequeue.emulator.contract import Accepted, Malformed, Request, Stamp, Verdict, json_answer, read_document
from edgequeue.emulator.flow_checks import Surroundings, wrong_with
from edgequeue.emulator.flow_lists import listed
from edgequeue.emulator.flow_objects import Made
from edgequeue.emulator.platform_problems import problem

PATH = "/data/foundation/flowservice/"
INLET_PATH = "/collection/"


def judge(collection: str, object_id: str | None, request: Request, stamp: Stamp, around: Surroundings) -> Verdict:
    """What Flow Service answers to a POST or GET on one of its collections, and what it makes."""
    if request.method == "POST":
        return _made(collection, request, stamp, around)
    address = f"{base_url(request)}{PATH}{collection}"
    if object_id is None:
        shown = [_shown(collection, made, request) for made in around.objects.all(collection, around.sandbox)]
        return Verdict(listed(request, shown, around.options.page_size, address))
    found = around.objects.get(collection, object_id, around.sandbox)
    if found is None:
        return Verdict(problem("1101-404", f"The requested {collection} resource {object_id} is not found."))
    # A single GET answers a list too (sample of the tutorial, "Get streaming endpoint URL").
    return Verdict(
        json_answer(200, {"items": [_shown(collection, found, request)]}, headers=(("ETag", found["etag"]),))
    )


def base_url(request: Request) -> str:
    """`http://HOST:PORT`, as the client knows it."""
    return f"http://{request.headers.get('host', 'localhost')}"


def _made(collection: str, request: Request, stamp: Stamp, around: Surroundings) -> Verdict:
    try:
        document = read_document(request)
    except Malformed:
        document = None
    if not isinstance(document, dict) or not document:
        return Verdict(problem("1405-400"))
    wrong = wrong_with(collection, document, around)
    if wrong is not None:
        return Verdict(problem(*wrong))
    made = _object(collection, document, request, stamp, around)
    location = f"{PATH}{collection}/{made['id']}"
    headers = (("Location", location), ("ETag", made["etag"]))
    answer = json_answer(201, {"id": made["id"], "etag": made["etag"]}, headers=headers)
    return Verdict(answer, [Accepted(made["id"], made)])


def _object(collection: str, document: Made, request: Request, stamp: Stamp, around: Surroundings) -> dict[str, Any]:
    now_ms = int(stamp.at * 1000)
    etag = f'"{stamp.nonce & 0xFFFFFFFF:08x}-0000-0200-0000-{stamp.nonce >> 32 & 0xFFFFFFFF:08x}"'
    client = request.headers.get("x-api-key", "")
    made = {
        **document,
        "id": stamp.uuid,
        "createdAt": now_ms,
        "updatedAt": now_ms,
        "createdBy": "emulated@AdobeID",
        "updatedBy": "emulated@AdobeID",
        "createdClient": client,
        "updatedClient": client,
        "sandboxName": around.sandbox,
        "imsOrgId": request.headers.get("x-gw-ims-org-id", ""),
        "state": "enabled",
        "version": etag,
        "etag": etag,
    }
    return made | {"auth": _auth(made)} if collection == "connections" else made


def _auth(made: Made) -> dict[str, Any]:
    """The credentials of a base connection, with the inlet that comes with it; its id is 64 hex digits as Adobe's."""
    params = {
        "sourceId": made["name"],
        "name": made["name"],
        "authenticationRequired": False,
        **made["auth"]["params"],
        "inletId": hashlib.sha256(made["id"].encode()).hexdigest(),
    }
    return {**made["auth"], "params": params}


def _shown(collection: str, made: Made, request: Request) -> dict[str, Any]:
    if collection != "connections":
        return dict(made)
    params = made["auth"]["params"]
    inlet_url = f"{base_url(request)}{INLET_PATH}{params['inletId']}"
    return {**made, "auth": {**made["auth"], "params": {**params, "inletUrl": inlet_url}}}
