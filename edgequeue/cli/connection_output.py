"""What the `connection` commands write, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from edgequeue.cli.output import clean, facts, local, local_full, sentence, table, to_json, write_json, write_lines
from edgequeue.config.editing import table_text
from edgequeue.flow_service.client import request_of
from edgequeue.flow_service.plan import PLACEHOLDERS, requests

if TYPE_CHECKING:
    from edgequeue.flow_service.finding import Part
    from edgequeue.flow_service.settings import FlowService
    from edgequeue.flow_service.steps import Call
    from edgequeue.flow_service.survey import ConnectionDetail, ConnectionView, FlowView
    from edgequeue.flow_service.wanted import Wanted

KIND_COLUMNS = 19
"""As wide as the longest name of an object, and two."""


def part(one: Part) -> None:
    """One line for one object: what it is, whether it was found or made, its id."""
    click.echo(f"{one.kind:<{KIND_COLUMNS}}{_state(one):<7}{clean(one.id)}")


def parts_on_stderr(parts: Iterable[Part]) -> None:
    """What there is by the time of an error, where stdout is for one document."""
    for one in parts:
        click.echo(f"{one.kind}: {_state(one)} {clean(one.id)}", err=True)


def _state(one: Part) -> str:
    return "made" if one.made else "found"


def destination(name: str, keys: Mapping[str, Any], path: Path | None) -> None:
    """The ready destination; `path` is the configuration that it has to be put into by hand."""
    click.echo("\nThe destination:\n")
    click.echo(table_text(name, keys))
    if "not_before" in keys:
        sentence(
            f"Events are sent from {local(keys['not_before'])} on: what comes before the dataflow is ready may be lost."
        )
    if "auth" not in keys:
        sentence("The inlet is open: whoever knows its URL can send to it. Keep personal data out of it.")
    if path is not None:
        sentence(f"Put it into {path}, or run the same command with --write.")


def made_json(
    wanted: Wanted,
    parts: Sequence[Part],
    destination_name: str,
    keys: Mapping[str, Any],
    warnings: Sequence[str],
    written: Path | None,
) -> None:
    """The whole create as one document."""
    write_json(
        {
            "name": wanted.name,
            "steps": [{"step": str(one.kind), "state": _state(one), "id": one.id} for one in parts],
            "inlet_url": keys["endpoint"],
            "flow_id": keys["flow_id"],
            "not_before": keys.get("not_before"),
            "destination": {"name": destination_name, **keys},
            "toml": table_text(destination_name, keys),
            "warnings": list(warnings),
            "written": None if written is None else str(written),
        }
    )


def dry_run(wanted: Wanted, service: FlowService, *, as_json: bool) -> None:
    """Each request as it would be sent, without the token."""
    calls = list(requests(wanted, service))
    if as_json:
        write_lines(to_json(_request(call, service)) for call in calls)
        return
    for call in calls:
        found = _request(call, service)
        click.echo(f"# {found['step']}\n{found['method']} {found['url']}")
        for name, value in found["headers"].items():
            click.echo(f"{name}: {value}")
        if found["body"] is not None:
            click.echo("\n" + json.dumps(found["body"], indent=2, ensure_ascii=False))
        click.echo()
    click.echo("Nothing was sent. What is found is not made, and what is made is looked up again.", err=True)
    click.echo("Of lists the first page is shown.", err=True)


def _request(call: Call, service: FlowService) -> dict[str, Any]:
    request = request_of(call, service)
    url = request.url
    for placeholder in PLACEHOLDERS:
        url = url.replace(quote(placeholder, safe=""), placeholder)
    signed = {
        "authorization": "Bearer <access token>",
        "x-api-key": service.client_id,
        "x-gw-ims-org-id": service.org_id,
    }
    body = None if call.body is None else dict(call.body)
    return {
        "step": str(call.kind),
        "method": request.method,
        "url": url,
        "headers": {**signed, **request.headers},
        "body": body,
    }


def list_table(found: Sequence[ConnectionView]) -> None:
    """A line for each connection."""
    if not found:
        sentence("There is no streaming connection in this sandbox. To make one: edgequeue connection create NAME")
        return
    heads = ("NAME", "DATA", "AUTHENTICATION", "STATE", "INLET")
    table(heads, [(one.name, one.data_type, _access(one), one.state, one.inlet_url) for one in found], elastic=[0, 4])


def _access(one: ConnectionView) -> str | None:
    return None if one.authenticated is None else "required" if one.authenticated else "open"


def detail(found: ConnectionDetail, *, as_json: bool, first: bool) -> None:
    """One connection with all that belongs to it."""
    if as_json:
        write_json({**_flat(found.connection), **_rest(found)})
        return
    if not first:
        click.echo()
    one = found.connection
    facts(
        [
            ("name", one.name),
            ("base connection", one.base_connection_id),
            ("data type", one.data_type),
            ("authentication", _access(one)),
            ("state", one.state),
            ("inlet URL", one.inlet_url),
            ("made", local_full(one.created_at) if one.created_at else None),
            *(("source connection", each) for each in found.source_connection_ids),
        ]
    )
    for flow in found.flows:
        click.echo()
        _flow(flow)
    if not found.flows:
        click.echo()
        sentence("It has no dataflow, so nothing that is sent arrives. To go on: edgequeue connection create.")


def _flow(flow: FlowView) -> None:
    facts(
        [
            ("dataflow", flow.flow_id),
            ("name", flow.name),
            ("state", flow.state),
            ("target connection", flow.target_connection_id),
            ("dataset", flow.dataset_id),
            ("schema", flow.schema_id),
            ("mapping set", flow.mapping_id),
        ]
    )
    for pair in flow.mapping or ():
        click.echo(f"  {clean(pair.source)} → {clean(pair.destination)}")


def _flat(view: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_json(view))
    return found


def _rest(found: ConnectionDetail) -> dict[str, Any]:
    """Source connections and dataflows; each pair of a mapping as an object with names."""
    flows = []
    for flow in found.flows:
        pairs = None if flow.mapping is None else [pair._asdict() for pair in flow.mapping]
        flows.append({**_flat(flow), "mapping": pairs})
    return {"source_connection_ids": list(found.source_connection_ids), "flows": flows}
