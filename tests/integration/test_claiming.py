"""Due records read by the chunk are those that are read one by one."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from random import Random

import pytest

from edgequeue.model import Claimed, Priority
from edgequeue.store.claiming import _EACH, CHUNK_BYTES, Missing, _alike, _one, due
from edgequeue.store.delivery import open_sequences
from edgequeue.store.facade import SqliteStore
from tests.support import ACCEPTED, REJECTED, TIMEOUT_SECONDS, WEB, answer, claim, draft, lease_of, put, send

DESTINATION = 1
FAR_MS = 2**62


def lived(path: Path, dice: Random) -> SqliteStore:
    """A queue with events of all lengths, some delivered, some dead, some under way, with one priority or several."""
    store = SqliteStore.open(path)
    store.register(WEB, "adobe-edge")
    lanes = dice.choice(([Priority.NORMAL], [Priority.NORMAL], list(Priority)))
    for _ in range(dice.randrange(20, 200)):
        size = dice.choice((0, 10, 900, 5000))
        store.put(WEB, draft("ü" * size), dice.choice(lanes), TIMEOUT_SECONDS)
    lease = lease_of(store)
    for outcome in dice.choices((ACCEPTED, REJECTED), k=dice.randrange(3)):
        answer(store, send(store, lease, dice.sample(found := claim(store, lease), len(found) // 3)), outcome)
    if dice.random() < 0.5:
        send(store, lease, claim(store, lease)[: dice.randrange(1, 70)])
    store.release(lease)
    return store


def one_by_one(store: SqliteStore, count: int) -> list[Claimed]:
    with store._database.read() as connection:
        travelling = open_sequences(connection, DESTINATION)
        rows = connection.execute(_EACH, (DESTINATION, FAR_MS)).fetchall()
    return [_one(row) for row in rows if row[0] not in travelling][:count]


def by_the_chunk(store: SqliteStore, count: int) -> list[Claimed]:
    with store._database.read() as connection:
        travelling = open_sequences(connection, DESTINATION)
        return [one for chunk in due(connection, DESTINATION, FAR_MS, count, travelling) for one in chunk][:count]


@pytest.mark.parametrize("seed", range(12))
def test_both_ways_of_reading_find_the_same(tmp_path: Path, seed: int) -> None:
    """Whatever has become of the events between."""
    dice = Random(seed)
    store = lived(tmp_path / "queue.db", dice)
    for count in (1, 8, 9, 60, 64, 65, 1000):
        assert by_the_chunk(store, count) == one_by_one(store, count)
    store.close()


def test_neighbours_that_were_never_refused_are_read_by_the_chunk(tmp_path: Path) -> None:
    """The common case takes that way, or nothing would be gained."""
    store = SqliteStore.open(tmp_path / "queue.db")
    store.register(WEB, "adobe-edge")
    put(store, 200)
    with store._database.read() as connection:
        found = [one for chunk in _alike(connection, DESTINATION, FAR_MS, 150, set()) or () for one in chunk]
    assert found == one_by_one(store, 150)
    store.close()


def damaged(path: Path, statement: str) -> SqliteStore:
    """A hundred events, of which the fiftieth is changed as no program of ours does."""
    store = SqliteStore.open(path)
    store.register(WEB, "adobe-edge")
    put(store, 100)
    with store._database.write() as connection:
        connection.execute(f"{statement} WHERE sequence = 50")
    return store


@pytest.mark.parametrize(
    "damage", ["payload = 'text'", "payload = x'7b7d'", "checksum = 7", "checksum = 'x'", "checksum = 0.5", "codec = 9"]
)
def test_a_row_that_is_not_what_it_should_be_harms_no_other(tmp_path: Path, damage: str) -> None:
    """It is not intact, and its neighbours are."""
    store = damaged(tmp_path / "queue.db", f"UPDATE events SET {damage}")
    found = by_the_chunk(store, 100)
    assert [one.sequence for one in found if not one.intact] == [50]
    assert [one.sequence for one in found] == list(range(1, 101))
    store.close()


def test_an_event_without_a_row_is_missing(tmp_path: Path) -> None:
    """Said, with its number: the file is damaged."""
    store = damaged(tmp_path / "queue.db", "DELETE FROM events")
    with pytest.raises(Missing, match="50"):
        by_the_chunk(store, 100)
    store.close()


def test_large_events_are_read_no_further_than_they_are_taken(tmp_path: Path) -> None:
    """A request takes a few of them, and the memory of a small device no more."""
    store = SqliteStore.open(tmp_path / "queue.db")
    store.register(WEB, "adobe-edge")
    store.put_many(WEB, [draft("x" * 200_000) for _ in range(100)], Priority.NORMAL, TIMEOUT_SECONDS)
    lease = lease_of(store)
    tracemalloc.start()
    claimed = store.claim(lease, FAR_MS, 100, 500_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [one.sequence for one in claimed] == [1, 2, 3]
    assert most < 500_000 + 4 * CHUNK_BYTES
    store.release(lease)
    store.close()
