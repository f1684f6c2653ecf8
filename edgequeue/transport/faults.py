"""What failed, in words: from how far an exchange had come and what httpx raised to NotSent or MaybeSent.

Messages name hosts and reasons. They never hold a header, a query string, a user name or a part of an answer.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING

from edgequeue.errors import MaybeSent, NotSent, TransportError

if TYPE_CHECKING:
    import ssl

_NOT_VALID_YET, _EXPIRED = 9, 10
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED (x509_vfy.h)."""

_ISSUER_UNKNOWN = (18, 19, 20, 21)
"""OpenSSL's codes for a self-signed certificate, or one whose issuer is not known here (x509_vfy.h)."""


class Phase(Enum):
    """How far an exchange has come."""

    START = auto()
    CONNECT = auto()  # the name's look-up too
    TLS = auto()
    PROXY = auto()
    WRITE = auto()
    WAIT = auto()
    READ = auto()


@dataclass
class Progress:
    """How far an exchange with `host` has come. `begun`: the first byte of the request may be out.

    `wire_host` is the host as it is looked up, `peer` the one that was connected to, with their ports: if they
    differ, it is a proxy.
    """

    host: str
    timeout_seconds: float
    wire_host: str = ""
    peer: str = ""
    phase: Phase = Phase.START
    begun: bool = False
    retry_after_seconds: float | None = None
    """What the head of an answer asked for, should its body never come."""

    def fault(self, code: str, text: str) -> TransportError:
        """The error of the right kind: nothing is said to be unsent once it may be out."""
        kind = MaybeSent if self.begun else NotSent
        return kind(text, code=code, retry_after_seconds=self.retry_after_seconds)


def aborted(progress: Progress) -> TransportError:
    """The exchange was ended by `abort` or `close`."""
    doing = "its answer was awaited" if progress.begun else "it was connecting"
    return progress.fault("aborted", f"the request to {progress.host} was stopped while {doing}")


def timed_out(progress: Progress) -> TransportError:
    """The exchange's whole time is over."""
    within = f"within {progress.timeout_seconds:g} s"
    match progress.phase:
        case Phase.WRITE:
            return progress.fault("write_timeout", f"{progress.host} did not take the whole request {within}")
        case Phase.WAIT:
            return progress.fault("read_timeout", f"{progress.host} did not answer {within}")
        case Phase.READ:
            return progress.fault("deadline", f"{progress.host} did not finish its answer {within}")
        case Phase.PROXY:
            return _unreached(progress, "proxy", f"it opened no way to {progress.host} {within}")
    return _unreached(progress, "connect_timeout", f"no connection {within}")


def failed(progress: Progress, error: Exception) -> TransportError:
    """What an exception that ended the exchange comes to."""
    return _unanswered(progress, error) if progress.begun else _not_connected(progress, error)


def _not_connected(progress: Progress, error: Exception) -> TransportError:
    """Nothing went out: the name, the connection, TLS or the proxy."""
    import ssl

    import httpx

    for cause in _causes(error):
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN:
            return _unreached(progress, "dns", "no name server answers (DNS)")
        if isinstance(cause, socket.gaierror | UnicodeError):
            return _unreached(progress, "dns", "the name is not known (DNS)")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _unreached(progress, "tls", _certificate(cause))
        if isinstance(cause, ssl.SSLError):
            return _unreached(progress, "tls", f"the TLS handshake failed: {_ssl_reason(cause)}")
    if isinstance(error, httpx.ProxyError):
        status = str(error)[:3]  # "407 Proxy Authentication Required": the rest is the proxy's own text
        wish = "; it wants a user name and a password" if status == "407" else ""
        return _unreached(progress, "proxy", f"it refused the way to {progress.host} with {status}{wish}")
    if progress.phase is Phase.PROXY:
        return _unreached(progress, "proxy", f"it opened no way to {progress.host}")
    if isinstance(error, httpx.TimeoutException):
        return _unreached(progress, "connect_timeout", "no answer in time")
    if progress.phase is Phase.TLS:
        return _unreached(progress, "tls", "the connection was closed during the TLS handshake")
    reasons = [cause.strerror for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror]
    if reasons or isinstance(error, httpx.NetworkError):
        return _unreached(progress, "connect", reasons[0].lower() if reasons else "no connection")
    return _unreached(progress, "protocol", f"the request could not be written ({type(error).__name__})")


def _unreached(progress: Progress, code: str, reason: str) -> TransportError:
    """The error for a connection that was not made, naming the proxy where it is the proxy's."""
    proxied = progress.peer not in ("", progress.wire_host)
    if proxied and progress.phase in (Phase.CONNECT, Phase.PROXY):
        return progress.fault("proxy", f"cannot reach {progress.host}: proxy {progress.peer}: {reason}")
    return progress.fault(code, f"cannot reach {progress.host}: {reason}")


def _unanswered(progress: Progress, error: Exception) -> TransportError:
    """The request went out, in part at least, and no whole answer came."""
    import ssl

    import httpx

    host = progress.host
    if isinstance(error, httpx.TimeoutException):
        return timed_out(progress)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return progress.fault("tls", f"{host} ended the encrypted connection: {_ssl_reason(cause)}")
    # httpcore and h11 have one class for a connection that ends too early and for what is not HTTP
    ended = any(text in str(error) for text in ("Server disconnected", "peer closed connection"))
    if ended or isinstance(error, httpx.NetworkError):
        return progress.fault("cut", f"{host} closed the connection before its answer was complete")
    return progress.fault("protocol", f"what {host} answered is not HTTP ({type(error).__name__})")


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    text = f"certificate verify failed: {error.verify_message}"
    if error.verify_code in (_NOT_VALID_YET, _EXPIRED):
        return f"{text} (the device's clock says {datetime.now(UTC):%Y-%m-%d}; is it right?)"
    if error.verify_code in _ISSUER_UNKNOWN:
        return f"{text} (where a company's certificate is in use, name its file in ca_file)"
    return text


def _ssl_reason(error: ssl.SSLError) -> str:
    return (error.reason or error.strerror or "no reason given").lower().replace("_", " ")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from. httpcore cuts `__cause__` off on the way, `__context__` stays."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
