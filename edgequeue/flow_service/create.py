"""Making a streaming connection: one object after the other is looked up, and made where it is not there.

Safe to repeat and to interrupt anywhere. Where a create got no answer, or one that leaves it open, the object is
looked up several times, because the service may be slow to show it, and only then is the create sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgequeue.errors import ServiceError
from edgequeue.flow_service import checks, steps
from edgequeue.flow_service.answers import Answer, Meaning
from edgequeue.flow_service.client import TRIES_MAX, Client, refused, unavailable
from edgequeue.flow_service.mapping import is_for_schema
from edgequeue.flow_service.steps import Kind, Step
from edgequeue.flow_service.wanted import MappingRef, Wanted
from edgequeue.model import Problem

LOOKS_AFTER_LOSS = 4
"""Look-ups after a create whose answer was lost, with waits of up to 1, 2, 4 and 8 seconds before them."""

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One object of the connection: `made` in this run, or found. `item` is what is known of it."""

    kind: Kind
    id: str
    made: bool
    item: Item = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Made:
    """A whole connection, its parts in the order in which they were looked up."""

    parts: tuple[Part, ...]
    inlet_url: str

    @property
    def flow(self) -> Part:
        """The dataflow."""
        return self.parts[-1]


class Creator:
    """Makes one connection. `on_part` is told of each part at once; `warn` of what is odd and does no harm."""

    def __init__(
        self, client: Client, wanted: Wanted, *, on_part: Callable[[Part], None], warn: Callable[[str], None]
    ) -> None:
        self._client = client
        self._wanted = wanted
        self._on_part = on_part
        self._warn = warn

    def run(self) -> Made:
        """Look up or make everything; raises ServiceError and ServiceUnavailable, and what was made by then stays."""
        self._check_schema()
        self._check_dataset()
        wanted = self._wanted
        parts = [self._ensure(steps.base(wanted))]
        inlet_url = self._inlet(parts[0].id)
        self._on_part(Part(Kind.INLET, inlet_url, parts[0].made))
        parts.append(self._ensure(steps.source(wanted, parts[0].id)))
        parts.append(self._ensure(steps.target(wanted)))
        mapped = None
        if wanted.mapping is not None:
            part = self._mapping(parts[1].id)
            version = part.item.get("version")
            mapped = MappingRef(part.id, version if isinstance(version, int) else 0)
            parts.append(part)
        parts.append(self._ensure(steps.flow(wanted, parts[1].id, parts[2].id, mapped)))
        return Made(tuple(parts), inlet_url)

    # --- before anything is made --------------------------------------------------------------------------------------

    def _check_schema(self) -> None:
        answers = []
        for call in checks.look_up_schema(self._wanted):
            answer = self._client.look(call)
            if answer.meaning is Meaning.DONE:
                return
            answers.append(answer)
        if all(answer.problem.status == 404 for answer in answers):
            text = f"{self._wanted.schema_id}, version {self._wanted.schema_version}, does not exist"
            raise refused(Kind.SCHEMA, Problem(answers[0].problem.code, text, checks.NO_SCHEMA))
        self._unchecked(Kind.SCHEMA, next(one for one in answers if one.problem.status != 404))

    def _check_dataset(self) -> None:
        answer = self._client.look(checks.look_up_dataset(self._wanted))
        if answer.meaning is not Meaning.DONE:
            if answer.problem.status == 404:
                text = f"{self._wanted.dataset_id} does not exist"
                raise refused(Kind.DATASET, Problem(answer.problem.code, text, checks.NO_DATASET))
            self._unchecked(Kind.DATASET, answer)
            return
        conflict = checks.dataset_conflict(answer.document, self._wanted)
        if conflict is not None:
            text = f"{self._wanted.dataset_id} does not fit: {conflict}"
            raise refused(Kind.DATASET, Problem("conflict", text, "Check --schema-id, --schema-version, --dataset-id."))

    def _unchecked(self, kind: Kind, answer: Answer) -> None:
        """Who may not read it, or is not understood, may still make the connection: a warning. Else an error."""
        if answer.problem.status not in (403, 406):
            raise refused(kind, answer.problem)
        self._warn(f"the {kind} could not be checked: {answer.problem.text}")

    # --- the parts ----------------------------------------------------------------------------------------------------

    def _inlet(self, base_id: str) -> str:
        """The inlet URL, which may take a moment to be there; what the base connection is, is checked once more."""
        for tries in range(1, LOOKS_AFTER_LOSS + 1):
            item = steps.first_item(self._client.document(steps.get_base(base_id)))
            conflict = steps.base_conflict(item, self._wanted)
            if conflict is not None:
                raise _conflicting(Kind.BASE, self._wanted.name, base_id, conflict)
            inlet_url = steps.inlet_params(item).get("inletUrl")
            if isinstance(inlet_url, str) and inlet_url:
                return inlet_url
            problem = Problem("no_inlet", f"connection {base_id} has none yet", "Run the same command again later.")
            if tries < LOOKS_AFTER_LOSS:
                self._client.pause(Kind.INLET, Answer(Meaning.AGAIN, problem), tries)
        raise unavailable(Kind.INLET, problem)

    def _mapping(self, source_id: str) -> Part:
        """The mapping set of the dataflow where there is one, else one with this content, else a new one."""
        wanted, path = self._wanted, self._client.settings.mapping_path
        step = steps.mapping(wanted, path)
        for item in self._client.items(steps.look_up_flows(wanted.flow_called)):
            used = steps.mapping_of(item) if steps.is_flow_of(item, wanted, source_id) else None
            if used is None:
                continue
            stored = self._client.document(steps.get_mapping(path, used))
            if not step.same(stored):
                raise _conflicting(Kind.MAPPING, wanted.name, used.id, "the dataflow's mapping is not that of the file")
            return self._told(Part(Kind.MAPPING, used.id, False, {"version": used.version}))
        return self._ensure(step)

    def _ensure(self, step: Step) -> Part:
        """The object of a step, found or made."""
        found = self._find(step)
        return self._told(found if found is not None else self._make(step))

    def _told(self, part: Part) -> Part:
        self._on_part(part)
        return part

    def _find(self, step: Step) -> Part | None:
        """What is there already; ServiceError where something of that name is there and is not what is wanted."""
        candidates = [item for item in self._listed(step) if isinstance(item.get("id"), str) and step.same(item)]
        usable = [item for item in candidates if step.conflict(item) is None]
        if not usable and candidates:
            conflict = step.conflict(candidates[0]) or ""
            raise _conflicting(step.kind, self._wanted.name, candidates[0]["id"], conflict)
        if not usable:
            return None
        item = usable[0] if len(usable) == 1 else self._choose(step, usable)
        if str(item.get("state", "enabled")).lower() not in ("enabled", "published"):
            self._warn(f"the {step.kind} {item['id']} is {item['state']!r}: enable it in the Platform UI (Sources)")
        return Part(step.kind, item["id"], False, item)

    def _listed(self, step: Step) -> Iterable[Item]:
        if step.kind is not Kind.MAPPING:
            return self._client.items(step.look_up)
        path = self._client.settings.mapping_path
        return map(self._whole, self._client.mapping_sets(lambda start: steps.mapping_page(path, start)))

    def _whole(self, item: Item) -> Item:
        """A mapping set of our schema with its mappings, also where the list leaves them out."""
        wanted = self._wanted
        if "mappings" in item or not is_for_schema(item, wanted.schema_id, wanted.schema_version):
            return item
        version = item.get("version")
        ref = MappingRef(str(item.get("id")), version if isinstance(version, int) else 0)
        stored = self._client.document(steps.get_mapping(self._client.settings.mapping_path, ref))
        return {**item, **stored, "id": item.get("id")}

    def _choose(self, step: Step, usable: list[Item]) -> Item:
        """One of several: the one in use, then an enabled one, then the oldest. A mapping set is as good as another."""
        if step.kind is Kind.MAPPING:
            return min(usable, key=_preference)
        used = []
        if step.use_of is not None:
            for item in usable:
                call, uses = step.use_of(item)
                if any(uses(other) for other in self._client.items(call)):
                    used.append(item)
        chosen = min(used or usable, key=_preference)
        others = ", ".join(str(item["id"]) for item in usable if item is not chosen)
        self._warn(
            f"there are {len(usable)} of the {step.kind} of {self._wanted.name!r}; {chosen['id']} is taken. "
            f"Delete the others in the Platform UI if nothing uses them: {others}"
        )
        return chosen

    def _make(self, step: Step) -> Part:
        """Send the create; again only when a look-up has shown that it was not done."""
        for tries in range(1, TRIES_MAX + 1):
            answer = self._client.once(step.create)
            made_id = answer.document.get("id")
            if answer.meaning is Meaning.DONE and isinstance(made_id, str) and made_id:
                return Part(step.kind, made_id, True, answer.document)
            if answer.meaning is Meaning.REFUSED:
                raise refused(step.kind, answer.problem)
            found = self._look_again(step, answer, tries)
            if found is not None:
                return found
            if answer.meaning is Meaning.EXISTS:
                raise refused(step.kind, answer.problem)
        raise unavailable(step.kind, answer.problem)

    def _look_again(self, step: Step, answer: Answer, tries: int) -> Part | None:
        """What a create without a clear answer has left behind. One that cannot have arrived is looked for once."""
        certain = answer.problem.code == "not_sent" or answer.problem.status == 429
        for looks in range(1 if certain else LOOKS_AFTER_LOSS):
            self._client.pause(step.kind, answer, tries + looks)
            found = self._find(step)
            if found is not None:
                return Part(found.kind, found.id, answer.meaning is not Meaning.EXISTS, found.item)
            answer = replace(answer, retry_after_seconds=None)  # it has been honoured
        return None


def _preference(item: Item) -> tuple[bool, float]:
    """Enabled ones first, then the oldest."""
    created = item.get("createdAt", item.get("createdDate"))
    enabled = str(item.get("state", "enabled")).lower() == "enabled"
    return not enabled, created if isinstance(created, int | float) else float("inf")


def _conflicting(kind: Kind, name: str, found_id: str, conflict: str) -> ServiceError:
    text = f"{name!r} has one already, {found_id}, and {conflict}"
    remedy = "Nothing of it is changed here: choose another NAME, or change or delete it in the Platform UI (Sources)."
    return refused(kind, Problem("conflict", text, remedy))
