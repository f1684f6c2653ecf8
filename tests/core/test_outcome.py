"""What an answer means: the default readings, and how an outcome is settled for each event."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.errors import MaybeSent, NotSent, TransportError
from edgequeue.learning import Doubt
from edgequeue.model import (
    TRANSITIONS,
    Batch,
    Claimed,
    Disposition,
    HttpResponse,
    Priority,
    Problem,
    RequestOutcome,
    Status,
)
from edgequeue.outcome import Outcome, Settlement, Verdict, failed, settle, signal_of
from edgequeue.reading import TEXT_MAX, accepted, deferred, nobodys, paused, refused, retry_after_seconds, shortened
from edgequeue.retry import WELL, HoldState, RetryPolicy

POLICY = RetryPolicy()
REFUSAL = Problem("http_422", "a field is wrong", "Mend it.", 422)
NOW_MS = 50_000
ATTEMPTS_MAX = 3

VERDICTS = st.builds(Verdict, st.sampled_from(list(Disposition)), st.sampled_from([None, REFUSAL]))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    rows = st.tuples(
        st.sampled_from(list(Priority)), st.integers(0, ATTEMPTS_MAX), st.sampled_from([None, 1, 2, 4, 64])
    )
    records = tuple(
        Claimed(number, priority, attempts, travel_max, b"{}", True)
        for number, (priority, attempts, travel_max) in enumerate(draw(st.lists(rows, min_size=1, max_size=12)), 1)
    )
    return Batch("request", records, tuple(one.payload for one in records))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Batch, Outcome]:
    batch = draw(batches())
    exceptions = draw(st.dictionaries(st.integers(0, len(batch) - 1), VERDICTS, max_size=4))
    flags = {name: draw(st.booleans()) for name in ("split", "singly", "definite")}
    return batch, Outcome(draw(VERDICTS), exceptions, **flags)


def settled(batch: Batch, outcome: Outcome, unit_random: float = 0.5) -> Settlement:
    return settle(batch, outcome, attempts_max=ATTEMPTS_MAX, policy=POLICY, now_ms=NOW_MS, unit_random=unit_random)


def of_size(count: int) -> Batch:
    records = tuple(Claimed(number, 1, 0, None, b"{}", True) for number in range(1, count + 1))
    return Batch("request", records, tuple(one.payload for one in records))


def response(status: int, **headers: str) -> HttpResponse:
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


# --- settling ---------------------------------------------------------------------------------------------------------


@given(cases())
def test_every_event_goes_exactly_where_the_table_lets_it(case: tuple[Batch, Outcome]) -> None:
    """From sending to delivered, dead or pending: one of them for each event, and nothing that is not in the table."""
    batch, outcome = case
    settlement = settled(batch, outcome)
    delivered = [sequence for _, sequence in settlement.delivered]
    dead = [death.sequence for death in settlement.deaths]
    assert set(delivered).isdisjoint(dead)
    assert len(delivered) + len(dead) == len({*delivered, *dead})
    assert {wait.sequence for wait in settlement.waits}.isdisjoint([*delivered, *dead])
    for position, record in enumerate(batch.records):
        verdict = outcome.of(position)
        if record.sequence in delivered:
            assert verdict.disposition is Disposition.ACCEPTED
            status = Status.DELIVERED
        elif record.sequence in dead:
            assert verdict.disposition in (Disposition.REJECT, Disposition.RETRY)
            status = Status.DEAD
        else:
            assert verdict.disposition not in (Disposition.ACCEPTED, Disposition.REJECT)
            status = Status.PENDING
        assert status in TRANSITIONS[Status.SENDING]


@given(cases())
def test_only_a_definite_refusal_spends_an_attempt(case: tuple[Batch, Outcome]) -> None:
    """Retry and reject count one; being deferred, unknown or bisected never does."""
    batch, outcome = case
    attempts = {record.sequence: record.attempts for record in batch.records}
    dispositions = {record.sequence: outcome.of(position).disposition for position, record in enumerate(batch.records)}
    settlement = settled(batch, outcome)
    for wait in settlement.waits:
        spent = dispositions[wait.sequence] is Disposition.RETRY
        assert wait.attempts == attempts[wait.sequence] + spent
        assert wait.attempts < ATTEMPTS_MAX or not spent
    for death in settlement.deaths:
        assert death.attempts == attempts[death.sequence] + 1
        assert dispositions[death.sequence] is Disposition.REJECT or death.attempts >= ATTEMPTS_MAX


@given(cases())
def test_what_the_request_cannot_say_for_an_event_is_noted(case: tuple[Batch, Outcome]) -> None:
    """A note for each event whose verdict is its own, and for no other."""
    batch, outcome = case
    notes = {note.position: note for note in settled(batch, outcome).notes}
    for position, record in enumerate(batch.records):
        if position in notes:
            assert (notes[position].sequence, notes[position].verdict) == (record.sequence, outcome.of(position))
        else:
            assert outcome.of(position) is outcome.verdict


@given(cases())
def test_what_a_request_came_to_follows_from_its_events(case: tuple[Batch, Outcome]) -> None:
    """Accepted when all were, partial when some were, and never called accepted when one was not."""
    batch, outcome = case
    settlement = settled(batch, outcome)
    if len(settlement.delivered) == len(batch):
        assert settlement.outcome is RequestOutcome.ACCEPTED
    elif settlement.delivered:
        assert settlement.outcome is RequestOutcome.PARTIAL
    else:
        assert settlement.outcome not in (RequestOutcome.ACCEPTED, RequestOutcome.PARTIAL)
        assert not settlement.deaths or settlement.outcome is RequestOutcome.REJECTED
    assert settlement.deferred + len(settlement.delivered) + len(settlement.deaths) <= len(batch)


@given(cases())
def test_what_was_only_kept_was_not_rejected(case: tuple[Batch, Outcome]) -> None:
    """Rejected is what killed an event, what the service itself refused, and what spent an attempt; not a split."""
    batch, outcome = case
    if settled(batch, outcome).outcome is RequestOutcome.REJECTED:
        spent = outcome.verdict.disposition is Disposition.RETRY
        assert settled(batch, outcome).deaths or outcome.definite or spent


@pytest.mark.parametrize(
    "outcome",
    [
        nobodys(HttpResponse(413, {}, b"<html>"), "a web page"),
        refused(response(400), of_size(2), REFUSAL, definite=False),
        replace(deferred(response(500), REFUSAL, Doubt.FAILED), split=True),
    ],
)
def test_a_batch_that_is_halved_on_suspicion_is_deferred(outcome: Outcome) -> None:
    """A proxy's page, words that are nobody's, and a 500 beside an acceptance refuse no event."""
    settlement = settled(of_size(2), outcome)
    assert {wait.travel_max for wait in settlement.waits} == {1}
    assert settlement.outcome is RequestOutcome.DEFERRED


@given(st.integers(2, 300))
def test_a_refused_batch_comes_again_in_halves(count: int) -> None:
    """Every one of its events is bound to less than the batch, and due at once: no attempt, no wait."""
    batch = of_size(count)
    settlement = settled(batch, refused(response(400), batch, REFUSAL))
    assert [wait.sequence for wait in settlement.waits] == list(range(1, count + 1))
    assert {(wait.not_before_ms, wait.attempts) for wait in settlement.waits} == {(0, 0)}
    (bound,) = {wait.travel_max for wait in settlement.waits}
    assert bound is not None
    assert 1 <= bound < count <= 2 * bound
    assert settlement.outcome is RequestOutcome.REJECTED


def test_one_refused_alone_is_dead() -> None:
    """There is nobody else whom it could have been about."""
    batch = of_size(1)
    (death,) = settled(batch, refused(response(400), batch, REFUSAL)).deaths
    assert (death.sequence, death.attempts, death.problem) == (1, 1, REFUSAL)


def test_a_refusal_without_a_reason_is_given_one() -> None:
    """A dead event always says why."""
    (death,) = settled(of_size(1), Outcome(Verdict(Disposition.REJECT))).deaths
    assert (death.problem.code, death.problem.text) == ("refused", "no reason given")


@given(st.floats(0, 1, exclude_max=True))
def test_a_retry_waits_by_its_own_attempts(dice: float) -> None:
    """Each refused event by the curve of its attempts, from now on; its bound is kept."""
    records = tuple(Claimed(number, 1, number - 1, 2, b"{}", True) for number in (1, 2))
    settlement = settled(Batch("request", records, (b"{}", b"{}")), Outcome(Verdict(Disposition.RETRY, REFUSAL)), dice)
    assert [(wait.attempts, wait.travel_max) for wait in settlement.waits] == [(1, 2), (2, 2)]
    expected = [NOW_MS + round(POLICY.ceiling_seconds(attempts) * dice * 1000) for attempts in (1, 2)]
    assert [wait.not_before_ms for wait in settlement.waits] == expected


def test_what_cannot_be_told_apart_travels_singly() -> None:
    """On the single endpoint, where there is one (travel_max 0); who is bound already is not written again."""
    records = (Claimed(1, 1, 0, None, b"{}", True), Claimed(2, 1, 0, 0, b"{}", True))
    outcome = Outcome(Verdict(Disposition.UNKNOWN), singly=True)
    waits = settled(Batch("request", records, (b"{}", b"{}")), outcome).waits
    assert [(wait.sequence, wait.travel_max, wait.attempts) for wait in waits] == [(1, 0, 0)]


def test_a_deferral_writes_nothing_for_its_events() -> None:
    """It is the destination that waits: no event's row is touched."""
    settlement = settled(of_size(3), deferred(response(503), REFUSAL))
    assert (settlement.waits, settlement.deaths, settlement.notes, settlement.deferred) == ((), (), (), 3)
    assert settlement.outcome is RequestOutcome.DEFERRED


# --- no answer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "unsent"), [(NotSent("no", code="dns"), True), (MaybeSent("no", code="cut"), False)])
def test_a_request_without_an_answer_costs_no_event_anything(error: TransportError, unsent: bool) -> None:
    """Unknown where it may have arrived, no trace where it cannot have; nobody waits, nobody dies."""
    settlement = settled(of_size(4), failed(error))
    assert (settlement.outcome, settlement.unsent) == (RequestOutcome.UNKNOWN, unsent)
    assert (settlement.delivered, settlement.waits, settlement.deaths, settlement.deferred) == ((), (), (), 4)
    assert settlement.verdict.problem is not None
    assert settlement.verdict.problem.code == error.code


@pytest.mark.parametrize("code", ["write_timeout"])
def test_what_was_too_slow_for_the_link_travels_in_halves(code: str) -> None:
    """A batch that the time did not suffice for may pass in parts: a bound, and no attempt."""
    settlement = settled(of_size(5), failed(MaybeSent("too slow", code=code)))
    assert {(wait.travel_max, wait.attempts, wait.not_before_ms) for wait in settlement.waits} == {(4, 0, 0)}
    assert len(settlement.waits) == 5
    assert settled(of_size(1), failed(MaybeSent("too slow", code=code))).waits == ()


@pytest.mark.parametrize("code", ["aborted", "interrupted"])
def test_what_we_ended_ourselves_says_nothing_about_the_destination(code: str) -> None:
    """A stop is no outage."""
    assert signal_of(MaybeSent("stopped", code=code)) is None


def test_no_connection_is_offline_and_no_answer_is_backing_off() -> None:
    """What the operator is shown."""
    offline, cut = signal_of(NotSent("no route", code="connect")), signal_of(MaybeSent("cut", code="cut"))
    assert offline is not None
    assert cut is not None
    assert (offline.state, cut.state) == (HoldState.OFFLINE, HoldState.BACKING_OFF)
    assert offline.problem is not None
    assert (offline.problem.code, offline.problem.text) == ("connect", "no route")


# --- the default readings ---------------------------------------------------------------------------------------------


def test_accepted_is_of_the_whole_batch() -> None:
    """With the service's ids and the receipt; the destination is well."""
    outcome = accepted(response(202), service={"requestId": "r"}, receipt="r")
    assert (outcome.verdict.disposition, outcome.verdict.receipt) == (Disposition.ACCEPTED, "r")
    assert (outcome.signal, outcome.service, outcome.http_status) == (WELL, {"requestId": "r"}, 202)


def test_a_deferral_honours_a_retry_after() -> None:
    """Whatever the status; without one the backoff is ours alone."""
    waiting = deferred(response(429, retry_after="7"), REFUSAL).signal
    unsaid = deferred(response(500), REFUSAL).signal
    assert waiting is not None
    assert unsaid is not None
    assert (waiting.state, waiting.retry_after_seconds) == (HoldState.BACKING_OFF, 7.0)
    assert unsaid.retry_after_seconds is None


def test_a_pause_keeps_every_event() -> None:
    """The operator has to mend something, and no event is to blame."""
    outcome = paused(response(401), REFUSAL)
    assert outcome.signal is not None
    assert outcome.signal.state is HoldState.PAUSED
    assert settled(of_size(2), outcome).deaths == ()


@pytest.mark.parametrize(("maybe", "disposition"), [(False, Disposition.DEFER), (True, Disposition.UNKNOWN)])
def test_an_answer_that_is_nobodys_counts_for_nothing(maybe: bool, disposition: Disposition) -> None:
    """A captive portal costs no attempt; where the service may stand behind it, the outcome is unknown."""
    outcome = nobodys(response(200), "a login page", maybe_taken=maybe)
    assert outcome.verdict.disposition is disposition
    assert outcome.signal is not None
    assert outcome.signal.problem is not None
    assert outcome.signal.problem.code == "not_the_service"
    assert settled(of_size(2), outcome).deaths == ()


def test_a_date_is_read_by_the_answers_own_clock() -> None:
    """The device may believe it is 1970; without a Date header its clock is all there is."""
    when = "Sat, 21 Nov 2026 04:43:18 GMT"
    assert retry_after_seconds(response(503, retry_after=when, date="Sat, 21 Nov 2026 04:43:08 GMT")) == 10.0
    at = datetime(2026, 11, 21, 4, 43, 0, tzinfo=UTC)
    assert retry_after_seconds(HttpResponse(503, {"retry-after": when}, b"", at)) == 18.0
    assert retry_after_seconds(response(503)) is None


@given(st.text(max_size=2 * TEXT_MAX))
def test_a_services_text_is_one_short_line(text: str) -> None:
    """However much it says."""
    line = shortened(text)
    assert len(line) <= TEXT_MAX
    assert line.split() == line.split(" ") or line == ""
    assert line == " ".join(text.split()) or line.endswith("…")
