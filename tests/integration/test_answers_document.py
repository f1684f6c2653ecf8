"""docs/answers.md is what the code says: made from its tables, and complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAKE = ROOT / "docs" / "make_answers"


def test_the_document_says_what_the_code_does() -> None:
    """Made anew, it is what is there."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(MAKE), "-"], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    there = (ROOT / "docs" / "answers.md").read_text(encoding="utf-8")
    assert done.stdout == there, "docs/answers.md is not what the code does any more: run make answers"


def test_the_document_knows_every_way_a_connection_fails() -> None:
    """Each code that the transport gives stands in the table of no answer."""
    transport = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "edgequeue" / "transport").glob("*.py"))
    given = set(re.findall(r'(?:fault\(|_unreached\(progress, |code=)"(\w+)"', transport))
    assert {"dns", "cut", "closed"} <= given, "they are written differently now"
    known = set(re.findall(r'"(\w+)": "', (MAKE / "others.py").read_text(encoding="utf-8")))
    assert given - known == set()


def test_the_document_says_that_a_batch_that_fails_again_and_again_is_halved() -> None:
    """For a 500 of any service, and not for a plea for patience, which says nothing about any event."""
    rows = (ROOT / "docs" / "answers.md").read_text(encoding="utf-8").splitlines()
    failures = [row for row in rows if row.startswith("| 500 | kept; dead after 5")]
    assert [row.count("a batch is *halved in the end*") for row in failures] == [
        1,
        1,
        0,
        1,
    ]  # one message of DCCS is no batch
    assert not any("halved in the end" in row for row in rows if row.startswith("| 408, 425, 429, 503"))
