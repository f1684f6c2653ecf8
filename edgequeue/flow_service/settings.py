"""The table `[flow_service]`: where Adobe Experience Platform is, and who asks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from edgequeue.auth import Credentials, Secret, secrets_in
from edgequeue.errors import ConfigError
from edgequeue.sender import is_loopback

ENDPOINT = "https://platform.adobe.io"
"""Adobe's gateway for all organisations, in front of Flow Service, Data Prep, Catalog and Schema Registry."""

MAPPING_PATH = "/data/foundation/conversion/mappingSets"
"""Data Prep's OpenAPI and the other tutorials have `/conversion/`; the HTTP API tutorial prints a path without it."""

_SANDBOX = re.compile(r"[a-z0-9][a-z0-9-]*")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True)
class FlowService:
    """How Flow Service is reached. `auth_name` is what the configuration calls the account `auth`.

    `sandbox_name` is sent as `x-sandbox-name`; `timeout_seconds` is for each exchange.
    """

    auth: Credentials
    auth_name: str = ""
    endpoint: str = ENDPOINT
    sandbox_name: str = "prod"
    mapping_path: str = MAPPING_PATH
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    timeout_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Check the settings; ConfigError names the key and the remedy. The address is not repeated: it may be wrong
        because a secret stands in it.
        """
        _check_endpoint(self.endpoint)
        if not _SANDBOX.fullmatch(self.sandbox_name):
            raise _fault("sandbox_name", "is no name of a sandbox; it has lower-case letters, digits and '-', as prod")
        if not _PATH.fullmatch(self.mapping_path):
            raise _fault("mapping_path", f"is no path; it is usually {MAPPING_PATH}")
        if not self.timeout_seconds > 0:
            raise _fault("timeout_seconds", f"is {self.timeout_seconds:g}; it must be more than 0")

    @property
    def org_id(self) -> str | None:
        """The organisation of the account."""
        return getattr(self.auth, "org_id", None)

    @property
    def client_id(self) -> str | None:
        """The client id of the account."""
        return getattr(self.auth, "client_id", None)

    def secrets(self, credentials: Mapping[str, str]) -> tuple[str, ...]:
        """What no text may repeat: the token in these headers, and the account's client secret, if it has one."""
        kept = getattr(self.auth, "client_secret", None)
        secret = kept.read() if isinstance(kept, Secret) else None
        return (*secrets_in(credentials), *([secret] if isinstance(secret, str) else []))


def _check_endpoint(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _fault("endpoint", f"is no address; it is usually {ENDPOINT}") from None
    if parts.scheme not in ("https", "http") or not host:
        raise _fault("endpoint", f"is no address; it is usually {ENDPOINT}")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise _fault("endpoint", "holds a user name, a '?' or a '#'; give the address alone, credentials are in auth")
    if parts.scheme == "http" and not is_loopback(host):
        raise _fault("endpoint", "is http://, and credentials are never sent unencrypted; use https://")


def _fault(key: str, text: str) -> ConfigError:
    return ConfigError(f"[flow_service] {key} {text}")
