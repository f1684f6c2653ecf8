"""Which events travelled in a request, in a few bytes: what is packed comes out again."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edgequeue.store.packing import AS_GIVEN, ASCENDING, pack, runs, unpack

SEQUENCES = st.integers(1, 10**12)


@given(st.lists(SEQUENCES, min_size=1, max_size=300))
def test_any_sequences_come_back_in_their_order(sequences: list[int]) -> None:
    """Ascending or not, repeated or not."""
    assert unpack(pack(sequences)) == sequences


@given(st.sets(SEQUENCES, min_size=1, max_size=300).map(sorted))
def test_ascending_sequences_are_packed_as_runs(sequences: list[int]) -> None:
    """The kind is in the first byte."""
    packed = pack(sequences)
    assert packed[0] == ASCENDING
    assert unpack(packed) == sequences


@given(st.integers(1, 10**12), st.integers(1, 5000))
def test_one_run_is_a_few_bytes_whatever_its_length(first: int, count: int) -> None:
    """A batch from one till: a kind, where it begins, how long it is."""
    packed = pack(range(first, first + count))
    assert len(packed) <= 1 + 6 + 2
    assert unpack(packed) == list(range(first, first + count))


def test_another_order_is_kept_as_given() -> None:
    """Several priorities in one batch."""
    packed = pack([7, 8, 3, 200])
    assert packed == bytes([AS_GIVEN, 7, 8, 3, 200 & 0x7F | 0x80, 1])
    assert unpack(packed) == [7, 8, 3, 200]


def test_the_bytes_on_disk_are_these() -> None:
    """They are read by later versions: the form is not to change."""
    assert pack([1, 2, 3, 10, 12, 13]) == bytes([ASCENDING, 1, 2, 7, 0, 2, 1])


@given(st.sets(SEQUENCES | st.integers(1, 50), max_size=200).map(sorted))
def test_runs_cover_exactly_what_is_given(sequences: list[int]) -> None:
    """Neighbours together, and no two runs that touch."""
    found = list(runs(sequences))
    assert [one for first, last in found for one in range(first, last + 1)] == sequences
    assert all(before[1] + 1 < after[0] for before, after in pairwise(found))
