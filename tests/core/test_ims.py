"""The account `Ims`: one token for all destinations, fetched once, renewed before it ends; the secret stays one."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.auth import Denied, Ims, Secret
from edgequeue.auth.ims import ENDPOINT
from edgequeue.auth.tokens import Tokens
from edgequeue.config import parse_settings
from edgequeue.destinations.adobe_dccs import AdobeDccs
from edgequeue.destinations.adobe_edge import AdobeEdge
from edgequeue.errors import ConfigError, MaybeSent, NotSent
from edgequeue.model import HttpRequest, HttpResponse
from edgequeue.retry import HoldState
from edgequeue.testing import ManualClock, ScriptedTransport
from tests.support import eventually

THREADS = 8
BOUND_SECONDS = 30.0
URL = "https://ims.example/ims/token/v3"

Headers = Mapping[str, str] | Denied


def token(value: str = "t0ken", expires_in: object = 86399) -> HttpResponse:
    return HttpResponse(200, {}, f'{{"access_token":"{value}","expires_in":{expires_in}}}'.encode())


def account(clock: ManualClock | None = None, secret: Secret | str = "s3cr3t") -> Ims:
    return Ims("client", secret, "a@AdobeOrg", endpoint=URL, _clock=clock)


def signed(headers: Headers) -> str:
    """The token in headers that there are."""
    assert not isinstance(headers, Denied), headers
    return headers["authorization"]


# --- what is sent and what is given -----------------------------------------------------------------------------------


def test_headers_are_token_client_and_organisation() -> None:
    """What Adobe's services ask for; each destination takes its own of them."""
    headers = account().headers(ScriptedTransport([token()]))
    assert headers == {"authorization": "Bearer t0ken", "x-api-key": "client", "x-gw-ims-org-id": "a@AdobeOrg"}


def test_the_secret_travels_in_the_body_alone() -> None:
    """Queries, headers and paths end up in logs. The form is what Adobe documents, scopes with commas."""
    service = ScriptedTransport([token()])
    ims = Ims("client", "s3cr3t&+ /%", "a@AdobeOrg", ("openid", "AdobeID", "read_organizations"), URL)
    ims.headers(service)
    (request,) = service.requests
    assert (request.method, request.url) == ("POST", URL)
    assert request.headers == {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    assert parse_qs(request.body.decode(), strict_parsing=True) == {
        "grant_type": ["client_credentials"],
        "client_id": ["client"],
        "client_secret": ["s3cr3t&+ /%"],
        "scope": ["openid,AdobeID,read_organizations"],
    }
    assert service.credentials == [{}]
    assert request.fresh, "a stray answer on a kept connection would pause every destination of the account"
    assert "s3cr3t" not in repr(request)


@pytest.mark.parametrize("scopes", ["openid,AdobeID", " openid , AdobeID ", ["openid", "AdobeID"], ("openid AdobeID",)])
def test_scopes_may_be_written_as_the_console_shows_them(scopes: object) -> None:
    """As a list, or as one text with commas or spaces."""
    assert Ims("c", "s", "o", scopes).scopes == ("openid", "AdobeID")  # type: ignore[arg-type]


# --- one token for all ------------------------------------------------------------------------------------------------


def test_destinations_of_one_account_share_its_token() -> None:
    """The configuration makes one account of a table, whoever names it, and one request is enough for all."""
    settings = parse_settings(
        f"""
        [queue]
        database = "queue.db"
        [destinations.web]
        type = "adobe-edge"
        datastream_id = "d"
        auth = "adobe"
        [destinations.till]
        type = "adobe-dccs"
        endpoint = "https://dcs.adobedc.net/collection/667b"
        auth = "adobe"
        [auth.adobe]
        type = "ims"
        client_id = "client"
        client_secret = "s3cr3t"
        org_id = "a@AdobeOrg"
        endpoint = "{URL}"
        """,
        Path("/srv/till/edgequeue.toml"),
    )
    web, till = settings.destinations.values()
    assert isinstance(web, AdobeEdge)
    assert isinstance(till, AdobeDccs)
    assert web.credentials is till.credentials
    service = ScriptedTransport([token()])
    assert signed(web.credentials.headers(service)) == signed(till.credentials.headers(service)) == "Bearer t0ken"
    assert len(service.requests) == 1


class Gate:
    """An answer of the token service that is held back until it is let go."""

    def __init__(self, answer: HttpResponse | BaseException) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        self._answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.reached.set()
        assert self.open.wait(BOUND_SECONDS)
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


def waiting() -> int:
    """How many threads wait for a token that another one fetches."""
    stacks = [{frame.f_code for frame, _ in traceback.walk_stack(top)} for top in sys._current_frames().values()]
    wanted = {Tokens.obtain.__code__, threading.Event.wait.__code__}
    return sum(wanted <= stack and Gate.__call__.__code__ not in stack for stack in stacks)


def at_once(ims: Ims, service: ScriptedTransport, gate: Gate) -> list[Headers]:
    """What `THREADS` threads get that all ask while the first request is under way."""
    with ThreadPoolExecutor(THREADS) as pool:
        asked: list[Future[Headers]] = [pool.submit(ims.headers, service)]
        assert gate.reached.wait(BOUND_SECONDS)
        asked += [pool.submit(ims.headers, service) for _ in range(THREADS - 1)]
        eventually(lambda: waiting() == THREADS - 1)
        gate.open.set()
        return [one.result(BOUND_SECONDS) for one in asked]


def test_one_thread_fetches_the_token_and_the_others_wait_for_it() -> None:
    """Eight at once make one request."""
    gate = Gate(token())
    service = ScriptedTransport([gate])
    assert [signed(one) for one in at_once(account(), service, gate)] == ["Bearer t0ken"] * THREADS
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        HttpResponse(400, {}, b'{"error":"invalid_client"}'),
        HttpResponse(503, {"retry-after": "60"}, b""),
        MaybeSent("no answer", code="read_timeout"),
    ],
)
def test_who_waited_takes_over_a_failure_as_well(answer: HttpResponse | Exception) -> None:
    """With the wait that the service asked for: it binds each destination."""
    gate = Gate(answer)
    service = ScriptedTransport([gate])
    found = at_once(account(), service, gate)
    assert isinstance(found[0], Denied)
    assert found == [found[0]] * THREADS
    assert len(service.requests) == 1


@pytest.mark.parametrize("error", [MaybeSent("stopped", code="aborted"), KeyboardInterrupt(), ValueError("a fault")])
def test_who_waited_for_one_that_was_stopped_does_not_wait_for_ever(error: BaseException) -> None:
    """A stop is a stop for all; where only its own thread was interrupted, the next one asks."""
    gate = Gate(error)
    service = ScriptedTransport([gate], then=token())
    ims = account()
    first: list[object] = []

    def ask() -> None:
        try:
            first.append(ims.headers(service))
        except KeyboardInterrupt as raised:
            first.append(raised)

    thread = threading.Thread(target=ask)
    thread.start()
    assert gate.reached.wait(BOUND_SECONDS)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(ims.headers, service)
        eventually(lambda: waiting() == 1)
        gate.open.set()
        found = other.result(BOUND_SECONDS)
    thread.join(BOUND_SECONDS)
    assert isinstance(first[0], KeyboardInterrupt | Denied)
    if isinstance(error, ValueError):  # a failure like any other, and its text is not repeated
        assert isinstance(found, Denied)
        assert "a fault" not in str(found)
    elif isinstance(error, MaybeSent):  # nobody begins anew in the middle of a stop
        assert isinstance(found, Denied)
        assert found.problem.code == "aborted"
    else:
        assert signed(found) == "Bearer t0ken"


def test_the_next_destination_tries_its_own_way_where_one_has_none() -> None:
    """A dead proxy or route of one destination is nothing to the others of the account."""
    ims = account()
    assert isinstance(ims.headers(ScriptedTransport([NotSent("its proxy is dead", code="proxy")])), Denied)
    assert signed(ims.headers(ScriptedTransport([token()]))) == "Bearer t0ken"


def test_who_waits_with_another_secret_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was refused was not the secret that is in use by now."""
    monkeypatch.setenv("EDGEQUEUE_TEST_SECRET", "old")
    gate = Gate(HttpResponse(400, {}, b'{"error":"invalid_client"}'))
    service, ims = ScriptedTransport([gate, token()]), account(secret=Secret(env="EDGEQUEUE_TEST_SECRET"))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ims.headers, service)
        assert gate.reached.wait(BOUND_SECONDS)
        monkeypatch.setenv("EDGEQUEUE_TEST_SECRET", "new")
        second = pool.submit(ims.headers, service)
        eventually(lambda: waiting() == 1)
        gate.open.set()
        assert isinstance(first.result(BOUND_SECONDS), Denied)
        assert signed(second.result(BOUND_SECONDS)) == "Bearer t0ken"


# --- renewal ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires_in", "renewed_after"), [(86399, 86099), (3000, 2700), (100, 90), (86_399_992, 86_099.992), ('"x"', 3300)]
)
def test_a_token_is_renewed_before_it_ends(clock: ManualClock, expires_in: object, renewed_after: float) -> None:
    """300 s before, or 10 % of its life where that is less; by boot time, so that no step of the clock matters."""
    service, ims = ScriptedTransport([token("first", expires_in), token("second")]), account(clock)
    assert signed(ims.headers(service)) == "Bearer first"
    clock.step_wall(10**9)
    clock.advance(renewed_after - 0.001)
    assert signed(ims.headers(service, anew=True)) == "Bearer first"
    clock.advance(0.001)
    assert signed(ims.headers(service)) == "Bearer second"
    assert len(service.requests) == 2


@given(st.floats(0.01, 9_999_999))
def test_a_token_is_never_given_out_after_its_end(life_seconds: float) -> None:
    """However short it lives."""
    clock = ManualClock()
    service, ims = ScriptedTransport([token("first", life_seconds), token("second")]), account(clock)
    assert signed(ims.headers(service)) == "Bearer first"
    left = ims.token_seconds
    assert left is not None
    assert left == pytest.approx(life_seconds, abs=0.001)
    clock.advance(left)
    assert signed(ims.headers(service)) == "Bearer second"


def test_the_time_that_the_request_took_counts(clock: ManualClock) -> None:
    """The token's life began at the latest moment when the service can have begun to count: before the answer."""

    def slowly(request: HttpRequest) -> HttpResponse:
        clock.advance(50)
        return token("first", 100)

    service, ims = ScriptedTransport([slowly, token("second")]), account(clock)
    assert ims.token_seconds is None
    assert signed(ims.headers(service)) == "Bearer first"
    assert ims.token_seconds == 50
    clock.advance(40)
    assert signed(ims.headers(service)) == "Bearer second"


def test_a_refused_token_is_not_given_again() -> None:
    """`renew` forgets the token that was refused; the next one is fetched by whoever asks next."""
    service, ims = ScriptedTransport([token("first"), token("second")]), account()
    first = ims.headers(service)
    assert not isinstance(first, Denied)
    assert ims.renew(first)
    assert ims.token_seconds is None
    assert signed(ims.headers(service)) == "Bearer second"
    assert ims.renew(first)  # another destination hears of it later: the new one stays
    assert ims.renew({})
    assert signed(ims.headers(service)) == "Bearer second"
    assert len(service.requests) == 2


def test_with_no_token_in_hand_another_may_be_had() -> None:
    """Nothing is sent to find that out."""
    assert account().renew({"authorization": "Bearer t0ken"})


# --- the secret stays one ---------------------------------------------------------------------------------------------


def shown_by(value: object) -> str:
    return f"{value!r} {value} {value.__dict__ if hasattr(value, '__dict__') else ''}"


def test_secret_and_token_show_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """In no repr, no text of a failure, no log; a copy of the account brings no token along."""
    caplog.set_level(logging.DEBUG)
    echo = HttpResponse(400, {}, b'{"error":"invalid_client","error_description":"s3cr3t is wrong"}')

    def broken(request: HttpRequest) -> HttpResponse:
        raise RuntimeError(request.body.decode())

    for answer in (token("t0ken"), echo, broken, MaybeSent("no answer", code="cut")):
        service, ims = ScriptedTransport([answer]), account()
        found = ims.headers(service)
        shown = shown_by(ims) + shown_by(ims._tokens) + (str(found) if isinstance(found, Denied) else "")
        assert "s3cr3t" not in shown
        assert "t0ken" not in shown
    assert "s3cr3t" not in caplog.text
    assert "t0ken" not in caplog.text
    ims = account()
    ims.headers(ScriptedTransport([token()]))
    for other in (copy.deepcopy(ims), replace(ims), pickle.loads(pickle.dumps(ims))):
        assert other == ims
        assert other.token_seconds is None


def wrong_with(key: str, value: object) -> Callable[[], Ims]:
    values: dict[str, object] = {"client_id": "c", "client_secret": "s", "org_id": "o", key: value}
    return lambda: Ims(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("client_id", value) for value in ("", "s3cr3t x", "s3cr3t\n", None, 5)),
        *(("org_id", value) for value in ("", "s3cr3t \xe9", None)),
        *(("client_secret", value) for value in (b"s3cr3t", None)),
        *(("scopes", value) for value in ((), "", " , ", ("s3cr3t\xe9",), (5,), None, 5)),
        *(
            ("endpoint", value)
            for value in (
                *("", "s3cr3t", "ftp://s3cr3t", "https://", "http://s3cr3t.example/token", "https://x:s3cr3t@h/t"),
                *("https://ims.example/token?client_secret=s3cr3t", "https://h/#s3cr3t", "https://[s3cr3t", None),
                *("https://h:s3cr3t/", "https://h/ s3cr3t"),
            )
        ),
    ],
)
def test_a_wrong_setting_names_its_key_and_not_its_value(key: str, value: object) -> None:
    """A misplaced one may be the secret."""
    with pytest.raises(ConfigError, match=rf"^Ims: {key} ") as raised:
        wrong_with(key, value)()
    assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize(
    ("endpoint", "service"),
    [
        (ENDPOINT, "ims-na1.adobelogin.com"),
        ("http://127.0.0.1:8080/ims/token/v3", "127.0.0.1:8080"),
        ("http://localhost/t", "localhost"),
        ("http://[::1]:81/t", "[::1]:81"),
        ("https://ims.example:8443/t", "ims.example:8443"),
    ],
)
def test_problems_name_the_host_that_fails(endpoint: str, service: str) -> None:
    """The token service is another host than the destination's: a technician has to know which."""
    ims = Ims("c", "s", "o", endpoint=endpoint)
    denied = ims.headers(ScriptedTransport())
    assert ims.service == service
    assert isinstance(denied, Denied)
    assert denied.state is HoldState.OFFLINE
    assert f"token service {service}" in denied.problem.text


# --- a fork -----------------------------------------------------------------------------------------------------------

FORK = """
import os, sys, threading
from edgequeue.auth import Ims
from edgequeue.model import HttpResponse
from edgequeue.testing import ScriptedTransport

reached, open = threading.Event(), threading.Event()
def slowly(request):
    reached.set()
    open.wait(30)
    return HttpResponse(200, {}, b'{"access_token":"parents","expires_in":3600}')

ims = Ims("client", "s3cr3t", "a@AdobeOrg", endpoint="https://ims.example/token")
parent = ScriptedTransport([slowly])
thread = threading.Thread(target=ims.headers, args=(parent,))
thread.start()
assert reached.wait(30)
with ims._tokens._lock:  # another thread might hold it at this moment
    child = os.fork()
    if child == 0:
        code = 1
        try:
            childs = ScriptedTransport([HttpResponse(200, {}, b'{"access_token":"childs","expires_in":3600}')])
            code = 0 if ims.headers(childs)["authorization"] == "Bearer childs" else 2
        finally:
            os._exit(code)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
open.set()
thread.join(30)
assert ims.headers(parent)["authorization"] == "Bearer parents"
again = os.fork()
if again == 0:
    os._exit(0 if ims.headers(ScriptedTransport())["authorization"] == "Bearer parents" else 3)
assert os.waitstatus_to_exitcode(os.waitpid(again, 0)[1]) == 0
print("well")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where there is fork")
def test_a_forked_child_asks_for_itself() -> None:
    """It waits neither for its parent's lock nor for the request that its parent has under way; a token it inherits."""
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", FORK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr
