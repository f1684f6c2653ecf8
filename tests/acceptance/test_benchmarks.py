"""The benchmarks run, with tiny sizes: what is measured elsewhere is not a test, that it can be measured is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The printed table, and the directory with JSON and pictures."""
    place = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "benchmarks", "--scale", "tiny", "--dir", str(place), "--pictures", str(place)]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [*command, "--json", str(place / "bench.json")],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, place


def test_every_target_has_its_line(run: tuple[str, Path]) -> None:
    """Each of the eleven rows is in the table and in the JSON, with a figure or with the reason why there is none."""
    printed, place = run
    figures = json.loads((place / "bench.json").read_text())["figures"]
    assert {one["row"] for one in figures} == set(range(1, 12))
    assert all(one["text"] in printed for one in figures)
    assert all(isinstance(one.get("value"), float | int) or one["reason"] for one in figures)


def test_no_target_is_forgotten(run: tuple[str, Path]) -> None:
    """What targets.py asks for is what the modules find, neither more nor less."""
    _, place = run
    figures = json.loads((place / "bench.json").read_text())["figures"]
    text = (CHECKOUT / "benchmarks" / "targets.py").read_text()
    assert len(figures) == text.count("    Target(")


@pytest.mark.parametrize("name", ["backlog", "latency", "bytes"])
def test_each_question_has_its_picture(run: tuple[str, Path], name: str) -> None:
    """Well-formed SVG with a title for those who cannot see it."""
    _, place = run
    root = ElementTree.parse(place / f"benchmark-{name}.svg").getroot()
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text
