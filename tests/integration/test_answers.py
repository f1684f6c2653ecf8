"""Every answer the emulator can produce, to every destination, over real connections: what becomes of the events.

The cases stand beside this in `answers_edge.py`, `answers_dccs.py`, `answers_ims.py` and `answers_wires.py`. The clock
stands still and the dice are seeded: neither when a wait is over nor how often a service is asked is a matter of luck.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import certifi
import pytest

from edgequeue import EventQueue
from edgequeue.emulator import FORMS, KINDS, Emulator, parse_fault
from edgequeue.emulator.edge_problems import PROBLEMS
from edgequeue.emulator.kinds import OWNERS
from edgequeue.testing import ManualClock
from tests.integration import answers_dccs, answers_edge, answers_ims, answers_wires
from tests.integration.answers_case import Case, Seen, Stage, destination_of, suspected, trips_of

CASES = [*answers_edge.cases(), *answers_dccs.cases(), *answers_ims.cases(), *answers_wires.cases()]
PENDING_STATES = ("offline", "backing_off", "paused", "waiting")
"""States in which something is waited for, so that `status()` says until when."""


@pytest.fixture(scope="session")
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates that are quick to read: each sync reads them, and all of the world's take longer than the sync."""
    first, end, _ = certifi.contents().partition("-----END CERTIFICATE-----")
    path = tmp_path_factory.mktemp("certificate") / "one.pem"
    path.write_text(first + end, encoding="utf-8")
    return path


@pytest.fixture
def play(
    tmp_path: Path, template: Path, one_certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Case], Stage]]:
    """Opens a queue and an emulator for a case, and enqueues its events."""
    dice = Random(7)
    monkeypatch.setattr("edgequeue.sending.Random", lambda: dice)  # a queue gives its workers none of their own
    opened: list[Stage] = []

    def begin(case: Case) -> Stage:
        path = tmp_path / "queue.db"
        shutil.copy(template, path)
        clock = ManualClock()
        service = Emulator(**case.service).start()
        destination = replace(destination_of(case, service, clock), ca_file=one_certificate)
        stage = Stage(case, EventQueue(path, [destination], clock=clock), service, clock)
        opened.append(stage)
        stage.begin()
        return stage

    yield begin
    for stage in opened:
        stage.queue.close()
        stage.service.stop()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_answer_comes_to_what_the_design_says(case: Case, play: Callable[[Case], Stage]) -> None:
    """Disposition, ledger, attempts, requests and what `status` says, after one sync; then everything is delivered."""
    stage = play(case)
    stage.queue.sync()
    first = stage.look()
    check_rules(stage, first)
    check_after(stage, first)
    wait_as_asked(stage)
    deliver_the_rest(stage)
    last = stage.look()
    check_end(stage, last)
    check_rules(stage, last)


def check_rules(stage: Stage, seen: Seen) -> None:
    """What holds whatever is answered: nothing vanishes, nothing is delivered that the service did not take."""
    case, records, ledger = stage.case, seen.records, seen.ledger
    assert len(records) == case.events
    assert ledger.enqueued == case.events + case.known
    assert ledger.balanced
    dead = [record for record in records if record.status == "dead"]
    assert len(dead) == ledger.dead == case.after.dead, "only the service's definite refusal kills"
    assert all(record.attempts == (record in dead) for record in records), "an attempt is a refusal spent"
    assert all(record.error is not None and record.error.status for record in dead)
    delivered = {record.event_id for record in records if record.status == "delivered"}
    assert delivered <= set(stage.service.arrived.by_id), "delivered is what the service has taken"
    assert stage.service.unknown_paths == {}


def check_after(stage: Stage, seen: Seen) -> None:
    """What the case says of the first sync."""
    after, ledger, view = stage.case.after, seen.ledger, seen.view
    trips = [trips_of(record) for record in seen.records]
    assert trips == (list(after.trips) if len(after.trips) > 1 else list(after.trips) * stage.case.events)
    assert stage.requests == after.requests
    assert ledger.delivered == after.delivered + stage.case.known
    assert ledger.pending == stage.case.events - after.delivered - after.dead
    assert len(stage.service.arrived.by_id) == (after.delivered if after.arrived is None else after.arrived)
    assert view.state == after.state
    assert (view.next_attempt_at is not None) == (after.state in PENDING_STATES)
    assert (view.reason.code if view.reason else "") == after.code
    assert after.remedy in (view.reason.remedy if view.reason else "")


def wait_as_asked(stage: Stage) -> None:
    """A Retry-After binds by hand until its last second; our own backoff does not."""
    seconds = stage.case.after.asked_seconds
    if seconds:
        for passes in (0, seconds - 1):
            stage.clock.advance(passes)
            assert stage.queue.sync().requests == 0
        assert stage.requests == stage.case.after.requests
        stage.clock.advance(3)  # a date has whole seconds: the wait may be one longer than it was meant


def deliver_the_rest(stage: Stage) -> None:
    """The trouble is over: a sync by hand delivers what is left, no more of them are needed than the case says."""
    stage.mend()
    for _ in range(stage.case.after.syncs_later):
        if stage.queue.sync().remaining == 0:
            return


def check_end(stage: Stage, seen: Seen) -> None:
    """Everything that was not refused has been delivered, and the destination is well."""
    after, ledger = stage.case.after, seen.ledger
    assert (ledger.pending, ledger.delivered) == (0, stage.case.events + stage.case.known - after.dead)
    assert stage.requests == after.requests + after.requests_later
    assert stage.service.arrived.duplicates == after.duplicates
    assert (seen.view.state, seen.view.reason) == ("ok", None)


# --- the matrix -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", ["edge", "dccs"])
def test_the_matrix_has_every_fault_in_every_form(on: str) -> None:
    """What the emulator learns to do gets a case for each destination it concerns."""
    faults = [parse_fault(text) for case in CASES if case.on == on for text in case.faults]
    wanted = {(kind, form) for kind in KINDS for form in FORMS.get(kind, (None,)) if OWNERS.get(kind, on) == on}
    assert wanted - {(fault.kind, fault.form) for fault in faults} == set()
    if on == "edge":
        assert set(PROBLEMS) - {fault.code for fault in faults} == set()


def test_no_case_is_there_twice() -> None:
    """A name tells which."""
    assert len({str(case) for case in CASES}) == len(CASES)


PLAIN = Case("400, plain", "edge", ("status:status=400:form=plain:times=always",), suspected(400, "http_400"))


def test_a_sync_by_hand_tries_suspects_too(play: Callable[[Case], Stage]) -> None:
    """By hand means now: our own backoff is skipped for one try, also for an event that is set aside."""
    stage = play(PLAIN)
    stage.queue.sync()
    stage.mend()
    assert stage.queue.sync().remaining == 0


def test_nobody_is_told_to_mend_what_is_not_refused(play: Callable[[Case], Stage]) -> None:
    """The event is pending and goes again by itself: enqueued once more, it would be there twice, under two `_id`s."""
    stage = play(PLAIN)
    stage.queue.sync()
    reason = stage.look().view.reason
    assert reason is not None
    assert "enqueue it again" not in reason.remedy
