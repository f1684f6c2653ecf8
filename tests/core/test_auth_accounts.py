"""Secrets and ready-made tokens: where they are found, what cannot be one, and that they show nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.auth import AccessKey, Anonymous, Bearer, Denied, Secret, secrets_in
from edgequeue.auth.accounts import is_token
from edgequeue.errors import ConfigError
from edgequeue.retry import HoldState
from edgequeue.testing import ScriptedTransport

NOBODY = ScriptedTransport()


def test_a_token_signs_with_what_the_account_has() -> None:
    """Authorization always, the client and the organisation where they are known; nothing is sent for it."""
    assert Bearer("t0ken").headers(NOBODY) == {"authorization": "Bearer t0ken"}
    assert Bearer(Secret("t0ken"), "client", "a@AdobeOrg").headers(NOBODY) == {
        "authorization": "Bearer t0ken",
        "x-api-key": "client",
        "x-gw-ims-org-id": "a@AdobeOrg",
    }
    assert Anonymous().headers(NOBODY) == {}
    assert not Anonymous().renew({})
    assert NOBODY.requests == []


def test_a_missing_secret_pauses_and_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable, a file that is not there, an empty one: the operator has to mend it, and no event is touched."""
    monkeypatch.delenv("EDGEQUEUE_TEST_TOKEN", raising=False)
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for secret in (Secret(env="EDGEQUEUE_TEST_TOKEN"), Secret(path=tmp_path / "none"), Secret(path=empty)):
        denied = Bearer(secret).headers(NOBODY)
        assert isinstance(denied, Denied)
        assert (denied.state, denied.problem.code) == (HoldState.PAUSED, "no_secret")
        assert (secret.env or str(secret.path)) in denied.problem.text
        assert denied.problem.remedy


def test_an_access_key_is_sent_as_it_is() -> None:
    """A token alone, or a key and its secret as Basic has them; both are what nobody may see."""
    public, private = AccessKey("t0ken").headers(NOBODY), AccessKey(Secret("s3cr3t"), "key-1").headers(NOBODY)
    assert public == {"authorization": "Token t0ken"}
    assert private == {"authorization": "Basic a2V5LTE6czNjcjN0"}
    assert secrets_in({"authorization": "Token t0ken"}) == ("t0ken",)
    assert secrets_in({"authorization": "Basic a2V5LTE6czNjcjN0"}) == ("a2V5LTE6czNjcjN0", "s3cr3t")
    assert secrets_in({"authorization": "Basic ?"}) == ("?",)
    assert secrets_in({}) == ()
    assert NOBODY.requests == []


@pytest.mark.parametrize("key_id", [None, "key-1"])
def test_an_access_key_that_was_rotated_is_worth_another_try(tmp_path: Path, key_id: str | None) -> None:
    """The file is read anew; what cannot be a secret, or is not there, pauses and is not repeated."""
    file = tmp_path / "secret"
    file.write_text("first\n")
    account = AccessKey(Secret(path=file), key_id)
    refused = account.headers(NOBODY)
    assert not isinstance(refused, Denied)
    assert not account.renew(refused)
    file.write_text("second\n")
    assert account.renew(refused)
    for content, code in (("two words", "bad_secret"), ("", "no_secret")):
        file.write_text(content)
        denied = account.headers(NOBODY)
        assert isinstance(denied, Denied)
        assert (denied.state, denied.problem.code) == (HoldState.PAUSED, code)
        assert not content or content not in f"{denied}"
        assert not account.renew(refused)


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "caf\xe9", "\x1b[31m", ""])
def test_a_text_that_cannot_be_a_token_is_not_sent(token: str) -> None:
    """A header could not hold it, or would end in the middle of it; and it is not repeated."""
    denied = Bearer(token).headers(NOBODY)
    assert isinstance(denied, Denied)
    assert denied.problem.code == "bad_secret"
    assert not token or token not in f"{denied}"


@given(st.text())
def test_what_is_taken_for_a_token_is_visible_ascii(text: str) -> None:
    """RFC 6750's characters are all among it, and nothing that a header may not hold."""
    assert is_token(text) == (bool(text) and all("!" <= letter <= "~" for letter in text))


def test_a_changed_file_is_worth_another_try(tmp_path: Path) -> None:
    """`renew` is True when the file holds another token than the one that was refused."""
    file = tmp_path / "token"
    file.write_text("first\n")
    account = Bearer(Secret(path=file))
    refused = account.headers(NOBODY)
    assert not isinstance(refused, Denied)
    assert not account.renew(refused)
    file.write_text("second\n")
    assert account.renew(refused)
    assert account.headers(NOBODY) == {"authorization": "Bearer second"}
    file.unlink()
    assert not account.renew(refused)


def test_a_secret_shows_in_no_repr() -> None:
    """Whether it was given as text or as a Secret; and what is none is refused without being shown."""
    for account in (Bearer("s3cr3t"), Bearer(Secret("s3cr3t")), AccessKey("s3cr3t"), AccessKey("s3cr3t", "key-1")):
        assert "s3cr3t" not in repr(account) + str(account)
    with pytest.raises(ConfigError, match=r"Bearer: token is a text or a Secret\(env=…\)"):
        Bearer(b"s3cr3t")  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as raised:
        Secret(env="s3cr3t-p8e")
    assert "s3cr3t" not in str(raised.value)
