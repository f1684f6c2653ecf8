"""`init` and `completion`: setting edgequeue up."""

from __future__ import annotations

import os
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from shlex import quote

import click

from edgequeue.cli.context import State, Wrong, epilog
from edgequeue.cli.steps import EMULATED, INLET, LOOPBACK, is_address, next_steps
from edgequeue.cli.template import ACCOUNT, Answers, configuration, further_destination

_TYPES = ("adobe-edge", "adobe-dccs", "bloomreach")
_NAMES = {"adobe-edge": "web", "adobe-dccs": "till", "bloomreach": "crm"}


@click.command(
    epilog=epilog(
        "edgequeue init --emulator",
        "edgequeue init --type adobe-edge --datastream-id 463c3d9a-…",
        "edgequeue init --type adobe-dccs --name till --dataset-id … \\",
        "    --endpoint https://dcs.adobedc.net/collection/667b… \\",
        "    --schema-id https://ns.adobe.com/… \\",
        "    --org-id …@AdobeOrg --token-env ADOBE_TOKEN",
        "edgequeue init --type adobe-edge --datastream-id 463c3d9a-… \\",
        "    --org-id …@AdobeOrg --client-id … \\",
        "    --client-secret-env ADOBE_CLIENT_SECRET",
        "edgequeue init --type bloomreach --project-token … \\",
        "    --token-env BLOOMREACH_TOKEN",
    )
)
@click.option("--type", "kind", type=click.Choice(_TYPES), help="What the destination is; asked for if missing.")
@click.option("--name", help="What the destination is called here. [default: web, till or crm by type]")
@click.option("--endpoint", metavar="URL", help="The service's address; for adobe-dccs the whole inlet URL.")
@click.option("--datastream-id", metavar="ID", help="adobe-edge: the datastream.")
@click.option("--dataset-id", metavar="ID", help="adobe-dccs: the dataset that events go into.")
@click.option("--schema-id", metavar="URI", help="adobe-dccs: the $id of the schema.")
@click.option("--project-token", metavar="TOKEN", help="bloomreach: the project.")
@click.option("--org-id", metavar="ID", help="The IMS organisation, …@AdobeOrg.")
@click.option(
    "--token-env",
    metavar="NAME",
    help="Authenticate with the token in this variable; for bloomreach the public one.",
)
@click.option(
    "--client-secret-env", metavar="NAME", help="Authenticate as --client-id with the secret in this variable."
)
@click.option("--client-id", metavar="ID", help="The project's client id; sent as x-api-key.")
@click.option("--database", metavar="PATH", help="The queue's file. [default: queue.db beside the configuration]")
@click.option(
    "--emulator",
    metavar="[URL]",
    is_flag=False,
    flag_value=LOOPBACK,
    help=f"A configuration that works at once with edgequeue emulator, at URL. [default: {LOOPBACK}]",
)
@click.option("--force", is_flag=True, help="Replace a configuration that exists.")
@click.pass_context
def init(ctx: click.Context, /, kind: str | None, emulator: str | None, force: bool, **given: str | None) -> None:
    """Write a commented edgequeue.toml, readable for you alone, and create the queue.

    Asks for what is missing where it can. The file is written to --config, else to $EDGEQUEUE_CONFIG, else to
    ./edgequeue.toml; one that exists is kept unless --force is given. A database that exists is kept always.
    """
    from edgequeue.config import parse_settings

    state: State = ctx.obj
    path = _place(state)
    if path.exists() and not force:
        raise Wrong(f"{path} exists and is kept.\n\n{_how_to_go_on(path, _from_options(kind, given))}")
    if not path.parent.is_dir():
        raise Wrong(f"{path} cannot be written: {path.parent} does not exist. Create it first.")
    answers = _answers(ctx, kind, emulator, given)
    text = configuration(answers)
    parse_settings(text, path)  # nothing is written that edgequeue would refuse: ConfigError says why
    _write(path, text)
    _create_queue(path)
    _say_next(path, answers, emulator)


def _place(state: State) -> Path:
    named = state.config or os.environ.get("EDGEQUEUE_CONFIG") or "edgequeue.toml"
    return Path(named).expanduser().absolute()


def _answers(ctx: click.Context, kind: str | None, emulator: str | None, given: dict[str, str | None]) -> Answers:
    """The options, completed by asking where somebody can answer."""
    known = {key: value for key, value in given.items() if value}
    if "token_env" in known and "client_secret_env" in known:
        raise click.UsageError("Give --token-env or --client-secret-env, not both.", ctx)
    if emulator is not None:
        return _emulated(ctx, kind or _TYPES[0], emulator, known)
    asks = sys.stdin.isatty()
    if kind is None:
        if not asks:
            raise click.UsageError(f"Give --type ({' or '.join(_TYPES)}), or --emulator to try it out.", ctx)
        kind = click.prompt("Type of the destination", type=click.Choice(_TYPES), default=_TYPES[0])
    if kind == "bloomreach" and "client_secret_env" in known:
        raise click.UsageError("--client-secret-env is Adobe's; give --token-env.", ctx)
    start = _from_options(kind, {})
    signing = ("client_id", "org_id") if "client_secret_env" in known else ()
    for key in dict.fromkeys((*_ASKED[kind], *signing)):
        if key not in known and asks:
            known[key] = click.prompt(_QUESTIONS[key])
    return replace(start, **known)


def _from_options(kind: str | None, given: Mapping[str, str | None]) -> Answers:
    """The options alone, with the usual name of a destination of that type."""
    kind = kind or _TYPES[0]
    start = Answers(kind, name=_NAMES[kind], token_env="BLOOMREACH_TOKEN" if kind == "bloomreach" else None)
    return replace(start, **{key: value for key, value in given.items() if value})


def _emulated(ctx: click.Context, kind: str, emulator: str, known: dict[str, str]) -> Answers:
    """A destination at the emulator, and the token service too: a secret that is tried out must not go to Adobe."""
    url = emulator.rstrip("/")
    if not is_address(url):
        raise click.UsageError(f"--emulator takes an address such as {LOOPBACK}, and {emulator!r} is none.", ctx)
    if "endpoint" in known:
        raise click.UsageError("Give --emulator or --endpoint, not both.", ctx)
    endpoint = url + INLET if kind == "adobe-dccs" else url
    emulated = {"endpoint": endpoint, "token_endpoint": f"{url}/ims/token/v3", **EMULATED[kind]}
    return _from_options(kind, emulated | known)


def _how_to_go_on(path: Path, answers: Answers) -> str:
    """For who has a configuration: the table of a further destination."""
    names, accounts = _names_in(path)
    name = answers.name
    free = next(one for one in chain([name], (f"{name}-{number}" for number in count(2))) if one not in names)
    table = further_destination(replace(answers, name=free), account=ACCOUNT not in accounts)
    return (
        f"To add a destination, append a table with your own values to it, then run edgequeue doctor:\n\n{table}\n\n"
        "To replace the file, give --force."
    )


def _names_in(path: Path) -> tuple[set[str], set[str]]:
    """The destinations and accounts of a configuration, as far as it can be read."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set(), set()
    tables = (document.get("destinations"), document.get("auth"))
    names, accounts = (set(one) if isinstance(one, dict) else set() for one in tables)
    return names, accounts


_ASKED = {
    "adobe-edge": ("datastream_id",),
    "adobe-dccs": ("endpoint", "dataset_id", "schema_id", "org_id"),
    "bloomreach": ("project_token",),
}
_QUESTIONS = {
    "datastream_id": "Datastream id (Data Collection, Datastreams)",
    "endpoint": "Inlet URL (https://dcs.adobedc.net/collection/…)",
    "dataset_id": "Dataset id",
    "schema_id": "Schema id (https://ns.adobe.com/…)",
    "org_id": "IMS organisation (…@AdobeOrg)",
    "project_token": "Project token (Project settings, Access management, API)",
    "client_id": "Client id of the project (Adobe Developer Console)",
}


def _write(path: Path, text: str) -> None:
    """All of the file or none of it, for its owner alone (mkstemp makes it so)."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Wrong(f"{path} cannot be written: {error.strerror}. Name another place with --config.") from error
    click.echo(f"Wrote {path}.")


def _create_queue(path: Path) -> None:
    from edgequeue.config import load_settings
    from edgequeue.queue import EventQueue

    settings = load_settings(path)  # as every other command will see it, $EDGEQUEUE_DATABASE included
    existed = settings.queue.database.exists()
    with EventQueue.from_settings(settings):
        pass
    click.echo(f"{'Kept' if existed else 'Created'} the queue {settings.queue.database}.")


def _say_next(path: Path, answers: Answers, emulator: str | None) -> None:
    option = "" if path == Path("edgequeue.toml").absolute() or not _given(path) else f" --config {quote(str(path))}"
    click.echo("\nNext:")
    for line in next_steps(answers, option, emulator):
        click.echo(f"  {line}")


def _given(path: Path) -> bool:
    """Whether later commands have to name the file: they find $EDGEQUEUE_CONFIG by themselves."""
    return Path(os.environ.get("EDGEQUEUE_CONFIG", "")).expanduser().absolute() != path


@click.command(
    epilog=epilog(
        'bash:  eval "$(edgequeue completion bash)"      in ~/.bashrc',
        'zsh:   eval "$(edgequeue completion zsh)"       in ~/.zshrc',
        "fish:  edgequeue completion fish > ~/.config/fish/completions/edgequeue.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in your shell.

    Put the line below for your shell into its start file; it takes effect in the next shell. bash needs 4.4 or later.
    """
    from click.shell_completion import ShellComplete, get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    complete = kind(ctx.find_root().command, {}, "edgequeue", "_EDGEQUEUE_COMPLETE")
    click.echo(ShellComplete.source(complete))  # not bash's own, which starts a bash to ask for its version
