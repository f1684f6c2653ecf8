"""Documentation that can be wrong is checked: commands, settings and links."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from configparser import ConfigParser
from dataclasses import fields
from pathlib import Path

import click
import pytest

from edgequeue import AdobeDccs, AdobeEdge, Bloomreach, Destination
from edgequeue.cli import cli as group
from edgequeue.config import QueueSettings, parse_settings
from edgequeue.emulator.faults import FORMS, KINDS, MATCHING
from edgequeue.flow_service.settings import FlowService

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
CONTEXT = click.Context(group)
COMMANDS = group.list_commands(CONTEXT)


def parts(section: str) -> set[str]:
    """The keys that a section of the configuration's documentation names, first column of its table."""
    _, _, rest = CONFIGURATION.partition(f"## {section}")
    return set(re.findall(r"^\| `(\w+)`", rest.split("\n## ")[0], re.MULTILINE))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str) -> None:
    """Each command and each of its options has help, and the README names the command."""
    command = group.get_command(CONTEXT, name)
    assert command is not None
    assert command.help
    undocumented = [one.name for one in command.params if isinstance(one, click.Option) and not one.help]
    assert undocumented == []
    assert re.search(rf"`[^`]*\b{name}\b[^`]*`", README), f"the README does not name {name}"


def test_every_setting_is_documented() -> None:
    """Each key of each table stands in docs/configuration.md, and no other does."""
    common = {one.name for one in fields(Destination)} - {"name"}
    assert parts("`[queue]`") == {one.name for one in fields(QueueSettings)}
    assert parts("`[flow_service]`") == {one.name for one in fields(FlowService)} - {"auth_name"}
    assert parts("`[destinations.NAME]`, all types") == common | {"type"}
    for kind in (AdobeEdge, AdobeDccs, Bloomreach):
        own = {one.name for one in fields(kind)} - common - {"name"}
        assert parts(f'`type = "{kind.type}"`') - {"endpoint"} == own


def test_the_python_of_the_documentation_runs(tmp_path: Path) -> None:
    """The blocks of docs/python.md, one after the other, with warnings as errors."""
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "delivered" in done.stdout
    assert "xdm" in done.stdout


def test_the_recipe_and_the_unit_agree() -> None:
    """docs/raspberry-pi.md sets up what examples/edgequeue.service expects, and its configuration is one."""
    recipe = (ROOT / "docs" / "raspberry-pi.md").read_text(encoding="utf-8")
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read(ROOT / "examples" / "edgequeue.service", encoding="utf-8")
    service = unit["Service"]
    program, option, config, command = service["ExecStart"].split()
    assert (option, command) == ("--config", "run")
    state = f"/var/lib/{service['StateDirectory']}"
    assert f"{program} --config {config} status" in recipe
    assert f"chmod 0640 {config}" in recipe
    assert f"useradd --system --home-dir {state} --shell /usr/sbin/nologin {service['User']}\n" in recipe
    assert f"/dev/null {service['EnvironmentFile'].removeprefix('-')}" in recipe
    (toml,) = re.findall(r"^```toml\n(.*?)^```", recipe, re.MULTILINE | re.DOTALL)
    settings = parse_settings(toml, Path(config))
    assert str(settings.queue.database.parent) == state


def test_the_emulators_help_names_every_fault() -> None:
    """Each kind of fault with its keys and forms, as the emulator has them."""
    command = group.get_command(CONTEXT, "emulator")
    assert command is not None
    text = command.help or ""
    for kind, keys in KINDS.items():
        line = next(line for line in text.splitlines() if line.split()[:1] == [kind])
        assert set(keys) <= set(re.findall(r"\w+", line))
        assert set(FORMS.get(kind, ())) <= set(re.findall(r"\w+", line))
    assert all(key in text.strip().splitlines()[-1] for key in MATCHING)


def test_every_link_leads_somewhere() -> None:
    """A relative link in a document names a file of the repository."""
    broken = []
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8")):
            if not (document.parent / target).exists():
                broken.append(f"{document.name}: {target}")
    assert broken == []
