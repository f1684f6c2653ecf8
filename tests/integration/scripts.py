"""Python run in a process of its own, for what a test cannot do to the process that pytest lives in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BOUND_SECONDS = 60.0
"""No wait of a test is longer; none should come near."""

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = """
import os, sys, threading
from pathlib import Path
from edgequeue.model import Draft, ID_PLACEHOLDER, Priority
from edgequeue.store.facade import SqliteStore
PATH = Path(sys.argv[1])
DRAFT = Draft(('{"_id":"%s","note":"sale"}' % ID_PLACEHOLDER).encode(), 8, None, None, False, ())
def opened():
    store = SqliteStore.open(PATH)
    store.register("web", "adobe-edge")
    return store
def put(store):
    return store.put("web", DRAFT, Priority.NORMAL, 30.0)
"""


def start(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Run `code` after `PRELUDE`; the first argument is the database."""
    command = [sys.executable, "-c", PRELUDE + code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> list[str]:
    """The words it printed, once it has ended well."""
    with process:
        try:
            out, _ = process.communicate(timeout=BOUND_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0, out
    return out.split()


def run(code: str, *arguments: str | Path) -> list[str]:
    return finish(start(code, *arguments))
