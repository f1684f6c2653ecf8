"""What is learned about a destination from its answers, and outlives them: suspect events, a size that gets through.

Pure. Only a definite refusal of an event by the real service kills it. Some answers are not definite: a 500, a refusal
without the service's own words, an answer that cannot be the service's. They cast a `Doubt` on the events that they
answer, and a doubt becomes a conviction only with a witness: the same answer to that event alone, again and again,
while others are accepted in between.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

SUSPECTS_MAX = 1000
"""Events that are watched at once for a destination (about 80 KB in its row, written while they fail)."""

FAILURES_CONFIRMED_MIN = 4
"""A 500 counts as a refusal when it has come five times to that event alone (design.md, promise 4): once, and so many
times with something else accepted before each."""

REFUSALS_CONFIRMED_MIN = 1
"""A refusal without the service's own words counts when it comes again after something else was accepted, where the
event was found by halving its batch: its neighbours were accepted on the way. Else it takes as many as a failure."""

ACCEPTED_PER_FAILURE_MIN = 4
"""Nothing is held against an event while more than one in five requests of the others fail as well."""

ALONE_STRIKES_MIN = 2
"""From so many strikes on, a suspect travels alone: it must not hold up those that came later."""

COUNTED_MAX = 100
"""So many of the others' requests are remembered; beyond, the old ones fade."""

_ENOUGH = 8
"""Acceptances beyond what is needed are not counted: they would tell no more, and cost a write each."""

UNECHOED_TURNS_MAX = 3
"""So many turns in a row on fresh connections, and never our id: the service does not echo, whatever is documented."""

SIZE_BYTES_MIN = 10_000
"""No size below this is learned: an event of 10 KB is what the services recommend at most."""

TOO_LARGE_MS, TOO_SLOW_MS = 24 * 3_600_000, 3_600_000
"""How long a learned size holds: a service's limit for a day, a slow link's for an hour."""

JSON_MS = 24 * 3_600_000
"""How long JSON is sent after Smile was refused: tried again once a day, at the price of one request."""


class Doubt(StrEnum):
    """Why an answer may be about the event itself and not about the service."""

    REFUSED = "refused"  # a refusal that is not in the service's own words
    FAILED = "failed"  # a 500: the service fell over, perhaps over this event
    STRANGE = "strange"  # no answer, or not the service's own: never kills, but sets the event aside


@dataclass(frozen=True, slots=True)
class Suspect:
    """An event that was answered alone with a doubt, `strikes` times, `confirmed` of them with a witness.

    `accepted` and `failed` count the others' requests since the first time; `seen`: one was accepted since the last.
    `halved`: it was found by halving a batch.
    """

    doubt: Doubt
    strikes: int = 0
    confirmed: int = 0
    accepted: int = 0
    failed: int = 0
    seen: bool = False
    halved: bool = False

    def struck(self) -> Suspect:
        """After one more. It counts against the event if something else was accepted since the last one."""
        return replace(self, strikes=self.strikes + 1, confirmed=self.confirmed + self.seen, seen=False)

    def beside(self, accepted: int, failed: int) -> Suspect:
        """After so many requests of others were accepted, and so many failed."""
        failed_now = self.failed + failed
        accepted_now = min(self.accepted + accepted, failed_now * ACCEPTED_PER_FAILURE_MIN + _ENOUGH)
        while accepted_now + failed_now > COUNTED_MAX:
            accepted_now, failed_now = accepted_now // 2, failed_now // 2
        seen = self.seen or accepted > 0
        if (accepted_now, failed_now, seen) == (self.accepted, self.failed, self.seen):
            return self
        return replace(self, accepted=accepted_now, failed=failed_now, seen=seen)

    @property
    def found(self) -> bool:
        """Whether halving a refused batch led to it: its neighbours were accepted on the way."""
        return self.halved and self.doubt is Doubt.REFUSED

    @property
    def convicted(self) -> bool:
        """Whether the answers, with their witnesses, count as the service's refusal of this event."""
        if self.accepted < self.failed * ACCEPTED_PER_FAILURE_MIN:
            return False
        enough = REFUSALS_CONFIRMED_MIN if self.found else FAILURES_CONFIRMED_MIN
        return self.doubt is not Doubt.STRANGE and self.confirmed >= enough


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of a destination beside its configuration; kept in the database.

    `place`: where that was (`Destination.place`); elsewhere it counts for nothing. `suspects` by sequence, oldest
    first. `probed`: while batches failed, a single event was accepted, so the next failure is the batch's own.
    `bytes_max`: the largest request to make until `bytes_until_ms` (queue time). `passed_bytes`: the largest request
    that was accepted, since one of its size was refused; not kept in the database. `echoes`: whether the service names
    our request's id in its answers; None while that is not known. `unechoed`: turns in a row without. `json_until_ms`:
    Smile was refused, so JSON is sent until then. `opened_ms`: the `not_before` (wall clock) that was waited for.
    """

    place: str = ""
    suspects: Mapping[int, Suspect] = field(default_factory=dict)
    probed: bool = False
    bytes_max: int | None = None
    bytes_until_ms: int = 0
    passed_bytes: int = 0
    echoes: bool | None = None
    unechoed: int = 0
    json_until_ms: int = 0
    opened_ms: int = 0

    @property
    def steering(self) -> Learned:
        """The part that decides what is sent next, and how; the rest changes with answers that change nothing of it."""
        return replace(self, passed_bytes=0, echoes=None, unechoed=0)

    def struck(self, sequence: int, doubt: Doubt, *, halved: bool = False) -> Suspect:
        """The suspect after one more such answer to it alone; another kind of answer begins anew."""
        known = self.suspects.get(sequence)
        if known is None or known.doubt is not doubt:
            known = Suspect(doubt, halved=halved if known is None else known.halved)
        return known.struck()

    def with_suspects(self, found: Mapping[int, Suspect]) -> Learned:
        """These suspects beside or in place of those known; beyond `SUSPECTS_MAX` new ones are not watched yet."""
        if not found:
            return self
        suspects = dict(self.suspects)
        for sequence, suspect in found.items():
            if sequence in suspects or len(suspects) < SUSPECTS_MAX:
                suspects[sequence] = suspect
        return replace(self, suspects=suspects)

    def without(self, ended: Collection[int]) -> Learned:
        """After these events have ended."""
        if not any(sequence in self.suspects for sequence in ended):
            return self
        return replace(self, suspects={key: one for key, one in self.suspects.items() if key not in ended})

    def beside(self, accepted: int, failed: Collection[int]) -> Learned:
        """After so many requests were accepted; `failed`: an event of each that may show the service failing."""
        suspects = {key: one.beside(accepted, len(failed) - (key in failed)) for key, one in self.suspects.items()}
        if all(suspects[key] is one for key, one in self.suspects.items()):
            return self
        return replace(self, suspects=suspects)

    def smaller(self, sent_bytes: int, now_ms: int, for_ms: int) -> Learned:
        """After a request of `sent_bytes` was too large: half of it is safe, so far as is known."""
        bytes_max = max(sent_bytes // 2, SIZE_BYTES_MIN)
        if self.bytes_max is not None and now_ms < self.bytes_until_ms:
            bytes_max = min(bytes_max, self.bytes_max)
        return replace(self, bytes_max=bytes_max, bytes_until_ms=now_ms + for_ms)

    def room(self, bytes_max: int, now_ms: int) -> int:
        """The bytes that a request may have, of `bytes_max` by its destination's limits."""
        if self.bytes_max is None or now_ms >= self.bytes_until_ms:
            return bytes_max
        return min(bytes_max, self.bytes_max)


NOTHING = Learned()
