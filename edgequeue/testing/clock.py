"""A clock that stands still until it is moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 21, 4, 41, 18, 123_000, tzinfo=UTC)
"""What a new `ManualClock` shows: the same in every test, and no round number."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class ManualClock:
    """A machine's clocks in the hands of a test: time passes only when `advance` is called."""

    def __init__(self, wall: datetime = START, *, uptime_seconds: float = 100.0, trusted: bool = False) -> None:
        self._wall_ms = (wall - _EPOCH) // _MILLISECOND
        self._boot_ms = _milliseconds(uptime_seconds)
        self._boots = 1
        self._trusted = trusted

    def wall_ms(self) -> int:
        """Milliseconds since 1970 as the device believes."""
        return self._wall_ms

    def boot_ms(self) -> int:
        """Milliseconds since boot."""
        return self._boot_ms

    def boot_id(self) -> str:
        """Another one after each `reboot`."""
        return f"boot-{self._boots}"

    def wall_trusted(self) -> bool:
        """What `trust` was told."""
        return self._trusted

    def advance(self, seconds: float) -> None:
        """Time passes, for all clocks alike."""
        if seconds < 0:
            raise ValueError("time does not go backwards; step_wall sets the wall clock back")
        self._wall_ms += _milliseconds(seconds)
        self._boot_ms += _milliseconds(seconds)

    def step_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock, forwards or back; no time passes."""
        self._wall_ms += _milliseconds(seconds)

    def reboot(self, off_seconds: float = 0.0) -> None:
        """The machine was off for a while and has just started. Its wall clock went on; use `step_wall` if it did not.

        A process does not live through this: open the queue anew.
        """
        if off_seconds < 0:
            raise ValueError("a machine is off for 0 seconds or more")
        self._boots += 1
        self._boot_ms = 0
        self._wall_ms += _milliseconds(off_seconds)

    def trust(self, trusted: bool) -> None:
        """Whether something outside the device vouches for the wall clock from now on."""
        self._trusted = trusted


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
