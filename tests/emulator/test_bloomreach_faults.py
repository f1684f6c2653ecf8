"""Faults at Bloomreach: the results of a batch out of shape, refusals by name, and the general ones."""

from __future__ import annotations

import httpx
import pytest

from edgequeue.emulator import Fault, parse_fault


def results_of(answer):
    return answer.json()["results"]


@pytest.mark.parametrize(
    ("form", "errors"),
    [
        ("refused", ["Emulated error."]),
        ("unauthorized", ["Not authorized to add event of specified type"]),
        ("coded", {"code": 3, "description": "Emulated error"}),
    ],
)
def test_one_command_can_be_refused(emulator, track, command, form, errors):
    """With `event_id` that command fails, with errors in each documented shape, and its neighbours are accepted."""
    emulator.add_fault(Fault("results", form=form, event_id="b"))
    good, bad = results_of(track(emulator, command("a"), command("b")))
    assert good == {"success": True, "command_id": "a"}
    assert bad == {"success": False, "errors": errors, "command_id": "b"}
    assert emulator.arrived.ids == ("a",)


def test_without_an_id_all_commands_are_refused_but_the_time(emulator, track, command):
    """A fault meant for nobody in particular strikes each event."""
    emulator.add_fault(Fault("results"))
    results = results_of(track(emulator, {"name": "system/time"}, command("a"), command("b")))
    assert [result["success"] for result in results] == [True, False, False]
    assert emulator.arrived.events == 0


def test_a_batch_can_fail_with_status_200(emulator, track, command):
    """Top-level success false: nothing of it is accepted."""
    emulator.add_fault(Fault("results", form="failed"))
    answer = track(emulator, command())
    assert (answer.status_code, answer.json()["success"]) == (200, False)
    assert emulator.arrived.events == 0


@pytest.mark.parametrize(
    ("form", "ids"),
    [
        ("missing", ["a"]),
        ("swapped", ["b", "a"]),
        ("anonymous", [None, None]),
        ("foreign", ["somebody-elses-0", "somebody-elses-1"]),
    ],
)
def test_results_that_do_not_match_are_still_results(emulator, track, command, form, ids):
    """Fewer, backwards, without ids or with others': the commands are accepted, whatever the answer says of them."""
    emulator.add_fault(Fault("results", form=form, event_id="b"))
    results = results_of(track(emulator, command("a"), command("b")))
    assert [result.get("command_id") for result in results] == ids
    assert all(result["success"] for result in results)
    assert emulator.arrived.ids == ("a", "b")


def test_a_silent_result_says_nothing(emulator, track, command):
    """An entry without `success` tells nothing of its command."""
    emulator.add_fault(Fault("results", form="silent", event_id="a"))
    assert results_of(track(emulator, command("a"), command("b"))) == [{}, {"success": True, "command_id": "b"}]


def test_a_batch_refused_whole_stays_refused(emulator, client):
    """A results fault makes no results where there are none."""
    emulator.add_fault(Fault("results", form="swapped"))
    assert client.post(f"{emulator.url}/track/v2/projects/shop/batch", json={}).status_code == 400


@pytest.mark.parametrize(
    ("code", "status", "document"),
    [
        ("could_not_authenticate", 400, {"success": False, "error": "Could not authenticate"}),
        ("invalid_project", 400, {"success": False, "error": "Invalid project id"}),
        ("key_not_found", 401, {"success": False, "errors": {"code": 1, "description": "Access key not found"}}),
        ("no_permission", 403, {"success": False, "error": "Not authorized to update specified customer properties"}),
    ],
)
def test_a_refusal_has_a_name(emulator, track, collect, edge_event, command, code, status, document):
    """A code brings its own status and body, and strikes no other service."""
    emulator.add_fault(parse_fault(f"status:code={code}"))
    assert collect(emulator, edge_event()).status_code == 202
    answer = track(emulator, command())
    assert (answer.status_code, answer.json()) == (status, document)
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("status", [401, 403, 404, 413, 429, 500, 502, 503])
def test_each_status_has_a_body_of_the_service(emulator, track, command, status):
    """Without a code the service's own shape goes with the status."""
    emulator.add_fault(Fault("status", status=status))
    answer = track(emulator, command())
    assert (answer.status_code, answer.json()["success"]) == (status, False)


@pytest.mark.parametrize("text", ["retry_after:status=429:seconds=7", "status:status=429"])
def test_what_is_over_the_limit_is_not_saved(emulator, track, command, text):
    """429 with Retry-After or without: the data is ignored ("Tracking API overview")."""
    emulator.add_fault(parse_fault(text))
    answer = track(emulator, command())
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, "7" if "retry" in text else None)
    assert emulator.arrived.events == 0


@pytest.mark.parametrize(("kind", "arrived"), [("cut_before", 0), ("cut_after", 1), ("cut_during", 1)])
def test_a_cut_leaves_the_batch_taken_or_not(emulator, track, command, kind, arrived):
    """Before the cut nothing is accepted, after it everything, and the client knows neither."""
    emulator.add_fault(Fault(kind, service="bloomreach"))
    with pytest.raises(httpx.TransportError):
        track(emulator, command())
    assert emulator.arrived.events == arrived


def test_the_answer_of_somebody_else_names_other_commands(emulator, track, client, command):
    """garbage:form=wrong_id: the ids in it are not ours; a refusal in plain text stays as it is."""
    emulator.add_fault(Fault("garbage", form="wrong_id", times=2))
    assert results_of(track(emulator, command("a")))[0]["command_id"] == "somebody-elses-0"
    assert emulator.arrived.events == 0
    packed = client.post(
        f"{emulator.url}/track/v2/projects/shop/batch",
        content=b"\x1f\x8b",
        headers={"content-type": "application/json"},
    )
    assert "could not understand" in packed.text
