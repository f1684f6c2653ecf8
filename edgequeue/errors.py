"""Every exception that edgequeue raises.

    EdgeQueueError
    ├── ConfigError          (also ValueError)  a setting is missing, unknown or wrong
    ├── InvalidEvent         (also ValueError)  refused at enqueue; nothing was stored
    ├── QueueFull                               the operator's limit is reached; nothing was stored
    ├── QueueClosed                             the queue object was used after close
    ├── StoreError                              the database or its disk cannot be used
    │   ├── QueueBusy                           another process held the write lock for too long
    │   ├── StoreFull                           the disk is full; nothing was stored
    │   ├── LeaseLost                           another worker sends to the destination now; nothing was sent
    │   ├── StoreDamaged                        a damaged database that could not be salvaged; it is never deleted
    │   │   └── NotAQueue                       somebody else's file; it is never touched
    │   ├── FileReplaced                        the file was deleted or replaced; what is there now is opened by itself
    │   └── SchemaError                         the tables are not of this version
    │       └── SchemaTooNew                    written by a newer edgequeue
    ├── ServiceError                            Adobe's Flow Service refused a step; what was made before stays
    │   └── ServiceUnavailable                  it cannot be reached, or asks to wait; the same command goes on later
    └── TransportError                          one request got no answer; never leaves the worker
        ├── NotSent                             no byte went out: the service cannot have seen it
        └── MaybeSent                           it may have arrived: the outcome is unknown

A failed delivery is a value (see `outcome.py`); an exception means that the machine, the configuration or the
caller is wrong. Each message says what happened, to what, and what to do next.
"""

from __future__ import annotations


class EdgeQueueError(Exception):
    """The root: `except EdgeQueueError` catches whatever edgequeue raises on purpose."""


class ConfigError(EdgeQueueError, ValueError):
    """A setting is missing, unknown or wrong; the message names the file, the key and the remedy."""


class InvalidEvent(EdgeQueueError, ValueError):
    """The event was refused at enqueue, where the caller can still mend it; nothing was stored.

    `field` is the dotted path of the offending field ("" for the event as a whole), `reason` what is wrong with it,
    `remedy` what to do, and `where` names the event among several ("event 3", "sales.jsonl line 7"; "" for a single).
    """

    def __init__(self, reason: str, *, field: str = "", remedy: str = "", where: str = "") -> None:
        self.reason = reason
        self.field = field
        self.remedy = remedy
        self.where = where
        super().__init__(reason)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        named = f"{self.field}: " if self.field else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        end = "" if self.reason.endswith(("?", ".")) else "."
        return f"{place}{named}{self.reason}{end}{remedy}"

    def at(self, where: str) -> InvalidEvent:
        """The same refusal, naming which of several events it is about."""
        return InvalidEvent(self.reason, field=self.field, remedy=self.remedy, where=where)


class QueueFull(EdgeQueueError):
    """`max_events` or `max_bytes` is reached; the event was not stored and everything stored is kept."""


class QueueClosed(EdgeQueueError):
    """The queue was used after `close`; open a new one."""


class StoreError(EdgeQueueError):
    """The database or its disk cannot be used; `__cause__` is the driver's error."""


class QueueBusy(StoreError):
    """Another process held the write lock longer than `timeout_seconds`; nothing was stored, try again."""


class StoreFull(StoreError):
    """The disk is full; nothing was stored, and what was stored before is safe."""


class StoreDamaged(StoreError):
    """The file is no edgequeue database, or it is damaged and could not be salvaged. It is never deleted."""


class NotAQueue(StoreDamaged):
    """The file is somebody else's: another program's database, or none at all. It is never touched."""


class FileReplaced(StoreError):
    """Another file has the database's name now, or none: it was salvaged by another process, replaced, or deleted. The
    store opens what is there and does the same again; only a file that is replaced over and over lets this out.
    """


class LeaseLost(StoreError):
    """Another worker has the lease of the destination; the request was not put on record and not sent."""


class SchemaError(StoreError):
    """The tables could not be brought to this version; the database is as it was before."""


class SchemaTooNew(SchemaError):
    """The database was written by a newer edgequeue; upgrade this one."""


class ServiceError(EdgeQueueError):
    """A step of setting up a connection was refused; `step` names it, `code` is the service's own or "conflict"."""

    def __init__(self, message: str, *, step: str, code: str) -> None:
        self.step = step
        self.code = code
        super().__init__(message)


class ServiceUnavailable(ServiceError):
    """A step could not be done now: no network, or the service asks to wait. The same command goes on later."""


class TransportError(EdgeQueueError):
    """One request got no answer. `code` is a short name for it, such as "connect" or "read_timeout".

    `retry_after_seconds`: an answer that could not be read to its end had asked for patience.
    """

    def __init__(self, message: str, *, code: str, retry_after_seconds: float | None = None) -> None:
        self.code = code
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class NotSent(TransportError):
    """No byte of the request went out (DNS, connect, TLS): the service cannot have seen it."""


class MaybeSent(TransportError):
    """The request went out, in part at least, and no answer came: the service may have taken it."""
