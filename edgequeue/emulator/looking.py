"""What can be asked of the emulator: what arrived, what was made, which requests came and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgequeue.emulator.flow_objects import FlowObjects
from edgequeue.emulator.memory import Arrived, Memory, RequestSeen


class Looking:
    """Snapshots of what the services have seen; safe from any thread."""

    def __init__(self, memory: Memory, objects: FlowObjects) -> None:
        self._memory = memory
        self.platform = objects
        """What Flow Service and Data Prep have made: `platform.counts()`, `platform.all("flows")`."""

    @property
    def arrived(self) -> Arrived:
        """What has been accepted so far by all services together, a snapshot."""
        return self._memory.arrived()

    def arrived_at(self, service: str) -> Arrived:
        """What has been accepted so far by one service: `edge`, `dccs` or `bloomreach`."""
        return self._memory.arrived(service)

    @property
    def requests(self) -> list[RequestSeen]:
        """The requests so far, oldest first; the latest `memory.REQUESTS_KEPT_MAX` of them."""
        return self._memory.requests

    def busiest(self, seconds: float, service: str | None = None) -> int:
        """The most requests that came within any span of that length; of one service, or of all."""
        return self._memory.busiest(seconds, service)

    @property
    def token_requests(self) -> int:
        """How often IMS was asked for a token, whatever it answered."""
        return self._memory.token_requests

    @property
    def unknown_paths(self) -> dict[str, int]:
        """Paths that no service has, and how often each was asked for."""
        return self._memory.unknown_paths

    @property
    def payloads(self) -> list[Mapping[str, Any]]:
        """The accepted events, messages and commands as they were sent; empty without `keep_payloads`."""
        return self._memory.payloads

    def reset(self) -> None:
        """Forget all requests and arrivals. What was made on the platform stays, and so do faults still to come."""
        self._memory.reset()
