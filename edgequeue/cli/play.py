"""`emulator` and `demo`: trying edgequeue out without any service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgequeue.cli.context import epilog

if TYPE_CHECKING:
    from edgequeue.emulator import Fault

PORT = 8080
"""Where the emulator listens, and where `init --emulator` sends to."""


def _faults(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[Fault, ...]:
    """Faults in the emulator's compact form; offline needs an end here, because nothing could bring the port back."""
    from edgequeue.emulator import parse_fault

    found = []
    for value in values:
        try:
            fault = parse_fault(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error
        if fault.kind == "offline" and fault.seconds is None:
            raise click.BadParameter("offline needs seconds here: once offline, nothing could end it", ctx, param)
        found.append(fault)
    return tuple(found)


@click.command(
    epilog=epilog(
        "edgequeue init --emulator",
        "edgequeue emulator --fault retry_after:seconds=5:times=3",
        "edgequeue emulator --port 9000 --token secret --fault offline:seconds=20",
    )
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--token", metavar="TEXT", help="Switches authentication on: the one valid bearer token.")
@click.option("--org-id", metavar="ID", help="The organisation; messages of another one are refused.")
@click.option("--datastream", "datastreams", metavar="ID", multiple=True, help="A known datastream; none: any will do.")
@click.option("--inlet", "inlets", metavar="ID", multiple=True, help="A known inlet; none: any will do.")
@click.option("--require", "required", metavar="FIELD", multiple=True, help="A field that each DCCS entity must have.")
@click.option(
    "--error-shape",
    type=click.Choice(["older", "newer"]),
    default="older",
    show_default=True,
    help="The shape of refused messages; the documents have two.",
)
@click.option(
    "--fault",
    "faults",
    metavar="FAULT",
    multiple=True,
    callback=_faults,
    help="What goes wrong, as NAME[:KEY=VALUE]..., see above. May be given several times; they are applied in this"
    " order.",
)
@click.option("--quiet", is_flag=True, help="No line for each request.")
@click.pass_context
def emulator(ctx: click.Context, /, **given: Any) -> None:
    """Adobe Edge and Adobe streaming ingestion on this machine, with faults on request.

    Runs until Ctrl-C or SIGTERM, then says what arrived. With exit code 2 it could not listen: the port is taken.

    \b
    Faults and their keys:
      offline         seconds         nobody listens for so long
      status          status, code    this status; code: Edge's number (0104)
      delay           seconds         accepted, answered late
      retry_after     seconds, status (503 or 429), form (seconds or date)
      cut_before                      the connection ends, nothing accepted
      cut_after                       accepted, and no answer comes
      captive_portal  form (page, redirect or 511): a login page
      garbage         form (truncated, noise or short): 200 and no JSON
      drip            seconds         accepted, answered byte by byte
    and each of them: times (1; always), service (edge or dccs), event_id
    """
    from edgequeue.emulator.__main__ import ServeOptions, serve

    ctx.exit(
        serve(
            ServeOptions(
                port=given["port"],
                host=given["host"],
                token=given["token"],
                org_id=given["org_id"],
                datastreams=given["datastreams"],
                inlets=given["inlets"],
                required_fields=given["required"],
                error_shape=given["error_shape"],
                faults=given["faults"],
                quiet=given["quiet"],
            )
        )
    )


@click.command(epilog=epilog("edgequeue demo", "edgequeue demo --fast --directory /tmp/edgequeue-demo"))
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where its configuration and database are left to look at; without it, a new temporary directory.",
)
@click.option("--fast", is_flag=True, help="Shorter waits.")
@click.pass_context
def demo(ctx: click.Context, directory: Path | None, fast: bool) -> None:
    """The whole story in a minute, against the emulator: offline, enqueue, power cut, back online, drain, ask.

    Needs no network and no account. Exit code 1 when a promise was not kept.
    """
    from edgequeue.demo import run

    ctx.exit(run(directory, fast=fast))
