"""Whether an event names a person, for the advice of `doctor`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.destinations.identities import DEPTH_MAX, identity_in


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ({"xdm": {"_id": "1", "identityMap": {"Email": [{"id": "a@b.test"}]}}}, "xdm.identityMap"),
        ({"xdm": {"_acme": {"crmId": "7"}}}, "xdm._acme.crmId"),
        ({"body": {"xdmEntity": {"workEmail": {"address": "a@b.test"}}}}, "body.xdmEntity.workEmail"),
        ({"data": {"rows": [{"n": 1}, {"email": "a@b.test"}]}}, "data.rows.email"),
        ({"xdm": {"_id": "1", "identityMap": {}}}, None),
        ({"xdm": {"email": "", "phoneNumber": None}}, None),
        ({"xdm": {"eventType": "sale", "note": "identityMap"}}, None),
        ([1, "x", None], None),
    ],
)
def test_fields_that_identify_somebody(event: Any, path: str | None) -> None:
    """Wherever they stand, in every shape that is stored; an empty one identifies nobody."""
    assert identity_in(json.dumps(event).encode()) == path


def test_what_is_nested_beyond_reason_is_not_looked_into() -> None:
    """A bound on everything."""
    event: Any = {"email": "a@b.test"}
    for _ in range(DEPTH_MAX + 1):
        event = {"a": event}
    assert identity_in(json.dumps(event).encode()) is None


@given(st.binary(max_size=40))
def test_no_payload_breaks_it(payload: bytes) -> None:
    """One that cannot be read has no identity."""
    assert identity_in(payload) is None
