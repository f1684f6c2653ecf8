"""What ships is what was tested: the wheel holds the migrations, and works without the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TRY = """
import sys
from pathlib import Path
import edgequeue
assert Path(edgequeue.__file__).is_relative_to(sys.argv[1]), edgequeue.__file__
from edgequeue import AdobeEdge, EventQueue
event = {"xdm": {"identityMap": {"Till": [{"id": "till-7", "primary": True}]}}}
with EventQueue("new.db", [AdobeEdge("web", datastream_id="d")]) as queue:
    print(queue.get(queue.enqueue(event)).status)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(where), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return next(where.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_the_migrations_and_the_types(wheel: Path) -> None:
    """Migrations, py.typed and the licence are in it; caches and tests are not."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "edgequeue/_migrations/env.py" in names
    assert "edgequeue/_migrations/versions/0001_first.py" in names
    assert "edgequeue/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.startswith(("tests/", "migrations/"))]


@pytest.mark.slow
def test_the_installed_wheel_makes_a_database_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Unpacked alone on the path, in a directory without the source, it migrates a new file and stores an event."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, sys.argv[1])\n{TRY}", str(site)],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "pending\n", done.stderr
