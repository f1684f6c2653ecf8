"""A destination's table put into the text of a configuration; every other byte stays. Pure.

What comes out is compared with what went in, as TOML: where this editor has not understood the file it refuses, and
the file is not touched.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from edgequeue.errors import ConfigError

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=\s*")
_VALUE = re.compile(
    r"""("(?!"")(?:[^"\\]|\\.)*"|'(?!'')[^']*'|[^"'#\[{\s](?:[^#]*[^#\s])?)(?=\s*(?:\#|\Z))""", re.DOTALL
)
"""A text, a number or a time that ends on its line, with nothing but a comment behind it."""


def table_text(name: str, keys: Mapping[str, Any]) -> str:
    """The table `[destinations.NAME]` with these texts, numbers and times."""
    return "\n".join([f"[destinations.{key_text(name)}]", *(_line(key, value) for key, value in keys.items())]) + "\n"


def with_destination(text: str, name: str, keys: Mapping[str, Any], *, passing: str) -> str:
    """The text with the table `[destinations.NAME]` in it: new at the end, or the one that is there with these keys.

    Other keys of a table that is there, its comments and its spacing stay; of ours, the line of `passing` goes where it
    is not among `keys`.
    ConfigError where the table is there for something else (`check_same_inlet`), or written in a way that is not
    understood here.
    """
    before = tomllib.loads(text)
    tables = before.get("destinations", {})
    old = tables.get(name) if isinstance(tables, dict) else None
    wanted = dict(keys)
    if old is None:
        changed = _appended(text, table_text(name, keys))
    else:
        check_same_inlet(name, old, keys)
        wanted = {key: value for key, value in {**old, **keys}.items() if key != passing or passing in keys}
        changed = _updated(text, name, old, keys, passing)
    if not _is_as_wanted(before, changed, name, wanted):
        raise ConfigError(f"[destinations.{name}] is written in a way that is not edited here. Put it in by hand.")
    return changed


def check_same_inlet(name: str, old: Any, keys: Mapping[str, Any]) -> None:
    """ConfigError where what is there is not for this inlet: of another type, or with another `endpoint` and `flow_id`.

    Of `keys` these three are looked at.
    """
    remedy = "Give another name with --destination, or put the table in by hand."
    if not isinstance(old, dict) or old.get("type", keys["type"]) != keys["type"]:
        raise ConfigError(f"[destinations.{name}] is there and is of another type, so it is kept. {remedy}")
    if old.get("endpoint") != keys["endpoint"] and ("flow_id" not in old or old["flow_id"] != keys["flow_id"]):
        raise ConfigError(f"[destinations.{name}] is there and sends to another inlet, so it is kept. {remedy}")


def _appended(text: str, table: str) -> str:
    end = _line_end(text)
    gap = "" if not text else end if text.endswith("\n") else end * 2
    return text + gap + table.replace("\n", end)


def _updated(text: str, name: str, old: Mapping[str, Any], keys: Mapping[str, Any], passing: str) -> str:
    """The text with our values in place of those that differ, and the missing lines added."""
    lines = text.splitlines(keepends=True)
    begin = next((number for number, line in enumerate(lines) if _header(line) == ["destinations", name]), None)
    if begin is None:
        return text
    end = next((number for number in range(begin + 1, len(lines)) if _header(lines[number])), len(lines))
    while not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#"):
        end -= 1  # what stands above the next table belongs to that one
    ending = _line_end(text)
    if not lines[end - 1].endswith("\n"):
        lines[end - 1] += ending
    body = []
    for line in lines[begin + 1 : end]:
        found = _KEY.match(line)
        key = found[1] if found else ""
        if key in keys and old.get(key) != keys[key]:
            line = _with_value(line, keys[key])
        if key != passing or passing in keys:
            body.append(line)
    added = [_line(key, value) + ending for key, value in keys.items() if key not in old]
    return "".join([*lines[: begin + 1], *body, *added, *lines[end:]])


def _is_as_wanted(before: Mapping[str, Any], changed: str, name: str, wanted: Mapping[str, Any]) -> bool:
    """Whether the new text says just what the old one did, but for this table."""
    try:
        after = tomllib.loads(changed)
    except tomllib.TOMLDecodeError:
        return False
    tables = before.get("destinations", {})
    return after == {**before, "destinations": {**tables, name: dict(wanted)}}


def _header(line: str) -> list[str] | None:
    """The names in the header of a table; None where the line is none."""
    if not line.lstrip().startswith("["):
        return None
    try:
        found: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    names = []
    while isinstance(found, dict) and len(found) == 1:
        ((name, found),) = found.items()
        names.append(name)
    return names


def _with_value(line: str, value: Any) -> str:
    """The line with another value, its spacing and comment kept; as it is where its value ends on another line."""
    key = _KEY.match(line)
    old = _VALUE.match(line, key.end()) if key else None
    return line if old is None else line[: old.start()] + _value_text(value) + line[old.end() :]


def _line(key: str, value: Any) -> str:
    return f"{key} = {_value_text(value)}"


def _value_text(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return quoted(value) if isinstance(value, str) else str(value)


def key_text(name: str) -> str:
    """A name as it stands in the header of a table."""
    return name if _BARE.fullmatch(name) else quoted(name)


def quoted(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's, but for the one character that only TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
