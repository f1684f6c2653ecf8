"""Open inlets that events which name people are sent to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgequeue.cli.finding import Finding
from edgequeue.destinations.identities import identity_in

if TYPE_CHECKING:
    from edgequeue.queue import EventQueue

LOOKED_INTO_MAX = 100
"""Events that are looked into for each inlet."""


def open_inlets(queue: EventQueue) -> Iterator[Finding]:
    """Advice for each destination at an inlet that asks for no token, where an event for it names a person."""
    for name, one in queue.destinations.items():
        if one.type != "adobe-dccs" or one.auth is not None or not one.enabled:
            continue
        stored = queue.export(destination=name, limit=LOOKED_INTO_MAX)
        field = next((found for _, payload in stored if (found := identity_in(payload))), None)
        if field is not None:
            text = f"asks for no token, and events for it name people ({field})"
            remedy = "Make an authenticated one (edgequeue connection create), and set auth in its table."
            yield Finding(f"inlet {name}", False, text, remedy)
