"""The service in the simulation: Edge, DCCS or Bloomreach, with books of its own on what it has accepted.

It knows events by their purchase numbers. What it answers is right by the services' documents; what happens to the
request on the way there, and to the answer on the way back, is drawn by the seed.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

from edgequeue.clock import moment
from edgequeue.errors import MaybeSent, NotSent, TransportError
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.testing import accept
from tests.simulation.machine import Machine
from tests.simulation.plan import MAY_PASS, Plan

ASKS_SECONDS = (1, 30, 120, 3600, 100_000)
ASKED_SECONDS_MAX = 3600
HTML = b"<!DOCTYPE html><html><body>Sign in</body></html>"
EDGE_REFUSAL = {"type": "https://ns.adobe.com/aep/errors/EXEG-0103-400", "status": 400, "title": "bad"}
EDGE_TOO_LARGE = {"type": "https://ns.adobe.com/aep/errors/EXEG-0112-413", "status": 413, "title": "too large"}
EDGE_UNKNOWN = {"type": "https://ns.adobe.com/aep/errors/EXEG-0003-400", "status": 400, "title": "no datastream"}
DCCS = "https://ns.adobe.com/aep/errors/data-collection-service/"
DCCS_WORDS = "#/xdmEntity/commerce: expected type: Number, found: String"
DCCS_UNKNOWN = {"type": DCCS, "status": 400, "title": "bad", "report": {"message": "dataset d does not exist"}}


class Told(NamedTuple):
    """What a worker heard: the answer, which events it honestly says are accepted, until when it asks for patience."""

    answer: HttpResponse | TransportError
    accepted: frozenset[int] = frozenset()
    asked_until_ms: int = 0


@dataclass
class Service:
    """Takes requests. `moods` hold until told otherwise; `poison` says which purchases are of which kind."""

    plan: Plan
    machine: Machine
    weather: str | None = None
    calm: bool = False
    accepted: Counter[int] = field(default_factory=Counter)
    refusals: Counter[int] = field(default_factory=Counter)
    poison: dict[int, str] = field(default_factory=dict)
    forms: dict[int, Any] = field(default_factory=dict)
    altered: list[int] = field(default_factory=list)
    requests: int = 0
    _last: HttpResponse | None = None

    def mood(self) -> str | None:
        """What happens to the next request; None when all is well."""
        if self.calm:
            return None
        if self.weather is not None:
            return self.weather
        return self.plan.dice.choice(self.plan.moods) if self.plan.dice.random() < self.plan.noise else None

    def unreachable(self) -> bool:
        """Whether there is no way to the service now."""
        return not self.calm and self.weather == "offline"

    def take(self, request: HttpRequest) -> Told:
        """What comes of a request."""
        self.requests += 1
        mood = self.mood()
        stale = self.plan.dice.choice((self._last, self._refusal())) if mood == "stale" else None
        if mood == "stale" and (request.fresh or not self._may_be_taken_for_ours(stale)):
            mood = None
        on_the_way = self._on_the_way(mood)
        if on_the_way is not None:
            return on_the_way
        carried = self._carried(request)
        if mood == "may_pass":
            self.refusals.update(carried)
            return Told(HttpResponse(400, {}, MAY_PASS))
        if mood == "stale":
            if self.plan.dice.random() < 0.5:
                self._answer(request, carried)
            assert stale is not None
            return Told(HttpResponse(stale.status, stale.headers, stale.body, reused=True))
        told = self._answer(request, carried)
        assert isinstance(told.answer, HttpResponse)
        self._last = told.answer
        if mood == "lost_answer":
            return Told(MaybeSent("no answer came in time", code="read_timeout"))
        if mood == "torn" and told.answer.status < 300:
            return Told(HttpResponse(told.answer.status, {}, told.answer.body[:-4]))
        return told

    def _refusal(self) -> HttpResponse:
        """What the service says of a single event that it does not want."""
        if self.plan.destination.type == "adobe-dccs":
            return _json(400, {"type": DCCS, "status": 400, "report": {"message": DCCS_WORDS}})
        return _json(400, EDGE_REFUSAL)

    def _may_be_taken_for_ours(self, answer: HttpResponse | None) -> bool:
        """Whether an earlier answer may come for this request: Edge names the request, DCCS names nobody's."""
        return answer is not None and ("edge" in self.plan.destination.type or answer.status >= 300)

    # --- on the way there ---------------------------------------------------------------------------------------------

    def _on_the_way(self, mood: str | None) -> Told | None:
        match mood:
            case "offline":
                return Told(NotSent("no route", code="connect"))
            case "cut":
                return Told(MaybeSent("the connection was closed", code="cut"))
            case "slow":
                return Told(MaybeSent("the link is too slow", code="write_timeout"))
            case "portal":
                return Told(HttpResponse(self.plan.dice.choice((200, 403, 511)), {}, HTML))
            case "redirect":
                return Told(HttpResponse(302, {"location": "https://portal.example"}, b""))
            case "proxy_413":
                return Told(HttpResponse(413, {}, HTML))
            case "gateway":
                return self._asking(self.plan.dice.choice((502, 504)))
            case "failing":
                return self._asking(500)
            case "busy" | "busy_until":
                return self._asking(self.plan.dice.choice((429, 503)), asks=True, dated=mood == "busy_until")
            case "unauthorised":
                return self._asking(self.plan.dice.choice((401, 403)))
            case "misconfigured":
                return Told(_json(400, self._unknown()))
        return None

    def _asking(self, status: int, *, asks: bool = False, dated: bool = False) -> Told:
        """A failure, with a Retry-After or without."""
        dice = self.plan.dice
        if not (asks or dice.random() < self.plan.asks_beside):
            return Told(_json(status, {"status": status}))
        seconds = dice.choice(ASKS_SECONDS)
        headers = {"retry-after": str(seconds)}
        if dated:  # by its own clock, which is none of the device's
            date = moment(1_700_000_000_000)
            headers = {"date": format_datetime(date, usegmt=True)}
            headers["retry-after"] = format_datetime(date + timedelta(seconds=seconds), usegmt=True)
        until_ms = self.machine.true_ms + 1000 * min(seconds, ASKED_SECONDS_MAX)
        return Told(_json(status, {"status": status}, **headers), asked_until_ms=until_ms)

    def _unknown(self) -> dict[str, Any]:
        kind = self.plan.destination.type
        if kind == "bloomreach":
            return {"success": False, "errors": ["unknown project token"]}
        return EDGE_UNKNOWN if kind == "adobe-edge" else DCCS_UNKNOWN

    # --- at the service -----------------------------------------------------------------------------------------------

    def _carried(self, request: HttpRequest) -> list[int]:
        """The purchases of a request; what is sent again must be recognisably the same."""
        document = json.loads(request.body)
        items = document.get("events") or document.get("messages") or document.get("commands") or [document]
        found = []
        for item in items:
            xdm = item.get("xdm") or item.get("body", {}).get("xdmEntity")
            name = xdm["commerce"]["order"]["purchaseID"] if xdm else item["data"]["properties"]["purchase_id"]
            number = int(name.removeprefix("P-"))
            if self.forms.setdefault(number, item) != item:
                self.altered.append(number)
            found.append(number)
        return found

    def _answer(self, request: HttpRequest, carried: list[int]) -> Told:
        kinds = {self.poison.get(number) for number in carried}
        room = self.plan.body_bytes_max
        if "failing" in kinds:
            return Told(_json(500, {"status": 500}))
        if "unclear" in kinds:
            return Told(HttpResponse(400, {}, b"Bad Request"))
        if "too_large" in kinds or (room is not None and len(request.body) > room and len(carried) > 1):
            return Told(self._too_large())
        kind = self.plan.destination.type
        if kind == "adobe-edge" and "refused" in kinds:
            return Told(self._refusal())
        taken = [number for number in carried if self.poison.get(number) is None]
        self.accepted.update(taken)
        if len(taken) == len(carried):
            return Told(accept(request), frozenset(taken))
        answer = self._by_command(request) if kind == "bloomreach" else self._by_message(request, carried)
        return Told(answer, frozenset(taken))

    def _too_large(self) -> HttpResponse:
        dccs = self.plan.destination.type == "adobe-dccs"
        return _json(413, {"type": DCCS, "status": 413, "title": "too large"} if dccs else EDGE_TOO_LARGE)

    def _by_command(self, request: HttpRequest) -> HttpResponse:
        results = []
        for command in json.loads(request.body)["commands"]:
            number = int(command["data"]["properties"]["purchase_id"].removeprefix("P-"))
            refused = self.poison.get(number) is not None
            said = {"errors": ["bad value"]} if refused else {}
            results.append({"success": not refused, "command_id": command["command_id"], **said})
        return _json(200, {"results": results, "success": True})  # so it says even where all of them failed

    def _by_message(self, request: HttpRequest, carried: list[int]) -> HttpResponse:
        if "messages" not in json.loads(request.body):
            return self._refusal()
        responses: list[dict[str, Any]] = []
        for position, number in enumerate(carried):
            receipt = {"xactionId": f"batch:{position}"}
            refused = {"statusCode": 400, "message": DCCS_WORDS}
            responses.append(receipt if self.poison.get(number) is None else refused)
        return _json(207, {"inletId": "inlet", "batchId": "batch", "responses": responses})


def _json(status: int, document: dict[str, Any], **headers: str) -> HttpResponse:
    return HttpResponse(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(document).encode()
    )
