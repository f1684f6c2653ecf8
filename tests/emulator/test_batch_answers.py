"""The shapes of a DCCS batch answer on request: what is refused is not accepted, all other messages are."""

from __future__ import annotations

import re

import pytest

from edgequeue.emulator import Emulator, Fault, parse_fault


@pytest.fixture
def answered(emulator, batch, dccs_message):
    """The document that a batch of a, b and c gets under a fault; a is damaged on request."""

    def send(fault, damaged=False):
        emulator.add_fault(parse_fault(fault))
        messages = [dccs_message(name) for name in ("a", "b", "c")]
        if damaged:
            del messages[0]["body"]
            messages[0]["_id"] = "a"
        answer = batch(emulator, *messages)
        assert answer.status_code == 207
        return answer.json()

    return send


def suffixes(document):
    return [int(re.split(r"[:-]", entry["xactionId"])[-1]) for entry in document["responses"]]


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_every_message_is_refused_with_the_status(emulator, answered, status):
    """Older shape: statusCode and message, no receipt; nothing is accepted."""
    document = answered(f"answer:status={status}")
    assert [entry["statusCode"] for entry in document["responses"]] == [status] * 3
    assert all(entry["message"] and "xactionId" not in entry for entry in document["responses"])
    assert emulator.arrived.events == 0


def test_one_message_is_refused_with_the_status(emulator, answered):
    """With event_id only that message; the others are accepted with their receipts."""
    document = answered("answer:status=429:event_id=b")
    first, second, third = document["responses"]
    assert (first["xactionId"], third["xactionId"]) == (f"{document['batchId']}:0", f"{document['batchId']}:2")
    assert second["statusCode"] == 429
    assert emulator.arrived.ids == ("a", "c")


def test_a_status_of_success_refuses_nothing(emulator, answered):
    """An entry may say 200 beside its receipt."""
    document = answered("answer:form=newer:status=200")
    assert [entry["status"] for entry in document["responses"]] == [200] * 3
    assert suffixes(document) == [0, 1, 2]
    assert emulator.arrived.ids == ("a", "b", "c")


@pytest.mark.parametrize(("form", "newer"), [("older", ()), ("newer", (0, 1, 2)), ("mixed", (1,))])
def test_the_shape_of_the_entries_can_be_chosen(emulator, answered, form, newer):
    """Older entries have the batch id before the index, newer ones a UUID, also where they refuse."""
    good, bad = answered(f"answer:form={form}"), answered(f"answer:form={form}:status=503:times=1")
    for index, (accepted, refused) in enumerate(zip(good["responses"], bad["responses"], strict=True)):
        assert bool(re.fullmatch(rf"[0-9a-f-]{{36}}-{index}", accepted["xactionId"])) is (index in newer)
        assert ("status" in refused, "statusCode" in refused) == (index in newer, index not in newer)
        assert ("xactionId" in refused) is (index in newer)
    assert emulator.arrived.by_id == {"a": 1, "b": 1, "c": 1}


def test_a_message_that_is_wrong_in_itself_stays_refused(emulator, answered):
    """The fault does not hide it, and gives it no other status."""
    document = answered("answer:form=newer:status=429", damaged=True)
    assert [entry["status"] for entry in document["responses"]] == [400, 429, 429]
    answered("answer:form=swapped", damaged=True)
    assert emulator.arrived.ids == ("b", "c")


def test_an_entry_may_be_missing(emulator, answered):
    """The first, or that of the event; all messages are accepted all the same."""
    assert suffixes(answered("answer:form=missing")) == [1, 2]
    assert suffixes(answered("answer:form=missing:event_id=b")) == [0, 2]
    assert emulator.arrived.by_id == {"a": 2, "b": 2, "c": 2}


def test_the_entries_may_come_backwards(emulator, answered):
    """Each with its right suffix; with a status for one event the entry moves with it."""
    assert suffixes(answered("answer:form=swapped")) == [2, 1, 0]
    document = answered("answer:form=swapped:status=503:event_id=a")
    assert [entry.get("statusCode") for entry in document["responses"]] == [None, None, 503]
    assert emulator.arrived.by_id == {"a": 1, "b": 2, "c": 2}


def test_the_receipts_may_be_those_of_another_batch(emulator, answered):
    """The prefix differs from the batchId, the suffixes are right."""
    document = answered("answer:form=foreign")
    assert not any(entry["xactionId"].startswith(document["batchId"]) for entry in document["responses"])
    assert suffixes(document) == [0, 1, 2]
    assert emulator.arrived.events == 3


def test_an_entry_may_say_nothing(emulator, answered):
    """Neither a receipt nor a status."""
    document = answered("answer:form=unknown_entry:event_id=c")
    assert not {"xactionId", "status", "statusCode"} & set(document["responses"][2])
    assert suffixes({"responses": document["responses"][:2]}) == [0, 1]
    assert emulator.arrived.ids == ("a", "b", "c")


def test_the_newer_shape_of_the_emulator_is_kept(batch, dccs_message):
    """A fault that names no shape speaks in that of the options."""
    with Emulator(error_shape="newer") as emulator:
        emulator.add_fault(Fault("answer", status=404, event_id="b"))
        good, bad = batch(emulator, dccs_message("a"), dccs_message("b")).json()["responses"]
        assert bad["xactionId"] == good["xactionId"][:-1] + "1"
        assert (bad["status"], emulator.arrived.ids) == (404, ("a",))


def test_a_single_message_is_refused_with_the_status_or_left_alone(emulator, client, dccs_message):
    """It has no entries; the problem document takes their place."""
    emulator.add_fault(Fault("answer", status=401))
    refused = client.post(emulator.inlet_url("till"), json=dccs_message())
    assert (refused.status_code, refused.json()["title"]) == (401, "Authorization")
    emulator.add_fault(Fault("answer", form="missing"))
    assert client.post(emulator.inlet_url("till"), json=dccs_message("a")).status_code == 200
    assert emulator.arrived.ids == ("a",)


def test_other_services_do_not_use_it_up(emulator, collect, edge_event, answered):
    """Nobody else answers message by message, so the fault waits for DCCS."""
    emulator.add_fault(Fault("answer", form="swapped"))
    assert collect(emulator, edge_event()).status_code == 202
    assert suffixes(answered("answer:form=older")) == [2, 1, 0]
