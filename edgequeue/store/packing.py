"""Which events travelled in a request, in a few bytes: ascending sequences as runs, the runs as variable-length ints.

A batch from one till is usually one run (three bytes); interleaved with another destination's events it is a byte or
two each. The order within the request is kept apart only where it is not ascending (several priorities in one batch).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

ASCENDING, AS_GIVEN = 0, 1


def pack(sequences: Sequence[int]) -> bytes:
    """Sequences in request order as bytes."""
    out = bytearray()
    if any(after <= before for before, after in pairwise(sequences)):
        out.append(AS_GIVEN)
        for sequence in sequences:
            _put(out, sequence)
        return bytes(out)
    out.append(ASCENDING)
    end = 0
    for first, last in runs(sequences):
        _put(out, first - end)
        _put(out, last - first)
        end = last
    return bytes(out)


SEQUENCES_MAX = 1_000_000
"""No request carries more events: bytes that say so are damaged."""


def unpack(data: bytes, most: int = SEQUENCES_MAX) -> list[int]:
    """The sequences in request order. ValueError for damaged bytes: they may stand for more than fits into memory."""
    numbers = _numbers(data)
    kind = next(numbers, None)
    if kind == AS_GIVEN:
        return list(numbers)
    if kind != ASCENDING:
        raise ValueError("no packed sequences")
    sequences: list[int] = []
    end = 0
    for gap in numbers:
        first = end + gap
        length = next(numbers, SEQUENCES_MAX)
        if len(sequences) + length >= most:
            raise ValueError("more sequences than a request carries")
        end = first + length
        sequences.extend(range(first, end + 1))
    return sequences


def runs(sequences: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending sequences as (first, last) pairs of neighbours."""
    first = last = None
    for sequence in sequences:
        if last is not None and sequence == last + 1:
            last = sequence
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = sequence
    if first is not None and last is not None:
        yield first, last


def _put(out: bytearray, number: int) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _numbers(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            yield number
            number = shift = 0
