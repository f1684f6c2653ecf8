"""Open inlets that events which name people are sent to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgequeue.destinations.identities import identity_in

if TYPE_CHECKING:
    from edgequeue.queue import EventQueue

LOOKED_INTO_MAX = 100
"""Events that are looked into for each inlet."""


def named_in_the_open(queue: EventQueue) -> Iterator[tuple[str, str]]:
    """Destinations at an inlet that asks for no token, with the field that names a person in an event for them."""
    for name, one in queue.destinations.items():
        if one.type != "adobe-dccs" or one.auth is not None or not one.enabled:
            continue
        stored = queue.export(destination=name, limit=LOOKED_INTO_MAX)
        field = next((found for _, payload in stored if (found := identity_in(payload))), None)
        if field is not None:
            yield name, field
