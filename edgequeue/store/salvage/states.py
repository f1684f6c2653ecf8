"""What each event came to, from the rows that are left; and books that balance.

What a tree led to is believed. A row of a page adrift may be older than what became of the event, so there an
acceptance or an end on record weighs more. An event of which nothing is left but itself goes out again where its place
in the work list could not be read, or where all that could speak of its end was read and does not; otherwise it had
ended, and how is lost.
"""

from __future__ import annotations

import sqlite3
from collections import Counter

from edgequeue.model import ENDED
from edgequeue.store.salvage.copying import Copied
from edgequeue.store.salvage.trees import Gap, within

ENDINGS = tuple(state.value for state in ENDED)
COUNTERS = ("delivered", *ENDINGS)

_STATELESS = """
    SELECT e.sequence, e.destination, e.priority, a.surely FROM events e LEFT JOIN accepted a USING (sequence)
    WHERE NOT EXISTS (SELECT 1 FROM pending p
                      WHERE (p.destination, p.priority, p.sequence) = (e.destination, e.priority, e.sequence))
      AND NOT EXISTS (SELECT 1 FROM endings d WHERE d.sequence = e.sequence) AND a.surely IS NOT 1
"""
_LOST = "'lost', ?1, 0, NULL, 'damaged', 'the file was damaged: '"
_MORE_LOST = "UPDATE destinations SET lost = lost + 1 WHERE id = ?"


def drop_impossible(target: sqlite3.Connection, mark: int) -> None:
    """Rows of sequences that were never given: flipped bits of a number."""
    for table in ("events", "pending", "endings", "accepted"):
        target.execute(f"DELETE FROM {table} WHERE sequence > ?", (mark,))


def settle_adrift(target: sqlite3.Connection) -> None:
    """Old rows of the work list give way to what is known of the event's end; then ends, to the work list."""
    old = "(destination, priority, sequence) IN (SELECT destination, priority, sequence FROM pending_adrift)"
    ended = "sequence IN (SELECT sequence FROM accepted WHERE surely) OR sequence IN (SELECT sequence FROM endings)"
    target.execute(f"DELETE FROM pending WHERE {old} AND ({ended})")
    target.execute(
        "INSERT OR IGNORE INTO endings SELECT * FROM endings_adrift "
        "WHERE sequence NOT IN (SELECT sequence FROM pending) "
        "AND sequence NOT IN (SELECT sequence FROM accepted WHERE surely)"
    )
    # Twice in the work list: only the event itself says with which destination and priority.
    target.execute(
        "DELETE FROM pending WHERE EXISTS (SELECT 1 FROM events e WHERE e.sequence = pending.sequence "
        "AND (e.destination, e.priority) <> (pending.destination, pending.priority))"
    )


def settle_stateless(target: sqlite3.Connection, copied: Copied, now_ms: int) -> Counter[int]:
    """Events of which neither place nor end could be read. How many go out again, by destination."""
    revived: Counter[int] = Counter()
    gaps = copied.gaps
    all_ends_read = not (gaps["requests"] or gaps["endings"])
    adrift = {row[0] for row in target.execute("SELECT sequence FROM adrift")}
    for sequence, destination, priority, surely in target.execute(_STATELESS).fetchall():
        old = sequence in adrift and sequence <= (copied.pruned_through or 0)
        if within(gaps["pending"], (destination, priority, sequence)) or (all_ends_read and surely is None and not old):
            target.execute(
                "INSERT INTO pending (destination, priority, sequence) VALUES (?, ?, ?)",
                (destination, priority, sequence),
            )
            revived[destination] += 1
        elif surely is not None:
            continue  # covered as accepted; a refusal would have left an end or a place in the work list
        elif old:
            target.execute("DELETE FROM events WHERE sequence = ?", (sequence,))
        elif within(gaps["endings"], (sequence,)):
            target.execute(
                "INSERT INTO endings VALUES (?, ?, 'dead', ?, 0, NULL, 'damaged', ?)",
                (sequence, destination, now_ms, "how it ended could not be read: the file was damaged"),
            )
        else:
            target.execute(
                f"INSERT INTO endings SELECT ?2, ?3, {_LOST} || 'the record of its delivery could not be read'",
                (now_ms, sequence, destination),
            )
            target.execute(
                "UPDATE destinations SET delivered = max(delivered - 1, 0), lost = lost + 1 WHERE id = ?",
                (destination,),
            )
    return revived


def uncount(target: sqlite3.Connection, revived: Counter[int], excess: int) -> int:
    """Where the books hold more events than were given, those that go out again had been counted as delivered. How
    many were taken from there.
    """
    taken = 0
    for destination, count in revived.items():
        (delivered,) = target.execute("SELECT delivered FROM destinations WHERE id = ?", (destination,)).fetchone()
        less = min(count, delivered, excess - taken)
        target.execute("UPDATE destinations SET delivered = delivered - ? WHERE id = ?", (less, destination))
        taken += less
    return taken


def settle_bodiless(target: sqlite3.Connection, now_ms: int) -> None:
    """What was pending or set aside, and of which the event itself could not be read, is lost; a tombstone says so."""
    gone = "NOT EXISTS (SELECT 1 FROM events e WHERE e.sequence = {}.sequence)"
    waiting = target.execute(f"SELECT sequence, destination FROM pending WHERE {gone.format('pending')}").fetchall()
    for sequence, destination in waiting:
        target.execute(
            f"INSERT OR REPLACE INTO endings SELECT ?2, ?3, {_LOST} || 'the event could not be read'",
            (now_ms, sequence, destination),
        )
        target.execute(_MORE_LOST, (destination,))
    target.execute(f"DELETE FROM pending WHERE {gone.format('pending')}")
    ended = f"SELECT sequence, destination, state FROM endings WHERE state <> 'lost' AND {gone.format('endings')}"
    for sequence, destination, state in target.execute(ended).fetchall():
        target.execute("UPDATE endings SET state = 'lost' WHERE sequence = ?", (sequence,))
        less = f"{state} = max({state} - 1, 0)"
        target.execute(f"UPDATE destinations SET {less}, lost = lost + 1 WHERE id = ?", (destination,))


def close_requests(target: sqlite3.Connection, error: str) -> None:
    """What was under way has an unknown outcome; an answer that comes after all is still applied."""
    target.execute(
        "UPDATE requests SET closed_ms = opened_ms, outcome = 'unknown', disposition = 'unknown', error = ? "
        "WHERE closed_ms IS NULL",
        (error,),
    )


def recount(target: sqlite3.Connection, destination: int) -> None:
    """Counts from the rows, for a destination whose own row could not be read or cannot be right."""
    ends = dict(target.execute("SELECT state, count(*) FROM endings WHERE destination = ? GROUP BY 1", (destination,)))
    query = """
        SELECT count(*) FROM accepted a WHERE destination = ?1
          AND NOT EXISTS (SELECT 1 FROM endings d WHERE d.sequence = a.sequence)
          AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.destination = ?1 AND p.priority IN (0, 1, 2)
                                                    AND p.sequence = a.sequence)
    """
    delivered = target.execute(query, (destination,)).fetchone()[0]
    values = [delivered, *(ends.get(state, 0) for state in ENDINGS)]
    columns = ", ".join(f"{name} = ?" for name in COUNTERS)
    target.execute(f"UPDATE destinations SET {columns} WHERE id = ?", (*values, destination))


def accounted(target: sqlite3.Connection) -> int:
    """How many events the books account for."""
    counted = target.execute(f"SELECT sum({' + '.join(COUNTERS)}) FROM destinations").fetchone()[0] or 0
    return int(counted) + int(target.execute("SELECT count(*) FROM pending").fetchone()[0])


def high_water_mark(target: sqlite3.Connection, copied: Copied, rows_per_page: int) -> int:
    """The last sequence that was given, as well as can be told; never less than any that was seen.

    Events and the pruned mark say it, unless the newest page of events is among the damaged. Then the other tables
    do, up to what the pages that could not be read can have held: a flipped bit must not make it astronomical.
    """
    known = max(
        copied.pruned_through or 0,
        _largest(target, "SELECT max(sequence) FROM events WHERE sequence NOT IN (SELECT sequence FROM adrift)"),
    )
    adrift = target.execute("SELECT count(*) FROM adrift").fetchone()[0]
    room = rows_per_page * (copied.unread_pages + copied.bad_rows + 1) + adrift if known else 1 << 40
    others = (
        "SELECT max(sequence) FROM events WHERE sequence <= ?",
        "SELECT max(sequence) FROM pending WHERE sequence <= ?",
        "SELECT max(sequence) FROM endings WHERE sequence <= ?",
        "SELECT max(last_sequence) FROM requests WHERE last_sequence <= ?",
        "SELECT max(through) FROM salvages WHERE through <= ?",
    )
    return max(known, *(_largest(target, query, known + room) for query in others))


def _largest(target: sqlite3.Connection, query: str, *values: int) -> int:
    return int(target.execute(query, values).fetchone()[0] or 0)


def gap_words(gaps: dict[str, list[Gap]]) -> str:
    """Which tables could not be read whole."""
    return ", ".join(name for name, found in gaps.items() if found and not name.startswith(("sqlite_", "salvages")))
