"""`connection create`, `show`, `list`: from the command line to the objects, and back into the configuration."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edgequeue.cli.connection_lock import alone
from edgequeue.config import parse_settings
from edgequeue.errors import MaybeSent
from edgequeue.model import HttpRequest, HttpResponse
from tests.acceptance.cli_harness import CLOSED, Cli, dccs, edge
from tests.flow_platform import DATASET, SCHEMA, OverHttp, Platform, answer

WHAT = ("--schema-id", SCHEMA, "--dataset-id", DATASET)
MAPPING = "source,destination\nfirstName,person.name.firstName\n"
ACCOUNT = '[auth.adobe]\ntype = "bearer"\ntoken = "tok"\nclient_id = "key"\norg_id = "org@AdobeOrg"'

KEYS = dccs("till", f"{CLOSED}/collection/1").splitlines()[1:]


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def service(platform: Platform) -> Iterator[OverHttp]:
    with OverHttp(platform) as found:
        yield found


def configured(directory: Path, url: str, *tables: str) -> Cli:
    return Cli(directory).configure(edge(), ACCOUNT, f'[flow_service]\nauth = "adobe"\nendpoint = "{url}"', *tables)


@pytest.fixture
def cli(tmp_path: Path, service: OverHttp) -> Cli:
    return configured(tmp_path, service.url)


def age(platform: Platform) -> None:
    """The dataflow was made long ago."""
    platform.objects["flows"][0]["createdAt"] = 1669238699119


def test_create_says_what_it_made_and_prints_the_destination(cli: Cli, platform: Platform) -> None:
    """A line for each step, then a table that can be copied; nothing is written."""
    before = cli.config.read_bytes()
    result = cli("connection", "create", "till", *WHAT)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[:5]] == [
        "base connection",
        "inlet URL",
        "source connection",
        "target connection",
        "dataflow",
    ]
    assert all(line.split()[2] == "made" for line in lines[:4])
    table = result.stdout[result.stdout.index("[destinations.till]") :]
    assert 'auth = "adobe"' in table
    assert 'flow_id = "flows-1"' in table
    assert re.search(r"^not_before = \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", table, re.MULTILINE)
    assert f"Put it into {cli.config}, or run the same command with --write." in table
    assert cli.config.read_bytes() == before
    assert "tok" not in result.stdout.split()


def test_a_second_create_finds_everything_and_writes_the_destination(cli: Cli, platform: Platform) -> None:
    """Into the file and nowhere else in it; its mode stays, and edgequeue reads it."""
    assert cli("connection", "create", "till", *WHAT).exit_code == 0
    age(platform)
    cli.config.chmod(0o640)
    before = cli.config.read_text()
    result = cli("connection", "create", "till", *WHAT, "--write")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("found") == 5
    assert "made" not in result.stdout.split("The destination")[0]
    after = cli.config.read_text()
    assert after.startswith(before)
    assert cli.config.stat().st_mode & 0o777 == 0o640
    found: Any = parse_settings(after, cli.config).destinations["till"]
    assert (found.endpoint, found.flow_id) == (f"https://dcs.adobedc.net/collection/{1:064x}", "flows-1")
    assert (found.dataset_id, found.schema_id, found.org_id) == (DATASET, SCHEMA, "org@AdobeOrg")
    assert list(cli.directory.glob(".edgequeue*")) == []
    again = cli("connection", "create", "till", *WHAT, "--write")
    assert "is as it should be" in again.stderr
    assert cli.config.read_text() == after


@pytest.mark.parametrize("more", [(), ("--open",), ("--data-type", "raw", "--mapping", "m.csv")])
def test_what_was_just_made_is_written_with_its_five_minutes(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    """edgequeue reads what was written, and sends nothing before the dataflow is ready."""
    monkeypatch.chdir(cli.directory)
    Path("m.csv").write_text(MAPPING)
    found = cli.json("connection", "create", "till", *WHAT, *more, "--write")
    assert found["written"] == str(cli.config)
    assert found["toml"] in cli.config.read_text()
    settings = parse_settings(cli.config.read_text(), cli.config)
    till: Any = settings.destinations["till"]
    assert till.not_before.strftime("%Y-%m-%dT%H:%M:%S.000Z") == found["not_before"]
    assert till.data_type == ("raw" if "raw" in more else "xdm")
    assert (till.auth is None) == ("--open" in more)
    event = {"data": {"firstName": "Ada"}} if "raw" in more else {"xdm": {"eventType": "sale"}}
    assert cli("enqueue", "--to", "till", stdin=json.dumps(event)).exit_code == 0
    assert cli.json("status")["destinations"]["till"]["state"] == "waiting"


def test_a_link_to_the_configuration_stays_one(cli: Cli, platform: Platform) -> None:
    """The file that it leads to is replaced."""
    assert cli("connection", "create", "till", *WHAT).exit_code == 0
    age(platform)
    place = cli.directory / "elsewhere.toml"
    cli.config.rename(place)
    cli.config.symlink_to(place)
    assert cli("connection", "create", "till", *WHAT, "--write").exit_code == 0
    assert cli.config.is_symlink()
    assert "[destinations.till]" in place.read_text()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (edge("till"), "is there and is of another type"),
        (dccs("till", f"{CLOSED}/collection/other"), "is there and sends to another inlet"),
        (dccs("till", f"{CLOSED}/collection/other", flow_id="other"), "is there and sends to another inlet"),
        (f"[destinations]\ntill = {{ {', '.join(KEYS)} }}", "is not edited here"),
        ("[destinations]\n" + "\n".join(f"till.{line}" for line in KEYS), "is not edited here"),
    ],
    ids=["another type", "another inlet", "another dataflow", "inline", "dotted"],
)
def test_what_could_not_be_written_is_not_made(
    tmp_path: Path, service: OverHttp, platform: Platform, table: str, words: str
) -> None:
    """It is known before the first object, the file is as it was, and --destination helps, or no --write."""
    flow_service = f'[flow_service]\nauth = "adobe"\nendpoint = "{service.url}"'
    cli = Cli(tmp_path).configure(ACCOUNT, flow_service, table)
    before = cli.config.read_bytes()
    result = cli("connection", "create", "till", *WHAT, "--write")
    assert (result.exit_code, result.stdout, platform.counts) == (2, "", {})
    assert words in result.stderr
    assert "Nothing was made" in result.stderr
    assert cli.config.read_bytes() == before
    assert cli("connection", "create", "till", *WHAT).exit_code == 0
    if "edited" not in words:
        assert cli("connection", "create", "till", *WHAT, "--write", "--destination", "till-2").exit_code == 0
        assert set(platform.counts.values()) == {1}


def test_a_connection_that_was_there_does_not_take_the_place_of_another(cli: Cli, platform: Platform) -> None:
    """The second connection's events would go to the inlet of the first, or the other way round."""
    assert cli("connection", "create", "till", *WHAT, "--write").exit_code == 0
    assert cli("connection", "create", "other", *WHAT).exit_code == 0
    counts, before = platform.counts, cli.config.read_bytes()
    result = cli("connection", "create", "other", *WHAT, "--write", "--destination", "till")
    assert result.exit_code == 2
    assert "[destinations.till] is there and sends to another inlet" in result.stderr
    assert (platform.counts, cli.config.read_bytes()) == (counts, before)


def test_what_is_not_listed_yet_is_found_through_the_configuration(
    cli: Cli, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written once, repeated at once: one of everything. Where the table is gone by then, nothing is made beside it."""
    monkeypatch.setattr("edgequeue.flow_service.client.random", lambda: 0.0)
    platform.late = 1_000
    found = cli.json("connection", "create", "till", *WHAT, "--write")
    assert "wait a minute before you repeat this command" in found["warnings"][-1]
    for more in (("--write",), ()):
        assert cli("connection", "create", "till", *WHAT, *more).stdout.count("found ") == 5
    cli.config.write_text(re.sub("(?m)^flow_id = .*$", "", cli.config.read_text()))
    result = cli("connection", "create", "till", *WHAT, "--write")
    assert result.exit_code == 2
    assert "made a moment ago, wait a minute" in result.stderr
    assert set(platform.counts.values()) == {1}


@pytest.mark.skipif(sys.platform == "win32", reason="no such lock there")
def test_two_creates_with_one_configuration_wait_for_each_other(
    cli: Cli, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second says so, ends with exit code 3 where it takes too long, and has asked nothing by then."""
    waits: list[float] = []
    monkeypatch.setattr("edgequeue.cli.connection_lock.sleep", waits.append)
    with alone(cli.config):
        result = cli("connection", "create", "till", *WHAT)
        assert cli("connection", "create", "till", *WHAT, "--dry-run").exit_code == 0
    assert (result.exit_code, result.stdout, platform.requests) == (3, "", [])
    assert "is at work; waiting for it, 2 minutes at most." in result.stderr
    assert "is still at work. Nothing was made by this one" in result.stderr
    assert sum(waits) == pytest.approx(120, abs=1)
    assert cli("connection", "create", "till", *WHAT).exit_code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no such lock there")
def test_who_has_waited_has_the_file_that_is_there_now(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A create replaces the file: a lock on the old one keeps nobody from the new one."""
    first, third = ExitStack(), ExitStack()
    first.enter_context(alone(cli.config))

    def meanwhile(seconds: float) -> None:
        """The first replaces the file, a third one gets the new one before the second, and lets go in the end."""
        held.append(not first.pop_all().close())
        if len(held) == 1:
            new = cli.directory / "new.toml"
            new.write_bytes(cli.config.read_bytes())
            new.replace(cli.config)
            third.enter_context(alone(cli.config))
        elif len(held) == 3:
            third.close()

    held: list[bool] = []
    monkeypatch.setattr("edgequeue.cli.connection_lock.sleep", meanwhile)
    with alone(cli.config):
        assert len(held) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_configuration_that_cannot_be_written_is_said(cli: Cli, platform: Platform) -> None:
    """With the reason; what was made stays and is printed."""
    assert cli("connection", "create", "till", *WHAT).exit_code == 0
    age(platform)
    cli.directory.chmod(0o500)
    try:
        result = cli("connection", "create", "till", *WHAT, "--write")
    finally:
        cli.directory.chmod(0o700)
    assert result.exit_code == 2
    assert "cannot be written: Permission denied" in result.stderr
    assert "[destinations.till]" in result.stdout


def test_an_open_inlet_is_made_only_on_request(cli: Cli, platform: Platform) -> None:
    """And its destination names no account."""
    assert cli("connection", "create", "till", *WHAT, "--open").exit_code == 0
    result = cli("connection", "create", "other", *WHAT)
    assert result.exit_code == 0
    params = [json.loads(one.body)["auth"]["params"] for one in platform.creates if one.url.endswith("/connections")]
    assert params == [
        {"dataType": "xdm"},
        {"sourceId": "other", "dataType": "xdm", "name": "other", "authenticationRequired": True},
    ]
    shown = cli("connection", "create", "till", *WHAT, "--open").stdout
    assert "auth =" not in shown
    assert "Keep personal data out of it" in shown


def test_raw_data_has_a_mapping(cli: Cli, platform: Platform) -> None:
    """From a file, named in the error where it is wrong; without one nothing is sent."""
    assert cli("connection", "create", "raw", *WHAT, "--data-type", "raw").exit_code == 2
    file = cli.directory / "m.csv"
    file.write_text("source;destination\n")
    result = cli("connection", "create", "raw", *WHAT, "--data-type", "raw", "--mapping", str(file))
    assert (result.exit_code, platform.requests) == (2, [])
    assert f"{file}, line 1: the first line is to be the header" in result.stderr
    file.write_bytes(b"source,destination\n\xff,x\n")
    assert "is not UTF-8" in cli("connection", "create", "raw", *WHAT, "--mapping", str(file)).stderr
    file.write_text(MAPPING)
    result = cli("connection", "create", "raw", *WHAT, "--data-type", "raw", "--mapping", str(file))
    assert result.exit_code == 0, result.stderr
    assert 'data_type = "raw"' in result.stdout
    assert platform.objects["mappingSets"][0]["mappings"][0]["sourceAttribute"] == "firstName"


def test_a_dry_run_prints_each_request_and_sends_nothing(cli: Cli, platform: Platform) -> None:
    """Method, address, headers without the token, body; ids that only Adobe knows are placeholders."""
    file = cli.directory / "m.csv"
    file.write_text(MAPPING)
    raw = ("connection", "create", "raw", *WHAT, "--data-type", "raw", "--mapping", str(file), "--dry-run")
    calls = cli.lines(*raw)
    assert " ".join(call["method"] for call in calls) == (
        "GET GET GET POST GET GET POST GET POST GET GET POST GET POST"
    )
    assert calls[3]["headers"] == {
        "authorization": "Bearer <access token>",
        "x-api-key": "key",
        "x-gw-ims-org-id": "org@AdobeOrg",
        "accept": "application/json",
        "x-sandbox-name": "prod",
        "content-type": "application/json",
    }
    assert calls[4]["url"].endswith("/connections/<id of the base connection>")
    assert calls[6]["body"]["baseConnectionId"] == "<id of the base connection>"
    assert calls[-1]["body"]["transformations"][0]["params"]["mappingId"] == "<id of the mapping set>"
    text = cli(*raw)
    assert text.exit_code == 0
    assert all(call["url"] in text.stdout for call in calls)
    assert "tok" not in re.findall(r"\w+", text.stdout)
    assert platform.requests == []


def test_a_dry_run_reads_no_secret(tmp_path: Path) -> None:
    """Nor does it need a network."""
    account = ACCOUNT.replace('token = "tok"', 'token_env = "NO_SUCH_TOKEN"')
    cli = Cli(tmp_path).configure(edge(), account, '[flow_service]\nauth = "adobe"')
    assert cli("connection", "create", "till", *WHAT, "--dry-run").exit_code == 0


def test_create_as_json_is_one_document(cli: Cli, platform: Platform) -> None:
    """Steps, ids, the destination and its TOML; warnings go to stderr too."""
    found = cli.json("connection", "create", "till", *WHAT)
    assert [step["state"] for step in found["steps"]] == ["made"] * 5
    assert found["flow_id"] == "flows-1"
    assert found["destination"]["endpoint"] == found["inlet_url"]
    assert found["toml"].startswith("[destinations.till]\n")
    assert found["written"] is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", found["not_before"])


def test_list_and_show(cli: Cli) -> None:
    """All connections of the sandbox; one with every id."""
    assert "no streaming connection" in cli("connection", "list").stdout
    for name, more in (("till", ()), ("kiosk", ("--open",))):
        assert cli("connection", "create", name, *WHAT, *more).exit_code == 0
    shown = cli("connection", "list").stdout.splitlines()
    assert [line.split()[:4] for line in shown[1:]] == [
        ["till", "xdm", "required", "enabled"],
        ["kiosk", "xdm", "open", "enabled"],
    ]
    assert [one["authenticated"] for one in cli.lines("connection", "list")] == [True, False]
    text = cli("connection", "show", "till").stdout
    for part in ("connections-1", "sourceConnections-1", "targetConnections-1", "flows-1", DATASET, SCHEMA):
        assert part in text
    (found,) = cli.lines("connection", "show", "till")
    assert found["flows"][0]["flow_id"] == "flows-1"
    assert found["source_connection_ids"] == ["sourceConnections-1"]


def test_show_of_a_name_that_is_not_there_names_the_nearest(cli: Cli) -> None:
    """Exit code 2."""
    assert cli("connection", "create", "till", *WHAT).exit_code == 0
    result = cli("connection", "show", "tell")
    assert result.exit_code == 2
    assert "no connection is named 'tell'; did you mean till?" in result.stderr


def test_show_of_a_connection_that_is_half_made(cli: Cli, platform: Platform) -> None:
    """It says what is missing."""
    assert cli("connection", "create", "till", *WHAT).exit_code == 0
    platform.objects["flows"].clear()
    result = cli("connection", "show", "till")
    assert result.exit_code == 0
    assert "It has no dataflow" in result.stdout


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ((edge(),), "there is no table [flow_service]"),
        ((edge(), ACCOUNT.replace('client_id = "key"', ""), '[flow_service]\nauth = "adobe"'), "has no client_id"),
    ],
)
def test_what_is_missing_in_the_configuration_is_named(tmp_path: Path, tables: tuple[str, ...], words: str) -> None:
    """Exit code 2, with what to add."""
    result = Cli(tmp_path).configure(*tables)("connection", "list")
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize("name", ["ACME Data", "a,b", "ü"])
def test_a_connection_may_have_a_name_that_no_destination_can_have(cli: Cli, platform: Platform, name: str) -> None:
    """Then the destination needs one; this is known before anything is made."""
    result = cli("connection", "create", name, *WHAT)
    assert (result.exit_code, platform.requests) == (2, [])
    assert "--destination" in result.stderr
    for _ in range(2):
        assert cli("connection", "create", name, *WHAT, "--destination", "till").exit_code == 0
    assert platform.counts["connections"] == 1


def test_out_of_reach_is_exit_code_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries; the command can be run again."""
    monkeypatch.setattr("edgequeue.flow_service.client.random", lambda: 0.0)
    result = configured(tmp_path, CLOSED)("connection", "list")
    assert result.exit_code == 3
    assert "base connection:" in result.stderr


def test_a_refused_token_is_exit_code_2(tmp_path: Path, platform: Platform) -> None:
    """The error names the step, the code, and the account's table; the token is not shown."""
    with OverHttp(platform, token="another") as service:
        result = configured(tmp_path, service.url)("connection", "create", "till", *WHAT)
    assert result.exit_code == 2
    assert "schema:" in result.stderr
    assert "401013" in result.stderr
    assert "[auth.*]" in result.stderr


def test_a_refused_step_names_itself_and_what_was_made_stays(cli: Cli, platform: Platform) -> None:
    """A rerun goes on from there."""

    def no_flows(seen: int, request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
        refused = request.method == "POST" and request.url.endswith("/flows")
        return answer(400, {"errorCode": "1425-400", "message": "versions differ"}) if refused else act()

    platform.interfere = no_flows
    result = cli("connection", "create", "till", *WHAT, "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: dataflow: 127.0.0.1" in result.stderr
    assert "1425-400" in result.stderr
    assert "--schema-version" in result.stderr
    assert "base connection: made connections-1" in result.stderr
    platform.interfere = None
    result = cli("connection", "create", "till", *WHAT)
    assert result.exit_code == 0
    assert result.stdout.count("found ") == 4
    assert platform.counts == {"connections": 1, "sourceConnections": 1, "targetConnections": 1, "flows": 1}


def test_a_connection_cut_on_the_wire_is_made_once(
    cli: Cli, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real transport: every create is done, and its answer is cut off."""
    monkeypatch.setattr("edgequeue.flow_service.client.random", lambda: 0.0)

    def cut(seen: int, request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
        found = act()
        if request.method == "POST":
            raise MaybeSent("cut", code="read")
        return found

    platform.interfere = cut
    result = cli("connection", "create", "till", *WHAT)
    assert result.exit_code == 0, result.stderr
    assert platform.counts == {"connections": 1, "sourceConnections": 1, "targetConnections": 1, "flows": 1}
    assert len(platform.creates) == 4


def test_doctor_advises_against_people_at_an_open_inlet(tmp_path: Path) -> None:
    """A warning that names the field and the way out; it changes no exit code. With an account there is none."""
    inlet = f'[destinations.till]\ntype = "adobe-dccs"\nendpoint = "{CLOSED}/collection/1"\n'
    inlet += f'dataset_id = "{DATASET}"\nschema_id = "{SCHEMA}"'
    cli = Cli(tmp_path).configure(inlet)
    cli.enqueue({"xdm": {"eventType": "sale"}})
    assert "inlet till" not in cli("doctor").stdout
    before = cli("doctor").exit_code
    cli.enqueue({"xdm": {"personalEmail": {"address": "a@b.test"}}})
    result = cli("doctor")
    assert result.exit_code == before
    assert re.search(r"WARN +inlet till: asks for no token.*xdm\.personalEmail", result.stdout)
    assert "edgequeue connection create" in result.stdout
    cli.configure(inlet + '\nauth = "adobe"', ACCOUNT)
    assert "inlet till" not in cli("doctor").stdout
