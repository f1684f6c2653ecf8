"""Adobe's Data Prep, `/data/foundation/conversion/mappingSets`: make, read and list mapping sets. Pure.

Both documented forms of a set are taken: that of "Create an HTTP API streaming connection" (xdmSchema) and that of the
reference (outputSchema). The bodies of its errors are ours; no document shows them.
"""

from __future__ import annotations

from typing import Any

from edgequeue.emulator.contract import (
    Accepted,
    Answer,
    Malformed,
    Request,
    Stamp,
    Verdict,
    json_answer,
    read_document,
    text_at,
)
from edgequeue.emulator.flow_checks import Surroundings, schema_of_mapping
from edgequeue.emulator.flow_objects import Made
from edgequeue.emulator.platform_problems import other_problem

COLLECTION = "mappingSets"
_FORMS = (("destinationXdmPath", "sourceAttribute"), ("destination", "source"))


def judge(object_id: str | None, request: Request, stamp: Stamp, around: Surroundings) -> Verdict:
    """What Data Prep answers to a POST or GET, and what it makes. A set made is answered 200, not 201 (reference)."""
    if request.method == "POST":
        return _made(request, stamp, around)
    if object_id is None:
        return Verdict(_list(request, around))
    found = around.objects.get(COLLECTION, object_id, around.sandbox)
    if found is None:
        return Verdict(other_problem("DATAPREP-404", "Not found", f"There is no mapping set {object_id}."))
    return Verdict(json_answer(200, found))


def _made(request: Request, stamp: Stamp, around: Surroundings) -> Verdict:
    try:
        document = read_document(request)
    except Malformed:
        document = None
    wrong = _wrong_with(document, around)
    if wrong is not None or not isinstance(document, dict):
        return Verdict(_invalid(wrong or "the body must be an object"))
    now_ms = int(stamp.at * 1000)
    told = {
        "id": stamp.uuid.replace("-", ""),
        "version": 0,
        "createdDate": now_ms,
        "modifiedDate": now_ms,
        "createdBy": "emulated@AdobeID",
        "modifiedBy": "emulated@AdobeID",
    }
    made: Made = {**document, **told, "sandboxName": around.sandbox}
    return Verdict(json_answer(200, told), [Accepted(made["id"], made)])


def _wrong_with(document: object, around: Surroundings) -> str | None:
    if not isinstance(document, dict):
        return "the body must be an object"
    schema, version = schema_of_mapping(document)
    if schema is None or not version:
        return "xdmSchema and xdmVersion, or outputSchema.schemaRef with id and contentType, are required"
    known = around.options.datasets
    if known is not None and schema not in known.values():
        return f"schema {schema} does not exist"
    mappings = document.get("mappings")
    if not isinstance(mappings, list) or not mappings:
        return "mappings must be a list of at least one"
    for index, mapping in enumerate(mappings):
        if not any(all(text_at(mapping, name) for name in form) for form in _FORMS):
            return f"mappings[{index}] needs destinationXdmPath and sourceAttribute, or destination and source"
    return None


def _list(request: Request, around: Surroundings) -> Answer:
    """Both paging numbers are required (reference)."""
    numbers = [request.query.get(name, "") for name in ("limit", "start")]
    if not all(number.isascii() and number.isdigit() for number in numbers):
        return _invalid("limit and start are required")
    limit, start = (int(number) for number in numbers)
    name = request.query.get("name")
    found = [one for one in around.objects.all(COLLECTION, around.sandbox) if name in (None, one.get("name"))]
    page: dict[str, Any] = {"count": len(found[start : start + limit]), "limit": limit, "start": start}
    return json_answer(200, {"data": found[start : start + limit], "_page": page, "_links": {}})


def _invalid(text: str) -> Answer:
    return other_problem("DATAPREP-400", "Invalid request", text)
