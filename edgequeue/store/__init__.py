"""The store: events safe on disk, the work list, the requests, the books.

The interface is `base.Store`; `facade.SqliteStore` keeps a queue in one SQLite file, and another database can stand
behind it.
"""

from __future__ import annotations

from edgequeue.store.base import Closing, EventFilter, Lease, NewRequest, Store

__all__ = ["Closing", "EventFilter", "Lease", "NewRequest", "Store"]
