"""The store: events safe on disk, the work list, the requests, the books.

`open_store` opens a SQLite file; the interface is `base.Store`, so that another database can stand behind it.
"""

from __future__ import annotations

from edgequeue.store.base import Closing, EventFilter, Lease, NewRequest, Store

__all__ = ["Closing", "EventFilter", "Lease", "NewRequest", "Store", "open_store"]


def open_store(*args: object, **options: object) -> Store:
    """Open a SQLite store; see `SqliteStore.open`."""
    from edgequeue.store.facade import SqliteStore

    return SqliteStore.open(*args, **options)  # type: ignore[arg-type]
