"""Which file a name stands for at this moment: after a salvage it is another one, and who has the old one open must
not write to it any more.
"""

from __future__ import annotations

import os
from pathlib import Path

Identity = tuple[int, int]
"""(device, inode)"""


def identity(path: Path | str) -> Identity | None:
    """The file of that name, None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 (asked at every put: Path.stat costs 0.6 us more)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def plan_path(database: Path) -> Path:
    """The lock file of whoever salvages; while files are being exchanged it says which."""
    return database.with_name(f"{database.name}.salvage")


def in_exchange(database: Path) -> bool:
    """Whether files are being exchanged, or an exchange was interrupted."""
    try:
        return plan_path(database).stat().st_size > 0
    except FileNotFoundError:
        return False
