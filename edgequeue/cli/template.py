"""The configuration that `init` writes. Pure: answers in, commented TOML out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgequeue.config.editing import key_text, quoted

ACCOUNT = "adobe"
"""The name of the account that is written."""

SAMPLES = {
    "adobe-edge": '{"xdm": {"identityMap": {"FPID": '
    '[{"id": "6f1f2a52-8c1e-4d0b-9a7e-2b5c3d4e5f60", "primary": true}]}}}',
    "adobe-dccs": '{"xdm": {"eventType": "test"}}',
}
"""The smallest event that each type takes."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known of the destination; None where it has to be filled in or the default will do."""

    type: str
    name: str = "web"
    database: str = "queue.db"
    endpoint: str | None = None
    datastream_id: str | None = None
    dataset_id: str | None = None
    schema_id: str | None = None
    org_id: str | None = None
    client_id: str | None = None
    token_env: str | None = None
    client_secret_env: str | None = None
    token_endpoint: str | None = None

    @property
    def signs(self) -> bool:
        """Whether requests carry credentials."""
        return bool(self.token_env or self.client_secret_env)


def configuration(answers: Answers) -> str:
    """The text of an edgequeue.toml; keys without an answer stand in it as comments."""
    parts = [_HEAD, "\n".join(_queue(answers)), "\n".join(_destination(answers))]
    if answers.signs:
        parts.append("\n".join(_auth(answers)))
    return "\n\n".join(parts) + "\n"


def further_destination(answers: Answers, *, account: bool) -> str:
    """The tables of a destination for a configuration that there is; without `account` its account is there too."""
    parts = ["\n".join(_destination(answers))]
    if answers.signs and account:
        parts.append("\n".join(_auth(answers)))
    return "\n\n".join(parts)


_HEAD = """# The configuration of an edgequeue. After a change: edgequeue doctor
# Relative paths are taken from this file's directory."""


def _queue(answers: Answers) -> Iterable[str]:
    yield "[queue]"
    yield f"database = {quoted(answers.database)}"
    yield "keep_delivered_days = 7       # then a delivered event is deleted; the ledger still counts it"
    yield "keep_dead_days = 30           # the same for refused events"
    yield "max_bytes = 4294967296        # when the queue uses as much, enqueue refuses further events"
    yield "# max_events = 1000000        # the same by the number of events that wait"


def _destination(answers: Answers) -> Iterable[str]:
    yield f"[destinations.{key_text(answers.name)}]"
    yield f"type = {quoted(answers.type)}"
    if answers.type == "adobe-edge":
        yield _line("endpoint", answers.endpoint, "https://edge.adobedc.net", "with auth: https://server.adobedc.net")
        yield _line("datastream_id", answers.datastream_id, "…", "Data Collection, Datastreams")
    else:
        yield _line("endpoint", answers.endpoint, "https://dcs.adobedc.net/collection/…", "the inlet URL")
        yield _line("org_id", answers.org_id, "…@AdobeOrg", "the IMS organisation")
        yield _line("dataset_id", answers.dataset_id, "…", "needed unless events bring header and body")
        yield _line("schema_id", answers.schema_id, "https://ns.adobe.com/…", "the schema's $id")
        yield "schema_version = 1"
    if answers.signs:
        yield f"auth = {quoted(ACCOUNT)}"
    yield '# reference_path = "xdm.commerce.order.purchaseID"   # your own key in the event; see edgequeue find'


def _auth(answers: Answers) -> Iterable[str]:
    yield f"[auth.{ACCOUNT}]"
    if answers.client_secret_env:
        yield 'type = "ims"                  # tokens are fetched; all of this stands in Adobe\'s Developer Console'
        yield _line("client_id", answers.client_id, "…", "sent as x-api-key too")
        yield f"client_secret_env = {quoted(answers.client_secret_env)}    # the variable that holds the client secret"
        yield _line("org_id", answers.org_id, "…@AdobeOrg", "sent as x-gw-ims-org-id")
        yield 'scopes = ["openid", "AdobeID"]   # and those of your project'
        yield _line(
            "endpoint", answers.token_endpoint, "https://ims-na1.adobelogin.com/ims/token/v3", "the token service"
        )
        return
    yield 'type = "bearer"'
    yield f"token_env = {quoted(answers.token_env or '')}    # the variable that holds the access token"
    yield _line("client_id", answers.client_id, "…", "sent as x-api-key")
    yield _line("org_id", answers.org_id, "…@AdobeOrg", "sent as x-gw-ims-org-id")


def _line(key: str, value: str | None, example: str, comment: str) -> str:
    written = f"{key} = {quoted(value)}" if value else f"# {key} = {quoted(example)}"
    return f"{written}   # {comment}"
