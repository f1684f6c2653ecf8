"""edgequeue: an offline-first event queue.

    from edgequeue import EventQueue

    with EventQueue.open("edgequeue.toml") as queue:
        event_id = queue.enqueue({"xdm": {...}})
        queue.sync()

Names are loaded when first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgequeue._version import __version__

if TYPE_CHECKING:
    from edgequeue.auth import Bearer, Ims, Secret
    from edgequeue.destinations.adobe_dccs import AdobeDccs
    from edgequeue.destinations.adobe_edge import AdobeEdge
    from edgequeue.destinations.base import Destination
    from edgequeue.destinations.bloomreach import Bloomreach
    from edgequeue.errors import (
        ConfigError,
        EdgeQueueError,
        InvalidEvent,
        QueueBusy,
        QueueClosed,
        QueueFull,
        SchemaError,
        SchemaTooNew,
        StoreDamaged,
        StoreError,
        StoreFull,
    )
    from edgequeue.model import Priority, Status
    from edgequeue.queue import EventQueue
    from edgequeue.views import Paused, QueueStatus, Record, RecordDetail, RequestView, SyncReport

_HOMES = {
    "edgequeue.auth": ("Bearer", "Ims", "Secret"),
    "edgequeue.destinations.adobe_dccs": ("AdobeDccs",),
    "edgequeue.destinations.adobe_edge": ("AdobeEdge",),
    "edgequeue.destinations.base": ("Destination",),
    "edgequeue.destinations.bloomreach": ("Bloomreach",),
    "edgequeue.errors": (
        "ConfigError",
        "EdgeQueueError",
        "InvalidEvent",
        "QueueBusy",
        "QueueClosed",
        "QueueFull",
        "SchemaError",
        "SchemaTooNew",
        "StoreDamaged",
        "StoreError",
        "StoreFull",
    ),
    "edgequeue.model": ("Priority", "Status"),
    "edgequeue.queue": ("EventQueue",),
    "edgequeue.views": ("Paused", "QueueStatus", "Record", "RecordDetail", "RequestView", "SyncReport"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AdobeDccs",
    "AdobeEdge",
    "Bearer",
    "Bloomreach",
    "ConfigError",
    "Destination",
    "EdgeQueueError",
    "EventQueue",
    "Ims",
    "InvalidEvent",
    "Paused",
    "Priority",
    "QueueBusy",
    "QueueClosed",
    "QueueFull",
    "QueueStatus",
    "Record",
    "RecordDetail",
    "RequestView",
    "SchemaError",
    "SchemaTooNew",
    "Secret",
    "Status",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "SyncReport",
    "__version__",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'edgequeue' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
