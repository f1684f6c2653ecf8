"""Our Smile beside Jackson's: what either writes the other reads, and with the same options the bytes are the same.

Two classes of documents are equal for each reader, but not byte for byte: those with a name of over 56 bytes (Jackson
goes on sharing names, we stop; with its sharing off the bytes are the same again), and those with an ASCII text of over
2,666 characters (Jackson no longer looks and writes the token for Unicode).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from decimal import Decimal
from math import isclose
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.destinations.smile import Packing, encode
from edgequeue.destinations.smile_reader import decode
from tests.oracle.jackson import (
    END_MARKER,
    FLOATS_32,
    FLOATS_DECIMAL,
    RAW_BINARY,
    SHARED_NAMES,
    SHARED_VALUES,
    TEXT_AS_BINARY,
    Jackson,
    Refused,
    missing,
    required,
)
from tests.smile_documents import DOUBLES, batches, border_documents, crowded_documents, documents

pytestmark = pytest.mark.oracle

FIXED = [*border_documents(), *crowded_documents(), *batches()]
ASCII_LOOKED_AT_MAX = 2666
"""Characters of a text up to which Jackson finds out whether it is ASCII: three times as many bytes fit its buffer."""


@pytest.fixture(scope="module")
def jackson() -> Iterator[Jackson]:
    lack = missing()
    if lack and required():
        pytest.fail(f"EDGEQUEUE_ORACLE=required, but there is {lack}")
    if lack:
        pytest.skip(f"the oracle for Smile needs Java and Jackson: {lack}")
    with Jackson() as running:
        yield running


def same(found: Any, expected: Any) -> bool:
    """Equal in types, signs of zero and the order of keys as well."""
    return repr(found) == repr(expected)


def options_of(written: bytes) -> int:
    """The options with which Jackson writes as this document was written: names and values shared or not."""
    return written[3]


def long_ascii(document: Any) -> bool:
    """Whether there is an ASCII text inside that Jackson writes as Unicode."""
    if isinstance(document, dict):
        return any(map(long_ascii, document.values()))
    if isinstance(document, list):
        return any(map(long_ascii, document))
    return isinstance(document, str) and len(document) > ASCII_LOOKED_AT_MAX and document.isascii()


def check(jackson: Jackson, document: Any, shared_values: bool) -> None:
    """Both directions, and the bytes."""
    ours = encode(document, shared_values=shared_values)
    assert same(jackson.read(ours), document)
    for options in range(4):
        assert same(decode(jackson.write(document, options)), document)
    if not long_ascii(document):
        assert ours == jackson.write(document, options_of(ours))


@given(document=documents(), shared_values=st.booleans())
def test_any_document_goes_both_ways(jackson: Jackson, document: Any, shared_values: bool) -> None:
    """Ours through Jackson's reader, Jackson's through ours, and the same bytes from both writers."""
    check(jackson, document, shared_values)


@pytest.mark.parametrize("shared_values", [False, True])
@pytest.mark.parametrize("document", FIXED, ids=[f"document {number}" for number in range(len(FIXED))])
def test_borders_full_tables_and_batches_go_both_ways(jackson: Jackson, document: Any, shared_values: bool) -> None:
    """Names and texts at each border of length, integers and doubles, over 1,024 shared strings, composed batches."""
    check(jackson, document, shared_values)


@pytest.mark.parametrize("shared_values", [False, True])
def test_a_document_filled_item_by_item_is_jacksons(jackson: Jackson, shared_values: bool) -> None:
    """The parts of a packing, joined, are the bytes that Jackson writes for the whole request."""
    for document in batches()[:2]:
        ((key, items),) = document.items()
        packing = Packing(key, shared_values=shared_values)
        parts = [packing.item(orjson.dumps(item)) for item in items]
        joined = b"".join(part for part in parts if part is not None) + Packing.END
        assert joined == jackson.write(document, SHARED_NAMES | SHARED_VALUES * shared_values)


@pytest.mark.parametrize("size", [ASCII_LOOKED_AT_MAX, ASCII_LOOKED_AT_MAX + 1, 9_000, 100_000])
def test_long_texts_go_both_ways(jackson: Jackson, size: int) -> None:
    """The one class of texts that is not the same byte for byte is that of long ASCII, where ours keeps its token."""
    for letter in ("a", "ä", "𝄞"):
        check(jackson, [letter * size], False)
    ours, theirs = encode("a" * size), jackson.write("a" * size, SHARED_NAMES)
    assert (ours[4], theirs[4]) == (0xE0, 0xE0 if size <= ASCII_LOOKED_AT_MAX else 0xE4)
    assert ours[5:] == theirs[5:]


def test_names_over_56_bytes_are_shared_by_jackson_and_not_by_us(jackson: Jackson) -> None:
    """Our reader takes its references; ours has none, so that no reader can count them differently."""
    document = [{"n" * size: 1, "a": 1} for size in (57, 64, 65, 57, 64, 65)]
    theirs = jackson.write(document, SHARED_NAMES)
    assert decode(theirs) == document
    assert len(theirs) < len(encode(document)) == len(jackson.write(document, 0))


@pytest.mark.parametrize("document", [list(DOUBLES), [0.5, 12.99, -1.5, -1e-30, 123456.789]])
def test_jacksons_other_numbers_are_read(jackson: Jackson, document: list[float]) -> None:
    """Floats of 32 bits within their precision, big decimals exactly as JSON has them."""
    decimals = decode(jackson.write(document, SHARED_NAMES | FLOATS_DECIMAL))
    assert [type(one) for one in decimals] == [Decimal] * len(document)
    assert decimals == [Decimal(str(one)) for one in document]
    small = [one for one in document if one == 0 or 1e-37 < abs(one) < 1e38]
    floats = decode(jackson.write(small, SHARED_NAMES | FLOATS_32))
    assert all(isclose(read, one, rel_tol=1e-7) for read, one in zip(floats, small, strict=True))


@pytest.mark.parametrize("raw", [0, RAW_BINARY])
def test_jacksons_binary_is_read_in_both_forms(jackson: Jackson, raw: int) -> None:
    """Of every length modulo seven, also where the header announces raw bytes."""
    texts = ["ä" * size + "z" * extra for size in (0, 1, 5, 300) for extra in range(8)]
    written = jackson.write(texts, raw | TEXT_AS_BINARY)
    assert decode(written) == [text.encode() for text in texts]
    assert jackson.read(written) == [b64encode(text.encode()).decode() for text in texts]


def test_jacksons_end_marker_is_read(jackson: Jackson) -> None:
    """FF after the value, which a writer may add."""
    written = jackson.write([1], SHARED_NAMES | END_MARKER)
    assert written == encode([1]) + b"\xff"
    assert decode(written) == [1]


def test_a_broken_document_is_refused_by_both(jackson: Jackson) -> None:
    """So the oracle does disagree when there is a reason to: a reference to a slot that was never filled."""
    broken = encode({"a": 1, "b": 2}).replace(b"\x80b", b"\x45")
    with pytest.raises(Refused, match="shared name reference"):
        jackson.read(broken)
    with pytest.raises(ValueError, match="slot 5"):
        decode(broken)
