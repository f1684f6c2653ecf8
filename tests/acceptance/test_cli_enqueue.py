"""`enqueue`: what it takes, all or nothing, and where it says an invalid event stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cli_harness import CLOSED, Cli, edge, event

VALID = json.dumps(event(1))


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path).configure()


def stored(cli: Cli) -> int:
    pending: int = cli.json("status")["ledger"]["pending"]
    return pending


@pytest.mark.parametrize(
    "document",
    [
        json.dumps(event(1)) + "\n" + json.dumps(event(2)) + "\n",
        json.dumps([event(1), event(2)]),
        json.dumps([event(1), event(2)], indent=2),
        json.dumps({"events": [event(1), event(2)]}),
        json.dumps({"events": [event(1), event(2)]}, indent=2),
        json.dumps({"events": [event(1)]}) + "\n" + json.dumps({"events": [event(2)]}),
        "\ufeff" + json.dumps([event(1), event(2)]),
    ],
)
def test_every_form_of_input(cli: Cli, document: str) -> None:
    """JSON Lines, an array, a whole request document: from standard input with and without `-`, and from a file."""
    file = cli.directory / "events.json"
    file.write_text(document, encoding="utf-8")
    for arguments, stdin in ((["enqueue"], document), (["enqueue", "-"], document), (["enqueue", str(file)], None)):
        result = cli(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.stderr
        assert result.stderr == ""
        first, second = result.stdout.split()
        assert cli.json("show", first)["payload"]["xdm"]["_id"] == "sale-1"
        assert cli.json("show", second)["payload"]["xdm"]["_id"] == "sale-2"
    assert stored(cli) == 6


def test_ids_and_options(cli: Cli) -> None:
    """`--json` gives a line for each id; priority and reference are kept with the event."""
    result = cli("enqueue", "--json", "--priority", "high", "--reference", "P4711", "--to", "web", stdin=VALID)
    document = json.loads(result.stdout)
    assert list(document) == ["event_id"]
    record = cli.json("show", document["event_id"])
    assert (record["priority"], record["reference"], record["destination"]) == ("high", "P4711", "web")


def test_numbers_are_kept_exactly(cli: Cli) -> None:
    """Integers up to 64 bits arrive as they were written."""
    (event_id,) = cli.enqueue(event(1, big=2**63 + 1, negative=-(2**63)))
    xdm = cli.json("show", event_id)["payload"]["xdm"]
    assert (xdm["big"], xdm["negative"]) == (2**63 + 1, -(2**63))


def test_an_empty_file_is_no_event(cli: Cli) -> None:
    """Nothing to do is done, with a note."""
    empty = cli.directory / "empty.jsonl"
    empty.touch()
    result = cli("enqueue", str(empty))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"Note: {empty} is empty.\n"
    assert cli("enqueue", stdin="").exit_code == 0


@pytest.mark.parametrize(
    ("lines", "where", "reason"),
    [
        ([VALID, '{"xdm": }'], "line 2, column 9", "not JSON"),
        ([VALID, "", '{"xdm": {}}'], "line 3", "identityMap"),
        ([VALID, "[1]"], "line 2", "this is a list, not an event. Write one JSON object per line."),
        ([VALID, '"text"'], "line 2", "this is a text, not an event. Write one JSON object per line."),
        (["42"], "line 1", "this is a number, not an event. Write one JSON object per line."),
        (["null", VALID], "line 1", "this is null, not an event. Write one JSON object per line."),
        ([VALID, "null"], "line 2", "this is null, not an event. Write one JSON object per line."),
        ([VALID, "true"], "line 2", "this is true or false, not an event. Write one JSON object per line."),
        ([json.dumps(event(1), indent=1), json.dumps(event(2), indent=1)], "line ", "jq -c"),
        ([VALID, json.dumps(event(2) | {"extra": 1})], "line 2", "unknown key 'extra'"),
        ([VALID, '{"xdm": {"_id": 7}}'], "line 2", "xdm"),
        (
            [json.dumps(event(1, price=0)).replace("0}", "NaN}")],
            "line 1",
            "NaN is no number in JSON. Leave the field out, or write null.",
        ),
        ([json.dumps(event(1, price=0)).replace("0}", "1e999}")], "line 1", "xdm.price: inf"),
        ([json.dumps(event(1, text="\ud800"))], "line 1", "lone surrogate"),
        ([json.dumps(event(1, **{"\udfff": 1}))], "line 1", "no valid text"),
        ([json.dumps(event(1, big=2**64))], "line 1", "beyond 64 bits"),
        ([json.dumps(event(1, text="x" * 70_000))], "line 1", "60,000|59,"),
        ([json.dumps(event(1, timestamp="yesterday"))], "line 1", "timestamp"),
        ([VALID, '{"xdm": {"a": 1, "a": 2}}'], "line 2", "and only one could be kept. Leave one of the two out"),
        ([json.dumps({"events": [event(1), {"xdm": 7}]})], "line 1, event 2", "must be a JSON object"),
        ([json.dumps({"events": [event(1)], "meta": {}})], "line 1", "unknown key 'meta'"),
        ([json.dumps([event(1), {}], indent=1)], "event 2", "no 'xdm'"),
    ],
)
def test_invalid_input(cli: Cli, lines: list[str], where: str, reason: str) -> None:
    """Exit code 2, the file, the line and the reason; nothing of any file is stored."""
    good, bad = cli.directory / "good.jsonl", cli.directory / "bad.jsonl"
    good.write_text(VALID + "\n")
    bad.write_text("\n".join(lines) + "\n")
    result = cli("enqueue", str(good), str(bad))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {bad}, {where}"), result.stderr
    assert any(one in result.stderr for one in reason.split("|")), result.stderr
    assert stored(cli) == 0


def test_a_request_document_of_the_other_type(cli: Cli) -> None:
    """A document that the other kind of service takes is named as such, with the way out; nothing is stored."""
    inlet = "http://127.0.0.1:9/collection/a"
    till = edge("till", inlet, type="adobe-dccs", dataset_id="d", schema_id="https://ns.adobe.com/x")
    cli.configure(edge("web"), till.replace('datastream_id = "d"\n', ""))
    for name, key, kind in (("web", "messages", "adobe-dccs"), ("till", "events", "adobe-edge")):
        result = cli("enqueue", "--to", name, stdin=json.dumps({key: [event(1)]}))
        assert result.exit_code == 2
        assert f'{{"{key}": […]}} is a request document for {kind}, and {name!r} is of type' in result.stderr
        assert f"Choose a destination of type {kind} with --to" in result.stderr
    assert stored(cli) == 0


def test_a_batch_of_commands_is_taken_apart(cli: Cli) -> None:
    """`{"commands": […]}` is a request document of bloomreach, and no other's."""
    crm = '[destinations.crm]\ntype = "bloomreach"\nproject_token = "p"\npublic_token_env = "NO_SUCH_TOKEN"'
    cli.configure(edge("web"), crm)
    document = json.dumps({"commands": [{"name": "system/time"}, {"name": "system/time"}]})
    result = cli("enqueue", "--to", "web", stdin=document)
    assert result.exit_code == 2
    assert "is a request document for bloomreach" in result.stderr
    result = cli("enqueue", "--to", "crm", stdin=document)
    assert result.exit_code == 0, result.stderr
    assert stored(cli) == 2


def test_skip_invalid(cli: Cli) -> None:
    """The valid ones are stored, the others reported with their places; exit code 4."""
    text = "\n".join([VALID, "nope", '{"xdm": {}}', json.dumps(event(2)), json.dumps({"events": [event(3), 7]})])
    result = cli("enqueue", "--skip-invalid", stdin=text)
    assert result.exit_code == 4
    assert len(result.stdout.split()) == 3
    places = [line.split(": ")[:2] for line in result.stderr.splitlines()]
    assert places == [
        ["Skipped", "standard input, line 2, column 1"],
        ["Skipped", "standard input, line 3"],
        ["Skipped", "standard input, line 5, event 2"],
    ]
    assert stored(cli) == 3
    assert cli("enqueue", "--skip-invalid", stdin=VALID).exit_code == 0


def test_check(cli: Cli) -> None:
    """Nothing is stored; all that is wrong is said at once."""
    assert cli("enqueue", "--check", stdin=VALID).stdout == "1 event valid, 0 invalid; nothing was stored.\n"
    text = VALID + '\nnope\n{"xdm": {}}\n'
    result = cli("enqueue", "--check", stdin=text)
    assert result.exit_code == 2
    assert result.stdout == "1 event valid, 2 invalid; nothing was stored.\n"
    assert len(result.stderr.splitlines()) == 2
    result = cli("enqueue", "--check", "--json", "--skip-invalid", stdin=text)
    assert result.exit_code == 4
    assert json.loads(result.stdout) == {"valid": 1, "invalid": 2}
    assert stored(cli) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "wbe"], "no destination is named 'wbe'; there are: web, till"),
        ([], "there are several destinations, so name one of them: web, till"),
        (["--to", "web", "--reference", "x" * 201], "the reference cannot be kept"),
        (["--to", "web", "--reference", "\udcff"], "the reference cannot be kept"),
        (["--to", "web", "--priority", "urgent"], "'urgent' is not one of"),
        (["--to", "web", "missing.jsonl"], "does not exist"),
        (["--to", "web", "."], "is a directory"),
    ],
)
def test_wrong_options(cli: Cli, arguments: list[str], message: str) -> None:
    """Exit code 2, and nothing is stored."""
    cli.configure(edge("web"), edge("till"))
    result = cli("enqueue", *arguments, stdin=VALID)
    assert result.exit_code == 2
    assert message in result.stderr
    assert stored(cli) == 0


def test_the_operators_limit(cli: Cli) -> None:
    """At max_events nothing more is stored, not even a part of the input."""
    cli.config.write_text(f'[queue]\ndatabase = "queue.db"\nmax_events = 1\n\n{edge("web")}\n')
    cli.enqueue(event(1))
    result = cli("enqueue", stdin=VALID)
    assert result.exit_code == 5
    assert "max_events" in result.stderr


def test_export_and_back(cli: Cli, tmp_path: Path) -> None:
    """What export writes, enqueue takes again: the same payloads, with the same `_id`s."""
    events: list[dict[str, Any]] = [event(1), event(2, name="Müller – \u2028"), {"xdm": event(3)["xdm"]}]
    del events[2]["xdm"]["_id"]
    cli.enqueue(*events)
    file = cli.directory / "backlog.jsonl"
    result = cli("export", "--output", str(file))
    assert result.exit_code == 0
    assert result.stderr == f"3 events exported to {file}.\n"
    assert file.stat().st_mode & 0o777 == 0o600
    exported = cli("export").stdout_bytes
    assert exported == file.read_bytes()

    (tmp_path / "other").mkdir()
    other = Cli(tmp_path / "other").configure()
    assert other("enqueue", str(file)).exit_code == 0
    assert other("export").stdout_bytes == exported
    ids = [json.loads(line)["xdm"]["_id"] for line in exported.splitlines()]
    assert ids[:2] == ["sale-1", "sale-2"]
    assert other.json("show", ids[2])["payload"]["xdm"]["_id"] == ids[2]


def test_export_by_event_and_by_reference(cli: Cli) -> None:
    """Named events and those with a reference are exported whatever their status, as far as the options leave them."""
    first, second = cli.enqueue(event(1), event(2), options=("--reference", "P1"))
    third, *_ = cli.enqueue(event(3), options=("--reference", "P2"))

    def exported(*arguments: str) -> list[str]:
        result = cli("export", *arguments)
        assert result.exit_code == 0, result.stderr
        return [json.loads(line)["xdm"]["_id"] for line in result.stdout.splitlines()]

    everything = {json.loads(line)["xdm"]["_id"]: line for line in cli("export").stdout.splitlines()}
    assert exported("--reference", "P1") == ["sale-1", "sale-2"]
    assert exported(third, "sale-1", third) == ["sale-3", "sale-1"]
    assert exported("--reference", "P1", second) == ["sale-2"]
    assert exported("--status", "dead", first) == []
    assert exported("--to", "web", "--since", "today", first) == ["sale-1"]
    assert json.loads(cli("export", second).stdout) == json.loads(everything["sale-2"])
    for wrong in (["nope"], ["--reference", "nope"]):
        assert cli("export", *wrong).exit_code == 2


def test_export_chooses(cli: Cli) -> None:
    """By status, destination and time; a file that exists is never overwritten."""
    cli.configure(edge("web"), edge("till", CLOSED))
    cli.enqueue(event(1), options=("--to", "web"))
    cli.enqueue(event(2), options=("--to", "till"))
    both = cli("export", "--status", "all", "--since", "today")
    assert len(both.stdout.splitlines()) == 2
    assert "Note: they are for till, web" in both.stderr
    assert json.loads(cli("export", "--to", "till").stdout)["xdm"]["_id"] == "sale-2"
    assert cli("export", "--status", "dead").stdout == ""
    for place, reason in ((cli.config, "exists"), (cli.directory / "no" / "file", "cannot be written")):
        result = cli("export", "--output", str(place))
        assert result.exit_code == 2
        assert reason in result.stderr
