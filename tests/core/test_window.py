"""How many requests are sent at once: AIMD on what the service says and on how long a turn takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgequeue.window import FIRST, SLACK_MS, Window, after_lap

WINDOWS = st.builds(Window, size=st.integers(1, 64), least_ms=st.none() | st.floats(0, 60_000), doubling=st.booleans())


def turns(window: Window, *took_ms: int, size_max: int = 16) -> Window:
    """After full turns that took so long."""
    for one in took_ms:
        window = after_lap(window, sent=window.size, took_ms=one, strained=False, size_max=size_max)
    return window


@given(window=WINDOWS, sent=st.integers(1, 64), took_ms=st.integers(0, 100_000), strained=st.booleans())
def test_it_stays_within_its_bounds(window: Window, sent: int, took_ms: int, strained: bool) -> None:
    """At least one request, at most what the configuration allows, whatever happens."""
    assert 1 <= after_lap(window, sent=sent, took_ms=took_ms, strained=strained, size_max=16).size <= 16


@given(window=WINDOWS, took_ms=st.integers(0, 100_000))
def test_strain_halves_it_and_ends_the_doubling(window: Window, took_ms: int) -> None:
    """Whatever the turn's length, and where more than one was sent: a lone probe that fails says nothing of it."""
    halved = after_lap(window, sent=2, took_ms=took_ms, strained=True, size_max=64)
    assert halved == window._replace(size=max(window.size // 2, 1), doubling=False)
    assert after_lap(window, sent=1, took_ms=took_ms, strained=True, size_max=64) == window


@given(window=WINDOWS, took_ms=st.integers(0, 100_000), missing=st.integers(1, 63))
def test_a_turn_that_did_not_fill_it_is_no_reason_to_grow(window: Window, took_ms: int, missing: int) -> None:
    """There was not enough to send: nothing is known of larger ones."""
    sent = max(window.size - missing, 0)
    if sent:
        assert after_lap(window, sent=sent, took_ms=took_ms, strained=False, size_max=64).size <= window.size


def test_it_doubles_until_the_first_trouble_and_adds_one_from_then_on() -> None:
    """From four to sixteen in two turns; after a strain eight, nine, ten."""
    window = turns(Window(4), 50, 50)
    assert window.size == 16
    window = after_lap(window, sent=16, took_ms=50, strained=True, size_max=16)
    assert [turns(window, *[50] * count).size for count in range(4)] == [8, 9, 10, 11]


def test_it_begins_with_all_that_most_allow() -> None:
    """Sixteen are tried at once from the first turn on; fewer where fewer are allowed, more where that goes well."""
    assert Window().size == FIRST == 16
    assert turns(Window(), 50, size_max=2).size == 2
    assert turns(Window(), 50, size_max=64).size == 32


def test_it_shrinks_when_more_at_once_only_takes_longer() -> None:
    """A line that carries one request in eight seconds: four at once take 32, and are no faster."""
    window = after_lap(Window(4), sent=1, took_ms=8000, strained=False, size_max=16)
    assert turns(window, 32_000).size == 2
    assert turns(window, 32_000, 16_000).size == 3, "twice as long is no reason to shrink"
    assert turns(window, 32_000, 16_000, 24_000).size == 1


def test_noise_is_no_reason_to_shrink() -> None:
    """Answers within milliseconds, of which one comes late because the machine was busy."""
    assert turns(Window(), 2, 2 + SLACK_MS).size == 16


def test_a_way_that_became_slower_for_good_becomes_the_measure() -> None:
    """From 50 ms to 300: it shrinks at first, and is back later."""
    window = turns(Window(), 50, 50, *[300] * 8)
    assert window.size < 8
    assert turns(window, *[300] * 80).size == 16


def test_a_smaller_bound_holds_at_once() -> None:
    """The configuration was changed: the next window is within it."""
    assert turns(Window(64), 50, size_max=3).size == 3
