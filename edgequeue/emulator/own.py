"""The emulator's own paths (`/_emulator/…`): what arrived, what was made, the requests, faults to come, the portal.

They never meet a fault and are not counted.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgequeue.emulator.bodies import HTML_TYPE, PORTAL_PAGE, PORTAL_PATH
from edgequeue.emulator.compact import faults_in
from edgequeue.emulator.contract import Answer, Malformed, Request, json_answer, read_document
from edgequeue.emulator.effects import Reply
from edgequeue.emulator.faults import Fault, Faults
from edgequeue.emulator.flow_objects import COLLECTIONS, FlowObjects
from edgequeue.emulator.memory import Memory

OWN_PATH = "/_emulator/"
OWN_METHODS = {
    f"{OWN_PATH}arrived": ("GET",),
    f"{OWN_PATH}requests": ("GET",),
    f"{OWN_PATH}platform": ("GET",),
    f"{OWN_PATH}reset": ("POST",),
    f"{OWN_PATH}faults": ("GET", "POST", "DELETE"),
    PORTAL_PATH: ("GET", "POST"),
}


class OwnPaths:
    """Answers requests to the emulator itself. Safe from any thread."""

    def __init__(self, memory: Memory, faults: Faults, objects: FlowObjects) -> None:
        self._memory = memory
        self._objects = objects
        self._faults = faults

    def reply(self, request: Request) -> Reply:
        """The answer; what it asked for has been done."""
        methods = OWN_METHODS.get(request.path)
        if methods is None:
            known = ", ".join(OWN_METHODS)
            return Reply(json_answer(404, {"status": 404, "title": "Not found", "detail": f"known are: {known}"}))
        if request.method not in methods:
            return Reply(not_allowed(methods))
        if request.path == PORTAL_PATH:
            return Reply(Answer(200, PORTAL_PAGE, HTML_TYPE))
        name = request.path.removeprefix(OWN_PATH)
        if name == "arrived":
            return Reply(json_answer(200, self._arrived(request.query.get("ids") == "1")))
        if name == "requests":
            return Reply(json_answer(200, [asdict(seen) for seen in self._memory.requests]))
        if name == "platform":
            made = {collection: self._objects.all(collection) for collection in COLLECTIONS}
            return Reply(json_answer(200, {"counts": self._objects.counts(), "objects": made}))
        if name == "reset":
            self._memory.reset()
            return Reply(json_answer(200, {"reset": True}))
        return self._faults_of(request)

    def _arrived(self, with_ids: bool) -> dict[str, Any]:
        arrived = self._memory.arrived()
        document: dict[str, Any] = {
            "events": arrived.events,
            "distinct": arrived.distinct,
            "duplicates": arrived.duplicates,
            "anonymous": arrived.anonymous,
            "requests": self._memory.request_count,
            "token_requests": self._memory.token_requests,
            "unknown_paths": self._memory.unknown_paths,
        }
        return document | {"by_id": dict(arrived.by_id)} if with_ids else document

    def _faults_of(self, request: Request) -> Reply:
        offline: Fault | None = None
        if request.method == "DELETE":
            self._faults.clear()
        elif request.method == "POST":
            try:
                added = faults_in(read_document(request))
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


def not_allowed(methods: tuple[str, ...]) -> Answer:
    """405, with what is."""
    document = {"status": 405, "title": "Method not allowed", "detail": f"allowed: {', '.join(methods)}"}
    return json_answer(405, document, headers=(("Allow", ", ".join(methods)),))
