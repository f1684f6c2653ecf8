"""The interface of an account, secrets and where they are found, and the accounts that need no network."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgequeue.errors import ConfigError
from edgequeue.model import Problem
from edgequeue.retry import HoldState
from edgequeue.sender import Sender

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


@dataclass(frozen=True, slots=True)
class Denied:
    """No credentials to be had, and what that does to the destination; PAUSED where an operator has to mend it."""

    problem: Problem
    state: HoldState = HoldState.PAUSED
    retry_after_seconds: float | None = None


class Credentials(Protocol):
    """What signs requests. Implementations are safe to use from several threads."""

    def headers(self, sender: Sender, *, anew: bool = False) -> Mapping[str, str] | Denied:
        """All headers this account can offer, lower-case names; a destination picks the ones its service asks for.

        What has to be fetched is fetched with `sender`. `anew`: by hand means now, so a refusal that is remembered is
        no answer.
        """

    def renew(self, refused: Mapping[str, str]) -> bool:
        """The service did not take these headers: whether `headers` may give others from now on."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret, or where it is to be found: in the variable `env` or in the file `path`."""

    value: str | None = field(default=None, repr=False)
    env: str | None = None
    path: Path | None = None

    def __post_init__(self) -> None:
        """A variable's name that cannot be one is likely the secret itself: it is not repeated."""
        if self.env is not None and not _VARIABLE.fullmatch(self.env):
            raise ConfigError("what was given as a variable's name is none; give the name, not the secret itself")

    def read(self) -> str | Problem:
        """The secret without surrounding white space, or what is wrong. Files are read anew each time: they change."""
        if self.value is not None:
            return self.value
        if self.env is not None:
            found = os.environ.get(self.env, "").strip()
            return found or Problem(
                "no_secret", f"the variable {self.env} is not set", f"Set {self.env} and try again."
            )
        assert self.path is not None
        try:
            found = self.path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            return Problem("no_secret", f"cannot read {self.path}: {reason}", "Check the path and its permissions.")
        return found or Problem("no_secret", f"{self.path} is empty", "Put the secret into it.")


def as_secret(given: object, what: str) -> Secret:
    """A secret that was given as one or as text; ConfigError names `what` it is and never shows it."""
    if isinstance(given, str):
        return Secret(given)
    if isinstance(given, Secret):
        return given
    raise ConfigError(f"{what} is a text or a Secret(env=…), Secret(path=…)")


def is_token(text: str) -> bool:
    """Whether a text can be an access token: visible ASCII characters and nothing else (RFC 6750, b64token)."""
    return text.isascii() and text.isprintable() and " " not in text and bool(text)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A ready-made access token, with the account's `client_id` and `org_id` where a service asks for them."""

    token: Secret | str
    client_id: str | None = None
    org_id: str | None = None

    def __post_init__(self) -> None:
        """A token given as text is a secret from then on: it shows in no repr."""
        object.__setattr__(self, "token", as_secret(self.token, "Bearer: token"))

    def headers(self, sender: Sender, *, anew: bool = False) -> Mapping[str, str] | Denied:
        token = self._read()
        if isinstance(token, Problem):
            return Denied(token)
        if not is_token(token):
            text = "the access token holds a character that no token has (a space, a line break, a control character)"
            return Denied(Problem("bad_secret", text, "Copy it again, the token alone."))
        found = {"authorization": f"Bearer {token}"}
        if self.client_id:
            found["x-api-key"] = self.client_id
        if self.org_id:
            found["x-gw-ims-org-id"] = self.org_id
        return found

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Whether the file or the variable holds another token by now."""
        token = self._read()
        return isinstance(token, str) and refused.get("authorization") != f"Bearer {token}"

    def _read(self) -> str | Problem:
        return as_secret(self.token, "Bearer: token").read()


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No credentials."""

    def headers(self, sender: Sender, *, anew: bool = False) -> Mapping[str, str] | Denied:
        return {}

    def renew(self, refused: Mapping[str, str]) -> bool:
        return False
