"""Client credentials of Adobe's IMS (OAuth server-to-server): an access token is fetched, kept and renewed.

The secret travels in the body of a request to the token service and nowhere else: queries end up in logs. When to ask
is decided in `tokens`, what an answer means in `ims_answers`. There is no thread: whoever needs a token fetches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from urllib.parse import urlencode, urlsplit

from edgequeue.auth.accounts import Denied, Secret, as_secret, is_token
from edgequeue.auth.ims_answers import Token, reading, unanswered
from edgequeue.auth.tokens import Tokens
from edgequeue.clock import Clock, SystemClock
from edgequeue.errors import ConfigError, MaybeSent, TransportError
from edgequeue.lazily import importing
from edgequeue.model import HttpRequest, Problem
from edgequeue.sender import Sender, host_of, is_loopback

ENDPOINT = "https://ims-na1.adobelogin.com/ims/token/v3"
"""Adobe's token service, for all regions."""

_HEADERS: Mapping[str, str] = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


@dataclass(frozen=True)
class Ims:
    """A project of Adobe's Developer Console with OAuth server-to-server credentials.

    `scopes` stand in the Console too, as a list or as one text with commas. Share one object between destinations:
    they then share one token, which is renewed min(300 s, 10 % of its life) before it ends, and what is known of
    failures. `_clock` is for tests.
    """

    client_id: str
    client_secret: Secret | str
    org_id: str
    scopes: tuple[str, ...] = ("openid", "AdobeID")
    endpoint: str = ENDPOINT
    _clock: InitVar[Clock | None] = None
    _tokens: Tokens = field(init=False, repr=False, compare=False)

    def __post_init__(self, _clock: Clock | None) -> None:
        """Check the settings; ConfigError names the key and the remedy, and never shows a value."""
        object.__setattr__(self, "client_secret", as_secret(self.client_secret, "Ims: client_secret"))
        object.__setattr__(self, "scopes", _scopes(self.scopes))
        for key in ("client_id", "org_id"):
            value = getattr(self, key)
            if not isinstance(value, str) or not is_token(value):
                raise _fault(key, "is not what Adobe's Developer Console shows; copy it again, without spaces")
        _check_endpoint(self.endpoint)
        object.__setattr__(self, "_tokens", Tokens(_clock or SystemClock()))

    def headers(self, sender: Sender, *, anew: bool = False) -> Mapping[str, str] | Denied:
        """`authorization`, `x-api-key` and `x-gw-ims-org-id`; a token is fetched with `sender` where none is in hand.

        May take as long as the sender does. By hand (`anew`) a failure is forgotten unless it is less than 5 s old or
        the service said how long to wait.
        """
        token = self._tokens.current()
        if token is None:
            secret = self._secret()
            if isinstance(secret, Problem):
                return Denied(secret)
            obtained = self._tokens.obtain(_mark(secret), sender.way, lambda: self._ask(sender, secret), anew=anew)
            if isinstance(obtained, Denied):
                return obtained
            token = obtained
        return {
            "authorization": f"Bearer {token.value}",
            "x-api-key": self.client_id,
            "x-gw-ims-org-id": self.org_id,
        }

    def renew(self, refused: Mapping[str, str]) -> bool:
        """The service did not take this token: it is forgotten, and the next `headers` gives another. Always True."""
        self._tokens.forget(refused.get("authorization", "").removeprefix("Bearer "))
        return True

    @property
    def service(self) -> str:
        """The token service's host as messages name it, with its port where that is not the usual one."""
        return host_of(self.endpoint)

    @property
    def token_seconds(self) -> float | None:
        """How long the token in hand still lives, in seconds; None without one."""
        return self._tokens.left_seconds()

    def _secret(self) -> str | Problem:
        secret = as_secret(self.client_secret, "Ims: client_secret").read()
        if isinstance(secret, str) and not (secret and secret.isascii() and secret.isprintable()):
            text = "client_secret holds a character that no secret has (a line break, an accent), or nothing at all"
            return Problem("bad_secret", text, "Copy it again from Adobe's Developer Console, the secret alone.")
        return secret

    def _ask(self, sender: Sender, secret: str) -> Token | Denied:
        """One request to the token service. On a connection of its own: a stray answer would pause destinations."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": secret,
            "scope": ",".join(self.scopes),
        }
        request = HttpRequest("POST", self.endpoint, _HEADERS, urlencode(form).encode("ascii"), fresh=True)
        try:
            response = sender.send(request, {})
        except TransportError as error:
            return unanswered(error, self.service)
        except Exception as error:  # its text is not ours: it may hold the request
            return unanswered(
                MaybeSent(f"the transport failed: {type(error).__name__}", code="transport"), self.service
            )
        return reading(response, self.service, hidden=secret)


def _mark(secret: str) -> bytes:
    """Stands for a secret in memory, to see whether it has changed."""
    with importing():
        from hashlib import sha256  # loads OpenSSL's library: only who fetches a token pays for it

    return sha256(secret.encode()).digest()


def _scopes(given: object) -> tuple[str, ...]:
    """Scopes from a list, or from texts with commas or spaces in them, as the Developer Console shows them."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, tuple | list) or not all(isinstance(text, str) for text in texts):
        raise _fault("scopes", 'is no list of texts; write them as in ["openid", "AdobeID"]')
    scopes = tuple(scope for text in texts for scope in text.replace(",", " ").split())
    if not scopes or not all(is_token(scope) for scope in scopes):
        raise _fault("scopes", "is empty or holds a character that no scope has; copy it from the Developer Console")
    return scopes


def _check_endpoint(endpoint: object) -> None:
    """The address is not repeated: what is wrong with it may be a secret in it."""
    try:
        parts = urlsplit(endpoint if isinstance(endpoint, str) else "")
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _fault("endpoint", f"is no address; it is usually {ENDPOINT}") from None
    if parts.scheme not in ("https", "http") or not host or not is_token(str(endpoint)):
        raise _fault("endpoint", f"is no address; it is usually {ENDPOINT}")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise _fault("endpoint", "holds a user name, a '?' or a '#'; give the address alone, credentials are keys")
    if parts.scheme == "http" and not is_loopback(host):
        raise _fault("endpoint", "is http://, and a secret is never sent unencrypted; use https://")


def _fault(key: str, text: str) -> ConfigError:
    return ConfigError(f"Ims: {key} {text}")
