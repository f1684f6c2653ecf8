"""What must be true in every world, after every step, whatever fails: the promises of the queue, one function each.

    the_ledger_balances                 enqueued is the sum of the states, counted independently
    an_event_is_in_one_state            what was acknowledged is there, in exactly one state, and final states stay
    delivered_was_accepted              nothing is delivered that the service does not have
    an_accepted_answer_is_applied       also by a worker that has lost its lease
    one_live_lease                      never two workers with the right to send, and who records has the newest
    only_the_lease_disposes             who has lost it changes nothing but what was accepted
    what_went_out_is_on_record          every request that may have arrived, for as long as its events
    nothing_travels_twice               an event is in one open request at most, and is the same whenever it is sent
    the_network_costs_no_attempt        attempts are spent by refusals of the service and by nothing else
    only_poison_dies                    no event dies of its neighbours, the network, credentials or configuration
    every_wait_is_bounded               by the policy, or by the longest Retry-After that is believed
    a_plea_to_wait_is_kept              Retry-After binds through restarts, clock steps, power cuts and changes of lease
    the_queue_clock_is_never_ahead      whatever the wall clock says, nor goes back while there is power
    enqueue_stores_all_or_nothing       all of it, or it raised and there is nothing
    nothing_unexpected                  no exception that nobody has foreseen
    everything_drains                   once the faults stop, in a bounded number of turns

A broken one raises `Violation`, which no code under test can swallow.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from edgequeue.learning import Learned
from edgequeue.model import Status
from edgequeue.retry import RETRY_AFTER_SECONDS_MAX, Hold, RetryPolicy
from edgequeue.store.base import Lease
from edgequeue.weighing import SET_ASIDE_SECONDS_MAX
from tests.simulation.disks import Seen
from tests.simulation.plan import ATTEMPTS_MAX

if TYPE_CHECKING:
    from tests.simulation.processes import Process
    from tests.simulation.world import World

DELIVERED = frozenset((Status.DELIVERED,))
WAITING = frozenset((Status.PENDING, Status.SENDING))
POLICY = RetryPolicy()
OWN_WAIT_MS_MAX = round(1000 * max(POLICY.cap_seconds, POLICY.probe_seconds))
ASKED_MS_MAX = round(1000 * RETRY_AFTER_SECONDS_MAX)
EVENT_WAIT_MS_MAX = round(1000 * SET_ASIDE_SECONDS_MAX)


class Violation(BaseException):
    """A promise was broken; `rule` names which."""

    def __init__(self, rule: str, text: str) -> None:
        self.rule = rule
        super().__init__(f"{rule}: {text}")


def check_all(world: World) -> None:
    """Everything that holds at any moment."""
    seen = world.disk.seen()
    nothing_unexpected(world)
    an_event_is_in_one_state(world, seen)
    the_ledger_balances(world, seen)
    delivered_was_accepted(world, seen)
    one_live_lease(world)
    what_went_out_is_on_record(world)
    the_queue_clock_is_never_ahead(world)
    nothing_travels_twice(world)
    the_network_costs_no_attempt(world, seen)
    only_poison_dies(world, seen)
    every_wait_is_bounded(world, seen)


def the_ledger_balances(world: World, seen: dict[int, Seen]) -> None:
    """`enqueued`, which comes from the sequence alone, is the sum of the states; each count is what the rows say."""
    counts = world.books.counts()
    found = Counter(state for one in seen.values() for state in one.states)
    found.update(world.gone.values())
    told = {status: count for status in Status if (count := getattr(counts, status))}
    if not counts.balanced or found != told:
        raise Violation("the_ledger_balances", f"the rows say {dict(found)}, the ledger {told} of {counts.enqueued}")


def an_event_is_in_one_state(world: World, seen: dict[int, Seen]) -> None:
    """An event is in exactly one state; what was acknowledged is never gone, and delivered is for ever."""
    rule = "an_event_is_in_one_state"
    for sequence, one in seen.items():
        if len(one.states) != 1:
            raise Violation(rule, f"event {sequence} is {sorted(one.states) or 'lost'}")
        if one.states == DELIVERED:
            world.delivered.add(sequence)
        elif sequence in world.delivered:
            raise Violation(rule, f"event {sequence} was delivered and is {sorted(one.states)}")
    missing = world.acknowledged - seen.keys() - world.gone.keys()
    if missing:
        raise Violation(rule, f"acknowledged and gone: {sorted(missing)}")


def delivered_was_accepted(world: World, seen: dict[int, Seen]) -> None:
    """What the service accepted, by its own books, holds everything that is delivered."""
    for sequence, one in seen.items():
        if one.states == DELIVERED and not world.service.accepted[one.number]:
            raise Violation("delivered_was_accepted", f"event {sequence} was never accepted")


def an_accepted_answer_is_applied(world: World, process: Process) -> None:
    """After a turn that ended well, all that its worker heard to be accepted is delivered, lease or no lease."""
    if not process.told:
        return
    states = {one.number: one.states for one in world.disk.seen().values()}
    for number in sorted(process.told):
        if states.get(number, DELIVERED) != DELIVERED:  # one that is gone was delivered, and pruned
            raise Violation("an_accepted_answer_is_applied", f"purchase {number} is {sorted(states[number])}")
    process.told.clear()


def one_live_lease(world: World) -> None:
    """Of the processes alive, at most one holds a lease that nobody took away."""
    holders = [one.name for one in world.processes if one.alive and one.holds_on]
    if len(holders) > 1:
        raise Violation("one_live_lease", f"{holders} hold it")


def who_records_has_the_newest_lease(world: World, fence: int) -> None:
    """No request goes on record for a worker whose lease is somebody else's by now."""
    if fence != world.fence:
        raise Violation("one_live_lease", f"recorded with fence {fence}, the newest is {world.fence}")


class Late(NamedTuple):
    """What a late settlement must leave as it is."""

    hold: Hold
    learned: Learned
    seen: dict[int, Seen]


def before_a_late_settlement(world: World, lease: Lease) -> Late | None:
    """How things stand, where the lease is somebody else's by now."""
    if lease.fence == world.fence:
        return None
    return Late(world.books.hold(world.name), world.books.learned(world.name), world.disk.seen())


def only_the_lease_disposes(world: World, late: Late) -> None:
    """A worker that has lost its lease delivers what was accepted: no hold, no wait, no death comes of it."""
    same = (world.books.hold(world.name), world.books.learned(world.name)) == (late.hold, late.learned)
    for sequence, one in world.disk.seen().items():
        was = late.seen[sequence]
        delivered = one.states == DELIVERED
        kept = one[2:] == was[2:] and (one.states == was.states or one.states <= WAITING)
        if not same or not (delivered or kept):
            raise Violation("only_the_lease_disposes", f"event {sequence} was {was} and is {one}")


def what_went_out_is_on_record(world: World) -> None:
    """Every request that the service may have seen is on record: open, or closed with what it came to."""
    missing = world.sent - world.disk.request_ids()
    if missing:
        raise Violation("what_went_out_is_on_record", f"{sorted(missing)}")


def the_queue_clock_is_never_ahead(world: World) -> None:
    """Queue time is at most the time that has truly passed, and goes back over nothing but a power cut."""
    now_ms = world.books.now_ms()
    if not world.queue_ms <= now_ms <= world.machine.true_ms:
        text = f"it is {now_ms}, was {world.queue_ms}, and truly it is {world.machine.true_ms}"
        raise Violation("the_queue_clock_is_never_ahead", text)
    world.queue_ms = now_ms


def enqueue_stores_all_or_nothing(world: World, stored: int, count: int, *, taken: bool | None) -> None:
    """Acknowledged: all are there. Raised: none is. The application died in the middle: all or none."""
    right = {True: (count,), False: (0,), None: (0, count)}[taken]
    if stored not in right:
        raise Violation("enqueue_stores_all_or_nothing", f"{stored} of {count} are there, acknowledged: {taken}")


def nothing_travels_twice(world: World) -> None:
    """Open requests share no event, and the bytes of an event are the same whenever it is sent."""
    travelling = world.disk.travelling()
    if len(travelling) != len(set(travelling)):
        raise Violation("nothing_travels_twice", f"{travelling} are in open requests")
    if world.service.altered:
        raise Violation("nothing_travels_twice", f"purchases {world.service.altered} were sent altered")


def the_network_costs_no_attempt(world: World, seen: dict[int, Seen]) -> None:
    """A pending event has spent no more attempts than the service has refused it."""
    for sequence, one in seen.items():
        refused = world.service.refusals[one.number]
        if one.attempts > refused:
            text = f"event {sequence} has spent {one.attempts} attempts and was refused {refused} times"
            raise Violation("the_network_costs_no_attempt", text)


def only_poison_dies(world: World, seen: dict[int, Seen]) -> None:
    """Dead is what the service refuses for itself, or has refused as often as the operator allows."""
    for sequence, one in seen.items():
        if Status.DEAD in one.states:
            service = world.service
            own_fault = one.number in service.poison or service.refusals[one.number] >= ATTEMPTS_MAX
            if not own_fault:
                raise Violation("only_poison_dies", f"event {sequence} (purchase {one.number}) is dead")


def every_wait_is_bounded(world: World, seen: dict[int, Seen]) -> None:
    """Neither the destination nor an event waits longer than the policy says, on any clock."""
    now_ms = world.books.now_ms()
    hold = world.books.hold(world.name)
    asked_ms = hold.asked_until_ms - now_ms
    if asked_ms > ASKED_MS_MAX or hold.until_ms - now_ms > max(OWN_WAIT_MS_MAX, asked_ms):
        raise Violation("every_wait_is_bounded", f"it is {now_ms} now, and {hold}")
    for sequence, one in seen.items():
        if one.not_before_ms - now_ms > EVENT_WAIT_MS_MAX and one.states & WAITING:
            raise Violation("every_wait_is_bounded", f"event {sequence} waits {one.not_before_ms - now_ms} ms")


def a_plea_to_wait_is_kept(world: World, process: Process) -> None:
    """Nothing is sent before the time that the service named: by who heard it, nor by anybody once it is on disk.

    Forgiven is only what nobody could know any more: the process died before it was written, its lease was gone, or the
    requests were on record before, and then somebody took the lease.
    """
    early_ms = max(process.asked_until_ms, process.bound_until_ms) - world.machine.true_ms
    if early_ms > 0:
        raise Violation("a_plea_to_wait_is_kept", f"{process.name} sends {early_ms} ms too early")


def nothing_unexpected(world: World) -> None:
    """The worker's own net for exceptions that nobody has foreseen is never needed."""
    if world.unexpected:
        raise Violation("nothing_unexpected", "; ".join(world.unexpected))


def everything_drains(world: World) -> None:
    """With a service that is well and no more faults, nothing is left but what waits for a witness.

    That, too, ends once others are accepted beside it (`World.trickle`).
    """
    left = world.left()
    if left:
        raise Violation("everything_drains", f"{left} are left, {world.books.hold(world.name)}")
