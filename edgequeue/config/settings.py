"""The settings: what the tables of `edgequeue.toml` become.

`[queue]` becomes QueueSettings, each `[auth.NAME]` one Credentials object that all destinations naming it share, and
each `[destinations.NAME]` the Destination of its type. The variable EDGEQUEUE_DATABASE stands above the file's
`[queue] database`; a relative path in it is taken from the current directory, as on a command line.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from edgequeue.auth import Bearer, Credentials, Ims
from edgequeue.config.tables import Table
from edgequeue.config.wording import nearest
from edgequeue.destinations import destination_class, destination_types
from edgequeue.destinations.base import Destination
from edgequeue.errors import ConfigError
from edgequeue.flow_service.settings import FlowService

DATABASE_VARIABLE = "EDGEQUEUE_DATABASE"

_ACCOUNTS: Mapping[str, type[Bearer | Ims]] = {"bearer": Bearer, "ims": Ims}
"""The types of `[auth.NAME]`."""

_T = TypeVar("_T")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_TOML_FAULT = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)")


@dataclass(frozen=True)
class QueueSettings:
    """The table `[queue]`. Bounds: days after which delivered and dead events are pruned, and the queue's size."""

    database: Path
    keep_delivered_days: float = 7.0
    keep_dead_days: float = 30.0
    max_bytes: int = 4 * 1024**3  # fits the smallest cards in use (8 GB) beside the system
    max_events: int | None = None
    durability: Literal["full", "normal"] = "full"

    def __post_init__(self) -> None:
        """Check the bounds; ConfigError names the key."""
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, int | float) and not value > 0:
                raise ConfigError(f"[queue] {each.name} is {value:g}; it must be more than 0")


@dataclass(frozen=True)
class Settings:
    """A whole configuration; destinations in the order of the file, also those with `enabled = false`."""

    path: Path | None
    queue: QueueSettings
    destinations: Mapping[str, Destination] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    flow_service: FlowService | None = None


def load_settings(path: Path) -> Settings:
    """The settings of a file, with the environment above them; ConfigError says what is wrong and where."""
    path = path.absolute()
    try:
        content = path.read_bytes()
        readable_by_all = bool(path.stat().st_mode & stat.S_IROTH)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist. Check the path, or run edgequeue init to write one.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from error
    try:
        text = content.decode("utf-8-sig")  # some editors put a byte order mark in front
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: this is not UTF-8; save the file with that encoding") from error
    settings, literals = _parse(text, path, os.environ.get(DATABASE_VARIABLE))
    if not (literals and readable_by_all):
        return settings
    remedy = f"run chmod 600 {path}, or keep the secret in a file of its own or in a variable (…_file, …_env)"
    warning = f"{path} holds a secret ({', '.join(literals)}) and every user can read it; {remedy}"
    return replace(settings, warnings=(warning,))


def parse_settings(text: str, path: Path) -> Settings:
    """The settings that a text stands for, as if it stood in the file `path`; no environment, no I/O."""
    return _parse(text, path.absolute(), None)[0]


def _parse(text: str, path: Path, database: str | None) -> tuple[Settings, list[str]]:
    """The settings, and which secrets stand in the text itself. `database` stands above the one in the text."""
    root = Table(path, "", _toml(text, path))
    root.check_keys(("queue", "destinations", "auth", "flow_service"))
    queue = _queue(root.child("queue"), database)
    accounts = {name: _account(table) for name, table in root.child("auth").children().items()}
    tables = root.child("destinations").children()
    destinations = {name: _destination(name, replace(table, accounts=accounts)) for name, table in tables.items()}
    flow_service = _flow_service(replace(root.child("flow_service"), accounts=accounts))
    return Settings(path, queue, destinations, flow_service=flow_service), root.literals


def _toml(text: str, path: Path) -> dict[str, Any]:
    """The document; ConfigError with line and column when it is broken."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_FAULT.fullmatch(str(error))
        what = found["what"] if found else str(error)
        last = text.splitlines() or [""]
        line, column = (found["line"], found["column"]) if found and found["line"] else (len(last), len(last[-1]) + 1)
        remedy = 'Mend this line; texts stand in "quotes", the names of tables in [brackets].'
        raise ConfigError(f"{path}, line {line}, column {column}: {what}. {remedy}") from error


def _queue(table: Table, override: str | None) -> QueueSettings:
    """The table `[queue]`, with `override` in place of its database."""
    values = dict(table.values)
    if override:
        try:
            values["database"] = str(Path.cwd() / Path(_file_of(override)).expanduser())
        except (ConfigError, RuntimeError) as error:
            raise ConfigError(f"the variable {DATABASE_VARIABLE}: {error}. Give it a path, or unset it.") from error
    elif isinstance(values.get("database"), str):
        try:
            values["database"] = _file_of(values["database"])
        except ConfigError as error:
            raise table.fault(f'database: {error}; write a path, as in database = "queue.db"') from error
    if "database" not in values:
        raise table.fault('database is missing; add database = "queue.db"')
    checked = replace(table, values=values).read(QueueSettings)
    return _built(table, lambda: QueueSettings(**checked))


def _file_of(database: str) -> str:
    """The path in a `sqlite:///` URL; any other text is one already. A URL is never quoted: it may hold a password."""
    scheme = _SCHEME.match(database)
    if database == ":memory:" or database in ("sqlite://", "sqlite:///", "sqlite:///:memory:"):
        raise ConfigError("a queue in memory would lose its events with the power")
    if scheme is None:
        return database
    if not database.startswith("sqlite:///"):
        raise ConfigError(f"this version keeps its queue in SQLite, not in {scheme[1]}")
    if "?" in database:
        raise ConfigError("this version takes no options in the URL")
    return database.removeprefix("sqlite:///")


def _account(table: Table) -> Credentials:
    """The account that `[auth.NAME]` describes; its secret is not read here."""
    found = _type(table, tuple(_ACCOUNTS))
    if found not in _ACCOUNTS:
        raise table.fault(f"type is not known{nearest(found, _ACCOUNTS)}")
    kind = _ACCOUNTS[found]
    values = table.read(kind, also=["type"], given=["_tokens"])
    try:
        return kind(**values)
    except ConfigError as error:  # "Ims: endpoint is …": here the table has a name
        raise table.fault(str(error).partition(": ")[2]) from error


def _destination(name: str, table: Table) -> Destination:
    """The destination that `[destinations.NAME]` describes."""
    type_name = _type(table, destination_types())
    try:
        kind = destination_class(type_name)
    except ConfigError as error:
        raise table.fault(str(error)) from error
    values = table.read(kind, also=["type"], given=["name"])
    return _built(table, lambda: kind(name=name, **values))


def _flow_service(table: Table) -> FlowService | None:
    """The table `[flow_service]`, which only who sets up connections needs."""
    if not table.values:
        return None
    values = table.read(FlowService, given=["auth_name"])
    return _built(table, lambda: FlowService(auth_name=table.text("auth"), **values))


def _type(table: Table, known: tuple[str, ...]) -> str:
    if "type" not in table.values:
        raise table.fault(f"type is missing; add type = with one of: {', '.join(known)}")
    return table.text("type")


def _built(table: Table, build: Callable[[], _T]) -> _T:
    """What `build` makes; a ConfigError of its own checks gets the file's name in front."""
    try:
        return build()
    except ConfigError as error:
        raise ConfigError(f"{table.file}: {error}") from error
