"""From a parsed request to a reply: which service it is for, what that service says, which fault strikes, what counts.

The one place where verdicts, faults and memory meet. No sockets: `server.py` sends what comes out. The emulator's own
paths (`/_emulator/…`) never meet a fault and are not counted.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import count
from typing import Any

from edgequeue.emulator import dccs, edge, edge_problems
from edgequeue.emulator.contract import Answer, Malformed, Options, Request, Stamp, Verdict, json_answer, read_document
from edgequeue.emulator.effects import PORTAL_PAGE, PORTAL_PATH, Reply, apply
from edgequeue.emulator.faults import Fault, Faults, fault_from_mapping, parse_fault
from edgequeue.emulator.memory import Memory, RequestSeen

OWN_PATH = "/_emulator/"
OWN_METHODS = {
    f"{OWN_PATH}arrived": ("GET",),
    f"{OWN_PATH}requests": ("GET",),
    f"{OWN_PATH}reset": ("POST",),
    f"{OWN_PATH}faults": ("GET", "POST", "DELETE"),
    PORTAL_PATH: ("GET", "POST"),
}


class Services:
    """The emulated services behind one address. Safe from any thread."""

    def __init__(
        self, options: Options, memory: Memory, faults: Faults, on_request: Callable[[RequestSeen], None] | None = None
    ) -> None:
        self._options = options
        self._memory = memory
        self._faults = faults
        self._on_request = on_request
        self._serials = count(1)

    def reply(self, request: Request) -> Reply:
        """What to send for this request; what it brought is remembered before this returns."""
        if request.path.startswith(OWN_PATH):
            return self._own(request)
        now = time.time()
        stamp = Stamp(now, next(self._serials), str(uuid.uuid4()), random.getrandbits(64))
        service, verdict = self._judge(request, stamp)
        fault = self._faults.take(service, verdict.ids)
        reply, accepted = apply(fault, verdict, partial(_refusal, service, verdict.request_id), now)
        seen = RequestSeen(
            path=request.path,
            service=service,
            status=reply.answer.status if reply.answer else None,
            fault=fault.kind if fault else None,
            request_id=verdict.request_id,
            events=verdict.events,
            at=now,
            accepted=len(accepted),
            method=request.method,
        )
        self._memory.record(seen, accepted)
        if self._on_request is not None:
            self._on_request(seen)
        return reply

    def _judge(self, request: Request, stamp: Stamp) -> tuple[str | None, Verdict]:
        service = _service_of(request.path)
        if service is None:
            return None, Verdict(json_answer(404, {"status": 404, "title": "Not found", "detail": request.path}))
        if request.method != "POST":
            return service, Verdict(_not_allowed(("POST",)))
        judge = edge.judge if service == "edge" else dccs.judge
        return service, judge(self._options, request, stamp)

    def _own(self, request: Request) -> Reply:
        methods = OWN_METHODS.get(request.path)
        if methods is None:
            known = ", ".join(OWN_METHODS)
            return Reply(json_answer(404, {"status": 404, "title": "Not found", "detail": f"known are: {known}"}))
        if request.method not in methods:
            return Reply(_not_allowed(methods))
        if request.path == PORTAL_PATH:
            return Reply(Answer(200, PORTAL_PAGE, "text/html; charset=utf-8"))
        name = request.path.removeprefix(OWN_PATH)
        if name == "arrived":
            return Reply(json_answer(200, self._arrived(request.query.get("ids") == "1")))
        if name == "requests":
            return Reply(json_answer(200, [asdict(seen) for seen in self._memory.requests]))
        if name == "reset":
            self._memory.reset()
            return Reply(json_answer(200, {"reset": True}))
        return self._own_faults(request)

    def _arrived(self, with_ids: bool) -> dict[str, Any]:
        arrived = self._memory.arrived()
        document: dict[str, Any] = {
            "events": arrived.events,
            "distinct": arrived.distinct,
            "duplicates": arrived.duplicates,
            "anonymous": arrived.anonymous,
            "requests": self._memory.request_count,
            "unknown_paths": self._memory.unknown_paths,
        }
        return document | {"by_id": dict(arrived.by_id)} if with_ids else document

    def _own_faults(self, request: Request) -> Reply:
        offline: Fault | None = None
        if request.method == "DELETE":
            self._faults.clear()
        elif request.method == "POST":
            try:
                added = _faults_in(read_document(request))
            except ValueError as error:
                text = "the body is not JSON" if isinstance(error, Malformed) else str(error)
                return Reply(json_answer(400, {"status": 400, "title": "Not a fault", "detail": text}))
            for fault in added:
                if fault.at_once:
                    offline = fault
                else:
                    self._faults.add(fault)
        waiting = [str(fault) for fault in self._faults.waiting()]
        return Reply(json_answer(200, {"faults": waiting}), offline=offline)


def _service_of(path: str) -> str | None:
    if path == edge.PATH:
        return "edge"
    for prefix in (dccs.BATCH_PATH, dccs.PATH):
        inlet = path.removeprefix(prefix)
        if path.startswith(prefix) and inlet and "/" not in inlet:
            return "dccs"
    return None


def _refusal(service: str | None, request_id: str | None, status: int, code: str | None) -> Answer:
    """The service's own body for a status that a fault asks for."""
    if service == "edge":
        return edge_problems.partly(request_id) if status == 207 else edge_problems.refusal(status, code, request_id)
    if service == "dccs":
        return dccs.refusal(status, dccs.TITLES.get(status, "emulated"))
    return json_answer(status, {"status": status, "title": "Emulated"})


def _not_allowed(methods: tuple[str, ...]) -> Answer:
    document = {"status": 405, "title": "Method not allowed", "detail": f"allowed: {', '.join(methods)}"}
    return json_answer(405, document, headers=(("Allow", ", ".join(methods)),))


def _faults_in(document: object) -> list[Fault]:
    """One fault or a list of them, each as an object or as compact text."""
    found: list[Fault] = []
    for item in document if isinstance(document, list) else [document]:
        if isinstance(item, str):
            fault = parse_fault(item)
        elif isinstance(item, dict):
            fault = fault_from_mapping(item)
        else:
            raise ValueError('a fault is an object such as {"kind": "delay"}, or its compact text')
        if fault.kind == "offline" and fault.seconds is None:
            raise ValueError("offline needs seconds here: once offline, no request could end it")
        found.append(fault)
    return found
