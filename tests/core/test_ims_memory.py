"""When a token is asked for: failures are remembered for all destinations, by hand means now, Retry-After binds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.auth import Denied, Ims, Secret
from edgequeue.auth.tokens import (
    REFUSED_SECONDS,
    WAIT_SECONDS_MAX,
    WAIT_SECONDS_MIN,
    Failure,
    next_failure,
)
from edgequeue.errors import MaybeSent, NotSent
from edgequeue.model import HttpResponse, Problem
from edgequeue.retry import HoldState
from edgequeue.testing import SILENCE, ManualClock, ScriptedTransport

TOKEN = HttpResponse(200, {}, b'{"access_token":"t0ken","expires_in":86399}')
BUSY = HttpResponse(503, {}, b"busy")
REFUSED = HttpResponse(400, {}, b'{"error":"invalid_client"}')
OFFLINE = NotSent("cannot reach it", code="connect")
MUTE = MaybeSent("no answer", code="read_timeout")


def account(clock: ManualClock, secret: Secret | str = "s3cr3t") -> Ims:
    return Ims("client", secret, "a@AdobeOrg", endpoint="https://ims.example/token", _clock=clock)


def seconds_of(clock: ManualClock) -> float:
    """Since the test began."""
    return clock.boot_ms() / 1000 - 100


def tries(clock: ManualClock, ims: Ims, service: ScriptedTransport, until: float, step: float = 0.5) -> list[float]:
    """When requests were made, with headers asked for every `step` seconds from now on."""
    found = []
    while seconds_of(clock) < until:
        before = len(service.requests)
        ims.headers(service)
        if len(service.requests) > before:
            found.append(seconds_of(clock))
        clock.advance(step)
    return found


# --- by itself -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [BUSY, MUTE, HttpResponse(200, {}, b"<html>"), HttpResponse(400, {}, b"")])
def test_after_failures_the_waits_double_up_to_15_minutes(clock: ManualClock, answer: HttpResponse | MaybeSent) -> None:
    """30, 60, 120, 240, 480, 900 and 900 seconds from each failure to the next request."""
    found = tries(clock, account(clock), ScriptedTransport(then=answer), 2800, 5)
    assert [after - before for before, after in pairwise(found)] == [30, 60, 120, 240, 480, 900, 900]


def test_a_refusal_is_remembered_for_150_seconds_however_often_it_came(clock: ManualClock) -> None:
    """A paused destination is asked every 180 s: each of these probes asks anew, and no destination beside it does."""
    assert tries(clock, account(clock), ScriptedTransport(then=REFUSED), 700, 1) == [0, 150, 300, 450, 600]


def test_offline_is_nobody_elses_business(clock: ManualClock) -> None:
    """It may be this destination's proxy or route: the others try theirs, and their own backoff spaces the tries."""
    assert tries(clock, account(clock), ScriptedTransport(then=OFFLINE), 2, 0.5) == [0, 0.5, 1, 1.5]


def test_who_asks_meanwhile_is_told_the_reason_and_what_is_left_of_the_wait(clock: ManualClock) -> None:
    """The Retry-After binds each destination of the account, and nothing is sent for those that come later."""
    service = ScriptedTransport([HttpResponse(429, {"retry-after": "20"}, b"slower")])
    ims = account(clock)
    first = ims.headers(service)
    clock.advance(5)
    second = ims.headers(service)
    assert isinstance(first, Denied)
    assert isinstance(second, Denied)
    assert first.problem == second.problem
    assert (first.retry_after_seconds, second.retry_after_seconds) == (20.0, 15.0)
    assert len(service.requests) == 1


def test_a_token_ends_the_row_of_failures(clock: ManualClock) -> None:
    """The next failure is a first one again."""
    ims = account(clock)
    tries(clock, ims, ScriptedTransport(then=BUSY), 200)
    clock.advance(900)
    headers = ims.headers(ScriptedTransport([TOKEN]))
    assert not isinstance(headers, Denied)
    ims.renew(headers)
    start = seconds_of(clock)
    assert tries(clock, ims, ScriptedTransport(then=BUSY), start + 60) == [start, start + 30]


def test_a_refusal_ends_the_row_of_failures_too(clock: ManualClock) -> None:
    """The token service is there and well: what fails after that is a first failure again."""
    ims = account(clock)
    tries(clock, ims, ScriptedTransport([BUSY, BUSY, REFUSED]), 90.5)
    clock.advance(REFUSED_SECONDS)
    start = seconds_of(clock)
    assert tries(clock, ims, ScriptedTransport(then=BUSY), start + 60) == [start, start + 30]


def test_what_concerns_one_destination_is_no_failure_of_the_account(clock: ManualClock) -> None:
    """A ca_file that cannot be used, a worker that was stopped: the next destination asks at once."""
    ims = account(clock)
    for error in (NotSent("ca_file is none", code="settings"), MaybeSent("stopped", code="aborted")):
        denied = ims.headers(ScriptedTransport(then=error))
        assert isinstance(denied, Denied)
        assert denied.problem.code == error.code
    assert not isinstance(ims.headers(ScriptedTransport([TOKEN])), Denied)


# --- by hand ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [BUSY, REFUSED, MUTE])
def test_by_hand_asks_at_once_but_once_for_all_destinations(
    clock: ManualClock, answer: HttpResponse | NotSent | MaybeSent
) -> None:
    """A failure less than 5 seconds old is the answer to the other destinations of the same sync."""
    service, ims = ScriptedTransport(then=answer), account(clock)
    ims.headers(service)
    clock.advance(4.9)
    assert isinstance(ims.headers(service, anew=True), Denied)
    assert len(service.requests) == 1
    clock.advance(0.1)
    for _ in range(3):
        assert isinstance(ims.headers(service, anew=True), Denied)
    assert len(service.requests) == 2


def test_a_try_by_hand_does_not_lengthen_the_wait(clock: ManualClock) -> None:
    """What waits by itself goes on when it would have; but never sooner than 30 s after a failure."""
    service, ims = ScriptedTransport(then=BUSY), account(clock)
    assert tries(clock, ims, service, 100) == [0, 30, 90]
    ims.headers(service, anew=True)  # at 100; without it the next ones are at 210, 450 and 930
    assert tries(clock, ims, service, 325) == [210]
    ims.headers(service, anew=True)
    assert tries(clock, ims, service, 920) == [450]
    ims.headers(service, anew=True)
    assert tries(clock, ims, service, 960) == [950]


def test_the_services_own_wait_is_honoured_by_hand(clock: ManualClock) -> None:
    """Retry-After binds, and a changed secret is no way around it."""
    service = ScriptedTransport([HttpResponse(429, {"retry-after": "600"}, b"")], then=TOKEN)
    ims = account(clock)
    ims.headers(service, anew=True)
    clock.advance(599)
    assert isinstance(ims.headers(service, anew=True), Denied)
    assert len(service.requests) == 1
    clock.advance(1)
    assert not isinstance(ims.headers(service), Denied)


# --- another way -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [MUTE, HttpResponse(503, {}, b"<html>"), HttpResponse(407, {}, b""), HttpResponse(400, {}, b"bad proxy")]
)
def test_a_way_that_leads_nowhere_is_no_failure_of_another(
    clock: ManualClock, answer: HttpResponse | MaybeSent
) -> None:
    """One destination's proxy is mute, or answers itself: those who go another way ask at once, and share the token."""
    ims, lost = account(clock), ScriptedTransport(then=answer, way="proxy")
    assert isinstance(ims.headers(lost), Denied)
    assert isinstance(ims.headers(ScriptedTransport(then=TOKEN, way="proxy")), Denied), "the same way fares as it did"
    assert not isinstance(ims.headers(ScriptedTransport([TOKEN])), Denied)
    assert not isinstance(ims.headers(lost), Denied)
    assert len(lost.requests) == 1


def test_what_the_service_said_holds_whatever_the_way(clock: ManualClock) -> None:
    """A busy token service, or one that refuses, is asked once for all."""
    busy = HttpResponse(400, {}, b'{"error":"temporarily_unavailable"}')
    for answer in (busy, REFUSED):
        ims, other = account(clock), ScriptedTransport(then=TOKEN, way="proxy")
        ims.headers(ScriptedTransport([answer]))
        assert isinstance(ims.headers(other), Denied)
        assert other.requests == []


def test_a_request_that_hangs_on_another_way_is_not_waited_for_long(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first token comes by the way that works, while the other request still hangs."""
    monkeypatch.setattr("edgequeue.auth.tokens.OTHERS_SECONDS", 0.01)
    ims, mute = account(clock), ScriptedTransport(then=SILENCE, way="proxy")
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(ims.headers, mute)
        assert mute.wait_for_requests(1)
        headers = ims.headers(ScriptedTransport([TOKEN]))
        mute.abort()
        assert isinstance(hanging.result(), Denied)
    assert not isinstance(headers, Denied)
    assert ims.headers(mute) == headers


# --- a changed secret ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "variable"])
@pytest.mark.parametrize("answer", [REFUSED, BUSY])
def test_a_changed_secret_is_tried_at_once(
    clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, answer: HttpResponse
) -> None:
    """What was refused was another one. The same secret written again changes nothing."""

    def write(text: str) -> None:
        (tmp_path / "secret").write_text(text)
        monkeypatch.setenv("EDGEQUEUE_TEST_SECRET", text)

    write("old")
    secret = Secret(path=tmp_path / "secret") if kind == "file" else Secret(env="EDGEQUEUE_TEST_SECRET")
    service, ims = ScriptedTransport([answer], then=TOKEN), account(clock, secret)
    assert isinstance(ims.headers(service), Denied)
    write("old\n")
    assert isinstance(ims.headers(service), Denied)
    assert len(service.requests) == 1
    write("new")
    assert not isinstance(ims.headers(service), Denied)
    assert b"client_secret=new" in service.requests[1].body


def test_a_secret_that_cannot_be_read_is_no_failure_of_the_service(clock: ManualClock, tmp_path: Path) -> None:
    """It costs no request and no wait; and while a token is in hand nobody needs the secret."""
    file = tmp_path / "secret"
    service, ims = ScriptedTransport(then=TOKEN), account(clock, Secret(path=file))
    denied = ims.headers(service)
    assert isinstance(denied, Denied)
    assert (denied.state, denied.problem.code) == (HoldState.PAUSED, "no_secret")
    assert service.requests == []
    file.write_text("s3cr3t")
    assert not isinstance(ims.headers(service), Denied)
    file.unlink()
    assert not isinstance(ims.headers(service), Denied)
    assert len(service.requests) == 1


@pytest.mark.parametrize("secret", ["", "line\nbreak", "caf\xe9"])
def test_what_cannot_be_a_secret_is_not_sent(clock: ManualClock, secret: str) -> None:
    """The operator is told without a request, and without the secret."""
    denied = account(clock, secret).headers(ScriptedTransport())
    assert isinstance(denied, Denied)
    assert (denied.state, denied.problem.code) == (HoldState.PAUSED, "bad_secret")
    assert not secret or secret not in str(denied)


# --- the rule itself -------------------------------------------------------------------------------------------------

STATES = st.sampled_from([HoldState.PAUSED, HoldState.BACKING_OFF])
DENIALS = st.builds(
    Denied, st.just(Problem("x", "x")), STATES, st.one_of(st.none(), st.floats(0, 3600, allow_nan=False))
)
STEPS = st.tuples(DENIALS, st.booleans(), st.floats(0, 2000))


@given(st.lists(STEPS, min_size=1, max_size=20))
def test_whatever_fails_the_waits_stay_within_their_bounds(steps: list[tuple[Denied, bool, float]]) -> None:
    """At least 30 s, at most 15 min or what the service asked for; it ends, and it answers meanwhile."""
    now_ms, failure = 0, None
    for denied, anew, later_seconds in steps:
        failure = next_failure(failure, denied, b"mark", now_ms, anew=anew)
        wait_seconds = (failure.until_ms - now_ms) / 1000
        asked_seconds = round(denied.retry_after_seconds or 0, 3)
        least = {HoldState.PAUSED: REFUSED_SECONDS}
        assert wait_seconds >= max(least.get(denied.state, WAIT_SECONDS_MIN), asked_seconds)
        assert wait_seconds <= max(WAIT_SECONDS_MAX, asked_seconds)
        assert _answers(failure, failure.until_ms) == [False, False]
        assert _answers(failure, now_ms) == [True, True]
        assert failure.denied.retry_after_seconds is None
        now_ms += round(later_seconds * 1000)


def _answers(failure: Failure, now_ms: int) -> list[bool]:
    return [failure.answers(b"mark", now_ms, anew=anew) for anew in (False, True)]
