"""What a seed stands for: which faults there are in its world, how often, and what the queue is set to.

Not every world has every fault: where each of them is rare or absent, the others get further (swarm testing).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from edgequeue.destinations.adobe_dccs import AdobeDccs
from edgequeue.destinations.adobe_edge import AdobeEdge
from edgequeue.destinations.base import Destination
from edgequeue.destinations.bloomreach import Bloomreach
from edgequeue.model import Batch, Disposition, HttpResponse, Problem
from edgequeue.outcome import Outcome, Verdict

ATTEMPTS_MAX = 3
MAY_PASS = b'{"title":"not now, perhaps later"}'
"""A refusal that spends an attempt. No destination that ships has one; one of somebody's own may."""

POISONS = ("refused", "unclear", "failing", "too_large")
"""Refused in the service's own words · in nobody's · with a 500 wherever it goes · with 413."""

MOODS = (
    "offline",
    "cut",
    "slow",
    "lost_answer",
    "portal",
    "redirect",
    "busy",
    "busy_until",
    "failing",
    "gateway",
    "unauthorised",
    "misconfigured",
    "stale",
    "torn",
    "proxy_413",
    "may_pass",
)


class Patient(AdobeEdge):
    """Adobe Edge, were it to refuse events that it takes later: the only use of `Disposition.RETRY`."""

    def interpret(self, batch: Batch, response: HttpResponse) -> Outcome:
        if response.body == MAY_PASS:
            problem = Problem("may_pass", "not now", status=response.status)
            return Outcome(Verdict(Disposition.RETRY, problem), http_status=response.status)
        return super().interpret(batch, response)


@dataclass
class Plan:
    """The dice of one world. Rates are per occasion: a named point, a commit, a request, an event."""

    seed: int
    dice: Random = field(repr=False)
    destination: Destination
    actions: int
    workers_max: int
    crash: float
    power_cut: float
    switch: float
    disk_full: float
    noise: float
    moods: tuple[str, ...]
    poison: float
    poisons: tuple[str, ...]
    body_bytes_max: int | None
    asks_beside: float
    clock: str
    steals: bool
    mends: bool


def plan_of(seed: int) -> Plan:
    """The world of a seed; the same one each time."""
    dice = Random(seed)

    def rate(*values: float) -> float:
        return dice.choice(values)

    moods = tuple(dice.sample(MOODS, dice.randint(1, 6)))
    poisons = tuple(dice.sample(POISONS, dice.randint(1, 2)))
    return Plan(
        seed=seed,
        dice=dice,
        destination=_destination(dice, "may_pass" in moods),
        actions=dice.randint(20, 100),
        workers_max=dice.randint(1, 3),
        crash=rate(0, 0, 0.005, 0.02, 0.05),
        power_cut=rate(0, 0, 0.003, 0.01),
        switch=rate(0, 0.05, 0.2, 0.5),
        disk_full=rate(0, 0, 0.02, 0.15),
        noise=rate(0, 0.1, 0.3, 0.6),
        moods=moods,
        poison=rate(0, 0, 0.05, 0.25),
        poisons=poisons,
        body_bytes_max=dice.choice((None, None, None, 900, 1500)),
        asks_beside=rate(0, 0, 0.2, 1),
        clock=dice.choice(("honest", "lying", "lying", "trusted")),
        steals=dice.random() < 0.4,
        mends=dice.random() < 0.4,
    )


def _destination(dice: Random, patient: bool) -> Destination:
    common = {
        "requests_in_flight_max": dice.randint(1, 4),
        "batch_events_max": dice.choice((1, 2, 3, 5, 8, 50)),
        "attempts_max": ATTEMPTS_MAX,
        "not_before": dice.choice((None, None, None, datetime(2026, 11, 21, 5, 10, tzinfo=UTC))),
    }
    if patient:
        return Patient("web", datastream_id="d", **common)
    kind = dice.choice(("edge", "dccs", "bloomreach"))
    if kind == "edge":
        return AdobeEdge("web", datastream_id="d", **common)
    if kind == "dccs":
        inlet = "https://dcs.example/collection/inlet"
        return AdobeDccs("web", endpoint=inlet, dataset_id="d", schema_id="https://schema", **common)
    return Bloomreach("web", project_token="p", public_token="a-public-token", **common)
