"""What a service may answer, as a case: the faults that bring it about, and all that must hold afterwards.

`Stage` plays a case over real connections: a queue with a few events and the emulator with the case's faults. The words
in which most expectations are written (`accepted`, `dies`, `pauses`, …) stand at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from edgequeue import AdobeDccs, AdobeEdge, EventQueue
from edgequeue.auth import Ims
from edgequeue.emulator import Emulator, parse_fault
from edgequeue.testing import ManualClock
from edgequeue.views import DestinationView, Ledger, QueueStatus, RecordDetail

NAME = "shop"
NOBODY = "log in to the network, or check the proxy"
AGAIN = "It is sent again with the same _id."


@dataclass(frozen=True, slots=True)
class After:
    """What must hold after one sync, and in the end.

    `trips`: each event's history, as in "defer 503, accepted 202"; one text where all events have the same. `requests`
    counts those that reached Edge or DCCS. `arrived`: events that the emulator took, where they are more than were
    delivered: an answer was lost. `state`, `code` and `remedy` (words of it) are those of `status()`. `asked_seconds`:
    the wait that the service asked for, which binds by hand.

    In the end, when the faults are gone: `requests_later` more requests in `syncs_later` syncs by hand deliver what is
    left, and `duplicates` events have arrived once too often.
    """

    trips: tuple[str, ...]
    requests: int = 1
    delivered: int = 0
    dead: int = 0
    arrived: int | None = None
    state: str = "ok"
    code: str = ""
    remedy: str = ""
    asked_seconds: int = 0
    requests_later: int = 0
    syncs_later: int = 1
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """An answer of `on` (edge or dccs) and what it comes to.

    `faults` are the emulator's compact texts; "{first}" and "{last}" stand for events' `_id`s. `service` and `settings`
    are those of the emulator and of the destination. `known`: an event was delivered before, so the service is no
    stranger. `passes_seconds` go by before the end.
    """

    name: str
    on: str
    faults: tuple[str, ...]
    after: After
    events: int = 3
    settings: Mapping[str, Any] = field(default_factory=dict)
    service: Mapping[str, Any] = field(default_factory=dict)
    known: bool = False
    passes_seconds: int = 0

    def __str__(self) -> str:
        return f"{self.on}: {self.name}"


class Seen(NamedTuple):
    """What the queue says at one moment."""

    records: tuple[RecordDetail, ...]
    status: QueueStatus

    @property
    def ledger(self) -> Ledger:
        return self.status.ledger

    @property
    def view(self) -> DestinationView:
        """What `status()` says of the destination."""
        return self.status.destinations[NAME]


@dataclass(slots=True)
class Stage:
    """A case under way: its queue, its emulator, the clock in our hands, and the events' ids."""

    case: Case
    queue: EventQueue
    service: Emulator
    clock: ManualClock
    ids: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Enqueue the case's events, and let its faults wait for them."""
        if self.case.known:
            self.queue.enqueue(event(0))
            assert self.queue.sync().delivered == 1
            self.service.reset()
        self.ids = self.queue.enqueue_many(event(number) for number in range(self.case.events))
        for text in self.case.faults:
            self.service.add_fault(parse_fault(text.format(first=self.ids[0], last=self.ids[-1])))

    def mend(self) -> None:
        """From now on the service is there, knows all it is asked about, and takes what comes."""
        self.clock.advance(self.case.passes_seconds)
        self.service.clear_faults()
        self.service.go_online()
        knows_all: dict[str, Any] = {"org_id": None, "datastreams": None, "inlets": None, "required_fields": ()}
        self.service.options = replace(self.service.options, **knows_all)

    @property
    def requests(self) -> int:
        """Requests that reached the service so far; those for a token are not counted."""
        return sum(one.service != "ims" for one in self.service.requests)

    def look(self) -> Seen:
        """What the queue says now of the case's events and of itself."""
        records = tuple(record for one in self.ids if (record := self.queue.get(one)) is not None)
        return Seen(records, self.queue.status())


def event(number: int) -> dict[str, Any]:
    """An event that both services take."""
    return {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}, "number": number}}


def destination_of(case: Case, service: Emulator, clock: ManualClock) -> AdobeEdge | AdobeDccs:
    """The case's destination; one request at a time, so that the number of requests is no matter of luck."""
    settings: dict[str, Any] = {"requests_in_flight_max": 1, **case.settings}
    if settings.get("auth") == "ims":
        settings["auth"] = Ims("client", "secret", "a@AdobeOrg", endpoint=service.token_url, _clock=clock)
    if case.on == "edge":
        return AdobeEdge(NAME, endpoint=service.url, **{"datastream_id": "d", **settings})
    schema: dict[str, Any] = {"dataset_id": "ds", "schema_id": "https://ns.adobe.com/x/schemas/1"}
    return AdobeDccs(NAME, endpoint=service.inlet_url("till"), **schema, **settings)


def trips_of(record: RecordDetail) -> str:
    """An event's history on one line."""
    return ", ".join(f"{trip.disposition} {trip.http_status or '-'}" for trip in record.history)


# --- what answers come to, for three events ---------------------------------------------------------------------------


def accepted(status: int) -> After:
    """All are delivered by the first request."""
    return After((f"accepted {status}",), delivered=3)


def too_large_for_a_proxy() -> After:
    """A web page with 413: halved at once, and who is alone is kept."""
    return replace(suspected(413, "not_the_service"), remedy="limits requests")


def dies(status: int, *, fresh: bool = False) -> After:
    """A definite refusal of each event: halved until each is alone, on a connection that cannot carry a stray answer.

    3 together, 2 together, each alone; the last of them once more on a `fresh` connection, unless all are fresh.
    """
    if fresh:
        trips = (*(f"defer {status}, defer {status}, reject {status}",) * 2, f"defer {status}, reject {status}")
        return After(trips, requests=5, dead=3)
    return After((f"defer {status}, defer {status}, reject {status}",), requests=6, dead=3)


def suspected(status: int, code: str) -> After:
    """Halved until one is alone; refused in nobody's words, that one is under suspicion, and no other is tried."""
    trip = f"defer {status}"
    trips = (f"{trip}, {trip}, {trip}", f"{trip}, {trip}", trip)
    # The suspect waits by itself, so one sync by hand is not enough: see test_a_sync_by_hand_tries_suspects_too.
    return After(trips, requests=3, state="backing_off", code=code, requests_later=3)


def pauses(status: int, code: str, remedy: str) -> After:
    """Kept; one event asks whether the destination is well again, and then the others follow."""
    return After((f"defer {status}",), state="paused", code=code, remedy=remedy, requests_later=2)


def backs_off(status: int, code: str) -> After:
    """Kept; sent again as it was."""
    return After((f"defer {status}",), state="backing_off", code=code, requests_later=1)


def asks_to_wait(status: int, code: str, seconds: int) -> After:
    """Kept; nothing is sent before the time that the service asked for."""
    return replace(backs_off(status, code), asked_seconds=seconds, remedy="The service asked for this wait")


def foreign(status: int) -> After:
    """Not the service's own, and nothing of it has arrived: kept, sent again as it was."""
    return replace(backs_off(status, "not_the_service"), remedy=NOBODY)


def unclear(status: int, *, arrived: int = 0) -> After:
    """A success without what the service says: its outcome is unknown, and those that had arrived arrive again."""
    after = replace(foreign(status), trips=(f"unknown {status}",))
    return replace(after, arrived=arrived, duplicates=arrived)


def unanswered(code: str, *, arrived: int = 0) -> After:
    """No answer: its outcome is unknown, and those that had arrived arrive again, as the same events."""
    return replace(unclear(0, arrived=arrived), trips=("unknown -",), code=code, remedy=AGAIN)
