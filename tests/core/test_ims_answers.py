"""What the answers of the token service mean: the table, row by row, and that nothing it answers can do harm."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.auth import Denied
from edgequeue.auth.accounts import is_token
from edgequeue.auth.ims_answers import (
    LIFE_SECONDS_DEFAULT,
    MILLISECONDS_MIN,
    PASSING,
    Token,
    life_seconds,
    reading,
    unanswered,
)
from edgequeue.errors import MaybeSent, NotSent
from edgequeue.model import HttpResponse
from edgequeue.retry import RETRY_AFTER_SECONDS_MAX, HoldState

HOST = "ims.example"
PAUSED, BACKING_OFF = HoldState.PAUSED, HoldState.BACKING_OFF
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html><title>Log in</title>"


def answer(status: int, body: Any = b"", **headers: str) -> HttpResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def denied(response: HttpResponse, hidden: str = "") -> Denied:
    found = reading(response, HOST, hidden=hidden)
    assert isinstance(found, Denied)
    assert HOST in found.problem.text
    assert found.problem.status == response.status
    assert found.problem.remedy
    return found


# --- a token ---------------------------------------------------------------------------------------------------------


def test_a_token_is_what_stands_in_access_token() -> None:
    """Whatever the content type says and whatever stands beside it."""
    document = {"access_token": "eyJ.a-b_c", "token_type": "bearer", "expires_in": 86399, "more": [1]}
    for headers in ({}, {"content_type": "text/plain"}):
        assert reading(answer(200, document, **headers), HOST) == Token("eyJ.a-b_c", 86399.0)


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (86399, 86399.0),
        ("86399", 86399.0),
        (0.5, 0.5),
        (86_399_992, 86_399.992),
        ("86399992", 86_399.992),
        (9_999_999, 9_999_999.0),
        (10_000_000, 10_000.0),
        (10**30, MILLISECONDS_MIN),
        *((nonsense, LIFE_SECONDS_DEFAULT) for nonsense in (None, True, "", "soon", [], {}, 0, -5, "nan", "inf", "-1")),
    ],
)
def test_the_life_of_a_token_is_in_seconds_or_milliseconds(expires_in: Any, seconds: float) -> None:
    """A number or a text; from 10,000,000 on it is milliseconds; an hour where it cannot be read."""
    assert life_seconds(expires_in) == pytest.approx(seconds)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_the_life_of_a_token_is_always_a_sane_number(expires_in: Any) -> None:
    """Above 0 and at most 116 days, whatever the service says."""
    assert 0 < life_seconds(expires_in) <= MILLISECONDS_MIN


# --- the table -------------------------------------------------------------------------------------------------------

CLIENT = ("client_id", "client_secret", "scopes", "[auth.*]")
TABLE: list[tuple[HttpResponse, HoldState, str, tuple[str, ...]]] = [
    *(
        (answer(status, PAGE), BACKING_OFF, "not_the_service", ())
        for status in (200, 302, 400, 401, 403, 404, 429, 503)
    ),
    *(
        (answer(status, {"error": "x"}), BACKING_OFF, "not_the_service", ())
        for status in (100, 199, 301, 304, 511, 600)
    ),
    *(
        (answer(200, body), BACKING_OFF, "not_the_service", ())
        for body in (b"", b"ok", [], {}, {"access_token": ""}, {"access_token": 5}, {"access_token": "a b"})
    ),
    *((answer(status, {"access_token": "t"}), BACKING_OFF, "not_the_service", ()) for status in (201, 202, 204, 206)),
    *((answer(status, {"error": "invalid_client"}), PAUSED, "ims_invalid_client", CLIENT) for status in (400, 401)),
    *((answer(400, {"error": name}), PAUSED, f"ims_{name}", CLIENT) for name in ("invalid_scope", "unheard-of")),
    *((answer(status, {"error": name}), BACKING_OFF, f"ims_{name}", ()) for name in PASSING for status in (400, 401)),
    *(
        (answer(status, body), BACKING_OFF, f"http_{status}", ("[auth.*]",))
        for status in (400, 401)
        for body in (b"", b"Bad Request", [], {}, {"error": ""}, {"error": 5}, {"message": "no"}, b'{"error":')
    ),
    *((answer(status), BACKING_OFF, f"http_{status}", ()) for status in (408, 425, 429, 500, 502, 503, 504, 507, 599)),
    *((answer(429, {"error": "invalid_client"}), BACKING_OFF, "http_429", ()) for _ in "1"),
    *(
        (answer(status, body), PAUSED, f"http_{status}", ("endpoint", "[auth.*]"))
        for status in (402, 403, 404, 405, 407, 410, 422)
        for body in (b"", b"Not Found", {"error": "access_denied"})
    ),
]


@pytest.mark.parametrize(("response", "state", "code", "named"), TABLE)
def test_each_answer_has_its_row(response: HttpResponse, state: HoldState, code: str, named: tuple[str, ...]) -> None:
    """Only what the token service itself says about the client or the address pauses; all else passes by itself."""
    found = denied(response)
    assert (found.state, found.problem.code) == (state, code)
    for key in named:
        assert key in found.problem.remedy


def test_a_refusal_repeats_what_the_service_says_shortened() -> None:
    """On one line, and no more than fits one."""
    body = {"error": "invalid_client", "error_description": "invalid client_secret\n parameter " + "x" * 9000}
    text = denied(answer(400, body)).problem.text
    assert "invalid_client: invalid client_secret parameter xxx" in text
    assert len(text) < 700
    assert denied(answer(404, b"no\nsuch  page")).problem.text.endswith("HTTP 404: no such page")
    assert denied(answer(400, {"error": "<b>\n" * 99})).problem.code.startswith("ims__b_")


def test_a_refusal_never_repeats_the_secret() -> None:
    """Also where the service does, in its code, in its text, in plain or as it stood in the form."""
    secret = 'p8e/s3cr3t+"x'
    for body in (
        {"error": secret, "error_description": f"{secret} is wrong, and so is p8e%2Fs3cr3t%2B%22x"},
        f"client_secret=p8e%2Fs3cr3t%2B%22x {secret}".encode(),
    ):
        for status in (400, 403, 503):
            assert "s3cr3t" not in repr(denied(answer(status, body), secret))


@pytest.mark.parametrize("status", [200, 302, 400, 408, 425, 429, 500, 503, 511])
def test_a_wait_that_is_asked_for_is_kept(status: int) -> None:
    """Retry-After in both forms, a date by the answer's own Date because our clock may be wrong; an hour at most."""
    assert denied(answer(status, retry_after="120")).retry_after_seconds == 120
    assert denied(answer(status, retry_after="999999")).retry_after_seconds == RETRY_AFTER_SECONDS_MAX
    assert denied(answer(status)).retry_after_seconds is None
    wrong_clock = datetime(1970, 1, 1, tzinfo=UTC)
    date = datetime(2026, 11, 21, tzinfo=UTC)
    response = answer(status, retry_after=format_datetime(date + timedelta(seconds=90)), date=format_datetime(date))
    assert denied(replace(response, received_at=wrong_clock)).retry_after_seconds == 90


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (NotSent("cannot reach ims: the name is not known (DNS)", code="dns"), HoldState.OFFLINE),
        (NotSent("cannot reach ims: connection refused", code="connect"), HoldState.OFFLINE),
        (NotSent("ca_file none.pem cannot be used", code="settings"), PAUSED),
        (MaybeSent("ims did not answer within 30 s", code="read_timeout"), BACKING_OFF),
        (MaybeSent("the request was stopped", code="aborted"), BACKING_OFF),
    ],
)
def test_no_answer_at_all(error: NotSent | MaybeSent, state: HoldState) -> None:
    """Nothing sent is being offline, but for a setting; all else backs off. The text names the host that fails."""
    found = unanswered(error, HOST)
    assert (found.state, found.problem.code, found.retry_after_seconds) == (state, error.code, None)
    assert HOST in found.problem.text
    assert str(error) in found.problem.text


@given(st.integers(0, 999), st.one_of(st.binary(), st.text().map(str.encode), st.dictionaries(
    st.sampled_from(["error", "access_token", "expires_in", "error_description", "message"]),
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.text())),
).map(lambda document: json.dumps(document).encode())))  # fmt: skip
def test_any_answer_is_a_token_or_a_denial(status: int, body: bytes) -> None:
    """Nothing raises; a token comes only with 200 and fits into a header."""
    found = reading(HttpResponse(status, {}, body), HOST)
    if isinstance(found, Token):
        assert status == 200
        assert is_token(found.value)
    else:
        assert found.state in (PAUSED, BACKING_OFF)
        assert found.problem.code
        assert found.problem.text
