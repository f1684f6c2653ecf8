"""From a parsed request to a reply: which service it is for, what that service says, which fault strikes, what counts.

The one place where verdicts, faults and memory meet. No sockets: `speaking.py` sends what comes out.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from functools import partial
from itertools import count

from edgequeue.emulator import bloomreach, dccs, edge, edge_problems, ims, platform, platform_problems
from edgequeue.emulator.contract import Answer, Request, Stamp, Verdict, json_answer
from edgequeue.emulator.effects import Reply, apply
from edgequeue.emulator.faults import Faults
from edgequeue.emulator.flow_objects import FlowObjects
from edgequeue.emulator.memory import Memory, RequestSeen
from edgequeue.emulator.mood import Mood
from edgequeue.emulator.options import Options
from edgequeue.emulator.own import OWN_PATH, OwnPaths, not_allowed
from edgequeue.emulator.tokens import Tokens


class Services:
    """The emulated services behind one address. Safe from any thread; `options` and `mood` may be replaced."""

    def __init__(
        self, options: Options, memory: Memory, faults: Faults, on_request: Callable[[RequestSeen], None] | None = None
    ) -> None:
        self.options = options
        self.mood: Mood | None = None
        self.tokens = Tokens()
        self._memory = memory
        self._faults = faults
        self.objects = FlowObjects()
        self._own = OwnPaths(memory, faults, self.objects)
        self._on_request = on_request
        self._serials = count(1)

    def reply(self, request: Request) -> Reply:
        """What to send for this request; what it brought is remembered before this returns."""
        if request.path.startswith(OWN_PATH):
            return self._own.reply(request)
        now, options = time.time(), self.options
        access = self.tokens.access(options, request.bearer)
        stamp = Stamp(now, next(self._serials), str(uuid.uuid4()), random.getrandbits(64), access)
        target = platform.target_of(options, request)
        service, verdict = self._judge(options, request, stamp, target)
        mood = self.mood
        fault = self._faults.take(service, verdict.ids) or (mood.draw(service, verdict.ids) if mood else None)
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
            ticks=time.monotonic(),
        )
        if target is not None:
            self.objects.keep(target.collection, [one.payload for one in accepted])
        self._memory.record(seen, accepted)
        if self._on_request is not None:
            self._on_request(seen)
        return reply

    def _judge(
        self, options: Options, request: Request, stamp: Stamp, target: platform.Target | None
    ) -> tuple[str | None, Verdict]:
        service = "platform" if target else _service_of(request.path)
        if service is None:
            return None, Verdict(json_answer(404, {"status": 404, "title": "Not found", "detail": request.path}))
        methods = target.methods if target else ("POST",)
        if request.method not in methods:
            return service, Verdict(not_allowed(methods))
        if target is not None:
            return service, platform.judge(options, self.objects, request, stamp, target)
        match service:
            case "ims":
                return service, ims.judge(options, request, self.tokens.issue)
            case "edge":
                return service, edge.judge(options, request, stamp)
            case "bloomreach":
                return service, bloomreach.judge(options, request, stamp)
        name = dccs.inlet_of(request.path) or ""
        inlet = self.objects.inlet(name, stamp.at, options.flow_delay_seconds) or options.inlet(name)
        return service, dccs.judge(options, request, stamp, inlet)


def _service_of(path: str) -> str | None:
    if path == edge.PATH:
        return "edge"
    if path == ims.PATH:
        return "ims"
    if bloomreach.project_of(path) is not None:
        return "bloomreach"
    return "dccs" if dccs.inlet_of(path) is not None else None


def _refusal(service: str | None, request_id: str | None, status: int, code: str | None) -> Answer:
    """The service's own body for a status that a fault asks for."""
    if service == "edge":
        return edge_problems.partly(request_id) if status == 207 else edge_problems.refusal(status, code, request_id)
    if service == "dccs":
        return dccs.refusal(status, dccs.TITLES.get(status, "emulated"))
    if service == "ims":
        return ims.refusal(status)
    if service == "bloomreach":
        return bloomreach.refusal(status, code, request_id)
    if service == "platform":
        return platform_problems.refusal(status, code)
    return json_answer(status, {"status": status, "title": "Emulated"})
