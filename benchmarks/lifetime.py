"""Row 5: the bytes that an event makes the kernel write over its whole life, as multiples of its payload.

    python benchmarks/lifetime.py [--page-size BYTES ...] [--payload BYTES]

`write_bytes` of /proc/self/io: what becomes dirty in the page cache counts 4,096 bytes a page, and again after each
flush. Run by itself it compares page sizes and says which pages the puts of an event write.
"""

from __future__ import annotations

import argparse
import sqlite3
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from events import make_events
from harness import Bench, checkpoint, conditions, interleave, scratch, written_bytes
from peers import INSTALL, Peer, installed
from report import Figure, Skipped, of_values
from storing import drain, encoded, lease_of, open_store, payload_bytes, prune_all, put_by_batch, put_singly

from edgequeue.model import Draft
from edgequeue.store.connecting import PAGE_BYTES

PHASES = ("put", "drain", "prune")
Life = tuple[float, ...]
Put = Callable[[Any, list[Draft], int], None]


def measure(bench: Bench, series: dict[str, Any]) -> Iterator[tuple[str, Figure | Skipped]]:
    count, repeats = bench.of((5000, 3), (1000, 2), (100, 1))
    pool = encoded()
    runs: dict[str, Callable[[], Any]] = {
        "single": partial(life, bench, put_singly, pool, count),
        "bulk": partial(life, bench, put_by_batch, pool, count),
    }
    few = bench.of(1000, 300, 50)
    runs |= {kind.name: partial(_life_of_peer, bench, kind, few) for kind in installed()}
    found = interleave(runs, repeats)
    single = [sum(one) for one in found["single"]]
    yield "life_single", of_values(single, phases(found["single"]))
    yield "life_peers", _against_peers(single, found)
    yield "life_bulk", of_values([sum(one) for one in found["bulk"]], phases(found["bulk"]))
    yield "life_drain", of_values([one[1] for one in found["single"]])
    series["life"] = {
        "edgequeue": of_values(single).value,
        "edgequeue, put by 100": of_values([sum(one) for one in found["bulk"]]).value,
        **{kind.name: of_values(found[kind.name]).value for kind in installed()},
    }


def life(
    bench: Bench, put: Put, pool: list[Draft], count: int, page_bytes: int = PAGE_BYTES, per: float | None = None
) -> Life:
    """Multiples of the payload (or of `per` bytes) that put, drain and prune write."""
    with bench.place() as place, closing(open_store(place / "queue.db", page_bytes)) as store:
        lease = lease_of(store)
        written = []
        for phase in (
            partial(put, store, pool, count),
            partial(drain, store, lease, count),
            partial(prune_all, store),
        ):
            checkpoint(store.path)
            before = written_bytes()
            phase()
            checkpoint(store.path)
            written.append((written_bytes() - before) / count / (per or payload_bytes(pool)))
        return tuple(written)


def _life_of_peer(bench: Bench, kind: type[Peer], count: int) -> float:
    """The same for a peer: put and get one by one, then whatever it has for tidying, then close."""
    events = make_events(count)
    with bench.place() as place:
        before = written_bytes()
        peer = kind(place)
        for event in events:
            peer.put(event)
        for _ in events:
            peer.take()
        peer.tidy()
        peer.close()
        return (written_bytes() - before) / count / payload_bytes(encoded())


def _against_peers(single: list[float], found: dict[str, list[Any]]) -> Figure | Skipped:
    names = [kind.name for kind in installed(acknowledges=True)]
    if not names:
        return Skipped(INSTALL)
    best = min(names, key=lambda name: of_values(found[name]).value)
    ratios = [ours / theirs for ours, theirs in zip(single, found[best], strict=True)]
    return of_values(ratios, f"{best}: {of_values(found[best]).value:.1f} payloads")


def phases(lives: list[Life]) -> str:
    """The parts of a life in words."""
    middle = [of_values(part).value for part in zip(*lives, strict=True)]
    return ", ".join(f"{name} {value:.2f}" for name, value in zip(PHASES, middle, strict=True))


# --- what each page is for --------------------------------------------------------------------------------------------


def pages_of_puts(bench: Bench, put: Put, count: int, page_bytes: int) -> dict[str, float]:
    """Pages per event in the write-ahead log, by b-tree and kind of page."""
    with bench.place() as place, closing(open_store(place / "queue.db", page_bytes)) as store:
        put(store, encoded(), 1000)
        log = place / "queue.db-wal"
        checkpoint(store.path)
        put_singly(store, encoded(), 1)  # the log begins anew with this
        before = _frames(log, page_bytes)
        put(store, encoded(), count)
        frames = _frames(log, page_bytes)[len(before) :]
        with closing(sqlite3.connect(store.path)) as connection:
            rows = connection.execute("SELECT pageno, name, pagetype FROM dbstat")
            kinds = {page: f"{name} {kind}" for page, name, kind in rows}
    counted = Counter(kinds.get(page, "free") for page in frames)
    return {kind: number / count for kind, number in counted.most_common()}


def _frames(log: Path, page_bytes: int) -> list[int]:
    """The pages in a log, in order, as far as they belong to its latest round (their salts are the header's)."""
    data = log.read_bytes()
    salts = data[16:24]
    pages = []
    for start in range(32, len(data) - page_bytes, 24 + page_bytes):
        if data[start + 8 : start + 16] != salts:
            break
        pages.append(struct.unpack_from(">I", data, start)[0])
    return pages


def main() -> int:
    parser = argparse.ArgumentParser(description="Bytes written over an event's life, by page size.")
    parser.add_argument("--page-size", type=int, nargs="+", default=[PAGE_BYTES], metavar="BYTES")
    parser.add_argument("--payload", type=int, metavar="BYTES", help="events of about that size (default: about 1,065)")
    given = parser.parse_args()
    pool = encoded(given.payload)
    with scratch(None) as directory:
        bench = Bench(Path(directory))
        print(conditions(bench.directory))
        runs = {
            (page, name): partial(life, bench, put, pool, 5000, page)
            for page in given.page_size
            for name, put in (("put singly", put_singly), ("put by 100", put_by_batch))
        }
        for (page, name), lives in interleave(runs, 5).items():  # type: ignore[type-var]
            print(f"page {page}, {name}: {of_values([sum(one) for one in lives]).value:.2f} payloads ({phases(lives)})")
        for page in given.page_size:
            for name, put, count in (("put singly", put_singly, 300), ("put by 100", put_by_batch, 300)):
                print(f"page {page}, {name}, pages per event: {pages_of_puts(bench, put, count, page)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
