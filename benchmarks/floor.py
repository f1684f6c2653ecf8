"""The floor: what sqlite3 itself does with one table, in the settings that durability asks for."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from events import encode_plainly

FULL = "PRAGMA synchronous = FULL"

Event = Mapping[str, Any]


class Raw:
    """The floor, what sqlite3 itself does with one table: json.dumps, BEGIN IMMEDIATE, INSERT, COMMIT."""

    def __init__(self, directory: Path) -> None:
        self.connection = sqlite3.connect(directory / "floor.db", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute(FULL)
        self.connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, created REAL, payload TEXT)")

    def put(self, event: Event) -> int | None:
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        cursor = execute("INSERT INTO events (created, payload) VALUES (?, ?)", (time.time(), encode_plainly(event)))
        execute("COMMIT")
        return cursor.lastrowid

    def put_many(self, events: Iterable[Event]) -> None:
        rows = ((time.time(), encode_plainly(event)) for event in events)
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany("INSERT INTO events (created, payload) VALUES (?, ?)", rows)
        self.connection.execute("COMMIT")

    def close(self) -> None:
        self.connection.close()
