"""Time that a wrong clock cannot fool.

The *queue clock* counts milliseconds: a base plus CLOCK_BOOTTIME (which runs through suspend and which nobody can
set). It never goes backwards, and leases, backoff, retention and ages use it alone. A wall-clock time is kept per
boot as an offset, for display: when the wall clock is set right, every event of that boot is shown at the right time.
Across a power-off the time that passed is unknown unless the wall clock is trusted; the queue clock then stands still.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

OFFSET_STEP_MS = 2_000
"""A wall clock that moved less than this against the queue clock is drift, not a step: not worth a write."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NTP_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_TIMEX_BYTES = 512
"""More than any kernel's struct timex (208 bytes on 64-bit Linux)."""
_TIME_ERROR = 5
"""adjtimex's answer for a clock that nothing keeps right (adjtimex(2))."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class Clock(Protocol):
    """What edgequeue asks of time. `edgequeue.testing.ManualClock` is the other implementation."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 as the device believes; may be wrong and may jump."""

    def boot_ms(self) -> int:
        """Milliseconds since boot, including suspend; never set by anybody."""

    def boot_id(self) -> str:
        """Different for each boot of the machine."""

    def wall_trusted(self) -> bool:
        """Whether something outside the device (NTP) vouches for the wall clock."""


class SystemClock:
    """The machine's clocks."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def boot_ms(self) -> int:
        return _boot_ns() // 1_000_000

    def boot_id(self) -> str:
        try:
            return _BOOT_ID.read_text().strip()
        except OSError:
            # Without a kernel id (macOS, Windows) the moment of boot, to the minute, tells one boot from the next;
            # a wall clock that is stepped then looks like a reboot, which costs nothing but a row.
            return f"{sys.platform}-{(self.wall_ms() - self.boot_ms()) // 60_000}"

    def wall_trusted(self) -> bool:
        """What the kernel says, where it can be asked: it takes its word back when somebody sets the clock by hand, and
        when no NTP client was heard for some nine hours. The file of systemd-timesyncd stays in both cases.
        """
        synchronised = _kernel_synchronised()
        return _NTP_SYNCHRONISED.exists() if synchronised is None else synchronised


def _kernel_synchronised() -> bool | None:
    """Whether an NTP client has told the kernel that the clock is right (adjtimex, as all of them do); None where the
    kernel does not say.
    """
    if not sys.platform.startswith("linux"):
        return None
    import ctypes  # only who asks about the clock pays for it

    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    query = ctypes.create_string_buffer(_TIMEX_BYTES)  # all zeros: modes = 0, which only asks
    state = int(adjtimex(query))
    return None if state < 0 else state < _TIME_ERROR


if hasattr(time, "CLOCK_BOOTTIME"):

    def _boot_ns() -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

else:  # elsewhere the monotonic clock counts from boot as well

    def _boot_ns() -> int:
        return time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot of the device. `base_ms` + boot time is queue time, queue time + `wall_offset_ms` is wall time."""

    number: int
    boot_id: str
    started_ms: int
    base_ms: int
    wall_offset_ms: int
    trusted: bool


def next_boot(previous: Boot | None, last_seen_ms: int, clock: Clock) -> Boot:
    """The boot that begins now, for a queue whose newest known queue time is `last_seen_ms`.

    The power-off counts as time only where both wall clocks are trusted; else the queue clock goes on from the last
    moment known, so that ages are a lower bound and the rest of a Retry-After is served again.
    """
    wall_ms, trusted = clock.wall_ms(), clock.wall_trusted()
    started_ms = last_seen_ms
    if previous is not None and previous.trusted and trusted:
        started_ms = max(last_seen_ms, wall_ms - previous.wall_offset_ms)
    return Boot(
        number=previous.number + 1 if previous else 1,
        boot_id=clock.boot_id(),
        started_ms=started_ms,
        base_ms=started_ms - clock.boot_ms(),
        wall_offset_ms=wall_ms - started_ms,
        trusted=trusted,
    )


def corrected_boot(boot: Boot, clock: Clock) -> Boot:
    """The same boot with the wall clock as it is now; the same object when it has not been stepped."""
    offset_ms = clock.wall_ms() - (boot.base_ms + clock.boot_ms())
    trusted = clock.wall_trusted()
    if abs(offset_ms - boot.wall_offset_ms) < OFFSET_STEP_MS and trusted == boot.trusted:
        return boot
    return replace(boot, wall_offset_ms=offset_ms, trusted=trusted)


class QueueClock:
    """Queue time for one open queue, in milliseconds."""

    def __init__(self, boot: Boot, clock: Clock) -> None:
        self.boot = boot
        self._clock = clock

    def now_ms(self) -> int:
        """The queue time of this moment; never less than before, whatever is done to the wall clock."""
        return self.boot.base_ms + self._clock.boot_ms()

    def wall_ms(self) -> int:
        """The device's wall clock as it is now."""
        return self._clock.wall_ms()

    def stepped(self) -> Boot | None:
        """This boot with its corrected wall offset when the wall clock was stepped, else None."""
        corrected = corrected_boot(self.boot, self._clock)
        return None if corrected is self.boot else corrected


def wall_time(queue_ms: int, boots: Sequence[Boot]) -> datetime:
    """When a queue time was, by the wall clock of its boot. `boots` are in order and not empty.

    The moment at which a boot began is the last one known of the boot before: what happened then happened before it.
    """
    boot = next((boot for boot in reversed(boots) if boot.started_ms < queue_ms), boots[0])
    return moment(queue_ms + boot.wall_offset_ms)


def queue_time(wall_ms: int, boots: Sequence[Boot]) -> int:
    """The queue time at which a wall clock showed `wall_ms`: of the last boot that had begun by then."""
    begun = (boot for boot in reversed(boots) if boot.started_ms + boot.wall_offset_ms <= wall_ms)
    return wall_ms - next(begun, boots[0]).wall_offset_ms


def moment(wall_ms: int) -> datetime:
    """A wall-clock time in milliseconds as an aware datetime in UTC."""
    try:
        return _EPOCH + timedelta(milliseconds=wall_ms)
    except OverflowError:  # a clock far beyond the calendar's end is shown as its end
        return _LATEST if wall_ms > 0 else _EARLIEST


def in_zone(moment: datetime) -> datetime:
    """A time in the device's zone; in UTC where TZ names one that there is not (`TZ=XYZ+25`). Naive times are local."""
    try:
        return moment.astimezone()
    except (ValueError, OverflowError):
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
