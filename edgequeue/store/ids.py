"""Which queue minted an event's id: this one, or one whose file was damaged and salvaged into it.

The sequence goes on through a salvage while the queue's id changes, so a sequence tells whose it is. Pure.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from edgequeue.model import format_event_id

NONCE = 0xFFFFFFFFFFFFFFFF
"""A nonce is 64 bits without a sign; SQLite keeps them with one."""


class QueueIds(NamedTuple):
    """`earlier`: (last sequence, id) of the queues before, in order."""

    current: str
    earlier: tuple[tuple[int, str], ...] = ()

    def of(self, sequence: int) -> str:
        """The id of the queue that gave this sequence."""
        return next((queue_id for through, queue_id in self.earlier if sequence <= through), self.current)

    def event_id(self, sequence: int, nonce: int) -> str:
        """The public id of an event."""
        return format_event_id(self.of(sequence), sequence, nonce & NONCE)

    def __contains__(self, queue_id: object) -> bool:
        return queue_id == self.current or any(queue_id == one for _, one in self.earlier)


def read_ids(connection: sqlite3.Connection, current: str) -> QueueIds:
    """The ids of this queue and of those salvaged into it."""
    rows = connection.execute("SELECT through, queue_id FROM salvages ORDER BY number")
    return QueueIds(current, tuple((int(through), str(queue_id)) for through, queue_id in rows))
