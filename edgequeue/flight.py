"""The requests of one turn on their way: recorded, sent, answered, judged, settled; and others after them while all is
well.

A stream, not rounds. Some requests more than may be on their way are on record and wait, so that who is free takes the
next one at once, and what was answered is settled meanwhile. With 16 in flight and answers after 50 ms that took a
drain from 0.72 of the ideal to 0.89 (httpx alone: 0.93), after 300 ms from 0.93 to 0.97.

A plain acceptance means the same whatever else is answered. Any other answer ends the stream: what has not begun is
taken back, and the answers that still come are weighed together with it (`weighing.py`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from edgequeue.courier import Couriers, Errand, Reply
from edgequeue.errors import LeaseLost, MaybeSent
from edgequeue.judging import Judge
from edgequeue.model import Batch, HttpRequest
from edgequeue.preparing import Prepared, Preparing
from edgequeue.retry import WELL
from edgequeue.settling import Settling
from edgequeue.store.base import Lease, NewRequest, Store
from edgequeue.trips import Trip, is_plain
from edgequeue.turns import Tell, Turn, turn_of

log = logging.getLogger("edgequeue")

GATHER_SECONDS = 0.02
"""So long an answer waits for others, to be settled with them in one commit."""

BURST_MS = 1000
"""So often whoever runs a turn is told of it, to tidy and to show how far it is."""

Credentials = Mapping[str, str]


class _Posted(NamedTuple):
    """A request on record that is not answered yet."""

    batch: Batch
    request: HttpRequest
    credentials: Credentials


class _Answered(NamedTuple):
    """A request whose answer is not judged yet."""

    number: int
    trip: Trip
    credentials: Credentials


class Means(NamedTuple):
    """What the turns of a destination have in common."""

    store: Store
    couriers: Couriers
    judge: Judge
    preparing: Preparing
    settling: Settling


class Orders(NamedTuple):
    """How a turn is sent. `sign` gives the credentials of what follows, None where there are none to be had; `goes_on`
    says whether anything may follow, and is None where nothing may. `tell` is told once in `BURST_MS` what was done
    since, and says whether to go on; without it the turn ends then.
    """

    by_hand: bool
    sign: Callable[[], Credentials | None]
    goes_on: Callable[[], bool] | None
    tell: Tell | None


class Flight:
    """The requests of one turn. For one thread."""

    def __init__(self, means: Means, lease: Lease, orders: Orders) -> None:
        self._store, self._couriers, self._judge, self._preparing, self._settling = means
        self._lease = lease
        self._orders = orders
        self._by_hand = orders.by_hand  # what follows goes by itself
        self._flows = self._follows = orders.goes_on is not None
        self._posted: dict[int, _Posted] = {}
        self._replies: deque[Reply] = deque()
        self._answered: list[_Answered] = []
        self._lap: list[int] = []  # how long the last answers took, in milliseconds
        self._turn = Turn()
        self._began = self._full = False
        self._until_ms = self._store.now_ms() + BURST_MS

    def send(self, prepared: Prepared, credentials: Credentials, abort: Callable[[], None]) -> Turn:
        """Send these, and what follows; when it returns all are answered. What was done and not told yet.

        What interrupts the wait (Ctrl-C) ends the exchanges at once by `abort`. It is raised when what was answered is
        settled; what was not is unknown.
        """
        self._settling.begin()
        self._couriers.begin(lambda seconds: self._settling.heed(self._lease, seconds))
        interruption: BaseException | None = None
        try:
            self._post(prepared, credentials)
        except BaseException as raised:
            interruption = raised
            self._end()
            abort()
        while True:
            try:
                self._go_on()
                if not self._posted:
                    break
                self._wait()
                self._take_stock()
            except BaseException as raised:
                if interruption is not None:
                    break
                interruption = raised
                self._end()
                abort()
        return self._landed(interruption)

    def _landed(self, interruption: BaseException | None) -> Turn:
        """Settle what is left. Where something went wrong, leave no request open that nobody waits for."""
        try:
            self._give_up_the_rest()
            self._judge_answered()
            self._preparing.after(self._lap)
        except BaseException as raised:
            interruption = interruption or raised
        if interruption is None:
            self._settling.write_down(self._lease)
            return self._turn._replace(full=self._full)
        for leave in (self._settle, self._rescue):
            try:
                leave()
            except Exception as error:
                log.debug("%s: put off: %s", self._lease.name, error)
        raise interruption

    def _settle(self) -> None:
        self._settling.write_down(self._lease, judged=False)

    def _rescue(self) -> None:
        self._store.rescue(self._lease)

    # --- out ----------------------------------------------------------------------------------------------------------

    def _post(self, prepared: Prepared, credentials: Credentials) -> None:
        """Put requests on record, and then on their way."""
        rows = [
            NewRequest(batch.request_id, tuple(one.sequence for one in batch.records), len(request.body))
            for batch, request in zip(prepared.batches, prepared.requests, strict=True)
        ]
        self._couriers.ready(min(len(self._posted) + len(rows), self._preparing.size))
        numbers = self._store.record(self._lease, rows, self._store.now_ms())
        self._full = prepared.full
        self._follows &= prepared.full  # one that is not is the last: events to come may go with what comes after it
        for number, batch, request in zip(numbers, prepared.batches, prepared.requests, strict=True):
            # Posted first: nobody waits for what is not on its way.
            self._couriers.post(Errand(number, request, credentials, self._began))
            self._posted[number] = _Posted(batch, request, credentials)
        self._by_hand &= not self._began
        self._began = True

    def _go_on(self) -> None:
        """While requests are on their way: send what comes next, settle what was answered, prepare what goes after it.
        What fails is met again at the end of the turn, or in the next one, and reported there.
        """
        if not self._flows:
            return
        try:
            self._post_next()
            self._settle()
            if self._follows:
                self._follows = self._preparing.ahead(self._lease, self._store.now_ms())
                self._post_next()
        except LeaseLost:  # another worker sends by now
            self._end()
        except Exception as error:
            log.debug("%s: put off: %s", self._lease.name, error)
            self._follows = False
            self._preparing.drop()  # what was to go before it did not

    def _post_next(self) -> None:
        """Send what is prepared, as far as there is room."""
        if not self._follows or not self._is_wanted():
            return
        prepared = self._preparing.take(self._room)
        if prepared is None:
            return
        credentials = self._orders.sign()
        if credentials is None:
            self._follows = False
            self._preparing.drop()
        else:
            self._post(prepared, credentials)

    @property
    def _room(self) -> int:
        """How many requests more may be on record. Never are more than twice those that may be on their way on record
        and not settled: so many can arrive twice after a kill.
        """
        size, posted = self._preparing.size, len(self._posted)
        spare = size // 2 if self._couriers.count <= size else 0  # a free thread more would send what is to wait
        return max(min(size + spare, 2 * size - len(self._settling)) - posted, 0)

    def _is_wanted(self) -> bool:
        """Whether nobody waits for the end of this turn."""
        return self._orders.goes_on is not None and self._orders.goes_on()

    # --- and back -----------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Until something was answered."""
        wanted = max(self._preparing.size // 4, 1) if self._flows else 1
        if not self._replies:
            self._replies.extend(self._couriers.wait(min(wanted, len(self._posted)), GATHER_SECONDS))
        while self._replies:  # whatever interrupts this, no reply is waited for twice
            number, answer, took_ms = self._replies[0]
            posted = self._posted.pop(number, None)
            self._replies.popleft()
            if posted is None:
                continue  # of a turn that was given up
            if answer is None:
                self._settling.take_back(number)
                self._preparing.drop()  # this one goes first
                self._end()
                continue
            self._lap.append(took_ms)
            trip = self._judge.read(posted.batch, posted.request, answer, posted.credentials)
            self._answered.append(_Answered(number, trip, posted.credentials))

    def _take_stock(self) -> None:
        """Where all was accepted it is judged, to be settled with the next commit. Else nothing follows: what has not
        begun is taken back, and the others are awaited.
        """
        if not self._flows:
            return
        echoes = self._judge.learned.echoes
        if all(is_plain(one.trip, echoes) for one in self._answered) and self._is_wanted() and self._tell():
            self._judge_answered()
        else:
            self._end()

    def _tell(self) -> bool:
        """Once in a while say what was done; whether to go on."""
        now_ms = self._store.now_ms()
        if now_ms < self._until_ms:
            return True
        if self._orders.tell is None:
            return False
        told, self._turn, self._until_ms = self._turn, Turn(), now_ms + BURST_MS
        return self._orders.tell(told)

    def _end(self) -> None:
        self._flows = self._follows = False
        self._couriers.recall()

    def _judge_answered(self) -> None:
        """Decide what the answers come to, beside each other; it is settled with the next commit."""
        if not self._answered:
            return
        signals = [(one.trip.outcome.signal or WELL, one.credentials) for one in self._answered]
        refused = (credentials for signal, credentials in signals if signal.renewable)
        credentials = next(refused, self._answered[0].credentials)
        trips = [one.trip for one in self._answered]
        settled = self._judge.judge(trips, credentials, self._store.now_ms(), by_hand=self._by_hand)
        answered, self._answered = self._answered, []
        for one, what in zip(answered, settled, strict=True):
            self._settling.keep(one.number, what)
        self._turn = self._turn.plus(turn_of(settled, self._judge.hold))
        if self._turn.deferred:  # what is sent again must not be overtaken where the order matters
            self._preparing.drop()
        if len(self._lap) >= self._preparing.size:
            self._preparing.after(self._lap)
            self._lap = []

    def _give_up_the_rest(self) -> None:
        """Interrupted twice: what was not answered by now may have arrived."""
        lost = MaybeSent("interrupted before the answer came", code="interrupted")
        for number, posted in self._posted.items():
            trip = self._judge.read(posted.batch, posted.request, lost, posted.credentials)
            self._answered.append(_Answered(number, trip, posted.credentials))
