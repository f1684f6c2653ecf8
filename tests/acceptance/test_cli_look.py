"""Looking: the JSON shapes exactly, and what people see."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgequeue.emulator import Emulator, Fault
from tests.acceptance.cli_harness import CLOSED, Cli, edge, event

LEDGER = ["enqueued", "pending", "sending", "delivered", "dead", "expired", "evicted", "erased", "lost"]
RECORD = [
    *("event_id", "destination", "status", "priority", "reference", "enqueued_at", "occurred_at", "attempts"),
    *("next_attempt_at", "request_id", "receipt", "error"),
]
HISTORY = ["request_id", "opened_at", "closed_at", "disposition", "http_status", "receipt", "error"]
REQUEST = [
    *("request_id", "destination", "opened_at", "closed_at", "outcome", "http_status", "events", "bytes"),
    *("service", "error"),
]
SYNC = ["delivered", "dead", "deferred", "requests", "remaining", "seconds", "stopped_because"]
ERROR = ["status", "code", "message"]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def service() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def cli(tmp_path: Path, service: Emulator) -> Cli:
    return Cli(tmp_path).configure(edge("web", service.url))


@pytest.fixture
def told(cli: Cli, service: Emulator) -> Cli:
    """A queue with a story: sale-1 was delivered, sale-2 refused, sale-3 waits."""
    service.add_fault(Fault("status", status=422, event_id="sale-2", times=None))
    cli.enqueue(event(1), event(2), options=("--reference", "P4711"))
    assert cli("sync").exit_code == 4
    cli.enqueue(event(3), options=("--reference", "P4712"))
    return cli


def test_an_empty_queue(cli: Cli) -> None:
    """Everything works before there is anything: absent values are null, lists have no line."""
    status = cli.json("status")
    web = status["destinations"]["web"]
    assert status["worker"] is None
    assert (web["state"], web["reason"], web["oldest_pending_at"], web["last_request"]) == ("ok", None, None, None)
    assert cli.lines("list") == []
    assert cli.lines("requests") == []
    assert cli("list").stdout == "No events.\n"
    assert cli("requests").stdout == "Nothing has been sent yet.\n"
    assert "nothing has been enqueued yet" in cli("why").stdout
    assert cli("export").stdout == ""


def test_status_json(told: Cli) -> None:
    """Every key, in the order of the documentation."""
    status = told.json("status")
    top = ["queue_id", "database", "configuration", "schema_revision", "disk_bytes", "why", "ledger", "worker"]
    assert list(status) == [*top, "destinations"]
    assert status["database"] == str(told.database)
    assert status["configuration"] == str(told.config)
    assert status["disk_bytes"] > 0
    assert list(status["ledger"]) == [*LEDGER, "balanced"]
    web = status["destinations"]["web"]
    state = ["type", "state", "reason", "next_attempt_at", "oldest_pending_at", "last_accepted_at"]
    assert list(web) == [*state, *LEDGER, "last_request"]
    assert list(web["last_request"]) == REQUEST
    for counts in (status["ledger"], web):
        assert [counts[name] for name in LEDGER] == [3, 1, 0, 1, 1, 0, 0, 0, 0]
    assert status["ledger"]["balanced"] is True
    assert TIME.fullmatch(web["oldest_pending_at"])
    assert TIME.fullmatch(web["last_accepted_at"])


def test_why(told: Cli) -> None:
    """The same sentence everywhere."""
    assert told.json("why") == {"why": told.json("status")["why"]}
    assert told("why").stdout.strip() == told.json("why")["why"]
    assert told("status").stdout.splitlines()[0] == told.json("why")["why"]


def test_list_json(told: Cli) -> None:
    """A line for each event, oldest first; with a limit the newest, newest first."""
    records = told.lines("list")
    assert all(list(record) == RECORD for record in records)
    assert [record["status"] for record in records] == ["delivered", "dead", "pending"]
    delivered, dead, pending = records
    assert delivered["receipt"]
    assert delivered["error"] is None
    assert list(dead["error"]) == ERROR
    assert dead["error"]["status"] == 422
    assert (pending["request_id"], pending["receipt"], pending["error"]) == (None, None, None)
    assert TIME.fullmatch(pending["enqueued_at"])
    assert [one["reference"] for one in told.lines("list", "--limit", "2")] == ["P4712", "P4711"]
    assert [one["event_id"] for one in told.lines("list", "--status", "dead", "--to", "web")] == [dead["event_id"]]


def test_show_json(told: Cli) -> None:
    """A record with payload and history; by event id, by `_id`, by the beginning of either."""
    (dead,) = told.lines("list", "--status", "dead")
    shown = told.json("show", "sale-2")
    assert list(shown) == [*RECORD, "payload", "history"]
    assert {key: shown[key] for key in RECORD} == dead
    assert shown["payload"]["xdm"]["_id"] == "sale-2"
    assert all(list(entry) == HISTORY for entry in shown["history"])
    assert shown["history"][-1]["disposition"] == "reject"
    assert list(shown["history"][-1]["error"]) == ERROR
    assert told.json("show", dead["event_id"]) == shown
    assert told.json("show", dead["event_id"][:25]) == shown


def test_find_json(told: Cli) -> None:
    """Events by the application's own key."""
    found = told.lines("find", "P4711")
    assert [one["status"] for one in found] == ["delivered", "dead"]
    assert all(list(record) == RECORD for record in found)


def test_requests_json(told: Cli) -> None:
    """Newest first; one by its id or its beginning."""
    found = told.lines("requests")
    assert all(list(one) == REQUEST for one in found)
    accepted = next(one for one in found if one["outcome"] == "accepted")
    assert accepted["http_status"] == 202
    assert accepted["service"]["requestId"]
    assert told.json("requests", accepted["request_id"]) == accepted
    assert told.json("requests", accepted["request_id"][:8]) == accepted
    assert told.lines("requests", "--limit", "1") == found[:1]
    assert told.lines("requests", "--to", "web") == found


def test_mending_and_tidying_json(told: Cli) -> None:
    """How many were requeued and pruned; the ledger goes on counting what was pruned."""
    assert told.json("requeue", "sale-2") == {"requeued": 1}
    assert told.json("requeue", "--all") == {"requeued": 0}
    assert told.json("prune") == {"pruned": 0}
    assert told.json("prune", "--older-than", "0s", "--status", "dead") == {"pruned": 0}
    assert told.json("prune", "--older-than", "0s") == {"pruned": 1}
    ledger = told.json("status")["ledger"]
    assert (ledger["delivered"], ledger["dead"], ledger["pending"], ledger["balanced"]) == (1, 0, 2, True)
    assert told("show", "sale-1").exit_code == 2


def test_requeue_leaves_alone_what_is_not_dead(told: Cli) -> None:
    """It says which, and that is no error."""
    result = told("requeue", "sale-1", "sale-2")
    assert result.exit_code == 0
    assert "is delivered, not dead; it is left alone" in result.stderr
    assert result.stdout.startswith("1 event requeued.")


def test_status_for_people(told: Cli) -> None:
    """The sentence first, then ledger, destinations, last request, worker and absolute paths; 80 columns will do."""
    text = told("status").stdout
    lines = text.splitlines()
    assert "1 event waits" in lines[0]
    assert "Ledger  3 enqueued = 1 pending + 0 sending + 1 delivered + 1 dead" in lines
    heads = next(line for line in lines if line.startswith("Destination"))
    assert heads.split()[:6] == ["Destination", "State", "Pending", "Sending", "Delivered", "Dead"]
    assert len(heads) <= 80
    assert "Last request" in text
    assert "Worker         none" in lines
    assert re.search(re.escape(str(told.database)) + r" \(\d+\.\d KB with its log\)", text)
    assert str(told.config) in text
    assert "\x1b" not in text


def test_tables_for_people(told: Cli) -> None:
    """The newest first; whole ids where the output is no terminal."""
    rows = told("list").stdout.splitlines()
    assert rows[0].split() == ["Enqueued", "Event", "Destination", "Status", "Reference", "Note"]
    assert [row.split()[3] for row in rows[1:]] == ["pending", "dead", "delivered"]
    assert told("list", "--status", "lost").stdout == "No such events.\n"
    rows = told("requests").stdout.splitlines()
    assert rows[0].split()[:4] == ["Opened", "Request", "Destination", "Events"]
    shown = told("show", "sale-2").stdout
    for word in ("Status", "dead", "Payload", '"_id": "sale-2"', "reject", "422"):
        assert word in shown
    request = told("requests", told.lines("requests")[-1]["request_id"]).stdout
    assert "Outcome" in request


def test_delivery_and_receipt_are_shown(told: Cli) -> None:
    """`show` and `find` say when an event was delivered and with what receipt; a refused one has neither."""
    (delivered,) = told.lines("list", "--status", "delivered")
    for text in (told("show", "sale-1").stdout, told("find", "P4711").stdout.split("\n\n")[0]):
        facts = dict(line.split(maxsplit=1) for line in text.split("\n\n")[0].splitlines())
        assert facts["Receipt"] == delivered["receipt"]
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", facts["Delivered"])
    second = told("find", "P4711").stdout.split("\n\n")[1]
    assert "dead" in second
    assert "Delivered" not in second


def test_many_found_are_listed(cli: Cli) -> None:
    """Beyond a few, `find` lists, and says where receipts are."""
    cli.enqueue(*(event(number) for number in range(6)), options=("--reference", "P1"))
    lines = cli("find", "P1").stdout.splitlines()
    assert len(lines) == 1 + 6 + 2
    assert "edgequeue show EVENT" in lines[-1]


def test_the_disposition_is_that_of_the_event(told: Cli) -> None:
    """The history's column says that it is about this event: the request as a whole came to something else."""
    heads = next(line for line in told("show", "sale-2").stdout.splitlines() if line.startswith("Opened"))
    assert "For this event" in heads


def test_the_history_shows_how_many_events_each_request_had(told: Cli) -> None:
    """The refused event went with its neighbour first, then alone."""
    lines = told("show", "sale-2").stdout.splitlines()
    heads = next(number for number, line in enumerate(lines) if line.startswith("Opened"))
    assert lines[heads].split()[:3] == ["Opened", "Request", "Events"]
    history = told.json("show", "sale-2")["history"]
    assert [line.split()[2] for line in lines[heads + 1 : heads + 1 + len(history)]] == ["2", "1"]
    assert all("events" not in entry for entry in history)


def test_a_pending_event_says_what_holds_it_back(cli: Cli) -> None:
    """State, reason and remedy of its destination; nothing where the destination is well, or the event has ended."""
    cli.enqueue(event(1))
    assert "Held back" not in cli("show", "sale-1").stdout
    assert cli("sync").exit_code == 0
    cli.configure(edge("web", CLOSED))
    cli.enqueue(event(2))
    cli("sync")
    text = cli("show", "sale-2").stdout
    held = next(line for line in text.splitlines() if line.startswith("Held back"))
    assert re.search(r"offline since \d\d:\d\d:\d\d: .*127\.0\.0\.1", held), held
    assert "Held back" not in cli("show", "sale-1").stdout
    assert list(cli.json("show", "sale-2")) == [*RECORD, "payload", "history"]


def test_status_says_what_was_learned(cli: Cli, service: Emulator) -> None:
    """For people alone: a line for each thing; where nothing was learned there is none."""
    assert "set aside" not in cli("status").stdout
    service.add_fault(Fault("status", status=500, event_id="sale-2", times=None))
    cli.enqueue(*(event(number) for number in range(1, 6)))
    cli.configure(edge("web", service.url, batch_events_max=1))
    cli("sync")
    text = cli("status").stdout
    assert re.search(r"^web +1 event set aside: it fails wherever it goes(; next try .*)?$", text, re.MULTILINE), text
    assert "learned" not in cli.json("status")["destinations"]["web"]


def test_a_note_begins_with_the_words(told: Cli) -> None:
    """The message, not a code such as http_422 that says no more than the status."""
    (dead,) = told.lines("list", "--status", "dead")
    row = next(line for line in told("list").stdout.splitlines() if " dead " in line)
    note = row.partition("P4711")[2].strip()
    assert note.startswith(dead["error"]["message"][:20])
    assert "http_" not in note


def test_80_columns_will_do(told: Cli) -> None:
    """Tables are cut and facts are wrapped at the terminal's width."""
    for command in (["status"], ["list"], ["requests"], ["show", "sale-2"], ["find", "P4711"]):
        code, shown = told.terminal(*command)
        assert code == 0
        plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
        long = [line for line in plain if len(line) > 80 and str(told.directory) not in line]
        assert long == [], command


def test_looking_at_a_queue_that_is_not_there(cli: Cli) -> None:
    """Who asks for events of a queue that does not exist is told so; a glance makes it, with a note."""
    for command in (["show", "x"], ["find", "x"], ["requests"], ["export"], ["requeue", "--all"], ["prune"]):
        result = cli(*command)
        assert result.exit_code == 2
        assert f"there is no queue at {cli.database} yet. edgequeue init creates it" in result.stderr
        assert not cli.database.exists()
    for command in (["status"], ["why"], ["list"], ["doctor"]):
        result = cli(*command)
        assert result.exit_code == 0, result.output
        assert result.stderr.startswith(f"Note: there was no queue at {cli.database}; a new, empty one was")
        assert cli(*command).stderr == ""
        cli.database.unlink()


def test_a_long_list_says_how_many_more(cli: Cli) -> None:
    """People see the newest 50, and the way to the others."""
    cli.enqueue(*(event(number) for number in range(57)))
    lines = cli("list").stdout.splitlines()
    assert len(lines) == 1 + 50 + 2
    assert lines[-1].startswith("… and 7 more: --limit N")
    assert len(cli("list", "--limit", "55").stdout.splitlines()) == 56
    assert len(cli.lines("list")) == 57


def test_what_came_from_elsewhere_cannot_steer_the_terminal(cli: Cli) -> None:
    """Control characters in a reference or a payload are shown as escapes, and kept in the JSON."""
    evil = "\x1b[2Jgone\x9b1m"
    cli.enqueue(event(1, text=evil), options=("--reference", evil))
    for command in (["list"], ["show", "sale-1"], ["find", evil]):
        text = cli(*command).stdout
        assert "\x1b" not in text
        assert "\x9b" not in text
        assert "gone" in text
    assert cli.json("show", "sale-1")["reference"] == evil


def test_json_is_utf8_whatever_the_terminal_is(cli: Cli) -> None:
    """Programs get UTF-8 also where the locale is something else."""
    cli.enqueue(event(1, name="Müller 🥨"))
    with cli.process("show", "sale-1", "--json", encoding="utf-8", PYTHONIOENCODING="ascii") as process:
        written, _ = process.communicate()
    assert process.returncode == 0
    assert json.loads(written)["payload"]["xdm"]["name"] == "Müller 🥨"


def test_a_running_worker_is_shown(cli: Cli) -> None:
    """`run` in another process, with its id and since when; a second one says that it waits for the first."""
    with cli.process("run") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"Sending from {cli.database} to web.\n"
        worker = None
        while worker is None:
            assert process.poll() is None
            worker = cli.json("status")["worker"]
        assert list(worker) == ["pid", "kind", "since"]
        assert (worker["pid"], worker["kind"]) == (process.pid, "run")
        assert TIME.fullmatch(worker["since"])
        with cli.process("run") as second:
            assert second.stdout is not None
            waits = f"Another worker (process {process.pid}) is sending; waiting to send from {cli.database} to web.\n"
            assert second.stdout.readline() == waits
            second.terminate()
        process.terminate()
    assert (process.returncode, second.returncode) == (0, 0)
