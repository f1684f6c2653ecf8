"""Whether a destination can be reached: a TCP connection and, for https, a TLS handshake. No request is sent."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, urlsplit
from urllib.request import proxy_bypass

if TYPE_CHECKING:
    from edgequeue.destinations.base import Destination

_NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"}
"""What OpenSSL calls it when the other side speaks something else."""

_PLAIN = "it does not speak TLS; is it an http:// address?"


class Reached(NamedTuple):
    """Whether it answered, and in words what did or did not."""

    ok: bool
    text: str


def reach(destination: Destination, timeout_seconds: float, tls: ssl.SSLContext | None = None) -> Reached:
    """Connect to the destination, or to the proxy that stands before it, and hang up. `tls`: as `certificates` gives
    it; without one the handshake is made with the system's certificates.
    """
    parts = urlsplit(destination.endpoint)
    host = parts.hostname or ""
    address = (host, parts.port or (443 if parts.scheme == "https" else 80))
    name = _named(*address)
    proxy = destination.proxy or _proxy(parts, host)
    if proxy:
        between = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        address = (between.hostname or "", between.port or 80)
        name = f"the proxy {_named(*address)} for {name}"
    try:
        plain = socket.create_connection(address, timeout_seconds)
    except OSError as error:
        return Reached(False, f"{name} cannot be reached: {error.strerror or error}")
    with plain:
        if parts.scheme != "https" or proxy:
            return Reached(True, f"{name} takes connections")
        return _handshake(plain, tls or ssl.create_default_context(), host, name)


def _handshake(plain: socket.socket, tls: ssl.SSLContext, host: str, name: str) -> Reached:
    try:
        with tls.wrap_socket(plain, server_hostname=host) as secure:
            return Reached(True, f"{name} takes connections, {secure.version()}, its certificate is good")
    except ssl.SSLCertVerificationError as error:
        return Reached(False, f"{name}: its certificate is not accepted: {error.verify_message}")
    except TimeoutError:
        return Reached(False, f"{name} takes connections but does not answer the TLS handshake; is it http://?")
    except ssl.SSLError as error:
        reason = (error.reason or "").upper()
        if reason in _NO_TLS:
            return Reached(False, f"{name} takes connections, but {_PLAIN}")
        said = reason.replace("_", " ").lower() or "the connection ended in the middle of it"
        return Reached(False, f"{name} takes connections, but the TLS handshake failed: {said}")
    except OSError as error:
        said = error.strerror or str(error)
        return Reached(False, f"{name} takes connections, but the TLS handshake failed: {said}")


def certificates(destination: Destination) -> ssl.SSLContext | str:
    """TLS as the transport does it, or which of the destination's own files cannot be used and why."""
    try:
        context = ssl.create_default_context(cafile=destination.ca_file)
    except OSError as error:
        return f"ca_file {_unusable(destination.ca_file, error, 'no PEM certificate')}"
    if destination.client_cert is not None:
        try:
            context.load_cert_chain(destination.client_cert)
        except OSError as error:
            return f"client_cert {_unusable(destination.client_cert, error, 'no PEM certificate with its key')}"
    return context


def _unusable(file: Path | None, error: OSError, kind: str) -> str:
    """SSLError is an OSError whose words are OpenSSL's own."""
    if isinstance(error, ssl.SSLError):
        return f"{file} cannot be used: there is {kind} in it"
    return f"{file} cannot be read: {error.strerror or error}"


def _named(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _proxy(parts: SplitResult, host: str) -> str | None:
    """The proxy that the environment names for it."""
    if proxy_bypass(host):
        return None
    names = (f"{parts.scheme}_proxy", f"{parts.scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
