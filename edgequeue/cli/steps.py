"""What `init` says to do next, and the address and the ids that it writes for the emulator. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from urllib.parse import urlsplit

from edgequeue.cli.template import SAMPLES, Answers

LOOPBACK = "http://127.0.0.1:8080"
"""Where `edgequeue emulator` listens by default."""

INLET = "/collection/emulated-inlet"

EMULATED = {
    "adobe-edge": {"datastream_id": "emulated-datastream"},
    "adobe-dccs": {
        "org_id": "emulated@AdobeOrg",
        "dataset_id": "emulated-dataset",
        "schema_id": "https://ns.adobe.com/emulated/schemas/demo",
    },
}
"""Type of destination -> ids that an emulator which was told none takes."""


def is_address(url: str) -> bool:
    """Whether an emulator can listen there: http, a host, and nothing behind it."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and bool(parts.hostname) and url == f"http://{parts.netloc}" and parts.port != 0
    except ValueError:
        return False


def next_steps(answers: Answers, option: str, emulator: str | None) -> Iterator[str]:
    """The commands to go on with, a line each. `option` names the configuration, `emulator` is its address."""
    if answers.signs:
        what = "client secret" if answers.client_secret_env else "access token"
        where = f"the {what}" if emulator is None else f"any {what}, in both terminals"
        yield f"export {answers.token_env or answers.client_secret_env}=…          ({where})"
    if emulator is None:
        yield f"edgequeue{option} doctor"
    else:
        yield f"edgequeue emulator{''.join(_options(answers, emulator))}          (in another terminal)"
    yield f"echo '{SAMPLES[answers.type]}' | edgequeue{option} enqueue"
    yield f"edgequeue{option} sync"
    yield f"edgequeue{option} status"


def _options(answers: Answers, url: str) -> Iterator[str]:
    """What the emulator has to be told to listen there, and to take what this configuration sends and nothing else."""
    parts = urlsplit(url)
    if url.rstrip("/") != LOOPBACK:
        yield f" --port {parts.port or 80}"
    if parts.hostname not in ("127.0.0.1", "localhost"):
        yield f" --host {parts.hostname}"
    if answers.org_id:
        yield f" --org-id {quote(answers.org_id)}"
    if answers.client_secret_env and answers.client_id:
        yield f' --client-id {quote(answers.client_id)} --client-secret "${answers.client_secret_env}"'
    elif answers.token_env and (answers.type != "adobe-edge" or (answers.client_id and answers.org_id)):
        yield f' --token "${answers.token_env}"'  # without an account Edge's gateway takes no token: none is asked for
