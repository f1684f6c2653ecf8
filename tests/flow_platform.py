"""Adobe Experience Platform as far as connections need it: objects in memory, names not unique, and every way to fail.

Written from wire-facts and Adobe's documents, not from edgequeue's code: what the client must not rely on is not so
here. Names repeat, lists come in small pages, a comma in a filter means "any of", and what was made may show late.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

from edgequeue.errors import MaybeSent, NotSent, TransportError
from edgequeue.model import HttpRequest, HttpResponse

SCHEMA = "https://ns.adobe.com/acme/schemas/7f682c29f887512a897791e7161b90a1ae7ed3dd07a177b1"
DATASET = "637eb7fadc8a211b6312b65b"
CREATED_MS = 1669238699119
FLOW_SERVICE = "/data/foundation/flowservice/"
REGISTRY = "/data/foundation/schemaregistry/"
DATASETS = "/data/foundation/catalog/dataSets/"
COLLECTIONS = ("connections", "sourceConnections", "targetConnections", "flows", "mappingSets")

Interference = Callable[[int, HttpRequest, Callable[[], HttpResponse]], HttpResponse]


def answer(status: int, document: Any, **headers: str) -> HttpResponse:
    return HttpResponse(status, {"content-type": "application/json", **headers}, json.dumps(document).encode())


class Platform:
    """The service. Call it with a request. `interfere` may answer in its place, before or after it has done its part.

    `late`: so many lists of its kind do not show a new object. `page`: items in a page.
    """

    def __init__(self, *, page: int = 2, late: int = 0, mapping_path: str = "/data/foundation/conversion/mappingSets"):
        self.objects: dict[str, list[dict[str, Any]]] = {name: [] for name in COLLECTIONS}
        self.schemas = {("tenant", SCHEMA): 1}
        self.datasets: dict[str, Any] = {
            DATASET: {
                "name": "sales",
                "schemaRef": {"id": SCHEMA, "contentType": "application/vnd.adobe.xed-full+json;version=1"},
            }
        }
        self.page = page
        self.late = late
        self.mapping_path = mapping_path
        self.requests: list[HttpRequest] = []
        self.interfere: Interference | None = None
        self._hidden: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def counts(self) -> dict[str, int]:
        """How many objects of each kind there are."""
        return {name: len(items) for name, items in self.objects.items() if items}

    @property
    def creates(self) -> list[HttpRequest]:
        return [one for one in self.requests if one.method == "POST"]

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
            if self.interfere is not None:
                return self.interfere(number, request, lambda: self._answer(request))
            return self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        parts = urlsplit(request.url)
        path = parts.path
        missing = [name for name in ("x-sandbox-name", "accept") if name not in request.headers]
        if missing:
            return answer(400, {"error_code": "400003", "message": f"Missing header {missing[0]}"})
        if path.startswith(REGISTRY):
            return self._schema(path, request.headers["accept"])
        if path.startswith(DATASETS):
            found = self.datasets.get(unquote(path.removeprefix(DATASETS)))
            return (
                answer(200, {unquote(path.removeprefix(DATASETS)): found})
                if found
                else answer(404, {"title": "NotFound"})
            )
        if path.startswith(self.mapping_path):
            return self._mapping(request, path.removeprefix(self.mapping_path).strip("/"), dict(parse_qsl(parts.query)))
        if path.startswith(FLOW_SERVICE):
            collection, _, one = path.removeprefix(FLOW_SERVICE).partition("/")
            if collection in COLLECTIONS:
                return self._flow_service(request, collection, one, parts.query)
        return answer(404, {"error_code": "404000", "message": "no such resource"})

    def _schema(self, path: str, accept: str) -> HttpResponse:
        container, _, named = path.removeprefix(REGISTRY).partition("/schemas/")
        if "version=" not in accept:
            return answer(400, {"type": "http://ns.adobe.com/aep/errors/XDM-1006-400", "title": "Accept header error"})
        version = self.schemas.get((container, unquote(named)))
        if version is None or f"version={version}" not in accept:
            return answer(404, {"type": "http://ns.adobe.com/aep/errors/XDM-1010-404", "title": "Resource not found"})
        return answer(200, {"$id": unquote(named), "version": f"{version}.0"})

    # --- Flow Service ------------------------------------------------------------------------------------------------

    def _flow_service(self, request: HttpRequest, collection: str, one: str, query: str) -> HttpResponse:
        items = self.objects[collection]
        if request.method == "POST":
            return self._create(collection, json.loads(request.body))
        if one:
            found = [item for item in items if item["id"] == one]
            return answer(200, {"items": found}) if found else answer(404, {"type": "…/1300-404", "title": "not found"})
        asked = parse_qs(query)
        if "limit" in asked and "count" in asked:
            return answer(400, {"errorCode": "1401-400", "message": "limit and count together"})
        matching = [
            item for item in self._shown(items) if all(_matches(item, one) for one in asked.get("property", []))
        ]
        begin = int(asked.get("continuationToken", ["0"])[0])
        size = min(self.page, int(asked.get("limit", ["20"])[0]))
        page: dict[str, Any] = {"items": matching[begin : begin + size], "_links": {}}
        if begin + size < len(matching):
            kept = [(key, value) for key, value in parse_qsl(query) if key != "continuationToken"]
            after = urlencode([*kept, ("continuationToken", str(begin + size))])
            page["_links"]["next"] = {"href": f"https://platform.adobe.io{FLOW_SERVICE}{collection}?{after}"}
        return answer(200, page)

    def _create(self, collection: str, body: dict[str, Any]) -> HttpResponse:
        if "state" in body:
            return answer(400, {"errorCode": "1410-400", "message": "state is not allowed"})
        number = len(self.objects[collection]) + 1
        item = {
            **body,
            "id": f"{collection}-{number}",
            "state": "enabled",
            "createdAt": CREATED_MS + number,
            "sandboxName": "prod",
        }
        if collection == "connections":
            inlet = f"{number:064x}"
            params = {
                "authenticationRequired": False,
                "name": body["name"],
                **body["auth"]["params"],
                "inletId": inlet,
                "inletUrl": f"https://dcs.adobedc.net/collection/{inlet}",
            }
            item["auth"] = {**body["auth"], "params": params}
        self._keep(collection, item)
        return answer(201, {"id": item["id"], "etag": '"0"'})

    def _mapping(self, request: HttpRequest, one: str, asked: dict[str, str]) -> HttpResponse:
        items = self.objects["mappingSets"]
        if request.method == "POST":
            item = {**json.loads(request.body), "id": f"{len(items) + 1:032x}", "version": 0, "createdDate": CREATED_MS}
            self._keep("mappingSets", item)
            return answer(200, {key: item[key] for key in ("id", "version", "createdDate")})
        if one:
            found = next((item for item in items if item["id"] == one), None)
            return answer(200, found) if found else answer(404, {"title": "not found"})
        if "limit" not in asked or "start" not in asked:
            return answer(400, {"title": "limit and start are required"})
        begin = int(asked["start"])
        return answer(200, {"data": self._shown(items)[begin : begin + self.page], "_page": {}})

    def _keep(self, collection: str, item: dict[str, Any]) -> None:
        self.objects[collection].append(item)
        self._hidden[item["id"]] = self.late

    def show_all(self) -> None:
        """From now on lists show everything at once."""
        self.late = 0
        self._hidden.clear()

    def _shown(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What a list shows now; what is hidden comes one list nearer to being shown."""
        shown = []
        for item in items:
            if self._hidden.get(item["id"], 0) > 0:
                self._hidden[item["id"]] -= 1
            else:
                shown.append(item)
        return shown


def _matches(item: dict[str, Any], condition: str) -> bool:
    """`path==value`, where a comma in the value means any of several and `path[]` any of a list."""
    path, _, value = condition.partition("==")
    found: Any = item
    for key in path.removesuffix("[]").split("."):
        found = found.get(key) if isinstance(found, dict) else None
    values = value.split(",")
    return any(each in values for each in found) if isinstance(found, list) else str(found) in values


def duplicates(platform: Platform) -> dict[str, int]:
    """Kinds of which there is more than one object of a name, or more than one mapping set."""
    named = Counter((kind, item.get("name", "")) for kind, items in platform.objects.items() for item in items)
    return {f"{kind} {name}".strip(): number for (kind, name), number in named.items() if number > 1}


def cut_at(number: int, *, done: bool, down: bool) -> Interference:
    """Request `number` is cut: before the service did it, or after (`done`). `down`: then the network is gone."""

    def interfere(seen: int, request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
        if seen == number:
            if done:
                act()
            raise MaybeSent("the connection was cut", code="read")
        if down and seen > number:
            raise NotSent("there is no network", code="connect")
        return act()

    return interfere


class OverHttp:
    """The platform on loopback, for the command line; a cut closes the connection. Asks for a bearer token."""

    def __init__(self, platform: Platform, token: str = "tok") -> None:
        self.platform = platform
        self.token = token
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                url = f"https://platform.adobe.io{self.path}"
                try:
                    found = self._checked(headers) or service.platform(HttpRequest(self.command, url, headers, body))
                except TransportError:
                    self.close_connection = True
                    return
                with suppress(BrokenPipeError):
                    self.send_response(found.status)
                    for name, value in found.headers.items():
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(found.body)))
                    self.end_headers()
                    self.wfile.write(found.body)

            def _checked(self, headers: dict[str, str]) -> HttpResponse | None:
                if headers.get("authorization") != f"Bearer {service.token}":
                    return answer(401, {"error_code": "401013", "message": "Oauth token is not valid"})
                if not headers.get("x-api-key") or not headers.get("x-gw-ims-org-id"):
                    return answer(403, {"error_code": "403000", "message": "Api Key is required"})
                return None

            do_GET = do_POST = _serve  # noqa: N815 - the names that http.server asks for

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
