"""What every store must do: subclass `StoreContract` and give it the fixtures `store` and `clock` (a ManualClock).

The store is new and knows the destinations "web" and "till". A worker dies by letting go of its lease with a request
open; nothing else is needed to make a crash.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from edgequeue.errors import ConfigError, LeaseLost, MaybeSent, NotSent, QueueClosed
from edgequeue.learning import NOTHING, Doubt, Learned, Suspect
from edgequeue.model import EVENT_ID_LENGTH, Disposition, Draft, Priority, Problem, Status
from edgequeue.outcome import Death, Verdict
from edgequeue.retry import Hold, HoldState
from edgequeue.store.base import EventFilter, NewRequest, Store
from edgequeue.testing import ManualClock
from tests.support import (
    ACCEPTED,
    BUSY,
    DEFERRED,
    REFUSAL,
    REJECTED,
    RETRIED,
    SPLIT,
    TILL,
    TIMEOUT_SECONDS,
    UNKNOWN,
    WEB,
    answer,
    came_to,
    claim,
    deliver,
    draft,
    kill,
    lease_of,
    put,
    send,
    sequence_of,
    statuses,
)

HOLD = Hold(HoldState.BACKING_OFF, 3, 1_000, 9_000, 5_000, BUSY, 4_000)
FAR_MS = 10**12


class StoreContract:
    """The rules for all stores."""

    # --- taking events in ---------------------------------------------------------------------------------------------

    def test_ids_are_new_sortable_and_name_the_queue(self, store: Store) -> None:
        """An id begins with the queue's, ages as text does, and is as long as the placeholder it replaces."""
        ids = put(store, 12)
        assert ids == sorted(set(ids))
        assert {one[:8] for one in ids} == {store.queue_id}
        assert {len(one) for one in ids} == {EVENT_ID_LENGTH}

    def test_put_many_gives_ids_in_the_order_of_the_input(self, store: Store) -> None:
        """The n-th id is of the n-th event."""
        drafts = [draft(f"number {number}") for number in range(25)]
        ids = store.put_many(WEB, drafts, Priority.NORMAL, TIMEOUT_SECONDS)
        assert [detail.payload["note"] for one in ids if (detail := store.get(one))] == [
            f"number {number}" for number in range(25)
        ]

    def test_put_many_of_nothing_is_nothing(self, store: Store) -> None:
        """No events, no ids, no change to the books."""
        assert store.put_many(WEB, [], Priority.NORMAL, TIMEOUT_SECONDS) == []
        assert store.counts().enqueued == 0

    def test_put_many_stores_none_when_its_input_fails(self, store: Store) -> None:
        """What is raised while the events are made reaches the caller, and no event of it is kept."""

        def drafts() -> Iterator[Draft]:
            yield from (draft() for _ in range(3))
            raise LookupError("the till's printer is on fire")

        with pytest.raises(LookupError, match="printer"):
            store.put_many(WEB, drafts(), Priority.NORMAL, TIMEOUT_SECONDS)
        assert store.counts().enqueued == 0
        assert sequence_of(put(store)[0]) == 1

    def test_put_many_may_put_while_its_input_is_made(self, store: Store) -> None:
        """No lock is held while the caller's code runs: it may use the same store."""
        inner: list[str] = []

        def drafts() -> Iterator[Draft]:
            inner.extend(put(store))
            yield draft()

        (outer,) = store.put_many(WEB, drafts(), Priority.NORMAL, TIMEOUT_SECONDS)
        assert statuses(store, [*inner, outer]) == ["pending", "pending"]

    def test_the_id_becomes_the_events_own_id(self, store: Store) -> None:
        """Where the event has no `_id`, the event id stands in the payload as it, in put and put_many alike."""
        ids = [*put(store), *store.put_many(WEB, [draft()], Priority.NORMAL, TIMEOUT_SECONDS)]
        assert [detail.payload["_id"] for one in ids if (detail := store.get(one))] == ids

    def test_an_events_own_id_is_kept(self, store: Store) -> None:
        """What the application wrote is not touched, and may come twice."""
        ids = [store.put(WEB, draft(own_id="sale-1"), Priority.NORMAL, TIMEOUT_SECONDS) for _ in range(2)]
        assert [detail.payload["_id"] for one in ids if (detail := store.get(one))] == ["sale-1", "sale-1"]

    def test_an_unknown_destination_is_refused(self, store: Store) -> None:
        """An event for nobody would never leave."""
        with pytest.raises(ConfigError, match="nowhere"):
            store.put("nowhere", draft(), Priority.NORMAL, TIMEOUT_SECONDS)

    def test_registering_again_writes_nothing_where_nothing_is_new(self, store: Store) -> None:
        """Its events, its counts and its place stay."""
        put(store, 2)
        counter = store.change_counter()
        store.register(WEB, "adobe-edge")
        assert store.change_counter() == counter
        assert [(row.name, row.counts.pending) for row in store.destination_rows()] == [(WEB, 2), (TILL, 0)]

    def test_the_type_changes_only_where_no_event_waits(self, store: Store) -> None:
        """An event is of its destination's type: sent as another it would be refused, or worse, taken."""
        put(store, 1)
        with pytest.raises(ConfigError, match="another name"):
            store.register(WEB, "adobe-dccs")
        store.register(TILL, "adobe-dccs")
        assert [row.type for row in store.destination_rows()] == ["adobe-edge", "adobe-dccs"]

    def test_room_counts_what_is_pending_and_the_bytes(self, store: Store) -> None:
        """Both grow with what is put; the events shrink with what is delivered."""
        empty = store.room()
        store.put_many(WEB, [draft("x" * 5_000) for _ in range(50)], Priority.NORMAL, TIMEOUT_SECONDS)
        filled = store.room()
        assert (empty[0], filled[0]) == (0, 50)
        assert filled[1] - empty[1] > 250_000
        deliver(store, lease_of(store))
        assert store.room()[0] == 0

    def test_a_closed_store_refuses_and_closing_twice_is_fine(self, store: Store) -> None:
        """QueueClosed from every side: putting, sending, looking."""
        (event_id,) = put(store)
        lease = lease_of(store)
        store.close()
        store.close()
        with pytest.raises(QueueClosed):
            put(store)
        with pytest.raises(QueueClosed):
            store.put_many(WEB, [draft()], Priority.NORMAL, TIMEOUT_SECONDS)
        with pytest.raises(QueueClosed):
            claim(store, lease)
        with pytest.raises(QueueClosed):
            store.get(event_id)
        with pytest.raises(QueueClosed):
            list(store.events(EventFilter()))

    # --- leases -------------------------------------------------------------------------------------------------------

    def test_one_holds_the_lease_of_a_destination(self, store: Store) -> None:
        """Nobody else gets it until it is let go of; another destination's is another lease."""
        lease = lease_of(store)
        assert store.acquire(WEB, "sync") is None
        assert store.acquire(TILL, "sync") is not None
        store.release(lease)
        store.release(lease)
        again = store.acquire(WEB, "sync")
        assert again is not None
        assert again.fence > lease.fence

    def test_the_holder_is_shown_as_long_as_it_holds(self, store: Store) -> None:
        """Process and kind, while there is one; nobody when the lease is free."""
        assert store.destination_rows()[0].owner is None
        lease = store.acquire(WEB, "run")
        assert lease is not None
        owner = store.destination_rows()[0].owner
        assert owner is not None
        assert owner.kind == "run"
        store.release(lease)
        assert store.destination_rows()[0].owner is None

    def test_letting_go_of_an_old_lease_does_not_free_the_new_one(self, store: Store) -> None:
        """Only who holds it can let go of it."""
        old = lease_of(store)
        store.release(old)
        lease_of(store)
        store.release(old)
        assert store.acquire(WEB, "sync") is None

    # --- claiming -----------------------------------------------------------------------------------------------------

    def test_claims_come_by_priority_then_age(self, store: Store) -> None:
        """All of high, then normal, then low; the oldest first within each."""
        lanes = [Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.LOW, Priority.HIGH, Priority.NORMAL]
        ids = [put(store, priority=lane)[0] for lane in lanes]
        order = [sequence_of(ids[index]) for index in (2, 4, 1, 5, 0, 3)]
        assert [one.sequence for one in claim(store, lease_of(store))] == order

    def test_a_claim_is_of_one_destination(self, store: Store) -> None:
        """Other destinations' events are not seen."""
        ids = [*put(store), *put(store, to=TILL)]
        assert [one.sequence for one in claim(store, lease_of(store, TILL))] == [sequence_of(ids[1])]

    def test_a_claim_is_bounded_in_events(self, store: Store) -> None:
        """No more than asked for."""
        put(store, 5)
        assert len(claim(store, lease_of(store), events_max=3)) == 3

    def test_a_claim_ends_when_its_bytes_are_reached(self, store: Store) -> None:
        """The record that reaches the bound is the last one."""
        put(store, 5)
        lease = lease_of(store)
        size = len(claim(store, lease)[0].payload)
        assert len(claim(store, lease, bytes_max=size * 2)) == 2
        assert len(claim(store, lease, bytes_max=size * 2 + 1)) == 3

    def test_a_claim_holds_at_least_one_record(self, store: Store) -> None:
        """Whatever its size: what is alone too big has to go some day."""
        put(store, 2)
        assert len(claim(store, lease_of(store), bytes_max=1)) == 1

    def test_claiming_changes_nothing(self, store: Store) -> None:
        """What is claimed and not recorded is claimed again."""
        put(store, 3)
        lease = lease_of(store)
        counter = store.change_counter()
        assert claim(store, lease) == claim(store, lease)
        assert store.change_counter() == counter

    def test_what_is_in_an_open_request_is_not_claimed(self, store: Store) -> None:
        """An event travels in one request at a time."""
        put(store, 4)
        lease = lease_of(store)
        send(store, lease, claim(store, lease, events_max=2))
        assert [one.sequence for one in claim(store, lease)] == [3, 4]

    def test_a_claim_is_what_was_stored(self, store: Store) -> None:
        """The payload's bytes, intact, with no attempt spent and no bound on its batch."""
        (event_id,) = put(store, priority=Priority.HIGH)
        (record,) = claim(store, lease_of(store))
        assert event_id.encode() in record.payload
        assert (record.priority, record.attempts, record.travel_max, record.intact) == (Priority.HIGH, 0, None, True)

    # --- what a request comes to --------------------------------------------------------------------------------------

    def test_a_recorded_request_shows_before_it_is_answered(self, store: Store) -> None:
        """Its events are sending, its row is open, and the history says so."""
        (event_id,) = put(store)
        sent = send(store, lease_of(store))
        record = store.get(event_id)
        (shown,) = store.requests(WEB, None)
        assert record is not None
        assert (record.status, record.history[0].disposition, record.history[0].closed_at) == ("sending", None, None)
        assert (shown.request_id, shown.outcome, shown.events) == (sent.batch.request_id, None, 1)
        assert (store.counts().pending, store.counts().sending) == (0, 1)

    def test_accepted_is_delivered_with_receipt(self, store: Store) -> None:
        """Delivered, with the request's id and a receipt made from the request's template and the event's place."""
        ids = put(store, 3)
        sent = deliver(store, lease_of(store))
        records = [record for one in ids if (record := store.get(one))]
        assert {(record.status, record.request_id) for record in records} == {("delivered", sent.batch.request_id)}
        assert [record.receipt for record in records] == ["batch:0", "batch:1", "batch:2"]
        assert store.requests(None, 1)[0].service == {"batchId": "batch"}
        assert store.counts().delivered == 3

    def test_a_verdict_on_one_event_is_kept_apart(self, store: Store) -> None:
        """In a batch that was accepted: one has a receipt of its own, one is refused, the others go by the request."""
        ids = put(store, 3)
        but = {
            1: Verdict(Disposition.REJECT, REFUSAL, "x:1"),
            2: Verdict(Disposition.ACCEPTED, None, "other:7"),
        }
        deliver(store, lease_of(store), came_to(Disposition.ACCEPTED, receipt="batch:{position}", but=but))
        first, second, third = (store.get(one) for one in ids)
        assert first is not None
        assert second is not None
        assert third is not None
        assert (first.status, first.receipt, first.error) == ("delivered", "batch:0", None)
        assert (second.status, second.receipt) == ("dead", "x:1")
        assert second.error is not None
        assert (second.error.status, second.error.code, second.error.message) == (422, "http_422", "a field is wrong")
        assert (third.status, third.receipt) == ("delivered", "other:7")
        assert store.requests(WEB, 1)[0].outcome == "partial"

    def test_retry_spends_an_attempt_and_waits(self, store: Store, clock: ManualClock) -> None:
        """Pending, not due before its time, with the attempt counted and the reason shown."""
        (event_id,) = put(store)
        lease = lease_of(store)
        deliver(store, lease, RETRIED)
        record = store.get(event_id)
        assert record is not None
        assert (record.status, record.attempts) == ("pending", 1)
        assert record.error is not None
        assert record.error.code == "http_422"
        assert record.next_attempt_at is not None
        assert claim(store, lease) == []
        due_ms = store.next_due_ms(WEB)
        assert due_ms is not None
        assert due_ms > store.now_ms()
        clock.advance((due_ms - store.now_ms()) / 1000)
        assert [one.attempts for one in claim(store, lease)] == [1]

    def test_attempts_end(self, store: Store, clock: ManualClock) -> None:
        """The last refusal that may be is the event's end, with the number of attempts."""
        (event_id,) = put(store)
        lease = lease_of(store)
        for _ in range(3):
            deliver(store, lease, RETRIED)
            clock.advance(1000)
        record = store.get(event_id)
        assert record is not None
        assert (record.status, record.attempts, len(record.history)) == ("dead", 3, 3)

    def test_defer_costs_nothing(self, store: Store) -> None:
        """Pending and due at once, no attempt spent: it is the destination that waits."""
        (event_id,) = put(store)
        lease = lease_of(store)
        deliver(store, lease, DEFERRED)
        record = store.get(event_id)
        assert record is not None
        assert (record.status, record.attempts, record.next_attempt_at) == ("pending", 0, None)
        assert len(claim(store, lease)) == 1

    def test_reject_is_dead_with_the_reason(self, store: Store) -> None:
        """Status, code and text of the service; the request's own row says rejected."""
        (event_id,) = put(store)
        deliver(store, lease_of(store), REJECTED)
        record = store.get(event_id)
        assert record is not None
        assert record.error is not None
        assert (record.status, record.attempts, record.error.message) == ("dead", 1, "a field is wrong")
        (request,) = store.requests(WEB, None)
        assert (request.outcome, request.http_status) == ("rejected", 422)

    def test_suspects_that_are_pending_are_counted(self, store: Store) -> None:
        """With the time at which the first of them is tried again; those that have ended are not."""
        sequences = [sequence_of(one) for one in put(store, 4)]
        lease = lease_of(store)
        known = Learned("here", {one: Suspect(Doubt.FAILED, 1) for one in sequences[:3]}, echoes=False)
        records = claim(store, lease)
        answer(store, send(store, lease, records[:1]), ACCEPTED, learned=known)
        outcome = replace(came_to(Disposition.DEFER, BUSY), waits={0: 9.0, 1: 7.0})
        now_ms = store.now_ms()
        answer(store, send(store, lease, records[1:3]), outcome)
        web = next(row for row in store.destination_rows() if row.name == WEB)
        assert web.suspects == (2, now_ms + 7_000)
        assert web.learned == known
        till = next(row for row in store.destination_rows() if row.name == TILL)
        assert (till.suspects, till.learned) == ((0, None), NOTHING)

    def test_the_history_tells_how_many_travelled_together(self, store: Store) -> None:
        """For each request, the number of its events."""
        (event_id, _, _) = put(store, 3)
        lease = lease_of(store)
        deliver(store, lease, DEFERRED)
        deliver(store, lease, ACCEPTED)
        record = store.get(event_id)
        assert record is not None
        assert [entry.events for entry in record.history] == [3, 3]

    def test_the_requests_closed_meanwhile_are_counted(self, store: Store) -> None:
        """From the oldest that is open on, of one destination; what was never sent leaves nothing to count."""
        put(store, 2)
        put(store, 1, to=TILL)
        lease, till = lease_of(store), lease_of(store, TILL)
        deliver(store, till)
        first = store.oldest_open(WEB)
        assert (store.closed_since(WEB, first), store.closed_since(TILL, 0)) == (0, 1)
        one, two = claim(store, lease)
        slow, quick = send(store, lease, [one]), send(store, lease, [two])
        assert store.oldest_open(WEB) == first == slow.number
        answer(store, quick, DEFERRED)
        assert (store.closed_since(WEB, first), store.closed_since(TILL, first)) == (1, 0)
        answer(store, slow, ACCEPTED)
        assert store.closed_since(WEB, first) == 2
        assert store.oldest_open(WEB) == quick.number + 1
        answer(store, send(store, lease, [two]), NotSent("no route", code="connect"))
        assert store.closed_since(WEB, first) == 2

    def test_an_unknown_outcome_costs_nothing(self, store: Store) -> None:
        """The request may have arrived: pending again, and the request is on record as unknown."""
        (event_id,) = put(store)
        lease = lease_of(store)
        travelling = send(store, lease)
        answer(store, travelling, MaybeSent("the line was cut", code="cut"))
        assert statuses(store, [event_id]) == ["pending"]
        (request,) = store.requests(WEB, None)
        assert request.outcome == "unknown"
        assert request.error is not None
        assert request.error.code == "cut"
        assert len(claim(store, lease)) == 1

    def test_an_unsent_request_leaves_no_trace(self, store: Store) -> None:
        """No byte went out: no row, no history, and the event is due at once."""
        (event_id,) = put(store)
        lease = lease_of(store)
        answer(store, send(store, lease), NotSent("no route", code="connect"))
        record = store.get(event_id)
        assert record is not None
        assert (record.status, record.history) == ("pending", ())
        assert store.requests(None, None) == []
        assert len(claim(store, lease)) == 1

    def test_history_shows_the_unknown_request_and_the_one_that_was_accepted(self, store: Store) -> None:
        """Both, oldest first; the event shows the one that delivered it."""
        (event_id,) = put(store)
        lease = lease_of(store)
        first = deliver(store, lease, UNKNOWN)
        second = deliver(store, lease)
        record = store.get(event_id)
        assert record is not None
        assert [(trip.request_id, trip.disposition) for trip in record.history] == [
            (first.batch.request_id, "unknown"),
            (second.batch.request_id, "accepted"),
        ]
        assert record.request_id == second.batch.request_id

    def test_the_bound_on_its_batch_is_kept(self, store: Store, clock: ManualClock) -> None:
        """What bisecting has learned outlives a retry, a deferral and the worker."""
        put(store, 4)
        lease = lease_of(store)
        deliver(store, lease, SPLIT)
        assert [one.travel_max for one in claim(store, lease)] == [2, 2, 2, 2]
        half = claim(store, lease)[:2]
        answer(store, send(store, lease, half), RETRIED)
        clock.advance(1000)
        answer(store, send(store, lease, half), DEFERRED)
        store.release(lease)
        assert [one.travel_max for one in claim(store, lease_of(store))] == [2, 2, 2, 2]

    def test_several_requests_are_recorded_and_settled_together(self, store: Store) -> None:
        """Numbers in the order of the requests; each is settled for itself."""
        put(store, 2)
        lease = lease_of(store)
        first, second = claim(store, lease)
        new = [NewRequest("a", (first.sequence,), 10), NewRequest("b", (second.sequence,), 20)]
        numbers = store.record(lease, new, store.now_ms())
        assert len(set(numbers)) == 2
        assert [(one.request_id, one.bytes) for one in store.requests(WEB, None)] == [("b", 20), ("a", 10)]

    def test_events_of_several_priorities_share_a_request(self, store: Store) -> None:
        """The receipt follows the place in the request, not the age."""
        ids = [put(store, priority=lane)[0] for lane in (Priority.LOW, Priority.NORMAL, Priority.HIGH)]
        deliver(store, lease_of(store))
        assert [record.receipt for one in ids if (record := store.get(one))] == ["batch:2", "batch:1", "batch:0"]

    def test_burying_sets_aside_what_was_never_sent(self, store: Store) -> None:
        """Dead with the reason and without a history; burying it twice counts once."""
        ids = put(store, 2)
        lease = lease_of(store)
        (record, _) = claim(store, lease)
        death = Death(record.sequence, record.priority, 0, Problem("damaged", "the checksum is wrong"))
        store.bury(lease, [death], store.now_ms())
        store.bury(lease, [death], store.now_ms())
        assert statuses(store, ids) == ["dead", "pending"]
        assert (store.counts().dead, store.counts().balanced) == (1, True)

    # --- rescue and late answers --------------------------------------------------------------------------------------

    def test_rescue_takes_back_what_a_dead_worker_held(self, store: Store) -> None:
        """Its requests are of unknown outcome, its events pending; a second rescue finds nothing."""
        ids = put(store, 3)
        lease = lease_of(store)
        first, *others = claim(store, lease)
        send(store, lease, [first])
        kill(store, send(store, lease, others))
        again = store.acquire(WEB, "test")
        assert again is not None
        assert statuses(store, ids) == ["sending"] * 3
        assert store.rescue(again) == 2
        assert store.rescue(again) == 0
        assert statuses(store, ids) == ["pending"] * 3
        assert {(one.outcome, one.error.code) for one in store.requests(WEB, None) if one.error} == {
            ("unknown", "not_recorded")
        }
        assert len(claim(store, again)) == 3

    def test_a_late_accepted_answer_counts(self, store: Store) -> None:
        """Though the lease is lost: the service has the events, and they are not sent again."""
        ids = put(store, 2)
        late = send(store, lease_of(store))
        kill(store, late)
        lease = lease_of(store)
        answer(store, late, ACCEPTED)
        assert statuses(store, ids) == ["delivered", "delivered"]
        assert claim(store, lease) == []
        assert store.counts().delivered == 2
        (entry,) = (record.history for one in ids[:1] if (record := store.get(one)))
        assert [trip.disposition for trip in entry] == ["accepted"]

    @pytest.mark.parametrize("outcome", [REJECTED, RETRIED, DEFERRED, UNKNOWN, SPLIT])
    def test_a_late_answer_of_any_other_kind_counts_for_nothing(self, store: Store, outcome: object) -> None:
        """No death, no attempt, no bound, no hold: those need the lease."""
        ids = put(store, 2)
        late = send(store, lease_of(store))
        kill(store, late)
        lease = lease_of(store)
        answer(store, late, outcome, hold=HOLD)  # type: ignore[arg-type]
        assert statuses(store, ids) == ["pending", "pending"]
        assert [(one.attempts, one.travel_max) for one in claim(store, lease)] == [(0, None)] * 2
        assert store.hold(WEB) == Hold()
        assert store.requests(WEB, 1)[0].outcome == "unknown"

    def test_of_a_late_answer_only_the_accepted_part_counts(self, store: Store) -> None:
        """The refused event of the batch is pending, and the service will refuse it again."""
        ids = put(store, 2)
        late = send(store, lease_of(store))
        kill(store, late)
        lease_of(store)
        answer(store, late, came_to(Disposition.ACCEPTED, but={1: Verdict(Disposition.REJECT, REFUSAL)}))
        assert statuses(store, ids) == ["delivered", "pending"]
        assert store.counts().balanced

    def test_a_late_accepted_answer_revives_the_dead(self, store: Store) -> None:
        """The event was refused meanwhile, but the service has it: delivered, and no longer dead."""
        (event_id,) = put(store)
        late = send(store, lease_of(store))
        kill(store, late)
        deliver(store, lease_of(store), REJECTED)
        assert statuses(store, [event_id]) == ["dead"]
        answer(store, late, ACCEPTED)
        assert statuses(store, [event_id]) == ["delivered"]
        counts = store.counts()
        assert (counts.delivered, counts.dead, counts.balanced) == (1, 0, True)

    def test_a_second_accepted_answer_never_counts_twice(self, store: Store) -> None:
        """Sent twice and accepted twice is still one event."""
        (event_id,) = put(store)
        late = send(store, lease_of(store))
        kill(store, late)
        deliver(store, lease_of(store))
        answer(store, late, ACCEPTED)
        assert statuses(store, [event_id]) == ["delivered"]
        assert (store.counts().delivered, store.counts(WEB).enqueued) == (1, 1)

    def test_while_it_travels_again_a_late_accepted_answer_still_counts_once(self, store: Store) -> None:
        """Delivered at once: nothing is sending any more, and what the second request comes to changes nothing."""
        (event_id,) = put(store)
        late = send(store, lease_of(store))
        kill(store, late)
        second = send(store, lease_of(store))
        answer(store, late, ACCEPTED)
        counts = store.counts(WEB)
        assert (counts.pending, counts.sending, counts.delivered) == (0, 0, 1)
        answer(store, second, REJECTED)
        assert statuses(store, [event_id]) == ["delivered"]
        counts = store.counts()
        assert (counts.delivered, counts.dead, counts.balanced) == (1, 0, True)

    def test_under_a_lost_lease_nothing_is_claimed_or_recorded(self, store: Store) -> None:
        """So nothing is sent: somebody else does that now."""
        (event_id,) = put(store)
        old = lease_of(store)
        records = claim(store, old)
        store.release(old)
        lease_of(store)
        with pytest.raises(LeaseLost):
            claim(store, old)
        with pytest.raises(LeaseLost):
            send(store, old, records)
        assert statuses(store, [event_id]) == ["pending"]
        assert store.requests(None, None) == []

    def test_a_late_refusal_closes_a_request_that_nobody_has_rescued_yet(self, store: Store) -> None:
        """It counts for nothing, but its events are not sending any more."""
        (event_id,) = put(store)
        late = send(store, lease_of(store))
        kill(store, late)
        lease = store.acquire(WEB, "test")
        assert lease is not None
        answer(store, late, REJECTED)
        assert statuses(store, [event_id]) == ["pending"]
        assert store.rescue(lease) == 0
        assert len(claim(store, lease)) == 1

    # --- the books ----------------------------------------------------------------------------------------------------

    def test_the_ledger_counts_each_event_once(self, store: Store) -> None:
        """One of each kind, over two destinations; the sum is what was enqueued."""
        put(store, 4)
        put(store, 2, to=TILL)
        lease = lease_of(store)
        one, two, three, _ = claim(store, lease)
        answer(store, send(store, lease, [one]), ACCEPTED)
        answer(store, send(store, lease, [two]), REJECTED)
        send(store, lease, [three])
        whole, web, till = store.counts(), store.counts(WEB), store.counts(TILL)
        assert (whole.enqueued, whole.pending, whole.sending, whole.delivered, whole.dead) == (6, 3, 1, 1, 1)
        assert (web.enqueued, web.pending, till.enqueued, till.pending) == (4, 1, 2, 2)
        assert whole.balanced
        assert web.balanced
        assert till.balanced

    def test_next_due_is_the_earliest_that_is_not_travelling(self, store: Store) -> None:
        """None for nothing, 0 for what never waited, else its time; what is in an open request does not count."""
        assert store.next_due_ms(WEB) is None
        put(store)
        assert store.next_due_ms(WEB) == 0
        lease = lease_of(store)
        deliver(store, lease, RETRIED)
        later_ms = store.next_due_ms(WEB)
        assert later_ms is not None
        assert later_ms > store.now_ms()
        put(store)
        send(store, lease)
        assert store.next_due_ms(WEB) == later_ms

    def test_a_hold_is_kept_as_it_is(self, store: Store) -> None:
        """Written apart or with a settlement, for its destination alone; a well one is nothing."""
        assert store.hold(WEB) == Hold()
        store.set_hold(WEB, HOLD)
        assert (store.hold(WEB), store.hold(TILL)) == (HOLD, Hold())
        put(store)
        lease = lease_of(store)
        answer(store, send(store, lease), DEFERRED)
        assert store.hold(WEB) == HOLD, "unchanged where the settlement brings none"
        answer(store, send(store, lease), ACCEPTED, hold=Hold())
        assert store.hold(WEB) == Hold()

    def test_what_was_learned_is_kept_as_it_is(self, store: Store) -> None:
        """Written with a settlement, read by the next holder of the lease; nothing is known of others."""
        assert store.learned(WEB) == NOTHING
        put(store, 1)
        suspects = {7: Suspect(Doubt.FAILED, 3, 1, -2, True), 2**40: Suspect(Doubt.REFUSED, 1)}
        learned = Learned(suspects=suspects, probed=True, bytes_max=20_000, bytes_until_ms=9_000, echoes=True)
        answer(store, send(store, lease_of(store)), DEFERRED, learned=learned)
        assert store.learned(WEB) == learned
        assert list(store.learned(WEB).suspects) == [7, 2**40]
        assert store.learned(TILL) == NOTHING

    def test_a_late_holder_writes_down_nothing_that_it_learned(self, store: Store) -> None:
        """Another worker has the lease, and knows more by now."""
        put(store, 1)
        travelling = send(store, lease_of(store))
        kill(store, travelling)
        lease_of(store)
        answer(store, travelling, DEFERRED, learned=Learned(probed=True))
        assert store.learned(WEB) == NOTHING

    def test_a_late_holder_holds_nothing_back(self, store: Store) -> None:
        """Another worker has the lease, and was told to wait for longer."""
        late = lease_of(store)
        store.set_hold(WEB, HOLD, late)
        store.release(late)
        store.set_hold(WEB, replace(HOLD, asked_until_ms=8_000), lease_of(store))
        store.set_hold(WEB, HOLD, late)
        assert store.hold(WEB).asked_until_ms == 8_000

    def test_a_hold_is_shown_with_the_event_that_waits_for_it(self, store: Store, clock: ManualClock) -> None:
        """The next attempt is when the destination may be tried again, as long as that is to come."""
        (event_id,) = put(store)
        until_ms = store.now_ms() + 60_000
        store.set_hold(WEB, Hold(HoldState.OFFLINE, 1, store.now_ms(), until_ms, 0, BUSY))
        record = store.get(event_id)
        assert record is not None
        assert record.next_attempt_at is not None
        clock.advance(60)
        record = store.get(event_id)
        assert record is not None
        assert record.next_attempt_at is None

    def test_asking_to_send_is_seen(self, store: Store) -> None:
        """The number grows with each request, for its destination; the change is noticed."""
        before, counter = store.wake_number(WEB), store.change_counter()
        store.ask_to_send(WEB)
        store.ask_to_send(WEB)
        assert store.wake_number(WEB) == before + 2
        assert store.wake_number(TILL) == 0
        assert store.change_counter() != counter

    def test_destinations_are_shown_with_what_they_have(self, store: Store, clock: ManualClock) -> None:
        """Counts, the oldest pending event, the last acceptance and the last request."""
        clock.advance(1)
        enqueued_ms = store.now_ms()
        put(store)
        lease = lease_of(store)
        sent = deliver(store, lease)
        clock.advance(1)
        put(store)
        web, till = store.destination_rows()
        assert (web.name, web.counts.delivered, web.counts.pending) == (WEB, 1, 1)
        assert (web.last_accepted_ms, web.oldest_pending_ms) == (enqueued_ms, store.now_ms())
        assert web.last_request is not None
        assert web.last_request.request_id == sent.batch.request_id
        assert (till.oldest_pending_ms, till.next_due_ms, till.last_request) == (None, None, None)

    # --- looking ------------------------------------------------------------------------------------------------------

    def test_get_wants_the_whole_id(self, store: Store) -> None:
        """A beginning, another queue's id or another nonce is nobody's."""
        (event_id,) = put(store)
        assert store.get(event_id) is not None
        other_nonce = event_id[:-1] + ("0" if event_id[-1] != "0" else "1")
        for text in (event_id[:-1], event_id[:21], "", "nonsense", other_nonce, "zzzzzzzz" + event_id[8:]):
            assert store.get(text) is None

    def test_a_record_is_what_was_put(self, store: Store, clock: ManualClock) -> None:
        """Destination, priority, reference and both times."""
        occurred_ms = 1_795_236_078_123
        made = draft(reference="P4711", occurred_ms=occurred_ms)
        event_id = store.put(TILL, made, Priority.HIGH, TIMEOUT_SECONDS)
        record = store.get(event_id)
        assert record is not None
        assert (record.destination, record.priority, record.reference) == (TILL, "high", "P4711")
        assert record.occurred_at is not None
        assert record.occurred_at.timestamp() == pytest.approx(occurred_ms / 1000)
        assert record.enqueued_at.timestamp() == pytest.approx(clock.wall_ms() / 1000)
        assert (record.request_id, record.receipt, record.error) == (None, None, None)

    def test_a_wall_clock_set_right_is_right_for_this_boots_events(self, store: Store, clock: ManualClock) -> None:
        """What was enqueued before the step is shown by the corrected clock."""
        (event_id,) = put(store)
        clock.step_wall(86_400)
        store.note_wall_clock()
        record = store.get(event_id)
        assert record is not None
        assert record.enqueued_at.timestamp() == pytest.approx(clock.wall_ms() / 1000)
        assert store.queue_ms(clock.wall_ms()) == store.now_ms()
        assert store.at(store.now_ms()).timestamp() == pytest.approx(clock.wall_ms() / 1000)

    def test_the_beginning_of_an_id_is_enough(self, store: Store) -> None:
        """At most ten, oldest first, and none that does not begin so."""
        ids = put(store, 12)
        assert store.resolve(ids[0]) == [ids[0]]
        assert store.resolve(ids[11][:21]) == [ids[11]]
        assert store.resolve(ids[11][:24]) == [ids[11]]
        assert store.resolve(ids[0][:20]) == ids[:9]
        assert store.resolve(store.queue_id + "-0") == ids[:10]
        assert store.resolve("zzzzzzzz-000000000001") == []

    def test_an_applications_own_id_is_found(self, store: Store) -> None:
        """By the `_id` in its payload, or the beginning of it."""
        event_id = store.put(WEB, draft(own_id="sale-4711"), Priority.NORMAL, TIMEOUT_SECONDS)
        store.put(WEB, draft(own_id="refund-1"), Priority.NORMAL, TIMEOUT_SECONDS)
        assert store.resolve("sale-4711") == [event_id]
        assert store.resolve("sale-") == [event_id]
        assert store.resolve("4711") == []

    def test_a_commands_own_id_is_found(self, store: Store) -> None:
        """Where the application's id stands under the other key that there is for it, too."""
        payload = b'{"name":"customers","data":{},"command_id":"c-4711"}'
        event_id = store.put(WEB, Draft(payload, -1, None, None, False, ()), Priority.NORMAL, TIMEOUT_SECONDS)
        assert store.resolve("c-4711") == [event_id]
        assert store.resolve("c-") == [event_id]

    def test_a_whole_id_comes_before_those_that_only_begin_so(self, store: Store) -> None:
        """`P1` means P1, however many of P10, P11 and so on there are."""
        for number in range(10, 25):
            store.put(WEB, draft(own_id=f"P{number}"), Priority.NORMAL, TIMEOUT_SECONDS)
        event_id = store.put(WEB, draft(own_id="P1"), Priority.NORMAL, TIMEOUT_SECONDS)
        assert store.resolve("P1") == [event_id]

    def test_events_are_found_by_reference(self, store: Store) -> None:
        """All of them, oldest first, and only the exact key."""
        ids = [
            store.put(WEB, draft(reference=name), Priority.NORMAL, TIMEOUT_SECONDS)
            for name in ("P1", "P2", "P1", "P11")
        ]
        assert [record.event_id for record in store.find("P1")] == [ids[0], ids[2]]
        assert store.find("P") == []

    def test_records_come_in_the_order_asked_for(self, store: Store) -> None:
        """By sequence; what is gone is left out."""
        ids = put(store, 3)
        assert [one.event_id for one in store.records([3, 1, 99])] == [ids[2], ids[0]]
        assert store.records([]) == []

    def test_events_are_listed_by_status_destination_and_time(self, store: Store, clock: ManualClock) -> None:
        """Each filter alone and all together; oldest first or newest first; no more than the limit."""
        early = put(store, 3)
        lease = lease_of(store)
        one, two, _ = claim(store, lease)
        answer(store, send(store, lease, [one]), ACCEPTED)
        answer(store, send(store, lease, [two]), REJECTED)
        clock.advance(10)
        since_ms = store.now_ms()
        late = put(store, 2, to=TILL)
        held = lease_of(store, TILL)
        send(store, held, claim(store, held, events_max=1))

        def listed(**filters: object) -> list[str]:
            return [record.event_id for record in store.events(EventFilter(**filters))]  # type: ignore[arg-type]

        assert listed() == [*early, *late]
        assert listed(newest_first=True) == [*late[::-1], *early[::-1]]
        assert listed(status=Status.DELIVERED) == early[:1]
        assert listed(status=Status.DEAD) == early[1:2]
        assert listed(status=Status.PENDING) == [early[2], late[1]]
        assert listed(status=Status.SENDING) == late[:1]
        assert listed(status=Status.LOST) == []
        assert listed(destination=TILL) == late
        assert listed(destination="nowhere") == []
        assert listed(since_ms=since_ms) == late
        assert listed(limit=2, newest_first=True) == late[::-1]
        assert listed(limit=0) == []
        assert listed(status=Status.PENDING, destination=TILL, since_ms=since_ms, limit=5) == late[1:]

    def test_payloads_come_as_they_were_stored(self, store: Store) -> None:
        """Byte for byte, with the record."""
        ids = put(store, 2)
        found = list(store.payloads(EventFilter(destination=WEB)))
        assert [record.event_id for record, _ in found] == ids
        assert [one.payload for one in claim(store, lease_of(store))] == [payload for _, payload in found]

    def test_requests_are_listed_newest_first(self, store: Store) -> None:
        """By destination, by the beginning of an id, and no more than the limit."""
        put(store)
        put(store, to=TILL)
        web, till = deliver(store, lease_of(store)), deliver(store, lease_of(store, TILL))
        ids = [web.batch.request_id, till.batch.request_id]
        assert [one.request_id for one in store.requests(None, None)] == ids[::-1]
        assert [one.request_id for one in store.requests(WEB, None)] == ids[:1]
        assert [one.request_id for one in store.requests(None, 1)] == ids[1:]
        assert [one.request_id for one in store.requests(None, None, ids[0])] == ids[:1]
        assert store.requests(None, None, "%") == []

    # --- mending and tidying ------------------------------------------------------------------------------------------

    def test_requeue_gives_the_attempts_back(self, store: Store, clock: ManualClock) -> None:
        """Pending, due at once, as if never refused; the history stays."""
        (event_id,) = put(store)
        lease = lease_of(store)
        for _ in range(3):
            deliver(store, lease, RETRIED)
            clock.advance(1000)
        assert store.requeue([event_id]) == 1
        record = store.get(event_id)
        assert record is not None
        assert (record.status, record.attempts, len(record.history)) == ("pending", 0, 3)
        assert [(one.attempts, one.travel_max) for one in claim(store, lease)] == [(0, None)]
        assert (store.counts().dead, store.counts().balanced) == (0, True)

    def test_requeue_takes_all_or_a_destinations_or_the_named(self, store: Store) -> None:
        """And of those only the dead."""
        web, till = put(store, 3), put(store, 2, to=TILL)
        for name in (WEB, TILL):
            deliver(store, lease_of(store, name), REJECTED)
        (alive,) = put(store)
        assert store.requeue([web[1], alive]) == 1
        assert store.requeue([web[0]], TILL) == 0
        assert store.requeue(None, TILL) == 2
        assert statuses(store, [*web, *till]) == ["dead", "pending", "dead", "pending", "pending"]
        assert store.requeue(None) == 2
        assert store.requeue(None) == 0
        assert store.counts().balanced

    def test_requeue_wants_the_whole_id(self, store: Store) -> None:
        """The id of another queue, or the beginning of an id, names no event here."""
        (event_id,) = put(store)
        deliver(store, lease_of(store), REJECTED)
        assert store.requeue(["zzzzzzzz" + event_id[8:], event_id[:21], event_id[:-1], "nonsense"]) == 0
        assert statuses(store, [event_id]) == ["dead"]

    def test_a_requeued_event_can_be_delivered(self, store: Store) -> None:
        """It goes the whole way again."""
        (event_id,) = put(store)
        lease = lease_of(store)
        deliver(store, lease, REJECTED)
        store.requeue(None)
        deliver(store, lease)
        assert statuses(store, [event_id]) == ["delivered"]

    def test_prune_deletes_by_the_time_of_the_end(self, store: Store, clock: ManualClock) -> None:
        """Delivered and dead each before their own time; what is pending stays whatever its age."""
        ids = put(store, 5)
        lease = lease_of(store)
        records = claim(store, lease)
        answer(store, send(store, lease, records[:1]), ACCEPTED)
        answer(store, send(store, lease, records[1:2]), REJECTED)
        clock.advance(10)
        before_ms = store.now_ms()
        clock.advance(10)
        answer(store, send(store, lease, records[2:3]), ACCEPTED)
        answer(store, send(store, lease, records[3:4]), REJECTED)
        assert store.prune(None, None) == 0
        assert store.prune(before_ms, None) == 1
        assert statuses(store, ids) == ["gone", "dead", "delivered", "dead", "pending"]
        assert store.prune(None, before_ms) == 1
        assert statuses(store, ids) == ["gone", "gone", "delivered", "dead", "pending"]
        assert store.prune(FAR_MS, FAR_MS) == 2
        assert statuses(store, ids) == ["gone", "gone", "gone", "gone", "pending"]

    def test_pruning_keeps_the_counts(self, store: Store) -> None:
        """The ledger says what ever was, not what is still kept."""
        put(store, 3)
        lease = lease_of(store)
        records = claim(store, lease)
        answer(store, send(store, lease, records[:2]), ACCEPTED)
        answer(store, send(store, lease, records[2:]), REJECTED)
        before = store.counts()
        assert store.prune(FAR_MS, FAR_MS) == 3
        assert store.counts() == before
        assert store.counts().balanced

    def test_a_request_is_kept_as_long_as_one_of_its_events(self, store: Store) -> None:
        """A dead event keeps the history that explains its end."""
        ids = put(store, 2)
        but = {1: Verdict(Disposition.REJECT, REFUSAL)}
        deliver(store, lease_of(store), came_to(Disposition.ACCEPTED, but=but))
        assert store.prune(FAR_MS, None) == 1
        record = store.get(ids[1])
        assert record is not None
        assert [trip.disposition for trip in record.history] == ["reject"]
        store.prune(None, FAR_MS)
        store.prune(FAR_MS, None)
        assert store.requests(None, None) == []

    def test_pruning_spares_what_is_on_its_way(self, store: Store) -> None:
        """Neither an open request nor an unknown one whose events are pending goes."""
        ids = put(store, 2)
        lease = lease_of(store)
        first, second = claim(store, lease)
        answer(store, send(store, lease, [first]), UNKNOWN)
        send(store, lease, [second])
        assert store.prune(FAR_MS, FAR_MS) == 0
        assert statuses(store, ids) == ["pending", "sending"]
        assert len(store.requests(None, None)) == 2

    def test_a_sequence_is_never_given_twice(self, store: Store) -> None:
        """Not even when the newest event has been pruned."""
        put(store, 3)
        deliver(store, lease_of(store))
        assert store.prune(FAR_MS, FAR_MS) == 3
        assert sequence_of(put(store)[0]) == 4
        assert store.counts().enqueued == 4

    def test_a_sound_store_has_nothing_wrong(self, store: Store) -> None:
        """The check says so, and the size is a number."""
        put(store, 2)
        assert store.check() == []
        assert store.disk_bytes() >= 0
