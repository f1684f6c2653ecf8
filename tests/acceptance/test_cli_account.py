"""Accounts on the command line: what `init` writes for one, and what `doctor` finds out about its token."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgequeue import EventQueue, Ims, Secret
from edgequeue.cli.template import Answers, configuration
from edgequeue.config import parse_settings
from edgequeue.errors import NotSent
from edgequeue.model import HttpResponse, Problem
from edgequeue.retry import Hold, HoldState
from edgequeue.testing import ScriptedTransport
from tests.acceptance.cli_harness import CLOSED, Cli, edge, event

TOKEN = b'{"access_token":"t0ken","token_type":"bearer","expires_in":86399}'
ACCOUNT = """[auth.adobe]
type = "ims"
client_id = "client"
client_secret_env = "EDGEQUEUE_TEST_SECRET"
org_id = "a@AdobeOrg"
endpoint = "https://ims.example/ims/token/v3"
"""


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Two destinations, one account, and a secret in a variable."""
    monkeypatch.setenv("EDGEQUEUE_TEST_SECRET", "s3cr3t")
    here = CLOSED.replace("http:", "https:")
    return Cli(tmp_path).configure(edge("web", here, auth="adobe"), edge("shop", here, auth="adobe"), ACCOUNT)


def findings(cli: Cli, service: ScriptedTransport, monkeypatch: pytest.MonkeyPatch) -> tuple[int, dict[str, Any]]:
    """What doctor says about the tokens, and its exit code, where the token service answers by a script."""
    monkeypatch.setattr("edgequeue.cli.credential.over_http", service)
    result = cli("doctor", "--json")
    assert "s3cr3t" not in result.output
    assert "t0ken" not in result.output
    found = {one["check"]: one for one in json.loads(result.stdout)["findings"]}
    assert all(one["ok"] == (one["remedy"] is None) for one in found.values())
    return result.exit_code, {name: one for name, one in found.items() if name.startswith("token ")}


def test_doctor_says_where_a_token_came_from_and_how_long_it_lives(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request and one line for both destinations; the token and the secret are not shown."""
    service = ScriptedTransport([HttpResponse(200, {}, TOKEN)])
    _, found = findings(cli, service, monkeypatch)
    expected = "one was obtained from ims.example, it lives 24 hours; whether it is accepted only sending can tell"
    assert {name: (one["ok"], one["text"]) for name, one in found.items()} == {"token web, shop": (True, expected)}
    assert len(service.requests) == 1


def test_doctor_says_what_was_refused_and_what_to_do(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is for the operator to mend: exit code 2."""
    body = b'{"error":"invalid_client","error_description":"invalid client_secret parameter: s3cr3t"}'
    service = ScriptedTransport([HttpResponse(400, {}, body)])
    code, found = findings(cli, service, monkeypatch)
    assert code == 2
    assert (
        "token service ims.example answered HTTP 400: invalid_client: invalid client_sec"
        in found["token web, shop"]["text"]
    )
    assert "client_id, client_secret and scopes in the [auth.*] table" in found["token web, shop"]["remedy"]
    assert len(service.requests) == 1


def test_doctor_and_a_token_service_out_of_reach(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may pass: exit code 3, and the host that fails is named."""
    service = ScriptedTransport(then=NotSent("cannot reach ims.example: the name is not known (DNS)", code="dns"))
    code, found = findings(cli, service, monkeypatch)
    assert code == 3
    assert "token service ims.example" in found["token web, shop"]["text"]
    assert "endpoint of the [auth.*] table" in found["token web, shop"]["remedy"]


def test_doctor_tells_apart_destinations_that_fare_differently(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """One way to the network may fail where the other one does not: a line for each."""
    offline = NotSent("the proxy is out of reach", code="proxy")
    _, found = findings(cli, ScriptedTransport([offline, HttpResponse(200, {}, TOKEN)]), monkeypatch)
    assert {name: one["ok"] for name, one in found.items()} == {"token web": False, "token shop": True}


def held(cli: Cli, hold: Hold) -> EventQueue:
    """The queue, opened, with that hold on the destination web."""
    queue = EventQueue.open(cli.config)
    queue._store.set_hold("web", replace(hold, since_ms=queue._store.now_ms()))
    return queue


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("ims_slow_down", "the token service ims.example answered HTTP 400: slow_down"),
        ("http_429", "the token service ims.example answered HTTP 429"),
    ],
)
def test_doctor_honours_a_wait_that_the_token_service_asked_for(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, code: str, text: str
) -> None:
    """It is on record for one destination and binds all of the account: no request, and a line that says so."""
    service = ScriptedTransport(then=HttpResponse(200, {}, TOKEN))
    with held(cli, Hold(HoldState.BACKING_OFF, 1, problem=Problem(code, text))) as queue:
        store = queue._store
        until_ms = store.now_ms() + 600_000
        store.set_hold("web", replace(store.hold("web"), until_ms=until_ms, asked_until_ms=until_ms))
        clock = store.at(until_ms).astimezone().strftime("%H:%M:%S")
    exit_code, found = findings(cli, service, monkeypatch)
    assert exit_code == 3
    assert found["token web, shop"]["text"].startswith("the token service asked to wait until ")
    assert clock in found["token web, shop"]["text"]
    assert service.requests == []


def test_a_wait_that_a_destination_asked_for_is_not_the_token_services(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is one that is over."""
    service = ScriptedTransport(then=HttpResponse(200, {}, TOKEN))
    with held(cli, Hold(HoldState.BACKING_OFF, 1, problem=Problem("http_429", "too many requests"))) as queue:
        store = queue._store
        store.set_hold("web", replace(store.hold("web"), asked_until_ms=store.now_ms() + 600_000))
        over = Hold(HoldState.BACKING_OFF, 1, asked_until_ms=store.now_ms(), problem=Problem("ims_slow_down", "wait"))
        store.set_hold("shop", over)
    _, found = findings(cli, service, monkeypatch)
    assert found["token web, shop"]["ok"]
    assert len(service.requests) == 1


@pytest.mark.parametrize("code", ["ims_invalid_client", "no_secret", "http_401", "EXEG-0503-401"])
def test_doctor_says_that_a_running_worker_tries_again_by_itself(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Where there is a token now and the worker is still paused for want of one; without a worker nobody would try."""
    service = ScriptedTransport(then=HttpResponse(200, {}, TOKEN))
    with held(cli, Hold(HoldState.PAUSED, 1, problem=Problem(code, "refused", "Mend it."))) as queue:
        _, found = findings(cli, service, monkeypatch)
        assert "still paused" not in found["token web, shop"]["text"]
        lease = queue._store.acquire("web", "run")
        assert lease is not None
        code_of_exit, found = findings(cli, service, monkeypatch)
        queue._store.release(lease)
    assert code_of_exit == 2
    expected = "web is still paused: the running worker tries again by itself within 3 minutes, or at once with "
    assert expected + "edgequeue sync" in found["token web, shop"]["text"]


def test_a_pause_for_something_else_is_not_ended_by_a_token(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A datastream that is not known stays so."""
    service = ScriptedTransport(then=HttpResponse(200, {}, TOKEN))
    with held(cli, Hold(HoldState.PAUSED, 1, problem=Problem("EXEG-0003-400", "no such datastream"))) as queue:
        lease = queue._store.acquire("web", "run")
        assert lease is not None
        _, found = findings(cli, service, monkeypatch)
        queue._store.release(lease)
    assert "still paused" not in found["token web, shop"]["text"]


def test_commands_that_look_read_no_secret(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does enqueue: the program that enqueues needs none."""
    monkeypatch.delenv("EDGEQUEUE_TEST_SECRET")
    cli.enqueue(event(1), options=("--to", "web"))
    for command in (["status"], ["why"], ["list"], ["requests"]):
        assert cli(*command).exit_code == 0
    assert cli("doctor").exit_code == 2
    assert "EDGEQUEUE_TEST_SECRET is not set" in cli("doctor").stdout


def test_init_writes_client_credentials(tmp_path: Path) -> None:
    """The variable's name stands in the file, the secret is for the operator to export."""
    cli = Cli(tmp_path)
    what = ["--type", "adobe-edge", "--datastream-id", "d"]
    who = ["--client-id", "client", "--client-secret-env", "NO_SUCH_SECRET", "--org-id", "a@AdobeOrg"]
    result = cli("init", *what, *who)
    assert result.exit_code == 0, result.stderr
    assert "export NO_SUCH_SECRET=…          (the client secret)" in result.stdout
    settings = parse_settings(cli.config.read_text(), cli.config)
    assert settings.destinations["web"].auth == Ims("client", Secret(env="NO_SUCH_SECRET"), "a@AdobeOrg")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--client-secret-env", "S", "--org-id", "o"], "[auth.adobe] client_id is missing"),
        (["--client-secret-env", "S", "--client-id", "c"], "[auth.adobe] org_id is missing"),
        (["--client-secret-env", "S", "--token-env", "T"], "Give --token-env or --client-secret-env, not both"),
        (["--client-secret-env", "p8e-s3cr3t", "--client-id", "c", "--org-id", "o"], "give the name, not the secret"),
    ],
)
def test_init_writes_no_account_that_is_wrong(tmp_path: Path, options: list[str], message: str) -> None:
    """Exit code 2, and nothing is left behind; a secret given for a name is not repeated."""
    cli = Cli(tmp_path)
    result = cli("init", "--type", "adobe-edge", "--datastream-id", "d", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "s3cr3t" not in result.output
    assert list(cli.directory.iterdir()) == []


@pytest.mark.parametrize("answers", [{"token_env": "T"}, {"client_secret_env": "S", "client_id": "c", "org_id": "o"}])
def test_an_account_is_written_as_it_is_read(answers: dict[str, str]) -> None:
    """With comments in place; the destination names it."""
    text = configuration(Answers("adobe-edge", datastream_id="d", **answers))
    auth: Any = parse_settings(text, Path("/x/edgequeue.toml")).destinations["web"].auth
    assert {"token_env": "Bearer", "client_secret_env": "Ims"}[next(iter(answers))] == type(auth).__name__
