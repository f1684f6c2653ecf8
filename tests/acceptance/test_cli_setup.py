"""`init` and `doctor`: from nothing to a queue that works, and what is wrong with one that does not."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgequeue.cli.doctor import unwritable
from edgequeue.cli.template import SAMPLES, Answers, configuration
from edgequeue.config import parse_settings
from edgequeue.emulator import Emulator, Fault
from tests.acceptance.cli_harness import CLOSED, ROOT, Cli, dccs, edge, event

AUTH = '[auth.adobe]\ntype = "bearer"\ntoken_env = "NO_SUCH_TOKEN"'


@pytest.fixture
def service() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_init_for_the_emulator_works_at_once(cli: Cli, service: Emulator) -> None:
    """Configuration and queue are there, for their owner alone; enqueue and sync need no option."""
    result = cli("init", "--emulator", service.url)
    assert result.exit_code == 0, result.stderr
    assert f"edgequeue emulator --port {service.port}" in result.stdout
    for file in (cli.config, cli.database):
        assert file.stat().st_mode & 0o777 == 0o600
    assert cli("enqueue", stdin=SAMPLES["adobe-edge"]).exit_code == 0
    assert cli("sync").exit_code == 0
    assert service.arrived.events == 1


ACCOUNT = ["--client-id", "client", "--org-id", "o@AdobeOrg", "--client-secret-env", "EDGEQUEUE_TEST_SECRET"]
TOKEN = ["--token-env", "EDGEQUEUE_TEST_SECRET"]


@pytest.mark.parametrize("kind", ["adobe-edge", "adobe-dccs"])
@pytest.mark.parametrize("signing", [[], ACCOUNT, TOKEN, [*TOKEN, "--client-id", "client", "--org-id", "o@AdobeOrg"]])
def test_what_init_says_next_works_as_it_is_printed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, kind: str, signing: list[str]
) -> None:
    """The emulator started by the printed line takes the sample that the printed line enqueues."""
    monkeypatch.setenv("EDGEQUEUE_TEST_SECRET", "s3cr3t")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = cli("init", "--type", kind, "--emulator", f"http://127.0.0.1:{port}", *signing)
    assert result.exit_code == 0, result.stderr
    steps = [line.strip().partition("   ")[0] for line in result.stdout.partition("Next:\n")[2].splitlines()]
    assert [line.startswith("export EDGEQUEUE_TEST_SECRET=") for line in steps].count(True) == bool(signing)
    commands = [line for line in steps if not line.startswith("export ")]
    with shell(cli, f"exec {commands[0]}") as emulator:
        try:
            assert emulator.stdout is not None
            assert emulator.stdout.readline() == f"emulator listening on http://127.0.0.1:{port}\n"
            for line in commands[1:]:
                with shell(cli, line) as process:
                    said, wrong = process.communicate()
                assert process.returncode == 0, (line, said, wrong)
        finally:
            emulator.terminate()
        arrived, _ = emulator.communicate()
    assert "arrived 1, distinct 1, duplicates 0" in arrived
    assert cli.json("status")["ledger"]["delivered"] == 1


def shell(cli: Cli, line: str) -> subprocess.Popen[str]:
    """A line as it is typed, where `edgequeue` is on the path."""
    program = cli.directory / "bin" / "edgequeue"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m edgequeue "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    pipe = subprocess.PIPE
    environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(["sh", "-c", line], cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://127.0.0.1:8080", ""),
        ("http://localhost:9000/", " --port 9000"),
        ("http://[::1]:9000", " --port 9000 --host ::1"),
        ("http://127.0.0.1", " --port 80"),
    ],
)
def test_init_says_where_the_emulator_has_to_listen(cli: Cli, url: str, options: str) -> None:
    """As the configuration has it."""
    result = cli("init", "--emulator", url)
    assert result.exit_code == 0, result.stderr
    assert f"  edgequeue emulator{options}          (in another terminal)\n" in result.stdout


def test_a_second_init_shows_how_to_add_a_destination(cli: Cli) -> None:
    """The file is kept; the table that is shown can be appended to it as it is, under a name that is free."""
    assert cli("init", "--emulator", *TOKEN).exit_code == 0
    for options, name in (([], "web-2"), (["--type", "adobe-dccs", *TOKEN], "till"), (["--name", "shop"], "shop")):
        result = cli("init", "--datastream-id", "d", "--endpoint", f"{CLOSED}/collection/a", *options)
        assert result.exit_code == 2
        assert f"{cli.config} exists and is kept." in result.stderr
        assert "--force" in result.stderr
        table = result.stderr.partition("edgequeue doctor:\n\n")[2].partition("\n\nTo replace")[0]
        assert table.startswith(f"[destinations.{name}]\n")
        with cli.config.open("a") as file:
            file.write(f"\n{table}\n")
        assert name in parse_settings(cli.config.read_text(), cli.config).destinations


def test_a_second_init_beside_a_broken_file(cli: Cli) -> None:
    """What cannot be read is kept too, and the way on is shown."""
    cli.config.write_text("[destinations\n")
    result = cli("init", "--emulator")
    assert result.exit_code == 2
    assert "[destinations.web]" in result.stderr
    assert cli.config.read_text() == "[destinations\n"


def test_init_has_the_emulators_address(cli: Cli) -> None:
    """`--emulator` alone is the port that `edgequeue emulator` listens on."""
    assert cli("init", "--emulator").exit_code == 0
    assert 'endpoint = "http://127.0.0.1:8080"' in cli.config.read_text()


def test_init_keeps_what_is_there(cli: Cli) -> None:
    """A configuration is replaced only by force, a database never."""
    cli.configure()
    cli.enqueue(event(1))
    before = cli.config.read_text()
    result = cli("init", "--emulator")
    assert result.exit_code == 2
    assert "exists and is kept" in result.stderr
    assert cli.config.read_text() == before
    result = cli("init", "--emulator", "--force")
    assert result.exit_code == 0
    assert f"Kept the queue {cli.database}." in result.stdout
    assert cli.json("status")["ledger"]["enqueued"] == 1


def test_init_with_options(cli: Cli) -> None:
    """Everything that the options say stands in the file; the token does not."""
    inlet = "https://dcs.adobedc.net/collection/667b"
    where = ["--type", "adobe-dccs", "--name", "kasse-1", "--endpoint", inlet, "--database", "sub.db"]
    what = ["--dataset-id", "ds", "--schema-id", 'https://ns.adobe.com/"x']
    who = ["--org-id", "o@AdobeOrg", "--token-env", "NO_SUCH_TOKEN", "--client-id", "c"]
    result = cli("init", *where, *what, *who)
    assert result.exit_code == 0, result.stderr
    assert (cli.directory / "sub.db").exists()
    assert "export NO_SUCH_TOKEN=…" in result.stdout
    settings = parse_settings(cli.config.read_text(), cli.config)
    found: Any = settings.destinations["kasse-1"]
    assert (found.endpoint, found.dataset_id, found.schema_id) == (inlet, "ds", 'https://ns.adobe.com/"x')
    assert (found.org_id, found.auth.client_id, found.auth.org_id) == ("o@AdobeOrg", "c", "o@AdobeOrg")
    assert cli("enqueue", stdin=SAMPLES["adobe-dccs"]).exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Give --type"),
        (["--type", "adobe-edge"], "datastream_id is missing"),
        (["--type", "adobe-dccs", "--endpoint", "https://x.example"], "is no inlet URL"),
        (["--emulator", "127.0.0.1:8080"], "--emulator takes an address such as http://127.0.0.1:8080"),
        (["--emulator", "https://127.0.0.1:8080"], "--emulator takes an address"),
        (["--emulator", "http://127.0.0.1:8080/ee"], "--emulator takes an address"),
        (["--emulator", "--endpoint", CLOSED], "Give --emulator or --endpoint, not both"),
        (["--type", "adobe-edge", "--datastream-id", "d", "--name", "a b"], "destination name 'a b'"),
    ],
)
def test_init_writes_nothing_wrong(cli: Cli, options: list[str], message: str) -> None:
    """What edgequeue itself would refuse is not written: exit code 2."""
    result = cli("init", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(cli.directory.iterdir()) == []


def test_init_in_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """Exit code 2, naming it."""
    result = Cli(tmp_path / "missing")("init", "--emulator")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr


def test_init_asks(cli: Cli) -> None:
    """On a terminal it asks for what is missing; a line that is left empty takes the default."""
    mine, theirs = os.openpty()
    os.write(mine, b"\nmy-datastream\n")
    with cli.process("init", stdin=theirs) as process:
        said, wrong = process.communicate()
    os.close(theirs)
    os.close(mine)
    assert process.returncode == 0, wrong
    assert "Type of the destination (adobe-edge, adobe-dccs) [adobe-edge]: " in said
    settings = parse_settings(cli.config.read_text(), cli.config)
    found: Any = settings.destinations["web"]
    assert (found.type, found.datastream_id) == ("adobe-edge", "my-datastream")


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_the_written_text_is_read_back(kind: str) -> None:
    """Whatever characters the answers hold."""
    odd = 'ä"\\\x7f\t#'
    inlet = "https://dcs.adobedc.net/collection/a"
    answers = Answers(kind, "a.b", database=odd, endpoint=inlet, datastream_id=odd, dataset_id=odd, schema_id=odd)
    settings = parse_settings(configuration(answers), Path("/x/edgequeue.toml"))
    assert settings.queue.database.name == odd
    assert list(settings.destinations) == ["a.b"]


# --- doctor ---------------------------------------------------------------------------------------------------------


def findings(cli: Cli) -> tuple[int, dict[str, dict[str, Any]]]:
    result = cli("doctor", "--json")
    document = json.loads(result.stdout)
    assert list(document) == ["findings"]
    for finding in document["findings"]:
        assert list(finding) == ["check", "ok", "text", "remedy"]
        assert finding["text"]
        assert finding["ok"] == (finding["remedy"] is None)
    return result.exit_code, {one["check"]: one for one in document["findings"]}


def test_doctor_finds_all_well(cli: Cli, service: Emulator) -> None:
    """Exit code 0, each thing that was looked at with a mark; no request is sent."""
    cli.configure(edge("web", service.url))
    code, found = findings(cli)
    assert code == 0
    assert list(found) == [
        *("configuration", "disk", "database", "ledger", "worker", "permissions", "clock", "destination web"),
    ]
    result = cli("doctor")
    assert result.exit_code == 0
    assert result.stdout.count("ok     ") == len(found)
    assert result.stdout.endswith("All is well.\n")
    assert service.requests == []


def test_doctor_without_a_configuration(cli: Cli) -> None:
    """Exit code 2, and the remedy."""
    code, found = findings(cli)
    assert code == 2
    assert not found["configuration"]["ok"]
    assert "edgequeue init" in found["configuration"]["remedy"]


def test_doctor_and_a_destination_out_of_reach(cli: Cli) -> None:
    """Exit code 3."""
    cli.configure(edge("web", CLOSED))
    code, found = findings(cli)
    assert code == 3
    assert found["destination web"]["text"] == "127.0.0.1:9 cannot be reached: Connection refused"


def test_doctor_and_a_mute_tls_port(cli: Cli) -> None:
    """What answers but speaks no TLS is out of reach too."""
    with Emulator() as plain:
        cli.configure(edge("web", plain.url.replace("http:", "https:"), connect_timeout_seconds=0.1))
        code, found = findings(cli)
    assert code == 3
    assert "does not answer the TLS handshake; is it http://?" in found["destination web"]["text"]


def test_doctor_and_tls_to_a_port_that_has_none(cli: Cli) -> None:
    """A plain answer to the handshake is said to be one, without the words of a C library."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer_plainly, args=(server,), daemon=True)
        thread.start()
        port = server.getsockname()[1]
        cli.configure(edge("web", f"https://127.0.0.1:{port}"))
        code, found = findings(cli)
        thread.join()
    assert code == 3
    text = found["destination web"]["text"]
    assert text == f"127.0.0.1:{port} takes connections, but it does not speak TLS; is it an http:// address?"


def _answer_plainly(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("key", ["ca_file", "client_cert"])
def test_doctor_and_certificates_that_cannot_be_used(cli: Cli, key: str) -> None:
    """A file that is not there, or is none: a fault of the configuration, exit code 2."""
    missing, text = cli.directory / "no.pem", cli.directory / "text.pem"
    text.write_text("dear diary\n")
    for file, reason in ((missing, "cannot be read: No such file"), (text, "there is no PEM certificate")):
        cli.configure(edge("web", CLOSED, **{key: str(file)}))
        code, found = findings(cli)
        assert code == 2
        assert f"{key} {file} can" in found["destination web"]["text"]
        assert reason in found["destination web"]["text"]


def test_doctor_and_events_that_nobody_sends(cli: Cli, service: Emulator) -> None:
    """Events wait and no worker runs: exit code 3, and what to run; a queue that is empty needs none."""
    cli.configure(edge("web", service.url))
    code, found = findings(cli)
    assert (code, found["worker"]["ok"]) == (0, True)
    cli.enqueue(event(1))
    code, found = findings(cli)
    assert code == 3
    assert found["worker"]["text"] == "1 event waits and no worker is running"
    assert "edgequeue sync" in found["worker"]["remedy"]
    assert "edgequeue run" in found["worker"]["remedy"]
    result = cli("doctor")
    assert "WARN   worker: 1 event waits" in result.stdout
    assert "All is well" not in result.stdout


def test_doctor_and_a_destination_that_has_to_wait(cli: Cli) -> None:
    """Offline: the reason and the next try; exit code 3."""
    cli.configure(edge("web", CLOSED))
    cli.enqueue(event(1))
    assert cli("sync").exit_code == 3
    code, found = findings(cli)
    assert code == 3
    assert found["delivery web"]["text"].startswith("offline, 1 event waits: ")
    cli.configure(edge("web", CLOSED, auth="adobe").replace("http:", "https:"), AUTH)
    assert cli("sync").exit_code == 3
    code, found = findings(cli)
    assert code == 2
    assert found["delivery web"]["text"].startswith("paused: ")


def test_doctor_and_dead_events(cli: Cli, service: Emulator) -> None:
    """How many, and where to look: exit code 4; well again when they were requeued and delivered."""
    cli.configure(edge("web", service.url))
    service.add_fault(Fault("status", status=422, event_id="sale-2"))
    cli.enqueue(event(2))
    assert cli("sync").exit_code == 4
    code, found = findings(cli)
    assert code == 4
    assert found["dead events"]["text"] == "1 event refused, and kept"
    assert "edgequeue list --status dead" in found["dead events"]["remedy"]
    assert "WARN   dead events" in cli("doctor").stdout
    cli("requeue", "--all")
    cli("sync")
    assert findings(cli)[0] == 0


def test_doctor_and_a_destination_that_was_retired(cli: Cli, service: Emulator) -> None:
    """One that the configuration has no more and for which nothing waits is no fault."""
    cli.configure(edge("web", service.url))
    cli.enqueue(event(1))
    assert cli("sync").exit_code == 0
    cli.configure(edge("other", service.url))
    assert findings(cli)[0] == 0


def test_doctor_at_80_columns(cli: Cli) -> None:
    """Every line of every finding fits, whether it is well or not."""
    cli.configure(edge("web", CLOSED), edge("shop", CLOSED))
    cli.enqueue(event(1), options=("--to", "web"))
    cli("sync")
    code, shown = cli.terminal("doctor")
    assert code == 3
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    long = [
        line for line in plain.splitlines() if len(line) > 80 and " " in line.strip()[:-1].partition(":")[2].strip()
    ]
    assert long == []


def test_what_cannot_be_written_names_what_to_do(tmp_path: Path) -> None:
    """The owner is told the mode, others whose it is, and a read-only file system is said to be one."""
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o500)
    found = unwritable("disk", mine)
    assert "is yours, but its mode 500" in found.text
    assert found.remedy == f"Run chmod u+w {mine}"
    assert found.code == 5
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    for place in (one[1] for one in mounts if "ro" in one[3].split(",")):
        assert "mounted read-only" in unwritable("disk", Path(place)).text


def test_doctor_and_a_missing_org_id(cli: Cli, service: Emulator) -> None:
    """Advice: DCCS fills it in. Exit code 0, but not all is well; other commands say nothing of it."""
    inlet = f"{service.url}/collection/demo"
    cli.configure(dccs("till", inlet))
    code, found = findings(cli)
    assert (code, found["org_id till"]["remedy"]) == (0, 'Add org_id = "…@AdobeOrg" to [destinations.till].')
    result = cli("doctor")
    assert result.exit_code == 0
    assert "WARN   org_id till: " in result.stdout
    assert "All is well" not in result.stdout
    assert cli("status").stderr == ""
    cli.configure(dccs("till", inlet, org_id="o@AdobeOrg"))
    assert "org_id till" not in findings(cli)[1]


def test_doctor_and_a_proxy(cli: Cli) -> None:
    """The proxy is what has to be reached."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        port = proxy.getsockname()[1]
        cli.configure(edge("web", "https://edge.invalid", proxy=f"http://127.0.0.1:{port}"))
        code, found = findings(cli)
    assert code == 0
    assert f"the proxy 127.0.0.1:{port} for edge.invalid" in found["destination web"]["text"]


def test_doctor_and_a_token(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set: exit code 2. The token itself is never shown."""
    auth = '[auth.adobe]\ntype = "bearer"\ntoken_env = "EDGEQUEUE_TEST_TOKEN"'
    monkeypatch.delenv("EDGEQUEUE_TEST_TOKEN", raising=False)
    cli.configure(edge("web", CLOSED.replace("http:", "https:"), auth="adobe"), auth)
    code, found = findings(cli)
    assert code == 2
    assert "EDGEQUEUE_TEST_TOKEN is not set" in found["token web"]["text"]
    monkeypatch.setenv("EDGEQUEUE_TEST_TOKEN", "s3cr3t")
    result = cli("doctor")
    assert result.exit_code == 3
    assert "token web: there is one" in result.stdout
    assert "s3cr3t" not in result.output


def test_doctor_and_a_broken_database(cli: Cli) -> None:
    """Exit code 5 above all others."""
    cli.configure(edge("web", CLOSED))
    cli.database.write_bytes(b"no database at all\n" * 100)
    code, found = findings(cli)
    assert code == 5
    assert not found["database"]["ok"]
    assert "move the file aside" in found["database"]["remedy"]
    cli.configure(edge("web", CLOSED), database="missing/queue.db")
    code, found = findings(cli)
    assert code == 5
    assert not found["disk"]["ok"]


def test_doctor_and_permissions(cli: Cli, service: Emulator) -> None:
    """Files with secrets or events that every user may read: exit code 2, with the command that helps."""
    auth = '[auth.adobe]\ntype = "bearer"\ntoken = "s3cr3t"'
    cli.configure(edge("web", service.url), auth)
    cli.enqueue(event(1))
    cli.config.chmod(0o644)
    cli.database.chmod(0o644)
    code, found = findings(cli)
    assert code == 2
    assert f"chmod 600 {cli.config}" in found["secrets"]["remedy"].replace("Run ", "")
    assert f"chmod 600 {cli.database}" in found["permissions"]["remedy"]
    assert "s3cr3t" not in json.dumps(found)


def test_doctor_names_what_is_switched_off_and_what_is_gone(cli: Cli) -> None:
    """A destination that is off is no fault; events for one that is gone are."""
    cli.configure(edge("web"))
    cli.enqueue(event(1))
    cli.configure(edge("other", enabled=False))
    code, found = findings(cli)
    assert code == 2
    assert found["destination other"]["ok"]
    assert "no destination 'web' any more" in found["destination web"]["text"]
