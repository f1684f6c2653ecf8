"""Whether the schema and the dataset are there and belong together. Pure: requests, and how their answers are read.

Schema Registry wants a version in the Accept header of a look-up, and has organisations' own schemas in the container
`tenant` and Adobe's in `global` ("Look up a resource", XDM API guide). Catalog answers with the dataset under its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from edgequeue.flow_service.mapping import major_version
from edgequeue.flow_service.steps import Call, Kind
from edgequeue.flow_service.wanted import Wanted

REGISTRY = "/data/foundation/schemaregistry"
CATALOG = "/data/foundation/catalog"

NO_SCHEMA = (
    "Check --schema-id (the $id, https://ns.adobe.com/…), --schema-version and sandbox_name. A schema is not made "
    "here: make it in the Platform UI (Schemas) or with the Schema Registry API."
)
NO_DATASET = (
    "Check --dataset-id and sandbox_name. A dataset is not made here: make it in the Platform UI (Datasets) or with "
    "the Catalog API."
)


def look_up_schema(wanted: Wanted) -> tuple[Call, ...]:
    """Where the schema may be, the likelier container first."""
    accept = f"application/vnd.adobe.xed-notext+json; version={wanted.schema_version}"
    containers = ("global", "tenant") if "/xdm/" in wanted.schema_id else ("tenant", "global")
    named = quote(wanted.schema_id, safe="")
    return tuple(Call(Kind.SCHEMA, "GET", f"{REGISTRY}/{each}/schemas/{named}", accept=accept) for each in containers)


def look_up_dataset(wanted: Wanted) -> Call:
    """The dataset."""
    return Call(Kind.DATASET, "GET", f"{CATALOG}/dataSets/{quote(wanted.dataset_id, safe='')}")


def dataset_conflict(document: Mapping[str, Any], wanted: Wanted) -> str | None:
    """Why the dataset cannot take events of the schema; None where it can or does not say."""
    found = document.get(wanted.dataset_id, document)
    ref = found.get("schemaRef") if isinstance(found, dict) else None
    if not isinstance(ref, dict) or not isinstance(ref.get("id"), str):
        return None
    if ref["id"] != wanted.schema_id:
        return f"it holds data of schema {ref['id']}, and the connection is to be for {wanted.schema_id}"
    version = major_version(ref.get("contentType"))
    if version not in (None, wanted.schema_version):
        return f"it is for version {version} of the schema, and the connection is to be for {wanted.schema_version}"
    return None
