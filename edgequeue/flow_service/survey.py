"""Which streaming connections there are, and what belongs to one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from edgequeue.flow_service import steps
from edgequeue.flow_service.client import Client
from edgequeue.flow_service.mapping import pair_of
from edgequeue.flow_service.steps import Kind
from edgequeue.flow_service.wanted import STREAMING_SPEC, MappingRef, Pair


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """A streaming connection; fields are None where Flow Service does not say."""

    name: str
    base_connection_id: str
    data_type: str | None
    authenticated: bool | None
    inlet_url: str | None
    state: str | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class FlowView:
    """A dataflow that starts at the connection, and what it leads to."""

    flow_id: str
    name: str | None
    state: str | None
    source_connection_id: str
    target_connection_id: str | None
    dataset_id: str | None
    schema_id: str | None
    mapping_id: str | None
    mapping_version: int | None
    mapping: tuple[Pair, ...] | None


@dataclass(frozen=True, slots=True)
class ConnectionDetail:
    """A connection with its source connections and dataflows."""

    connection: ConnectionView
    source_connection_ids: tuple[str, ...]
    flows: tuple[FlowView, ...]


def connections(client: Client, name: str | None = None) -> Iterator[ConnectionView]:
    """All streaming connections, or those of a name. What a list leaves out is asked for singly."""
    for item in client.items(steps.look_up_bases(name)):
        spec = item.get("connectionSpec")
        if not isinstance(item.get("id"), str) or name not in (None, item.get("name")):
            continue
        if isinstance(spec, dict) and spec.get("id") != STREAMING_SPEC["id"]:
            continue
        if "inletUrl" not in steps.inlet_params(item):
            item = {**item, **steps.first_item(client.document(steps.get_base(item["id"])))}
        yield _view(item)


def detail(client: Client, connection: ConnectionView) -> ConnectionDetail:
    """The connection with everything that belongs to it."""
    base_id = connection.base_connection_id
    sources = [
        item["id"]
        for item in client.items(steps.look_up_sources(base_id))
        if item.get("baseConnectionId") == base_id and isinstance(item.get("id"), str)
    ]
    flows = []
    for item in client.items(steps.look_up_flows(None)):
        source_id = next((each for each in steps.ids_in(item, "sourceConnectionIds") if each in sources), None)
        if source_id is not None:
            flows.append(_flow(client, item, source_id))
    return ConnectionDetail(connection, tuple(sources), tuple(flows))


def _flow(client: Client, item: Mapping[str, Any], source_id: str) -> FlowView:
    target_id = next(iter(steps.ids_in(item, "targetConnectionIds")), None)
    target = steps.first_item(client.document(steps.get_object(Kind.TARGET, target_id))) if target_id else {}
    used = steps.mapping_of(item)
    return FlowView(
        flow_id=str(item.get("id")),
        name=_text(item.get("name")),
        state=_text(item.get("state")),
        source_connection_id=source_id,
        target_connection_id=target_id,
        dataset_id=_text(_below(target, "params").get("dataSetId")),
        schema_id=_text(_below(_below(target, "data"), "schema").get("id")),
        mapping_id=used.id if used else None,
        mapping_version=used.version if used else None,
        mapping=_pairs(client, used) if used else None,
    )


def _pairs(client: Client, used: MappingRef) -> tuple[Pair, ...]:
    entries = client.document(steps.get_mapping(client.settings.mapping_path, used)).get("mappings")
    found = (pair_of(entry) for entry in (entries if isinstance(entries, list) else []))
    return tuple(pair for pair in found if pair is not None)


def _view(item: Mapping[str, Any]) -> ConnectionView:
    params = steps.inlet_params(item)
    needs = params.get("authenticationRequired")
    return ConnectionView(
        name=str(item.get("name")),
        base_connection_id=item["id"],
        data_type=_text(params.get("dataType")),
        authenticated=needs if isinstance(needs, bool) else None,
        inlet_url=_text(params.get("inletUrl")),
        state=_text(item.get("state")),
        created_at=moment(item.get("createdAt")),
    )


def moment(milliseconds: Any) -> datetime | None:
    """A time that Flow Service states in milliseconds since 1970; None where it states none that can be."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _below(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = item.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
