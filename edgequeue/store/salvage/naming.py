"""Names of destinations that lost their row. A wrong name is worse than none: it sends events to somebody else."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Mapping
from glob import escape
from pathlib import Path

from edgequeue.store.books import UNKNOWN_TYPE, unnamed
from edgequeue.store.salvage.shapes import is_revision

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""What the configuration takes for a name (`destinations/base.py`)."""


def name_destinations(connection: sqlite3.Connection, indexed: Mapping[int, str], damaged: Path) -> None:
    """Rows for destinations that lost theirs. The name stands in an index too (`indexed`, by number), and in the names
    of lease files. Where neither tells it, it is `unnamed`, until the configuration does (`Books.adopt`).
    """
    query = """
        SELECT destination FROM events UNION SELECT destination FROM pending UNION SELECT destination FROM endings
        UNION SELECT destination FROM requests
    """
    there = dict(connection.execute("SELECT id, name FROM destinations"))
    leases = _leases(damaged)
    names = {
        number: name
        for number, name in indexed.items()
        if number not in there and name not in there.values() and _is_name(name, leases)
    }
    numbers = {number for (number,) in connection.execute(query)} - there.keys()
    nameless = sorted(numbers - names.keys())
    free = leases - {*there.values(), *names.values()}
    for number in nameless:
        names[number] = free.pop() if len(nameless) == len(free) == 1 else unnamed(number)
    connection.executemany(
        "INSERT OR IGNORE INTO destinations (id, name, type) VALUES (?, ?, ?)",
        [(number, name, UNKNOWN_TYPE) for number, name in sorted(names.items())],
    )


def _leases(damaged: Path) -> set[str]:
    """The names for which a worker once took the lease."""
    prefix, suffix = f"{damaged.name}.", ".lease"
    return {one.name[len(prefix) : -len(suffix)] for one in damaged.parent.glob(f"{escape(damaged.name)}.*.lease")}


def _is_name(text: str, leases: Collection[str]) -> bool:
    """Whether it can be a destination's. A revision of the schema stands in an index of the same shape, so what looks
    like one needs a lease for a witness.
    """
    return _NAME.fullmatch(text) is not None and (text in leases or not is_revision(text))
