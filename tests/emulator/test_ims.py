"""Adobe's token service as the emulator reads it, and the services behind it that ask for its tokens."""

from __future__ import annotations

import pytest

from edgequeue.emulator import Emulator, Fault
from edgequeue.emulator.contract import Access
from edgequeue.emulator.options import Options
from edgequeue.emulator.tokens import TOKENS_KEPT_MAX, Tokens

FORM = {
    "grant_type": "client_credentials",
    "client_id": "till",
    "client_secret": "s3cret",
    "scope": "openid,AdobeID,read_organizations",
}


@pytest.fixture
def guarded():
    with Emulator(client_id="till", client_secret="s3cret", org_id="shop@AdobeOrg") as running:
        yield running


@pytest.fixture
def ask(client):
    def post(emulator, **changed):
        form = {name: value for name, value in {**FORM, **changed}.items() if value is not None}
        return client.post(emulator.token_url, data=form)

    return post


def bearing(token):
    return {"authorization": f"Bearer {token}", "x-api-key": "till", "x-gw-ims-org-id": "shop@AdobeOrg"}


def test_a_right_request_gets_a_token_and_its_life_in_seconds(guarded, ask):
    """200 with access_token, the type in lower case and expires_in; each token is a new one."""
    first, second = ask(guarded), ask(guarded)
    document = first.json()
    assert (first.status_code, set(document)) == (200, {"access_token", "token_type", "expires_in"})
    assert (document["token_type"], document["expires_in"]) == ("bearer", 86_399)
    assert document["access_token"] != second.json()["access_token"]
    assert guarded.token_requests == 2


def test_the_life_of_a_token_may_be_told_in_milliseconds(ask):
    """As the retired JWT exchange did."""
    with Emulator(token_milliseconds=True) as emulator:
        assert ask(emulator).json()["expires_in"] == 86_399_000


@pytest.mark.parametrize(
    ("changed", "error", "description"),
    [
        ({"client_secret": "other"}, "invalid_client", "invalid client_secret parameter"),
        ({"client_secret": None}, "invalid_client", "invalid client_secret parameter"),
        ({"client_id": "other"}, "invalid_client", "invalid client_id parameter"),
        ({"grant_type": "password"}, "unsupported_grant_type", "grant_type must be client_credentials"),
        ({"grant_type": None}, "invalid_request", "grant_type is missing"),
        ({"scope": None}, "invalid_scope", "scope is missing or empty"),
        ({"scope": "openid AdobeID"}, "invalid_scope", "scopes are separated by commas"),
    ],
)
def test_a_wrong_request_is_refused_in_the_oauth_shape(guarded, ask, changed, error, description):
    """400 with error and error_description; what was sent is not repeated."""
    answer = ask(guarded, **changed)
    assert answer.status_code == 400
    assert answer.json() == {"error": error, "error_description": description}


def test_only_known_scopes_are_granted_when_some_are_given(ask):
    """A scope that the credential does not have is refused."""
    with Emulator(scopes=["openid", "session"]) as emulator:
        assert ask(emulator, scope="openid, session").status_code == 200
        assert ask(emulator, scope="openid,admin").json()["error"] == "invalid_scope"


def test_a_secret_in_the_query_string_is_refused_and_never_shown(guarded, client):
    """It would end up in logs; the answer says so, and no record of the request holds it."""
    answer = client.post(guarded.token_url, params=FORM)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "query string" in answer.json()["error_description"]
    shown = f"{guarded.requests}{client.get(f'{guarded.url}/_emulator/requests').text}{guarded.options}"
    assert "s3cret" not in shown


def test_no_token_is_ever_remembered_in_a_request(guarded, ask, collect, edge_event, client):
    """Neither the requests seen nor the emulator's own paths hold the token that was used."""
    token = ask(guarded).json()["access_token"]
    collect(guarded, edge_event(), headers=bearing(token))
    own = "".join(client.get(f"{guarded.url}/_emulator/{name}").text for name in ("arrived", "requests", "faults"))
    assert token not in f"{guarded.requests}{own}"


def test_another_content_type_or_a_parameter_twice_is_refused(guarded, client):
    """The exchange is a form, each parameter once."""
    assert client.post(guarded.token_url, json=FORM).json()["error"] == "invalid_request"
    twice = client.post(guarded.token_url, data={**FORM, "scope": ["openid", "session"]})
    assert twice.json()["error"] == "invalid_request"
    assert client.get(guarded.token_url).status_code == 405


def test_both_services_take_the_tokens_of_ims_and_no_others(guarded, ask, collect, batch, edge_event, dccs_message):
    """Edge tells missing from unknown by its codes, DCCS answers 401 of the authorization type to both."""
    token = ask(guarded).json()["access_token"]
    assert collect(guarded, edge_event("a"), headers=bearing(token)).status_code == 202
    assert batch(guarded, dccs_message("b"), headers=bearing(token)).status_code == 207
    assert "EXEG-0500-401" in collect(guarded, edge_event()).text
    assert "EXEG-0502-401" in collect(guarded, edge_event(), headers=bearing("other")).text
    for headers in ({}, bearing("other")):
        refused = batch(guarded, dccs_message(), headers=headers)
        assert (refused.status_code, refused.json()["status"]) == (401, "401")
        assert refused.json()["type"].endswith("data-collection-service-authorization")
    assert guarded.arrived.ids == ("a", "b")


def test_the_gateway_before_the_edge_knows_the_client_id(guarded, ask, collect, edge_event):
    """x-api-key is the client id, and both headers are asked for."""
    right = bearing(ask(guarded).json()["access_token"])
    for changed, code in (
        ({"x-api-key": ""}, "403000"),
        ({"x-api-key": "other"}, "403003"),
        ({"x-gw-ims-org-id": ""}, "403025"),
    ):
        refused = collect(guarded, edge_event(), headers=right | changed)
        assert (refused.status_code, refused.json()["error_code"]) == (403, code)


def test_an_ended_token_is_refused_as_expired(ask, collect, batch, edge_event, dccs_message):
    """EXEG-0503-401 at Edge, 401 at DCCS: a client has to ask for a new one."""
    with Emulator(client_id="till", token_seconds=0) as emulator:
        headers = bearing(ask(emulator).json()["access_token"])
        assert "EXEG-0503-401" in collect(emulator, edge_event(), headers=headers).text
        assert batch(emulator, dccs_message(), headers=headers).status_code == 401
        emulator.token_seconds = 60
        headers = bearing(ask(emulator).json()["access_token"])
        assert collect(emulator, edge_event(), headers=headers).status_code == 202


def test_revoked_tokens_are_refused_and_new_ones_are_taken(guarded, ask, collect, edge_event):
    """revoke_tokens ends all tokens issued so far, and no later one."""
    old = bearing(ask(guarded).json()["access_token"])
    guarded.revoke_tokens()
    assert "EXEG-0503-401" in collect(guarded, edge_event(), headers=old).text
    new = bearing(ask(guarded).json()["access_token"])
    assert collect(guarded, edge_event(), headers=new).status_code == 202


def test_a_secret_can_be_corrected_while_it_runs(guarded, ask):
    """What an operator would do in the console."""
    assert ask(guarded, client_secret="rotated").status_code == 400
    guarded.client_secret = "rotated"
    assert ask(guarded, client_secret="rotated").status_code == 200
    assert (guarded.client_id, guarded.client_secret) == ("till", "rotated")
    with pytest.raises(ValueError, match="token_seconds"):
        guarded.token_seconds = -1


def test_a_wrong_life_of_a_token_is_refused_at_once():
    """From ten million on, a client may take the number for milliseconds."""
    with pytest.raises(ValueError, match="token_seconds is 1000000000"):
        Emulator(token_seconds=1e9)


def test_faults_strike_ims_in_its_own_words(guarded, ask):
    """A status fault has an OAuth error for a body; the request still counts."""
    for status, error in ((400, "invalid_request"), (429, "too_many_requests"), (500, "server_error"), (599, "server")):
        guarded.add_fault(Fault("status", service="ims", status=status))
        answer = ask(guarded)
        assert answer.status_code == status
        assert error in answer.json()["error"]
    guarded.add_fault(Fault("captive_portal", service="ims"))
    assert "<form" in ask(guarded).text
    assert ask(guarded).status_code == 200
    assert [seen.service for seen in guarded.requests] == ["ims"] * 6
    assert (guarded.token_requests, guarded.arrived.events) == (6, 0)


def test_token_requests_can_be_asked_over_http_and_forgotten(guarded, ask, client):
    """The count stands beside the others, and reset clears it."""
    ask(guarded)
    assert client.get(f"{guarded.url}/_emulator/arrived").json()["token_requests"] == 1
    guarded.reset()
    assert guarded.token_requests == 0


def test_tokens_end_by_a_monotonic_clock():
    """Valid until the life is over, ended from then on; unknown once there are too many."""
    now = [100.0]
    tokens, options = Tokens(clock=lambda: now[0]), Options(client_id="till", token="static")
    token = tokens.issue(60)
    assert tokens.access(options, token) is Access.VALID
    assert tokens.access(options, "static") is Access.VALID
    now[0] = 160.0
    assert tokens.access(options, token) is Access.ENDED
    for _ in range(TOKENS_KEPT_MAX):
        tokens.issue(60)
    assert tokens.access(options, token) is Access.UNKNOWN
    assert tokens.access(Options(), None) is Access.OPEN
    assert tokens.access(options, None) is Access.MISSING
    assert tokens.access(Options(token="static"), "other") is Access.WRONG
