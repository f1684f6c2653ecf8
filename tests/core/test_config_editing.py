"""A destination put into a configuration: the table that is wanted, and every other byte as it was."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.config.editing import table_text, with_destination
from edgequeue.errors import ConfigError

KEYS: dict[str, Any] = {"type": "adobe-dccs", "endpoint": "https://h/collection/1", "schema_version": 1, "flow_id": "f"}
AT = datetime(2026, 11, 21, 10, 45, tzinfo=UTC)
FILE = """# the till in Basel

[queue]
database = "queue.db" # on the card

# the web shop
[destinations.web]
type = "adobe-edge"
scopes = [
    "[destinations.till]",
]

# who signs
[auth.adobe]
type = "bearer"
"""


def edit(text: str, keys: dict[str, Any] = KEYS, name: str = "till") -> str:
    return with_destination(text, name, keys, passing="not_before")


def test_a_table_as_text() -> None:
    """Texts, numbers, and times in UTC."""
    assert table_text("till", {**KEYS, "not_before": AT}) == (
        '[destinations.till]\ntype = "adobe-dccs"\nendpoint = "https://h/collection/1"\nschema_version = 1\n'
        'flow_id = "f"\nnot_before = 2026-11-21T10:45:00Z\n'
    )


def test_a_new_table_goes_to_the_end() -> None:
    """After a blank line, and nothing else changes."""
    assert edit(FILE) == FILE + "\n" + table_text("till", KEYS)
    assert edit(FILE.rstrip("\n")) == FILE + "\n" + table_text("till", KEYS)
    assert edit("") == table_text("till", KEYS)


def test_line_ends_stay_those_of_the_file() -> None:
    """A file that was written on Windows stays one."""
    text = FILE.replace("\n", "\r\n")
    changed = edit(text)
    assert changed.startswith(text)
    assert "\n" not in changed.replace("\r\n", "")


def test_the_table_that_is_there_is_brought_up_to_date() -> None:
    """Only lines that say something else are replaced; other keys, comments and the tables below stay."""
    mine = (
        "[destinations.till] # by hand\n# the old flow\n"
        'type = "adobe-dccs"\nendpoint = "https://h/collection/1" # the inlet\nflow_id = "old"\n'
        "not_before = 2026-11-20T10:45:00Z\ntimeout_seconds = 60\n"
    )
    expected = (
        "[destinations.till] # by hand\n# the old flow\n"
        'type = "adobe-dccs"\nendpoint = "https://h/collection/1" # the inlet\nflow_id = "f"\n'
        "timeout_seconds = 60\nschema_version = 1\n"
    )
    before, after = FILE.split("# who signs")
    assert edit(before + mine + "\n# who signs" + after) == before + expected + "\n# who signs" + after
    assert edit(mine.rstrip("\n")) == expected
    assert tomllib.loads(edit(mine, {**KEYS, "not_before": AT}))["destinations"]["till"]["not_before"] == AT


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('flow_id = "old" # ours', 'flow_id = "f" # ours'),
        ('  flow_id="old"\t#"#', '  flow_id="f"\t#"#'),
        ("flow_id\t=   'o # ld'   ", 'flow_id\t=   "f"   '),
        ('flow_id = "\\"#old"# c', 'flow_id = "f"# c'),
        ('flow_id = ""', 'flow_id = "f"'),
        ("flow_id = '' # none", 'flow_id = "f" # none'),
        ('flow_id = "old" # a\u2028b', 'flow_id = "f" # a\u2028b'),
        ("schema_version=12#twelve", "schema_version=1#twelve"),
        ("not_before = 2020-01-01 00:00:00Z # wait", "not_before = 2026-11-21T10:45:00Z # wait"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_line_whose_value_changes_keeps_its_spacing_and_its_comment(before: str, after: str, end: str) -> None:
    """Somebody wrote them there; a line keeps its own end as well, whatever the other lines have."""
    keys = {**dict(list(KEYS.items())[:2]), **tomllib.loads(after)}
    mine = '[destinations.till]\r\ntype = "adobe-dccs"\nendpoint = "https://h/collection/1"\n'
    assert edit(mine + before + end, keys) == mine + after + (end or "\r\n")


def test_editing_twice_is_editing_once() -> None:
    """What is as it should be is not touched."""
    once = edit(FILE, {**KEYS, "not_before": AT})
    assert edit(once, {**KEYS, "not_before": AT}) == once


def test_a_table_for_another_inlet_is_kept() -> None:
    """The events of somebody else's destination must not go elsewhere."""
    other = FILE + '\n[destinations.till]\ntype = "adobe-dccs"\nendpoint = "https://h/collection/2"\n'
    with pytest.raises(ConfigError, match=r"sends to another inlet.*--destination"):
        edit(other)


@pytest.mark.parametrize("table", ['type = "adobe-edge"\nendpoint = "https://h/collection/1"', 'flow_id = "other"', ""])
def test_a_table_for_something_else_is_kept(table: str) -> None:
    """Of another type, whatever its address; or with nothing that says it is the same."""
    with pytest.raises(ConfigError, match=r"is there and .*so it is kept.*--destination"):
        edit(FILE + "\n[destinations.till]\n" + table)


def test_the_same_dataflow_is_the_same_connection() -> None:
    """An inlet URL through a proxy of one's own is brought up to date, not refused."""
    mine = '[destinations.till]\nendpoint = "https://proxy/collection/1"\nflow_id = "f"\n'
    assert tomllib.loads(edit(mine))["destinations"]["till"] == KEYS


@pytest.mark.parametrize(
    "text",
    [
        'destinations.till = { endpoint = "https://h/collection/1" }\n',
        '[destinations]\ntill.endpoint = "https://h/collection/1"\n',
        '[destinations.till]\nendpoint = "https://h/collection/1"\nflow_id = """\nold"""\n',
        'destinations = { till = { endpoint = "https://h/collection/1" } }\n',
        "destinations = 7\n",
        'destinations = { web = { type = "x" } }\n',
    ],
)
def test_what_is_written_in_another_way_is_refused(text: str) -> None:
    """A file that this editor does not understand is not touched."""
    with pytest.raises(ConfigError, match="by hand"):
        edit(text)


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


@given(value=_TEXT, name=_TEXT, comment=st.sampled_from(["", "# c\n", "[a.b]\nc = '''\n[destinations.x]\n'''\n"]))
def test_any_text_can_stand_in_it(value: str, name: str, comment: str) -> None:
    """Whatever the values are, what is read is what was put in, and the rest is as it was."""
    text = f"{comment}[queue]\nd = 1\n"
    keys = {**KEYS, "flow_id": value}
    changed = edit(text, keys, name)
    assert changed.startswith(text)
    assert tomllib.loads(changed) == {**tomllib.loads(text), "destinations": {name: keys}}
