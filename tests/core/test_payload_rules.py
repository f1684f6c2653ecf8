"""The JSON rules that all destinations share, and what Adobe's two add to an entity."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections import namedtuple
from datetime import UTC, date, datetime, time
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.destinations.adobe_events import complete, stamp
from edgequeue.destinations.payload import DEPTH_MAX, encode_json, reference_at, require_object, split_document
from edgequeue.errors import InvalidEvent
from edgequeue.model import ID_PLACEHOLDER, REFERENCE_LENGTH_MAX

WALL_MS = 1_795_236_078_123


class Colour(enum.Enum):
    NOWHERE = math.nan


class Shade(float, enum.Enum):
    INFINITE = math.inf


@dataclasses.dataclass
class Order:
    number: int


Point = namedtuple("Point", "x y")


def refusal_of(document: Any, where: str = "") -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        encode_json(document, where)
    return caught.value


# --- what cannot be written -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, Colour.NOWHERE, Shade.INFINITE])
def test_a_number_that_is_not_finite_is_refused_with_its_path(value: Any) -> None:
    """orjson would write it as null without a word; here the caller learns where it stands."""
    refusal = refusal_of({"xdm": {"commerce": {"order": {"priceTotal": value, "note": None}}}})
    assert refusal.field == "xdm.commerce.order.priceTotal"
    assert "no number in JSON" in refusal.reason


def test_null_and_the_word_null_are_fine() -> None:
    """The search for NaN begins at `null`, and finds that nothing is wrong."""
    document = {"a": None, "null": "nullable", "list": [None, 1.5, True, ("x", 2)]}
    assert json.loads(encode_json(document)) == {"a": None, "null": "nullable", "list": [None, 1.5, True, ["x", 2]]}


@pytest.mark.parametrize(
    ("value", "said", "remedy"),
    [
        (2**64, "beyond 64 bits", "text"),
        (-(2**63) - 1, "beyond 64 bits", "text"),
        ("half a \ud83d", "lone surrogate", "Repair"),
        ({"x", "y"}, "is a set", "lists and dicts"),
        (b"raw", "is a bytes", "Decode"),
        (Decimal("9.50"), "Decimal", "str()"),
        (datetime(2026, 11, 21, tzinfo=UTC), "is a datetime", ".isoformat()"),
        (date(2026, 11, 21), "is a date", ".isoformat()"),
        (time(4, 41), "is a time", ".isoformat()"),
        (Order(7), "is an Order", "dicts"),
        (Point(1, 2), "is a Point", "dicts"),
        (MappingProxyType({}), "is a mappingproxy", "dicts"),
        (object(), "is an object", "dicts"),
    ],
)
def test_what_json_does_not_have_is_refused_with_path_and_remedy(value: Any, said: str, remedy: str) -> None:
    """Nothing is changed silently by a codec: the caller decides how such a value looks."""
    refusal = refusal_of({"xdm": {"items": [{"ok": 1}, {"total": value}]}})
    assert refusal.field == "xdm.items.1.total"
    assert said in refusal.reason
    assert remedy in refusal.remedy


@pytest.mark.parametrize("key", [5, None, ("a",), b"raw", "half \udc00"])
def test_a_key_that_is_no_text_is_refused(key: Any) -> None:
    """JSON knows texts as keys only; the path names the object that holds the key."""
    refusal = refusal_of({"xdm": {"items": [{key: 1}]}})
    assert refusal.field == "xdm.items.0"
    assert "no valid text" in refusal.reason
    str(refusal).encode()


def test_the_first_culprit_in_reading_order_is_named() -> None:
    """With several faults the first one is reported, as a reader would find it."""
    assert refusal_of({"a": {"b": {1}}, "c": 2**70}).field == "a.b"


def test_a_path_begins_where_the_document_stands_in_the_event() -> None:
    """A part of an event that is encoded by itself is still named by its place in the event."""
    assert refusal_of({"total": math.nan}, "xdm.order").field == "xdm.order.total"
    assert refusal_of(math.nan, "xdm").field == "xdm"


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_nesting_has_a_limit_and_a_clear_refusal(wrap: Any) -> None:
    """What nests too deep, or holds itself, is refused without a RecursionError."""
    document: Any = 1
    for _ in range(DEPTH_MAX):
        document = wrap(document)
    encode_json(document)
    assert "nested" in refusal_of(wrap(document)).reason
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert "nested" in refusal_of(endless).reason


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(codec=None)) | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)) | st.integers(), inner),
        max_leaves=10,
    )
)
def test_a_document_is_written_exactly_or_refused(document: Any) -> None:
    """Whatever comes, it is either readable again as it was, or refused as an InvalidEvent that can be printed."""
    try:
        encoded = encode_json(document)
    except InvalidEvent as refusal:
        str(refusal).encode()
        return
    assert json.loads(encoded) == document


# --- small helpers --------------------------------------------------------------------------------------------------


def test_only_an_object_is_an_object() -> None:
    """A mapping that is no dict is refused with what to do about it."""
    assert require_object({"a": 1}, "xdm") == {"a": 1}
    with pytest.raises(InvalidEvent, match=r"^xdm: this must be a JSON object, not a list\."):
        require_object([], "xdm")
    with pytest.raises(InvalidEvent, match=r"the event must be .* not a mappingproxy\. Hand over a dict\."):
        require_object(MappingProxyType({}), "")


def test_a_request_document_is_split_and_nothing_beside_it_is_dropped() -> None:
    """What stands beside the events would be lost, so it is refused by name."""
    assert split_document({"events": [1, 2]}, "events") == [1, 2]
    assert split_document({"xdm": {}}, "events") is None
    assert split_document({"events": []}, "events") == []
    with pytest.raises(InvalidEvent, match="'meta', 'query'"):
        split_document({"meta": {}, "events": [], "query": {}}, "events")
    with pytest.raises(InvalidEvent, match=r"^events: must be a list of events, not a dict"):
        split_document({"events": {}}, "events")


@pytest.mark.parametrize(
    ("value", "reference"), [("P4711", "P4711"), (4711, "4711"), (None, None), ("", None), ("x" * 200, "x" * 200)]
)
def test_a_reference_is_the_text_or_number_at_its_path(value: Any, reference: str | None) -> None:
    """The application's own key is taken from the event; an event without one has none."""
    warnings: list[str] = []
    assert reference_at({"xdm": {"order": {"id": value}}}, "xdm.order.id", warnings) == reference
    assert reference_at({"xdm": "text"}, "xdm.order.id", warnings) is None
    assert warnings == []


@pytest.mark.parametrize("value", [True, 1.5, ["P4711"], {"id": 1}])
def test_anything_else_at_the_path_is_no_reference_and_said_so(value: Any) -> None:
    """The event is stored without a reference, and the caller is warned."""
    warnings: list[str] = []
    assert reference_at({"id": value}, "id", warnings) is None
    assert "id is a" in warnings[0]


def test_a_reference_has_a_length_limit() -> None:
    """A reference stands in the event's row, so it is bounded; the refusal names the limit."""
    with pytest.raises(InvalidEvent, match=f"^id: a reference of 201 .* at most {REFERENCE_LENGTH_MAX}"):
        reference_at({"id": "x" * 201}, "id", [])


# --- _id and timestamp ----------------------------------------------------------------------------------------------


def test_a_missing_id_and_timestamp_are_added_in_front_of_a_copy() -> None:
    """`_id` comes first, so that its offset is the same in every payload; the caller's object stays as it was."""
    fields = {"a": 1}
    entity = complete(fields, "xdm", WALL_MS)
    assert list(entity.fields) == ["_id", "timestamp", "a"]
    assert entity.fields["_id"] == ID_PLACEHOLDER
    assert entity.fields["timestamp"] == "2026-11-21T04:41:18.123Z"
    assert (entity.minted, entity.stamped, entity.occurred_ms) == (True, True, WALL_MS)
    assert fields == {"a": 1}


def test_a_complete_entity_is_not_copied() -> None:
    """Nothing to add, nothing to pay."""
    fields = {"timestamp": "2026-11-21T04:41:18.123Z", "_id": "mine"}
    entity = complete(fields, "xdm", 0)
    assert entity.fields is fields
    assert (entity.minted, entity.stamped, entity.occurred_ms) == (False, False, WALL_MS)


def test_an_own_id_keeps_its_place_when_only_the_timestamp_is_missing() -> None:
    """The two additions are independent of each other."""
    assert list(complete({"a": 1, "_id": "mine"}, "xdm", WALL_MS).fields) == ["a", "_id", "timestamp"]
    assert list(complete({"timestamp": "2026-11-21T04:41:18Z", "a": 1}, "xdm", 0).fields) == ["_id", "timestamp", "a"]


def test_a_record_needs_no_timestamp() -> None:
    """A profile does not happen at a moment: nothing is stamped, and a field of that name is its own affair."""
    assert complete({}, "xdm", WALL_MS, timed=False)[1:] == (True, False, None)
    assert complete({"timestamp": 5, "_id": "x"}, "xdm", WALL_MS, timed=False).occurred_ms is None


@pytest.mark.parametrize("value", ["", None, 5, ["x"], True])
def test_an_id_of_its_own_must_be_a_text(value: Any) -> None:
    """`_id` is what the services recognise a duplicate by; an empty or odd one is refused."""
    with pytest.raises(InvalidEvent, match=r"^body\.xdmEntity\._id: must be a text"):
        complete({"_id": value}, "body.xdmEntity", WALL_MS)


@pytest.mark.parametrize(
    ("text", "occurred_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.9Z", 900),
        ("1970-01-01T00:00:00.123456789Z", 123),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1969-12-31T19:00:00.001-05:00", 1),
        ("2026-11-21T04:41:18.123Z", WALL_MS),
        ("2999-12-31T23:59:59Z", 32503679999000),
        ("0001-01-01T00:00:00+23:59", -62135683140000),
        ("9999-12-31T23:59:59-23:59", 253402387139000),
    ],
)
def test_a_timestamp_is_read_to_the_millisecond_and_never_compared_with_the_clock(text: str, occurred_ms: int) -> None:
    """The device's clock may be wrong, so neither the past nor the future is an error."""
    assert complete({"timestamp": text}, "xdm", 5).occurred_ms == occurred_ms


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T04:41:60Z",
        "2026-11-21T04:41:18",
        "2026-11-21T04:41Z",
        "2026-11-21 04:41:18Z",
        "2026-11-21t04:41:18z",
        "2026-11-21T04:41:18.Z",
        "2026-11-21T04:41:18.1234567890Z",
        "2026-11-21T04:41:18+2:00",
        "2026-11-21T04:41:18+24:00",
        "２026-11-21T04:41:18Z",
        "2026-11-21T04:41:18Z\n",
        "yesterday",
        "",
        1795236078,
        None,
        datetime(2026, 11, 21, tzinfo=UTC),
    ],
)
def test_a_timestamp_that_adobe_would_not_read_is_refused(text: Any) -> None:
    """Syntax and existence are checked where the caller can still mend them."""
    with pytest.raises(InvalidEvent, match=r"^xdm\.timestamp: .*2026-11-21T04:41:18\.123Z"):
        complete({"timestamp": text}, "xdm", WALL_MS)


@given(st.integers(-62135596800000, 253402300799999))
def test_a_stamp_is_read_back_as_the_moment_it_was_made_from(wall_ms: int) -> None:
    """Whatever the clock says, the stamp is one that we would accept, to the millisecond."""
    assert complete({"timestamp": stamp(wall_ms)}, "xdm", 0).occurred_ms == wall_ms
