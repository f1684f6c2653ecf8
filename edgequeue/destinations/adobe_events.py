"""What Adobe's two destinations check and add at enqueue: `_id`, timestamp, identities, and the size Profile takes.

Pure, and the hot path: nothing is copied unless something has to be added. The caller's objects are never changed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from edgequeue.destinations.payload import require_object
from edgequeue.errors import InvalidEvent
from edgequeue.model import ID_PLACEHOLDER

PROFILE_EVENT_BYTES_MAX = 10_000
"""Above 10 KB of JSON, Profile drops an experience event after it was accepted; the data lake keeps it."""

PROFILE_RECORD_BYTES_MAX = 100_000
"""The same for a record (a profile, not an event)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
"""The forms that Adobe's streaming validation accepts: RFC 3339 with 'T', seconds, 0 to 9 decimals and an offset."""

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)

_TIMESTAMP_REMEDY = "Write it like 2026-11-21T04:41:18.123Z, or leave it out."


class Entity(NamedTuple):
    """An XDM entity that has all it needs. `fields` is the caller's own object unless something was added.

    `minted`: `_id` was added, as its first field and with the placeholder; `stamped`: `timestamp` was added.
    `occurred_ms` is the timestamp in milliseconds since 1970, None for a record.
    """

    fields: dict[str, Any]
    minted: bool
    stamped: bool
    occurred_ms: int | None


def complete(entity: dict[str, Any], path: str, wall_ms: int, *, timed: bool = True) -> Entity:
    """Check the entity's `_id` and, if `timed`, its `timestamp`; add what is missing. `path` is where it stands."""
    minted = "_id" not in entity
    if not minted:
        _check_id(entity["_id"], path)
    stamped = timed and "timestamp" not in entity
    occurred_ms = None
    if timed:
        occurred_ms = wall_ms if stamped else _parsed_ms(entity["timestamp"], path)
    if minted and stamped:
        entity = {"_id": ID_PLACEHOLDER, "timestamp": stamp(wall_ms), **entity}
    elif minted:
        entity = {"_id": ID_PLACEHOLDER, **entity}
    elif stamped:
        entity = {**entity, "timestamp": stamp(wall_ms)}
    return Entity(entity, minted, stamped, occurred_ms)


def stamp(wall_ms: int) -> str:
    """Milliseconds since 1970 as `2026-11-21T04:41:18.123Z`."""
    seconds, milliseconds = divmod(wall_ms, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    """The text up to the full second; cached, because many events are stamped within the same one."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def _check_id(value: Any, path: str) -> None:
    if isinstance(value, str) and value:
        return
    raise InvalidEvent(
        "must be a text that is not empty",
        field=f"{path}._id",
        remedy="Leave it out, and the event gets one of its own.",
    )


def _parsed_ms(value: Any, path: str) -> int:
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        raise InvalidEvent(
            f"{value!r:.60} is no timestamp that Adobe accepts", field=f"{path}.timestamp", remedy=_TIMESTAMP_REMEDY
        )
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise InvalidEvent(f"{value!r} does not exist", field=f"{path}.timestamp", remedy=_TIMESTAMP_REMEDY) from None
    return (moment - _EPOCH) // _MILLISECOND


def check_identity_map(xdm: dict[str, Any], warnings: list[str]) -> None:
    """Edge takes an event only with an identity that is marked primary (else EXEG-0306-400 for the whole request).

    InvalidEvent without one; several primaries and the text "true" are stored unchanged, with a warning.
    """
    if "identityMap" not in xdm:
        raise _no_identity("is missing")
    identity_map = require_object(xdm["identityMap"], "xdm.identityMap")
    primaries = 0
    for namespace, identities in identity_map.items():
        if not isinstance(identities, list | tuple) or not identities:
            field = f"xdm.identityMap.{namespace}"
            raise InvalidEvent("must be a list with at least one identity", field=field, remedy='Write [{"id": "…"}].')
        for position, identity in enumerate(identities):
            if not isinstance(identity, dict) or not _is_plain(identity, namespace):
                _check_identity(identity, namespace, f"xdm.identityMap.{namespace}.{position}", warnings)
            primary = identity.get("primary")
            primaries += primary is True or primary == "true"
    if not primaries:
        raise _no_identity("has no primary identity")
    if primaries > 1:
        warnings.append(f"xdm.identityMap has {primaries} primary identities; Adobe expects one")


def _is_plain(identity: dict[str, Any], namespace: str) -> bool:
    """The common case, decided fast: a text as id (an FPID a UUIDv4), and primary a boolean or absent."""
    value = identity.get("id")
    if not isinstance(value, str) or not value or not isinstance(identity.get("primary", False), bool):
        return False
    return namespace != "FPID" or _UUID4.fullmatch(value) is not None


def _check_identity(identity: Any, namespace: str, field: str, warnings: list[str]) -> None:
    value = require_object(identity, field).get("id")
    if not isinstance(value, str) or not value:
        raise InvalidEvent("must be a text that is not empty", field=f"{field}.id")
    if namespace == "FPID" and not _UUID4.fullmatch(value):
        raise InvalidEvent(
            f"{value!r:.60} is no UUIDv4, and Adobe takes no other FPID",
            field=f"{field}.id",
            remedy="Make one with uuid.uuid4() for each visitor session.",
        )
    primary = identity.get("primary", False)
    if isinstance(primary, bool):
        return
    if primary not in ("true", "false"):
        raise InvalidEvent("must be true or false", field=f"{field}.primary")
    warnings.append(f'{field}.primary is the text "{primary}"; Adobe documents a boolean')


def _no_identity(what: str) -> InvalidEvent:
    return InvalidEvent(
        f"{what}, and Adobe refuses the event without it",
        field="xdm.identityMap",
        remedy='Add one such as {"FPID": [{"id": "<a UUIDv4 for each visitor>", "primary": true}]}.',
    )


def profile_warning(size: int, size_max: int) -> str:
    """What becomes of something that is too large for Profile; sizes in bytes of JSON."""
    return f"{size:,} bytes: above {size_max:,} Adobe's Profile drops it without a word (the data lake keeps it)"
