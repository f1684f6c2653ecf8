"""Documentation that can be wrong is checked: commands, settings and links."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from edgequeue import AdobeDccs, AdobeEdge, Destination
from edgequeue.cli import cli as group
from edgequeue.config import QueueSettings

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
    assert parts("`[destinations.NAME]`, all types") == common | {"type"}
    for kind in (AdobeEdge, AdobeDccs):
        own = {one.name for one in fields(kind)} - common - {"name"}
        assert parts(f'`type = "{kind.type}"`') - {"endpoint"} == own


def test_every_link_leads_somewhere() -> None:
    """A relative link in a document names a file of the repository."""
    broken = []
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8")):
            if not (document.parent / target).exists():
                broken.append(f"{document.name}: {target}")
    assert broken == []
