"""What of a connection is there already: listed or named in the configuration, compared, and chosen among several.

Lists may lag behind what was made; an object that is asked for by its id does not. So a dataflow that the
configuration names is asked for, and from it everything that belongs to it, before lists are believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgequeue.errors import ServiceError
from edgequeue.flow_service import steps
from edgequeue.flow_service.answers import Meaning
from edgequeue.flow_service.client import Client, refused
from edgequeue.flow_service.mapping import is_for_schema
from edgequeue.flow_service.steps import Call, Kind, Step, Use
from edgequeue.flow_service.wanted import MappingRef, Wanted
from edgequeue.model import Problem

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One object of the connection: `made` in this run, or found. `item` is what is known of it."""

    kind: Kind
    id: str
    made: bool
    item: Item = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """The destination as the configuration has it already; a field is None where it does not say."""

    inlet_url: str | None = None
    flow_id: str | None = None


class Finder:
    """Looks for the objects of one connection. `warn` is told of what is odd and does no harm."""

    def __init__(self, client: Client, wanted: Wanted, standing: Standing, *, warn: Callable[[str], None]) -> None:
        self._client = client
        self._wanted = wanted
        self._standing = standing
        self._warn = warn
        self._known: dict[Kind, Item] = {}

    def follow_standing(self) -> None:
        """Ask for the dataflow of the configuration, and what it joins, by id; one of another name is not ours."""
        flow = self._by_id(Kind.FLOW, self._standing.flow_id)
        if flow.get("name") != self._wanted.flow_called:
            return
        source = self._by_id(Kind.SOURCE, next(iter(steps.ids_in(flow, "sourceConnectionIds")), None))
        target = self._by_id(Kind.TARGET, next(iter(steps.ids_in(flow, "targetConnectionIds")), None))
        base = self._by_id(Kind.BASE, source.get("baseConnectionId"))
        found = {Kind.FLOW: flow, Kind.SOURCE: source, Kind.TARGET: target, Kind.BASE: base}
        self._known = {kind: item for kind, item in found.items() if item}

    def standing_flow_at(self, base_id: str) -> str | None:
        """The dataflow of the configuration, where it begins at this base connection."""
        at_base = self._known.get(Kind.BASE, {}).get("id") == base_id
        return self._standing.flow_id if at_base else None

    def find(self, step: Step) -> Part | None:
        """What is there already; ServiceError where something of that name is there and is not what is wanted."""
        there: dict[str, Item] = {}
        for item in self._there(step.kind, step.look_up):
            if isinstance(item.get("id"), str) and step.same(item):
                there.setdefault(item["id"], item)
        candidates = list(there.values())
        usable = [item for item in candidates if step.conflict(item) is None]
        if not usable and candidates:
            conflict = step.conflict(candidates[0]) or ""
            raise conflicting(step.kind, self._wanted.name, candidates[0]["id"], conflict)
        if not usable:
            return None
        item = usable[0] if len(usable) == 1 else self._choose(step, usable)
        if str(item.get("state", "enabled")).lower() not in ("enabled", "published"):
            self._warn(f"the {step.kind} {item['id']} is {item['state']!r}: enable it in the Platform UI (Sources)")
        return Part(step.kind, item["id"], False, item)

    def mapping_in_use(self, step: Step, source_id: str) -> Part | None:
        """The mapping set of the dataflow; None without a dataflow, ServiceError where it uses another one or none."""
        wanted, conflict = self._wanted, None
        for item in self._there(Kind.FLOW, steps.look_up_flows(wanted.flow_called)):
            if not steps.is_flow_of(item, wanted, source_id):
                continue
            used = steps.mapping_of(item)
            if used is None:
                conflict = conflict or conflicting(Kind.FLOW, wanted.name, str(item.get("id")), "it has no mapping")
                continue
            if step.same(self._client.document(steps.get_mapping(self._client.settings.mapping_path, used))):
                return Part(Kind.MAPPING, used.id, False, {"version": used.version})
            words = "the dataflow's mapping is not that of the file"
            conflict = conflict or conflicting(Kind.MAPPING, wanted.name, used.id, words)
        if conflict is not None:
            raise conflict
        return None

    def lists(self, step: Step, made_id: str) -> bool:
        """Whether the list in which a later run would look shows this object."""
        return any(item.get("id") == made_id for item in self._listed(step.kind, step.look_up))

    def _by_id(self, kind: Kind, object_id: str | None) -> Item:
        """One object, empty where there is none of this id."""
        if not object_id:
            return {}
        answer = self._client.look(steps.get_object(kind, object_id))
        item = steps.first_item(answer.document) if answer.meaning is Meaning.DONE else {}
        return item if item.get("id") == object_id else {}

    def _there(self, kind: Kind, look_up: Call) -> Iterator[Item]:
        """What the configuration leads to, then what lists show."""
        if kind in self._known:
            yield self._known[kind]
        listed = self._listed(kind, look_up)
        yield from map(self._whole, listed) if kind is Kind.MAPPING else listed

    def _listed(self, kind: Kind, look_up: Call) -> Iterator[Item]:
        if kind is not Kind.MAPPING:
            return self._client.items(look_up)
        path = self._client.settings.mapping_path
        return self._client.mapping_sets(lambda start: steps.mapping_page(path, start))

    def _whole(self, item: Item) -> Item:
        """A mapping set of our schema with its mappings, also where the list leaves them out."""
        wanted = self._wanted
        if "mappings" in item or not is_for_schema(item, wanted.schema_id, wanted.schema_version):
            return item
        version = item.get("version")
        ref = MappingRef(str(item.get("id")), version if isinstance(version, int) else 0)
        stored = self._client.document(steps.get_mapping(self._client.settings.mapping_path, ref))
        return {**item, **stored, "id": item.get("id")}

    # --- one of several -----------------------------------------------------------------------------------------------

    def _choose(self, step: Step, usable: list[Item]) -> Item:
        """One of several: the configuration's, else the one most in use, then an enabled one, then the oldest.

        A mapping set is as good as another.
        """
        if step.kind is Kind.MAPPING:
            return min(usable, key=_preference)
        standing = [item for item in usable if self._stands(step.kind, item)]
        chosen = min(standing or self._most_used(step, usable), key=_preference)
        others = ", ".join(str(item["id"]) for item in usable if item is not chosen)
        self._warn(
            f"there are {len(usable)} of the {step.kind} of {self._wanted.name!r}; {chosen['id']} is taken. "
            f"Delete the others in the Platform UI if nothing uses them: {others}"
        )
        return chosen

    def _stands(self, kind: Kind, item: Item) -> bool:
        """Whether the configuration leads to this one: by its dataflow, or a base connection by its inlet URL."""
        if kind in self._known:
            return bool(item["id"] == self._known[kind]["id"])
        inlet_url = steps.inlet_params(item).get("inletUrl")
        return kind is Kind.BASE and inlet_url is not None and inlet_url == self._standing.inlet_url

    def _most_used(self, step: Step, usable: list[Item]) -> list[Item]:
        depths = [self._depth(step.use_of, item) for item in usable]
        return [item for item, depth in zip(usable, depths, strict=True) if depth == max(depths)]

    def _depth(self, use_of: Callable[[Item], Use] | None, item: Item) -> int:
        """How far the use of an object leads: 0 nothing uses it, 1 something that nothing uses in turn, and so on."""
        if use_of is None:
            return 0
        use = use_of(item)
        users = [other for other in self._client.items(use.look_up) if use.is_by(other)]
        return max((1 + self._depth(use.then, other) for other in users), default=0)


def _preference(item: Item) -> tuple[bool, float]:
    """Enabled ones first, then the oldest."""
    created = item.get("createdAt", item.get("createdDate"))
    enabled = str(item.get("state", "enabled")).lower() == "enabled"
    return not enabled, created if isinstance(created, int | float) else float("inf")


def conflicting(kind: Kind, name: str, found_id: str, conflict: str) -> ServiceError:
    """The error where an object of the connection's name is there and is another one."""
    text = f"{name!r} has one already, {found_id}, and {conflict}"
    remedy = "Nothing of it is changed here: choose another NAME, or change or delete it in the Platform UI (Sources)."
    return refused(kind, Problem("conflict", text, remedy))
