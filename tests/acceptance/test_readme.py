"""Everything that the README shows is executed, as it stands."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edgequeue.config import parse_settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
SHELL = [text for kind, text in BLOCKS if kind == "sh"]
TOML = [text for kind, text in BLOCKS if kind == "toml"]

INSTALL, FIRST, MAKE, LOOK = SHELL


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The installed `edgequeue` on the path, in an empty directory of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": str(tmp_path), "PYTHONWARNINGS": "error"}


def run(script: str, where: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=where, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
def test_each_block_of_python_runs_as_it_stands(block: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """The README's Python does what it says, with warnings as errors."""
    out = run(f"python - <<'EOF'\n{block}\nEOF", tmp_path, environment)
    assert "print" not in block or out.startswith("delivered ")


def test_the_first_commands_deliver_an_event(tmp_path: Path, environment: dict[str, str]) -> None:
    """The shell commands of the first screen, word for word but for the port, end with a delivered event."""
    script = FIRST.replace("8080", str(free_port()))
    waiting = script.replace(
        "edgequeue init", "until (exec 3<>/dev/tcp/127.0.0.1/PORT) 2>/dev/null; do :; done\nedgequeue init", 1
    )
    port = re.findall(r"--port (\d+)", script)[0]
    out = run("trap 'kill %1' EXIT\n" + waiting.replace("PORT", port), tmp_path, environment)
    assert "delivered" in out


def test_the_commands_for_looking_work_on_a_new_queue(tmp_path: Path, environment: dict[str, str]) -> None:
    """What the README tells the technician to type works."""
    run("edgequeue init --emulator http://127.0.0.1:1", tmp_path, environment)
    assert '"ledger"' in run(LOOK, tmp_path, environment)


@pytest.mark.slow
def test_the_install_commands_give_a_working_command(tmp_path: Path, environment: dict[str, str]) -> None:
    """A plain virtual environment with the run-time dependencies alone is enough."""
    ignored = shutil.ignore_patterns(".git", ".venv*", "*.db", "__pycache__", ".*cache", "dist", "build")
    shutil.copytree(ROOT, tmp_path / "clone", ignore=ignored)
    del environment["PYTHONWARNINGS"]  # pip's own warnings are not ours
    assert "0.1.0" in run(INSTALL, tmp_path / "clone", environment)


def test_make_has_the_two_commands(environment: dict[str, str]) -> None:
    """`make demo` and `make test` exist; what they do is run by `.ci/run` and `test_demo.py`."""
    for line in MAKE.splitlines():
        command = line.partition("#")[0].strip()
        assert "No rule" not in run(f"{command} --dry-run", ROOT, environment)


@pytest.mark.parametrize("block", TOML, ids=range(len(TOML)))
def test_each_configuration_is_accepted(block: str, tmp_path: Path) -> None:
    """The README's configuration is one."""
    settings = parse_settings(block, tmp_path / "edgequeue.toml")
    assert list(settings.destinations) == ["web", "till"]


def test_the_first_screen_is_the_product() -> None:
    """The README stays short, and shows the two commands."""
    assert len(README.splitlines()) <= 180
    assert "make demo" in README
    assert "make test" in README
