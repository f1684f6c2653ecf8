"""What a line is opened with: a client of httpx with one connection, and the certificates that are trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgequeue.errors import NotSent
from edgequeue.lazily import importing

if TYPE_CHECKING:
    import ssl

    import httpx

KEEP_ALIVE_SECONDS = 20.0
"""How long an unused connection is taken again; below the 30 s after which the stricter mobile networks forget one."""


@dataclass(frozen=True)
class Opening:
    """How lines are opened; the fields are those of `HttpxTransport`."""

    connect_timeout_seconds: float
    timeout_seconds: float
    ca_file: Path | None
    client_cert: Path | None
    proxy: str | None = field(repr=False)  # it may hold a password

    def client(self, context: ssl.SSLContext) -> httpx.Client:
        """A client with one connection at most. NotSent, code "settings", when the proxy's address makes no sense."""
        with importing():
            import encodings.idna  # noqa: F401  (the first look-up of a name brings it)
            from http.cookiejar import CookieJar, DefaultCookiePolicy

            import httpcore  # noqa: F401  (the first client brings it)
            import httpx

        try:
            return httpx.Client(
                verify=context,
                proxy=self.proxy,
                timeout=httpx.Timeout(self.timeout_seconds, connect=self.connect_timeout_seconds),
                limits=httpx.Limits(
                    max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE_SECONDS
                ),
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # a captive portal's must not stick
                follow_redirects=False,
            )
        except (ValueError, ImportError, httpx.InvalidURL):  # their texts may hold the proxy's password
            remedy = "check the setting proxy and the variables HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"
            raise NotSent(f"the address of the proxy cannot be used; {remedy}", code="settings") from None

    def tls_context(self) -> ssl.SSLContext:
        """What verifies the services. NotSent when a file cannot be used: that may be mended, and the queue waits."""
        with importing():
            import ssl

            import httpx

        used = f"ca_file {self.ca_file}"
        try:
            with importing():  # of where the certificates are
                context = (
                    ssl.create_default_context(cafile=self.ca_file) if self.ca_file else httpx.create_ssl_context()
                )
            if self.client_cert:
                used = f"client_cert {self.client_cert}"
                context.load_cert_chain(self.client_cert, password="")  # "" rather than being asked at the terminal
        except OSError as error:  # ssl.SSLError is one
            reason = (getattr(error, "reason", None) or error.strerror or "unknown").lower().replace("_", " ")
            raise NotSent(f"{used} cannot be used: {reason}", code="settings") from error
        return context

    def goes_direct(self) -> bool:
        """Whether no proxy is set, here or in the environment, for any host."""
        with importing():
            from urllib.request import getproxies  # brings ssl along, and httpx has long loaded it by then

        return not self.proxy and not getproxies().keys() - {"no"}  # NO_PROXY is listed as if it were one
