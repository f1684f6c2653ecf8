"""Queue time: never backwards, whatever is done to the wall clock; and the wall time of a queue time, for display."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

import edgequeue.clock
from edgequeue.clock import (
    OFFSET_STEP_MS,
    Boot,
    QueueClock,
    SystemClock,
    corrected_boot,
    in_zone,
    moment,
    next_boot,
    wall_time,
)
from edgequeue.testing import ManualClock

SECONDS = st.floats(0, 10**6, allow_nan=False).map(lambda value: round(value, 3))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), SECONDS),
        st.tuples(st.just("step_wall"), st.floats(-(10**9), 10**9).map(lambda value: round(value, 3))),
        st.tuples(st.just("reboot"), SECONDS),
        st.tuples(st.just("trust"), st.booleans()),
        st.tuples(st.just("note"), st.none()),
    ),
    max_size=30,
)


@given(STEPS)
def test_queue_time_never_goes_backwards(steps: list[tuple[str, object]]) -> None:
    """Over any series of wall-clock steps, reboots, corrections and changes of trust."""
    clock = ManualClock()
    queue = QueueClock(next_boot(None, 0, clock), clock)
    boots = [queue.boot]
    seen = [queue.now_ms()]
    for name, value in steps:
        if name == "note":
            stepped = queue.stepped()
            if stepped is not None:
                queue.boot = boots[-1] = stepped
        else:
            getattr(clock, name)(value)
            if name == "reboot":
                queue = QueueClock(next_boot(queue.boot, seen[-1], clock), clock)
                boots.append(queue.boot)
        seen.append(queue.now_ms())
    assert all(before <= after for before, after in pairwise(seen))
    assert [boot.number for boot in boots] == list(range(1, len(boots) + 1))
    assert all(before.started_ms <= after.started_ms for before, after in pairwise(boots))


@given(SECONDS, st.floats(-(10**9), 10**9))
def test_a_step_of_the_wall_clock_is_no_time(passed: float, stepped: float) -> None:
    """Only what passes passes."""
    clock = ManualClock()
    queue = QueueClock(next_boot(None, 0, clock), clock)
    clock.advance(passed)
    clock.step_wall(stepped)
    assert queue.now_ms() == round(passed * 1000)
    assert queue.wall_ms() == clock.wall_ms()


@pytest.mark.parametrize(
    ("before", "after", "passed_ms"), [(True, True, 3_600_000), (True, False, 0), (False, True, 0), (False, False, 0)]
)
def test_a_power_off_counts_only_between_trusted_clocks(before: bool, after: bool, passed_ms: int) -> None:
    """Else nobody knows how long it was, and the queue goes on from the last moment it knows."""
    clock = ManualClock(trusted=before)
    first = next_boot(None, 0, clock)
    clock.advance(10)
    clock.trust(after)
    clock.reboot(3_600)
    second = next_boot(first, 10_000, clock)
    assert (second.number, second.started_ms) == (2, 10_000 + passed_ms)


def test_a_trusted_clock_that_says_less_than_is_known_does_not_set_time_back() -> None:
    """What has been written down has happened."""
    clock = ManualClock(trusted=True)
    first = next_boot(None, 0, clock)
    clock.reboot()
    assert next_boot(first, 50_000, clock).started_ms == 50_000


def test_drift_is_no_step() -> None:
    """A wall clock that is a little off is not worth a write; one that jumped, or is vouched for now, is."""
    clock = ManualClock()
    boot = next_boot(None, 0, clock)
    queue = QueueClock(boot, clock)
    clock.step_wall((OFFSET_STEP_MS - 1) / 1000)
    assert corrected_boot(boot, clock) is boot
    assert queue.stepped() is None
    clock.step_wall(0.001)
    stepped = queue.stepped()
    assert stepped is not None
    assert stepped.wall_offset_ms == boot.wall_offset_ms + OFFSET_STEP_MS
    assert (stepped.base_ms, stepped.started_ms) == (boot.base_ms, boot.started_ms)
    clock.step_wall(-OFFSET_STEP_MS / 1000)
    clock.trust(True)
    trusted = queue.stepped()
    assert trusted is not None
    assert trusted.trusted


@given(SECONDS, st.floats(-(10**8), 10**8))
def test_a_corrected_boot_shows_the_wall_clock_as_it_is(passed: float, stepped: float) -> None:
    """To within what counts as drift."""
    clock = ManualClock()
    queue = QueueClock(next_boot(None, 0, clock), clock)
    clock.advance(passed)
    clock.step_wall(stepped)
    queue.boot = queue.stepped() or queue.boot
    shown = wall_time(queue.now_ms(), [queue.boot])
    assert abs(shown - moment(clock.wall_ms())) < timedelta(milliseconds=OFFSET_STEP_MS)


def test_each_queue_time_is_shown_by_the_clock_of_its_own_boot() -> None:
    """Also before the first, and at the very moment a boot began: that is the last one known of the boot before, and
    what was written down then (the last answer before the power went) must not move to the time when it came back.
    """
    boots = [
        Boot(1, "a", started_ms=100, base_ms=0, wall_offset_ms=1_000_000, trusted=False),
        Boot(2, "b", started_ms=500, base_ms=0, wall_offset_ms=9_000_000, trusted=False),
    ]
    shown = [wall_time(queue_ms, boots) for queue_ms in (0, 100, 499, 500, 501, 10_000)]
    assert shown == [moment(wall_ms) for wall_ms in (1_000_000, 1_000_100, 1_000_499, 1_000_500, 9_000_501, 9_010_000)]


def test_a_moment_is_aware_and_exact() -> None:
    """To the millisecond, in UTC, before 1970 too."""
    assert moment(1_795_236_078_123) == datetime(2026, 11, 21, 4, 41, 18, 123_000, tzinfo=UTC)
    assert moment(-1) == datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)


def test_the_machines_own_clocks() -> None:
    """Boot time rises, the boot's id stays, and the wall clock is some time after this was written."""
    clock = SystemClock()
    first = clock.boot_ms()
    assert first > 0
    assert clock.boot_ms() >= first
    assert clock.boot_id() == SystemClock().boot_id() != ""
    assert clock.wall_ms() > 1_700_000_000_000
    assert clock.wall_trusted() in (True, False)


def test_suspend_counts_and_a_set_clock_does_not() -> None:
    """CLOCK_BOOTTIME, where there is one: a laptop that slept through a wait has waited. Whatever time.time says."""
    clock = SystemClock()
    before = clock.boot_ms()
    with freeze_time("1970-01-01"):
        assert clock.wall_ms() == 0
        assert clock.boot_ms() >= before
        if hasattr(time, "CLOCK_BOOTTIME"):
            assert abs(clock.boot_ms() - time.clock_gettime(time.CLOCK_BOOTTIME) * 1000) < 60_000


@pytest.mark.parametrize(("kernel", "file", "trusted"), [(True, False, True), (False, True, False), (None, True, True)])
def test_the_kernel_knows_best_whether_the_clock_is_vouched_for(
    kernel: bool | None, file: bool, trusted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file that systemd-timesyncd leaves outlives a `date -s`; the kernel takes its word back then. A clock that
    was set wrong by hand must not make years of a power-off.
    """
    monkeypatch.setattr(edgequeue.clock, "_kernel_synchronised", lambda: kernel)
    monkeypatch.setattr(edgequeue.clock, "_NTP_SYNCHRONISED", tmp_path / "synchronized")
    if file:
        (tmp_path / "synchronized").touch()
    assert SystemClock().wall_trusted() is trusted


# --- the clock of tests -----------------------------------------------------------------------------------------------


def test_a_manual_clock_stands_still() -> None:
    """Time passes when it is told to, and not backwards."""
    clock = ManualClock()
    assert (clock.wall_ms(), clock.boot_ms(), clock.boot_id()) == (1_795_236_078_123, 100_000, "boot-1")
    clock.advance(1.5)
    clock.step_wall(-60)
    assert (clock.wall_ms(), clock.boot_ms()) == (1_795_236_078_123 + 1_500 - 60_000, 101_500)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_a_manual_clock_reboots() -> None:
    """Another boot id, boot time from 0, and a wall clock that went on."""
    clock = ManualClock(datetime(2020, 1, 1, tzinfo=UTC), trusted=True)
    before = clock.wall_ms()
    clock.reboot(60)
    assert (clock.boot_id(), clock.boot_ms(), clock.wall_ms() - before) == ("boot-2", 0, 60_000)
    assert clock.wall_trusted()
    with pytest.raises(ValueError, match="0 seconds or more"):
        clock.reboot(-1)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone cannot be set here")
@pytest.mark.parametrize(("zone", "shown"), [("XYZ+25", "12:00 UTC"), ("CET-1", "13:00 CET")])
def test_a_time_zone_that_there_is_not_is_no_error(monkeypatch: pytest.MonkeyPatch, zone: str, shown: str) -> None:
    """Technicians mistype TZ; times are shown in UTC then."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert f"{in_zone(datetime(2026, 1, 1, 12, tzinfo=UTC)):%H:%M %Z}" == shown
        assert in_zone(datetime(2026, 1, 1, 12)).tzinfo is not None  # noqa: DTZ001 (a naive one is meant)
    finally:
        monkeypatch.undo()
        time.tzset()
