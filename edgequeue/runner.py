"""The workers of one process: one per destination, with what each needs to reach its service."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from edgequeue.destinations.base import Destination
from edgequeue.lazily import importing
from edgequeue.outcome import Settled
from edgequeue.retry import Hold, HoldState
from edgequeue.sender import Sender
from edgequeue.store.base import Lease, Store
from edgequeue.views import Paused
from edgequeue.worker import Retention, Worker

if TYPE_CHECKING:
    from edgequeue.network import NetworkWatch

log = logging.getLogger("edgequeue")


class Runner:
    """Makes the workers, and runs them on background threads."""

    def __init__(
        self,
        store: Store,
        destinations: Sequence[Destination],
        transport: Callable[[Destination], Sender] | None,
        keep: tuple[int | None, int | None],
        kind: str,
        callbacks: tuple[Callable[..., None] | None, ...],
    ) -> None:
        self._store = store
        make = transport or over_http
        self._own_senders = transport is None  # what the caller made is the caller's to close
        self._senders = {one.name: make(one) for one in destinations}
        retention = Retention(*keep)
        listener = Callbacks(store, *callbacks) if any(callbacks) else None
        self.workers = [
            Worker(
                store,
                one,
                self._senders[one.name],
                kind=kind,
                listener=listener,
                retention=retention,
                peers=[other.name for other in destinations if other is not one and self._share(one, other)],
            )
            for one in destinations
        ]
        self._by_name = {one.destination.name: one for one in self.workers}
        self._watch: NetworkWatch | None = None

    def start(self) -> None:
        """Each worker on a daemon thread: an interpreter that exits without close loses nothing."""
        self.watch_network()
        for worker in self.workers:
            thread = threading.Thread(target=worker.run, name=f"edgequeue-{worker.destination.name}", daemon=True)
            thread.start()

    def watch_network(self) -> None:
        """End the waits of those who are offline when the machine's network changes, where the system tells."""
        with importing():
            from edgequeue.network import NetworkWatch

        def changed() -> None:
            for worker in self.workers:
                worker.network_changed()

        self._watch = NetworkWatch(changed)
        self._watch.start()

    def nudge(self, name: str) -> None:
        """Something was enqueued for a destination."""
        worker = self._by_name.get(name)
        if worker is not None:
            worker.nudge()

    def stop(self, timeout_seconds: float) -> bool:
        """Let the turns under way end for half of the time, then cut their exchanges off."""
        deadline = time.monotonic() + timeout_seconds
        for worker in self.workers:
            worker.stop()
        self._join(deadline - timeout_seconds / 2)
        for worker in self.workers:
            if not worker.ended.is_set():
                worker.abort()
        self.close()  # nothing new begins in the middle of a stop
        self._join(deadline)
        return all(worker.ended.is_set() for worker in self.workers)

    def close(self) -> None:
        """End the watch, and close what reaches the services where it was made here."""
        if self._watch is not None:
            self._watch.close()
        if not self._own_senders:
            return
        for sender in self._senders.values():
            close = getattr(sender, "close", None)
            if close is not None:
                close()

    def _share(self, one: Destination, other: Destination) -> bool:
        """Whether what the token service asks of one it asks of the other: the same account, and the same way to it."""
        same_way = self._senders[one.name].way == self._senders[other.name].way
        return one.auth is not None and one.auth is other.auth and same_way

    def _join(self, deadline: float) -> None:
        for worker in self.workers:
            worker.ended.wait(max(deadline - time.monotonic(), 0.0))


def over_http(destination: Destination) -> Sender:
    """The real transport for a destination, with its time-outs, certificates and proxy."""
    with importing():
        from edgequeue.transport import HttpxTransport

    return HttpxTransport(
        connect_timeout_seconds=destination.connect_timeout_seconds,
        timeout_seconds=destination.timeout_seconds,
        ca_file=destination.ca_file,
        client_cert=destination.client_cert,
        proxy=destination.proxy,
        connections_max=destination.requests_in_flight_max,
    )


class Callbacks:
    """Tells the application what became of its events. What a callback raises is logged and stops nothing."""

    def __init__(
        self,
        store: Store,
        on_delivered: Callable[..., None] | None,
        on_dead: Callable[..., None] | None,
        on_paused: Callable[..., None] | None,
    ) -> None:
        self._store = store
        self._on_delivered = on_delivered
        self._on_dead = on_dead
        self._on_paused = on_paused
        self._paused: set[str] = set()

    def __call__(self, lease: Lease, settled: Sequence[Settled], hold: Hold) -> None:
        for _, settlement in settled:
            if self._on_delivered is not None and settlement.delivered:
                for record in self._store.records([sequence for _, sequence in settlement.delivered]):
                    _call(self._on_delivered, record)
            if self._on_dead is not None and settlement.deaths:
                for record in self._store.records([death.sequence for death in settlement.deaths]):
                    _call(self._on_dead, record)
        if hold.state is not HoldState.PAUSED:
            self._paused.discard(lease.name)
        elif lease.name not in self._paused:
            self._paused.add(lease.name)
            if self._on_paused is not None and hold.problem is not None:
                problem = hold.problem
                _call(self._on_paused, Paused(lease.name, problem.code, problem.text, problem.remedy))


def _call(callback: Callable[..., None], *values: Any) -> None:
    try:
        callback(*values)
    except (Exception, SystemExit):
        log.exception("a callback failed; delivery goes on", extra={"action": "callback"})
