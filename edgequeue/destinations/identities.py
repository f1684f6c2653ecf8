"""Whether an event names a person: fields that identify somebody, wherever they stand. Pure.

A check for advice, not for safety: which fields are identities an organisation decides in its schemas, and nothing
but the standard ones (identityMap and the fields of Adobe's personal data field groups) is known here.
"""

from __future__ import annotations

from typing import Any

import orjson

IDENTITY_FIELDS = frozenset(
    (
        "identityMap",
        "personID",
        "personalEmail",
        "workEmail",
        "email",
        "emailAddress",
        "mobilePhone",
        "homePhone",
        "workPhone",
        "phoneNumber",
        "crmId",
        "loyaltyID",
        "loyaltyId",
        "customerId",
        "customerID",
    )
)
"""Names of fields that identify a person, from XDM's field groups and the usual names in raw data."""

DEPTH_MAX = 32
"""Levels that are looked into; XDM has no deeper ones."""


def identity_in(payload: bytes) -> str | None:
    """The dotted path of the first field in a stored payload that identifies a person; None where there is none.

    Empty values identify nobody. A payload that cannot be read has none.
    """
    try:
        document = orjson.loads(payload)
    except ValueError:
        return None
    return _found(document, "", 0)


def _found(value: Any, path: str, depth: int) -> str | None:
    if depth > DEPTH_MAX:
        return None
    if isinstance(value, list):
        return next((found for one in value if (found := _found(one, path, depth + 1))), None)
    if not isinstance(value, dict):
        return None
    for key, inner in value.items():
        below = f"{path}.{key}" if path else key
        if key in IDENTITY_FIELDS and inner:
            return below
        found = _found(inner, below, depth + 1)
        if found is not None:
            return found
    return None
