"""`EventQueue`: the facade, and the one place that wires the parts together."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from edgequeue.capacity import Capacity
from edgequeue.clock import Clock
from edgequeue.errors import ConfigError, InvalidEvent, QueueClosed
from edgequeue.given import as_priority, as_reference, check_place
from edgequeue.lazily import importing
from edgequeue.looking import Looking
from edgequeue.model import Draft, Priority, Status
from edgequeue.store.base import Store
from edgequeue.views import Paused, Record, SyncReport

if TYPE_CHECKING:
    from edgequeue.config import Settings
    from edgequeue.destinations.base import Destination
    from edgequeue.runner import Runner
    from edgequeue.sender import Sender
    from edgequeue.sync import Progress

log = logging.getLogger("edgequeue")

DAY_MS = 86_400_000
STOP_SECONDS = 10.0
"""How long `stop` and `close` wait for what is under way, unless told otherwise; nothing is lost either way."""

BYTES_MAX = 4 * 1024**3
"""The default of `max_bytes`: some three million events of 1 KB."""

Callback = Callable[[Record], None]
PausedCallback = Callable[[Paused], None]


class EventQueue(Looking):
    """A durable queue of events. Safe from any thread; use one per process and database.

    `database` is a path; `destinations` are `AdobeEdge(…)`, `AdobeDccs(…)` and the like. Delivered events are kept
    `keep_delivered_days`, others that ended `keep_dead_days` (None: for ever). At `max_events` pending or `max_bytes`
    in use `enqueue` raises QueueFull. `durability="normal"` is faster and may lose the last seconds at a power cut.
    `looking=True` is for who only looks: a queue that cannot be written (its disk is read-only or full, it is another
    user's) is then opened for reading. Callbacks run on the worker's thread; what they raise is logged and stops
    nothing. Raises StoreError and its kin.
    """

    def __init__(
        self,
        database: str | Path,
        destinations: Sequence[Destination] = (),
        *,
        keep_delivered_days: float | None = 7,
        keep_dead_days: float | None = 30,
        max_events: int | None = None,
        max_bytes: int | None = BYTES_MAX,
        durability: str = "full",
        looking: bool = False,
        clock: Clock | None = None,
        transport: Callable[[Destination], Sender] | None = None,
        on_delivered: Callback | None = None,
        on_dead: Callback | None = None,
        on_paused: PausedCallback | None = None,
    ) -> None:
        from edgequeue.store.facade import SqliteStore

        if durability not in ("full", "normal"):
            raise ConfigError(f"durability is {durability!r}; it is 'full' or 'normal'")
        if not isinstance(destinations, Sequence):
            raise ConfigError("destinations is a list: EventQueue(path, destinations=[AdobeEdge(…)])")
        names = [one.name for one in destinations]
        if len(set(names)) < len(names):
            raise ConfigError(f"two destinations have the same name: {', '.join(sorted(names))}")
        self.configuration: Path | None = None
        self.destinations: Mapping[str, Destination] = {one.name: one for one in destinations}
        self._keep = (_milliseconds(keep_delivered_days), _milliseconds(keep_dead_days))
        self._transport = transport
        self._callbacks = (on_delivered, on_dead, on_paused)
        self._runner: Runner | None = None
        self._closing = self._closed = False
        self._new_locks()
        self._store: Store = SqliteStore.open(Path(database), clock=clock, durability=durability, looking=looking)
        self._capacity = Capacity(self._store.room, max_events, max_bytes)
        self._store.adopt(names)
        for one in destinations:
            self._store.register(one.name, one.type)
        _OPEN.add(self)

    @classmethod
    def open(cls, config: str | Path | None = None, **options: Any) -> Self:
        """Open the queue that a configuration file describes, `edgequeue.toml` where none is named.

        Raises ConfigError, which names the file, the key and the remedy, and StoreError and its kin.
        """
        from edgequeue.config import find_config, load_settings

        path = find_config(None if config is None else Path(config), os.environ)
        return cls.from_settings(load_settings(path), **options)

    @classmethod
    def from_settings(cls, settings: Settings, **options: Any) -> Self:
        """Open the queue that these settings describe."""
        queue = settings.queue
        found = cls(
            queue.database,
            list(settings.destinations.values()),
            keep_delivered_days=queue.keep_delivered_days,
            keep_dead_days=queue.keep_dead_days,
            max_events=queue.max_events,
            max_bytes=queue.max_bytes,
            durability=queue.durability,
            **options,
        )
        found.configuration = settings.path
        return found

    # --- taking events in ---------------------------------------------------------------------------------------------

    def enqueue(
        self,
        event: Mapping[str, Any],
        destination: str | None = None,
        *,
        priority: Priority | str = Priority.NORMAL,
        reference: str | None = None,
        timeout_seconds: float = 5.0,
    ) -> str:
        """Store one event durably and return its id: when this returns, the event survives a power cut.

        `destination` may be left out where there is only one; `reference` is the application's own key. Raises
        InvalidEvent, QueueFull, QueueBusy (after `timeout_seconds`), StoreError and its kin or QueueClosed, and then
        nothing was stored.
        """
        target = self.target(destination)
        draft = self._draft(target, event, reference)
        self._capacity.take(len(draft.payload))
        event_id = self._store.put(target.name, draft, as_priority(priority), timeout_seconds)
        self._nudge(target.name)
        return event_id

    def enqueue_many(
        self,
        events: Iterable[Mapping[str, Any]] | Mapping[str, Any],
        destination: str | None = None,
        *,
        priority: Priority | str = Priority.NORMAL,
        reference: str | None = None,
        timeout_seconds: float = 5.0,
    ) -> list[str]:
        """Store all events or none, in one transaction; ids in the order of the input. Raises as `enqueue` does.

        A whole request document (such as `{"events": [...]}`) is taken apart. An iterable is consumed before the
        write lock is taken, and kept in a temporary file beyond some megabytes.
        """
        target = self.target(destination)
        parts = self.split(events, target.name) if isinstance(events, Mapping) else events
        take = self._capacity.bulk()

        def drafts() -> Iterator[Draft]:
            for number, event in enumerate(parts, start=1):
                try:
                    draft = self._draft(target, event, reference)
                except InvalidEvent as error:
                    raise error.at(f"event {number}") from error.__cause__
                take(len(draft.payload))
                yield draft

        ids = self._store.put_many(target.name, drafts(), as_priority(priority), timeout_seconds)
        self._nudge(target.name)
        return ids

    def check(self, event: Any, destination: str | None = None) -> tuple[str, ...]:
        """Check one event without storing it; returns warnings, raises InvalidEvent."""
        return self._draft(self.target(destination), event, None, quiet=True).warnings

    def split(self, document: Mapping[str, Any], destination: str | None = None) -> list[Any]:
        """The events of a whole request document; a single event is a list of one."""
        found = self.target(destination).split(document)
        return [document] if found is None else found

    def target(self, name: str | None) -> Destination:
        """The destination of that name, or the only one. ConfigError names the ones there are."""
        self._check_open()
        if name is not None:
            found = self.destinations.get(name)
            if found is None:
                raise ConfigError(f"no destination is named {name!r}; there are: {self._names()}")
            return found
        if len(self.destinations) == 1:
            return next(iter(self.destinations.values()))
        if not self.destinations:
            raise ConfigError("no destination is configured: add a [destinations.NAME] table")
        raise ConfigError(f"there are several destinations, so name one of them: {self._names()}")

    def _check_open(self) -> None:
        if self._closed:
            raise QueueClosed("this queue was closed; open it again")

    def _names(self) -> str:
        return ", ".join(self.destinations) or "none"

    def _draft(self, target: Destination, event: Any, reference: str | None, *, quiet: bool = False) -> Draft:
        try:
            draft = target.check(event, self._store.wall_ms())
        except InvalidEvent:
            if isinstance(event, Mapping) and target.split(event) is not None:
                raise InvalidEvent(
                    "this is a whole request document, not one event", remedy="Pass it to enqueue_many."
                ) from None
            raise
        check_place(draft, target)
        if draft.warnings and not quiet:
            for text in draft.warnings:
                log.warning("%s: %s", target.name, text, extra={"action": "warn", "destination": target.name})
        return draft if reference is None else draft._replace(reference=as_reference(reference))

    # --- delivering ---------------------------------------------------------------------------------------------------

    def start(self, kind: str = "embedded") -> None:
        """Drain in the background until `stop` or `close`. Does nothing when it is started already."""
        with importing():
            from edgequeue.runner import Runner

        self.target(next(iter(self.destinations), None))
        with self._turn:
            if self._closing:  # a worker that is started now would outlive its database
                raise QueueClosed("this queue is being closed; open it again")
            if self._runner is None:
                self._runner = Runner(
                    self._store, self._enabled(None), self._transport, self._keep, kind, self._callbacks
                )
                self._runner.start()

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> bool:
        """End the background worker; what is in the middle of an exchange is cut off and sent again later.

        Returns whether it ended in time. Nothing is lost either way.
        """
        with self._turn:
            runner, self._runner = self._runner, None
        return True if runner is None else runner.stop(timeout_seconds)

    def reset_after_fork(self) -> None:
        """A forked child has no worker, whatever its parent had, and locks of its own."""
        self._runner = None
        self._closing = self._closed
        self._new_locks()
        self._capacity.reset_after_fork()

    def _new_locks(self) -> None:
        self._turn = threading.Lock()
        self._ended = threading.Event()

    def _nudge(self, name: str) -> None:
        if self._runner is not None:
            self._runner.nudge(name)

    def sync(
        self,
        timeout_seconds: float | None = None,
        *,
        destination: str | None = None,
        limit: int | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        catch_interrupt: bool = False,
    ) -> SyncReport:
        """Drain now, in this call. By hand means now: our own backoff and a pause are skipped for one try, a wait that
        the service asked for is not. Without a timeout it ends when every destination with events has to wait; with
        one, waits are honoured until the queue is empty or the time is up.
        """
        with importing():
            from edgequeue.runner import Runner
            from edgequeue.sync import sync

        self.target(destination or next(iter(self.destinations), None))
        runner = Runner(self._store, self._enabled(destination), self._transport, self._keep, "sync", self._callbacks)
        if timeout_seconds is not None:
            runner.watch_network()
        try:
            report = sync(
                runner.workers,
                self._store,
                lambda: self._remaining(destination),
                timeout_seconds=timeout_seconds,
                limit=limit,
                on_progress=on_progress,
            )
        finally:
            runner.close()
        if report.stopped_because == "interrupted" and not catch_interrupt:
            raise KeyboardInterrupt
        return report

    def _enabled(self, name: str | None) -> list[Destination]:
        return [one for one in self.destinations.values() if one.enabled and name in (None, one.name)]

    def _remaining(self, name: str | None) -> int:
        counts = self._store.counts(name)
        return counts.pending + counts.sending

    # --- mending and tidying ------------------------------------------------------------------------------------------

    def requeue(self, *event_ids: str, destination: str | None = None, everything: bool = False) -> int:
        """Dead events become pending again: the named ones, those of a destination, or everything.

        Returns how many. An id that is not known or not dead is passed over. ConfigError when nothing is asked for.
        """
        if not event_ids and destination is None and not everything:
            raise ConfigError("requeue: name events or a destination, or say everything=True")
        count = self._store.requeue(list(event_ids) or None, destination)
        for name in self.destinations:
            self._nudge(name)
        return count

    def prune(self, older_than_days: float | None = None, statuses: Iterable[str] = ("delivered", "dead")) -> int:
        """Delete ended events, by default those past their retention; returns how many. The ledger keeps the counts."""
        now_ms = self._store.now_ms()
        kept = self._keep if older_than_days is None else (_milliseconds(older_than_days),) * 2
        before = [None if one is None else now_ms - one for one in kept]
        chosen = {Status(one) for one in statuses}
        if chosen - {Status.DELIVERED, Status.DEAD}:
            raise ConfigError("prune takes 'delivered' and 'dead', which stands for all that ended otherwise")
        delivered = before[0] if Status.DELIVERED in chosen else None
        return self._store.prune(delivered, before[1] if chosen - {Status.DELIVERED} else None)

    def damage(self) -> list[str]:
        """What is wrong with the database, in words; empty when nothing is."""
        return self._store.check()

    def close(self) -> None:
        """Stop the worker and let go of the database. Idempotent; the queue cannot be used afterwards.

        Of several threads one closes, and the others wait for it: the worker still writes down what was answered.
        """
        with self._turn:
            first, self._closing = not self._closing, True
        if not first:
            self._ended.wait(2 * STOP_SECONDS)
            return
        try:
            self.stop()
        finally:
            self._closed = True
            self._store.close()
            self._ended.set()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_OPEN: weakref.WeakSet[EventQueue] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for queue in list(_OPEN):
        queue.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _milliseconds(days: float | None) -> int | None:
    return None if days is None else round(days * DAY_MS)
