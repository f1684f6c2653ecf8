"""Looking at a queue: status, events, requests. The half of `EventQueue` that changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edgequeue.clock import moment
from edgequeue.errors import ConfigError
from edgequeue.lazily import importing
from edgequeue.model import Status
from edgequeue.retry import until_opening
from edgequeue.store.base import DestinationRow, EventFilter, Store
from edgequeue.views import QueueStatus, Record, RecordDetail, RequestView

if TYPE_CHECKING:
    from edgequeue.destinations.base import Destination


class Looking:
    """What can be asked of a queue; `EventQueue` sets the fields."""

    configuration: Path | None
    destinations: Mapping[str, Destination]
    _store: Store

    def status(self) -> QueueStatus:
        """Ledger, destinations and worker at this moment, with a sentence that says why nothing is sent."""
        with importing():
            from edgequeue.explain import destination_view, why

        store = self._store
        now_ms = store.now_ms()
        rows = store.destination_rows()
        views = {
            row.name: destination_view(
                self._as_configured(row, now_ms),
                enabled=self._switched_on(row.name),
                now_ms=now_ms,
                at=store.at,
                place=self._place(row.name),
            )
            for row in rows
            if row.name in self.destinations or row.counts.enqueued
        }
        ledger = store.counts()
        worker = next((row.owner for row in rows if row.owner is not None), None)
        return QueueStatus(
            queue_id=store.queue_id,
            database=str(store.path),
            configuration=None if self.configuration is None else str(self.configuration),
            schema_revision=store.schema_revision,
            disk_bytes=store.disk_bytes(),
            ledger=ledger,
            worker=worker,
            destinations=views,
            salvages=tuple(store.salvages()),
            why=why(ledger, views, worker, moment(store.wall_ms())),
        )

    def get(self, event_id: str) -> RecordDetail | None:
        """One event with its payload and the requests it travelled in; None when the id is not known."""
        return self._store.get(event_id)

    def resolve(self, text: str) -> list[str]:
        """The ids of the events that an event id, an `_id` or the beginning of either may mean."""
        return self._store.resolve(text)

    def find(self, reference: str) -> list[Record]:
        """Events by the application's own key, oldest first."""
        return self._store.find(reference)

    def events(
        self,
        status: Status | str | None = None,
        destination: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[Record]:
        """Events as they stand, oldest first unless `newest_first`, read as the iteration goes."""
        wanted = self.wanted(status, destination, since, limit)
        return iter(self._store.events(wanted._replace(newest_first=newest_first)))

    def export(
        self,
        status: Status | str | None = None,
        destination: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[tuple[Record, bytes]]:
        """Events with their payloads as JSON documents that `enqueue` takes again."""
        return iter(self._store.payloads(self.wanted(status, destination, since, limit)))

    def wanted(
        self, status: Status | str | None, destination: str | None, since: datetime | None, limit: int | None
    ) -> EventFilter:
        """A filter from what people give."""
        try:
            wanted = None if status is None else Status(status)
        except ValueError:
            raise ConfigError(f"no status is named {status!r}; there are: {', '.join(Status)}") from None
        since_ms = None if since is None else self._store.queue_ms(round(since.timestamp() * 1000))
        return EventFilter(wanted, destination, since_ms, limit)

    def requests(
        self, request_id: str | None = None, *, destination: str | None = None, limit: int | None = None
    ) -> list[RequestView]:
        """What was sent, newest first; by the beginning of a request id when one is given."""
        return self._store.requests(destination, limit, request_id)

    def _place(self, name: str) -> str | None:
        found = self.destinations.get(name)
        return None if found is None else found.place

    def _as_configured(self, row: DestinationRow, now_ms: int) -> DestinationRow:
        """The row with `not_before` as it is configured now, where no worker has taken that over yet."""
        found = self.destinations.get(row.name)
        if found is None:
            return row
        hold = until_opening(row.hold, found.not_before_ms, row.learned.opened_ms, self._store.wall_ms(), now_ms)
        return row if hold is row.hold else replace(row, hold=hold)

    def _switched_on(self, name: str) -> bool | None:
        found = self.destinations.get(name)
        return None if found is None else found.enabled
