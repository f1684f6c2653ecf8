"""The example of a third party's destination: installed as a package of its own, found by its name, and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "webhook"


class _Shop(BaseHTTPRequestHandler):
    """The webhook's other side: takes every event but those without an article."""

    taken: list[dict[str, object]]

    def do_POST(self) -> None:
        events = json.loads(self.rfile.read(int(self.headers["content-length"])))["events"]
        refused = {str(n): "no article" for n, event in enumerate(events) if "article" not in event}
        self.taken.extend(event for event in events if "article" in event)
        body = json.dumps({"refused": refused}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-request-id", "shop-1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test's output is its own."""


@pytest.fixture
def shop() -> Iterator[ThreadingHTTPServer]:
    handler = type("Shop", (_Shop,), {"taken": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that has the package installed beside edgequeue."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(site), str(EXAMPLE)], check=True, capture_output=True, timeout=120)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)])}


@pytest.mark.slow
def test_an_installed_destination_is_configured_like_any_other(
    installed: dict[str, str], shop: ThreadingHTTPServer, tmp_path: Path
) -> None:
    """Its type in the configuration is enough: enqueue, sync, list and its own settings work."""
    (tmp_path / "edgequeue.toml").write_text(
        f'[queue]\ndatabase = "queue.db"\n\n[destinations.shop]\ntype = "webhook"\nsource = "till-7"\n'
        f'endpoint = "http://127.0.0.1:{shop.server_port}/hook"\n'
    )
    (tmp_path / "events.jsonl").write_text('{"article": 1}\n{"total": 2}\n{"article": 3}\n')

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edgequeue", *arguments],
            cwd=tmp_path, env=installed, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    enqueued = run("enqueue", "events.jsonl")
    assert enqueued.returncode == 0, enqueued.stderr
    synced = run("sync", "--json")
    assert synced.returncode == 4, synced.stderr
    report = json.loads(synced.stdout)
    assert (report["delivered"], report["dead"]) == (2, 1)
    assert [event["article"] for event in shop.RequestHandlerClass.taken] == [1, 3]  # type: ignore[attr-defined]
    dead = json.loads(run("list", "--status", "dead", "--json").stdout)
    assert dead["error"]["message"] == "no article"


@pytest.mark.slow
def test_the_example_passes_its_own_tests(installed: dict[str, str]) -> None:
    """The contract suite that ships is all it takes to test a destination."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")]
    done = subprocess.run(command, env=installed, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
