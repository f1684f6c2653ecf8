"""Databases with events in every state, ways to damage them, and what must be true of them afterwards.

Used by the tests and by `make corrupt`, which does it some thousand times and says how much came back.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from edgequeue.model import Disposition, Priority
from edgequeue.outcome import Verdict
from edgequeue.store.base import EventFilter
from edgequeue.store.connecting import PAGE_BYTES
from edgequeue.store.facade import SqliteStore
from edgequeue.store.packing import unpack
from edgequeue.store.salvage.image import Image
from edgequeue.store.salvage.pages import (
    INDEX_INTERIOR,
    LEAVES,
    cell,
    layout,
    overflowing,
    record,
)
from edgequeue.testing import ManualClock
from tests.support import (
    ACCEPTED,
    REJECTED,
    RETRIED,
    TILL,
    TIMEOUT_SECONDS,
    WEB,
    answer,
    came_to,
    claim,
    draft,
    kill,
    lease_of,
    send,
    sequence_of,
)

FAR_MS = 10**15
SIDES = ("", "-wal", "-shm")


@dataclass(frozen=True)
class Known:
    """An event as it was before the damage."""

    event_id: str
    status: str
    payload: bytes


@dataclass
class Specimen:
    """A database, what is in it, and on which pages each event depends; `kinds` says what each page is."""

    path: Path
    events: dict[str, Known]
    enqueued: int
    pages_of: dict[str, set[int]] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)

    def copy(self, to: Path) -> Path:
        """The files, as they were."""
        for suffix in SIDES:
            Path(f"{to}{suffix}").unlink(missing_ok=True)
            if Path(f"{self.path}{suffix}").exists():
                shutil.copy(f"{self.path}{suffix}", f"{to}{suffix}")
        return to


def specimen(folder: Path, dice: Random, *, events: int, crashed: bool) -> Specimen:
    """A queue that has lived: delivered, partly refused, dead, requeued, pruned, under way, pending.

    `crashed`: copied while it was open, as a power cut leaves it, with a log.
    """
    live = folder / "live.db"
    store = SqliteStore.open(live, clock=ManualClock())
    for name in (WEB, TILL):
        store.register(name, "adobe-edge")
    _live(store, dice, events)
    known = {
        one.event_id: Known(one.event_id, one.status.value, payload) for one, payload in store.payloads(EventFilter())
    }
    found = Specimen(folder / "specimen.db", known, store.counts().enqueued)
    if not crashed:
        store.close()
    Specimen(live, {}, 0).copy(found.path)
    store.close()
    for suffix in SIDES:
        Path(f"{live}{suffix}").unlink(missing_ok=True)
    _map(found)
    return found


def _live(store: SqliteStore, dice: Random, events: int) -> None:
    def put(count: int, to: str) -> None:
        for _ in range(count):
            size = dice.choice((10, 200, 600, 900, 1500, 5000))
            note = "".join(dice.choices("abcdefghij ", k=size))
            store.put(to, draft(note, reference=dice.choice((None, "P4711"))), dice.choice(list(Priority)), 5.0)

    def some(to: str, outcome: object, most: int) -> None:
        lease = lease_of(store, to)
        records = claim(store, lease)[:most]
        if records:
            travelling = send(store, lease, records)
            answer(store, travelling, outcome)  # type: ignore[arg-type]
        store.release(lease)

    partial = came_to(
        Disposition.ACCEPTED,
        status=207,
        but={1: Verdict(Disposition.ACCEPTED, None, "own"), 2: REJECTED.verdict, 3: RETRIED.verdict},
    )
    put(events // 3, WEB)
    for outcome in (ACCEPTED, ACCEPTED, REJECTED, partial):
        some(WEB, outcome, dice.randrange(5, 40))
    store.prune(FAR_MS, None)
    store.requeue(None)
    put(events // 3, TILL)
    put(events // 3, WEB)
    for _ in range(8):
        some(
            dice.choice((WEB, TILL)),
            dice.choice((ACCEPTED, ACCEPTED, REJECTED, RETRIED, partial)),
            dice.randrange(5, 30),
        )
    for name in (WEB, TILL):
        put(10, name)
        lease = lease_of(store, name)
        records = claim(store, lease)
        kill(store, send(store, lease, records[:7])) if records else store.release(lease)


def _map(found: Specimen) -> None:
    """Which page holds what, read from the sound file."""
    with Image(found.path) as image:
        owners = _owners(found.path, image)
        by_sequence: dict[int, set[int]] = defaultdict(set)
        for number in range(1, image.count + 1):
            data = image.page(number)
            name = owners.get(number, "free")
            found.kinds[number] = name
            if data is None or name not in ("events", "pending", "endings", "requests", "attempts"):
                continue
            try:
                there = layout(data, number)
            except Exception:  # an overflow page: its owner is found through its cell
                continue
            if there.kind not in (*LEAVES, INDEX_INTERIOR):
                found.kinds[number] = f"{name} interior"
                continue
            if there.kind == INDEX_INTERIOR:
                found.kinds[number] = f"{name} interior"
            for at in there.pointers:
                one = cell(data, at, there.kind)
                payload, chain = overflowing(one, image.page)
                for page in chain:
                    found.kinds[page] = f"{name} overflow"
                row = record(payload, one.size)
                if name == "requests":
                    carried = unpack(row[-1])
                elif name == "events" or name == "endings":
                    carried = [one.rowid]
                else:
                    carried = [row[2] if name == "pending" else row[1]]
                for sequence in carried:
                    by_sequence[sequence] |= {number, *chain}
    found.pages_of = {one: by_sequence[sequence_of(one)] for one in found.events}


def _owners(path: Path, image: Image) -> dict[int, str]:
    """The table of each page, by walking from the schema's own roots with SQLite's words for them."""
    copy = path.with_name("map.db")
    for suffix in SIDES:
        Path(f"{copy}{suffix}").unlink(missing_ok=True)
        if Path(f"{path}{suffix}").exists() and suffix != "-shm":
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    connection = sqlite3.connect(copy)
    roots = connection.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0").fetchall()
    connection.close()
    owners = {1: "header"}
    for name, root in roots:
        queue = [root]
        for number in queue:
            owners[number] = name
            data = image.page(number)
            assert data is not None
            there = layout(data, number)
            if there.kind not in LEAVES:
                queue += [cell(data, at, there.kind).child for at in there.pointers] + [there.right]
    return owners


# --- damage -----------------------------------------------------------------------------------------------------------

Damage = Callable[[bytearray, Random], None]


def zeroed(page: bytearray, dice: Random) -> None:
    page[:] = bytes(len(page))


def garbage(page: bytearray, dice: Random) -> None:
    page[:] = dice.randbytes(len(page))


def torn(page: bytearray, dice: Random) -> None:
    """The second half of another page."""
    page[512:] = dice.randbytes(len(page) - 512)


def header_gone(page: bytearray, dice: Random) -> None:
    page[:100] = b"\xff" * 100


def bit_flipped(page: bytearray, dice: Random) -> None:
    at = dice.randrange(len(page))
    page[at] ^= 1 << dice.randrange(8)


def bytes_flipped(page: bytearray, dice: Random) -> None:
    for _ in range(20):
        bit_flipped(page, dice)


DAMAGES: tuple[Damage, ...] = (zeroed, garbage, torn, header_gone, bit_flipped, bytes_flipped)
UNSEEN: tuple[Damage, ...] = (bit_flipped, bytes_flipped)
"""Damage that may leave a page that reads well, with other numbers in it."""


def damage_page(path: Path, number: int, how: Damage, dice: Random) -> None:
    """Damage a page wherever its newest version is: in the log, or in the database."""
    with Image(path) as image:
        at = image.log.pages.get(number)
    target = path if at is None else Path(f"{path}-wal")
    at = (number - 1) * PAGE_BYTES if at is None else at
    with target.open("r+b") as file:
        file.seek(at)
        page = bytearray(file.read(PAGE_BYTES))
        how(page, dice)
        file.seek(at)
        file.write(page)


# --- what must be true afterwards -------------------------------------------------------------------------------------


@dataclass
class Verdicts:
    """What came of one damage: events on sound pages, how many of them came back as they were, what is wrong."""

    sound: int = 0
    back: int = 0
    wrong: list[str] = field(default_factory=list)
    salvaged: bool = False
    lost: int = 0


def examine(path: Path, was: Specimen, damaged: set[int], *, exact: bool) -> Verdicts:
    """Open the damaged database, use it, and compare. `exact`: the damage cannot pass for other values."""
    found = Verdicts()
    store = SqliteStore.open(path, clock=ManualClock())
    try:
        for name in (WEB, TILL):
            store.register(name, "adobe-edge")
        now = {one.event_id: (one.status.value, payload) for one, payload in store.payloads(EventFilter())}
        now = {one.event_id: (one.status.value, payload) for one, payload in store.payloads(EventFilter())}
        ledger = store.counts()
        if not ledger.balanced:
            found.wrong.append(f"the ledger does not balance: {ledger}")
        found.lost = ledger.lost
        found.salvaged = bool(store.salvages())
        store.destination_rows()
        store.requests(None, None)
        for known in was.events.values():
            sound = was.pages_of[known.event_id].isdisjoint(damaged)
            found.sound += sound
            status, payload = now.get(known.event_id, ("gone", b""))
            expected = {"sending": ("sending", "pending")}.get(known.status, (known.status,))
            if sound and status in expected and payload == known.payload:
                found.back += 1
            elif sound and exact:
                found.wrong.append(f"{known.event_id} {known.status} is {status} {payload[:20]!r}")
            if exact and known.status not in ("pending", "sending") and status in ("pending", "sending"):
                found.wrong.append(f"{known.event_id} was {known.status} and goes out again")
        new = store.put(WEB, draft("after"), Priority.NORMAL, TIMEOUT_SECONDS)
        if new in was.events or (exact and sequence_of(new) <= was.enqueued):
            found.wrong.append(f"{new} has a sequence that was given before {was.enqueued}")
        _drain(store, found)
    finally:
        store.close()
    return found


def _drain(store: SqliteStore, found: Verdicts) -> None:
    """Everything goes out or is set aside, and the ledger balances still."""
    for name in (WEB, TILL):
        lease = lease_of(store, name)
        for _ in range(50):
            records = store.claim(lease, FAR_MS, 1000, 10**7)
            if not records:
                break
            bad = [one for one in records if not one.intact]
            if bad:
                from edgequeue.outcome import Death
                from edgequeue.preparing import DAMAGED

                store.bury(lease, [Death(one.sequence, one.priority, one.attempts, DAMAGED) for one in bad], 0)
            good = [one for one in records if one.intact]
            if good:
                answer(store, send(store, lease, good), ACCEPTED)
        else:
            found.wrong.append(f"{name} never drains")
        store.release(lease)
    ledger = store.counts()
    if not ledger.balanced:
        found.wrong.append(f"after draining the ledger does not balance: {ledger}")
