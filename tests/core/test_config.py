"""The configuration: what is accepted, and that each mistake names the file, the key and the remedy."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from edgequeue.auth import Bearer, Ims, Secret
from edgequeue.config import Settings, find_config, load_settings, parse_settings
from edgequeue.destinations.adobe_dccs import AdobeDccs
from edgequeue.destinations.adobe_edge import AdobeEdge
from edgequeue.errors import ConfigError

FILE = Path("/srv/till/edgequeue.toml")

QUEUE = '[queue]\ndatabase = "queue.db"\n'
WEB = '[destinations.web]\ntype = "adobe-edge"\ndatastream_id = "3849362a"\n'
AUTH = '[auth.adobe]\ntype = "bearer"\ntoken_env = "ADOBE_TOKEN"\n'
IMS = '[auth.adobe]\ntype = "ims"\nclient_id = "c"\norg_id = "o@AdobeOrg"\n'
SIGNED = IMS + 'client_secret_env = "SECRET"\n'


def parsed(text: str) -> Settings:
    return parse_settings(text, FILE)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEQUEUE_DATABASE", raising=False)


# --- what is accepted ------------------------------------------------------------------------------------------------


def test_defaults_exist_for_all_but_the_database() -> None:
    """A line is enough for a queue, and every bound has a value."""
    settings = parsed(QUEUE)
    queue = settings.queue
    assert queue.database == Path("/srv/till/queue.db")
    assert (queue.keep_delivered_days, queue.keep_dead_days, queue.durability) == (7.0, 30.0, "full")
    assert (queue.max_bytes, queue.max_events) == (4 * 1024**3, None)
    assert (settings.path, settings.destinations, settings.warnings) == (FILE, {}, ())


def test_all_settings_of_the_queue_are_read() -> None:
    """Days may have a fraction; a whole number is a number too."""
    queue = parsed(
        QUEUE + 'keep_delivered_days = 2\nkeep_dead_days = 0.5\nmax_bytes = 1000\nmax_events = 5\ndurability = "normal"'
    ).queue
    assert (queue.keep_delivered_days, queue.keep_dead_days) == (2.0, 0.5)
    assert (queue.max_bytes, queue.max_events, queue.durability) == (1000, 5, "normal")


def test_destinations_keep_the_order_of_the_file() -> None:
    """Also those that are not enabled: their events wait."""
    names = ["zebra", "ant", "middle"]
    tables = "".join(WEB.replace("web", name) + "enabled = false\n" for name in names)
    destinations = parsed(QUEUE + tables).destinations
    assert list(destinations) == names
    assert not any(each.enabled for each in destinations.values())


def test_a_destination_has_the_settings_of_its_type() -> None:
    """The dataclass says which keys there are and of what type."""
    text = """
        [destinations.till]
        type = "adobe-dccs"
        endpoint = "https://dcs.adobedc.net/collection/667b"
        data_type = "xdm"
        org_id = "A@AdobeOrg"
        dataset_id = "d1"
        schema_id = "https://ns.adobe.com/tenant/schemas/1"
        schema_version = 1
        timeout_seconds = 12
        ca_file = "certificates/ca.pem"
    """
    till = parsed(QUEUE + text).destinations["till"]
    assert isinstance(till, AdobeDccs)
    assert (till.name, till.dataset_id, till.timeout_seconds) == ("till", "d1", 12.0)
    assert till.ca_file == Path("/srv/till/certificates/ca.pem")


def test_an_account_is_one_object_for_all_that_name_it() -> None:
    """So that they share what the account learns, and a file's order does not matter."""
    web = WEB + 'auth = "adobe"\n'
    destinations = parsed(QUEUE + web + web.replace("web", "app") + AUTH).destinations
    assert isinstance(destinations["web"].auth, Bearer)
    assert destinations["web"].auth is destinations["app"].auth


def test_an_ims_account_is_one_object_for_destinations_of_any_type() -> None:
    """So that they share one token: two requests for it would be one too many."""
    till = '[destinations.till]\ntype = "adobe-dccs"\nendpoint = "https://dcs.adobedc.net/collection/667b"\n'
    destinations = parsed(QUEUE + SIGNED + "".join(each + 'auth = "adobe"\n' for each in (WEB, till))).destinations
    assert isinstance(destinations["web"].auth, Ims)
    assert destinations["web"].auth is destinations["till"].auth


def test_an_ims_account_has_the_scopes_and_the_address_that_adobe_names() -> None:
    """The defaults, and every key; its secret is not read here."""
    web = WEB + 'auth = "adobe"\n'
    assert parsed(QUEUE + web + SIGNED).destinations["web"].auth == Ims("c", Secret(env="SECRET"), "o@AdobeOrg")
    assert Ims("c", "s", "o").scopes == ("openid", "AdobeID")
    assert Ims("c", "s", "o").endpoint == "https://ims-na1.adobelogin.com/ims/token/v3"
    more = 'client_secret_file = "no/such/file"\nscopes = ["openid", "x"]\nendpoint = "http://127.0.0.1:80/t"\n'
    expected = Ims("c", Secret(path=Path("/srv/till/no/such/file")), "o@AdobeOrg", ("openid", "x"))
    assert parsed(QUEUE + web + IMS + more).destinations["web"].auth == replace(
        expected, endpoint="http://127.0.0.1:80/t"
    )
    for scopes in ('"openid,x"', '"openid x"', '["openid", "x"]'):
        found = parsed(QUEUE + web + SIGNED + f"scopes = {scopes}").destinations["web"].auth
        assert isinstance(found, Ims)
        assert found.scopes == ("openid", "x")


@pytest.mark.parametrize("kind", [Bearer, Ims])
def test_every_key_of_an_account_is_documented(kind: type[Bearer | Ims]) -> None:
    """docs/configuration.md has a table for each type, with each key and no other, and an example that is one."""
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    _, _, rest = text.partition(f'### `type = "{kind.__name__.lower()}"`')
    section = re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    written = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    secrets = {"token", "client_secret"}
    keys = {each.name for each in fields(kind) if each.init}
    assert written == keys | {f"{key}_{how}" for key in keys & secrets for how in ("env", "file")}
    for block in re.findall(r"^```toml\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
        assert isinstance(parsed(QUEUE + block).destinations["web"].auth, kind)


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ('token = "abc"', Secret(value="abc")),
        ('token = " abc\\n"', Secret(value="abc")),
        ('token_env = "A_VARIABLE_THAT_IS_NOT_SET"', Secret(env="A_VARIABLE_THAT_IS_NOT_SET")),
        ('token_file = "no/such/file"', Secret(path=Path("/srv/till/no/such/file"))),
        ('token_file = "/etc/token"', Secret(path=Path("/etc/token"))),
    ],
)
def test_a_secret_is_a_value_a_variable_or_a_file_and_not_read_here(line: str, secret: Secret) -> None:
    """Whoever only looks at the queue needs no secret, so one that is missing is no error now."""
    text = f'{QUEUE}{WEB}auth = "adobe"\n[auth.adobe]\ntype = "bearer"\nclient_id = "c"\norg_id = "o"\n{line}\n'
    assert parsed(text).destinations["web"].auth == Bearer(secret, "c", "o")


@pytest.mark.parametrize(
    ("database", "path"),
    [
        ("queue.db", "/srv/till/queue.db"),
        ("../queue.db", "/srv/till/../queue.db"),
        ("/var/lib/queue.db", "/var/lib/queue.db"),
        ("sqlite:///queue.db", "/srv/till/queue.db"),
        ("sqlite:////var/lib/queue.db", "/var/lib/queue.db"),
        ("~/queue.db", "/home/till/queue.db"),
        ("sqlite:///~/queue.db", "/home/till/queue.db"),
    ],
)
def test_the_database_is_a_path_or_a_url(monkeypatch: pytest.MonkeyPatch, database: str, path: str) -> None:
    """A relative one is taken from the file's own directory: where a command is started does not matter."""
    monkeypatch.setenv("HOME", "/home/till")
    assert parsed(f'[queue]\ndatabase = "{database}"').queue.database == Path(path)


def test_the_environment_stands_above_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EDGEQUEUE_DATABASE, relative to the current directory; the file may then leave the database out."""
    file = tmp_path / "edgequeue.toml"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("EDGEQUEUE_DATABASE", "other.db")
    for text in (QUEUE, ""):
        file.write_text(text)
        assert load_settings(file).queue.database == elsewhere / "other.db"
    monkeypatch.setenv("EDGEQUEUE_DATABASE", "postgresql://u:s3cr3t@host/db")
    with pytest.raises(
        ConfigError, match="variable EDGEQUEUE_DATABASE: this version keeps its queue in SQLite"
    ) as raised:
        load_settings(file)
    assert "s3cr3t" not in str(raised.value)


def test_a_file_of_a_windows_editor_is_read(tmp_path: Path) -> None:
    """A byte order mark and CRLF change nothing."""
    file = tmp_path / "edgequeue.toml"
    file.write_bytes(b"\xef\xbb\xbf" + (QUEUE + WEB).replace("\n", "\r\n").encode())
    assert isinstance(load_settings(file).destinations["web"], AdobeEdge)


def test_a_relative_file_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What status shows can be copied, wherever the command was started."""
    monkeypatch.chdir(tmp_path)
    Path("edgequeue.toml").write_text(QUEUE)
    settings = load_settings(Path("edgequeue.toml"))
    assert (settings.path, settings.queue.database) == (tmp_path / "edgequeue.toml", tmp_path / "queue.db")


@pytest.mark.parametrize(
    ("line", "mode", "warns"),
    [
        ('token = "s3cr3t"', 0o644, True),
        ('token = "s3cr3t"', 0o640, False),
        ('token = "s3cr3t"', 0o600, False),
        ('token_env = "T"', 0o644, False),
    ],
)
def test_a_secret_that_every_user_can_read_is_a_warning(tmp_path: Path, line: str, mode: int, warns: bool) -> None:
    """The warning names the file, the key and the remedy, and not the secret."""
    file = tmp_path / "edgequeue.toml"
    file.write_text(f'{QUEUE}[auth.adobe]\ntype = "bearer"\n{line}\n')
    file.chmod(mode)
    settings = load_settings(file)
    assert bool(settings.warnings) is warns
    for warning in settings.warnings:
        assert str(file) in warning
        assert "[auth.adobe] token" in warning
        assert "chmod 600" in warning
        assert "s3cr3t" not in warning


# --- what is refused -------------------------------------------------------------------------------------------------

ERRORS = [
    # what is wrong, the text, the key or place, the remedy
    ("a broken line", "[queue]\ndatabase = queue.db\n", "line 2, column 12", "quotes"),
    ("a text without an end", '[queue]\ndatabase = "queue.db', "line 2", "Mend this line"),
    ("an unfinished list", "[queue]\nx = [1,\n", "line 2", "Mend this line"),
    ("a key given twice", QUEUE + 'database = "b.db"\n', "line 3", "overwrite"),
    ("no queue", "", "[queue] database", 'add database = "queue.db"'),
    ("no database", "[queue]\n", "[queue] database", 'add database = "queue.db"'),
    ("an unknown table", QUEUE + "[destination.web]\n", "destination is no known table", "did you mean destinations?"),
    (
        "a key outside of tables",
        'database = "q.db"\n',
        "database is no known table",
        "known are: auth, destinations, flow_service, queue",
    ),
    ("a table that is none", "queue = 5\n", "queue is a whole number", "write a table, [queue]"),
    ("a list of tables", QUEUE + "[[destinations]]\n", "destinations is a list", "write a table"),
    (
        "a destination that is none",
        QUEUE + "[destinations]\nweb = true",
        "[destinations] web is true",
        "[destinations.web]",
    ),
    ("an unknown key", QUEUE + "max_event = 5", "[queue] max_event", "did you mean max_events?"),
    (
        "a text for a number",
        QUEUE + 'max_events = "5"',
        "[queue] max_events is a text",
        "a whole number without quotes",
    ),
    ("a fraction for a count", QUEUE + "max_events = 1.5", "max_events is a number with a fraction", "a whole number"),
    ("true for a number", QUEUE + "max_events = true", "max_events is true or false", "a whole number"),
    ("true for days", QUEUE + "keep_dead_days = true", "keep_dead_days is true or false", "a number"),
    ("no number", QUEUE + "keep_dead_days = nan", "keep_dead_days is not a finite number", "a number"),
    ("no finite number", QUEUE + "keep_dead_days = inf", "keep_dead_days is not a finite number", "a number"),
    ("a date for days", QUEUE + "keep_dead_days = 2024-01-01", "keep_dead_days is a date", "a number"),
    ("a number for a path", "[queue]\ndatabase = 5", "[queue] database is a whole number", "a path in quotes"),
    ("an empty path", '[queue]\ndatabase = ""', "[queue] database is empty", "give it a value"),
    ("an unknown choice", QUEUE + 'durability = "fast"', "durability is a text", 'write "full" or "normal"'),
    ("a choice of another type", QUEUE + "durability = 1", "durability is a whole number", 'write "full" or "normal"'),
    ("no days", QUEUE + "keep_delivered_days = 0", "[queue] keep_delivered_days is 0", "more than 0"),
    ("negative bytes", QUEUE + "max_bytes = -1", "[queue] max_bytes is -1", "more than 0"),
    ("another database", '[queue]\ndatabase = "mysql://u:s3cr3t@h/d"', "[queue] database", "SQLite, not in mysql"),
    ("options in a URL", '[queue]\ndatabase = "sqlite:///q.db?mode=ro"', "[queue] database", "no options"),
    ("a queue in memory", '[queue]\ndatabase = ":memory:"', "[queue] database", "write a path"),
    ("an unknown home", '[queue]\ndatabase = "~nobody-at-all/q.db"', "[queue] database", "write the path in full"),
    ("no type", QUEUE + "[destinations.web]\n", "[destinations.web] type is missing", "adobe-dccs, adobe-edge"),
    ("an unknown type", QUEUE + '[destinations.web]\ntype = "adobe-egde"', "[destinations.web]", "adobe-edge"),
    (
        "an unknown key of a type",
        QUEUE + WEB + 'datastreamid = "x"',
        "[destinations.web] datastreamid",
        "datastream_id?",
    ),
    ("a key of another type", QUEUE + WEB + 'dataset_id = "x"', "[destinations.web] dataset_id", "datastream_id"),
    ("a text for true", QUEUE + WEB + 'silent = "yes"', "[destinations.web] silent is a text", "true or false"),
    ("a number for true", QUEUE + WEB + "silent = 1", "[destinations.web] silent is a whole", "true or false"),
    ("a list for a text", QUEUE + WEB + "endpoint = []", "[destinations.web] endpoint is a list", "a text in quotes"),
    ("a name as a key", QUEUE + WEB + 'name = "x"', "[destinations.web] name is no known key", "known"),
    (
        "a check of the type itself",
        QUEUE + WEB + "timeout_seconds = 0",
        "[destinations.web] timeout_seconds",
        "more than 0",
    ),
    ("a bad name", QUEUE + WEB.replace("web", '"a b"'), "destination name 'a b'", "use letters"),
    ("an unknown account", QUEUE + WEB + 'auth = "abode"\n' + AUTH, 'auth = "abode"', "did you mean adobe?"),
    ("no account at all", QUEUE + WEB + 'auth = "adobe"', 'auth = "adobe"', "add a table [auth.adobe]"),
    ("an account in place", QUEUE + WEB + "auth = {}", "[destinations.web] auth is a table", "the name of an [auth.*]"),
    ("an account without a type", QUEUE + '[auth.a]\ntoken = "s3cr3t"', "[auth.a] type is missing", "bearer"),
    ("an unknown kind of account", QUEUE + '[auth.a]\ntype = "baerer"', "[auth.a] type", "did you mean bearer?"),
    ("no client", QUEUE + '[auth.a]\ntype = "ims"', "[auth.a] client_id is missing", "add it"),
    ("no client's secret", QUEUE + IMS, "[auth.adobe] client_secret or client_secret_env or client_sec", "add it"),
    ("no organisation", QUEUE + SIGNED.replace("org_id", "#"), "[auth.adobe] org_id is missing", "add it"),
    ("a client with spaces", QUEUE + SIGNED.replace('"c"', '"s3cr3t c"'), "[auth.adobe] client_id is", "copy it again"),
    ("a secret for a variable", QUEUE + IMS + 'client_secret_env = "s3cr3t-"', "client_secret_env: ", "give the name"),
    ("a number for scopes", QUEUE + SIGNED + "scopes = 5", "[auth.adobe] scopes is a whole number", "a list of texts"),
    ("scopes of numbers", QUEUE + SIGNED + "scopes = [5]", "[auth.adobe] scopes is a list", "a list of texts"),
    ("no scopes", QUEUE + SIGNED + "scopes = []", "[auth.adobe] scopes is empty", "Developer Console"),
    ("no address", QUEUE + SIGNED + 'endpoint = "ims"', "[auth.adobe] endpoint is no address", "adobelogin.com"),
    (
        "an address in clear",
        QUEUE + SIGNED + 'endpoint = "http://ims.example/s3cr3t"',
        "[auth.adobe] endpoint is http://",
        "use https://",
    ),
    (
        "a secret in the address",
        QUEUE + SIGNED + 'endpoint = "https://ims.example/t?client_secret=s3cr3t"',
        "[auth.adobe] endpoint holds",
        "give the address alone",
    ),
    ("a key of a bearer", QUEUE + SIGNED + 'token_env = "T"', "[auth.adobe] token_env is no known key", "known are"),
    ("a key of ours", QUEUE + SIGNED + '_clock = "x"', "[auth.adobe] _clock is no known key", "known are"),
    ("a memory of ours", QUEUE + SIGNED + '_tokens = "x"', "[auth.adobe] _tokens is no known key", "known are"),
    ("no secret", QUEUE + '[auth.a]\ntype = "bearer"', "[auth.a] token or token_env or token_file is missing", "add"),
    (
        "two secrets",
        QUEUE + '[auth.a]\ntype = "bearer"\ntoken = "s3cr3t"\ntoken_file = "f"',
        "[auth.a] token and token_file are both given",
        "keep one",
    ),
    ("an empty secret", QUEUE + '[auth.a]\ntype = "bearer"\ntoken = " "', "[auth.a] token is empty", "give it a value"),
    ("a number for a secret", QUEUE + '[auth.a]\ntype = "bearer"\ntoken = 5', "[auth.a] token is", "a text in quotes"),
    ("a misspelt secret", QUEUE + '[auth.a]\ntype = "bearer"\ntoken_evn = "T"', "[auth.a] token_evn", "token_env?"),
]


@pytest.mark.parametrize(("text", "place", "remedy"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS])
def test_a_mistake_names_file_key_and_remedy(text: str, place: str, remedy: str) -> None:
    """What is wrong, where, and what to do; no secret is shown."""
    with pytest.raises(ConfigError) as raised:
        parsed(text)
    message = str(raised.value)
    assert message.startswith(str(FILE))
    assert message.count(str(FILE)) == 1
    assert place in message
    assert remedy in message
    assert "s3cr3t" not in message


KEYS = [
    (QUEUE, ["keep_delivered_days", "keep_dead_days", "max_bytes", "max_events", "durability"]),
    (QUEUE + WEB, [each.name for each in fields(AdobeEdge) if each.name not in ("name", "datastream_id")]),
    (QUEUE + AUTH, ["token_file", "client_id", "org_id"]),
    (QUEUE + SIGNED, ["client_secret_file", "scopes", "endpoint"]),
]


@given(st.data())
def test_a_misspelt_key_suggests_the_right_one(data: st.DataObject) -> None:
    """For each key of each table: a letter left out, doubled, replaced or exchanged with the next."""
    table, keys = data.draw(st.sampled_from(KEYS))
    key = data.draw(st.sampled_from(keys))
    place = data.draw(st.integers(0, len(key) - 2))
    before, letter, following, rest = key[:place], key[place], key[place + 1], key[place + 2 :]
    middles = [following, letter * 2 + following, "q" + following, following + letter]
    misspelt = before + data.draw(st.sampled_from(middles)) + rest
    assume(misspelt not in keys)
    with pytest.raises(ConfigError) as raised:
        parsed(f"{table}{misspelt} = 1\n")
    found, _, suggested = str(raised.value).partition("; did you mean ")
    assert found.endswith(f" {misspelt} is no known key")
    # "uath" is as near to "auth" as to "path": then both are named
    assert key in suggested.removesuffix("?").split(" or ")


@given(st.text())
@example("\x00")
@example("[queue]\ndatabase = '\\u0000'")
def test_any_text_gives_settings_or_a_config_error(text: str) -> None:
    """However a file is broken, nobody sees a stack trace."""
    messages = []
    try:
        parsed(text)
    except ConfigError as error:
        messages.append(str(error))
    assert all(message.startswith(str(FILE)) for message in messages)


def test_a_file_that_is_not_text_names_the_line(tmp_path: Path) -> None:
    """An editor with another encoding, or not the file that was meant."""
    file = tmp_path / "edgequeue.toml"
    file.write_bytes(b'[queue]\ndatabase = "caf\xe9.db"\n')
    with pytest.raises(ConfigError, match=rf"{file}, line 2: .*UTF-8"):
        load_settings(file)


def test_a_file_that_cannot_be_read_names_the_reason(tmp_path: Path) -> None:
    """A directory, a file that is not there: no stack trace, and a remedy."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_settings(tmp_path)
    with pytest.raises(ConfigError, match=r"does not exist.*edgequeue init"):
        load_settings(tmp_path / "edgequeue.toml")


# --- where it is -----------------------------------------------------------------------------------------------------


def _written(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(QUEUE)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home; the current directory is an empty one in it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("edgequeue.config.finding.SYSTEM_FILE", tmp_path / "etc/edgequeue/edgequeue.toml")
    return tmp_path


def test_the_configuration_is_looked_for_in_order(home: Path) -> None:
    """What was asked for, then the variable, here, the user's, the system's."""
    environ = {"HOME": str(home)}
    system = _written(home / "etc/edgequeue/edgequeue.toml")
    assert find_config(None, environ) == system
    user = _written(home / ".config/edgequeue/edgequeue.toml")
    assert find_config(None, environ) == user
    xdg = _written(home / "xdg/edgequeue/edgequeue.toml")
    assert find_config(None, {**environ, "XDG_CONFIG_HOME": str(home / "xdg")}) == xdg
    assert find_config(None, {**environ, "XDG_CONFIG_HOME": "relative"}) == user
    here = _written(home / "here/edgequeue.toml")
    assert find_config(None, environ) == here
    variable = _written(home / "variable.toml")
    environ["EDGEQUEUE_CONFIG"] = str(variable)
    assert find_config(None, environ) == variable
    explicit = _written(home / "here/explicit.toml")
    assert find_config(Path("explicit.toml"), environ) == explicit


def test_no_configuration_lists_where_it_was_looked_for(home: Path) -> None:
    """The remedy stands at the end."""
    with pytest.raises(ConfigError) as raised:
        find_config(None, {"HOME": str(home)})
    message = str(raised.value)
    for place in ("--config", "$EDGEQUEUE_CONFIG", "here/edgequeue.toml", ".config/edgequeue", "etc/edgequeue"):
        assert place in message
    assert message.endswith("run edgequeue init.")


def test_a_service_without_a_home_looks_in_the_other_places(home: Path) -> None:
    """systemd sets no HOME for a system service."""
    system = _written(home / "etc/edgequeue/edgequeue.toml")
    assert find_config(None, {}) == system


@pytest.mark.parametrize("origin", ["--config", "$EDGEQUEUE_CONFIG"])
def test_a_file_asked_for_by_name_is_never_replaced_by_another(home: Path, origin: str) -> None:
    """A misspelt name must not use another queue."""
    _written(home / "here/edgequeue.toml")
    explicit, environ = (Path("mine.toml"), {}) if origin == "--config" else (None, {"EDGEQUEUE_CONFIG": "mine.toml"})
    with pytest.raises(ConfigError) as raised:
        find_config(explicit, environ)
    assert str(home / "here/mine.toml") in str(raised.value)
    assert origin in str(raised.value)
    assert "edgequeue init" in str(raised.value)
