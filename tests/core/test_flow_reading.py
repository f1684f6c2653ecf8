"""What is read leniently or strictly: mapping files, the platform's errors, the settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.auth import Bearer
from edgequeue.config import parse_settings
from edgequeue.errors import ConfigError
from edgequeue.flow_service.answers import Meaning, code_of, read
from edgequeue.flow_service.mapping import has_pairs, major_version, parse_mapping
from edgequeue.flow_service.settings import FlowService
from edgequeue.flow_service.wanted import Pair
from edgequeue.model import HttpResponse

PAIRS = (Pair("firstName", "person.name.firstName"), Pair("lastName", "person.name.lastName"))
PATH = Path("/etc/edgequeue.toml")


# --- mapping files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "source,destination\nfirstName,person.name.firstName\nlastName,person.name.lastName\n",
        "\ufeff# names\r\n\r\nsource, destination\r\nfirstName, person.name.firstName\r\n# more\r\n"
        "lastName , person.name.lastName",
        'Destination,Source\n"person.name.firstName",firstName\nperson.name.lastName,"lastName"\n',
        json.dumps([pair._asdict() for pair in PAIRS]),
        json.dumps({"mappings": [{"sourceAttribute": one, "destinationXdmPath": two} for one, two in PAIRS]}),
        json.dumps([{"sourceType": "ATTRIBUTE", **pair._asdict(), "identity": False} for pair in PAIRS]),
    ],
    ids=["csv", "csv by hand", "csv turned round", "json", "the service's own", "the service's newer"],
)
def test_a_mapping_file_in_any_of_its_forms(text: str) -> None:
    """All say the same."""
    assert parse_mapping(text, "m") == PAIRS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "m holds no pair"),
        ("# nothing\n\n", "m holds no pair"),
        ("source,destination\n", "m holds no pair"),
        ("[]", "m holds no pair"),
        ("firstName,person.name\n", "m, line 1: the first line is to be the header"),
        ("\n# c\nsource,destination\na,b\n\na\n", "m, line 6: 1 values where there are to be 2"),
        ("source,destination\nconcat(a, b),x\n", "m, line 2: 3 values where there are to be 2"),
        ("source,destination\n,x\n", "m, line 2: the source is empty"),
        ("source,destination\na,\n", "m, line 2: the destination is empty"),
        ("source,destination\na,x\nb,x\n", "m, line 3: x has a source already"),
        ('source,destination\n"a,x\n', "m, line 2: .*quotes"),
        ("[{]", "m is no JSON"),
        ('{"pairs": []}', "m: there is no list of pairs"),
        ('[{"source": "a"}]', "m, entry 1: it has no texts"),
        ('[{"source": "a", "destination": 1}]', "m, entry 1: it has no texts"),
        ('[{"source": "a", "destination": "x", "sourceType": "EXPRESSION"}]', "m, entry 1: it is an expression"),
        ('[{"source": "a", "destination": "x", "identity": true}]', "m, entry 1: it is an expression"),
        ("[1]", "m, entry 1: it has no texts"),
    ],
)
def test_a_wrong_mapping_file_is_refused_with_its_line(text: str, words: str) -> None:
    """The error names the file, the line or the entry, and the remedy."""
    with pytest.raises(ConfigError, match=words):
        parse_mapping(text, "m")


@given(st.text())
def test_no_text_breaks_the_reader_of_mappings(text: str) -> None:
    """Pairs, or a ConfigError."""
    try:
        pairs = parse_mapping(text, "m")
    except ConfigError:
        return
    assert len({pair.destination for pair in pairs}) == len(pairs) > 0


_NAME = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,20}", fullmatch=True)


@given(st.lists(st.builds(Pair, _NAME, _NAME), min_size=1, unique_by=lambda pair: pair.destination))
def test_a_mapping_set_is_recognised_in_any_order_and_in_both_forms(pairs: list[Pair]) -> None:
    """Whatever the service adds to each; one pair more or less is another set."""
    older = [{"destinationXdmPath": two, "sourceAttribute": one, "version": 0, "id": "x"} for one, two in pairs]
    newer = [{"sourceType": "text/x.schema-path", **pair._asdict(), "matchScore": 0.0} for pair in pairs]
    for entries in (older, newer, newer[::-1]):
        assert has_pairs({"mappings": entries}, tuple(pairs)) is True
        assert has_pairs({"mappings": entries[1:]}, tuple(pairs)) is False
        assert has_pairs({"mappings": [*entries, 7]}, tuple(pairs)) is False
    assert has_pairs({}, tuple(pairs)) is None


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.0", 1),
        ("12", 12),
        ("application/vnd.adobe.xed-full+json;version=1.0", 1),
        ("application/vnd.adobe.xed+json; version=2", 2),
        ("application/json", None),
        ("", None),
        (None, None),
        (1, None),
        ("²", None),
    ],
)
def test_major_version_of_a_schema(text: Any, version: int | None) -> None:
    """In each way that Adobe writes it."""
    assert major_version(text) == version


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"error_code": "401013", "message": "Oauth token is not valid"}, "401013"),
        ({"errorCode": "1410-400", "message": "state"}, "1410-400"),
        ({"type": "http://ns.adobe.com/aep/errors/XDM-1010-404", "title": "Resource not found"}, "XDM-1010-404"),
        ({"type": "https://ns.adobe.com/aep/errors/1300-404"}, "1300-404"),
        ({"title": "Error 1425-400"}, "1425-400"),
        ({"detail": "[1425-400] versions differ"}, "1425-400"),
        ({"message": "code: 2100-403"}, "2100-403"),
        ({"report": {"detailed": [{"code": "1403-400"}]}}, "1403-400"),
        ({"error_code": 429050}, "429050"),
        ({"message": "a59d368a-1152-4673-a46e-bd52e8cdb9a9 is not there"}, None),
        ({"message": "dataset 637eb7fadc8a211b6312b65b"}, None),
        ({}, None),
    ],
)
def test_the_code_is_found_wherever_it_stands(document: dict[str, Any], code: str | None) -> None:
    """Adobe does not document the key; an id that has digits in it is no code."""
    assert code_of(document) == code


@pytest.mark.parametrize(
    ("status", "body", "meaning", "words"),
    [
        (400, b'{"errorCode": "1425-400", "message": "versions differ"}', Meaning.REFUSED, "schema and version"),
        (400, b'{"errorCode": "2003-400"}', Meaning.REFUSED, "sandbox_name"),
        (400, b"plain", Meaning.REFUSED, "Mend what the answer names"),
        (401, b"{}", Meaning.RENEW, "token"),
        (403, b'{"error_code": "403010"}', Meaning.RENEW, "token"),
        (403, b'{"error_code": "403003"}', Meaning.REFUSED, "client_id"),
        (403, b'{"error_code": "403025"}', Meaning.REFUSED, "org_id"),
        (403, b"{}", Meaning.REFUSED, "rights"),
        (404, b"{}", Meaning.REFUSED, "sandbox_name"),
        (409, b"{}", Meaning.EXISTS, "Platform UI"),
        (422, b"{}", Meaning.REFUSED, "Mend"),
        (429, b'{"error_code": "429050"}', Meaning.AGAIN, "run the same command again"),
        (500, b'{"type": "1102-500"}', Meaning.AGAIN, "run the same command again"),
        (503, b"<html>", Meaning.AGAIN, "proxy"),
        (200, b"hello", Meaning.AGAIN, "proxy"),
        (204, b"", Meaning.AGAIN, "proxy"),
        (302, b"", Meaning.AGAIN, "proxy"),
    ],
)
def test_what_an_answer_means_and_what_would_help(status: int, body: bytes, meaning: Meaning, words: str) -> None:
    """Each error has the service's code, if it has one, and a remedy."""
    found = read(HttpResponse(status, {}, body), "platform.adobe.io")
    assert found.meaning is meaning
    assert words in found.problem.remedy
    code = code_of(json.loads(body)) if body.startswith(b"{") else None
    assert code is None or (found.problem.code == code and code in found.problem.text)


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["message", "report", "a"]), inner),
    max_leaves=10,
)


@given(st.integers(100, 599), st.dictionaries(st.sampled_from(["type", "title", "report", "error", "code"]), _JSON))
def test_no_error_body_breaks_the_reader(status: int, document: dict[str, Any]) -> None:
    """Whatever the keys hold."""
    found = read(HttpResponse(status, {}, json.dumps(document).encode()), "h")
    assert (found.meaning is Meaning.DONE) == (200 <= status < 300)


@given(st.integers(100, 599), st.binary(max_size=50))
def test_no_bytes_break_the_reader(status: int, body: bytes) -> None:
    """An answer that is no JSON object is never taken for done."""
    found = read(HttpResponse(status, {}, body), "h")
    assert found.meaning is not Meaning.DONE or body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


# --- settings --------------------------------------------------------------------------------------------------------

ACCOUNT = '[queue]\ndatabase = "q.db"\n[auth.adobe]\ntype = "bearer"\ntoken = "t"\nclient_id = "k"\norg_id = "o"\n'


def service(text: str) -> FlowService:
    found = parse_settings(f"{ACCOUNT}[flow_service]\n{text}", PATH).flow_service
    assert found is not None
    return found


def test_the_table_has_defaults_for_all_but_the_account() -> None:
    """And its account is the one that destinations share."""
    found = service('auth = "adobe"')
    assert (found.endpoint, found.sandbox_name) == ("https://platform.adobe.io", "prod")
    assert found.mapping_path == "/data/foundation/conversion/mappingSets"
    assert (found.auth_name, found.client_id, found.org_id) == ("adobe", "k", "o")
    assert isinstance(found.auth, Bearer)


def test_a_configuration_without_the_table_is_one() -> None:
    """Only setting up connections needs it."""
    assert parse_settings(ACCOUNT, PATH).flow_service is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('sandbox_name = "prod"', r"\[flow_service\] auth is missing"),
        ('auth = "adobee"', r"\[flow_service\] auth = .*did you mean adobe"),
        ('auth = "adobe"\nsandbox = "x"', "sandbox is no known key; did you mean sandbox_name"),
        ('auth = "adobe"\nsandbox_name = "Prod"', "sandbox_name .*lower-case"),
        ('auth = "adobe"\nmapping_path = "mappingSets"', "mapping_path is no path"),
        ('auth = "adobe"\nmapping_path = "/a/../b?x"', "mapping_path is no path"),
        ('auth = "adobe"\ntimeout_seconds = 0', "timeout_seconds is 0"),
        ('auth = "adobe"\nendpoint = "http://platform.adobe.io"', "endpoint is http://"),
        ('auth = "adobe"\nendpoint = "platform.adobe.io"', "endpoint is no address"),
        ('auth = "adobe"\nendpoint = "https://u:p@h"', "endpoint holds a user name"),
        ('auth = "adobe"\nendpoint = "https://h:x"', "endpoint is no address"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(text: str, words: str) -> None:
    """File, table and key; nothing that may be a secret is repeated."""
    with pytest.raises(ConfigError, match=words) as caught:
        service(text)
    assert str(PATH) in str(caught.value)
    assert "u:p" not in str(caught.value)


def test_http_is_for_this_machine_alone() -> None:
    """The emulator's address is one."""
    assert service('auth = "adobe"\nendpoint = "http://127.0.0.1:8080"').endpoint == "http://127.0.0.1:8080"
