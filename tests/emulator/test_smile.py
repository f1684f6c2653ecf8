"""The emulator's own Smile reader, on documents put together by hand from the specification."""

from __future__ import annotations

import pytest

from edgequeue.emulator.smile import decode

HEAD = b":)\n"
PLAIN, NAMES, BOTH = HEAD + b"\x00", HEAD + b"\x01", HEAD + b"\x03"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("20", ""),
        ("21", None),
        ("22", False),
        ("23", True),
        ("c0", 0),
        ("c1", -1),
        ("df", -16),
        ("24 01 a0", 48),  # zigzag 96: 1 in seven bits, then 32 in six
        ("25 3f 7f 7f 7f be", 2**32 - 1),
        ("26 82 00 00 01", 1),  # two bytes of big-endian two's complement
        ("28 03 7c 00 00 00", 1.0),
        ("29 00 3f 78 00 00 00 00 00 00 00", 1.0),
        ("40 61", "a"),
        ("80 c3 a4", "ä"),
        ("e0" + "61" * 70 + "fc", "a" * 70),
        ("e4" + "c3a4" * 40 + "fc", "ä" * 40),
        ("f8 c2 c4 f9", [1, 2]),
        ("fa 80 61 c2 fb", {"a": 1}),
        ("fa 20 f8 f9 c0 c3a4 fa fb fb", {"": [], "ä": {}}),
        ("fa 34" + "61" * 65 + "fc c2 fb", {"a" * 65: 1}),
    ],
)
def test_each_token_is_read_as_the_specification_says(data, value):
    """Constants, numbers, strings and nesting, each in its own encoding."""
    assert decode(PLAIN + bytes.fromhex(data)) == value


def test_names_and_values_are_read_by_reference():
    """The first name and the first short value have index 0; a long value takes no slot."""
    names = bytes.fromhex("f8 fa 80 61 c2 fb fa 40 c4 fb f9")
    assert decode(NAMES + names) == [{"a": 1}, {"a": 2}]
    values = b"\xf8\x40a\xe0" + b"b" * 65 + b"\xfc\x40c\x01\x02\xf9"
    assert decode(BOTH + values) == ["a", "b" * 65, "c", "a", "c"]


def test_a_full_table_starts_again():
    """After 1,024 shared strings the next one has index 0 again."""
    texts = [f"v{number:04}" for number in range(1025)]
    literals = b"".join(b"\x44" + text.encode() for text in texts)
    assert decode(BOTH + b"\xf8" + literals + b"\x01\xf9") == [*texts, "v1024"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"a":1}',
        HEAD + b"\x10\x21",  # another version
        PLAIN,
        PLAIN + b"\xfa\x80a",  # ends inside an object
        PLAIN + b"\x45ab",  # shorter than announced
        PLAIN + b"\xe0abc",  # long string without its end
        PLAIN + b"\x21\x21",  # two values
        PLAIN + b"\xf9",
        PLAIN + b"\xfa\x80a\xf9\xfb",
        PLAIN + b"\xfa\x35",
        PLAIN + b"\x27",
        PLAIN + b"\x80\xff\xff",  # not UTF-8
        PLAIN + b"\x26\x7f\x7f\x7f\xbf\x00",  # announces far more than there is
        BOTH + b"\x01",  # a reference to nothing
        PLAIN + b"\xf8" * 300,
    ],
)
def test_what_is_malformed_is_a_value_error(data):
    """Whatever comes in, the reader answers with a value or with ValueError."""
    with pytest.raises(ValueError):
        decode(data)


def test_a_back_reference_that_would_hold_a_reserved_byte_is_refused():
    """Indexes ending in FE or FF must never be written, so an encoder that writes one is wrong."""
    literals = b"".join(b"\x44" + f"v{number:04}".encode() for number in range(256))
    with pytest.raises(ValueError, match="not allowed"):
        decode(BOTH + b"\xf8" + literals + b"\xec\xfe\xf9")


def test_both_services_take_smile(emulator, client):
    """A request in Smile is judged as the same request in JSON would be."""
    headers = {"content-type": "application/x-jackson-smile"}
    identities = b"\xfa\x84Email\xf8\xfa\x81id\x40x\x86primary\x23\xfb\xf9\xfb"
    event = b"\xfa\x82xdm\xfa\x82_id\x42e-1\x8aidentityMap" + identities + b"\xfb\xfb"
    body = PLAIN + b"\xfa\x85events\xf8" + event + b"\xf9\xfb"
    assert client.post(f"{emulator.url}/ee/v2/collect?dataStreamId=w", content=body, headers=headers).status_code == 202
    raw = PLAIN + b"\xfa\x82_id\x42r-1\xfb"
    url = f"{emulator.inlet_url('till')}?x-adobe-flow-id=f"
    assert client.post(url, content=raw, headers=headers).status_code == 200
    assert emulator.arrived.ids == ("e-1", "r-1")
