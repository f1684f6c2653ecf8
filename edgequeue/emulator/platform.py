"""platform.adobe.io: the gateway in front, and which service stands behind a path. Pure.

Flow Service and Data Prep have modules of their own; Schema Registry and Catalog are asked only whether something
exists. Every request needs a token, an API key, an organisation and a sandbox ("Getting started with Platform APIs").
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from edgequeue.emulator import data_prep, flow_service
from edgequeue.emulator.contract import JSON_TYPE, Access, Answer, Request, Stamp, Verdict, json_answer
from edgequeue.emulator.flow_checks import Surroundings
from edgequeue.emulator.flow_objects import FlowObjects
from edgequeue.emulator.options import Options
from edgequeue.emulator.platform_problems import other_problem, problem

BASE = "/data/foundation/"
_PATHS = (
    ("flow_service", r"flowservice/(connections|sourceConnections|targetConnections|flows)(?:/([^/]+))?"),
    ("data_prep", r"conversion/(mappingSets)(?:/([^/]+))?"),
    ("data_prep_short", r"(mappingSets)(?:/([^/]+))?"),
    ("schema_registry", r"schemaregistry/(tenant|global)/schemas/([^/]+)"),
    ("catalog", r"catalog/(dataSets)/([^/]+)"),
)
_ACCEPT = re.compile(r"application/vnd\.adobe\.x(?:ed|dm)[a-z-]*\+json; ?version=\d+(?:\.\d+)?")
""""Schema Registry", Accept header: the lookup of one resource needs a version."""
NAMESPACE = "https://ns.adobe.com/"
GLOBAL_SCHEMAS = f"{NAMESPACE}xdm/"


class Target(NamedTuple):
    """What a path names: a service, a collection of it (or a container of schemas), and an object; None: all."""

    service: str
    collection: str
    object_id: str | None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that are emulated; nothing is changed or deleted."""
        if self.service in ("schema_registry", "catalog") or self.object_id is not None:
            return ("GET",)
        return ("GET", "POST")


def target_of(options: Options, request: Request) -> Target | None:
    """What the path names; None for a path that the platform does not have.

    The tutorial prints `/data/foundation/mappingSets`, every other document `/conversion/`: the former is there only
    when the options say so. An id with slashes must come percent-encoded.
    """
    path = request.encoded_path or request.path
    if not path.startswith(BASE):
        return None
    for service, pattern in _PATHS:
        found = re.fullmatch(pattern, path.removeprefix(BASE))
        if found is None or (service == "data_prep_short" and not options.short_mapping_path):
            continue
        object_id = None if found[2] is None else unquote(found[2])
        return Target(service.removesuffix("_short"), found[1], object_id)
    return None


def judge(options: Options, objects: FlowObjects, request: Request, stamp: Stamp, target: Target) -> Verdict:
    """What the platform answers, and what it makes: at most one object of `target.collection`."""
    refused = _refused(options, request, stamp.access)
    if refused is not None:
        return Verdict(refused)
    around = Surroundings(options, objects, request.headers["x-sandbox-name"])
    match target.service:
        case "flow_service":
            return flow_service.judge(target.collection, target.object_id, request, stamp, around)
        case "data_prep":
            return data_prep.judge(target.object_id, request, stamp, around)
        case "catalog":
            return Verdict(_dataset(options, target.object_id or "", around.sandbox))
    return Verdict(_schema(options, target, request.headers.get("accept", "")))


def _refused(options: Options, request: Request, access: Access) -> Answer | None:
    """The gateway's checks, then that of the sandbox; the platform is never open to all."""
    if access is Access.MISSING or request.bearer is None:
        return problem("403010")
    if access not in (Access.OPEN, Access.VALID):
        return problem("401013")
    key, org = request.headers.get("x-api-key"), request.headers.get("x-gw-ims-org-id")
    if not key:
        return problem("403000")
    if key != (options.client_id or key):
        return problem("403003")
    for name in ("x-gw-ims-org-id", "x-sandbox-name"):
        if not request.headers.get(name):
            return problem("400003", f"Required header {name} is missing")
    if org != (options.org_id or org):
        return problem("403025")
    sandbox = request.headers["x-sandbox-name"]
    if sandbox != (options.sandbox or sandbox):
        return problem("2100-404", f"The sandbox with the name '{sandbox}' could not be found.")
    if request.method == "POST" and request.media_type != JSON_TYPE:
        return problem("1004-415")
    return None


def _schema(options: Options, target: Target, accept: str) -> Answer:
    if not _ACCEPT.fullmatch(accept.strip()):
        return other_problem("XDM-1006-400", "Accept header", "The Accept header must name a format and a version.")
    schema_id = _full_id(target.object_id or "")
    container = "global" if schema_id.startswith(GLOBAL_SCHEMAS) else "tenant"
    known = options.datasets is None or schema_id in options.datasets.values()
    if not known or container != target.collection:
        return other_problem("XDM-1010-404", "Resource not found", f"The schema {schema_id} is not found.")
    document = {"$id": schema_id, "meta:altId": _alternative(schema_id), "meta:resourceType": "schemas"}
    return json_answer(200, document | {"version": "1.0", "title": "Emulated", "type": "object"})


def _alternative(schema_id: str) -> str:
    """`_{TENANT}.schemas.{hash}`, the id that needs no encoding ("Schema Registry", resource identification)."""
    return "_" + schema_id.removeprefix(NAMESPACE).replace("/", ".")


def _full_id(name: str) -> str:
    return NAMESPACE + name[1:].replace(".", "/") if name.startswith("_") else name


def _dataset(options: Options, dataset: str, sandbox: str) -> Answer:
    if options.datasets is not None and dataset not in options.datasets:
        return other_problem("CATALOG-404", "NotFoundError", f"There is no dataset {dataset}.")
    found: dict[str, object] = {"name": dataset, "sandboxName": sandbox}
    if options.datasets is not None:
        content_type = "application/vnd.adobe.xed-full+json;version=1"
        found["schemaRef"] = {"id": options.datasets[dataset], "contentType": content_type}
    return json_answer(200, {dataset: found})
