"""What is learned about a destination: when suspicion becomes conviction, and which size is safe."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.learning import (
    COUNTED_MAX,
    NOTHING,
    SIZE_BYTES_MIN,
    SUSPECTS_MAX,
    TOO_LARGE_MS,
    Doubt,
    Learned,
    Suspect,
)
from edgequeue.store.encoding import decode_learned, encode_learned

TURNS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40)
"""Between one strike and the next: requests of others that were accepted, and that failed."""


def strikes(doubt: Doubt, between: list[tuple[int, int]], *, halved: bool = False) -> Suspect:
    suspect = Suspect(doubt, halved=halved).struck()
    for accepted, failed in between:
        suspect = suspect.beside(accepted, failed).struck()
    return suspect


# --- conviction -------------------------------------------------------------------------------------------------------


@given(st.sampled_from(Doubt), TURNS, st.booleans())
def test_without_a_witness_nobody_is_convicted(doubt: Doubt, between: list[tuple[int, int]], halved: bool) -> None:
    """However often it fails: nothing was accepted, so it may be the service."""
    assert not strikes(doubt, [(0, failed) for _, failed in between], halved=halved).convicted


@given(TURNS, st.booleans())
def test_what_is_nobodys_answer_never_convicts(between: list[tuple[int, int]], halved: bool) -> None:
    """A cut, a web page, an empty success: the service itself has not spoken."""
    assert not strikes(Doubt.STRANGE, between, halved=halved).convicted


def test_five_failures_alone_with_others_accepted_in_between_convict() -> None:
    """Promise 4, and each of them in between: four would be too few, and one acceptance for all of them too."""
    assert [strikes(Doubt.FAILED, [(1, 0)] * count).convicted for count in range(5)] == [False] * 4 + [True]
    assert not strikes(Doubt.FAILED, [(9, 0)] + [(0, 0)] * 9).convicted


def test_a_refusal_in_nobodys_words_convicts_who_was_found_by_halving_when_it_comes_again() -> None:
    """Its neighbours were accepted on the way. Who came alone is given as much time as with a failure."""
    assert not Suspect(Doubt.REFUSED, halved=True).struck().convicted
    assert strikes(Doubt.REFUSED, [(1, 0)], halved=True).convicted
    assert [strikes(Doubt.REFUSED, [(1, 0)] * count).convicted for count in range(5)] == [False] * 4 + [True]


@given(st.sampled_from((Doubt.FAILED, Doubt.REFUSED)), st.integers(1, 50))
def test_while_many_others_fail_as_well_nobody_is_convicted(doubt: Doubt, turns: int) -> None:
    """One acceptance for one failure: it is the service that falls over, or something on the way."""
    assert not strikes(doubt, [(1, 1)] * turns).convicted


def test_failures_of_long_ago_fade() -> None:
    """An outage of days is no excuse for ever."""
    after_outage = strikes(Doubt.FAILED, [(0, 3)] * 500)
    suspect = after_outage
    for _ in range(300):
        suspect = suspect.beside(1, 0)
    assert not after_outage.convicted
    assert strikes(Doubt.FAILED, [(0, 3)] * 500).failed <= COUNTED_MAX
    for _ in range(4):
        suspect = suspect.struck().beside(1, 0)
    assert suspect.struck().convicted


def test_another_kind_of_answer_begins_anew() -> None:
    """A 500 is no second refusal."""
    learned = NOTHING.with_suspects({1: NOTHING.struck(1, Doubt.REFUSED, halved=True)}).beside(1, ())
    assert learned.struck(1, Doubt.REFUSED).convicted
    assert learned.struck(1, Doubt.FAILED) == Suspect(Doubt.FAILED, 1, halved=True)


# --- what is kept -----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1))
def test_counting_stops_somewhere(beside: list[tuple[int, int]]) -> None:
    """A suspect that stays for weeks costs no write at each request of the others."""
    suspect = Suspect(Doubt.STRANGE)
    for accepted, failed in beside:
        suspect = suspect.beside(accepted, failed)
    learned = Learned(suspects={1: suspect})
    for _ in range(600):
        learned = learned.beside(1, ())
    assert learned.beside(5, ()) is learned


def test_an_events_own_failure_does_not_speak_for_it() -> None:
    """It is no evidence that the service fails."""
    learned = NOTHING.with_suspects({1: Suspect(Doubt.FAILED, 1), 2: Suspect(Doubt.FAILED, 1)}).beside(0, {1})
    assert (learned.suspects[1].failed, learned.suspects[2].failed) == (0, 1)


def test_only_so_many_are_watched() -> None:
    """What comes beyond has to wait; who is known is updated all the same."""
    learned = NOTHING.with_suspects({number: Suspect(Doubt.FAILED, 1) for number in range(SUSPECTS_MAX)})
    more = learned.with_suspects({10**6: Suspect(Doubt.FAILED, 1), 3: Suspect(Doubt.FAILED, 2)})
    assert len(more.suspects) == SUSPECTS_MAX
    assert (10**6 in more.suspects, more.suspects[3].strikes) == (False, 2)
    assert len(more.without({3}).suspects) == SUSPECTS_MAX - 1


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, TOO_LARGE_MS))
def test_a_learned_size_only_shrinks_until_it_is_forgotten(first: int, second: int, later_ms: int) -> None:
    """Half of what was refused, never below the size of a recommended event, and for a day."""
    learned = NOTHING.smaller(first, 0, TOO_LARGE_MS)
    assert learned.bytes_max == max(first // 2, SIZE_BYTES_MIN)
    again = learned.smaller(second, later_ms, TOO_LARGE_MS)
    if later_ms < TOO_LARGE_MS:
        assert (again.bytes_max or 0) <= (learned.bytes_max or 0)
    assert learned.room(10**8, TOO_LARGE_MS - 1) == learned.bytes_max
    assert learned.room(10**8, TOO_LARGE_MS) == 10**8


COUNTS = st.integers(0, 99)
SUSPECTS = st.builds(Suspect, st.sampled_from(Doubt), COUNTS, COUNTS, COUNTS, COUNTS, st.booleans(), st.booleans())


@given(
    st.builds(
        Learned,
        st.just("adobe-edge https://edge.example"),
        st.dictionaries(st.integers(1, 2**53), SUSPECTS, max_size=5),
        st.booleans(),
        st.none() | st.integers(1, 10**6),
        st.integers(0, 2**53),
        st.just(0),
        st.none() | st.booleans(),
    )
)
def test_what_was_learned_survives_the_database(learned: Learned) -> None:
    """Written as text and read again it is the same."""
    assert replace(decode_learned(encode_learned(learned)), place=learned.place) == learned


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"suspects":{"x":{}}}', '{"suspects":{},"later":1}'])
def test_what_another_version_has_learned_is_a_hint_and_no_error(text: str) -> None:
    """A destination is not held up because something in it cannot be read."""
    assert decode_learned(text) == NOTHING
