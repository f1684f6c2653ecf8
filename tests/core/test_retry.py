"""Waiting: the curve, its jitter, Retry-After in both forms, and what holds a destination back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.model import Problem
from edgequeue.retry import (
    RETRY_AFTER_SECONDS_MAX,
    WELL,
    Hold,
    HoldState,
    RetryPolicy,
    Signal,
    next_hold,
    parse_http_date,
    parse_retry_after,
    worst,
)

NOW = datetime(2026, 11, 21, 4, 41, 18, tzinfo=UTC)
POLICY = RetryPolicy()
OFFLINE = Signal(HoldState.OFFLINE, Problem("connect", "no route"))
BUSY = Signal(HoldState.BACKING_OFF, Problem("http_503", "too busy"))
TOLD_TO_WAIT = Signal(HoldState.BACKING_OFF, Problem("http_429", "slower"), 900.0)
PAUSED = Signal(HoldState.PAUSED, Problem("http_401", "who are you?"))

POLICIES = st.builds(
    RetryPolicy,
    base_seconds=st.floats(0.01, 10),
    factor=st.floats(1.1, 4),
    cap_seconds=st.floats(0.01, 1000),
)
DICE = st.floats(0, 1, exclude_max=True)
SIGNALS = st.sampled_from([OFFLINE, BUSY, TOLD_TO_WAIT, PAUSED])

# --- the curve --------------------------------------------------------------------------------------------------------


def test_the_waits_are_those_that_are_documented() -> None:
    """1 s, doubled with each failure in a row, up to 300 s."""
    assert [POLICY.ceiling_seconds(failures) for failures in range(1, 12)] == [
        1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300,
    ]  # fmt: skip


@given(POLICIES, st.integers(1, 10_000))
def test_a_wait_is_never_longer_than_the_cap(policy: RetryPolicy, failures: int) -> None:
    """However long it has gone on; and never 0 for ever."""
    assert 0 < policy.ceiling_seconds(failures) <= policy.cap_seconds


@given(POLICIES, st.integers(1, 80))
def test_the_ceiling_rises_until_the_cap(policy: RetryPolicy, failures: int) -> None:
    """Each failure in a row lengthens it, until there is nothing to lengthen."""
    before, after = policy.ceiling_seconds(failures), policy.ceiling_seconds(failures + 1)
    assert before <= after
    assert before < after or after == policy.cap_seconds or failures >= 64


@given(POLICIES, st.integers(1, 100), DICE)
def test_the_jitter_comes_after_the_cap(policy: RetryPolicy, failures: int, dice: float) -> None:
    """The whole of the wait is drawn, also at the cap: a fleet that comes back together does not stay together."""
    wait = policy.delay_seconds(failures, dice)
    assert wait == pytest.approx(policy.ceiling_seconds(failures) * dice)
    assert 0 <= wait <= policy.cap_seconds


# --- Retry-After ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("86400", RETRY_AFTER_SECONDS_MAX),
        ("9" * 400, RETRY_AFTER_SECONDS_MAX),
        ("Sat, 21 Nov 2026 04:43:18 GMT", 120.0),
        ("Saturday, 21-Nov-26 04:43:18 GMT", 120.0),
        ("Sat, 21 Nov 2026 05:43:18 +0100", 120.0),
        ("Sat, 21 Nov 2026 04:43:18 -0000", 120.0),
        ("Sat, 21 Nov 2026 04:40:00 GMT", 0.0),
        ("Sat, 21 Nov 2099 04:40:00 GMT", RETRY_AFTER_SECONDS_MAX),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", 1.5),
        ("+60", 60.0),
        ('"60"', 60.0),
        ("60 s", 60.0),
        ("60; please", 60.0),
        ("60, Sat, 21 Nov 2026 04:41:00 GMT", 60.0),
        ("2026-11-21T04:43:18Z", 120.0),
        ("1e3", None),
        ("٣", None),
        ("²", None),
        ("Mon, 99 Foo 2026 25:61:61 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: float | None) -> None:
    """Seconds or a date; what is past is no wait, what is absurd is clamped, what is nonsense is as if not there."""
    assert parse_retry_after(value, NOW) == seconds


@given(st.integers(0, 10**20))
def test_any_number_of_seconds_is_clamped(seconds: int) -> None:
    """No service may silence a device for days."""
    assert parse_retry_after(str(seconds), NOW) == min(seconds, RETRY_AFTER_SECONDS_MAX)


@given(st.integers(-(10**8), 10**8))
def test_any_date_is_measured_from_the_given_now(seconds: int) -> None:
    """Not from the device's own clock."""
    value = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert parse_retry_after(value, NOW) == min(max(seconds, 0), RETRY_AFTER_SECONDS_MAX)


@given(st.text(max_size=60) | st.from_regex(r"\w{3}, \d{1,4} \w{3} \d{1,6} \d+:\d+:\d+ [+-]?\w{3,5}", fullmatch=True))
def test_nonsense_never_raises(text: str) -> None:
    """Whatever stands in the header: a bounded wait or none."""
    wait = parse_retry_after(text, NOW)
    assert wait is None or 0 <= wait <= RETRY_AFTER_SECONDS_MAX
    date = parse_http_date(text)
    assert date is None or date.tzinfo is not None


def test_no_date_is_no_date() -> None:
    """A header that is not there."""
    assert parse_http_date(None) is None


# --- what holds a destination back ------------------------------------------------------------------------------------


@given(SIGNALS, DICE, DICE)
def test_a_try_by_hand_that_fails_costs_nothing(signal: Signal, dice: float, luck: float) -> None:
    """What waits by itself is not made to wait longer for it, unless the service now asks for that."""
    hold = next_hold(Hold(), BUSY, 0, POLICY, dice)
    after = next_hold(hold, signal, 0, POLICY, luck, by_hand=True)
    assert after.failures == hold.failures
    if hold.until_ms > 0 and signal is not TOLD_TO_WAIT:
        assert after.until_ms <= hold.until_ms


def test_success_clears_the_hold() -> None:
    """Whatever it was."""
    held = next_hold(Hold(), PAUSED, 1_000, POLICY, 0.5)
    assert next_hold(held, WELL, 2_000, POLICY, 0.5) == Hold()
    assert not Hold().waits(0)


def test_failures_in_a_row_lengthen_the_wait() -> None:
    """By the policy's curve; `since_ms` stays where the trouble began, the problem is the newest."""
    hold = Hold()
    waits = []
    for now_ms in range(0, 5_000_000, 1_000_000):
        hold = next_hold(hold, OFFLINE, now_ms, POLICY, 0.5)
        waits.append(hold.until_ms - now_ms)
    assert waits == [500, 1_000, 2_000, 4_000, 8_000]
    assert (hold.state, hold.failures, hold.since_ms, hold.problem) == (HoldState.OFFLINE, 5, 0, OFFLINE.problem)


def test_trouble_of_another_kind_begins_anew() -> None:
    """It is shown since when it is offline, and since when it is paused; the failures go on counting."""
    offline = next_hold(Hold(), OFFLINE, 1_000, POLICY, 0.5)
    busy = next_hold(offline, BUSY, 5_000, POLICY, 0.5)
    assert (busy.since_ms, busy.failures) == (5_000, 2)


def test_a_longer_retry_after_wins_and_a_shorter_one_does_not_shorten() -> None:
    """The service's own wait is a floor under ours."""
    assert next_hold(Hold(), TOLD_TO_WAIT, 0, POLICY, 0.9).until_ms == 900_000
    long_since = Hold(HoldState.BACKING_OFF, 30)
    asked = Signal(HoldState.BACKING_OFF, BUSY.problem, 1.0)
    assert next_hold(long_since, asked, 0, POLICY, 0.9).until_ms == 270_000


def test_by_hand_skips_our_wait_and_not_the_services() -> None:
    """A sync by hand means now, except where the service has said when."""
    ours = next_hold(Hold(), BUSY, 0, POLICY, 0.9)
    theirs = next_hold(Hold(), TOLD_TO_WAIT, 0, POLICY, 0.9)
    assert (ours.waits(1), ours.waits(1, by_hand=True)) == (True, False)
    assert (theirs.waits(899_999, by_hand=True), theirs.waits(900_000, by_hand=True)) == (True, False)


def test_a_paused_destination_is_probed_at_a_fixed_pace() -> None:
    """An operator has to mend it: neither faster for being new nor slower for being old."""
    hold = Hold()
    for now_ms in range(0, 10_000_000, 1_000_000):
        hold = next_hold(hold, PAUSED, now_ms, POLICY, 0.01)
        assert hold.until_ms == now_ms + POLICY.probe_seconds * 1000


@given(st.lists(st.tuples(SIGNALS, st.integers(0, 10**6), DICE), min_size=1, max_size=20))
def test_a_hold_is_bounded_and_always_says_why(steps: list[tuple[Signal, int, float]]) -> None:
    """Over any series of failures: a wait that ends, never in the past, with the last reason and its moments."""
    hold, now_ms = Hold(), 0
    for signal, passed_ms, dice in steps:
        now_ms += passed_ms
        before = hold
        hold = next_hold(hold, signal, now_ms, POLICY, dice)
        assert (hold.state, hold.problem, hold.tried_ms) == (signal.state, signal.problem, now_ms)
        assert now_ms <= hold.until_ms <= now_ms + RETRY_AFTER_SECONDS_MAX * 1000
        assert hold.asked_until_ms == now_ms + round((signal.retry_after_seconds or 0) * 1000)
        assert hold.failures == before.failures + 1
        assert hold.since_ms in (before.since_ms, now_ms)


def test_the_worst_of_a_turn_decides() -> None:
    """A pause over a backoff over being offline over success; of two backoffs the one that is asked to wait longer."""
    assert worst([]) is None
    assert worst([WELL, OFFLINE]) is OFFLINE
    assert worst([BUSY, OFFLINE, WELL]) is BUSY
    assert worst([PAUSED, TOLD_TO_WAIT]) == replace(PAUSED, retry_after_seconds=900.0), "a wait asked for is kept"
    assert worst([BUSY, TOLD_TO_WAIT, BUSY]) is TOLD_TO_WAIT
