"""`connection create`, `show` and `list`: Adobe streaming connections through Flow Service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from edgequeue.cli import connection_output as output
from edgequeue.cli.connection_file import Place, check_name
from edgequeue.cli.connection_lock import alone
from edgequeue.cli.context import State, Wrong, epilog, json_option
from edgequeue.cli.output import to_json, write_lines
from edgequeue.config.wording import nearest
from edgequeue.errors import ConfigError, ServiceError

if TYPE_CHECKING:
    from edgequeue.config import Settings
    from edgequeue.flow_service.client import Client
    from edgequeue.flow_service.create import Made
    from edgequeue.flow_service.finding import Part
    from edgequeue.flow_service.settings import FlowService
    from edgequeue.flow_service.wanted import Wanted

_NO_TABLE = (
    "there is no table [flow_service] in {path}. Add one, with the name of an [auth.*] table:\n"
    '  [flow_service]\n  auth = "adobe"\n  sandbox_name = "prod"'
)

NAMES_SHOWN_MAX = 20
"""Names that an error lists; of more only the nearest."""


@click.group(
    epilog=epilog(
        "edgequeue connection create till --dataset-id 604a… --write \\",
        "    --schema-id https://ns.adobe.com/…",
        "edgequeue connection list",
        "edgequeue connection show till",
    )
)
def connection() -> None:
    """Adobe streaming connections: create, show, list.

    They are made through Flow Service, with the account that [flow_service] in the configuration names.
    """


@connection.command(
    short_help="Make a streaming connection with all it needs.",
    epilog=epilog(
        "edgequeue connection create till --dataset-id 604a… --dry-run \\",
        "    --schema-id https://ns.adobe.com/…",
        "edgequeue connection create till --dataset-id 604a… --write \\",
        "    --schema-id https://ns.adobe.com/…",
        "edgequeue connection create sensors --data-type raw --mapping sensors.csv \\",
        "    --schema-id https://ns.adobe.com/… --dataset-id 604a…",
    ),
)
@click.argument("name")
@click.option("--destination", metavar="NAME", help="What the destination is called here. [default: the connection's]")
@click.option(
    "--data-type", type=click.Choice(["xdm", "raw"]), default="xdm", show_default=True, help="What the inlet takes."
)
@click.option("--open", "is_open", is_flag=True, help="Make an inlet that asks for no token. Not for personal data.")
@click.option("--schema-id", metavar="URI", required=True, help="The $id of the schema; it has to exist.")
@click.option("--schema-version", type=click.IntRange(min=1), default=1, show_default=True, help="Its major version.")
@click.option("--dataset-id", metavar="ID", required=True, help="The dataset that events go into; it has to exist.")
@click.option(
    "--mapping",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What becomes of each attribute: CSV (source,destination) or JSON. Needed for raw data.",
)
@click.option("--description", metavar="TEXT", help="Stored with each object.")
@click.option("--write", is_flag=True, help="Put the destination into the configuration; the rest of it stays.")
@click.option("--dry-run", is_flag=True, help="Print each request as it would be sent. Sends nothing.")
@json_option("one document when it is done; with --dry-run a request on each line.")
@click.pass_context
def create(ctx: click.Context, /, name: str, write: bool, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Make the streaming connection NAME with everything that it needs, and print the destination that sends to it.

    Schema and dataset have to exist. Each object is looked up before it is made, and afterwards until Adobe lists it,
    so this is safe to interrupt and to repeat: it goes on where it stopped. After an interruption wait a minute first:
    what Adobe does not list yet would be made twice. The inlet is authenticated unless --open is given. Nothing may be
    sent for five minutes after the dataflow was made; the destination says so.
    """
    state: State = ctx.obj
    wanted = _wanted(name, given)
    destination = given["destination"] or name
    check_name(destination)
    if dry_run:
        output.dry_run(wanted, _service(state.settings()), as_json=as_json)
        return
    path = state.find_config()
    with alone(path):  # what another create has written by then counts: the file is read after the wait
        service = _service(state.settings())
        _Run(wanted, service, Place.of(path, destination), write=write, as_json=as_json).make()


@connection.command("list", epilog=epilog("edgequeue connection list", "edgequeue connection list --json | jq .name"))
@json_option("JSON Lines: name, base_connection_id, data_type, authenticated, inlet_url, state, created_at.")
@click.pass_context
def list_connections(ctx: click.Context, as_json: bool) -> None:
    """All streaming connections of the sandbox."""
    from edgequeue.flow_service.survey import connections

    with _client(_service(ctx.obj.settings())) as client:
        if as_json:
            write_lines(to_json(one) for one in connections(client))
        else:
            output.list_table(list(connections(client)))


@connection.command(
    short_help="One connection: its objects, ids and inlet.",
    epilog=epilog("edgequeue connection show till", "edgequeue connection show till --json"),
)
@click.argument("name")
@json_option("one document, or one on each line where several have the name.")
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """The streaming connection NAME: every object with its id, inlet URL, dataflow, mapping."""
    from edgequeue.flow_service.survey import connections, detail

    with _client(_service(ctx.obj.settings())) as client:
        found = list(connections(client, name))
        if not found:
            names = {one.name for one in connections(client)}
            known = sorted(names)[:NAMES_SHOWN_MAX]
            raise Wrong(f"no connection is named {name!r}{nearest(name, names if len(names) == len(known) else known)}")
        for number, one in enumerate(found):
            output.detail(detail(client, one), as_json=as_json, first=number == 0)


@dataclass
class _Run:
    """One create: what it says meanwhile, what it has come to, and where its destination goes."""

    wanted: Wanted
    service: FlowService
    place: Place
    write: bool
    as_json: bool

    def __post_init__(self) -> None:
        self.parts: list[Part] = []
        self.warnings: list[str] = []

    def make(self) -> None:
        """Make the connection, put its destination into the configuration or say where to put it."""
        from edgequeue.flow_service.plan import destination_keys

        if self.write:
            self._rehearse()
        with _client(self.service) as client:
            made = self._made(client)
        keys = destination_keys(self.wanted, self.service, made, datetime.now(UTC))
        name, path, written = self.place.name, self.place.path, None
        try:  # written before it is shown: a reader that goes away must not keep it from being written
            if self.write:
                self.place.write(keys)
                written = path
        finally:
            if self.as_json:
                output.made_json(self.wanted, self.parts, name, keys, self.warnings, written)
            else:
                output.destination(name, keys, None if written else path)

    def _rehearse(self) -> None:
        """Refuse before anything is made what would be refused when it is written."""
        from edgequeue.flow_service.plan import foreseen_keys

        inlet_url = self.place.text("endpoint") or "https://dcs.adobedc.net/collection/inlet"
        self.place.rehearse(
            foreseen_keys(self.wanted, self.service, inlet_url, self.place.text("flow_id") or "dataflow")
        )

    def _made(self, client: Client) -> Made:
        """Make it; where it was interrupted, say that the same command goes on."""
        from edgequeue.flow_service.create import Creator
        from edgequeue.flow_service.finding import Standing

        creator = Creator(
            client,
            self.wanted,
            on_part=self._part,
            warn=self._warn,
            standing=Standing(self.place.text("endpoint"), self.place.text("flow_id")),
            **({"fits": self.place.check} if self.write else {}),
        )
        try:
            return creator.run()
        except KeyboardInterrupt:
            click.echo("What was made stays. Run the same command again: it goes on where it stopped.", err=True)
            raise
        except ServiceError:
            if any(part.made for part in self.parts) and self.as_json:
                output.parts_on_stderr(self.parts)
            raise

    def _part(self, part: Part) -> None:
        self.parts.append(part)
        if not self.as_json:
            output.part(part)

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)
            click.echo(f"Warning: {text}", err=True)


def _wanted(name: str, given: dict[str, Any]) -> Wanted:
    """The connection that the options describe."""
    from edgequeue.flow_service.mapping import parse_mapping
    from edgequeue.flow_service.wanted import Wanted

    mapping = None
    file: Path | None = given["mapping"]
    if file is not None:
        try:
            mapping = parse_mapping(file.read_text(encoding="utf-8-sig"), str(file))
        except UnicodeDecodeError as error:
            raise ConfigError(f"{file} is not UTF-8; save the file with that encoding") from error
    data_type: Literal["xdm", "raw"] = "raw" if given["data_type"] == "raw" else "xdm"
    return Wanted(
        name=name,
        schema_id=given["schema_id"],
        dataset_id=given["dataset_id"],
        schema_version=given["schema_version"],
        data_type=data_type,
        authenticated=not given["is_open"],
        description=given["description"],
        mapping=mapping,
    )


def _service(settings: Settings) -> FlowService:
    """The table `[flow_service]`, with an account that has all that Adobe's gateway asks for."""
    found = settings.flow_service
    if found is None:
        raise Wrong(_NO_TABLE.format(path=settings.path))
    missing = [key for key in ("client_id", "org_id") if not getattr(found, key)]
    if missing:
        raise Wrong(f"[auth.{found.auth_name}] has no {' and no '.join(missing)}; Flow Service asks for both. Add it.")
    return found


@contextmanager
def _client(service: FlowService) -> Iterator[Client]:
    """A client over HTTP, closed at the end of the block."""
    from edgequeue.flow_service.client import Client
    from edgequeue.transport import HttpxTransport

    sender = HttpxTransport(
        timeout_seconds=service.timeout_seconds, ca_file=service.ca_file, proxy=service.proxy, connections_max=1
    )
    try:
        yield Client(service, sender)
    finally:
        sender.close()
