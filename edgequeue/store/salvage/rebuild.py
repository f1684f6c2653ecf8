"""A new database from what can be read of a damaged one. The damaged files are read and not touched."""

from __future__ import annotations

import os
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from edgequeue.model import Problem
from edgequeue.store.encoding import encode_problem
from edgequeue.store.mark import read_mark
from edgequeue.store.salvage import states
from edgequeue.store.salvage.copying import Copied, copy_rows
from edgequeue.store.salvage.detect import Suspicion
from edgequeue.store.salvage.image import Image
from edgequeue.store.salvage.naming import name_destinations
from edgequeue.store.schema import create_file, ensure_schema
from edgequeue.store.sqlite import Database
from edgequeue.store.upkeep import new_queue_id, stamp
from edgequeue.views import MORE_LOST

_SALVAGED = Problem("not_recorded", "the file was damaged before the answer was recorded")

_ID_IN_PAYLOAD = re.compile(rb'"(?:_id|command_id)":"([0-9a-z]{8})-(\d{12})-([0-9a-f]{16})"')


@dataclass(frozen=True, slots=True)
class Salvage:
    """What came of it: `events` are back, `lost` are counted, `place` is where the damaged file is kept, `reason` what
    was wrong.
    """

    events: int
    lost: int
    place: Path
    reason: str


def rebuild(
    damaged: Path, target: Path, place: Path, found: Suspicion, *, wall_ms: int, least_mark: int = 0
) -> Salvage:
    """Make `target`, a new database, from `damaged`, of which `found` says what is wrong; `place` is where the damaged
    file is going to be kept, and `least_mark` a sequence that is known to have been given.

    Raises StoreError and its kin, and OSError; `target` is then worth nothing.
    """
    create_file(target)
    database = Database(target)
    try:
        ensure_schema(database)
        database.let_go()  # the journal's mode changes only for who is alone
        with Image(damaged, with_log=found.with_log, memory=found.memory) as image:
            connection = database.connect()
            try:
                made = _fill(connection, image, damaged, place, found.reason, wall_ms, least_mark)
            finally:
                connection.close()
    finally:
        database.close()
    descriptor = os.open(target, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return made


def _fill(
    connection: sqlite3.Connection,
    image: Image,
    damaged: Path,
    place: Path,
    reason: str,
    wall_ms: int,
    least_mark: int,
) -> Salvage:
    was_open = least_mark > 0
    # Whatever happens to this file before it is whole, it is made again: no log, no flush until the end.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN IMMEDIATE")
    copied = copy_rows(image, connection)
    marked = read_mark(damaged)
    if marked is not None and copied.queue_id in (marked[0], None):
        copied.queue_id = marked[0]
        least_mark = max(least_mark, marked[1])
    flawed = bool(image.log.fault or image.missing or copied.unread_pages or copied.bad_rows)
    lost = _settle(connection, image, copied, damaged, least_mark)
    events = connection.execute("SELECT count(*) FROM events").fetchone()[0]
    where = states.gap_words(copied.gaps) if flawed else ""
    end_is_gone = image.log.cut or (flawed and any(high is None for _, high in copied.gaps["events"]))
    if was_open:  # then we know what was given
        end_is_gone = False
    parts = (reason, image.log.fault, where and f"in {where}", MORE_LOST if end_is_gone else "")
    words = "; ".join(dict.fromkeys(one for one in parts if one))
    mark = connection.execute("SELECT pruned_through FROM queue").fetchone()[0]
    row = (copied.queue_id, mark, wall_ms, events, lost.all, lost.unplaced, str(place), words)
    connection.execute(
        "INSERT INTO salvages SELECT coalesce(max(number), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ? FROM salvages", row
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")
    return Salvage(events, lost.all, place, words)


@dataclass(frozen=True, slots=True)
class _Lost:
    """How many events are lost by this damage, and how many of them nobody knows the destination of."""

    all: int
    unplaced: int


def _settle(connection: sqlite3.Connection, image: Image, copied: Copied, damaged: Path, least_mark: int) -> _Lost:
    """States, books and the queue's own row."""
    known = [number for (number,) in connection.execute("SELECT id FROM destinations")]
    before = connection.execute("SELECT coalesce(sum(lost), 0) FROM destinations").fetchone()[0]
    mark = max(states.high_water_mark(connection, copied, image.page_bytes // 16), least_mark)
    states.drop_impossible(connection, mark)
    name_destinations(connection, copied.names, damaged)
    copied.queue_id = copied.queue_id or _queue_id_in_payloads(connection) or new_queue_id()
    now_ms = connection.execute("SELECT coalesce(max(enqueued_ms), 0) FROM events").fetchone()[0]
    states.settle_adrift(connection)
    revived = states.settle_stateless(connection, copied, now_ms)
    states.settle_bodiless(connection, now_ms)
    states.close_requests(connection, encode_problem(_SALVAGED) or "")
    numbers = [number for (number,) in connection.execute("SELECT id FROM destinations")]
    for number in numbers:
        if number not in known:
            states.recount(connection, number)
    old_unplaced = connection.execute("SELECT coalesce(sum(unplaced), 0) FROM salvages").fetchone()[0]
    rest = mark - states.accounted(connection) - old_unplaced
    if rest < 0 and copied.pruned_through is not None:  # the mark is good, so the counts are not
        for number in numbers:
            states.recount(connection, number)
        rest = mark - states.accounted(connection) - old_unplaced
    elif rest < 0:
        rest += states.uncount(connection, revived, -rest)
    mark, rest = max(mark, mark - rest), max(rest, 0)
    unplaced = rest
    if len(numbers) == 1:
        connection.execute("UPDATE destinations SET lost = lost + ?", (rest,))
        unplaced = 0
    fresh = new_queue_id()
    connection.execute("INSERT INTO queue (id, queue_id, pruned_through) VALUES (1, ?, ?)", (fresh, mark))
    stamp(connection, fresh)
    after = connection.execute("SELECT coalesce(sum(lost), 0) FROM destinations").fetchone()[0]
    return _Lost(max(after - before, 0) + unplaced, unplaced)


def _queue_id_in_payloads(connection: sqlite3.Connection) -> str | None:
    """The queue's id as the events bear it that had none of their own."""
    for sequence, nonce, payload in connection.execute("SELECT sequence, nonce, payload FROM events"):
        for found in _ID_IN_PAYLOAD.finditer(payload):
            if int(found[2]) == sequence and int(found[3], 16) == nonce & 0xFFFFFFFFFFFFFFFF:
                return found[1].decode()
    return None
