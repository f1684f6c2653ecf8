"""What the shared memory beside a log says of it, when whoever had it open was killed. Pure but for the reading.

A kill leaves the file as it was at the last commit, so a log that holds less than it says is damaged. A power cut may
leave any older state of it, which says less than the log holds, or speaks of another log
(https://www.sqlite.org/walformat.html, section 2.1).
"""

from __future__ import annotations

import sys
from pathlib import Path
from struct import unpack_from
from typing import NamedTuple

from edgequeue.store.salvage.log import checksum

_COPY_BYTES, _SUMMED_BYTES, _READ_BYTES = 48, 40, 132
_COPIED_AT, _ATTEMPTED_AT = 96, 128
"""The header is there twice, with a checksum at its end; then comes how much of the log was copied back, and after the
marks and locks of the readers how much was going to be.
"""

_ORDER = "<" if sys.byteorder == "little" else ">"


class Memory(NamedTuple):
    """`frames`: how many the log has up to the last commit; `copied`: how many of them stand in the database as well;
    `attempted`: of how many some may; `salts`: those of the log that is meant.
    """

    frames: int
    copied: int
    attempted: int
    salts: bytes

    @property
    def mixed(self) -> bool:
        """Whether the database was in the middle of being brought up to date."""
        return self.attempted > self.copied

    @property
    def owes(self) -> bool:
        """Whether the log holds what the database does not."""
        return self.frames > self.copied


def read_memory(database: Path) -> Memory | None:
    """None where there is none, or it contradicts itself. Not while this process has the database open: closing the
    file gives up SQLite's locks on it.
    """
    try:
        with database.with_name(f"{database.name}-shm").open("rb") as file:
            data = file.read(_READ_BYTES)
    except OSError:
        return None
    if len(data) < _READ_BYTES or data[:_COPY_BYTES] != data[_COPY_BYTES : 2 * _COPY_BYTES] or not data[12]:
        return None
    if checksum(data[:_SUMMED_BYTES], (0, 0), _ORDER) != unpack_from("=2I", data, _SUMMED_BYTES):
        return None
    frames, copied, attempted = (unpack_from("=I", data, at)[0] for at in (16, _COPIED_AT, _ATTEMPTED_AT))
    return Memory(frames, copied, max(copied, attempted), data[32:40])
