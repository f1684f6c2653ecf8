"""Event ids, priorities, and where an event may go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgequeue.model import (
    ENDED,
    EVENT_ID_LENGTH,
    ID_PLACEHOLDER,
    TRANSITIONS,
    HttpResponse,
    Priority,
    Status,
    format_event_id,
    parse_event_id,
)

QUEUES = st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=8, max_size=8)
SEQUENCES = st.integers(1, 10**12 - 1)
NONCES = st.integers(0, 2**64 - 1)

# --- ids --------------------------------------------------------------------------------------------------------------


@given(QUEUES, SEQUENCES, NONCES)
def test_an_id_is_parsed_back(queue: str, sequence: int, nonce: int) -> None:
    """Queue, sequence and nonce, exactly; and it is as long as its placeholder."""
    event_id = format_event_id(queue, sequence, nonce)
    found = parse_event_id(event_id)
    assert found is not None
    assert (found.queue_id, found.sequence_from, found.sequence_to) == (queue, sequence, sequence)
    assert int(found.nonce, 16) == nonce
    assert len(event_id) == EVENT_ID_LENGTH == len(ID_PLACEHOLDER)


@given(QUEUES, SEQUENCES, NONCES, st.integers(10, EVENT_ID_LENGTH))
def test_a_beginning_of_an_id_may_mean_it(queue: str, sequence: int, nonce: int, length: int) -> None:
    """From the first digit of the sequence on, what the beginning may mean includes the id."""
    event_id = format_event_id(queue, sequence, nonce)
    found = parse_event_id(event_id[:length])
    assert found is not None
    assert found.sequence_from <= sequence <= found.sequence_to
    assert f"{nonce:016x}".startswith(found.nonce)


@given(QUEUES, st.tuples(SEQUENCES, NONCES), st.tuples(SEQUENCES, NONCES))
def test_ids_of_a_queue_sort_by_age(queue: str, one: tuple[int, int], other: tuple[int, int]) -> None:
    """As text, so that a listing sorted by id is a listing by age."""
    if one[0] != other[0]:
        assert (format_event_id(queue, *one) < format_event_id(queue, *other)) == (one[0] < other[0])


@given(st.text(max_size=45) | st.from_regex(r"[0-9a-z]{7,9}-\w{0,13}-?[0-9a-g]{0,17}", fullmatch=True))
def test_any_text_is_an_id_or_not_and_nothing_is_raised(text: str) -> None:
    """What is read as one is written in the letters of one."""
    found = parse_event_id(text)
    if found is not None:
        assert text.isascii() or not found.queue_id.isascii()
        assert len(text) <= EVENT_ID_LENGTH
        assert found.sequence_from <= found.sequence_to


def test_what_cannot_be_an_id_is_none() -> None:
    """Too short, too long, other digits, a nonce before the sequence is whole."""
    for text in (
        "",
        "abcdefgh",
        "abcdefgh-",
        "abcdefgh-x",
        "abcdefg-000000000001",
        "abcdefghi-000000000001",
        "abcdefgh-0000000000001",
        "abcdefgh-00000000001-ab",
        "abcdefgh-٠٠٠٠٠٠٠٠٠٠٠١",
        "abcdefgh-000000000001-xyz",
        "abcdefgh-000000000001-00000000000000000",
        "abcdefgh-000000000001-00-0",
    ):
        assert parse_event_id(text) is None, text


# --- states -----------------------------------------------------------------------------------------------------------


def test_every_status_has_its_row() -> None:
    """The table is whole, and only an event that is lost can go nowhere by a fault of ours."""
    assert set(TRANSITIONS) == set(Status)
    assert set(ENDED) == set(Status) - {Status.PENDING, Status.SENDING, Status.DELIVERED}


def test_delivered_is_for_good() -> None:
    """What the service has is never sent again and never called dead."""
    assert TRANSITIONS[Status.DELIVERED] == frozenset()


def test_nothing_becomes_lost_or_its_own_next_state_by_a_step_of_ours() -> None:
    """Lost is what damage does; and a state is left or not, never entered from itself."""
    for status, following in TRANSITIONS.items():
        assert Status.LOST not in following
        assert status not in following


def test_whatever_was_given_up_can_still_turn_out_delivered() -> None:
    """A late accepted answer is always applied; what was erased on purpose stays erased."""
    late = {status for status, following in TRANSITIONS.items() if Status.DELIVERED in following}
    assert late == {Status.PENDING, Status.SENDING, Status.DEAD, Status.EXPIRED, Status.EVICTED}


def test_priorities_sort_by_urgency_and_have_names() -> None:
    """High before normal before low."""
    assert [one.label for one in sorted(Priority)] == ["high", "normal", "low"]


def test_a_header_is_found_whatever_its_case() -> None:
    """Names are kept in lower case."""
    response = HttpResponse(200, {"retry-after": "5"}, b"")
    assert (response.header("Retry-After"), response.header("date")) == ("5", None)
