"""Bloomreach Engagement as the emulator reads it: a batch's results, what refuses a command, what refuses a batch."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest

from edgequeue.emulator import Emulator
from edgequeue.emulator.memory import Memory, RequestSeen

SECRETS = {"public_token": "open-sesame", "private_key": "id:secret"}


def errors_of(answer):
    """The errors of the only result."""
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    (result,) = answer.json()["results"]
    return result.get("errors")


def test_the_documents_own_sample_is_accepted(emulator, track):
    """The three commands of "Batch commands": a time, a customer, an event; the ids are echoed, the time is told."""
    ids = {"registered": "a@example.com"}
    customer = {"customer_ids": ids, "properties": {"first_name": "Marian", "last_name": "Galik"}}
    event = {"customer_ids": ids, "event_type": "purchase", "timestamp": 123456.78, "properties": {"total": 1234.5}}
    answer = track(
        emulator,
        {"name": "system/time"},
        {"name": "customers", "command_id": "abc", "data": customer},
        {"name": "customers/events", "data": event},
    )
    document = answer.json()
    time, *others = document["results"]
    assert document["success"] is True
    assert document["start_time"] <= document["end_time"]
    assert (time["success"], isinstance(time["time"], float)) == (True, True)
    assert others == [{"success": True, "command_id": "abc"}, {"success": True}]
    assert emulator.arrived_at("bloomreach").events == 2
    assert emulator.requests[0].request_id == answer.headers["x-request-id"]


def test_only_the_wrong_commands_of_a_batch_fail(emulator, track, command):
    """HTTP 200 and success on top even where a command failed; its neighbours are accepted ("Error handling")."""
    wrong = command("b")
    del wrong["data"]["event_type"]
    document = track(emulator, command("a"), wrong, command("c")).json()
    failed = {"success": False, "errors": ["Field 'event_type' is required."], "command_id": "b"}
    assert document["results"][1] == failed
    assert [result["success"] for result in document["results"]] == [True, False, True]
    assert document["success"] is True
    assert emulator.arrived.ids == ("a", "c")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"customer_ids": {}}, "At least one id should be specified."),
        ({"customer_ids": None}, "At least one id should be specified."),
        ({"customer_ids": {"registered": "null"}}, "At least one valid id"),
        ({"customer_ids": {"registered": "undefined"}}, "At least one valid id"),
        ({"customer_ids": {"registered": "--"}}, "At least one valid id"),
        ({"customer_ids": {"registered": ""}}, "At least one valid id"),
        ({"customer_ids": {"registered": True}}, "At least one valid id"),
        ({"event_type": ""}, "'event_type' is required"),
        ({"event_type": 7}, "'event_type' is required"),
        ({"properties": []}, "'properties' must be an object"),
        ({"timestamp": "123"}, "'timestamp' must be a number"),
        ({"timestamp": True}, "'timestamp' must be a number"),
        ({"timestamp": None}, "'timestamp' must be a number"),
        ({"properties": {"note": "x" * 16_000}}, "'note' must be smaller than 16000"),
        ({"properties": {"note": "ä" * 8_000}}, "'note' must be smaller than 16000"),
        ({"properties": {"list": ["x" * 16_000]}}, "'list' must be smaller than 16000"),
        ({"properties": {f"p{index}": 1 for index in range(256)}}, "at most 255 properties"),
    ],
)
def test_an_event_that_breaks_a_rule_fails(emulator, track, command, data, text):
    """Ids, type, properties and timestamp as "Batch commands", "Most common API requests errors", "Data structure"."""
    (error,) = errors_of(track(emulator, command(**data)))
    assert text in error
    assert emulator.arrived.events == 0


@pytest.mark.parametrize(
    "data",
    [
        {"customer_ids": {"cookie": "null", "registered": "7"}},
        {"customer_ids": {"cookie": ["", "x"]}},
        {"customer_ids": {"registered": 7}},
        {"timestamp": 7},
        {"properties": {"note": "x" * 15_999}},
        {"properties": {f"p{index}": 1 for index in range(255)}},
    ],
)
def test_an_event_at_the_edge_of_a_rule_passes(emulator, track, command, data):
    """One usable id is enough; just under a limit is under it."""
    assert errors_of(track(emulator, command(**data))) is None


def test_a_command_must_be_smaller_than_800_kbytes(emulator, track, command):
    """799,999 bytes pass, one more fails ("Batch commands", Limitations)."""
    one = command("a", properties={f"p{index:02}": "x" * 15_900 for index in range(50)})
    spare = 799_999 - len(json.dumps(one, separators=(",", ":")).encode())
    one["data"]["properties"] |= {"pad": "x" * (spare - len(',"pad":""'))}
    assert errors_of(track(emulator, one)) is None
    one["data"]["properties"]["pad"] += "x"
    assert "smaller than 800000" in errors_of(track(emulator, one))[0]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": "customers/export"}, "'customers/export' is not a tracking route"),
        ({"name": "customer/events"}, "'customer/events' is not a tracking route"),
        ({"name": None}, "'name' is required"),
        ({"data": 5}, "'data' is required"),
        ({"command_id": 5}, "'command_id' must be a string"),
    ],
)
def test_a_command_that_is_none_fails(emulator, track, command, change, text):
    """Routes that export are no commands: they are of the Data API; a command has a name and data."""
    (error,) = errors_of(track(emulator, command() | change))
    assert text in error


def test_what_is_no_object_fails_alone(emulator, track, command):
    """A command of another type does not take its neighbours down."""
    results = track(emulator, 5, command("a")).json()["results"]
    assert [result["success"] for result in results] == [False, True]


def test_a_customers_update_timestamp_is_a_number(emulator, track):
    """`update_timestamp` keeps an older update from overwriting a newer one ("Batch commands")."""
    data = {"customer_ids": {"registered": "a"}, "properties": {}}
    good = {"name": "customers", "data": data | {"update_timestamp": 5.5}}
    bad = {"name": "customers", "data": data | {"update_timestamp": "5"}}
    assert errors_of(track(emulator, good)) is None
    assert "'update_timestamp' must be a number" in errors_of(track(emulator, bad))[0]


def test_duplicates_are_counted_by_command_id_and_else_by_bytes(emulator, track, command):
    """The same command_id, or without one the same bytes, is the same event; a time asked for is none."""
    track(emulator, command("a"), command(None), {"name": "system/time"})
    track(emulator, command("a", properties={"other": 1}), command(None), command(None, event_type="other"))
    arrived = emulator.arrived_at("bloomreach")
    assert (arrived.events, arrived.distinct, arrived.duplicates) == (5, 3, 2)
    assert arrived.by_id["a"] == 2


def test_fifty_commands_are_the_most(emulator, track, command):
    """The 51st refuses the batch whole ("Batch commands", Limitations)."""
    commands = [command(f"c{index}") for index in range(51)]
    assert track(emulator, *commands).status_code == 400
    assert track(emulator, *commands[:50]).status_code == 200
    assert emulator.arrived.events == 50


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b'{"commands":NaN}'])
def test_a_body_that_is_no_object_is_invalid_json(emulator, client, body):
    """400 with a message ("Tracking API error messages")."""
    url = f"{emulator.url}/track/v2/projects/shop/batch"
    answer = client.post(url, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, {"success": False, "message": "Invalid JSON"})
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("commands", [[], {}, None])
def test_a_batch_needs_a_command(emulator, client, commands):
    """At least one is required ("Batch commands", body parameters)."""
    answer = client.post(f"{emulator.url}/track/v2/projects/shop/batch", json={"commands": commands})
    assert answer.status_code == 400
    assert "commands" in answer.json()["errors"][0]


def test_a_compressed_body_is_not_understood(emulator, client, command):
    """400 in plain text, with Content-Encoding or without ("Most common API issues")."""
    body = gzip.compress(json.dumps({"commands": [command()]}).encode())
    for encoding in ({"content-encoding": "gzip"}, {}):
        headers = {"content-type": "application/json", **encoding}
        answer = client.post(f"{emulator.url}/track/v2/projects/shop/batch", content=body, headers=headers)
        assert (answer.status_code, "could not understand" in answer.text) == (400, True)
    assert emulator.arrived.events == 0


def test_an_unknown_project_is_invalid(track, command):
    """400 with the text that the documents show ("Authorization errors"); a known one is let in."""
    with Emulator(project_tokens=["shop"]) as emulator:
        wrong = track(emulator, command(), project="other")
        assert (wrong.status_code, wrong.json()) == (400, {"success": False, "error": "Invalid project id"})
        assert track(emulator, command()).status_code == 200


@pytest.mark.parametrize(
    ("more", "status", "text"),
    [
        ({"headers": {"authorization": "Token open-sesame"}}, 200, ""),
        ({"params": {"access_token": "open-sesame"}}, 200, ""),
        ({"auth": httpx.BasicAuth("id", "secret")}, 200, ""),
        ({}, 401, "Access key not provided"),
        ({"headers": {"authorization": "Bearer open-sesame"}}, 401, "Access key not provided"),
        ({"headers": {"authorization": "Basic %%%"}}, 401, "Access key not provided"),
        ({"headers": {"authorization": "Token other"}}, 401, "Access key not found"),
        ({"auth": httpx.BasicAuth("other", "secret")}, 401, "Access key not found"),
        ({"auth": httpx.BasicAuth("id", "other")}, 403, "invalid secret"),
    ],
)
def test_public_and_private_access_keys_are_told_apart(track, command, more, status, text):
    """Token and Basic both open the batch; what is wrong is said ("Authorization header", "Authorization errors")."""
    with Emulator(**SECRETS) as emulator:
        answer = track(emulator, command(), **more)
    assert answer.status_code == status
    assert text in answer.text
    assert answer.headers["x-request-id"]


def test_a_private_key_is_an_id_and_a_secret():
    """A key without its colon is an error at once, and the error does not repeat it."""
    with pytest.raises(ValueError, match="a colon and its secret") as caught:
        Emulator(private_key="idsecret")
    assert "idsecret" not in str(caught.value)


def test_the_rate_can_be_asked_for(emulator, track, command):
    """`busiest` counts the requests within any span, of one service or of all."""
    assert emulator.busiest(3600) == 0
    for _ in range(3):
        track(emulator, command())
    assert emulator.busiest(3600) == emulator.busiest(3600, "bloomreach") == 3
    assert emulator.busiest(3600, "edge") == 0


@pytest.mark.parametrize(("seconds", "most"), [(0.5, 1), (1.0, 1), (1.5, 2), (2.0, 2), (3.5, 4), (11.0, 5)])
def test_a_span_ends_before_its_length_is_over(seconds, most):
    """Requests a second apart are not within one second; whatever order they were remembered in."""
    memory = Memory()
    for ticks in (11.0, 10.0, 13.0, 12.0, 20.0):
        memory.record(RequestSeen("/p", "bloomreach", 200, None, None, 1, at=0.0, ticks=ticks), ())
    assert memory.busiest(seconds) == most
