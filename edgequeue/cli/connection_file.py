"""The destination of a new connection, put into the configuration: the whole new file or the old one."""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edgequeue.cli.context import Wrong
from edgequeue.config import parse_settings
from edgequeue.config.editing import check_same_inlet, with_destination
from edgequeue.destinations import destination_class
from edgequeue.errors import ConfigError

_MARK = b"\xef\xbb\xbf"
_NOTHING_MADE = "Nothing was made; without --write the table is printed."
_MAYBE_LATE = " If its connection was made a moment ago, wait a minute and run the same command again."


def check_name(name: str) -> None:
    """Before anything is made: ConfigError where no destination could be called so."""
    try:
        destination_class("adobe-dccs")(name=name, endpoint="https://dcs.adobedc.net/collection/inlet")
    except ConfigError as error:
        raise ConfigError(f"{error}. Give the destination another name with --destination.") from error


@dataclass(frozen=True)
class Place:
    """Where the destination `name` goes in the configuration at `path`; `table` is what stands there, None: nothing."""

    path: Path
    name: str
    table: Any = None

    @classmethod
    def of(cls, path: Path, name: str) -> Place:
        """The place in a configuration that edgequeue has read already."""
        _, text = _read(path)
        return cls(path, name, tomllib.loads(text).get("destinations", {}).get(name))

    def text(self, key: str) -> str | None:
        """A text of the table that stands there, where it is one for streaming ingestion."""
        table = self.table if isinstance(self.table, dict) and self.table.get("type") == "adobe-dccs" else {}
        found = table.get(key)
        return found if isinstance(found, str) else None

    def rehearse(self, keys: Mapping[str, Any]) -> None:
        """Before anything is made: ConfigError where `write` would refuse whatever the inlet turns out to be."""
        try:
            self._changed(keys)
        except ConfigError as error:
            raise ConfigError(f"{error} {_NOTHING_MADE}") from error

    def check(self, inlet_url: str | None, flow_id: str | None) -> None:
        """Before anything is made: ConfigError where the table there is for another inlet than the one that was found.

        None: there is none yet, so a new one would be made.
        """
        if self.table is None:
            return
        try:
            check_same_inlet(self.name, self.table, {"type": "adobe-dccs", "endpoint": inlet_url, "flow_id": flow_id})
        except ConfigError as error:
            late = _MAYBE_LATE if inlet_url is None else ""
            raise ConfigError(f"{error} {_NOTHING_MADE}{late}") from error

    def write(self, keys: Mapping[str, Any]) -> None:
        """Put the table in, or bring the one that is there up to date. The file keeps its mode, its owner, and every
        other byte. Nothing is written that edgequeue would not read; ConfigError and Wrong say why.
        """
        before, content = self._changed(keys)
        if content == before:
            click.echo(f"[destinations.{self.name}] in {self.path} is as it should be.", err=True)
            return
        try:
            _replace(self.path.resolve(), before, content)  # a link stays one
        except OSError as error:
            raise Wrong(f"{self.path} cannot be written: {error.strerror}. Put the table in by hand.") from error
        click.echo(f"Wrote [destinations.{self.name}] into {self.path}.", err=True)

    def _changed(self, keys: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """The file as it is and as it is to be."""
        before, text = _read(self.path)
        changed = with_destination(text, self.name, keys, passing="not_before")
        parse_settings(changed, self.path)
        mark = _MARK if before.startswith(_MARK) else b""
        return before, mark + changed.encode()


def _read(path: Path) -> tuple[bytes, str]:
    """The file's bytes, and its text without the mark that some editors put before it."""
    found = path.read_bytes()
    return found, found.removeprefix(_MARK).decode()


def _replace(place: Path, before: bytes, content: bytes) -> None:
    """All of the file or none of it; who reads it meanwhile reads the old one."""
    seen = place.stat()
    descriptor, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), seen.st_mode & 0o7777)
            if (seen.st_uid, seen.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(stream.fileno(), seen.st_uid, seen.st_gid)  # root may; anybody else may not, and is told so
                os.fchmod(stream.fileno(), seen.st_mode & 0o7777)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if place.read_bytes() != before:
            raise Wrong(f"{place} was changed by somebody else meanwhile, and is kept. Run the same command again.")
        Path(name).replace(place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
