"""Faults by chance: drawn at a rate, the same for the same seed."""

from __future__ import annotations

import pytest

from edgequeue.emulator import Emulator, Fault, Mood


def drawn(mood, count=200, service="edge", ids=()):
    return [mood.draw(service, ids) for _ in range(count)]


def test_the_same_seed_draws_the_same_faults():
    """A soak test that failed can be repeated; another seed is another story."""
    faults = ["status:status=503", "cut_after", Fault("drip")]
    first = drawn(Mood(7, 0.3, faults))
    assert first == drawn(Mood(7, 0.3, faults))
    assert first != drawn(Mood(8, 0.3, faults))
    assert {fault.kind for fault in first if fault} == {"status", "cut_after", "drip"}


def test_the_rate_is_the_share_of_the_requests():
    """0 strikes none, 1 strikes all, and what lies between is about that many."""
    assert not any(drawn(Mood(1, 0, ["delay"])))
    assert all(drawn(Mood(1, 1, ["delay"])))
    assert 120 < sum(fault is not None for fault in drawn(Mood(1, 0.2, ["delay"]), 1_000)) < 280


def test_a_fault_for_something_else_does_nothing():
    """`service` and `event_id` hold here too."""
    mood = Mood(1, 1, ["status:service=ims:event_id=a"])
    assert not any(drawn(mood, ids=("a",)))
    assert not any(drawn(mood, service="ims"))
    assert all(drawn(mood, service="ims", ids=("a",)))


@pytest.mark.parametrize(
    ("rate", "faults", "complaint"),
    [(1.1, ["delay"], "rate=1.1"), (0.5, [], "at least one"), (0.5, ["storm"], "unknown fault"), (0, ["offline"], "s")],
)
def test_a_wrong_mood_is_refused(rate, faults, complaint):
    """A rate beyond the whole, no fault, an unknown one, or one that nothing could end."""
    with pytest.raises(ValueError, match=complaint):
        Mood(1, rate, faults)


def test_an_emulator_is_in_its_mood_until_told_otherwise(collect, edge_event):
    """Faults that wait come first; without a mood all is well."""
    with Emulator(mood=Mood(1, 1, ["status:status=503"])) as emulator:
        emulator.add_fault(Fault("status", status=429))
        assert [collect(emulator, edge_event()).status_code for _ in range(3)] == [429, 503, 503]
        emulator.mood = None
        assert collect(emulator, edge_event()).status_code == 202
        assert [seen.fault for seen in emulator.requests] == ["status", "status", "status", None]
