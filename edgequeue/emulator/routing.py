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

from edgequeue.emulator import dccs, edge, edge_problems, ims
from edgequeue.emulator.contract import Answer, Options, Request, Stamp, Verdict, json_answer
from edgequeue.emulator.effects import Reply, apply
from edgequeue.emulator.faults import Faults
from edgequeue.emulator.memory import Memory, RequestSeen
from edgequeue.emulator.mood import Mood
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
        self._own = OwnPaths(memory, faults)
        self._on_request = on_request
        self._serials = count(1)

    def reply(self, request: Request) -> Reply:
        """What to send for this request; what it brought is remembered before this returns."""
        if request.path.startswith(OWN_PATH):
            return self._own.reply(request)
        now, options = time.time(), self.options
        access = self.tokens.access(options, request.bearer)
        stamp = Stamp(now, next(self._serials), str(uuid.uuid4()), random.getrandbits(64), access)
        service, verdict = self._judge(options, request, stamp)
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
        )
        self._memory.record(seen, accepted)
        if self._on_request is not None:
            self._on_request(seen)
        return reply

    def _judge(self, options: Options, request: Request, stamp: Stamp) -> tuple[str | None, Verdict]:
        service = _service_of(request.path)
        if service is None:
            return None, Verdict(json_answer(404, {"status": 404, "title": "Not found", "detail": request.path}))
        if request.method != "POST":
            return service, Verdict(not_allowed(("POST",)))
        if service == "ims":
            return service, ims.judge(options, request, self.tokens.issue)
        judge = edge.judge if service == "edge" else dccs.judge
        return service, judge(options, request, stamp)


def _service_of(path: str) -> str | None:
    if path == edge.PATH:
        return "edge"
    if path == ims.PATH:
        return "ims"
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
    if service == "ims":
        return ims.refusal(status)
    return json_answer(status, {"status": status, "title": "Emulated"})
