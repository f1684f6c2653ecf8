"""Whether a destination can be reached: a TCP connection and, for https, a TLS handshake. No request is sent."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

if TYPE_CHECKING:
    from edgequeue.destinations.base import Destination


class Reached(NamedTuple):
    """Whether it answered, and in words what did or did not."""

    ok: bool
    text: str


def reach(destination: Destination, timeout_seconds: float) -> Reached:
    """Connect to the destination, or to the proxy that stands before it, and hang up."""
    parts = urlsplit(destination.endpoint)
    host = parts.hostname or ""
    proxy = destination.proxy or _proxy(parts.scheme, host)
    address = (host, parts.port or (443 if parts.scheme == "https" else 80))
    via = ""
    if proxy:
        between = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        address = (between.hostname or "", between.port or 80)
        via = f"the proxy {address[0]}:{address[1]} for "
    name = f"{via}{host}"
    try:
        with socket.create_connection(address, timeout_seconds) as plain:
            if parts.scheme != "https" or proxy:
                return Reached(True, f"{name} takes connections")
            with _tls(destination).wrap_socket(plain, server_hostname=host) as secure:
                return Reached(True, f"{name} takes connections, {secure.version()}, its certificate is good")
    except ssl.SSLCertVerificationError as error:
        return Reached(False, f"{name}: its certificate is not accepted: {error.verify_message}")
    except OSError as error:
        return Reached(False, f"{name} cannot be reached: {error.strerror or error}")


def _tls(destination: Destination) -> ssl.SSLContext:
    """TLS as the transport does it."""
    context = ssl.create_default_context(cafile=destination.ca_file)
    if destination.client_cert is not None:
        context.load_cert_chain(destination.client_cert)
    return context


def _proxy(scheme: str, host: str) -> str | None:
    """The proxy that the environment names for it."""
    if proxy_bypass(host):
        return None
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
