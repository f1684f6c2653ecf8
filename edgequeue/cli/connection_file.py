"""The destination of a new connection, put into the configuration: the whole new file or the old one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from edgequeue.cli.context import Wrong
from edgequeue.config import parse_settings
from edgequeue.config.editing import with_destination
from edgequeue.destinations import destination_class
from edgequeue.errors import ConfigError


def check_name(name: str) -> None:
    """Before anything is made: ConfigError where no destination could be called so."""
    try:
        destination_class("adobe-dccs")(name=name, endpoint="https://dcs.adobedc.net/collection/inlet")
    except ConfigError as error:
        raise ConfigError(f"{error}. Give the destination another name with --destination.") from error


def write_destination(path: Path, name: str, keys: Mapping[str, Any]) -> None:
    """Put the table in, or bring the one that is there up to date. The file keeps its mode, its owner, and every other
    byte. Nothing is written that edgequeue would not read; ConfigError and Wrong say why.
    """
    place = path.resolve()  # a link stays one
    before = place.read_bytes()
    mark, text = ("\ufeff", before.decode("utf-8-sig")) if before.startswith(b"\xef\xbb\xbf") else ("", before.decode())
    changed = with_destination(text, name, keys, passing="not_before")
    parse_settings(changed, path)
    content = (mark + changed).encode()
    if content == before:
        click.echo(f"[destinations.{name}] in {path} is as it should be.", err=True)
        return
    try:
        _replace(place, before, content)
    except OSError as error:
        raise Wrong(f"{path} cannot be written: {error.strerror}. Put the table in by hand.") from error
    click.echo(f"Wrote [destinations.{name}] into {path}.", err=True)


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
