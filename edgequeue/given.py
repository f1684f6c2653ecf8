"""What callers give beside an event: priority, reference, and a third party's word on where an id goes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgequeue.errors import ConfigError, InvalidEvent
from edgequeue.model import ID_PLACEHOLDER, REFERENCE_LENGTH_MAX, Draft, Priority

if TYPE_CHECKING:
    from edgequeue.destinations.base import Destination

_PLACEHOLDER = ID_PLACEHOLDER.encode()


def check_place(draft: Draft, target: Destination) -> None:
    """The event's id is written over a placeholder: a place that is none would break the payload without a word."""
    if draft.id_offset >= 0 and not draft.payload.startswith(_PLACEHOLDER, draft.id_offset):
        raise ConfigError(
            f"the type {target.type!r} says that the event's id goes to byte {draft.id_offset} of its payload, and the"
            " placeholder is not there. Ask its author; nothing was stored."
        )


def as_priority(value: Priority | str) -> Priority:
    """A priority from its name; InvalidEvent names the ones there are."""
    if isinstance(value, Priority):
        return value
    for one in Priority:
        if value == one.label:
            return one
    labels = ", ".join(one.label for one in Priority)
    raise InvalidEvent(f"no priority is named {value!r}", field="priority", remedy=f"There are: {labels}")


def as_reference(value: str) -> str:
    """A reference as it is kept; InvalidEvent when it is no text or too long."""
    if not isinstance(value, str) or not 0 < len(value) <= REFERENCE_LENGTH_MAX or not _is_text(value):
        remedy = f"Give 1 to {REFERENCE_LENGTH_MAX} characters of text"
        raise InvalidEvent("the reference cannot be kept", field="reference", remedy=remedy)
    return value


def _is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: no lone surrogates, such as bytes on a command line that are no UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
