"""Tries by hand: now, and at no cost to what waits by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgequeue.model import Problem
from edgequeue.retry import Hold, HoldState, RetryPolicy, Signal, next_hold

TROUBLE = Signal(HoldState.BACKING_OFF, Problem("http_502", "bad gateway"))
POLICY = RetryPolicy()


@given(st.integers(0, 20), st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_a_failed_try_by_hand_puts_nothing_off(failures: int, left_ms: int, dice: float) -> None:
    """Neither the next try by itself nor the failures that lengthen the wait."""
    hold = Hold(HoldState.BACKING_OFF, failures=failures, until_ms=1000 + left_ms, problem=TROUBLE.problem)
    after = next_hold(hold, TROUBLE, 1000, POLICY, dice, by_hand=True)
    assert after.until_ms <= hold.until_ms
    assert after.failures == max(failures, 1)


@given(st.floats(0, 3600))
def test_a_wait_that_is_asked_for_binds_also_then(seconds: float) -> None:
    """Retry-After is the service's, whoever tried."""
    hold = Hold(HoldState.BACKING_OFF, failures=3, until_ms=1001, problem=TROUBLE.problem)
    asked = Signal(HoldState.BACKING_OFF, TROUBLE.problem, retry_after_seconds=seconds)
    after = next_hold(hold, asked, 1000, POLICY, 0.0, by_hand=True)
    assert after.asked_until_ms == 1000 + round(seconds * 1000)
    assert after.until_ms >= after.asked_until_ms
