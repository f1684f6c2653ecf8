"""A connection is used again only when nothing is left on it: an answer is never another request's."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from edgequeue.errors import MaybeSent
from edgequeue.model import HttpRequest
from edgequeue.transport import HttpxTransport
from edgequeue.transport.hands import Hands
from edgequeue.transport.watch import Watch
from tests.contract.certificates import make_certificate, server_context
from tests.contract.raw_service import STRAY, End, Later, Raw, RawService, Tunnel
from tests.contract.transport import BOUND_SECONDS, Answer, CloseUnanswered, Silence

ANSWER = b"HTTP/1.1 207 Multi-Status\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 207 Multi-Status\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"), 2000, 2400)


class Way:
    """A service with a transport to it: in the clear, with TLS, or with TLS through a proxy (CONNECT)."""

    def __init__(self, kind: str, certificate: Path) -> None:
        context = server_context(certificate)
        self.service = RawService(context if kind == "tls" else None)
        proxy = f"http://127.0.0.1:{self.service.port}" if kind == "proxy" else None
        self.transport = HttpxTransport(ca_file=certificate, proxy=proxy)
        self._tunnel = Tunnel(context) if kind == "proxy" else None

    def will(self, act: object, *, new: bool = False, fresh: bool = False) -> HttpRequest:
        """The request for the act; `new`: a connection has to be opened for it, and a proxy the way."""
        if self._tunnel is not None and new:
            self.service.will(self._tunnel)
        request = self.service.will(act)
        if self._tunnel is not None:
            request = replace(request, url=request.url.replace("http:", "https:"))
        return replace(request, fresh=fresh)


@pytest.fixture(params=["plain", "tls", "proxy"])
def way(request: pytest.FixtureRequest, certificate: Path) -> Iterator[Way]:
    way = Way(request.param, certificate)
    yield way
    way.transport.close()
    way.service.close()


def test_an_answer_says_whether_its_connection_was_used_before(way: Way) -> None:
    """The first request of a connection is that of no other; the way through a proxy is no request."""
    answers = [way.transport.send(way.will(Answer(), new=new), {}) for new in (True, False, False)]
    assert [each.reused for each in answers] == [False, True, True]
    assert way.service.connections == 1


def test_a_fresh_request_has_a_new_connection_which_is_kept(way: Way) -> None:
    """The kept one is left alone, and the new one carries what comes later."""
    way.transport.send(way.will(Answer(), new=True), {})
    assert not way.transport.send(way.will(Answer(), new=True, fresh=True), {}).reused
    assert way.service.connections == 2
    assert way.transport.send(way.will(Answer()), {}).reused
    assert way.service.connections == 2


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED, b"HTTP/1.1 204 No Content\r\n\r\n"])
@pytest.mark.parametrize("stray", [STRAY, b"\n", b"HTTP/1.1 2", b"nonsense"])
def test_bytes_after_an_answer_are_never_the_next_answer(way: Way, answer: bytes, stray: bytes) -> None:
    """They came with the answer, in one piece, and stay with the parser; only the connection is lost.

    This is the test that fails when a new httpx, httpcore or h11 hides what `wire._stray` looks at.
    """
    assert way.transport.send(way.will(Raw(answer + stray, close=False), new=True), {}).status in (204, 207)
    response = way.transport.send(way.will(Answer(202), new=True), {})
    assert (response.status, response.reused) == (202, False)
    assert way.service.connections == 2


@pytest.mark.parametrize("end", End)
def test_a_kept_connection_on_which_something_happened_is_not_used_again(way: Way, end: End) -> None:
    """Bytes that nobody asked for, an end, a reset: seen before the request, which goes out once and is answered."""
    later = Later(end)
    assert way.transport.send(way.will(later, new=True), {}).status == 200
    later.happen()
    response = way.transport.send(way.will(Answer(202), new=True), {})
    assert (response.status, response.reused) == (202, False)
    assert len([each for each in way.service.received if each.method == "POST"]) == 2


def test_a_connection_that_ends_under_its_second_request_is_maybe_sent(way: Way) -> None:
    """The service may have taken it: it is not sent once more on another connection."""
    way.transport.send(way.will(Answer(), new=True), {})
    with pytest.raises(MaybeSent) as raised:
        way.transport.send(way.will(CloseUnanswered()), {})
    assert raised.value.code == "cut"
    assert way.service.connections == 1


def test_a_kept_connection_is_used_for_its_own_service_only(certificate: Path) -> None:
    """One transport, two services in turn: each request and its credentials go to their own."""
    first, second = RawService(), RawService(server_context(certificate))
    transport = HttpxTransport(ca_file=certificate, connections_max=1)
    for _ in range(2):
        for service, key in ((first, "for-the-first"), (second, "for-the-second")):
            assert not transport.send(service.will(Answer()), {"x-api-key": key}).reused
    assert [each.headers["x-api-key"] for each in first.received] == ["for-the-first"] * 2
    assert [each.headers["x-api-key"] for each in second.received] == ["for-the-second"] * 2
    transport.close()
    for service in (first, second):
        service.close()


# --- the threads -----------------------------------------------------------------------------------------------------


def _do(hands: Hands, work: Callable[[], object]) -> Future[object]:
    """What comes of an errand, once its thread is free again."""
    future: Future[object] = Future()

    def errand() -> Callable[[], None]:
        result = work()
        return lambda: future.set_result(result)

    hands.do(errand)
    return future


@pytest.fixture
def hands() -> Iterator[Hands]:
    hands = Hands("test-hand", BOUND_SECONDS)
    yield hands
    hands.close()


def test_one_thread_does_one_errand_after_another(hands: Hands) -> None:
    """Nobody pays for a start as long as somebody is free."""
    assert len({_do(hands, threading.current_thread).result(BOUND_SECONDS) for _ in range(20)}) == 1


def test_who_is_blocked_is_waited_for_by_nobody(hands: Hands) -> None:
    """The next errand has another thread; the blocked one is used again when it is free."""
    release = threading.Event()
    blocked = [_do(hands, lambda: release.wait(BOUND_SECONDS) and threading.current_thread()) for _ in range(3)]
    other = _do(hands, threading.current_thread).result(BOUND_SECONDS)
    release.set()
    threads = {each.result(BOUND_SECONDS) for each in blocked}
    assert other not in threads
    assert len(threads) == 3
    assert _do(hands, threading.current_thread).result(BOUND_SECONDS) in {other, *threads}


def test_an_idle_thread_keeps_nothing_alive(hands: Hands) -> None:
    """Neither a request nor the credentials that went with it."""
    gone = threading.Event()

    class Secret:
        def __del__(self) -> None:
            gone.set()

    def errand(secret: Secret) -> Callable[[], None]:
        return lambda: ended.set_result(bool(secret))

    ended: Future[bool] = Future()
    hands.do(partial(errand, Secret()))
    assert ended.result(BOUND_SECONDS)
    assert gone.wait(BOUND_SECONDS)


@pytest.mark.parametrize("closing", [False, True])
def test_a_thread_without_errands_ends(closing: bool) -> None:
    """After a while by itself, and with `close` at once; then the next errand has a new one."""
    hands = Hands("test-hand", BOUND_SECONDS if closing else 0.01)
    thread = _do(hands, threading.current_thread).result(BOUND_SECONDS)
    assert isinstance(thread, threading.Thread)
    if closing:
        hands.close()
    thread.join(BOUND_SECONDS)
    assert not thread.is_alive()
    assert _do(hands, threading.current_thread).result(BOUND_SECONDS) is not thread
    hands.close()


def test_a_busy_thread_ends_after_close(hands: Hands) -> None:
    """What it is doing is done first."""
    release = threading.Event()
    ended = _do(hands, lambda: release.wait(BOUND_SECONDS) and threading.current_thread())
    hands.close()
    release.set()
    thread = ended.result(BOUND_SECONDS)
    assert isinstance(thread, threading.Thread)
    thread.join(BOUND_SECONDS)
    assert not thread.is_alive()


def test_a_kept_connection_is_used_by_the_thread_that_sends() -> None:
    """What is open can be shut from any thread, so it needs no thread of its own."""
    service, transport = RawService(), HttpxTransport()
    transport.send(service.will(Answer()), {})
    sending = threading.Thread(target=_aborted, args=(transport, service.will(Silence())))
    sending.start()
    service.wait_received(2)
    assert sending.ident is not None
    assert "carry" in _functions(sending.ident)
    transport.abort()
    sending.join(BOUND_SECONDS)
    assert not sending.is_alive()
    transport.close()
    service.close()


def _aborted(transport: HttpxTransport, request: HttpRequest) -> None:
    with suppress(MaybeSent):
        transport.send(request, {})


def _functions(thread: int) -> set[str]:
    """The functions that a thread is in."""
    frame, found = sys._current_frames().get(thread), set()
    while frame is not None:
        found.add(frame.f_code.co_name)
        frame = frame.f_back
    return found


def test_ctrl_c_on_a_kept_connection() -> None:
    """It ends the wait, and nothing that came half is ever read as the next answer."""
    service, transport = RawService(), HttpxTransport()
    transport.send(service.will(Answer()), {})
    request = service.will(Silence())

    def interrupt() -> None:
        service.wait_received(2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    pressing = threading.Thread(target=interrupt)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        transport.send(request, {})
    pressing.join(BOUND_SECONDS)
    answer = transport.send(service.will(Answer(201)), {})
    assert (answer.status, answer.reused) == (201, False)
    transport.close()
    service.close()


class Timed:
    """Something to be ended."""

    def __init__(self) -> None:
        self.expired = threading.Event()

    def expire(self) -> None:
        self.expired.set()


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch("watch-in-test", BOUND_SECONDS)
    yield watch
    watch.close()


def _watching() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "watch-in-test"]


def test_what_is_late_is_ended_and_nothing_else(watch: Watch) -> None:
    """One that is due before the first is, too; what has ended by itself is left alone."""
    patient, late, earlier, done = Timed(), Timed(), Timed(), Timed()
    watch.add(patient, BOUND_SECONDS)
    watch.add(done, 0.5)
    watch.remove(done)
    watch.add(late, 0.6)
    watch.add(earlier, 0.0)
    assert earlier.expired.wait(BOUND_SECONDS)
    assert late.expired.wait(BOUND_SECONDS)
    assert not patient.expired.is_set()
    assert not done.expired.is_set()


@pytest.mark.parametrize("closing", [False, True])
def test_a_watch_without_anything_to_watch_ends(closing: bool) -> None:
    """And one that is needed again begins anew."""
    watch = Watch("watch-in-test", BOUND_SECONDS if closing else 0.01)
    one = Timed()
    watch.add(one, 0.0)
    assert one.expired.wait(BOUND_SECONDS)
    if closing:
        watch.close()
    for thread in _watching():
        thread.join(BOUND_SECONDS)
    assert not _watching()
    if not closing:
        again = Timed()
        watch.add(again, 0.0)
        assert again.expired.wait(BOUND_SECONDS)
        watch.close()


def test_sends_one_after_another_share_a_thread() -> None:
    """And a closed transport leaves none behind."""
    service, transport = RawService(), HttpxTransport()
    for _ in range(5):
        transport.send(service.will(Answer()), {})
    threads = [each for each in threading.enumerate() if each.name == "edgequeue-send"]
    assert threads
    transport.close()
    for each in threads:
        each.join(BOUND_SECONDS)
    assert not any(each.is_alive() for each in threads)
    service.close()


FORKING = """
import os, sys
from edgequeue.model import HttpRequest
from edgequeue.transport import HttpxTransport

transport = HttpxTransport()
request = HttpRequest("POST", sys.argv[1], {}, b"{}")
print(transport.send(request, {}).reused, flush=True)
child = os.fork()
if child == 0:
    transport.abort()
    print(transport.send(request, {}).reused, flush=True)
    transport.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(transport.send(request, {}).reused, flush=True)
transport.close()
"""


def test_a_forked_child_has_connections_and_threads_of_its_own() -> None:
    """Two processes on one connection would get each other's answers; and a thread is not copied."""
    service = RawService()
    for _ in range(3):
        request = service.will(Answer())
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, request.url]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=BOUND_SECONDS)
    assert found.stdout.split() == ["False", "False", "True"]
    assert service.connections == 2
    service.close()
