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


_EMULATOR_HELP = """Every service on this machine, with faults on request: Adobe Edge, streaming ingestion (DCCS), the
token service (IMS), Flow Service with what it needs, and Bloomreach Engagement.

Runs until Ctrl-C or SIGTERM, then says what arrived. With exit code 2 it could not listen: the port is taken.

\b
Faults with their keys (the first form is the default):
  offline         seconds: nobody listens for so long
  status          status (503), form (own, plain, empty, json, html), code (0104, invalid_project, 1103-503)
  delay           seconds (1): accepted, answered late
  retry_after     seconds (1), status (503, 429), form (seconds, date)
  cut_before      the connection ends, nothing accepted
  cut_during      accepted, cut inside the answer: form (body, headers, reset)
  cut_after       accepted, and no answer comes
  captive_portal  form (page, redirect, redirect307, redirect308, 511, json, login: with status, 401)
  garbage         status (200), form (truncated, noise, short, empty, html_json, array, wrong_id, \
gzip, gzip_broken, not_http, no_length, chunked_broken)
  drip            seconds (0.01): accepted, answered byte by byte
  content_type    accepted, with another Content-Type: form (text, html, none)
  informational   1xx ahead of the answer: form (100, 102, 103, many, switching)
  huge            far too much: bytes (64000000), form (body, chunked, gzip, headers)
  stray           bytes after the answer: form (same, bytes, later: after seconds, 0.05)
  idle_close      accepted, then the kept connection ends: form (now, next)
  answer          batches: form (refused, older, newer, mixed, missing, swapped, foreign, unknown_entry), \
status (503)
  results         Bloomreach's batches: form (refused, unauthorized, coded, failed, missing, swapped, \
anonymous, foreign, silent)
and each of them: times (1; always), skip (0), event_id, service (edge, dccs, ims, bloomreach, platform)
"""


def _faults(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[Fault, ...]:
    """Faults in the emulator's compact form; offline needs an end here, because nothing could bring the port back."""
    from edgequeue.emulator.compact import parse_fault, with_end

    try:
        return tuple(with_end(parse_fault(value)) for value in values)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


@click.command(
    help=_EMULATOR_HELP,
    epilog=epilog(
        "edgequeue init --emulator",
        "edgequeue emulator --fault retry_after:seconds=5:times=3",
        "edgequeue emulator --port 9000 --token secret --fault offline:seconds=20",
        "edgequeue emulator --fault cut_after:service=platform:skip=2",
    ),
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
@click.option("--client-id", metavar="ID", help="The one client id that IMS knows; its tokens are then asked for.")
@click.option("--client-secret", metavar="TEXT", help="The one client secret; IMS's tokens are then asked for.")
@click.option(
    "--token-seconds",
    type=click.FloatRange(0, 10_000_000),
    default=86_399,
    show_default=True,
    help="How long a token of IMS is valid.",
)
@click.option("--org-id", metavar="ID", help="The organisation; messages of another one are refused.")
@click.option("--datastream", "datastreams", metavar="ID", multiple=True, help="A known datastream; none: any will do.")
@click.option(
    "--inlet",
    "inlets",
    metavar="ID",
    multiple=True,
    help="A known inlet, as ID[:authenticated|:open][:xdm|:raw]; none: any will do.",
)
@click.option(
    "--require", "required_fields", metavar="FIELD", multiple=True, help="A field that each DCCS entity must have."
)
@click.option("--no-smile", "smile", flag_value=False, default=True, help="Edge and DCCS answer Smile with 415.")
@click.option("--sandbox", metavar="NAME", help="The one sandbox that DCCS and Flow Service know.")
@click.option(
    "--dataset",
    "datasets",
    metavar="ID=SCHEMA",
    multiple=True,
    help="A known dataset with its schema's id; none: any will do.",
)
@click.option(
    "--project-token",
    "project_tokens",
    metavar="TEXT",
    multiple=True,
    help="A known Bloomreach project; none: any will do.",
)
@click.option("--public-token", metavar="TEXT", help="A Bloomreach access key; one is then asked for.")
@click.option("--private-key", metavar="ID:SECRET", help="A private one; an access key is then asked for.")
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
@click.option(
    "--mood",
    metavar="FAULT",
    multiple=True,
    callback=_faults,
    help="A fault that strikes by chance, for soak tests. May be given several times.",
)
@click.option(
    "--mood-rate",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="The share of the requests that a --mood strikes.",
)
@click.option("--mood-seed", type=int, default=0, show_default=True, help="The same seed draws the same faults.")
@click.option("--quiet", is_flag=True, help="No line for each request.")
@click.pass_context
def emulator(ctx: click.Context, /, **given: Any) -> None:
    """Serve until told to stop."""
    from edgequeue.emulator.__main__ import ServeOptions, serve
    from edgequeue.emulator.given import given_of

    try:
        organisation = given_of(given)
    except ValueError as error:
        raise click.UsageError(str(error), ctx) from error
    ctx.exit(
        serve(
            ServeOptions(
                port=given["port"],
                host=given["host"],
                given=organisation,
                faults=given["faults"],
                quiet=given["quiet"],
                mood=given["mood"],
                mood_rate=given["mood_rate"],
                mood_seed=given["mood_seed"],
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
