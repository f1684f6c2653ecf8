"""How many requests are sent at once: one more while that costs nothing, half as many when it does (AIMD).

Pure. A service that asks for patience, and a line or a service that becomes slower by what is sent at once, are given
less; `requests_in_flight_max` is the most that is ever tried.

A lap is as many answers as requests may be on their way at once; it takes as long as the slowest of them.
"""

from __future__ import annotations

from typing import NamedTuple

FIRST = 16
"""Requests at once to begin with, where `requests_in_flight_max` allows so many; one that is larger is worked up to. To
begin with 4 and double cost a drain of 320 requests (300 ms an answer) a tenth of its time."""

SLOWER_MAX = 2.0
"""A lap may take so many times as long as the shortest of late: with more, more at once brings nothing."""

SLACK_MS = 100
"""So much more is never held against anybody: the noise of a busy machine."""

FORGETTING = 1.02
"""By so much the shortest lap grows with each lap: after 35 a way that has become slower for good is the measure."""


class Window(NamedTuple):
    """`size`: requests at once. `least_ms`: the shortest lap of late, None before the first. `doubling`: the size was
    never too large so far.
    """

    size: int = FIRST
    least_ms: float | None = None
    doubling: bool = True


def after_lap(window: Window, *, sent: int, took_ms: int, strained: bool, size_max: int) -> Window:
    """The window after a lap of `sent` requests that took `took_ms`; `strained`: somebody asked for less, or a request
    was not answered in time. A lap that did not fill the window says nothing for a larger one.
    """
    size = min(window.size, size_max)
    if strained:
        return window._replace(size=max(size // 2, 1), doubling=False) if sent > 1 else window._replace(size=size)
    least_ms = float(took_ms) if window.least_ms is None else min(window.least_ms * FORGETTING, took_ms)
    if sent > 1 and took_ms > least_ms * SLOWER_MAX + SLACK_MS:
        return Window(max(size // 2, 1), least_ms, doubling=False)
    if sent < size:
        return Window(size, least_ms, window.doubling)
    return Window(min(size * 2 if window.doubling else size + 1, size_max), least_ms, window.doubling)
