"""Making a streaming connection: one object after the other is looked up, and made where it is not there.

Safe to repeat and to interrupt anywhere. The service may be slow to list what it made, so each new object is looked for
until a later run would find it; and where a create got no answer, or one that leaves it open, the object is looked up
several times, and only then is the create sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from edgequeue.errors import ServiceUnavailable
from edgequeue.flow_service import checks, steps
from edgequeue.flow_service.answers import Answer, Meaning
from edgequeue.flow_service.client import TRIES_MAX, Client, refused, unavailable
from edgequeue.flow_service.finding import Finder, Part, Standing, conflicting
from edgequeue.flow_service.steps import Kind, Step
from edgequeue.flow_service.wanted import MappingRef, Wanted
from edgequeue.model import Problem

LOOKS_AFTER_MADE = 5
"""Look-ups after an object was made, until lists show it, with waits of up to 1, 2, 4 and 8 seconds between them."""

LOOKS_AFTER_LOSS = 4
"""Look-ups after a create whose answer was lost, with waits of up to 1, 2, 4 and 8 seconds before them."""


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
    """Makes one connection. `on_part` is told of each part at once; `warn` of what is odd and does no harm.

    `standing` is what the configuration has of it. `fits` is given the inlet URL and the dataflow of `standing` that
    are there, or None, before anything is made: it raises where nothing is to be made beside them.
    """

    def __init__(
        self,
        client: Client,
        wanted: Wanted,
        *,
        on_part: Callable[[Part], None],
        warn: Callable[[str], None],
        standing: Standing | None = None,
        fits: Callable[[str | None, str | None], None] = lambda inlet_url, flow_id: None,
    ) -> None:
        self._client = client
        self._wanted = wanted
        self._on_part = on_part
        self._warn = warn
        self._fits = fits
        self._finder = Finder(client, wanted, standing or Standing(), warn=warn)

    def run(self) -> Made:
        """Look up or make everything; raises ServiceError and ServiceUnavailable, and what was made by then stays."""
        self._check_schema()
        self._check_dataset()
        self._finder.follow_standing()
        wanted = self._wanted
        base, inlet_url = self._base()
        parts = [base, self._ensure(steps.source(wanted, base.id))]
        parts.append(self._ensure(steps.target(wanted, parts[1].id)))
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

    def _base(self) -> tuple[Part, str]:
        """The base connection and its inlet URL. This is where the first object is made, so `fits` has its say here."""
        step = steps.base(self._wanted)
        base = self._finder.find(step)
        if base is None:
            self._fits(None, None)
            base = self._made(step)
            inlet_url = self._inlet(base.id)
        else:
            inlet_url = self._inlet(base.id)
            self._fits(inlet_url, self._finder.standing_flow_at(base.id))
            self._told(base)
        self._on_part(Part(Kind.INLET, inlet_url, base.made))
        return base, inlet_url

    def _inlet(self, base_id: str) -> str:
        """The inlet URL, which may take a moment to be there; what the base connection is, is checked once more."""
        for tries in range(1, LOOKS_AFTER_LOSS + 1):
            item = steps.first_item(self._client.document(steps.get_base(base_id)))
            conflict = steps.base_conflict(item, self._wanted)
            if conflict is not None:
                raise conflicting(Kind.BASE, self._wanted.name, base_id, conflict)
            inlet_url = steps.inlet_params(item).get("inletUrl")
            if isinstance(inlet_url, str) and inlet_url:
                return inlet_url
            problem = Problem("no_inlet", f"connection {base_id} has none yet", "Run the same command again later.")
            if tries < LOOKS_AFTER_LOSS:
                self._client.pause(Kind.INLET, Answer(Meaning.AGAIN, problem), tries)
        raise unavailable(Kind.INLET, problem)

    def _mapping(self, source_id: str) -> Part:
        """The mapping set of the dataflow where there is one, else one with this content, else a new one."""
        step = steps.mapping(self._wanted, self._client.settings.mapping_path)
        used = self._finder.mapping_in_use(step, source_id)
        return self._told(used) if used is not None else self._ensure(step)

    def _ensure(self, step: Step) -> Part:
        """The object of a step, found or made."""
        found = self._finder.find(step)
        return self._told(found) if found is not None else self._made(step)

    def _made(self, step: Step) -> Part:
        """A new object, told of at once, and looked for until a later run would find it."""
        part = self._told(self._make(step))
        self._await_listing(step, part.id)
        return part

    def _told(self, part: Part) -> Part:
        self._on_part(part)
        return part

    def _await_listing(self, step: Step, made_id: str) -> None:
        problem = Problem("not_listed", f"{made_id} was made, but is not listed yet", "")
        for tries in range(1, LOOKS_AFTER_MADE + 1):
            try:
                if self._finder.lists(step, made_id):
                    return
            except ServiceUnavailable:  # it is made all the same; what comes next has its own error
                break
            if tries < LOOKS_AFTER_MADE:
                self._client.pause(step.kind, Answer(Meaning.AGAIN, problem), tries)
        self._warn(f"the {step.kind} {problem.text}: wait a minute before you repeat this command")

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
            found = self._finder.find(step)
            if found is not None:
                return Part(found.kind, found.id, answer.meaning is not Meaning.EXISTS, found.item)
            answer = replace(answer, retry_after_seconds=None)  # it has been honoured
        return None
