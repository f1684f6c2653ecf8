"""Each example runs as it stands against the emulator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgequeue import EventQueue
from edgequeue.emulator import Emulator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

CONFIG = """
[queue]
database = "queue.db"

[destinations.web]
type = "adobe-edge"
endpoint = "{url}"
datastream_id = "example"
"""

EVENT = '{"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": true}]}}}\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "edgequeue.toml"


def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONWARNINGS": "error", **more}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_till_sells_while_the_network_is_gone() -> None:
    """Every sale of the embedded till is delivered once the network is back."""
    done = run(sys.executable, str(EXAMPLES / "till.py"))
    assert done.returncode == 0, done.stderr
    assert "P4715 is delivered" in done.stdout
    assert "30 of 30 sales delivered, 30 arrived" in done.stdout


def test_the_sensor_queues_readings_for_another_process(config: Path) -> None:
    """The measuring process queues; whoever runs the worker sends."""
    with Emulator() as service:
        config.write_text(CONFIG.format(url=service.url))
        done = run(sys.executable, str(EXAMPLES / "sensor.py"), str(config), "--readings", "3", "--seconds", "0")
        assert done.returncode == 0, done.stderr
        with EventQueue.open(config) as queue:
            assert queue.sync().delivered == 3
        assert set(service.arrived.by_id) == set(done.stdout.split())


def sync_by_hand(config: Path, spool: Path) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m edgequeue"
    return run("sh", str(EXAMPLES / "manual_sync.sh"), str(config), str(spool), EDGEQUEUE=command)


def test_the_shell_script_queues_files_and_sends_them(config: Path, tmp_path: Path) -> None:
    """A file goes when its events are safe; a broken one is put aside, and the error names its line."""
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "good.jsonl").write_text(EVENT * 3)
    (spool / "bad.jsonl").write_text(EVENT + '{"xdm": \n')
    with Emulator() as service:
        config.write_text(CONFIG.format(url=service.url))
        done = sync_by_hand(config, spool)
        assert done.returncode == 0, done.stderr
        assert service.arrived.events == 3
    assert [path.name for path in spool.iterdir()] == ["bad.jsonl.refused"]
    assert "bad.jsonl" in done.stderr


def test_the_shell_script_is_content_to_be_offline(config: Path, tmp_path: Path) -> None:
    """Events that remain are no error for cron: the script says why and the next run goes on."""
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "sales.jsonl").write_text(EVENT)
    config.write_text(CONFIG.format(url="http://127.0.0.1:1"))
    script = (EXAMPLES / "manual_sync.sh").read_text()
    shorter = tmp_path / "manual_sync.sh"
    shorter.write_text(script.replace("--timeout 60", "--timeout 1"))
    done = run("sh", str(shorter), str(config), str(spool), EDGEQUEUE=f"{sys.executable} -m edgequeue")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("offline") == 1


def test_the_shell_script_puts_aside_only_what_is_invalid(config: Path, tmp_path: Path) -> None:
    """A full queue or a wrong configuration leaves the files for the next run, and is said once."""
    spool = tmp_path / "spool"
    spool.mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (spool / name).write_text(EVENT * 3)
    with Emulator() as service:
        text = CONFIG.format(url=service.url)
        config.write_text(text.replace("[queue]", "[queue]\nmax_events = 2"))
        done = sync_by_hand(config, spool)
        assert done.stderr.count("Error: ") == 1
        assert "max_events" in done.stderr
        config.write_text(text.replace("datastream_id", "datastream_idd"))
        done = sync_by_hand(config, spool)
        assert done.returncode == 2
        assert done.stderr.count("datastream_idd") == 1
        assert sorted(path.name for path in spool.iterdir()) == ["a.jsonl", "b.jsonl"]
        config.write_text(text)
        assert sync_by_hand(config, spool).returncode == 0
        assert service.arrived.events == 6
    assert list(spool.iterdir()) == []
