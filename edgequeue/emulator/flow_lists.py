"""Lists of Flow Service: filters, order and pages, read from "Sorting and filtering responses". Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from edgequeue.emulator.contract import Answer, Request, json_answer
from edgequeue.emulator.flow_objects import Made
from edgequeue.emulator.platform_problems import problem

PARAMETERS = ("property", "limit", "continuationToken", "count", "orderby")
_MARK = "emulated-"


def listed(request: Request, objects: Sequence[Made], page_size: int, address: str) -> Answer:
    """The answer to a list request on these objects; `address` is the URL of the collection."""
    unknown = [name for name, _ in request.pairs if name not in PARAMETERS]
    if unknown:
        return problem("1451-400", f"Invalid params {', '.join(unknown)} provided in query params.")
    if "limit" in request.query and "count" in request.query:
        return problem("1401-400")
    for expression in request.values("property"):
        path, operator, value = expression.partition("==")
        if not operator or not path:
            return problem("1450-400", f"Invalid operator in filter params: {expression}")
        if not value:
            return problem("1453-400", f"Invalid query value {expression} provided in query param.")
        wanted = value.split(",")  # a comma means: any of
        objects = [one for one in objects if any(_text(found) in wanted for found in _at(one, path))]
    if "count" in request.query:
        return json_answer(200, {"count": len(objects)})
    return _page(request, _ordered(objects, request.query.get("orderby", "")), page_size, address)


def _at(value: Any, path: str) -> list[Any]:
    """The values at a dotted path; `name[]` goes through all elements of an array."""
    found = [value]
    for part in path.split("."):
        name = part.removesuffix("[]")
        found = [one[name] for one in found if isinstance(one, dict) and name in one]
        if part.endswith("[]"):
            found = [element for one in found if isinstance(one, list) for element in one]
    return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ordered(objects: Sequence[Made], orderby: str) -> Sequence[Made]:
    name = orderby.lstrip("+- ")  # a plus that nobody encoded arrives as a space
    if not name:
        return objects
    return sorted(objects, key=lambda one: _text(one.get(name, "")), reverse=orderby.startswith("-"))


def _page(request: Request, objects: Sequence[Made], page_size: int, address: str) -> Answer:
    limit, start = request.query.get("limit", str(page_size)), _start(request.query.get("continuationToken"))
    if not (limit.isascii() and limit.isdigit() and int(limit)) or start is None:
        return problem("1100-400", "limit must be a number above 0, continuationToken one that was given out.")
    size = min(int(limit), page_size)
    links: dict[str, Any] = {}
    if start + size < len(objects):
        token = base64.urlsafe_b64encode(f"{_MARK}{start + size}".encode()).decode()
        others = [(name, value) for name, value in request.pairs if name != "continuationToken"]
        links["next"] = {"href": f"{address}?{urlencode([*others, ('continuationToken', token)])}"}
    return json_answer(200, {"items": list(objects[start : start + size]), "_links": links})


def _start(token: str | None) -> int | None:
    if token is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(token).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    number = text.removeprefix(_MARK)
    return int(number) if text.startswith(_MARK) and number.isdigit() else None
