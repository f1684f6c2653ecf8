"""Smile as the specification and Jackson have it: bytes by hand, round trips, and documents that fill up in parts."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgequeue.destinations import smile
from edgequeue.destinations.smile import Packing, encode
from edgequeue.destinations.smile_reader import decode
from edgequeue.emulator.smile import decode as second_opinion
from tests.smile_documents import batches, border_documents, crowded_documents, documents, sized

HEAD = b":)\n"
PLAIN, NAMES, TEXTS, BOTH, RAW = (HEAD + bytes((flags,)) for flags in (0, 1, 2, 3, 4))
FIXED = [*border_documents(), *crowded_documents(), *batches()]


def same(found: Any, expected: Any) -> bool:
    """Equal in types, signs of zero and the order of keys as well."""
    return repr(found) == repr(expected)


# --- bytes from the specification, by hand ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("", "20"),
        (None, "21"),
        (False, "22"),
        (True, "23"),
        (0, "c0"),
        (-1, "c1"),
        (15, "de"),
        (-16, "df"),
        (16, "24 a0"),  # zigzag 32: six bits
        (-17, "24 a1"),
        (31, "24 be"),
        (-32, "24 bf"),
        (32, "24 01 80"),  # zigzag 64: a seventh bit
        (1000, "24 1f 90"),  # 2000 = 31 * 64 + 16
        (2**31 - 1, "24 1f 7f 7f 7f be"),
        (-(2**31), "24 1f 7f 7f 7f bf"),
        (2**31, "25 20 00 00 00 80"),
        (2**63 - 1, "25 03 7f 7f 7f 7f 7f 7f 7f 7f be"),
        (-(2**63), "25 03 7f 7f 7f 7f 7f 7f 7f 7f bf"),
        (2**63, "26 89 00 20 00 00 00 00 00 00 00 00 00"),  # nine bytes: the sign needs a bit of its own
        (-(2**63) - 1, "26 89 7f 5f 7f 7f 7f 7f 7f 7f 7f 7f 03"),
        (2**70, "26 89 20 00 00 00 00 00 00 00 00 00 00"),
        (1.0, "29 00 3f 78 00 00 00 00 00 00 00"),
        (-0.0, "29 01 00 00 00 00 00 00 00 00 00"),
        (5e-324, "29 00 00 00 00 00 00 00 00 00 01"),
        ("a", "40 61"),
        ("ä", "80 c3 a4"),
        ("a" * 32, "5f" + "61" * 32),
        ("a" * 33, "60" + "61" * 33),
        ("a" * 64, "7f" + "61" * 64),
        ("a" * 65, "e0" + "61" * 65 + "fc"),
        ("ä" * 16 + "a", "9f" + "c3a4" * 16 + "61"),
        ("ä" * 17, "a0" + "c3a4" * 17),
        ("ä" * 32, "be" + "c3a4" * 32),
        ("ä" * 32 + "a", "e4" + "c3a4" * 32 + "61 fc"),
        ([], "f8 f9"),
        ({}, "fa fb"),
        ([1, [2]], "f8 c2 f8 c4 f9 f9"),
        ({"": 1}, "fa 20 c2 fb"),
        ({"a": 1, "ä": 2}, "fa 80 61 c2 c0 c3a4 c4 fb"),
        ({"n" * 56: 1}, "fa b7" + "6e" * 56 + "c2 fb"),
        ({"ä" * 28: 1}, "fa f6" + "c3a4" * 28 + "c2 fb"),
        ([{"a": 1}, {"a": 2}], "f8 fa 80 61 c2 fb fa 40 c4 fb f9"),
    ],
)
def test_each_kind_of_token_is_written_and_read_as_specified(value: Any, token: str) -> None:
    """Constants, numbers at the borders of their sizes, texts and names at theirs, nesting, a reference."""
    document = NAMES + bytes.fromhex(token)
    assert encode(value) == document
    assert same(decode(document), value)


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("n" * 57, "b8" + "6e" * 57),
        ("n" * 64, "bf" + "6e" * 64),
        ("n" * 65, "34" + "6e" * 65 + "fc"),
        ("ä" * 28 + "a", "34" + "c3a4" * 28 + "61 fc"),
        ("ä" * 32, "34" + "c3a4" * 32 + "fc"),
    ],
)
def test_a_name_over_56_bytes_turns_sharing_off(name: str, token: str) -> None:
    """The header says so, and no name of the document is referenced, not even a short one."""
    written = encode([{"a": 1}, {"a": 1, name: 2}])
    assert written == PLAIN + bytes.fromhex("f8 fa 80 61 c2 fb fa 80 61 c2" + token + "c4 fb f9")
    assert decode(written) == [{"a": 1}, {"a": 1, name: 2}]


def test_shared_texts_are_references_of_one_and_two_bytes() -> None:
    """Slots 0 to 30 have a token each; empty and long texts take none."""
    long = "b" * 65
    document = ["a", "", long, "a", *(f"{number:02d}" for number in range(31)), "28", "29", "30", long]
    written = encode(document, shared_values=True)
    assert written[:4] == BOTH
    assert written[4:].startswith(b"\xf8\x40a\x20\xe0" + long.encode() + b"\xfc\x01")
    assert written.endswith(b"\x1e\x1f\xec\x1f\xe0" + long.encode() + b"\xfc\xf9")  # slots 29, 30, 31
    assert decode(written) == document


def test_slots_ending_in_fe_or_ff_are_never_referenced() -> None:
    """Text 254 is written again as a literal, which takes a fresh slot; that one is referenced."""
    texts = [f"t{number}" for number in range(256)]
    written = encode([*texts, "t253", "t254", "t255", "t254", "t255"], shared_values=True)
    assert written.endswith(b"\xec\xfd" + b"\x43t254" + b"\x43t255" + b"\xed\x00" + b"\xed\x01" + b"\xf9")
    names = [{f"n{number}": 1} for number in range(256)]
    written = encode([*names, {"n253": 1}, {"n254": 1}, {"n254": 1}])
    assert written.endswith(b"\xfa\x30\xfd\xc2\xfb" + b"\xfa\x83n254\xc2\xfb" + b"\xfa\x31\x00\xc2\xfb" + b"\xf9")


def test_a_full_table_is_cleared_and_begins_at_slot_0() -> None:
    """With the 1,025th literal, whichever the strings were."""
    texts = [f"t{number}" for number in range(1025)]
    written = encode([*texts, "t1024", "t0", "t0"], shared_values=True)
    assert written.endswith(b"\x44t1024" + b"\x01" + b"\x41t0" + b"\x02" + b"\xf9")
    names = [{f"n{number}": 1} for number in range(1025)]
    written = encode([*names, {"n1024": 1, "n0": 1}, {"n0": 1}])
    assert written.endswith(b"\xfa\x84n1024\xc2\xfb" + b"\xfa\x40\xc2\x81n0\xc2\xfb" + b"\xfa\x41\xc2\xfb" + b"\xf9")


def test_the_empty_string_takes_no_slot_in_a_table_that_was_cleared() -> None:
    """What comes after it has slot 1, next to the string with which the table began again."""
    texts = [f"t{number}" for number in range(1025)]
    written = encode([*texts, "", "x", "x"], shared_values=True)
    assert written.endswith(b"\x44t1024" + b"\x20" + b"\x40x" + b"\x02" + b"\xf9")
    written = encode([*({text: 1} for text in texts), {"": 1, "x": 1}, {"x": 1}])
    assert written.endswith(b"\x84t1024\xc2\xfb" + b"\xfa\x20\xc2\x80x\xc2\xfb" + b"\xfa\x41\xc2\xfb" + b"\xf9")


# --- round trips ------------------------------------------------------------------------------------------------------


@given(documents(), st.booleans())
def test_any_document_comes_back(document: Any, shared_values: bool) -> None:
    """From our reader and from the emulator's, which was written independently."""
    written = encode(document, shared_values=shared_values)
    assert same(decode(written), document)
    assert same(second_opinion(written), document)


@pytest.mark.parametrize("shared_values", [False, True])
@pytest.mark.parametrize("document", FIXED, ids=[f"document {number}" for number in range(len(FIXED))])
def test_borders_full_tables_and_real_batches_come_back(document: Any, shared_values: bool) -> None:
    """From both readers."""
    written = encode(document, shared_values=shared_values)
    assert same(decode(written), document)
    assert same(second_opinion(written), document)


def test_the_readers_bound_of_nesting_lies_above_the_writers() -> None:
    """What is written can be read; what is nested deeper, or in itself, is refused before the stack ends."""
    deepest: list[Any] = []
    for _ in range(smile.DEPTH_MAX - 1):
        deepest = [deepest]
    assert decode(encode(deepest)) == deepest
    with pytest.raises(ValueError, match="levels deep"):
        encode([deepest])
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(ValueError, match="levels deep"):
        encode(endless)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (["\ud800"], "lone surrogate"),
        ({"x\udfff": 1}, "lone surrogate"),
        (float("nan"), "nan is no number"),
        ([float("inf")], "inf is no number"),
        ({1: 1}, "key of type int"),
        ({None: 1}, "key of type NoneType"),
        ({"a": [(1, 2)]}, "type tuple"),
        ({"a": Decimal(1)}, "type Decimal"),
        (b"bytes", "type bytes"),
    ],
)
def test_what_is_no_json_is_refused(document: Any, reason: str) -> None:
    """With what it is."""
    with pytest.raises(ValueError, match=reason):
        encode(document)
    with pytest.raises(ValueError, match=reason):
        encode({"a" * 57: document})


# --- documents that are filled item by item ---------------------------------------------------------------------------


def fill(packing: Packing, items: list[Any]) -> tuple[bytes, list[Any]]:
    """The document as far as it was filled, and the items that it took."""
    parts = [(packing.item(orjson.dumps(item)), item) for item in items]
    return b"".join(part for part, _ in parts if part) + Packing.END, [item for part, item in parts if part is not None]


@given(st.sampled_from(["events", "messages", "", "ä", "k" * 57]), st.lists(documents(56, wide=False)), st.booleans())
def test_the_parts_joined_are_the_document(key: str, items: list[Any], shared_values: bool) -> None:
    """Byte for byte what `encode` writes, so that the sizes of the parts add up to the request's."""
    packing = Packing(key, shared_values=shared_values)
    written, taken = fill(packing, items)
    if items:
        assert written == encode({key: items}, shared_values=shared_values)
        assert same(second_opinion(written), {key: items})
        assert len(taken) == len(items)


@given(st.lists(documents(200, wide=False), min_size=1), st.booleans())
@example([{"a": 1}, {"n" * 57: 1, "b": 1}, {"b": 1}], False)
@example([{"n" * 57: 1}, {"a": 1}], False)
def test_an_item_that_cannot_stand_beside_the_others_is_left_out(items: list[Any], shared_values: bool) -> None:
    """The first decides whether names are shared; what was refused leaves no trace in the tables."""
    written, taken = fill(Packing("events", shared_values=shared_values), items)
    assert same(decode(written), {"events": taken})
    assert same(second_opinion(written), {"events": taken})
    assert written == encode({"events": taken}, shared_values=shared_values) or not long_names(items[0])
    if long_names(items[0]):
        assert len(taken) == len(items)
    else:
        assert same(taken, [item for item in items if not long_names(item)])


def long_names(document: Any) -> bool:
    """Whether any name is over 56 UTF-8 bytes."""
    if isinstance(document, dict):
        return any(len(name.encode()) > 56 or long_names(value) for name, value in document.items())
    return isinstance(document, list) and any(map(long_names, document))


@pytest.mark.parametrize("refused", [b'{"new":1,"' + b"n" * 57 + b'":1}', b"{", b'{"new":"text","deep":%b}'])
@pytest.mark.parametrize("before", [0, 3, 253, 254, 255, 1000, 1023, 1024, 1025])
def test_a_refused_item_leaves_the_tables_as_they_were(before: int, refused: bytes) -> None:
    """Wherever they stand, also when they were cleared on the way through the refused item."""
    refused = refused.replace(b"%b", b"[" * 271 + b"]" * 271)
    crowd = ",".join(f'"c{number}":"x{number}"' for number in range(1500))
    packing = Packing("events", shared_values=True)
    items: list[Any] = [{f"n{number}": f"t{number}"} for number in range(before)]
    parts = [packing.item(orjson.dumps(item)) for item in items or [0]]
    for payload in (refused, refused.replace(b'{"new"', f'{{{crowd},"new"'.encode())):
        try:
            assert packing.item(payload) is None
        except ValueError:
            continue
    items = [*(items or [0]), {"new": "text"}, {"new": "text"}, {"n0": "t0"}]
    parts += [packing.item(orjson.dumps(item)) for item in items[-3:]]
    whole = b"".join(part for part in parts if part) + Packing.END
    assert whole == encode({"events": items}, shared_values=True)


def test_a_refused_first_item_does_not_decide_for_the_document() -> None:
    """The next one is the first: it brings the opening, and shares names."""
    packing = Packing("events")
    with pytest.raises(ValueError, match="unexpected"):
        packing.item(b'{"' + b"n" * 57 + b'":')
    assert packing.item(b"1") == NAMES + b"\xfa\x85events\xf8\xc2"


def test_a_repeated_event_is_smaller_than_the_first() -> None:
    """What packing by encoded size is for: names, and on request texts, are written once."""
    event = orjson.dumps(batches()[2])
    sizes = []
    for shared_values in (False, True):
        packing = Packing("events", shared_values=shared_values)
        first, second = packing.item(event), packing.item(event)
        assert first is not None
        assert second is not None
        assert len(second) < len(first) < len(event)
        sizes.append(len(second))
    assert sizes[1] < sizes[0]


# --- the reader on what Jackson may write and we do not ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (PLAIN + bytes.fromhex("28 03 7c 00 00 00"), 1.0),
        (PLAIN + bytes.fromhex("28 7b 7e 00 00 00"), -1.5),  # Jackson's sign stands in the bits that are not used
        (PLAIN + bytes.fromhex("2a 82 81 78 01"), Decimal("-1.5")),
        (PLAIN + bytes.fromhex("2a 83 81 00 01"), Decimal("1E+2")),
        (PLAIN + bytes.fromhex("e8 83 30 58 4c 03"), b"abc"),
        (PLAIN + bytes.fromhex("e8 80"), b""),
        (RAW + b"\xfd\x83\xff\xfc\x00", b"\xff\xfc\x00"),
        (PLAIN + bytes.fromhex("26 81 00 01"), 1),
        (PLAIN + bytes.fromhex("25 82"), 1),
        (PLAIN + b"\xe4" + b"a" * 70 + b"\xfc", "a" * 70),  # ASCII in a token for Unicode
        (PLAIN + b"\x21\xff", None),  # with the end marker
        (
            NAMES + bytes.fromhex("f8 fa 34") + b"n" * 70 + bytes.fromhex("fc c2 fb fa 40 c4 fb f9"),
            [{"n" * 70: 1}, {"n" * 70: 2}],
        ),
    ],
)
def test_what_only_others_write_is_read(document: bytes, value: Any) -> None:
    """Floats of 32 bits, big decimals, binary in both forms, shared long names, the end marker."""
    assert same(decode(document), value)


@pytest.mark.parametrize(
    ("document", "at"),
    [
        (b"", 0),
        (b'{"a":1}', 0),
        (HEAD, 0),
        (HEAD + b"\x10\x21", 3),  # another version
        (HEAD + b"\x08\x21", 3),  # a flag that is not known
        (PLAIN, 4),
        (PLAIN + b"\xff", 4),
        (PLAIN + b"\x21\x21", 5),
        (PLAIN + b"\xf9", 4),
        (PLAIN + b"\xf8\xf8\xf9", 7),
        (PLAIN + b"\xfa\x80a\xf9", 7),
        (PLAIN + b"\xfa\x35", 5),
        (PLAIN + b"\x00", 4),
        (PLAIN + b"\x27", 4),
        (PLAIN + b"\x3a", 4),
        (PLAIN + b"\xe1", 4),
        (PLAIN + b"\xfe", 4),
        (PLAIN + b"\x44ab", 7),
        (PLAIN + b"\x41a\xff", 6),  # no ASCII
        (PLAIN + b"\x80\xff\xff", 5),  # no UTF-8
        (PLAIN + b"\x81\xed\xa0\x80", 5),  # a surrogate
        (PLAIN + b"\xe0abc", 5),
        (PLAIN + b"\x24\x20\x00\x00\x00\x80", 5),  # 2**31
        (PLAIN + b"\x24\x00\x00\x00\x00\x00\x80", 5),  # six bytes
        (PLAIN + b"\x24\xc0", 5),
        (PLAIN + b"\x26\x80", 5),
        (PLAIN + b"\x26\x10\x00\x00\x00\x80", 5),  # a length of 2**31
        (PLAIN + b"\x26\x7f\x7f\x7f\xbf\x00", 10),  # announces far more than there is
        (PLAIN + b"\x29" + b"\x80" * 10, 5),
        (PLAIN + b"\xfd\x80", 4),  # raw binary, which the header does not announce
        (BOTH + b"\x01", 4),
        (PLAIN + b"\xf8\x40a\x01\xf9", 7),  # a reference, where nothing is shared
        (BOTH + b"\xf8\x40a\xec\x00\xf9", 7),  # two bytes, where one would do
        (BOTH + b"\xf8" + b"\x40a" * 300 + b"\xec\xfe\xf9", 605),
        (PLAIN + b"\xf8" * 5000, 1004),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(document: bytes, at: int) -> None:
    """ValueError names the offset."""
    with pytest.raises(ValueError, match=f"^Smile, byte {at}: "):
        decode(document)


def ends_well(document: bytes) -> bool:
    """Whether decoding comes to a value, or to a ValueError that names the place."""
    try:
        decode(document)
    except ValueError as error:
        return str(error).startswith("Smile, byte ")
    return True


@given(st.sampled_from([PLAIN, NAMES, TEXTS, BOTH, RAW]), st.binary())
def test_arbitrary_bytes_end_in_a_value_or_a_value_error(head: bytes, rest: bytes) -> None:
    """Never in another exception, and always."""
    assert ends_well(head + rest)
    assert ends_well(rest)


@given(documents(), st.booleans(), st.data())
def test_damaged_documents_end_in_a_value_or_a_value_error(
    document: Any, shared_values: bool, data: st.DataObject
) -> None:
    """Cut anywhere they are always refused; with a byte changed they may come to mean something else."""
    written = encode(document, shared_values=shared_values)
    cut = data.draw(st.integers(0, len(written) - 1))
    with pytest.raises(ValueError, match=r"^Smile, byte \d+: "):
        decode(written[:cut])
    flipped = bytearray(written)
    flipped[data.draw(st.integers(0, len(written) - 1))] ^= data.draw(st.integers(1, 255))
    assert ends_well(bytes(flipped))


@given(documents(56, wide=False))
def test_what_json_holds_smile_holds(document: Any) -> None:
    """The same document whether it went through JSON or through Smile."""
    text = orjson.dumps(document)
    assert same(decode(encode(json.loads(text))), orjson.loads(text))


def test_an_announced_name_of_57_bytes_is_read() -> None:
    """The specification has room for it, although neither Jackson nor we write one."""
    assert decode(PLAIN + b"\xfa\xf7" + sized(57, "ä").encode() + b"\xc2\xfb") == {sized(57, "ä"): 1}


def test_a_short_text_of_65_bytes_takes_no_slot_when_it_is_read() -> None:
    """The token has room for it, but only texts of up to 64 bytes are shared."""
    text = sized(65, "ä")
    assert decode(BOTH + b"\xf8\xbf" + text.encode() + b"\x40a\x01\xf9") == [text, "a", "a"]
