"""The emulator as a program: `python -m edgequeue.emulator`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import edgequeue.emulator

ROOT = Path(edgequeue.emulator.__file__).parents[2]


def program(*arguments, module="edgequeue.emulator"):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_program_names_its_address_its_requests_and_what_arrived(client, edge_event, ending):
    """First the address, then a line for each request, at the end the summary; exit code 0."""
    with program("--port", "0", "--fault", "status:status=503") as running:
        address = running.stdout.readline().split()[-1]
        for _ in range(3):
            client.post(f"{address}/ee/v2/collect?dataStreamId=w", json={"events": [edge_event("a")]})
        running.send_signal(ending)
        output, errors = running.communicate(timeout=30)
    first, second, third, summary = output.splitlines()
    assert all(word in first for word in ("edge", "1 event", "503", "fault: status"))
    assert all("202" in line and "fault" not in line for line in (second, third))
    assert summary == "arrived 2, distinct 1, duplicates 1"
    assert (running.returncode, errors) == (0, "")


def test_the_quiet_program_says_only_the_first_and_the_last(client):
    """--quiet leaves out the line for each request."""
    with program("--quiet", "--token", "t") as running:
        address = running.stdout.readline().split()[-1]
        assert client.post(f"{address}/collection/till", json={}).status_code == 401
        running.terminate()
        output, _ = running.communicate(timeout=30)
    assert output == "arrived 0, distinct 0, duplicates 0\n"


@pytest.mark.parametrize("command", [("edgequeue.emulator",), ("edgequeue", "emulator")])
def test_the_program_has_moods_and_a_token_service(client, command):
    """As a module and as a command: a mood of rate 1 strikes each request; IMS knows the one client."""
    module, *first = command
    mood = ("--mood", "status:status=418:service=edge", "--mood-rate", "1", "--mood-seed", "7")
    credentials = ("--client-id", "till", "--client-secret", "s", "--token-seconds", "60")
    with program(*first, "--port", "0", *credentials, *mood, module=module) as running:
        address = running.stdout.readline().split()[-1]
        form = {"grant_type": "client_credentials", "client_id": "till", "client_secret": "s", "scope": "openid"}
        token = client.post(f"{address}/ims/token/v3", data=form).json()
        assert client.post(f"{address}/ee/v2/collect", json={}).status_code == 418
        running.terminate()
        output, errors = running.communicate(timeout=30)
    assert token["expires_in"] == 60
    assert token["access_token"] not in output
    assert "ims  POST /ims/token/v3  0 events  200" in output
    assert errors == ""


@pytest.mark.parametrize("command", [("edgequeue.emulator",), ("edgequeue", "emulator")])
def test_the_program_takes_the_options_of_every_service(client, command):
    """As a module and as a command: keys and projects of Bloomreach, inlets, datasets, the sandbox, no Smile."""
    module, *first = command
    bloomreach = ("--project-token", "shop", "--public-token", "p", "--private-key", "id:secret")
    adobe = (
        "--inlet",
        "till:raw",
        "--no-smile",
        "--sandbox",
        "dev",
        "--dataset",
        "d1=https://ns.adobe.com/s/schemas/1",
    )
    platform = {"authorization": "Bearer t", "x-api-key": "k", "x-gw-ims-org-id": "o", "x-sandbox-name": "dev"}
    with program(*first, "--port", "0", "--quiet", *bloomreach, *adobe, module=module) as running:
        address = running.stdout.readline().split()[-1]
        tried = [
            client.post(f"{address}/track/v2/projects/other/batch", json={}),
            client.post(f"{address}/track/v2/projects/shop/batch", json={}),
            client.post(f"{address}/track/v2/projects/shop/batch", json={}, auth=("id", "other")),
            client.post(f"{address}/collection/kiosk", json={}),
            client.post(f"{address}/collection/till", json={}, headers={"x-sandbox-name": "dev"}),
            client.post(
                f"{address}/ee/v2/collect?dataStreamId=w", headers={"content-type": "application/x-jackson-smile"}
            ),
            client.get(f"{address}/data/foundation/catalog/dataSets/d2", headers=platform),
            client.get(f"{address}/data/foundation/catalog/dataSets/d1", headers=platform),
        ]
        running.terminate()
        _, errors = running.communicate(timeout=30)
    assert [answer.status_code for answer in tried] == [400, 401, 403, 404, 400, 415, 404, 200]
    assert "no x-adobe-flow-id" in tried[4].text
    assert (running.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--fault", "storm"], "unknown fault 'storm'; known are: offline"),
        (["--fault", "offline"], "offline needs seconds"),
        (["--error-shape", "odd"], "invalid choice"),
        (["--mood-rate", "2"], "2 is not from 0 to 1"),
        (["--mood", "offline"], "offline needs seconds"),
        (["--inlet", "till:closed"], "'closed' is none of: authenticated, open, xdm, raw"),
        (["--dataset", "d1"], "must be DATASET=SCHEMA"),
        (["--private-key", "id"], "a colon and its secret"),
    ],
)
def test_the_program_explains_wrong_options(arguments, complaint):
    """Exit code 2 and a text that names the cause, before anything listens."""
    with program(*arguments) as running:
        output, errors = running.communicate(timeout=30)
    assert (running.returncode, output) == (2, "")
    assert complaint in errors


def test_the_program_says_when_its_port_is_taken(emulator):
    """Exit code 2 with the address that cannot be had."""
    with program("--port", str(emulator.port)) as running:
        _, errors = running.communicate(timeout=30)
    assert running.returncode == 2
    assert f"cannot listen on 127.0.0.1:{emulator.port}" in errors
