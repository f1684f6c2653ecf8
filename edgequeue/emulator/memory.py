"""What arrived: accepted events by `_id`, requests, unknown paths. Counted, not hoarded; safe from any thread.

The memory stays modest for hundreds of thousands of events: ids and counts are kept for all of them, payloads only when
asked for, requests and unknown paths up to a bound.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgequeue.emulator.contract import Accepted

REQUESTS_KEPT_MAX = 50_000
"""The latest requests are kept, about 300 bytes each: some 15 MB at most. The count goes on."""
UNKNOWN_PATHS_MAX = 1_000
"""Further unknown paths are only in the list of requests."""


@dataclass(frozen=True, slots=True)
class RequestSeen:
    """One request to anything but the emulator's own paths.

    `service` is edge, dccs, ims, bloomreach, platform or None; `status` is None when no answer was sent; `fault` is the
    kind of the fault applied; `request_id` is the service's id (Edge: the caller's, `-` and 16 hex digits; DCCS:
    batchId or xactionId; Bloomreach: x-request-id); `events` counts the events carried, `accepted` those taken, or the
    object made on the platform; `at` is UNIX time in seconds, `ticks` a clock in seconds that nobody sets. No query, no
    header, no body: neither a secret nor a token is ever kept.
    """

    path: str
    service: str | None
    status: int | None
    fault: str | None
    request_id: str | None
    events: int
    at: float
    accepted: int = 0
    method: str = "POST"
    ticks: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """What was accepted so far, a snapshot. For `_id` read command_id at Bloomreach (a digest, where there is none).

    `events` counts arrivals; `anonymous` those without an `_id`; `distinct` the different `_id`s; `duplicates` the
    arrivals beyond the first of each `_id`, so events = distinct + duplicates + anonymous. An `_id` that arrives once
    at each service is no duplicate: it counts as distinct at both. `by_id` maps `_id` to arrivals, first come first.
    """

    events: int = 0
    distinct: int = 0
    duplicates: int = 0
    anonymous: int = 0
    by_id: Mapping[str, int] = field(default_factory=dict)

    @property
    def ids(self) -> tuple[str, ...]:
        """The `_id`s in the order in which each arrived first."""
        return tuple(self.by_id)


class Memory:
    """Counts of what arrived. `payloads_kept` is how many of the last payloads to keep; None keeps all of them."""

    def __init__(self, payloads_kept: int | None = 0) -> None:
        self._lock = threading.Lock()
        self._payloads_kept = payloads_kept
        self._start_anew()

    def _start_anew(self) -> None:
        self._by_id: dict[str, dict[str, int]] = {}
        self._order: dict[str, None] = {}
        self._events: Counter[str] = Counter()
        self._anonymous: Counter[str] = Counter()
        self._payloads: deque[Mapping[str, Any]] = deque(maxlen=self._payloads_kept)
        self._requests: deque[RequestSeen] = deque(maxlen=REQUESTS_KEPT_MAX)
        self._request_count = 0
        self._token_requests = 0
        self._unknown: Counter[str] = Counter()

    def reset(self) -> None:
        """Forget everything that arrived."""
        with self._lock:
            self._start_anew()

    def record(self, seen: RequestSeen, accepted: Sequence[Accepted]) -> None:
        """Remember a request and the events accepted from it, in their order."""
        with self._lock:
            self._requests.append(seen)
            self._request_count += 1
            if seen.service is None:
                if seen.path in self._unknown or len(self._unknown) < UNKNOWN_PATHS_MAX:
                    self._unknown[seen.path] += 1
                return
            if seen.service in ("ims", "platform"):  # neither brings events
                self._token_requests += seen.service == "ims"
                return
            counts = self._by_id.setdefault(seen.service, {})
            for event_id, payload in accepted:
                self._events[seen.service] += 1
                if event_id is None:
                    self._anonymous[seen.service] += 1
                else:
                    counts[event_id] = counts.get(event_id, 0) + 1
                    self._order[event_id] = None
                if self._payloads_kept != 0:
                    self._payloads.append(payload)

    def arrived(self, service: str | None = None) -> Arrived:
        """What arrived at one service, or at all of them together."""
        with self._lock:
            if service is not None:
                by_id = dict(self._by_id.get(service, {}))
                return self._summary((service,), by_id)
            services = tuple(self._by_id)
            if len(services) == 1:
                return self._summary(services, dict(self._by_id[services[0]]))
            each = self._by_id.values()
            return self._summary(services, {i: sum(counts.get(i, 0) for counts in each) for i in self._order})

    def _summary(self, services: Sequence[str], by_id: Mapping[str, int]) -> Arrived:
        events = sum(self._events[service] for service in services)
        anonymous = sum(self._anonymous[service] for service in services)
        distinct = sum(len(self._by_id.get(service, ())) for service in services)
        return Arrived(events, distinct, events - anonymous - distinct, anonymous, by_id)

    @property
    def requests(self) -> list[RequestSeen]:
        """The latest requests, oldest first, at most REQUESTS_KEPT_MAX."""
        with self._lock:
            return list(self._requests)

    def busiest(self, seconds: float, service: str | None = None) -> int:
        """The most requests, of those kept, that came within any span of that length; of one service, or of all."""
        times = sorted(seen.ticks for seen in self.requests if service in (None, seen.service))
        most = start = 0
        for end, ticks in enumerate(times):
            while start < end and ticks - times[start] >= seconds:
                start += 1
            most = max(most, end - start + 1)
        return most

    @property
    def request_count(self) -> int:
        """All requests since the start or the last reset."""
        return self._request_count

    @property
    def token_requests(self) -> int:
        """Those of them that asked IMS for a token, whatever became of them."""
        return self._token_requests

    @property
    def payloads(self) -> list[Mapping[str, Any]]:
        """The payloads kept, in order of arrival."""
        with self._lock:
            return list(self._payloads)

    @property
    def unknown_paths(self) -> dict[str, int]:
        """Paths that no service has, and how often each was asked for."""
        with self._lock:
            return dict(self._unknown)
