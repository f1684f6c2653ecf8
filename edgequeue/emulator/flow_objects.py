"""What has been made on the platform: connections, mapping sets and flows, and the inlets that come with them.

The one memory of the platform. Safe from any thread; an object is never changed and never goes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from edgequeue.emulator.options import Inlet

COLLECTIONS = ("connections", "sourceConnections", "targetConnections", "mappingSets", "flows")
"""In the order in which the tutorial makes them."""

Made = Mapping[str, Any]


class FlowObjects:
    """Keeps what was made, by collection and id, in the order in which it was made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, dict[str, Made]] = {collection: {} for collection in COLLECTIONS}
        self._bases: dict[str, Made] = {}  # inlet id -> base connection

    def keep(self, collection: str, objects: Iterable[Made]) -> None:
        """Remember objects; a second one of the same name is a second one."""
        with self._lock:
            for made in objects:
                self._made[collection][made["id"]] = made
                if collection == "connections":
                    self._bases[made["auth"]["params"]["inletId"]] = made

    def get(self, collection: str, object_id: object, sandbox: str) -> Made | None:
        """The object of that id in that sandbox, else None."""
        with self._lock:
            made = self._made[collection].get(object_id) if isinstance(object_id, str) else None
        return made if made is not None and made["sandboxName"] == sandbox else None

    def all(self, collection: str, sandbox: str | None = None) -> list[Made]:
        """All objects of a collection, oldest first; of one sandbox where it is given."""
        with self._lock:
            made = list(self._made[collection].values())
        return [one for one in made if sandbox in (None, one["sandboxName"])]

    def counts(self) -> dict[str, int]:
        """How many objects of each collection there are."""
        with self._lock:
            return {collection: len(made) for collection, made in self._made.items()}

    def inlet(self, inlet_id: str, now: float, delay_seconds: float) -> Inlet | None:
        """The inlet of a base connection, with its flows; a flow is enabled so long after it was made. Else None."""
        base = self._bases.get(inlet_id)
        if base is None:
            return None
        sources = {one["id"] for one in self.all("sourceConnections") if one["baseConnectionId"] == base["id"]}
        flows = [flow for flow in self.all("flows") if sources.intersection(flow["sourceConnectionIds"])]
        enabled = {flow["id"] for flow in flows if now - flow["createdAt"] / 1000 >= delay_seconds}
        params = base["auth"]["params"]
        return Inlet(
            inlet_id,
            authenticated=params["authenticationRequired"],
            data_type=params["dataType"],
            flow_ids=frozenset(enabled),
            starting_flow_ids=frozenset(flow["id"] for flow in flows) - enabled,
        )
