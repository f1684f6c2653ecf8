"""The machine: its clocks, which may lie, and the time that has really passed, which only the test knows."""

from __future__ import annotations

from random import Random

from edgequeue.testing import ManualClock

STEPS_SECONDS = (-40_000_000.0, -7200.0, -3.0, 3.0, 3600.0, 86_400.0, 400_000_000.0)
OFF_SECONDS = (0.0, 5.0, 600.0, 90_000.0)


class Machine(ManualClock):
    """A `ManualClock` that knows the true time, milliseconds since the world began."""

    def __init__(self) -> None:
        super().__init__()
        self.true_ms = 0
        self._began_ms = self.wall_ms()

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self.true_ms += round(seconds * 1000)

    def reboot(self, off_seconds: float = 0.0) -> None:
        super().reboot(off_seconds)
        self.true_ms += round(off_seconds * 1000)

    def power_cut(self, dice: Random, clock: str) -> None:
        """Off for a while and on again, with what the wall clock then says: right, behind, ahead, or in 1970."""
        self.reboot(dice.choice(OFF_SECONDS))
        self.trust(False)
        if clock == "lying":
            self._set_wall(dice.choice((self.wall_ms() - 90_000_000, 0, self.wall_ms() + 90_000_000)))

    def step(self, dice: Random) -> None:
        """Somebody sets the clock wrong."""
        if not self.wall_trusted():
            self.step_wall(dice.choice(STEPS_SECONDS))

    def synchronise(self) -> None:
        """NTP sets the clock right, and vouches for it until the next power cut."""
        self._set_wall(self._began_ms + self.true_ms)
        self.trust(True)

    def _set_wall(self, wall_ms: int) -> None:
        self.step_wall((wall_ms - self.wall_ms()) / 1000)
