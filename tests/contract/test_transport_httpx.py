"""The httpx transport keeps the contract, and says honestly what may have been sent, over real sockets."""

from __future__ import annotations

import gzip
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgequeue.errors import MaybeSent, NotSent
from edgequeue.model import HttpRequest
from edgequeue.transport import BODY_BYTES_MAX, HttpxTransport
from tests.contract.certificates import make_certificate, server_context
from tests.contract.raw_service import (
    FLOOD_BYTES,
    Drip,
    Farewell,
    Flood,
    Meeting,
    Raw,
    RawService,
    Reset,
    Tunnel,
    reset,
)
from tests.contract.transport import (
    BOUND_SECONDS,
    CREDENTIALS,
    Answer,
    CloseUnanswered,
    Refuse,
    Silence,
    TransportContract,
    check_discretion,
    send_in_thread,
)

SHORT_SECONDS = 0.3

UNKNOWN_URL = "https://edge.invalid/x?q=query-of-the-request"
BROKEN_CREDENTIALS = {"x-api-key": "s3cr3t\r\nx-evil: 1"}
# constants, because a traceback shows the lines of the test too


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def service() -> Iterator[RawService]:
    service = RawService()
    yield service
    service.close()


@pytest.fixture
def transport() -> Iterator[HttpxTransport]:
    transport = HttpxTransport()
    yield transport
    transport.close()


@pytest.fixture
def hasty() -> Iterator[HttpxTransport]:
    """A transport whose deadline is near."""
    transport = HttpxTransport(timeout_seconds=SHORT_SECONDS)
    yield transport
    transport.close()


class TestHttpxContract(TransportContract):
    """The contract over loopback."""


# --- connections -----------------------------------------------------------------------------------------------------


def test_the_module_imports_neither_httpx_nor_ssl() -> None:
    """Only who sends pays for the network's libraries."""
    code = "import sys, edgequeue.transport; print(*{'httpx', 'httpcore', 'ssl', 'h11'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_a_connection_is_kept_alive(transport: HttpxTransport, service: RawService) -> None:
    """The next request goes over the same connection."""
    for _ in range(5):
        transport.send(service.will(Answer()), {})
    assert service.connections == 1


def test_no_more_connections_are_kept_than_asked_for(service: RawService) -> None:
    """`connections_max` bounds what stays open, not what is open at once."""
    transport = HttpxTransport(connections_max=1)
    for count in (2, 4):
        barrier = threading.Barrier(2)
        requests = [service.will(Meeting(barrier)) for _ in range(2)]
        for each in [send_in_thread(transport, request) for request in requests]:
            assert each.result(BOUND_SECONDS).status == 200
        assert service.connections <= count
    transport.close()
    assert service.connections == 3


def test_several_sends_go_on_at_once(transport: HttpxTransport, service: RawService) -> None:
    """No send waits for another: the service answers only when all eight are there."""
    barrier = threading.Barrier(8)
    sendings = [send_in_thread(transport, service.will(Meeting(barrier))) for _ in range(8)]
    assert {each.result(BOUND_SECONDS).status for each in sendings} == {200}


def test_a_connection_that_the_service_closed_is_replaced(transport: HttpxTransport, service: RawService) -> None:
    """An answer with `connection: close` is a whole answer, and the next request opens a new connection."""
    closing = Raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")
    assert transport.send(service.will(closing), {}).body == b"{}"
    assert transport.send(service.will(Answer(202)), {}).status == 202
    assert service.connections == 2


def test_requests_name_edgequeue_and_their_length(transport: HttpxTransport, service: RawService) -> None:
    """A service's log shows who sent, and no service has to guess where a body ends."""
    request = service.will(Answer())
    transport.send(request, {})
    headers = service.received[0].headers
    assert headers["user-agent"].startswith("edgequeue/")
    assert headers["content-length"] == str(len(request.body))
    assert "transfer-encoding" not in headers


def test_cookies_are_not_kept(transport: HttpxTransport, service: RawService) -> None:
    """A captive portal's cookie does not travel to the service."""
    transport.send(service.will(Answer(headers=(("set-cookie", "portal=1; path=/"),))), {})
    transport.send(service.will(Answer()), {})
    assert "cookie" not in service.received[1].headers


# --- nothing was sent ------------------------------------------------------------------------------------------------


def test_an_unknown_host_is_not_sent(transport: HttpxTransport) -> None:
    """The message names the host and says that it is the name."""
    with pytest.raises(NotSent, match=r"cannot reach edge\.invalid: .*\(DNS\)") as raised:
        transport.send(HttpRequest("POST", UNKNOWN_URL, {}, b"{}"), CREDENTIALS)
    assert raised.value.code == "dns"
    check_discretion(raised.value, transport)


def test_a_host_name_that_cannot_be_looked_up_is_not_sent(transport: HttpxTransport) -> None:
    """A label of more than 63 letters is no OSError to Python's look-up, and a mistake in a name to us."""
    with pytest.raises(NotSent) as raised:
        transport.send(HttpRequest("POST", f"https://{'a' * 64}.invalid/", {}, b"{}"), {})
    assert raised.value.code in ("dns", "protocol")


def test_a_refused_connection_names_host_and_reason(transport: HttpxTransport, service: RawService) -> None:
    """What a technician reads: who, and why."""
    with pytest.raises(NotSent, match=r"^cannot reach 127\.0\.0\.1:\d+: connection refused$"):
        transport.send(service.will(Refuse()), {})


@pytest.fixture
def blocked_url() -> Iterator[str]:
    """An address where a connect neither succeeds nor fails: the listener's backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        for each in waiting:
            each.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse a connect that finds the backlog full")
def test_a_blocked_connect_ends_at_the_deadline(hasty: HttpxTransport, blocked_url: str) -> None:
    """Nobody answered, so nothing was sent."""
    with pytest.raises(NotSent) as raised:
        hasty.send(HttpRequest("POST", blocked_url, {}, b"{}"), {})
    assert raised.value.code == "connect_timeout"


@pytest.mark.parametrize("end", ["abort", "withhold"])
@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse a connect that finds the backlog full")
def test_a_blocked_connect_can_be_ended(transport: HttpxTransport, blocked_url: str, end: str) -> None:
    """Nothing can interrupt the connect itself, and nobody waits for it; withheld is what has not begun to send."""
    sending = send_in_thread(transport, HttpRequest("POST", blocked_url, {}, b"{}"))
    pause = threading.Event()
    while not sending.done():  # the send may not have begun yet, and this is about what has
        getattr(transport, end)()
        pause.wait(0.01)
    error = sending.exception(0)
    assert isinstance(error, NotSent)
    assert error.code == "aborted"


def test_a_header_that_cannot_be_written_is_not_sent(transport: HttpxTransport, service: RawService) -> None:
    """A line break in a credential would begin a header of its own; the message does not show the value."""
    with pytest.raises(NotSent, match="x-api-key") as raised:
        transport.send(service.will(Answer()), BROKEN_CREDENTIALS)
    check_discretion(raised.value, transport)
    assert service.connections == 0


def test_a_ca_file_that_cannot_be_read_is_not_sent(service: RawService, tmp_path: Path) -> None:
    """The message names the setting; once the file is there, the same transport works."""
    transport = HttpxTransport(ca_file=tmp_path / "ca.pem")
    with pytest.raises(NotSent, match=r"ca_file .*ca\.pem cannot be used: no such file") as raised:
        transport.send(service.will(Answer()), {})
    assert raised.value.code == "settings"
    shutil.copy(_any_ca_file(), tmp_path / "ca.pem")
    assert transport.send(service.will(Answer()), {}).status == 200
    transport.close()


def _any_ca_file() -> str:
    import certifi

    return certifi.where()


# --- something may have been sent ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", "cut"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", "cut"),
        (b"HTTP/1.1 200 OK\r\nx-half: ", "cut"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n", "protocol"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n", "protocol"),
        (b"HTTP/1.1 102 Processing\r\n\r\n", "cut"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}", "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope", "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + gzip.compress(b"[1, 2, 3]")[:-9], "protocol"),
    ],
)
def test_a_broken_answer_is_maybe_sent(
    transport: HttpxTransport, service: RawService, answer: bytes, code: str
) -> None:
    """The service has the request, whatever came back; the next request is not harmed."""
    with pytest.raises(MaybeSent, match=r"127\.0\.0\.1") as raised:
        transport.send(service.will(Raw(answer)), CREDENTIALS)
    assert raised.value.code == code
    check_discretion(raised.value, transport)
    assert transport.send(service.will(Answer()), {}).status == 200


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-half: ",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{}",  # it was to end with the connection, and that is no end
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_a_reset_is_maybe_sent(
    service: RawService, tls_service: RawService, certificate: Path, answer: bytes, tls: bool
) -> None:
    """However far the answer had come; the next request is not harmed."""
    transport, other = HttpxTransport(ca_file=certificate), tls_service if tls else service
    with pytest.raises(MaybeSent) as raised:
        transport.send(other.will(Reset(answer)), CREDENTIALS)
    assert raised.value.code == "cut"
    check_discretion(raised.value, transport)
    assert transport.send(other.will(Answer()), {}).status == 200
    transport.close()


def test_a_whole_answer_before_a_reset_is_an_answer(transport: HttpxTransport, service: RawService) -> None:
    """What came, came."""
    answer = b"HTTP/1.1 207 Multi-Status\r\ncontent-length: 2\r\n\r\n{}"
    act = Reset(answer)
    assert transport.send(service.will(act), {}).status == 207
    act.over.wait(BOUND_SECONDS)  # a request that is on its way by then is cut
    assert transport.send(service.will(Answer()), {}).status == 200


@pytest.mark.parametrize("length", [b"content-length: 100\r\n", b"transfer-encoding: chunked\r\n", b""])
def test_an_encrypted_answer_that_is_cut_off_is_maybe_sent(
    certificate: Path, tls_service: RawService, length: bytes
) -> None:
    """Also one that is to end with its connection: TLS has an end of its own, so that a cut cannot pass for it."""
    transport = HttpxTransport(ca_file=certificate)
    with pytest.raises(MaybeSent) as raised:
        transport.send(tls_service.will(Raw(b"HTTP/1.1 200 OK\r\n%b\r\n2\r\n{}" % length)), {})
    assert raised.value.code == "cut"
    transport.close()


def test_an_encrypted_answer_may_end_with_its_connection(certificate: Path, tls_service: RawService) -> None:
    """When the service says in TLS that this is the end (close_notify)."""
    transport = HttpxTransport(ca_file=certificate)
    assert transport.send(tls_service.will(Farewell(b"HTTP/1.1 207 OK\r\n\r\nfive")), {}).body == b"five"
    transport.close()


def test_a_kept_connection_that_ends_under_a_request_is_maybe_sent(
    transport: HttpxTransport, service: RawService
) -> None:
    """It is not tried again here: the service may have taken it."""
    transport.send(service.will(Answer()), {})
    with pytest.raises(MaybeSent) as raised:
        transport.send(service.will(CloseUnanswered()), {})
    assert raised.value.code == "cut"
    assert len(service.received) == 2


@pytest.mark.parametrize("before", [0, 1])
def test_silence_ends_at_the_deadline(hasty: HttpxTransport, service: RawService, before: int) -> None:
    """The service has the request and said nothing, on a new connection or on a kept one."""
    for _ in range(before):
        hasty.send(service.will(Answer()), {})
    with pytest.raises(MaybeSent, match=r"did not answer within 0\.3 s") as raised:
        hasty.send(service.will(Silence()), {})
    assert raised.value.code == "read_timeout"


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize(
    ("first", "code"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", "deadline"),
        (b"HTTP/1.1 200 OK\r\nx-endless: ", "read_timeout"),
    ],
)
def test_a_drip_ends_at_the_deadline(
    hasty: HttpxTransport, service: RawService, first: bytes, code: str, before: int
) -> None:
    """Each byte comes in time and the whole does not, in the body and in the headers; also on a kept connection."""
    for _ in range(before):
        hasty.send(service.will(Answer()), {})
    with pytest.raises(MaybeSent) as raised:
        hasty.send(service.will(Drip(first)), {})
    assert raised.value.code == code


def test_a_plea_to_wait_outlives_an_answer_that_never_ends(hasty: HttpxTransport, service: RawService) -> None:
    """Retry-After stood in its head: the deadline does not make it unsaid."""
    head = b"HTTP/1.1 503 Busy\r\nretry-after: 60\r\ncontent-length: 9000\r\n\r\n"
    with pytest.raises(MaybeSent) as raised:
        hasty.send(service.will(Drip(head)), {})
    assert (raised.value.code, raised.value.retry_after_seconds) == ("deadline", 60.0)


@pytest.mark.parametrize(
    ("flood", "code"),
    [
        (Flood(b"HTTP/1.1 200 OK\r\nx-endless: ", b"x" * 64), "protocol"),
        (Flood(b"HTTP/1.1 200 OK\r\n", b"x-many: 1\r\n"), "protocol"),
        (Flood(b"HTTP/1.1 200 OK\r\ncontent-length: 67108864\r\n\r\n", b"x" * 64), "body_too_large"),
        (Flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 64), "body_too_large"),
        (
            Flood(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"400\r\n%b\r\n" % bytes(1024)),
            "body_too_large",
        ),
        (Flood(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x-trailer: 1\r\n"), "protocol"),
    ],
)
def test_a_flood_is_cut_off(transport: HttpxTransport, service: RawService, flood: Flood, code: str) -> None:
    """Headers, bodies, chunks and trailers without an end: what is not taken is not read either."""
    with pytest.raises(MaybeSent) as raised:
        transport.send(service.will(flood), {})
    assert raised.value.code == code
    transport.close()
    service.close()  # waits for the flood's end
    assert service.flooded_bytes < FLOOD_BYTES


def test_interim_answers_without_an_end_are_cut_off_at_the_deadline(hasty: HttpxTransport, service: RawService) -> None:
    """Each is whole and none is the answer."""
    with pytest.raises(MaybeSent) as raised:
        hasty.send(service.will(Flood(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")), {})
    assert raised.value.code == "read_timeout"


@pytest.mark.parametrize("length", ["67108864", "99999999999999999999"])
def test_a_body_announced_too_large_is_not_waited_for(
    transport: HttpxTransport, service: RawService, length: str
) -> None:
    """Nobody pays for bytes that are thrown away: not one of them has to come."""
    with pytest.raises(MaybeSent) as raised:
        transport.send(service.will(Raw(f"HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n".encode(), False)), {})
    assert raised.value.code == "body_too_large"


def test_an_announced_change_of_protocol_is_maybe_sent_at_once(transport: HttpxTransport, service: RawService) -> None:
    """Nobody asked for another protocol, and nobody waits for what it says."""
    answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    with pytest.raises(MaybeSent) as raised:
        transport.send(service.will(Raw(answer, close=False)), {})
    assert raised.value.code == "protocol"


def test_a_request_that_is_not_taken_ends_at_the_deadline(hasty: HttpxTransport) -> None:
    """The service accepts the connection and does not read: a part of the request is out."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(MaybeSent) as raised:
            hasty.send(HttpRequest("POST", url, {}, bytes(32 * 1024 * 1024)), {})
    assert raised.value.code == "write_timeout"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_body_that_is_too_large_is_maybe_sent(
    transport: HttpxTransport, service: RawService, compressed: bool
) -> None:
    """Memory is bounded, also against a few bytes that unpack to many."""
    body = bytes(BODY_BYTES_MAX + 1)
    answer = (
        Answer(headers=(("content-encoding", "gzip"),), body=gzip.compress(body)) if compressed else Answer(body=body)
    )
    with pytest.raises(MaybeSent) as raised:
        transport.send(service.will(answer), {})
    assert raised.value.code == "body_too_large"
    assert transport.send(service.will(Answer()), {}).status == 200


def test_a_body_of_the_largest_size_is_taken(transport: HttpxTransport, service: RawService) -> None:
    """The bound itself is allowed."""
    assert len(transport.send(service.will(Answer(body=bytes(BODY_BYTES_MAX))), {}).body) == BODY_BYTES_MAX


def test_a_compressed_body_is_decoded(transport: HttpxTransport, service: RawService) -> None:
    """It is not asked for, and some gateways send it all the same."""
    answer = Answer(headers=(("content-encoding", "gzip"),), body=gzip.compress(b'{"a":1}'))
    assert transport.send(service.will(answer), {}).body == b'{"a":1}'
    assert service.received[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("times", [1, 5])
def test_interim_answers_are_passed_over(transport: HttpxTransport, service: RawService, times: int) -> None:
    """100, 102 and 103 announce the answer, they are none."""
    interim = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    )
    final = b"HTTP/1.1 207 Multi-Status\r\ncontent-length: 2\r\n\r\n{}"
    response = transport.send(service.will(Raw(interim * times + final, close=False)), {})
    assert (response.status, response.body) == (207, b"{}")


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_answer_may_end_with_its_connection(transport: HttpxTransport, service: RawService, version: bytes) -> None:
    """Where no length is given, the close is the end."""
    answer = b"HTTP/%b 207 Multi-Status\r\ncontent-type: text/plain\r\n\r\nfive" % version
    assert transport.send(service.will(Raw(answer)), {}).body == b"five"
    assert transport.send(service.will(Answer(202)), {}).status == 202


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_is_whole(transport: HttpxTransport, service: RawService, status: int) -> None:
    """Whatever it says about a body that it does not have."""
    head = b"HTTP/1.1 %d Empty\r\ncontent-encoding: gzip\r\ncontent-length: 100\r\n\r\n" % status
    response = transport.send(service.will(Raw(head, close=False)), {})
    assert (response.status, response.body) == (status, b"")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 401, 407])
def test_nothing_goes_to_another_place(transport: HttpxTransport, service: RawService, status: int) -> None:
    """Neither the request nor its credentials: where an answer points to is not even connected to."""
    other = RawService()
    headers = (("location", other.will(Answer()).url), ("www-authenticate", "Basic realm=x"))
    assert transport.send(service.will(Answer(status, headers)), CREDENTIALS).status == status
    assert (len(service.received), other.connections) == (1, 0)
    other.close()


def test_an_address_of_ipv6_is_sent_to(transport: HttpxTransport) -> None:
    """A literal one, in brackets, with its port; and the message of a refusal names it so."""
    try:
        service = RawService(host="::1")
    except OSError:
        pytest.skip("no IPv6 on this machine")
    request = service.will(Answer(202))
    transport.reach(request.url)
    assert transport.send(request, {}).status == 202
    assert service.received[0].headers["host"] == f"[::1]:{service.port}"
    with pytest.raises(NotSent, match=r"^cannot reach \[::1\]:\d+: connection refused$"):
        transport.send(service.will(Refuse()), {})
    service.close()


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    return make_certificate(tmp_path_factory.mktemp("tls"), 2000, 2400)


@pytest.fixture
def tls_service(certificate: Path) -> Iterator[RawService]:
    service = RawService(server_context(certificate))
    yield service
    service.close()


def test_an_unknown_certificate_is_not_sent(transport: HttpxTransport, tls_service: RawService) -> None:
    """Nothing is told to whoever cannot prove who they are; the message says what would help."""
    with pytest.raises(NotSent, match=r"certificate verify failed: .*ca_file") as raised:
        transport.send(tls_service.will(Answer()), CREDENTIALS)
    assert raised.value.code == "tls"
    check_discretion(raised.value, transport)
    assert tls_service.received == []


@pytest.mark.parametrize("years", [(2000, 2001), (2390, 2400)])
def test_a_certificate_of_another_time_questions_the_clock(tmp_path: Path, years: tuple[int, int]) -> None:
    """A device without a battery clock boots in the past: the certificate may be right and the clock not."""
    over = make_certificate(tmp_path, *years)
    service, transport = RawService(server_context(over)), HttpxTransport(ca_file=over)
    with pytest.raises(NotSent, match=r"the device's clock says \d{4}-\d\d-\d\d; is it right\?"):
        transport.send(service.will(Answer()), {})
    transport.close()
    service.close()


def test_a_ca_file_replaces_what_is_trusted(certificate: Path, tls_service: RawService) -> None:
    """With the company's certificate the connection is made, kept, and can be aborted."""
    transport = HttpxTransport(ca_file=certificate, client_cert=certificate)
    for _ in range(2):
        assert transport.send(tls_service.will(Answer()), {}).status == 200
    assert tls_service.connections == 1
    sending = send_in_thread(transport, tls_service.will(Silence()))
    tls_service.wait_received(3)
    transport.abort()
    assert isinstance(sending.exception(BOUND_SECONDS), MaybeSent)
    transport.close()


def test_a_service_may_demand_a_certificate(certificate: Path) -> None:
    """`client_cert` is shown to it; without one the service ends the connection, and nothing was received."""
    context = server_context(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    service = RawService(context)
    known, unknown = (HttpxTransport(ca_file=certificate, client_cert=each) for each in (certificate, None))
    assert known.send(service.will(Answer(202)), {}).status == 202
    with pytest.raises((NotSent, MaybeSent)) as raised:  # in TLS 1.3 the client hears of it after its request
        unknown.send(service.will(Answer()), CREDENTIALS)
    assert raised.value.code in ("tls", "cut")
    check_discretion(raised.value, unknown)
    assert len(service.received) == 1
    for transport in (known, unknown):
        transport.close()
    service.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_that_is_reset_before_the_request(transport: HttpxTransport, scheme: str) -> None:
    """In the handshake nothing was sent yet. Without one, the request may be on its way when the reset comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/"
        sending = send_in_thread(transport, HttpRequest("POST", url, {}, b"{}"), CREDENTIALS)
        connection, _ = listener.accept()
        reset(connection)
        error = sending.exception(BOUND_SECONDS)
    assert isinstance(error, NotSent | MaybeSent)
    kinds = {NotSent: ("connect", "tls"), MaybeSent: () if scheme == "https" else ("cut",)}
    assert error.code in kinds[type(error)]
    check_discretion(error, transport)


def test_a_handshake_that_never_ends_can_be_aborted(transport: HttpxTransport) -> None:
    """The service accepts the connection and says nothing: the request has not been sent yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        sending = send_in_thread(transport, HttpRequest("POST", url, {}, b"{}"))
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(BOUND_SECONDS)
            assert connection.recv(1) == b"\x16"  # the handshake has begun
            transport.abort()
            error = sending.exception(BOUND_SECONDS)
            while connection.recv(65536):  # and the connection is closed, not only left alone
                pass
    assert isinstance(error, NotSent)
    assert error.code == "aborted"


def test_plain_http_where_tls_is_expected_is_not_sent(transport: HttpxTransport, service: RawService) -> None:
    """A portal that answers port 443 without TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def portal() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 302 Found\r\nlocation: /login\r\n\r\n")

        thread = threading.Thread(target=portal)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(NotSent, match="the TLS handshake failed") as raised:
            transport.send(HttpRequest("POST", url, {}, b"{}"), CREDENTIALS)
        thread.join(BOUND_SECONDS)
    assert raised.value.code == "tls"


# --- proxies ---------------------------------------------------------------------------------------------------------


def _proxied(service: RawService) -> HttpRequest:
    return HttpRequest("POST", "https://service.invalid/x?q=query-of-the-request", {}, b"{}")


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (Raw(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"), "407; it wants a user name"),
        (Raw(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"), "503"),
        (CloseUnanswered(), "it opened no way"),
        (Reset(), "it opened no way"),
        (Reset(b"HTTP/1.1 200 Go ahead\r\n"), "it opened no way"),
        (Raw(b"nonsense\r\n\r\n"), "it opened no way"),
    ],
)
def test_a_proxy_that_opens_no_way_is_not_sent(service: RawService, act: object, reason: str) -> None:
    """The CONNECT is for the proxy; the service has seen nothing. The proxy's password is not shown."""
    transport = HttpxTransport(proxy=f"http://till:s3cr3t@127.0.0.1:{service.port}")
    for _ in range(3):  # a failed way leaves nothing behind that would block the next
        service.will(act)
        with pytest.raises(NotSent, match=rf"service\.invalid: proxy 127\.0\.0\.1:\d+: .*{reason}") as raised:
            transport.send(_proxied(service), CREDENTIALS)
        assert raised.value.code == "proxy"
        check_discretion(raised.value, transport)
    assert {each.method for each in service.received} == {"CONNECT"}
    assert all("s3cr3t-token" not in str(each.headers) for each in service.received)
    transport.close()


def test_a_proxy_that_is_not_there_is_named(service: RawService) -> None:
    """The proxy is what has to be mended, so the message is about the proxy."""
    proxy = service.will(Refuse()).url.partition("/collect")[0]
    transport = HttpxTransport(proxy=proxy)
    with pytest.raises(NotSent, match=r"service\.invalid: proxy 127\.0\.0\.1:\d+: connection refused") as raised:
        transport.send(_proxied(service), {})
    assert raised.value.code == "proxy"
    transport.close()


def test_a_request_through_a_proxy_is_answered_and_its_end_is_maybe_sent(
    service: RawService, certificate: Path
) -> None:
    """Behind the CONNECT the rules are the same, and the proxy never sees the credentials."""
    transport = HttpxTransport(proxy=f"http://127.0.0.1:{service.port}", ca_file=certificate)
    request = replace(_proxied(service), url="https://127.0.0.1:9/x")
    for act in (Tunnel(server_context(certificate)), Answer(202), CloseUnanswered()):
        service.will(act)
    assert transport.send(request, CREDENTIALS).status == 202
    with pytest.raises(MaybeSent) as raised:
        transport.send(request, CREDENTIALS)
    assert raised.value.code == "cut"
    assert [each.method for each in service.received] == ["CONNECT", "POST", "POST"]
    assert "authorization" not in service.received[0].headers
    transport.close()


def test_an_unknown_certificate_behind_a_proxy_is_not_sent(service: RawService, certificate: Path) -> None:
    """And it does not use up connections: each failure leaves nothing behind."""
    transport = HttpxTransport(proxy=f"http://127.0.0.1:{service.port}", connections_max=1)
    for _ in range(3):
        service.will(Tunnel(server_context(certificate)))
        with pytest.raises(NotSent) as raised:
            transport.send(replace(_proxied(service), url="https://127.0.0.1:9/x"), {})
        assert raised.value.code == "tls"
    transport.close()


@pytest.mark.parametrize("act", [Silence(), Drip(b"HTTP/1.1 200 Go ahead\r\nx-endless: ")])
def test_a_proxy_that_is_mute_is_not_sent(service: RawService, act: object) -> None:
    """The deadline is for the way there as well."""
    transport = HttpxTransport(proxy=f"http://127.0.0.1:{service.port}", timeout_seconds=SHORT_SECONDS)
    service.will(act)
    with pytest.raises(NotSent, match=r"it opened no way to service\.invalid within 0\.3 s") as raised:
        transport.send(_proxied(service), CREDENTIALS)
    assert raised.value.code == "proxy"
    transport.close()


@pytest.mark.parametrize("spelling", [str.upper, str.lower])
def test_the_environment_names_a_proxy(
    service: RawService, monkeypatch: pytest.MonkeyPatch, spelling: Callable[[str], str]
) -> None:
    """As every other program on the device finds it; its password is for it alone."""
    monkeypatch.setenv(spelling("HTTPS_PROXY"), f"http://till:word@127.0.0.1:{service.port}")
    transport = HttpxTransport()
    service.will(Raw(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"))
    with pytest.raises(NotSent, match="403"):
        transport.send(_proxied(service), CREDENTIALS)
    headers = service.received[0].headers
    assert headers["proxy-authorization"].startswith("Basic ")
    assert not CREDENTIALS.keys() & headers.keys()
    transport.close()


def test_the_environment_names_a_proxy_for_plain_http(service: RawService, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the request itself, so what it says is an answer, also that it wants to know who asks."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{service.port}")
    transport = HttpxTransport()
    service.will(Answer(407))
    assert transport.send(HttpRequest("POST", "http://service.invalid/x", {}, b"{}"), {}).status == 407
    assert service.received[0].target == "http://service.invalid/x"
    transport.close()


@pytest.mark.parametrize("setting", [False, True])
def test_the_environment_names_hosts_without_a_proxy(
    service: RawService, monkeypatch: pytest.MonkeyPatch, setting: bool
) -> None:
    """NO_PROXY goes before HTTP_PROXY; the setting `proxy` goes before both."""
    proxy = RawService()
    for name, value in (("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}"), ("NO_PROXY", "127.0.0.1")):
        monkeypatch.setenv(name, value)
    transport = HttpxTransport(proxy=f"http://127.0.0.1:{proxy.port}" if setting else None)
    proxy.will(Answer(202))
    request = service.will(Answer(201))
    assert transport.send(request, {}).status == (202 if setting else 201)
    transport.close()
    proxy.close()


def test_hosts_without_a_proxy_are_no_proxy(
    transport: HttpxTransport, service: RawService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_PROXY alone: a service can still be reached for, and it is seen when it is not there."""
    monkeypatch.setenv("NO_PROXY", "localhost")
    with pytest.raises(NotSent, match="connection refused"):
        transport.reach(service.will(Refuse()).url)


@pytest.mark.parametrize(
    "proxy", ["gopher://till:s3cr3t@proxy", "http://till:s3cr3t@proxy:many", "socks5://till:s3cr3t@proxy"]
)
def test_an_address_of_a_proxy_that_makes_no_sense_is_not_sent(service: RawService, proxy: str) -> None:
    """The message names the setting and shows neither the address nor its password."""
    transport = HttpxTransport(proxy=proxy)
    with pytest.raises(NotSent, match="check the setting proxy") as raised:
        transport.send(_proxied(service), {})
    assert raised.value.code == "settings"
    check_discretion(raised.value, transport)
    transport.close()
