"""Access keys: a token or a key with its secret, sent as they are. Bloomreach calls them public and private access."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from edgequeue.auth.accounts import Denied, Secret, as_secret, is_token
from edgequeue.model import Problem
from edgequeue.sender import Sender


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key: `Authorization: Token SECRET`, or with a `key_id` `Authorization: Basic base64(KEY_ID:SECRET)`.

    The secret is read anew for each request, so one that was rotated in its file or variable is used at once.
    """

    secret: Secret | str
    key_id: str | None = None

    def __post_init__(self) -> None:
        """A secret given as text shows in no repr from then on."""
        object.__setattr__(self, "secret", as_secret(self.secret, "AccessKey: secret"))

    def headers(self, sender: Sender, *, anew: bool = False) -> Mapping[str, str] | Denied:
        written = self._written()
        return Denied(written) if isinstance(written, Problem) else {"authorization": written}

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Whether the file or the variable holds another secret by now."""
        written = self._written()
        return isinstance(written, str) and refused.get("authorization") != written

    def _written(self) -> str | Problem:
        secret = as_secret(self.secret, "AccessKey: secret").read()
        if isinstance(secret, Problem):
            return secret
        if not is_token(secret):
            what = "token" if self.key_id is None else "secret"
            text = f"the {what} holds a character that no {what} has (a space, a line break, a control character)"
            return Problem("bad_secret", text, f"Copy it again, the {what} alone.")
        if self.key_id is None:
            return f"Token {secret}"
        return f"Basic {b64encode(f'{self.key_id}:{secret}'.encode()).decode()}"


def secrets_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """What nobody may see of the credentials that were sent, longest first: the token, and what Basic encodes in it."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme != "Basic":
        return (given,) if given else ()
    try:
        return given, b64decode(given, validate=True).decode().partition(":")[2]
    except ValueError:  # not one of ours: an account of somebody's own may write what it likes
        return (given,)
