"""Saying why: the state of a destination, and a sentence for who stands in the shop at night."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edgequeue.explain import destination_view, why
from edgequeue.learning import Learned
from edgequeue.model import Problem
from edgequeue.retry import Hold, HoldState
from edgequeue.store.base import DestinationRow
from edgequeue.views import DestinationView, Ledger, WorkerView

NOW_MS = 1_000_000
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WORKER = WorkerView(412, "run", NOW)
EMPTY = Ledger(0)
WAITING = Ledger(3, pending=3)


def at(queue_ms: int) -> datetime:
    return NOW + timedelta(milliseconds=queue_ms - NOW_MS)


def row(hold: Hold | None = None, counts: Ledger = WAITING, next_due_ms: int | None = 0) -> DestinationRow:
    return DestinationRow(
        name="web",
        type="adobe-edge",
        hold=hold or Hold(),
        counts=counts,
        owner=None,
        oldest_pending_ms=NOW_MS - 60_000,
        next_due_ms=next_due_ms,
        last_accepted_ms=None,
        last_request=None,
    )


def held(state: HoldState, *, code: str = "connect", remedy: str = "", asked_until_ms: int = 0) -> Hold:
    problem = Problem(code, "something is wrong", remedy)
    return Hold(state, 4, NOW_MS - 3_600_000, NOW_MS + 45_000, asked_until_ms, problem)


def view(found: DestinationRow, *, enabled: bool | None = True) -> DestinationView:
    return destination_view(found, enabled=enabled, now_ms=NOW_MS, at=at)


def said(found: DestinationRow, *, worker: WorkerView | None = WORKER, enabled: bool | None = True) -> str:
    return why(found.counts, {"web": view(found, enabled=enabled)}, worker, NOW)


# --- the state --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [HoldState.OFFLINE, HoldState.BACKING_OFF, HoldState.PAUSED])
def test_what_holds_a_destination_back_is_its_state(state: HoldState) -> None:
    """With since when, why, and when it is tried again."""
    shown = view(row(held(state, remedy="Plug it in.")))
    assert (shown.state, shown.next_attempt_at) == (state.value, NOW + timedelta(seconds=45))
    assert shown.reason is not None
    assert (shown.reason.code, shown.reason.text, shown.reason.remedy) == (
        "connect",
        "something is wrong",
        "Plug it in.",
    )
    assert shown.reason.since == NOW - timedelta(hours=1)


def test_a_wait_that_is_over_has_no_next_time() -> None:
    """The state stays until a try has shown otherwise; the try is due now."""
    shown = view(row(replace(held(HoldState.OFFLINE), until_ms=NOW_MS)))
    assert (shown.state, shown.next_attempt_at) == ("offline", None)


def test_a_destination_that_is_well_is_ok() -> None:
    """Without reason and without a next time."""
    shown = view(row())
    assert (shown.state, shown.reason, shown.next_attempt_at) == ("ok", None, None)
    assert shown.oldest_pending_at == NOW - timedelta(minutes=1)


def test_events_that_all_wait_make_it_waiting() -> None:
    """Each was refused and has its own time; the earliest is shown."""
    shown = view(row(next_due_ms=NOW_MS + 5_000))
    assert (shown.state, shown.next_attempt_at) == ("waiting", NOW + timedelta(seconds=5))
    assert view(row(counts=EMPTY, next_due_ms=None)).state == "ok"


def test_a_destination_out_of_the_configuration_is_unconfigured() -> None:
    """Its events are kept, and what to put back is said."""
    shown = view(row(held(HoldState.OFFLINE)), enabled=None)
    assert shown.state == "unconfigured"
    assert shown.reason is not None
    assert "[destinations.web]" in shown.reason.remedy


# --- what was learned -------------------------------------------------------------------------------------------------


def learned(what: Learned, *, suspects: tuple[int, int | None] = (0, None), place: str = "here") -> tuple[str, ...]:
    found = replace(row(), learned=replace(what, place="here"), suspects=suspects)
    return destination_view(found, enabled=True, now_ms=NOW_MS, at=at, place=place).learned


def test_what_was_learned_of_a_destination_is_told_in_plain_words() -> None:
    """The size that gets through, who is set aside and until when, and a service that does not echo."""
    later = at(NOW_MS + 600_000).astimezone().strftime("%H:%M:%S")
    known = Learned(bytes_max=412_300, bytes_until_ms=NOW_MS + 600_000, echoes=False)
    assert learned(known, suspects=(2, NOW_MS + 600_000)) == (
        f"requests up to 412 KB until {later}, because larger ones did not get through",
        f"2 events set aside: they fail wherever they go; next try {later}",
        "answers are not checked by our request id, because the service does not repeat it",
    )
    assert learned(Learned(), suspects=(1, NOW_MS)) == ("1 event set aside: it fails wherever it goes",)


def test_what_holds_no_more_is_not_told() -> None:
    """A size whose time is over, what was learned of another place, and a service that does echo."""
    assert learned(Learned(bytes_max=412_300, bytes_until_ms=NOW_MS)) == ()
    assert learned(Learned(echoes=False), suspects=(1, None), place="elsewhere") == ()
    assert learned(Learned(echoes=True)) == ()


# --- the sentence -----------------------------------------------------------------------------------------------------


def test_an_empty_queue_says_so() -> None:
    """Nothing was ever enqueued."""
    assert "empty" in why(EMPTY, {}, None, NOW)


def test_when_all_is_delivered_nothing_waits() -> None:
    """And there is nothing to do."""
    ledger = Ledger(5, delivered=5)
    text = why(ledger, {"web": view(row(counts=ledger))}, None, NOW)
    assert "Nothing waits" in text
    assert "edgequeue" not in text


@pytest.mark.parametrize(("dead", "words"), [(1, "1 was refused"), (7, "7 were refused")])
def test_when_only_the_refused_are_left_they_are_named(dead: int, words: str) -> None:
    """With how to see them and how to send them again."""
    text = why(Ledger(9, delivered=9 - dead, dead=dead), {}, None, NOW)
    assert words in text
    assert "edgequeue list --status dead" in text
    assert "edgequeue requeue" in text


def test_without_a_worker_it_says_how_to_start_one() -> None:
    """Once or for good."""
    text = said(row(), worker=None)
    assert "3 events wait" in text
    assert "edgequeue sync" in text
    assert "edgequeue run" in text


@pytest.mark.parametrize(("kind", "words"), [("run", "the worker (process 412)"), ("sync", "a sync (process 412)")])
def test_with_a_worker_it_says_who_is_sending(kind: str, words: str) -> None:
    """There is nothing to do but wait."""
    assert words in said(row(counts=Ledger(1, sending=1)), worker=WorkerView(412, kind, NOW))
    assert said(row(counts=Ledger(1, pending=1))).startswith("1 event waits")


def test_trouble_is_told_with_its_remedy() -> None:
    """How many wait, for what, since when, why, and what would help; without two full stops."""
    text = said(row(held(HoldState.OFFLINE, remedy="Plug it in.")))
    for words in ("3 events wait for web", "offline since", "something is wrong", "next try", "Plug it in."):
        assert words in text
    assert ".." not in text


def test_a_paused_destination_says_what_to_do_once_it_is_mended() -> None:
    """A sync by hand tries at once."""
    assert said(row(held(HoldState.PAUSED, code="http_401"))).endswith("Then run: edgequeue sync.")


def test_events_that_failed_alone_and_wait_say_so() -> None:
    """The destination is well; what waits has failed by itself, and holds up no other."""
    assert "waiting: what failed wherever it went is set aside" in said(row(next_due_ms=NOW_MS + 5_000))


def test_each_destination_in_trouble_has_its_sentence() -> None:
    """One that has nothing to send is not spoken of."""
    views = {
        "web": view(row(held(HoldState.OFFLINE))),
        "till": view(row(held(HoldState.PAUSED))),
        "idle": view(row(held(HoldState.PAUSED), counts=EMPTY)),
    }
    text = why(Ledger(6, pending=6), views, WORKER, NOW)
    assert "for web" in text
    assert "for till" in text
    assert "idle" not in text


def test_what_waits_beside_trouble_is_named_too() -> None:
    """With a worker it is being sent; without one it is said for which destinations it would help, and how."""
    views = {
        "web": view(row(held(HoldState.PAUSED, code="http_401"))),
        "till": view(row()),
        "shop": view(row(counts=Ledger(1, pending=1))),
    }
    text = why(Ledger(7, pending=7), views, WORKER, NOW)
    assert text.startswith("3 events wait for web: paused since")
    assert text.endswith("4 events wait for till, shop and the worker (process 412) is sending.")
    text = why(Ledger(7, pending=7), views, None, NOW)
    assert text.endswith(
        "4 events wait for till, shop. No worker is running: edgequeue sync sends once, edgequeue run for good."
    )
    del views["till"], views["shop"]
    assert "No worker" not in why(Ledger(3, pending=3), views, None, NOW)  # a pause says itself what to run


def test_an_unconfigured_destination_is_told_with_what_to_put_back() -> None:
    """Its events wait for a table that is gone."""
    assert "Put [destinations.web] back" in said(row(), enabled=None)


def test_another_days_time_is_told_with_its_date() -> None:
    """Since Tuesday is not since this morning."""
    long_since = replace(held(HoldState.OFFLINE), since_ms=NOW_MS - 4 * 86_400_000)
    day = (NOW - timedelta(days=4)).astimezone().strftime("%Y-%m-%d")
    assert f"since {day}" in said(row(long_since))
