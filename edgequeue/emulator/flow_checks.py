"""What Flow Service asks of an object that is to be made, read from "Create an HTTP API streaming connection". Pure.

Each check answers with a code of "Flow Service error messages" and a text, or None. An unknown reference is 1439-400:
no page says which code it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edgequeue.emulator.contract import text_at
from edgequeue.emulator.flow_objects import FlowObjects
from edgequeue.emulator.options import DATA_TYPES, Options

HTTP_API_SPEC = "bc7b00d6-623a-4dfc-9fdb-f1240aeadaeb"
DATA_LAKE_SPEC = "c604ff05-7f1a-43c0-8e18-33bf874cb11c"
PLAIN_FLOW_SPEC = "d8a6f005-7eaf-4153-983e-e8574508b877"
MAPPED_FLOW_SPEC = "c1a19761-d2c7-4702-b9fa-fe91f0613e81"
"""With transformations."""

Document = Mapping[str, Any]
Wrong = tuple[str, str] | None


class Surroundings(NamedTuple):
    """What a new object is checked against: the options, what was made before it, and the sandbox of the request."""

    options: Options
    objects: FlowObjects
    sandbox: str


def wrong_with(collection: str, document: Document, around: Surroundings) -> Wrong:
    """The first thing that is wrong with a new object of a collection: code and text; None for a good one."""
    if "state" in document:
        return "1410-400", "`State` is not allowed in the create flow request."
    if text_at(document, "name") is None:
        return _invalid("name is required")
    return _CHECKS[collection](document, around)


def _connection(document: Document, around: Surroundings) -> Wrong:
    if text_at(document, "connectionSpec", "id") != HTTP_API_SPEC:
        return _unknown_spec("connectionSpec.id", HTTP_API_SPEC)
    if text_at(document, "auth", "specName") != "Streaming Connection":
        return "1415-400", "auth.specName must be Streaming Connection"
    params = document["auth"].get("params")
    if text_at(params, "dataType") not in DATA_TYPES:
        return _invalid("auth.params.dataType must be xdm or raw")
    if not isinstance(params.get("authenticationRequired", False), bool):
        return _invalid("auth.params.authenticationRequired must be true or false")
    return None


def _source(document: Document, around: Surroundings) -> Wrong:
    if text_at(document, "connectionSpec", "id") != HTTP_API_SPEC:
        return _unknown_spec("connectionSpec.id", HTTP_API_SPEC)
    return _reference(around, "connections", document.get("baseConnectionId"))


def _target(document: Document, around: Surroundings) -> Wrong:
    if text_at(document, "connectionSpec", "id") != DATA_LAKE_SPEC:
        return _unknown_spec("connectionSpec.id", DATA_LAKE_SPEC)
    schema, version = text_at(document, "data", "schema", "id"), text_at(document, "data", "schema", "version")
    dataset = text_at(document, "params", "dataSetId")
    if schema is None or version is None or dataset is None:
        return _invalid("data.schema.id, data.schema.version and params.dataSetId are required")
    known = around.options.datasets
    if known is not None and dataset not in known:
        return _not_found("dataset", dataset)
    if known is not None and known[dataset] != schema:
        return _invalid(f"dataset {dataset} has another schema")
    return None


def _flow(document: Document, around: Surroundings) -> Wrong:
    spec = text_at(document, "flowSpec", "id")
    if spec not in (PLAIN_FLOW_SPEC, MAPPED_FLOW_SPEC):
        return _unknown_spec("flowSpec.id", f"{PLAIN_FLOW_SPEC} or {MAPPED_FLOW_SPEC}")
    for name, collection in (
        ("sourceConnectionIds", "sourceConnections"),
        ("targetConnectionIds", "targetConnections"),
    ):
        ids = document.get(name)
        if not isinstance(ids, list) or len(ids) != 1:
            return _invalid(f"{name} must be a list of one id")
        if wrong := _reference(around, collection, ids[0]):
            return wrong
    if spec == MAPPED_FLOW_SPEC:
        return _mapping(document, around)
    return _invalid("this flowSpec takes no transformations") if document.get("transformations") else None


def _mapping(document: Document, around: Surroundings) -> Wrong:
    each = document.get("transformations")
    one = each[0] if isinstance(each, list) and len(each) == 1 and isinstance(each[0], dict) else {}
    if one.get("name") != "Mapping" or not isinstance(one.get("params"), dict):
        return _invalid("transformations must be one, named Mapping, with params")
    mapping_id = one["params"].get("mappingId")
    mapping = around.objects.get("mappingSets", mapping_id, around.sandbox)
    if mapping is None:
        return "1419-400", f"Error while validating mapping with id {mapping_id}"
    if one["params"].get("mappingVersion") != mapping["version"]:
        return "1412-400", "Invalid Mapping Version in request. Please provide correct mapping version."
    target = around.objects.get("targetConnections", document["targetConnectionIds"][0], around.sandbox)
    if target is None or schema_of_target(target) != schema_of_mapping(mapping):
        return "1425-400", "Schema with same id and version must be used in both mapping and target dataset."
    return None


def schema_of_target(target: Document) -> tuple[str | None, str]:
    """The schema of a target connection: its id, and its version as short as it can be written (1.0 is 1)."""
    return text_at(target, "data", "schema", "id"), _version(text_at(target, "data", "schema", "version"))


def schema_of_mapping(mapping: Document) -> tuple[str | None, str]:
    """The schema of a mapping set in either of its forms, the same way."""
    if "outputSchema" in mapping:
        reference = ("outputSchema", "schemaRef")
        return text_at(mapping, *reference, "id"), _version(text_at(mapping, *reference, "contentType"))
    return text_at(mapping, "xdmSchema"), _version(text_at(mapping, "xdmVersion"))


def _version(text: str | None) -> str:
    return (text or "").rpartition("version=")[2].strip().removesuffix(".0")


def _reference(around: Surroundings, collection: str, object_id: object) -> Wrong:
    if around.objects.get(collection, object_id, around.sandbox) is None:
        return _not_found(collection, object_id)
    return None


def _not_found(what: str, object_id: object) -> Wrong:
    return "1439-400", f"The requested {what} resource {object_id} is not found."


def _unknown_spec(name: str, known: str) -> Wrong:
    return "1413-400", f"The spec ID provided is invalid: {name} must be {known}."


def _invalid(text: str) -> Wrong:
    return "1100-400", f"The request could not be processed: {text}."


_CHECKS: Mapping[str, Callable[[Document, Surroundings], Wrong]] = {
    "connections": _connection,
    "sourceConnections": _source,
    "targetConnections": _target,
    "flows": _flow,
}
