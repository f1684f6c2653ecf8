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


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--fault", "storm"], "unknown fault 'storm'; known are: offline"),
        (["--fault", "offline"], "offline needs seconds"),
        (["--error-shape", "odd"], "invalid choice"),
        (["--mood-rate", "2"], "2 is not from 0 to 1"),
        (["--mood", "offline"], "offline needs seconds"),
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
