"""The peers that are measured beside us. All are durable: WAL and synchronous=FULL, asked for by name, whatever the
SQLite build or the library defaults to.

An event comes as a dict, and each library serializes it as it does by default, or as JSON where it takes only text.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Protocol

from events import encode_plainly
from floor import FULL

INSTALL = "not installed: pip install 'edgequeue[bench]', which `make bench` does"

Event = Mapping[str, Any]


class Peer(Protocol):
    """A queue in a directory of its own. `acknowledges`: what was got and not acknowledged comes again."""

    name: ClassVar[str]
    module: ClassVar[str]
    acknowledges: ClassVar[bool]

    def __init__(self, directory: Path) -> None: ...

    def put(self, event: Event) -> object: ...

    def take(self) -> object:
        """Get one event, and acknowledge it where the library knows that."""

    def fill(self, events: Iterable[Event]) -> None:
        """Many events as fast as it goes: a backlog to measure on, not something that is measured."""

    def tidy(self) -> None:
        """Delete what was acknowledged, where a get does not do so itself."""

    def close(self) -> None: ...


class PersistQueue:
    name, module, acknowledges = "persist-queue", "persistqueue", True

    def __init__(self, directory: Path) -> None:
        from persistqueue import SQLiteAckQueue

        self._queue = SQLiteAckQueue(str(directory), multithreading=True)
        self._queue._putter.execute(FULL)
        self._queue._getter.execute(FULL)
        self.put = self._queue.put

    def take(self) -> object:
        return self._queue.ack(self._queue.get(block=False))

    def fill(self, events: Iterable[Event]) -> None:
        from persistqueue.serializers import pickle

        rows = ((pickle.dumps(event), time.time()) for event in events)
        statement = f"INSERT INTO {self._queue._table_name} (data, timestamp, status) VALUES (?, ?, 0)"
        with self._queue._putter as connection:
            connection.executemany(statement, rows)

    def tidy(self) -> None:
        self._queue.clear_acked_data(max_delete=1 << 30, keep_latest=0)

    def close(self) -> None:
        self._queue.close()


class LiteQueue:
    name, module, acknowledges = "litequeue", "litequeue", True

    def __init__(self, directory: Path) -> None:
        from litequeue import LiteQueue as Queue

        self._queue = Queue(directory / "queue.db")
        self._queue.conn.execute(FULL)

    def put(self, event: Event) -> object:
        return self._queue.put(encode_plainly(event))

    def take(self) -> object:
        return self._queue.done(self._queue.pop().message_id)

    def fill(self, events: Iterable[Event]) -> None:
        with self._queue.transaction():
            for event in events:
                self.put(event)

    def tidy(self) -> None:
        self._queue.prune()

    def close(self) -> None:
        self._queue.close()


class LocalQueue:
    name, module, acknowledges = "localqueue", "localqueue", True

    def __init__(self, directory: Path) -> None:
        from localqueue import DurabilityMode, SimpleQueue

        self._queue = SimpleQueue(str(directory), durability=DurabilityMode.DURABLE)
        self.put = self._queue.put

    def take(self) -> object:
        return self._queue.ack(self._queue.get(block=False))

    def fill(self, events: Iterable[Event]) -> None:
        source = iter(events)
        while part := list(islice(source, 10_000)):
            self._queue.put_many(part)

    def tidy(self) -> None:
        self._queue.purge(0)

    def close(self) -> None:
        self._queue.close()


class SimpleBroker:
    """Acknowledged here means read first and deleted afterwards; its own `read` deletes at once."""

    name, module, acknowledges = "simplebroker", "simplebroker", True

    def __init__(self, directory: Path) -> None:
        from simplebroker import Queue

        self._queue = Queue("events", db_path=str(directory / "queue.db"), persistent=True)

    def put(self, event: Event) -> object:
        return self._queue.write(encode_plainly(event))

    def take(self) -> object:
        _, number = self._queue.peek_one(with_timestamps=True)
        return self._queue.delete(message_id=number)

    def fill(self, events: Iterable[Event]) -> None:
        source = iter(events)
        while part := list(islice(source, 10_000)):
            first = self._queue.generate_timestamp() + 1
            self._queue.insert_messages([(encode_plainly(one), number) for number, one in enumerate(part, first)])

    def tidy(self) -> None:
        """Nothing: it deletes."""

    def close(self) -> None:
        self._queue.close()


class DiskCache:
    name, module, acknowledges = "diskcache", "diskcache", False

    def __init__(self, directory: Path) -> None:
        from diskcache import Cache, Deque

        cache = Cache(str(directory), eviction_policy="none", sqlite_synchronous=2)
        self._queue = Deque.fromcache(cache)
        self.put = self._queue.append
        self.take = self._queue.popleft

    def fill(self, events: Iterable[Event]) -> None:
        with self._queue.transact():
            self._queue.extend(events)

    def tidy(self) -> None:
        """Nothing: a get deletes."""

    def close(self) -> None:
        self._queue.cache.close()


class Huey:
    name, module, acknowledges = "huey", "huey", False

    def __init__(self, directory: Path) -> None:
        from huey.storage import SqliteStorage

        self._storage = SqliteStorage(filename=str(directory / "queue.db"), fsync=True)
        self.take = self._storage.dequeue

    def put(self, event: Event) -> object:
        return self._storage.enqueue(encode_plainly(event).encode())

    def fill(self, events: Iterable[Event]) -> None:
        rows = ((self._storage.name, encode_plainly(event).encode()) for event in events)
        with self._storage.db(commit=True) as cursor:
            cursor.executemany("INSERT INTO task (queue, data, priority) VALUES (?, ?, 0)", rows)

    def tidy(self) -> None:
        """Nothing: a get deletes."""

    def close(self) -> None:
        self._storage.close()


PEERS: tuple[type[Peer], ...] = (PersistQueue, LiteQueue, LocalQueue, SimpleBroker, DiskCache, Huey)


def installed(*, acknowledges: bool | None = None) -> Iterator[type[Peer]]:
    """The peers that can be measured; of all, or of those that know acknowledgement (or do not)."""
    for one in PEERS:
        if acknowledges in (None, one.acknowledges) and find_spec(one.module) is not None:
            yield one
