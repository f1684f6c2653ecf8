"""The SQLite store and its file: modes and pragmas, damage, full disks, threads, processes, forks and reboots."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import text

from edgequeue.errors import QueueBusy, SchemaTooNew, StoreDamaged, StoreError, StoreFull
from edgequeue.model import Disposition, Draft, Priority, Problem, Status
from edgequeue.retry import Hold, HoldState, RetryPolicy, Signal, next_hold, until_opening
from edgequeue.store.base import EventFilter
from edgequeue.store.connecting import PAGE_BYTES
from edgequeue.store.facade import SqliteStore
from edgequeue.store.spool import CHUNK_EVENTS, CHUNKS_IN_MEMORY
from edgequeue.store.upkeep import PRUNE_CHUNK_EVENTS
from edgequeue.testing import ManualClock
from tests.conftest import MakeStore
from tests.integration.scripts import BOUND_SECONDS, finish, run, start
from tests.support import (
    ACCEPTED,
    RETRIED,
    TIMEOUT_SECONDS,
    WEB,
    answer,
    came_to,
    claim,
    deliver,
    draft,
    lease_of,
    put,
    send,
    sequence_of,
    statuses,
)

FAR_MS = 10**12


@pytest.fixture
def store(make_store: MakeStore) -> SqliteStore:
    store = make_store()
    store.register(WEB, "adobe-edge")
    return store


def again(make_store: MakeStore) -> SqliteStore:
    """The same file, opened once more."""
    return make_store()


# --- the file ---------------------------------------------------------------------------------------------------------


def test_all_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Database, log, shared memory, mark, reserve and lease: mode 0600, whatever the umask allows."""
    store = SqliteStore.open(tmp_path / "new.db")
    store.register(WEB, "adobe-edge")
    put(store)
    lease = lease_of(store)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    store.release(lease)
    store.close()
    assert modes == dict.fromkeys(
        [f"new.db{end}" for end in ("", "-wal", "-shm", ".mark", ".reserve", ".web.lease")], 0o600
    )


def test_the_writing_connection_is_durable(store: SqliteStore) -> None:
    """WAL with synchronous FULL, and the page size that was measured."""
    with store._database.write() as connection:
        found = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "page_size", "secure_delete", "busy_timeout")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "page_size": PAGE_BYTES,
        "secure_delete": 0,
        "busy_timeout": 0,
    }


def test_durability_is_weaker_only_when_asked_for(make_store: MakeStore) -> None:
    """`durability="normal"` is synchronous NORMAL."""
    with make_store(durability="normal")._database.write() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 1


def test_the_reading_connection_cannot_write(store: SqliteStore) -> None:
    """Nor does it copy the log back: one connection does that."""
    with store._database.read() as connection:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM events")
        assert connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0] == 0


def test_enqueueing_imports_no_library_it_does_not_need(template: Path) -> None:
    """Neither SQLAlchemy nor the network, the migrations or the command line, for a new file or an old one."""
    code = """
put(opened())
heavy = {"sqlalchemy", "httpx", "alembic", "click", "rich", "backoff", "asyncio"}
print(*(heavy & set(sys.modules)))
"""
    assert run(code, template.with_name("imports.db")) == []
    assert run(code, template.with_name("imports.db")) == []


def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    """A directory, or a file in a directory that is not there: said so, and nothing is made."""
    with pytest.raises(StoreError, match="is a directory"):
        SqliteStore.open(tmp_path)
    with pytest.raises(StoreError, match="does not exist"):
        SqliteStore.open(tmp_path / "missing" / "queue.db")
    assert list(tmp_path.iterdir()) == []


# --- other files, and damage ------------------------------------------------------------------------------------------


def text_file(path: Path) -> None:
    path.write_text("This is a shopping list.\n" * 100)


def foreign_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()


def foreign_database_with_alembic(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    connection.execute("INSERT INTO alembic_version VALUES ('beef')")
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.commit()
    connection.close()


def newer_database(path: Path) -> None:
    SqliteStore.open(path, clock=ManualClock()).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (text_file, StoreDamaged, "no SQLite database"),
        (foreign_database, StoreDamaged, "belongs to another program .*recipes"),
        (foreign_database_with_alembic, StoreDamaged, "belongs to another program .*recipes"),
        (newer_database, SchemaTooNew, "9999.*Upgrade edgequeue"),
    ],
)
def test_a_file_that_is_not_ours_is_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], error: type[StoreError], words: str
) -> None:
    """A typed error that says what to do; not a byte of the file is changed and nothing is left beside it."""
    path = tmp_path / "queue.db"
    make(path)
    before = {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in tmp_path.iterdir()}
    with pytest.raises(error, match=words):
        SqliteStore.open(path)
    assert {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in tmp_path.iterdir()} == before


def test_an_empty_file_becomes_a_queue(tmp_path: Path) -> None:
    """As `touch` leaves it."""
    (tmp_path / "queue.db").touch()
    store = SqliteStore.open(tmp_path / "queue.db", clock=ManualClock())
    assert store.counts().enqueued == 0
    store.close()


@pytest.mark.parametrize(
    "use",
    [
        lambda store, ids: store.get(ids[20]),
        lambda store, ids: list(store.events(EventFilter())),
        lambda store, ids: claim(store, lease_of(store)),
        lambda store, ids: store.check(),
        lambda store, ids: store.requeue(ids),
    ],
)
def test_whoever_meets_a_damaged_page_goes_on_in_a_salvaged_file(
    store: SqliteStore, make_store: MakeStore, use: Callable[[SqliteStore, list[str]], object]
) -> None:
    """From the statements of our own and from those that SQLAlchemy makes alike; the old file is kept as it was."""
    ids = store.put_many(WEB, [draft("x" * 300) for _ in range(50)], Priority.NORMAL, TIMEOUT_SECONDS)
    store.close()
    data = bytearray(store.path.read_bytes())
    for offset in range(0, len(data), PAGE_BYTES):
        if b"x" * 300 in data[offset : offset + PAGE_BYTES]:
            data[offset : offset + 100] = b"\xff" * 100
    store.path.write_bytes(data)
    damaged = again(make_store)
    use(damaged, ids)
    assert (damaged.counts().lost, damaged.counts().balanced, damaged.check()) == (50, True, [])
    assert store.path.with_name("queue.db.damaged-1").read_bytes() == data


def test_a_payload_that_was_changed_on_disk_is_not_intact(store: SqliteStore, make_store: MakeStore) -> None:
    """Its checksum does not match: it is claimed as damaged, its neighbours are not."""
    put(store, 3)
    store.close()
    data = store.path.read_bytes()
    assert data.count(b'"note":"sale 1"') == 1
    store.path.write_bytes(data.replace(b'"note":"sale 1"', b'"note":"sale 7"'))
    damaged = again(make_store)
    assert [one.intact for one in claim(damaged, lease_of(damaged))] == [True, False, True]
    assert damaged.check() == []


@pytest.mark.parametrize("payload", ["7", "'text'", "x'00ff'"])
def test_a_payload_of_another_type_is_not_intact(store: SqliteStore, payload: str) -> None:
    """Whatever a damaged page holds in its place, it is set aside and not sent."""
    put(store, 2)
    with store._database.write() as connection:
        connection.execute(f"UPDATE events SET payload = {payload} WHERE sequence = 1")
    assert [one.intact for one in claim(store, lease_of(store))] == [False, True]


def test_an_event_of_a_newer_codec_is_kept_and_not_sent(store: SqliteStore) -> None:
    """It cannot be read here, so it is not intact for us."""
    put(store)
    with store._database.write() as connection:
        connection.execute("UPDATE events SET codec = 9")
    assert [one.intact for one in claim(store, lease_of(store))] == [False]


def test_what_no_row_accounts_for_is_lost_until_counting_finds_it(store: SqliteStore) -> None:
    """An event that is neither pending nor ended nor covered by a request is missed when the ledger is made: it is
    whole, and all that could tell of its end was read, so it goes out.
    """
    (event_id,) = put(store)
    with store._database.write() as connection:
        connection.execute("DELETE FROM pending")
    assert statuses(store, [event_id]) == ["lost"]
    assert [one.event_id for one in store.events(EventFilter(status=Status.LOST))] == [event_id]
    assert list(store.events(EventFilter(status=Status.DELIVERED))) == []
    ledger = store.counts()
    assert (ledger.enqueued, ledger.pending, ledger.lost, ledger.balanced) == (1, 1, 0, True)
    assert statuses(store, [event_id]) == ["pending"]


# --- locks and full disks ---------------------------------------------------------------------------------------------


@pytest.fixture
def locked(store: SqliteStore) -> Iterator[sqlite3.Connection]:
    """Another program holds the write lock."""
    connection = sqlite3.connect(store.path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def test_a_lock_held_for_too_long_is_busy_and_nothing_is_stored(store: SqliteStore, locked: sqlite3.Connection) -> None:
    """One event or many: the caller is told in time, and may try again."""
    with pytest.raises(QueueBusy, match="nothing was stored"):
        store.put(WEB, draft(), Priority.NORMAL, 0.05)
    with pytest.raises(QueueBusy, match="nothing was stored"):
        store.put_many(WEB, [draft()], Priority.NORMAL, 0.05)
    locked.execute("ROLLBACK")
    assert store.counts().enqueued == 0
    assert sequence_of(put(store)[0]) == 1


def test_reading_goes_on_while_another_writes(store: SqliteStore, locked: sqlite3.Connection) -> None:
    """Who looks never waits for who writes."""
    assert (store.counts().enqueued, list(store.events(EventFilter())), store.next_due_ms(WEB)) == (0, [], None)


def test_a_put_waits_for_its_turn(store: SqliteStore, locked: sqlite3.Connection) -> None:
    """A lock that is given back in time is no error."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(put, store)
        locked.execute("ROLLBACK")
        assert len(waiting.result(BOUND_SECONDS)) == 1


def fill_disk(store: SqliteStore) -> list[str]:
    """What was stored before the disk was full."""
    with store._database.write() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    stored: list[str] = []
    with pytest.raises(StoreFull, match="what is queued is safe"):  # noqa: PT012 (as many as fit)
        for _ in range(1000):
            stored.append(store.put(WEB, draft("x" * 500), Priority.NORMAL, TIMEOUT_SECONDS))
    return stored


def test_a_full_disk_stores_nothing_and_loses_nothing(store: SqliteStore, make_store: MakeStore) -> None:
    """StoreFull from put and put_many; what was stored is there, also after reopening, and the ledger balances."""
    stored = fill_disk(store)
    with pytest.raises(StoreFull):
        store.put_many(WEB, [draft("x" * 500) for _ in range(100)], Priority.NORMAL, TIMEOUT_SECONDS)
    assert len(stored) > 5
    for one in (store, again(make_store)):
        assert [record.event_id for record in one.events(EventFilter())] == stored
        assert (one.counts().pending, one.counts().balanced) == (len(stored), True)


def test_with_the_disk_full_what_is_queued_can_still_be_settled(store: SqliteStore) -> None:
    """Delivering and pruning make room: the way out of a full disk is not barred by it."""
    stored = fill_disk(store)
    lease = lease_of(store)
    answer(store, send(store, lease), ACCEPTED)
    assert store.prune(FAR_MS, None) == len(stored)
    assert sequence_of(store.put(WEB, draft("x" * 500), Priority.NORMAL, TIMEOUT_SECONDS)) == len(stored) + 1


# --- threads ----------------------------------------------------------------------------------------------------------


def test_threads_that_put_at_once_share_commits(store: SqliteStore) -> None:
    """Every id is distinct, every event is there, and there are fewer commits than events."""
    put(store)
    commits: list[str] = []
    with store._database.write() as connection:
        connection.set_trace_callback(lambda statement: commits.append(statement) if statement == "COMMIT" else None)
    barrier = threading.Barrier(8)

    def sell() -> list[str]:
        barrier.wait(BOUND_SECONDS)
        return put(store, 25)

    with ThreadPoolExecutor(8) as pool:
        sold = [one.result(BOUND_SECONDS) for one in [pool.submit(sell) for _ in range(8)]]
    ids = [event_id for few in sold for event_id in few]
    assert len(set(ids)) == 200
    assert all(few == sorted(few) for few in sold)
    assert store.counts().pending == 201
    assert len(commits) < 200


def test_who_looks_never_sees_the_middle_of_a_transaction(store: SqliteStore) -> None:
    """Looking, putting and sending at once: no count below zero, no event unaccounted for."""
    lease = lease_of(store)
    done = threading.Event()

    def look() -> int:
        looks = 0
        while not done.is_set():
            assert store.counts().balanced
            assert all(row.counts.pending >= 0 for row in store.destination_rows())
            assert all(record.status != Status.LOST for record in store.events(EventFilter()))
            looks += 1
        return looks

    with ThreadPoolExecutor(2) as pool:
        looking = pool.submit(look)
        try:
            for _ in range(30):
                put(store, 3)
                deliver(store, lease)
                store.prune(FAR_MS, None)
        finally:
            done.set()
        assert looking.result(BOUND_SECONDS) > 0


def test_what_is_shown_is_of_one_moment(store: SqliteStore) -> None:
    """The statements behind one page see the same state, whoever commits between them."""
    with store._database.look() as connection:
        before = connection.execute(text("SELECT count(*) FROM events")).scalar_one()
        put(store)
        assert connection.execute(text("SELECT count(*) FROM events")).scalar_one() == before
    assert store.counts().pending == before + 1


# --- many events ------------------------------------------------------------------------------------------------------


def test_a_bulk_put_larger_than_memory_keeps_its_order(store: SqliteStore) -> None:
    """Beyond some chunks the drafts wait in a temporary file; ids and payloads come out in order all the same."""
    count = CHUNK_EVENTS * (CHUNKS_IN_MEMORY + 2) + 7
    drafts = (draft(str(number), reference=f"P{number}") for number in range(count))
    ids = store.put_many(WEB, drafts, Priority.LOW, TIMEOUT_SECONDS)
    assert [sequence_of(one) for one in ids] == list(range(1, count + 1))
    found = store.payloads(EventFilter())
    for number, (record, payload) in enumerate(found):
        assert record.reference == f"P{number}"
        assert payload == f'{{"_id":"{ids[number]}","note":"{number}"}}'.encode()
    assert store.counts().pending == count


def test_listings_longer_than_a_page_are_whole(store: SqliteStore) -> None:
    """Filters that match on either side of a page's edge neither lose nor repeat an event."""
    ids = store.put_many(WEB, [draft() for _ in range(2_300)], Priority.NORMAL, TIMEOUT_SECONDS)
    lease = lease_of(store)
    records = claim(store, lease, events_max=2_300)
    sparse = records[::9]
    send(store, lease, sparse)
    sending = [ids[one.sequence - 1] for one in sparse]
    waiting = [one for one in ids if one not in set(sending)]
    assert [one.event_id for one in store.events(EventFilter())] == ids
    assert [one.event_id for one in store.events(EventFilter(newest_first=True, limit=1_500))] == ids[:-1_501:-1]
    assert [one.event_id for one in store.events(EventFilter(status=Status.SENDING))] == sending
    assert [one.event_id for one in store.events(EventFilter(status=Status.SENDING, limit=130))] == sending[:130]
    assert [one.event_id for one in store.events(EventFilter(status=Status.PENDING, limit=2_001))] == waiting[:2_001]
    assert len(list(islice(store.events(EventFilter()), 3))) == 3


def test_pruning_goes_in_short_transactions(store: SqliteStore) -> None:
    """More than a chunk of delivered and of dead events, deleted to the last one."""
    count = PRUNE_CHUNK_EVENTS + 300
    lease = lease_of(store)
    for disposition in (Disposition.ACCEPTED, Disposition.REJECT):
        store.put_many(WEB, [draft() for _ in range(count)], Priority.NORMAL, TIMEOUT_SECONDS)
        while records := claim(store, lease, events_max=200):
            answer(store, send(store, lease, records), came_to(disposition, Problem("refused", "no")))
    commits: list[str] = []
    with store._database.write() as connection:
        connection.set_trace_callback(lambda statement: commits.append(statement) if statement == "COMMIT" else None)
    assert store.prune(FAR_MS, FAR_MS) == 2 * count
    assert len(commits) >= 4
    assert store.requests(None, None) != [], "those of the dead are gone with the next prune"
    assert store.prune(FAR_MS, FAR_MS) == 0
    assert store.requests(None, None) == []
    assert (store.counts().delivered, store.counts().dead, store.counts().balanced) == (count, count, True)


# --- processes --------------------------------------------------------------------------------------------------------

SELLER = "store = opened()\nfor _ in range(60): print(put(store))\nstore.close()"

DRAINER = """
from edgequeue.store.base import Closing, NewRequest
from edgequeue.model import Disposition, RequestOutcome
from edgequeue.outcome import Settlement, Verdict
store = opened()
lease = store.acquire("web", "test")
done = 0
while done < int(sys.argv[2]):
    records = store.claim(lease, store.now_ms(), 25, 10**6)
    if records:
        new = NewRequest("r%d" % done, tuple(one.sequence for one in records), 1)
        numbers = store.record(lease, [new], store.now_ms())
        delivered = tuple((one.priority, one.sequence) for one in records)
        verdict = Verdict(Disposition.ACCEPTED)
        settlement = Settlement(RequestOutcome.ACCEPTED, verdict, 200, {}, delivered)
        store.settle(lease, [Closing(numbers[0], settlement)], store.now_ms())
        done += len(records)
store.release(lease)
store.close()
"""


def test_processes_put_while_another_drains(store: SqliteStore) -> None:
    """No id comes twice, every event is delivered once, and neither side starves the other."""
    drainer = start(DRAINER, store.path, "240")
    sellers = [start(SELLER, store.path) for _ in range(4)]
    ids = [event_id for seller in sellers for event_id in finish(seller)]
    finish(drainer)
    counts = store.counts()
    assert len(set(ids)) == 240
    assert (counts.enqueued, counts.delivered, counts.balanced) == (240, 240, True)


def test_the_lease_of_a_killed_process_is_free_and_its_request_is_rescued(store: SqliteStore) -> None:
    """The kernel lets go of the lock, however the process ended; no clock and no heartbeat is asked."""
    (event_id,) = put(store)
    holder = start(
        """
from edgequeue.store.base import NewRequest
store = opened()
lease = store.acquire("web", "run")
records = store.claim(lease, store.now_ms(), 10, 10**6)
store.record(lease, [NewRequest("r", tuple(one.sequence for one in records), 1)], store.now_ms())
print("recorded", flush=True)
sys.stdin.read()
""",
        store.path,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "recorded"
        assert store.acquire(WEB, "sync") is None
        owner = store.destination_rows()[0].owner
        assert owner is not None
        assert (owner.pid, owner.kind) == (holder.pid, "run")
        assert statuses(store, [event_id]) == ["sending"]
        holder.send_signal(signal.SIGKILL)
        holder.communicate(timeout=BOUND_SECONDS)
    lease = store.acquire(WEB, "sync")
    assert lease is not None
    assert store.rescue(lease) == 1
    assert statuses(store, [event_id]) == ["pending"]


# --- forks ------------------------------------------------------------------------------------------------------------


def test_parent_and_child_both_put_after_a_fork(tmp_path: Path) -> None:
    """With connections of their own: no id twice, and the parent's connection is as good as before."""
    ids = run(
        """
def sell():
    os.write(1, put(store).encode() + b"\\n")  # in one piece: both write to one pipe
store = opened()
sell()
child = os.fork()
for _ in range(40):
    sell()
if child == 0:
    store.close()
    os._exit(0)
_, ended = os.waitpid(child, 0)
assert ended == 0
sell()
assert store.check() == []
counts = store.counts()
assert counts.balanced and counts.pending == 82, counts
store.close()
""",
        tmp_path / "queue.db",
    )
    assert len(set(ids)) == len(ids) == 82


def test_a_fork_in_the_middle_of_commits_blocks_neither_side(tmp_path: Path) -> None:
    """Whatever other threads are at when the process is copied: the child can put, and so can they."""
    (count,) = run(
        """
store = opened()
put(store)
done = threading.Event()
counts = []
def sell():
    sold = 0
    while not done.is_set():
        put(store)
        sold += 1
    counts.append(sold)
threads = [threading.Thread(target=sell, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(25):
    child = os.fork()
    if child == 0:
        put(store)
        os._exit(0)
    _, ended = os.waitpid(child, 0)
    assert ended == 0
done.set()
for thread in threads:
    thread.join(30)
    assert not thread.is_alive()
assert store.counts().pending == sum(counts) + 26
print(store.check() or "sound")
store.close()
""",
        tmp_path / "queue.db",
    )
    assert count == "sound"


def test_a_child_does_not_keep_its_parents_lease(store: SqliteStore) -> None:
    """The lease is the parent's: a child neither frees it while the parent lives nor holds it when it has died."""
    parent = start(
        """
import signal
store = opened()
lease = store.acquire("web", "run")
child = os.fork()
if child == 0:
    print(os.getpid(), flush=True)
signal.pause()
""",
        store.path,
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            assert store.acquire(WEB, "sync") is None
            parent.kill()
            parent.wait(BOUND_SECONDS)
            assert store.acquire(WEB, "sync") is not None
        finally:
            os.kill(child, signal.SIGKILL)


# --- sequences, boots and clocks --------------------------------------------------------------------------------------


def test_a_sequence_is_not_reused_after_pruning_and_reopening(store: SqliteStore, make_store: MakeStore) -> None:
    """The high-water mark is in the file."""
    put(store, 3)
    deliver(store, lease_of(store))
    store.prune(FAR_MS, FAR_MS)
    store.close()
    reopened = again(make_store)
    assert reopened.counts().enqueued == 3
    assert sequence_of(put(reopened)[0]) == 4


def test_the_queue_keeps_its_id_and_its_time_within_a_boot(
    store: SqliteStore, make_store: MakeStore, clock: ManualClock
) -> None:
    """Whoever opens the file has the same queue time, whatever the wall clock says; nothing is written for it."""
    clock.advance(50)
    clock.step_wall(-(10**7))
    counter = store.change_counter()
    other = again(make_store)
    assert (other.queue_id, other.now_ms()) == (store.queue_id, store.now_ms())
    assert store.change_counter() == counter


def reboot(store: SqliteStore, make_store: MakeStore, clock: ManualClock, off_seconds: float = 0) -> SqliteStore:
    store.close()
    clock.reboot(off_seconds)
    return again(make_store)


def test_time_stands_still_across_a_power_off_that_nobody_measured(
    store: SqliteStore, make_store: MakeStore, clock: ManualClock
) -> None:
    """Without a trusted clock the queue goes on from the last moment it knows: ages are lower bounds."""
    clock.advance(30)
    (event_id,) = put(store)
    known_ms = store.now_ms()
    after = reboot(store, make_store, clock, off_seconds=3600)
    assert after.now_ms() == known_ms
    clock.advance(5)
    assert after.now_ms() == known_ms + 5_000
    record = after.get(event_id)
    assert record is not None
    assert record.enqueued_at.timestamp() == pytest.approx(clock.wall_ms() / 1000 - 3605)


def test_a_power_off_between_two_trusted_clocks_counts(make_store: MakeStore, clock: ManualClock) -> None:
    """Both ends are vouched for, so the time between them has passed."""
    clock.trust(True)
    store = make_store()
    known_ms = store.now_ms()
    assert reboot(store, make_store, clock, off_seconds=3600).now_ms() == known_ms + 3_600_000


def test_a_wait_is_served_to_its_end_after_a_reboot(
    store: SqliteStore, make_store: MakeStore, clock: ManualClock
) -> None:
    """What is left of a Retry-After is left, and not one second more."""
    put(store)
    lease = lease_of(store)
    clock.advance(100)
    signal_ = Signal(HoldState.BACKING_OFF, Problem("http_429", "slower"), 60.0)
    hold = next_hold(Hold(), signal_, store.now_ms(), RetryPolicy(), 0.0)
    answer(store, send(store, lease), came_to(Disposition.DEFER), hold=hold)
    after = reboot(store, make_store, clock)
    assert after.hold(WEB).until_ms - after.now_ms() == 60_000


def test_a_night_offline_does_not_come_again_after_a_reboot(
    store: SqliteStore, make_store: MakeStore, clock: ManualClock
) -> None:
    """Offline tries write nothing but the hold; the clock goes on from there, or the wait would be the whole night."""
    put(store)
    hold = Hold()
    for _ in range(10):
        clock.advance(3600)
        signal_ = Signal(HoldState.OFFLINE, Problem("connect", "no route"))
        hold = next_hold(hold, signal_, store.now_ms(), RetryPolicy(), 0.99)
        store.set_hold(WEB, hold)
    after = reboot(store, make_store, clock)
    assert after.hold(WEB).until_ms - after.now_ms() <= 300_000


def test_a_wait_for_not_before_does_not_grow_by_the_idle_days_before_it(
    store: SqliteStore, make_store: MakeStore, clock: ManualClock
) -> None:
    """Nothing was tried when it began, so the moment that it began is what the clock goes on from."""
    put(store)
    clock.advance(10 * 86_400)
    hold = until_opening(Hold(), store.wall_ms() + 3_600_000, 0, store.wall_ms(), store.now_ms())
    store.set_hold(WEB, hold)
    after = reboot(store, make_store, clock)
    assert after.hold(WEB).until_ms - after.now_ms() == 3_600_000


def test_pruning_does_not_set_the_clock_back(store: SqliteStore, make_store: MakeStore, clock: ManualClock) -> None:
    """Neither what was delivered nor a wait that is still to come is older after a reboot than before."""
    put(store)
    lease = lease_of(store)
    clock.advance(10_000)
    deliver(store, lease)
    known_ms = store.now_ms()
    store.prune(FAR_MS, FAR_MS)
    after = reboot(store, make_store, clock)
    assert after.now_ms() >= known_ms


def test_a_late_request_that_closed_last_counts_for_the_clock(
    store: SqliteStore, make_store: MakeStore, clock: ManualClock
) -> None:
    """The newest moment is the newest of all requests, not that of the newest request."""
    put(store, 2)
    lease = lease_of(store)
    first, second = claim(store, lease)
    slow = send(store, lease, [first])
    answer(store, send(store, lease, [second]), ACCEPTED)
    clock.advance(500)
    answer(store, slow, RETRIED)
    known_ms = store.now_ms()
    assert reboot(store, make_store, clock).now_ms() == known_ms


def test_each_boots_events_are_shown_by_its_own_clock(
    store: SqliteStore, make_store: MakeStore, clock: ManualClock
) -> None:
    """A device that boots in the past and is set right later: right for that boot, and the one before stays."""
    (early,) = put(store)
    early_wall = clock.wall_ms()
    store.close()
    clock.reboot(60)
    clock.step_wall(-50 * 365 * 86_400)
    later_store = again(make_store)
    (late,) = put(later_store)
    clock.step_wall(50 * 365 * 86_400)
    later_store.note_wall_clock()
    shown = [record.enqueued_at.timestamp() for record in later_store.events(EventFilter())]
    assert [record.event_id for record in later_store.events(EventFilter())] == [early, late]
    assert shown == pytest.approx([early_wall / 1000, clock.wall_ms() / 1000])


def test_drafts_of_every_kind_survive_the_temporary_file(store: SqliteStore) -> None:
    """Own ids, references and times, on both sides of the memory's edge."""
    count = CHUNK_EVENTS * CHUNKS_IN_MEMORY + 2
    made = Draft(b'{"_id":"mine"}', -1, 1_000, "Pé", True, ("a warning",))
    ids = store.put_many(WEB, [made] * count, Priority.NORMAL, TIMEOUT_SECONDS)
    for event_id in (ids[0], ids[-1]):
        record = store.get(event_id)
        assert record is not None
        assert (record.reference, record.payload) == ("Pé", {"_id": "mine"})
