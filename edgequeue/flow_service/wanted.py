"""What a streaming connection is to be, and the request bodies that Adobe's HTTP API tutorial makes it of. Pure.

Source: "Create an HTTP API streaming connection using the Flow Service API" (experienceleague.adobe.com). The bodies
are the tutorial's own, field by field; what it leaves out is left out here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from edgequeue.errors import ConfigError

STREAMING_SPEC: Mapping[str, str] = {"id": "bc7b00d6-623a-4dfc-9fdb-f1240aeadaeb", "version": "1.0"}
"""The connection specification of the HTTP API."""

DATA_LAKE_SPEC: Mapping[str, str] = {"id": "c604ff05-7f1a-43c0-8e18-33bf874cb11c", "version": "1.0"}
"""The connection specification of the data lake, where the target is."""

PLAIN_FLOW_SPEC: Mapping[str, str] = {"id": "d8a6f005-7eaf-4153-983e-e8574508b877", "version": "1.0"}
"""The flow specification without transformations."""

MAPPED_FLOW_SPEC: Mapping[str, str] = {"id": "c1a19761-d2c7-4702-b9fa-fe91f0613e81", "version": "1.0"}
"""The flow specification with transformations."""

NAME_CHARACTERS_MAX = 200
"""Adobe states no limit; names are shown in tables."""


class Pair(NamedTuple):
    """One line of a mapping: an attribute of the raw data, and the path in the XDM schema that it goes to."""

    source: str
    destination: str


class MappingRef(NamedTuple):
    """A mapping set as a dataflow names it."""

    id: str
    version: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A whole streaming connection. `mapping` is None where the data is sent as it is.

    `source_id` and `inlet_name` are what the inlet calls itself where it is authenticated; the names and descriptions
    of the source connection, the target connection and the dataflow follow those of the whole where they are None.
    """

    name: str
    schema_id: str
    dataset_id: str
    schema_version: int = 1
    data_type: Literal["xdm", "raw"] = "xdm"
    authenticated: bool = True
    description: str | None = None
    mapping: tuple[Pair, ...] | None = None
    source_id: str | None = None
    inlet_name: str | None = None
    source_name: str | None = None
    source_description: str | None = None
    target_name: str | None = None
    target_description: str | None = None
    flow_name: str | None = None
    flow_description: str | None = None

    def __post_init__(self) -> None:
        """Check what Adobe would refuse late, after half of the objects are made; ConfigError names it."""
        if not self.name.strip() or not self.name.isprintable() or len(self.name) > NAME_CHARACTERS_MAX:
            raise ConfigError(
                f"the connection's name is empty, longer than {NAME_CHARACTERS_MAX} characters, or not printable"
            )
        if self.schema_version < 1:
            raise ConfigError(f"the schema version is {self.schema_version}; it must be 1 or more")
        if self.data_type == "raw" and not self.mapping:
            raise ConfigError("raw data needs a mapping to XDM; give one with --mapping FILE")

    @property
    def source_called(self) -> str:
        """The name of the source connection."""
        return self.source_name or f"{self.name} source"

    @property
    def target_called(self) -> str:
        """The name of the target connection."""
        return self.target_name or f"{self.name} target"

    @property
    def flow_called(self) -> str:
        """The name of the dataflow."""
        return self.flow_name or self.name


def base_body(wanted: Wanted) -> dict[str, Any]:
    """`POST /connections`."""
    params: dict[str, Any] = {"dataType": wanted.data_type}
    if wanted.authenticated:
        inlet_name = wanted.inlet_name or wanted.name
        params = {
            "sourceId": wanted.source_id or inlet_name,
            "dataType": wanted.data_type,
            "name": inlet_name,
            "authenticationRequired": True,
        }
    return _described(wanted.name, wanted.description) | {
        "connectionSpec": dict(STREAMING_SPEC),
        "auth": {"specName": "Streaming Connection", "params": params},
    }


def source_body(wanted: Wanted, base_id: str) -> dict[str, Any]:
    """`POST /sourceConnections`."""
    return _described(wanted.source_called, wanted.source_description or wanted.description) | {
        "baseConnectionId": base_id,
        "connectionSpec": dict(STREAMING_SPEC),
    }


def target_body(wanted: Wanted) -> dict[str, Any]:
    """`POST /targetConnections`."""
    version = f"application/vnd.adobe.xed-full+json;version={wanted.schema_version}.0"
    return _described(wanted.target_called, wanted.target_description or wanted.description) | {
        "data": {"schema": {"id": wanted.schema_id, "version": version}},
        "params": {"dataSetId": wanted.dataset_id},
        "connectionSpec": dict(DATA_LAKE_SPEC),
    }


def mapping_body(wanted: Wanted, pairs: Sequence[Pair]) -> dict[str, Any]:
    """`POST …/mappingSets`, in the older of the two forms that Data Prep takes: the tutorial's."""
    return {
        "version": 0,
        "xdmSchema": wanted.schema_id,
        "xdmVersion": f"{wanted.schema_version}.0",
        "mappings": [
            {"destinationXdmPath": pair.destination, "sourceAttribute": pair.source, "identity": False, "version": 0}
            for pair in pairs
        ],
    }


def flow_body(wanted: Wanted, source_id: str, target_id: str, mapping: MappingRef | None) -> dict[str, Any]:
    """`POST /flows`. The transformation's name has to be Mapping."""
    body = _described(wanted.flow_called, wanted.flow_description or wanted.description) | {
        "flowSpec": dict(PLAIN_FLOW_SPEC if mapping is None else MAPPED_FLOW_SPEC),
        "sourceConnectionIds": [source_id],
        "targetConnectionIds": [target_id],
    }
    if mapping is not None:
        params = {"mappingId": mapping.id, "mappingVersion": mapping.version}
        body["transformations"] = [{"name": "Mapping", "params": params}]
    return body


def _described(name: str, description: str | None) -> dict[str, Any]:
    return {"name": name} if description is None else {"name": name, "description": description}
