"""From nothing to a delivered event: a connection is made through Flow Service, and events travel through its inlet.

The platform is the emulator's, written apart from the client: a second opinion on every request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgequeue.emulator import Emulator, Fault
from tests.acceptance.cli_harness import Cli

SCHEMA = "https://ns.adobe.com/acme/schemas/7f682c29f887512a"
DATASET = "637eb7fadc8a211b6312b65b"
WHAT = ("--schema-id", SCHEMA, "--dataset-id", DATASET)
CONFIG = """
[queue]
database = "queue.db"

[flow_service]
endpoint = "{url}"
auth = "adobe"
sandbox_name = "shops"

[auth.adobe]
type = "ims"
endpoint = "{token_url}"
client_id = "client"
client_secret = "s3cr3t-of-the-client"
org_id = "org@AdobeOrg"
"""
MAPPING = "source,destination\nfirstName,person.name.firstName\nlastName,person.name.lastName\n"
OBJECTS = {"connections": 1, "sourceConnections": 1, "targetConnections": 1, "flows": 1}


def an_adobe() -> Emulator:
    """A platform and its inlets, which are made through it alone."""
    return Emulator(
        client_id="client",
        client_secret="s3cr3t-of-the-client",
        org_id="org@AdobeOrg",
        sandbox="shops",
        datasets={DATASET: SCHEMA},
        inlets=("nobodys",),
    )


def configured(directory: Path, adobe: Emulator) -> Cli:
    found = Cli(directory)
    found.config.write_text(CONFIG.format(url=adobe.url, token_url=adobe.token_url))
    found.config.chmod(0o600)
    (directory / "mapping.csv").write_text(MAPPING)
    return found


@pytest.fixture
def adobe() -> Iterator[Emulator]:
    with an_adobe() as service:
        yield service


@pytest.fixture
def cli(tmp_path: Path, adobe: Emulator) -> Cli:
    return configured(tmp_path, adobe)


def open_now(cli: Cli) -> None:
    """The five minutes after the dataflow was made are over."""
    text = cli.config.read_text()
    assert re.search(r"(?m)^not_before = ", text)
    cli.config.write_text(re.sub(r"(?m)^not_before = .*\n", "", text))


def delivered(cli: Cli, *events: dict[str, Any]) -> dict[str, int]:
    cli.enqueue(*events)
    result = cli("sync", "--json")
    report: dict[str, int] = json.loads(result.stdout)
    return report


def test_an_authenticated_xdm_connection(cli: Cli, adobe: Emulator) -> None:
    """Made, written into the configuration, waited for, used: with the token, the sandbox and the flow id."""
    made = cli("connection", "create", "till", *WHAT, "--write")
    assert made.exit_code == 0, made.stderr
    assert adobe.platform.counts() == {**OBJECTS, "mappingSets": 0}
    status = json.loads(cli("status", "--json").stdout)["destinations"]["till"]
    assert (status["state"], status["reason"]["code"]) == ("waiting", "not_before")
    assert delivered(cli, {"xdm": {"eventType": "sale"}})["requests"] == 0
    open_now(cli)
    report = delivered(cli, *({"xdm": {"eventType": "sale", "n": n}} for n in range(3)))
    assert (report["delivered"], report["remaining"]) == (4, 0)
    assert adobe.arrived.distinct == 4


def test_raw_data_with_a_mapping_at_an_open_inlet(cli: Cli, adobe: Emulator) -> None:
    """A mapping set is made, and each event goes by itself with the flow id beside it."""
    options = ("--data-type", "raw", "--mapping", str(cli.directory / "mapping.csv"), "--open")
    made = cli("connection", "create", "people", *WHAT, *options, "--write")
    assert made.exit_code == 0, made.stderr
    assert adobe.platform.counts() == {**OBJECTS, "mappingSets": 1}
    open_now(cli)
    report = delivered(cli, {"data": {"firstName": "Ada"}}, {"data": {"firstName": "Grace"}})
    assert (report["delivered"], report["requests"]) == (2, 2)
    shown = cli("connection", "show", "people")
    assert shown.exit_code == 0
    assert "person.name.firstName" in shown.stdout or "mapping" in shown.stdout


@pytest.mark.slow
def test_a_create_whose_answer_was_lost_at_any_request_ends_with_one_of_each(tmp_path: Path) -> None:
    """The platform has done it and the client has not heard; then the same command again, and again."""
    for skipped in range(100):
        with an_adobe() as adobe:
            cli = configured(tmp_path, adobe)
            mapping = str(tmp_path / "mapping.csv")
            create = ("connection", "create", "people", *WHAT, "--data-type", "raw", "--mapping", mapping)
            adobe.add_fault(Fault("cut_after", service="platform", skip=skipped))
            cli(*create)
            struck = any(seen.fault for seen in adobe.requests)
            for _ in range(2):
                again = cli(*create)
                assert again.exit_code == 0, again.stderr
            assert adobe.platform.counts() == {**OBJECTS, "mappingSets": 1}, f"a cut at request {skipped + 1}"
        if not struck:
            break
    assert 12 <= skipped < 99
