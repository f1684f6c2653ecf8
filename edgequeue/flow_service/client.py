"""Requests to Adobe Experience Platform, carried by a sender: credentials, patience, pages.

What only looks is repeated by itself. What makes something is sent once: whether it may be sent again only a look-up
can tell, and that is `create`'s business.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from random import random
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import orjson

from edgequeue.auth import Denied
from edgequeue.errors import NotSent, ServiceError, ServiceUnavailable, TransportError
from edgequeue.flow_service.answers import Answer, Meaning, read, without
from edgequeue.flow_service.settings import FlowService
from edgequeue.flow_service.steps import Call, Kind
from edgequeue.model import HttpRequest, Problem
from edgequeue.retry import HoldState, RetryPolicy
from edgequeue.sender import Sender, host_of

log = logging.getLogger("edgequeue")

TRIES_MAX = 4
"""Tries of one request that looks; also how often a create is sent at most, each time after a look-up."""

WAIT_SECONDS_MAX = 60.0
"""A service that asks for more patience is not waited for: somebody sits in front of the screen."""

PAGES_MAX = 1000
"""Pages of one list; beyond it nothing is made, because it is not known whether it is there."""

_POLICY = RetryPolicy(base_seconds=1.0, factor=2.0, cap_seconds=15.0)
_CUT_OFF = "It is not known whether it was done. Run the same command again in a minute: it looks before it makes."
_OFFLINE = "Check the network, its proxy and [flow_service] endpoint, and run the same command again."


def url_of(call: Call, endpoint: str) -> str:
    """The address of a request, its query encoded so that no character of a name means anything."""
    query = f"?{urlencode(call.query, quote_via=quote, safe='')}" if call.query else ""
    return f"{endpoint.rstrip('/')}{call.path}{query}"


def request_of(call: Call, settings: FlowService) -> HttpRequest:
    """The request without credentials."""
    headers = {"accept": call.accept, "x-sandbox-name": settings.sandbox_name}
    if call.body is None:
        return HttpRequest(call.method, url_of(call, settings.endpoint), headers, b"", fresh=True)
    headers["content-type"] = "application/json"
    # On a connection of its own: a stray answer must not pass for the id of what was made.
    return HttpRequest(call.method, url_of(call, settings.endpoint), headers, orjson.dumps(call.body), fresh=True)


class Client:
    """One conversation. `wait` is given seconds, `dice` gives numbers in [0, 1); both are for tests."""

    def __init__(
        self,
        settings: FlowService,
        sender: Sender,
        *,
        wait: Callable[[float], None] = time.sleep,
        dice: Callable[[], float] | None = None,
    ) -> None:
        self.settings = settings
        self._sender = sender
        self._wait = wait
        self._dice = dice or random
        self._host = host_of(settings.endpoint)

    def look(self, call: Call) -> Answer:
        """The answer to a request that changes nothing, repeated while it may pass.

        DONE, EXISTS or REFUSED; raises ServiceUnavailable after `TRIES_MAX` tries, ServiceError for credentials.
        """
        for tries in range(1, TRIES_MAX + 1):
            answer = self.once(call)
            if answer.meaning is not Meaning.AGAIN:
                return answer
            if tries < TRIES_MAX:
                self.pause(call.kind, answer, tries)
        raise unavailable(call.kind, answer.problem)

    def document(self, call: Call) -> Mapping[str, Any]:
        """The JSON object that answers a look; raises ServiceError for anything else."""
        answer = self.look(call)
        if answer.meaning is not Meaning.DONE:
            raise refused(call.kind, answer.problem)
        return answer.document

    def items(self, call: Call) -> Iterator[Mapping[str, Any]]:
        """All items of a list of Flow Service, page by page.

        The next page is asked for at our own address, whatever host the link names: it gets our credentials.
        """
        seen = {call.query}
        for _ in range(PAGES_MAX):
            document = self.document(call)
            yield from _list_in(document, "items", call.kind, self._host)
            links = document.get("_links")
            after = links.get("next") if isinstance(links, dict) else None
            href = after.get("href") if isinstance(after, dict) else after
            if not isinstance(href, str) or not href:
                return
            query = tuple(parse_qsl(urlsplit(href).query))
            if not query or query in seen:
                return
            seen.add(query)
            call = Call(call.kind, call.method, call.path, query, accept=call.accept)
        raise _too_many(call.kind)

    def mapping_sets(self, page: Callable[[int], Call]) -> Iterator[Mapping[str, Any]]:
        """All mapping sets. A page is the last when it brings nothing new, however many were asked for."""
        seen: set[Any] = set()
        for _ in range(PAGES_MAX):
            call = page(len(seen))
            fresh = [
                item
                for item in _list_in(self.document(call), "data", call.kind, self._host)
                if item.get("id") not in seen
            ]
            if not fresh:
                return
            seen.update(item.get("id") for item in fresh)
            yield from fresh
        raise _too_many(Kind.MAPPING)

    def once(self, call: Call) -> Answer:
        """One try, with a token renewed once where it is refused. AGAIN also where no answer came.

        Its problem's code is "not_sent" where no byte went out.
        """
        answer, credentials = self._try(call)
        if answer.meaning is Meaning.RENEW and self.settings.auth.renew(credentials):
            answer, _ = self._try(call)
        if answer.meaning is Meaning.RENEW:
            raise refused(call.kind, answer.problem)
        return answer

    def pause(self, kind: Kind, answer: Answer, tries: int) -> None:
        """Wait before another try; raises ServiceUnavailable where the service asks for more than a minute."""
        asked = answer.retry_after_seconds or 0.0
        if asked > WAIT_SECONDS_MAX:
            text = f"{answer.problem.text}; it asks to wait for {asked:.0f} seconds"
            raise unavailable(kind, Problem(answer.problem.code, text, "Run the same command again after that."))
        log.info("%s: %s; trying again", kind, answer.problem.text, extra={"action": "retry"})
        self._wait(max(asked, _POLICY.delay_seconds(tries, self._dice())))

    def _try(self, call: Call) -> tuple[Answer, Mapping[str, str]]:
        credentials = self.settings.auth.headers(self._sender)
        if isinstance(credentials, Denied):
            raise _denied(call.kind, credentials)
        hidden = self.settings.secrets(credentials)
        try:
            response = self._sender.send(request_of(call, self.settings), credentials)
        except TransportError as error:
            return _unanswered(call, error, without(str(error), hidden)), credentials
        return read(response, self._host, hidden), credentials


def refused(kind: Kind, problem: Problem) -> ServiceError:
    """The error for a step that was refused: it names step, the service's words and code, and the remedy."""
    return ServiceError(f"{kind}: {problem.text}. {problem.remedy}".rstrip(), step=kind, code=problem.code)


def unavailable(kind: Kind, problem: Problem) -> ServiceUnavailable:
    """The error for a step that could not be done now."""
    text = f"{kind}: {problem.text}. {problem.remedy}".rstrip()
    return ServiceUnavailable(text, step=kind, code=problem.code)


def _unanswered(call: Call, error: TransportError, text: str) -> Answer:
    if isinstance(error, NotSent):
        if error.code in ("settings", "protocol"):  # no try will make it better
            return Answer(Meaning.REFUSED, Problem(error.code, text, "Mend it in [flow_service] or [auth.*]."))
        return Answer(Meaning.AGAIN, Problem("not_sent", text, _OFFLINE))
    remedy = _OFFLINE if call.method == "GET" else _CUT_OFF
    return Answer(Meaning.AGAIN, Problem(error.code, text, remedy), {}, error.retry_after_seconds)


def _denied(kind: Kind, denied: Denied) -> ServiceError:
    problem = Problem(denied.problem.code, denied.problem.text, denied.problem.remedy)
    return refused(kind, problem) if denied.state is HoldState.PAUSED else unavailable(kind, problem)


def _list_in(document: Mapping[str, Any], key: str, kind: Kind, host: str) -> list[Mapping[str, Any]]:
    """The objects of a page. No list is no answer: it must not pass for "there is none"."""
    found = document.get(key)
    if isinstance(found, dict):  # Data Prep's OpenAPI shows a single object in the place of a list
        return [found]
    if not isinstance(found, list):
        text = f"{host} answered without the list {key!r}"
        raise unavailable(kind, Problem("unreadable", text, "Check [flow_service] endpoint and mapping_path."))
    return [item for item in found if isinstance(item, dict)]


def _too_many(kind: Kind) -> ServiceError:
    text = f"there are more than {PAGES_MAX:,} pages of them, so it is not known whether one is there"
    return refused(kind, Problem("too_many", text, "Delete what is not used any more in the Platform UI."))
