"""Each object of a streaming connection as a value: how it is looked up, recognised and made. Pure.

Names are not unique at Adobe and a create has no key that would make it safe to repeat, so each object is looked up
before it is made. Filters of the service only narrow the search: a comma in a value means "any of" there, and which
properties can be filtered by is not fully documented, so only documented filters are used and everything is compared
again here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from edgequeue.flow_service import wanted as bodies
from edgequeue.flow_service.mapping import has_pairs, is_for_schema, major_version
from edgequeue.flow_service.wanted import DATA_LAKE_SPEC, STREAMING_SPEC, MappingRef, Wanted

FLOW_SERVICE = "/data/foundation/flowservice"

PAGE_ITEMS = 100
"""Objects asked for in a page of Flow Service."""

MAPPING_PAGE_ITEMS = 50
"""Mapping sets asked for in a page: each comes with all its mappings, and an answer is read up to 4 MB."""

Item = Mapping[str, Any]


class Kind(StrEnum):
    """What is looked up or made, as messages call it."""

    SCHEMA = "schema"
    DATASET = "dataset"
    BASE = "base connection"
    INLET = "inlet URL"
    SOURCE = "source connection"
    TARGET = "target connection"
    MAPPING = "mapping set"
    FLOW = "dataflow"


_COLLECTIONS = {
    Kind.BASE: "connections",
    Kind.SOURCE: "sourceConnections",
    Kind.TARGET: "targetConnections",
    Kind.FLOW: "flows",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `path` below the endpoint, `query` as pairs that are not encoded yet, `body` what becomes JSON."""

    kind: Kind
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | None = None
    accept: str = "application/json"


@dataclass(frozen=True)
class Use:
    """What would use an object: where to look, and whether a listed item does; `then` what would use that in turn."""

    look_up: Call
    is_by: Callable[[Item], bool]
    then: Callable[[Item], Use] | None = None


@dataclass(frozen=True)
class Step:
    """One object. `same` says whether a listed item goes by its name and belongs here; `conflict` why such an item
    cannot be used all the same (None: it can). `use_of` is what would use it, to choose among several.
    """

    kind: Kind
    look_up: Call
    create: Call
    same: Callable[[Item], bool]
    conflict: Callable[[Item], str | None]
    use_of: Callable[[Item], Use] | None = None


def look_up_bases(name: str | None = None) -> Call:
    """All streaming connections, or those of a name; a name that a filter may misread is not left to it."""
    spec = ("property", f"connectionSpec.id=={STREAMING_SPEC['id']}")
    return _list(Kind.BASE, "connections", *_named(name), spec)


def get_base(base_id: str) -> Call:
    """One base connection with its inlet URL."""
    return Call(Kind.INLET, "GET", f"{FLOW_SERVICE}/connections/{base_id}")


def get_object(kind: Kind, object_id: str) -> Call:
    """One object of Flow Service by its id, which may be what somebody wrote into a configuration."""
    return Call(kind, "GET", f"{FLOW_SERVICE}/{_COLLECTIONS[kind]}/{quote(object_id, safe='')}")


def look_up_sources(base_id: str) -> Call:
    """The source connections of a base connection."""
    return _list(Kind.SOURCE, "sourceConnections", ("property", f"baseConnectionId=={base_id}"))


def look_up_flows(name: str | None) -> Call:
    """The dataflows of a name; all of them without one."""
    return _list(Kind.FLOW, "flows", *_named(name))


def base(wanted: Wanted) -> Step:
    """The base connection: by its name and the streaming specification."""
    return Step(
        Kind.BASE,
        look_up_bases(wanted.name),
        _create(Kind.BASE, f"{FLOW_SERVICE}/connections", bodies.base_body(wanted)),
        same=lambda item: item.get("name") == wanted.name and _spec(item) == STREAMING_SPEC["id"],
        conflict=lambda item: base_conflict(item, wanted),
        use_of=lambda item: Use(
            look_up_sources(str(item.get("id"))),
            lambda other: other.get("baseConnectionId") == item.get("id"),
            then=lambda source: _begun_at(wanted, source),
        ),
    )


def base_conflict(item: Item, wanted: Wanted) -> str | None:
    """Why a base connection of this name is another one; what a list leaves out is no difference."""
    params = inlet_params(item)
    data_type = params.get("dataType")
    if data_type not in (None, wanted.data_type):
        return f"it takes {data_type!r} data, and {wanted.data_type!r} is wanted"
    needs = params.get("authenticationRequired")
    if isinstance(needs, bool) and needs is not wanted.authenticated:
        return "it is authenticated, and an open one is wanted" if needs else "it is open, and not authenticated"
    return None


def source(wanted: Wanted, base_id: str) -> Step:
    """The source connection: by its base connection and name."""
    return Step(
        Kind.SOURCE,
        look_up_sources(base_id),
        _create(Kind.SOURCE, f"{FLOW_SERVICE}/sourceConnections", bodies.source_body(wanted, base_id)),
        same=lambda item: item.get("name") == wanted.source_called and item.get("baseConnectionId") == base_id,
        conflict=lambda item: None,
        use_of=lambda item: _begun_at(wanted, item),
    )


def target(wanted: Wanted, source_id: str) -> Step:
    """The target connection: by its name and the data lake's specification; dataset and schema have to be the same.

    Of several, the one that our dataflow from `source_id` leads to is in use.
    """
    return Step(
        Kind.TARGET,
        _list(Kind.TARGET, "targetConnections", ("property", f"connectionSpec.id=={DATA_LAKE_SPEC['id']}")),
        _create(Kind.TARGET, f"{FLOW_SERVICE}/targetConnections", bodies.target_body(wanted)),
        same=lambda item: item.get("name") == wanted.target_called and _spec(item) == DATA_LAKE_SPEC["id"],
        conflict=lambda item: _target_conflict(item, wanted),
        use_of=lambda item: Use(
            look_up_flows(wanted.flow_called),
            lambda flow: is_flow_of(flow, wanted, source_id) and item.get("id") in ids_in(flow, "targetConnectionIds"),
        ),
    )


def _target_conflict(item: Item, wanted: Wanted) -> str | None:
    dataset_id = _at(item, "params", "dataSetId")
    if dataset_id != wanted.dataset_id:
        return f"it leads to dataset {dataset_id}, and {wanted.dataset_id} is wanted"
    schema = _at(item, "data", "schema")
    schema = schema if isinstance(schema, dict) else {}
    if schema.get("id", wanted.schema_id) != wanted.schema_id:
        return f"its schema is {schema.get('id')}, and {wanted.schema_id} is wanted"
    if major_version(schema.get("version")) not in (None, wanted.schema_version):
        return f"its schema is {schema.get('version')}, and version {wanted.schema_version} is wanted"
    return None


def mapping_page(path: str, start: int) -> Call:
    """A page of all mapping sets; Data Prep wants both paging numbers."""
    return Call(Kind.MAPPING, "GET", path, (("limit", str(MAPPING_PAGE_ITEMS)), ("start", str(start))))


def get_mapping(path: str, ref: MappingRef) -> Call:
    """One mapping set with its mappings, in that version."""
    return Call(Kind.MAPPING, "GET", f"{path}/{ref.id}", (("version", str(ref.version)),))


def mapping(wanted: Wanted, path: str) -> Step:
    """The mapping set, by its content alone: see `edgequeue.flow_service.mapping`."""
    assert wanted.mapping is not None
    pairs = wanted.mapping
    return Step(
        Kind.MAPPING,
        mapping_page(path, 0),
        _create(Kind.MAPPING, path, bodies.mapping_body(wanted, pairs)),
        same=lambda item: (
            is_for_schema(item, wanted.schema_id, wanted.schema_version) and has_pairs(item, pairs) is True
        ),
        conflict=lambda item: None,
    )


def flow(wanted: Wanted, source_id: str, target_id: str, mapped: MappingRef | None) -> Step:
    """The dataflow: by its name and source connection; target, specification and mapping have to be the same."""
    body = bodies.flow_body(wanted, source_id, target_id, mapped)
    return Step(
        Kind.FLOW,
        look_up_flows(wanted.flow_called),
        _create(Kind.FLOW, f"{FLOW_SERVICE}/flows", body),
        same=lambda item: is_flow_of(item, wanted, source_id),
        conflict=lambda item: _flow_conflict(item, target_id, mapped),
    )


def is_flow_of(item: Item, wanted: Wanted, source_id: str) -> bool:
    """Whether a dataflow has our name and starts at our source connection."""
    return item.get("name") == wanted.flow_called and source_id in ids_in(item, "sourceConnectionIds")


def _flow_conflict(item: Item, target_id: str, mapped: MappingRef | None) -> str | None:
    if target_id not in ids_in(item, "targetConnectionIds"):
        return "it leads to another target connection"
    used = mapping_of(item)
    if (used is None) is not (mapped is None):
        return "it has no mapping" if used is None else f"it has a mapping, {used.id}, and none is wanted"
    if used is not None and mapped is not None and used.id != mapped.id:
        return f"it uses mapping set {used.id}, and {mapped.id} is wanted"
    return None


def mapping_of(item: Item) -> MappingRef | None:
    """The mapping set that a dataflow uses; None where it has none."""
    transformations = item.get("transformations")
    for each in transformations if isinstance(transformations, list) else []:
        params = each.get("params") if isinstance(each, dict) else None
        if isinstance(params, dict) and isinstance(params.get("mappingId"), str):
            version = params.get("mappingVersion")
            return MappingRef(params["mappingId"], version if isinstance(version, int) else 0)
    return None


def inlet_params(item: Item) -> Item:
    """`auth.params` of a base connection: inletUrl, inletId, dataType, authenticationRequired."""
    params = _at(item, "auth", "params")
    return params if isinstance(params, dict) else {}


def _begun_at(wanted: Wanted, source: Item) -> Use:
    """The use of a source connection: our dataflow from it."""
    return Use(look_up_flows(wanted.flow_called), lambda flow: is_flow_of(flow, wanted, str(source.get("id"))))


def _create(kind: Kind, path: str, body: Mapping[str, Any]) -> Call:
    return Call(kind, "POST", path, body=body)


def _list(kind: Kind, path: str, *filters: tuple[str, str]) -> Call:
    return Call(kind, "GET", f"{FLOW_SERVICE}/{path}", (*filters, ("limit", str(PAGE_ITEMS))))


def _named(name: str | None) -> tuple[tuple[str, str], ...]:
    """The filter for a name; none where its characters may mean something to the filter."""
    plain = name is not None and name.isascii() and all(letter.isalnum() or letter in " ._-" for letter in name)
    return (("property", f"name=={name}"),) if plain else ()


def _spec(item: Item) -> Any:
    return _at(item, "connectionSpec", "id")


def first_item(document: Item) -> Item:
    """The object of a single look-up: Flow Service puts it into a list, even where there can be but one."""
    items = document.get("items")
    if not isinstance(items, list):
        return document
    return next((one for one in items if isinstance(one, dict)), {})


def _at(item: Item, first: str, second: str) -> Any:
    found = item.get(first)
    return found.get(second) if isinstance(found, dict) else None


def ids_in(item: Item, key: str) -> list[str]:
    """The texts of a list of ids; none where there is no such list."""
    found = item.get(key)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
