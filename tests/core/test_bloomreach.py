"""Bloomreach: its settings, what can be enqueued, the request, and what each answer means for each command."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.auth import Denied, Secret
from edgequeue.config import parse_settings
from edgequeue.destinations.bloomreach import Bloomreach
from edgequeue.destinations.bloomreach_answers import Entry, placed
from edgequeue.destinations.bloomreach_commands import COMMAND_BYTES_MAX, VALUE_BYTES_MAX
from edgequeue.errors import ConfigError, InvalidEvent
from edgequeue.learning import Doubt
from edgequeue.model import ID_PLACEHOLDER, Batch, Claimed, Disposition, HttpResponse
from edgequeue.outcome import Outcome
from edgequeue.retry import HoldState
from edgequeue.testing import ScriptedTransport, event_for

WALL_MS = 1_795_236_078_123
CRM = Bloomreach("crm", project_token="p-1", public_token="t0ken")
IDS = {"registered": "jane@example.com"}
EVENT = {"name": "customers/events", "data": {"customer_ids": IDS, "event_type": "purchase", "timestamp": 7.5}}
UPDATE = {"name": "customers", "data": {"customer_ids": IDS, "properties": {"first_name": "Jane"}}}

ACCEPTED, REJECT, DEFER, UNKNOWN = Disposition.ACCEPTED, Disposition.REJECT, Disposition.DEFER, Disposition.UNKNOWN
TAKEN, REFUSED = {"success": True}, {"success": False, "errors": ["Field 'event_type' is required."]}
UNAUTHORISED = {"success": False, "errors": ["Not authorized to update specified customer properties."]}


def sale(**changes: Any) -> dict[str, Any]:
    """An event whose data is changed; a change of None leaves the key out."""
    data = {**EVENT["data"], **changes}  # type: ignore[dict-item]
    return {**EVENT, "data": {key: value for key, value in data.items() if value is not None}}


def batch(*command_ids: str | None) -> Batch:
    """Commands with these ids of their own, or without."""
    payloads = [json.dumps(EVENT | ({"command_id": one} if one else {})).encode() for one in command_ids]
    records = tuple(Claimed(n + 1, 1, 0, None, payload, True) for n, payload in enumerate(payloads))
    return Batch("r-1", records, tuple(payloads))


def whole(status: int, body: Any, count: int = 2, **headers: str) -> Outcome:
    """What CRM makes of an answer to so many commands, c0, c1 and so on."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CRM.interpret(batch(*(f"c{n}" for n in range(count))), HttpResponse(status, named, encoded))


def results(*entries: Any, count: int | None = None) -> Outcome:
    """What CRM makes of these results of a 200."""
    document = {"results": list(entries), "start_time": 1.0, "end_time": 2.0, "success": True}
    return whole(200, document, len(entries) if count is None else count, x_request_id="abc-1")


def dispositions(outcome: Outcome, count: int) -> list[Disposition]:
    return [outcome.of(position).disposition for position in range(count)]


def state_of(outcome: Outcome) -> HoldState | None:
    return outcome.signal.state if outcome.signal else None


def remedy_of(outcome: Outcome) -> str:
    assert outcome.signal is not None
    assert outcome.signal.problem is not None
    return outcome.signal.problem.remedy


def refusal_of(command: Any) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        CRM.check(command, WALL_MS)
    return caught.value


# --- settings -------------------------------------------------------------------------------------------------------


def test_a_project_of_the_configuration() -> None:
    """The example of the design: default address, default pace, and a secret that is only read when it is sent."""
    text = '[queue]\ndatabase = "q"\n[destinations.crm]\ntype = "bloomreach"\nproject_token = "a b/c"\n'
    found = parse_settings(text + 'public_token_env = "NO_SUCH_TOKEN"', Path("/x/edgequeue.toml")).destinations["crm"]
    assert isinstance(found, Bloomreach)
    assert found.url == "https://api.exponea.com/track/v2/projects/a%20b%2Fc/batch"
    assert (found.requests_per_second_max, found.public_token) == (5.0, Secret(env="NO_SUCH_TOKEN"))
    assert isinstance(found.credentials.headers(ScriptedTransport()), Denied)


def test_both_ways_of_access() -> None:
    """Public: the token; private: the key's id and its secret. Neither shows anywhere."""
    private = Bloomreach("crm", project_token="p-1", private_key_id="key-1", private_secret="s3cr3t")
    assert CRM.credentials.headers(ScriptedTransport()) == {"authorization": "Token t0ken"}
    assert private.credentials.headers(ScriptedTransport()) == {"authorization": "Basic a2V5LTE6czNjcjN0"}
    assert "t0ken" not in repr(CRM) + repr(CRM.credentials)
    assert "s3cr3t" not in repr(private) + repr(private.credentials)
    changed = dataclasses.replace(CRM, public_token="other")
    assert changed.credentials.headers(ScriptedTransport()) == {"authorization": "Token other"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"project_token": ""}, "project_token is missing; it stands in Project settings"),
        ({"public_token": None}, "public_token is missing; give it, or private_key_id and private_secret"),
        ({"private_key_id": "k"}, "public_token and private_key_id or private_secret are both given"),
        ({"private_secret": "s"}, "public_token and private_key_id or private_secret are both given"),
        ({"public_token": None, "private_key_id": "k"}, "private_secret is missing; it belongs to private_key_id"),
        ({"public_token": None, "private_secret": "s"}, "private_key_id is missing, or is none"),
        ({"public_token": None, "private_secret": "s", "private_key_id": "a:b"}, "private_key_id .* has no ':'"),
        ({"public_token": b"t"}, r"public_token is a text or a Secret\(env=…\)"),
        ({"auth": CRM.credentials}, "auth has no place here; give public_token"),
        ({"endpoint": "https://api.exponea.com?x=1"}, r"has a '\?' or a '#'"),
        ({"endpoint": "http://api.exponea.com", "insecure": True}, "credentials are never sent unencrypted"),
        ({"path": "track"}, "path is 'track'; it begins with '/'"),
        ({"encoding": "smile"}, "encoding is 'smile'"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(settings: dict[str, Any], said: str) -> None:
    """A configuration that cannot work is refused when it is read."""
    with pytest.raises(ConfigError, match=rf"\[destinations.crm\] .*{said}"):
        dataclasses.replace(CRM, **settings)


def test_another_path_needs_no_project() -> None:
    """Data Hub has a path of its own; and what was learned of one project counts for nothing at another."""
    hub = Bloomreach("crm", endpoint="https://hub.example/", path="/track/u/v1/batch?stream_id=7", public_token="t")
    assert hub.encode(batch("a")).url == "https://hub.example/track/u/v1/batch?stream_id=7"
    assert len({hub.place, CRM.place, dataclasses.replace(CRM, project_token="p-2").place}) == 3


# --- what can be enqueued -------------------------------------------------------------------------------------------


def test_a_command_gets_its_id_and_its_time_at_enqueue() -> None:
    """Both stand in the stored bytes, so a retry is the same to the byte."""
    draft = CRM.check(event_for("bloomreach"), WALL_MS)
    assert draft.payload.startswith(b'{"command_id":"' + ID_PLACEHOLDER.encode() + b'","name":"customers/events"')
    assert json.loads(draft.payload)["data"]["timestamp"] == 1795236078.123
    assert b'"timestamp":1795236078.123}' in draft.payload
    assert (draft.id_offset, draft.stamped, draft.occurred_ms, draft.warnings) == (15, True, WALL_MS, ())
    update = CRM.check(UPDATE, WALL_MS)
    assert json.loads(update.payload)["data"] == {**UPDATE["data"], "update_timestamp": 1795236078.123}  # type: ignore[dict-item]
    assert (update.stamped, update.occurred_ms) == (True, WALL_MS)


def test_a_commands_own_id_and_time_are_kept() -> None:
    """Nothing is added to a command that has all it needs."""
    own = {**EVENT, "command_id": "sale-1"}
    draft = CRM.check(own, WALL_MS)
    assert json.loads(draft.payload) == own
    assert (draft.id_offset, draft.stamped, draft.occurred_ms) == (-1, False, 7500)
    stamped = json.loads(CRM.check({**own, "data": UPDATE["data"], "name": "customers"}, WALL_MS).payload)
    assert (stamped["command_id"], stamped["data"]["update_timestamp"]) == ("sale-1", WALL_MS / 1000)


def test_the_servers_time_and_other_routes_are_taken() -> None:
    """`system/time` has no data; a tracking route that is not known here has data that is not looked into."""
    assert json.loads(CRM.check({"name": "system/time"}, WALL_MS).payload) == {
        "command_id": ID_PLACEHOLDER, "name": "system/time"
    }  # fmt: skip
    draft = CRM.check({"name": "customers/merge", "data": {"a": 1}}, WALL_MS)
    assert (draft.stamped, draft.occurred_ms) == (False, None)


@pytest.mark.parametrize(
    ("command", "field", "said"),
    [
        ({}, "name", "has no 'name'"),
        ({"name": "customers"}, "data", "is missing"),
        ({"name": "customers", "data": []}, "data", "not a list"),
        ({"name": 5, "data": {}}, "name", "5 is no route"),
        ({"name": "/customers", "data": {}}, "name", "no route of the Tracking API"),
        ({"name": "customers/export", "data": {}}, "name", "a route of another API"),
        ({"name": "customers/export-one", "data": {}}, "name", "a route of another API"),
        ({"name": "customers/attributes", "data": {}}, "name", "a route of another API"),
        ({"name": "analyses/funnel", "data": {}}, "name", "a route of another API"),
        ({"name": "batch", "data": {}}, "name", "a route of another API"),
        ({**EVENT, "when": 1}, "", "unknown key 'when'"),
        ({"commands": [EVENT]}, "commands", "several events"),
        ({**EVENT, "command_id": ""}, "command_id", "must be a text"),
        ({**EVENT, "command_id": 7}, "command_id", "must be a text"),
        (sale(customer_ids=None), "data.customer_ids", "is missing"),
        (sale(customer_ids={}), "data.customer_ids", "is empty"),
        (sale(customer_ids=["x"]), "data.customer_ids", "must be a JSON object"),
        (sale(customer_ids={"registered": "null"}), "data.customer_ids", "no id that Bloomreach takes"),
        (sale(customer_ids={"registered": " Undefined"}), "data.customer_ids", "no id that Bloomreach takes"),
        (sale(customer_ids={"registered": "", "cookie": "--"}), "data.customer_ids", "no id that Bloomreach takes"),
        (sale(customer_ids={"registered": None}), "data.customer_ids", "no id that Bloomreach takes"),
        (sale(customer_ids={"registered": True}), "data.customer_ids.registered", "must be a text"),
        (sale(customer_ids={"registered": {"id": "x"}}), "data.customer_ids.registered", "must be a text"),
        (sale(event_type=None), "data.event_type", "is missing"),
        (sale(event_type=" "), "data.event_type", "not empty"),
        (sale(event_type=3), "data.event_type", "must be a text"),
        (sale(properties=[1]), "data.properties", "must be a JSON object"),
        (sale(timestamp="2026-11-21T04:41:18Z"), "data.timestamp", "is no number of seconds"),
        (sale(timestamp=True), "data.timestamp", "is no number of seconds"),
        (sale(timestamp=float("nan")), "data.timestamp", "no number in JSON"),
        (sale(timestamp=WALL_MS), "data.timestamp", "is it in milliseconds?"),
        (sale(timestamp=1e300), "data.timestamp", "is it in milliseconds?"),
        (sale(properties={"total": float("inf")}), "data.properties.total", "inf"),
        ({"name": "customers", "data": {"customer_ids": IDS, "update_timestamp": "1"}}, "data.update_timestamp", ""),
    ],
)  # fmt: skip
def test_what_bloomreach_refuses_is_refused_at_enqueue(command: Any, field: str, said: str) -> None:
    """The refusal names the field, the reason and, for all but plain shapes, the remedy."""
    refusal = refusal_of(command)
    assert refusal.field == field
    assert said in refusal.reason


def test_what_looks_odd_and_may_be_right_is_a_warning() -> None:
    """An unusable id beside a usable one, and a key of `data` that the documents do not know, travel as they are."""
    command = sale(customer_ids={**IDS, "cookie": "undefined", "card": 4711}, age=3)
    draft = CRM.check(command, WALL_MS)
    assert json.loads(draft.payload)["data"] == command["data"]
    assert draft.warnings == (
        "data.customer_ids.cookie is no id: 'undefined'",
        "data has 'age', which Bloomreach's documents do not know for 'customers/events'",
    )


def test_the_limits_of_a_command() -> None:
    """A value below 16 KB, a command below 800 KB, 255 properties of an event; what is just within is taken."""
    fits = "x" * (VALUE_BYTES_MAX - 2)
    assert CRM.check(sale(properties={"note": fits}), WALL_MS)
    assert refusal_of(sale(properties={"a": 1, "note": fits + "x"})).field == "data.properties.note"
    assert (
        refusal_of({**UPDATE, "data": {"customer_ids": IDS, "properties": {"l": [fits]}}}).field == "data.properties.l"
    )
    frame = len(CRM.check(sale(properties={"p": []}), WALL_MS).payload)
    many = {f"p{n:03d}": "y" * 15_000 for n in range(52)}
    assert frame + 52 * 15_009 <= COMMAND_BYTES_MAX
    assert CRM.check(sale(properties=many), WALL_MS)
    assert "the command has 7" in refusal_of(sale(properties={**many, "last": "z" * 10_000})).reason
    assert CRM.check(sale(properties={str(n): n for n in range(255)}), WALL_MS)
    assert refusal_of(sale(properties={str(n): n for n in range(256)})).field == "data.properties"
    update = {"name": "customers", "data": {"customer_ids": IDS, "properties": {str(n): n for n in range(300)}}}
    assert CRM.check(update, WALL_MS)


@given(
    st.floats(-1e10, 1e10) | st.integers(-(10**10), 10**10),
    st.text(max_size=20).map(lambda text: f"customer {text}"),
)
def test_an_events_own_time_is_when_it_occurred(seconds: float, customer: str) -> None:
    """UNIX seconds with a fraction, to the millisecond, and the payload says what the caller said."""
    command = sale(timestamp=seconds, customer_ids={"registered": customer})
    draft = CRM.check(command, WALL_MS)
    assert draft.occurred_ms == round(seconds * 1000)
    assert json.loads(draft.payload)["data"] == command["data"]


def test_a_reference_is_read_from_the_command() -> None:
    """`find` knows the application's own key."""
    shop = dataclasses.replace(CRM, reference_path="data.properties.purchase_id")
    assert shop.check(event_for("bloomreach", number=7), WALL_MS).reference == "P-7"


def test_the_documents_own_example_can_be_produced() -> None:
    """The body of Bloomreach's page "Batch commands", field by field; what differs, and why.

    - Every command has a `command_id`: without one its result could not be told from the others'.
    - The update has an `update_timestamp`: it may be sent days later, and must not overwrite what is newer.
    - The event's own timestamp, and all else, is as in the document.
    """
    theirs: dict[str, Any] = {
        "commands": [
            {"name": "system/time"},
            {
                "name": "customers",
                "command_id": "abc",
                "data": {
                    "customer_ids": {"registered": "marian@example.com"},
                    "properties": {"first_name": "Marian", "last_name": "Galik"},
                },
            },
            {
                "name": "customers/events",
                "data": {
                    "customer_ids": {"registered": "marian@example.com"},
                    "event_type": "purchase",
                    "timestamp": 123456.78,
                    "properties": {"total_price": 1234.50, "voucher_code": "KA54-548C-TEST"},
                },
            },
        ]
    }
    commands = CRM.split(theirs)
    assert commands is not None
    payloads = [CRM.check(command, WALL_MS).payload for command in commands]
    records = tuple(Claimed(n, 1, 0, None, payload, True) for n, payload in enumerate(payloads))
    request = CRM.encode(Batch("r-1", records, tuple(map(CRM.item, payloads))))
    ours = json.loads(request.body)
    assert (request.method, request.url) == ("POST", "https://api.exponea.com/track/v2/projects/p-1/batch")
    assert request.headers["content-type"] == "application/json"
    assert request.fresh
    assert ours["commands"][0].pop("command_id") == ID_PLACEHOLDER
    assert ours["commands"][2].pop("command_id") == ID_PLACEHOLDER
    assert ours["commands"][1]["data"].pop("update_timestamp") == WALL_MS / 1000
    assert ours == theirs


# --- results --------------------------------------------------------------------------------------------------------


def test_each_command_has_its_own_result() -> None:
    """One is refused with the service's own words, its neighbours are delivered; the request's id is the receipt."""
    outcome = results(TAKEN | {"command_id": "c0"}, REFUSED | {"command_id": "c1"}, {"success": True, "time": 7.0})
    assert dispositions(outcome, 3) == [ACCEPTED, REJECT, ACCEPTED]
    assert (outcome.of(0).receipt, outcome.service) == ("abc-1", {"requestId": "abc-1"})
    problem = outcome.of(1).problem
    assert problem is not None
    assert (problem.code, problem.text, problem.status) == ("command_refused", "Field 'event_type' is required.", 200)
    assert (state_of(outcome), outcome.singly, outcome.split) == (HoldState.OK, False, False)


def test_all_may_be_refused_and_the_destination_goes_on() -> None:
    """The top-level `success` is true all the same."""
    outcome = results(REFUSED, {"success": False})
    assert dispositions(outcome, 2) == [REJECT, REJECT]
    assert outcome.of(1).problem is not None
    assert state_of(outcome) is HoldState.OK


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"errors": ["a", "b"]}, "a; b"),
        ({"errors": "a"}, "a"),
        ({"error": "a", "message": "b"}, "a; b"),
        ({"errors": {"code": 7, "description": "bad"}}, "7: bad"),
        ({"errors": [{"description": "bad"}, "a"]}, "bad; a"),
        ({"errors": {"customer_ids": ["bad"]}}, '{"customer_ids":["bad"]}'),
        ({"errors": [None, 4, True]}, "4"),
        ({}, "refused without a reason"),
    ],
)
def test_the_services_words_are_kept_in_any_shape(entry: dict[str, Any], text: str) -> None:
    """`error`, `errors` and `message`, as text, list or object."""
    problem = results({"success": False, **entry}).of(0).problem
    assert problem is not None
    assert problem.text == text


def test_a_missing_permission_beside_an_accepted_command_kills_and_says_how_to_go_on() -> None:
    """The key is good, and may not do this kind of command: dead, to be requeued once it may."""
    outcome = results(TAKEN, UNAUTHORISED)
    assert dispositions(outcome, 2) == [ACCEPTED, REJECT]
    problem = outcome.of(1).problem
    assert problem is not None
    assert problem.code == "not_authorized"
    assert "requeue" in problem.remedy
    assert state_of(outcome) is HoldState.OK


@pytest.mark.parametrize("entries", [[UNAUTHORISED], [UNAUTHORISED, UNAUTHORISED], [UNAUTHORISED, REFUSED]])
def test_a_missing_permission_without_an_accepted_command_pauses(entries: list[Any]) -> None:
    """It may be our key as a whole: nobody dies of it, the operator is told what to grant."""
    outcome = results(*entries)
    assert outcome.of(0).disposition is DEFER
    assert state_of(outcome) is HoldState.PAUSED
    assert "[destinations.crm] the permission Set" in remedy_of(outcome)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["c1", "c0"], [1, 0]),  # in another order: the ids count
        (["c1"], [None, 0]),  # fewer: the one that is missing is unknown
        ([None, None], [0, 1]),  # no ids: the position
        ([None, "c1"], [0, 1]),
        (["c1", None], [None, None]),  # contradicts its position
        (["c0", "c0"], [None, None]),
        (["c0", "x"], [None, None]),
        ([None], [None, None]),
        ([None, None, None], [None, None]),
        (["c0", "c1", "x"], [None, None]),
        ([], [None, None]),
    ],
)
def test_a_result_finds_its_command(entries: list[str | None], expected: list[int | None]) -> None:
    """By `command_id`, else by position, and never by guessing."""
    given_entries = [Entry(one, True, str(number)) for number, one in enumerate(entries)]
    found = placed(given_entries, ["c0", "c1"])
    assert [None if one is None else int(one.text) for one in found] == expected


def test_ids_of_the_application_may_repeat() -> None:
    """A `command_id` that was sent twice tells nothing; the position does."""
    entries = [Entry("a", True, "0"), Entry("a", False, "1"), Entry("b", True, "2")]
    assert placed(entries, ["a", "a", "b"]) == entries
    assert placed(entries[::-1], ["a", "a", "b"]) == [None, None, None]


@given(st.data(), st.integers(1, 50))
def test_results_in_any_order_and_number_never_go_to_another_command(data: st.DataObject, count: int) -> None:
    """Some results are lost and the others shuffled: each is its command's, and the lost ones are unknown."""
    sent = [f"c{number}" for number in range(count)]
    taken = {one: data.draw(st.booleans()) for one in sent}
    there = data.draw(st.lists(st.sampled_from(sent), unique=True, min_size=1))
    entries = [{"command_id": one, **(TAKEN if taken[one] else REFUSED)} for one in there]
    outcome = results(*entries, count=count)
    for position, one in enumerate(sent):
        expected = (ACCEPTED if taken[one] else REJECT) if one in there else UNKNOWN
        assert outcome.of(position).disposition is expected
    assert outcome.singly == (len(there) < count)


@pytest.mark.parametrize("entry", [{}, {"success": "yes"}, {"success": 1}, {"success": None}, None, "ok", []])
def test_a_result_that_says_nothing_is_sent_again_by_itself(entry: Any) -> None:
    """Only true and false are answers; alone already, the destination backs off, or that would be for ever."""
    outcome = results(TAKEN, entry)
    assert dispositions(outcome, 2) == [ACCEPTED, UNKNOWN]
    assert (outcome.singly, state_of(outcome)) == (True, HoldState.OK)
    assert state_of(results(entry)) is HoldState.BACKING_OFF


# --- requests as a whole --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "remedy", "renewable"),
    [
        (400, {"success": False, "error": "Could not authenticate"}, "Check public_token", True),
        (400, {"success": False, "errors": ["Invalid project id"]}, "Check project_token", False),
        (200, {"success": False, "error": "Could not authenticate"}, "Check public_token", True),
        (401, {"errors": {"code": 1, "description": "Access key not found"}, "success": False}, "not know this", True),
        (403, {"errors": ["Secret key invalid"]}, "lacks permissions", True),
        (404, {}, "Check endpoint, project_token and path", False),
        (405, b"", "Check endpoint and path", False),
        (407, b"", "Check proxy", False),
    ],
)
def test_our_own_configuration_pauses(status: int, body: Any, remedy: str, renewable: bool) -> None:
    """Credentials, project and address: every command is kept, and the operator is told what to check."""
    outcome = whole(status, body, 1, x_request_id="abc-2")
    assert (outcome.of(0).disposition, state_of(outcome)) == (DEFER, HoldState.PAUSED)
    assert outcome.signal is not None
    assert outcome.signal.renewable is renewable
    assert remedy in remedy_of(outcome)
    assert "crm" in remedy_of(outcome)
    assert outcome.service == {"requestId": "abc-2"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"success": False, "message": "Invalid JSON"}),
        (200, {"success": False, "errors": ["Too many commands"]}),
        (200, {"success": False, "results": [TAKEN, TAKEN]}),
        (400, b"Bad Request"),
        (413, b""),
        (422, {}),
    ],
)
def test_a_refusal_of_the_whole_is_halved_and_never_definite(status: int, body: Any) -> None:
    """It does not say which command it is about; who is refused alone is under suspicion, no more."""
    outcome = whole(status, body)
    assert (outcome.split, outcome.of(0).disposition) == (True, DEFER)
    alone = whole(status, body, 1)
    assert (alone.of(0).disposition, alone.of(0).doubt) == (DEFER, Doubt.REFUSED)


@pytest.mark.parametrize(("status", "doubt"), [(429, None), (503, None), (500, Doubt.FAILED), (502, Doubt.STRANGE)])
def test_a_service_in_trouble_is_given_time(status: int, doubt: Doubt | None) -> None:
    """429 means that nothing was saved; a Retry-After is honoured."""
    outcome = whole(status, {"error": "busy"}, retry_after="40")
    assert (outcome.of(0).disposition, outcome.of(0).doubt, state_of(outcome)) == (DEFER, doubt, HoldState.BACKING_OFF)
    assert outcome.signal is not None
    assert outcome.signal.retry_after_seconds == 40


@pytest.mark.parametrize(
    ("status", "body", "disposition"),
    [
        (200, b"<html>", DEFER),
        (302, b"", DEFER),
        (204, b"", DEFER),
        (511, b"", DEFER),
        (200, b"", UNKNOWN),
        (200, {}, UNKNOWN),
        (200, {"success": True}, UNKNOWN),
        (200, {"results": {}}, UNKNOWN),
        (200, b'{"results":[{"success":true}', UNKNOWN),
        (201, {"success": True, "results": [TAKEN, TAKEN]}, UNKNOWN),
        (207, {"results": [TAKEN, TAKEN]}, UNKNOWN),
    ],
)
def test_what_is_not_bloomreachs_answer_counts_for_nothing(status: int, body: Any, disposition: Disposition) -> None:
    """A page, a redirect, half of an answer: kept, and nobody is to blame."""
    outcome = whole(status, body)
    assert dispositions(outcome, 2) == [disposition, disposition]
    assert outcome.signal is not None
    assert outcome.signal.problem is not None
    assert outcome.signal.problem.code == "not_the_service"
