"""Creating a connection: whatever is cut, refused or shown late, there is one of each object in the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

import pytest

from edgequeue.auth import Bearer, Denied, Secret
from edgequeue.errors import MaybeSent, NotSent, ServiceError, ServiceUnavailable
from edgequeue.flow_service.client import TRIES_MAX, Client
from edgequeue.flow_service.create import LOOKS_AFTER_MADE, Creator, Made
from edgequeue.flow_service.finding import Part, Standing
from edgequeue.flow_service.settings import FlowService
from edgequeue.flow_service.survey import connections, detail
from edgequeue.flow_service.wanted import Pair, Wanted
from edgequeue.model import HttpRequest, HttpResponse, Problem
from edgequeue.retry import HoldState
from edgequeue.testing import ScriptedTransport
from tests.flow_platform import DATASET, SCHEMA, Platform, answer, cut_at, duplicates

PAIRS = (Pair("firstName", "person.name.firstName"), Pair("lastName", "person.name.lastName"))
XDM = Wanted("till", SCHEMA, DATASET)
RAW = Wanted("sensors", SCHEMA, DATASET, data_type="raw", mapping=PAIRS)
ONE_OF_EACH = {"connections": 1, "sourceConnections": 1, "targetConnections": 1, "flows": 1}
ONE_OF_EACH_RAW = {**ONE_OF_EACH, "mappingSets": 1}


class Run:
    """One `connection create`."""

    def __init__(self, platform: Callable[[HttpRequest], HttpResponse], settings: FlowService | None = None) -> None:
        self.transport = ScriptedTransport(then=platform)
        self.waits: list[float] = []
        self.parts: list[Part] = []
        self.warnings: list[str] = []
        service = settings or FlowService(Bearer("tok", "key", "org@AdobeOrg"), "adobe")
        self.client = Client(service, self.transport, wait=self.waits.append, dice=lambda: 0.5)

    def create(self, wanted: Wanted, standing: Standing | None = None) -> Made:
        told: dict[str, Any] = {"on_part": self.parts.append, "warn": self.warnings.append}
        return Creator(self.client, wanted, **told, standing=standing).run()

    @property
    def told(self) -> dict[str, str]:
        return {str(part.kind): "made" if part.made else "found" for part in self.parts}


def length_of(wanted: Wanted) -> int:
    """How many requests an undisturbed create has."""
    platform = Platform()
    Run(platform).create(wanted)
    return len(platform.requests)


XDM_REQUESTS, RAW_REQUESTS = length_of(XDM), length_of(RAW)


def test_a_create_makes_everything_and_says_so() -> None:
    """Each step once, in the tutorial's order, and what comes of it."""
    platform = Platform()
    run = Run(platform)
    made = run.create(RAW)
    assert platform.counts == ONE_OF_EACH_RAW
    assert made.inlet_url == f"https://dcs.adobedc.net/collection/{1:064x}"
    assert made.flow.id == "flows-1"
    assert run.told == {
        "base connection": "made",
        "inlet URL": "made",
        "source connection": "made",
        "target connection": "made",
        "mapping set": "made",
        "dataflow": "made",
    }
    assert run.warnings == []
    flow = platform.objects["flows"][0]
    assert flow["transformations"][0]["params"] == {"mappingId": f"{1:032x}", "mappingVersion": 0}
    assert flow["sourceConnectionIds"] == ["sourceConnections-1"]


def test_every_request_carries_credentials_beside_it_and_the_sandbox() -> None:
    """The token is never in the request itself, where it could be logged."""
    run = Run(Platform())
    run.create(XDM)
    assert all("authorization" not in request.headers for request in run.transport.requests)
    assert all(request.headers["x-sandbox-name"] == "prod" for request in run.transport.requests)
    assert all(
        credentials == {"authorization": "Bearer tok", "x-api-key": "key", "x-gw-ims-org-id": "org@AdobeOrg"}
        for credentials in run.transport.credentials
    )


@pytest.mark.parametrize("wanted", [XDM, RAW], ids=["xdm", "raw"])
def test_a_second_create_finds_everything(wanted: Wanted) -> None:
    """Nothing is made, and the same ids come out, also among many objects of others on many pages."""
    platform = Platform()
    for number in range(5):
        Run(platform).create(replace(wanted, name=f"other {number}"))
    first = Run(platform).create(wanted)
    creates = len(platform.creates)
    run = Run(platform)
    second = run.create(wanted)
    assert len(platform.creates) == creates
    assert [part.id for part in second.parts] == [part.id for part in first.parts]
    assert set(run.told.values()) == {"found"}
    assert duplicates(platform).keys() <= {"mappingSets"}


@pytest.mark.parametrize("down", [True, False], ids=["and the network stays away", "once"])
@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize(
    ("wanted", "number", "expected"),
    [(XDM, number, ONE_OF_EACH) for number in range(XDM_REQUESTS)]
    + [(RAW, number, ONE_OF_EACH_RAW) for number in range(RAW_REQUESTS)],
)
def test_a_cut_at_any_request_leaves_one_of_each_object(
    wanted: Wanted, number: int, expected: dict[str, int], done: bool, down: bool
) -> None:
    """The create that was cut goes on by itself or is run again; either way there is exactly one of everything."""
    platform = Platform()
    platform.interfere = cut_at(number, done=done, down=down)
    if down and number == length_of(wanted) - 1:  # everything was made, and only looked for
        Run(platform).create(wanted)
    elif down:
        with pytest.raises(ServiceUnavailable):
            Run(platform).create(wanted)
    else:
        Run(platform).create(wanted)
        assert platform.counts == expected
    platform.interfere = None
    Run(platform).create(wanted)
    assert platform.counts == expected


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize("number", range(RAW_REQUESTS))
def test_ctrl_c_at_any_request_leaves_one_of_each_object(number: int, done: bool) -> None:
    """Whoever interrupts it runs the same command again."""
    platform = Platform()

    def interrupt(seen: int, request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
        if seen != number:
            return act()
        if done:
            act()
        raise KeyboardInterrupt

    platform.interfere = interrupt
    with pytest.raises(KeyboardInterrupt):
        Run(platform).create(RAW)
    platform.interfere = None
    Run(platform).create(RAW)
    assert platform.counts == ONE_OF_EACH_RAW


TROUBLE = {
    "500": answer(500, {"type": "1102-500"}),
    "502": HttpResponse(502, {}, b"<html>bad gateway</html>"),
    "503": answer(503, {"errorCode": "1103-503"}, **{"retry-after": "2"}),
    "429": answer(429, {"error_code": "429050", "message": "Too many requests"}),
    "a login page": HttpResponse(200, {"content-type": "text/html"}, b"<html>log in</html>"),
    "a redirect": HttpResponse(302, {"location": "http://portal.test/"}, b""),
    "half an answer": HttpResponse(201, {}, b'{"id": "f2ae'),
    "no id": answer(201, {"etag": "x"}),
}


@pytest.mark.parametrize(
    ("name", "done"),  # what was limited was not done
    [(name, done) for name in TROUBLE for done in (False, True) if not (done and name == "429")],
)
def test_an_answer_that_tells_nothing_at_any_create_makes_no_second_copy(name: str, done: bool) -> None:
    """Look up first, then repeat: a 5xx, a proxy's page or half an answer may hide that it was done."""

    def every_create_once(seen: int, request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
        if request.method != "POST" or request.url in met:
            return act()
        met.add(request.url)
        if done:
            act()
        return TROUBLE[name]

    met: set[str] = set()
    platform = Platform()
    platform.interfere = every_create_once
    run = Run(platform)
    run.create(RAW)
    assert platform.counts == ONE_OF_EACH_RAW
    assert len(met) == len(ONE_OF_EACH_RAW)
    assert set(run.told.values()) == {"made"}


@pytest.mark.parametrize("number", range(RAW_REQUESTS))
def test_what_shows_late_is_not_made_twice(number: int) -> None:
    """Where an answer was lost, it is looked for several times before it is made again."""
    platform = Platform(late=2)
    platform.interfere = cut_at(number, done=True, down=False)
    Run(platform).create(RAW)
    assert platform.counts == ONE_OF_EACH_RAW


@pytest.mark.parametrize("late", range(LOOKS_AFTER_MADE))
@pytest.mark.parametrize("wanted", [XDM, RAW], ids=["xdm", "raw"])
def test_a_create_ends_when_another_one_would_find_what_it_made(wanted: Wanted, late: int) -> None:
    """Lists may lag behind what was made, and the same command at once must not make a second set."""
    platform = Platform(late=late)
    first = Run(platform)
    made = first.create(wanted)
    second = Run(platform)
    assert [part.id for part in second.create(wanted).parts] == [part.id for part in made.parts]
    assert set(platform.counts.values()) == {1}
    assert first.warnings == second.warnings == []
    assert first.waits[:late] == [0.5, 1.0, 2.0, 4.0][:late]


def test_what_lists_do_not_show_in_time_is_said() -> None:
    """It is made, and the run goes on; whoever repeats it has to wait, and is told so for each object."""
    run = Run(Platform(late=1_000))
    run.create(XDM)
    assert set(run.told.values()) == {"made"}
    assert run.waits == [0.5, 1.0, 2.0, 4.0] * len(ONE_OF_EACH)
    assert len(run.warnings) == len(ONE_OF_EACH)
    expected = "the dataflow flows-1 was made, but is not listed yet: wait a minute before you repeat this command"
    assert run.warnings[-1] == expected


def test_a_network_that_goes_when_all_is_made_costs_no_more_than_a_warning() -> None:
    """The connection is there, and its destination is to be had."""
    platform = Platform()
    platform.interfere = cut_at(XDM_REQUESTS - 1, done=False, down=True)
    run = Run(platform)
    assert run.create(XDM).flow.id == "flows-1"
    assert "flows-1 was made, but is not listed yet" in run.warnings[0]


@pytest.mark.parametrize("wanted", [XDM, RAW], ids=["xdm", "raw"])
def test_what_the_configuration_names_is_found_before_lists_show_it(wanted: Wanted) -> None:
    """A dataflow leads by ids to everything that it joins, and ids do not lag."""
    platform = Platform(late=1_000)
    first = Run(platform).create(wanted)
    run = Run(platform)
    second = run.create(wanted, Standing(first.inlet_url, first.flow.id))
    assert [part.id for part in second.parts] == [part.id for part in first.parts]
    assert set(platform.counts.values()) == {1}
    assert run.warnings == []


@pytest.mark.parametrize("flow_id", ["flows-1", "gone", "../connections/1?x#y"])
def test_a_dataflow_in_the_configuration_that_is_not_ours_changes_nothing(flow_id: str) -> None:
    """Another connection's, one that was deleted, or no id at all."""
    platform = Platform()
    Run(platform).create(replace(XDM, name="other"))
    made = Run(platform).create(XDM, Standing("https://dcs.adobedc.net/collection/other", flow_id))
    assert made.flow.id == "flows-2"
    assert platform.counts == dict.fromkeys(ONE_OF_EACH, 2)


def test_nothing_is_made_where_it_would_not_fit() -> None:
    """Whoever has a place for it is asked before the first object: with what is there, or None."""
    platform = Platform()
    asked = []

    def fits(inlet_url: str | None, flow_id: str | None) -> None:
        asked.append((inlet_url, flow_id))
        raise LookupError

    def create(standing: Standing) -> None:
        run = Run(platform)
        told: dict[str, Any] = {"on_part": run.parts.append, "warn": run.warnings.append}
        with pytest.raises(LookupError):
            Creator(run.client, XDM, **told, standing=standing, fits=fits).run()

    create(Standing())
    assert platform.creates == []
    made = Run(platform).create(XDM)
    creates = len(platform.creates)
    create(Standing())
    create(Standing(None, made.flow.id))
    assert len(platform.creates) == creates
    assert asked == [(None, None), (made.inlet_url, None), (made.inlet_url, made.flow.id)]


def test_an_object_that_was_made_after_all_is_one_too_many_and_no_third_is_made() -> None:
    """Where it showed later than anybody waits, the run goes on with its own, says so the next time, and adds none."""
    platform = Platform(late=10)
    platform.interfere = cut_at(3, done=True, down=False)
    first = Run(platform).create(XDM)
    assert platform.counts["connections"] == 2
    platform.interfere = None
    platform.show_all()
    run = Run(platform)
    second = run.create(XDM)
    assert platform.counts == {**ONE_OF_EACH, "connections": 2}
    assert [part.id for part in second.parts] == [part.id for part in first.parts]
    assert "there are 2 of the base connection" in run.warnings[0]
    assert "connections-1" in run.warnings[0]


def test_of_several_that_nothing_uses_the_oldest_enabled_one_is_taken() -> None:
    """And the others are named."""
    platform = Platform()
    Run(platform).create(XDM)
    (first,) = platform.objects["connections"]
    platform.objects["connections"] = [
        {**first, "id": "young", "createdAt": 3},
        {**first, "id": "off", "createdAt": 1, "state": "disabled"},
        {**first, "id": "old", "createdAt": 2},
    ]
    for kind in ("sourceConnections", "flows"):
        platform.objects[kind].clear()
    run = Run(platform)
    assert run.create(XDM).parts[0].id == "old"
    assert "off" in run.warnings[0]
    assert "young" in run.warnings[0]


def twice(platform: Platform, kind: str, **more: Any) -> dict[str, Any]:
    """A younger object like the first of its kind; lists show it last."""
    (first,) = platform.objects[kind]
    second = {**first, "id": f"{kind}-2", "createdAt": first["createdAt"] + 1, **more}
    platform.objects[kind].append(second)
    return second


def test_of_several_base_connections_the_one_with_the_dataflow_is_taken() -> None:
    """The older one has a source connection that nothing uses: a dataflow more on it would be a second one."""
    platform = Platform()
    Run(platform).create(XDM)
    younger = twice(platform, "connections")
    source = twice(platform, "sourceConnections", baseConnectionId=younger["id"])
    platform.objects["flows"][0]["sourceConnectionIds"] = [source["id"]]
    run = Run(platform)
    assert [part.id for part in run.create(XDM).parts] == [
        "connections-2",
        "sourceConnections-2",
        "targetConnections-1",
        "flows-1",
    ]
    assert platform.counts == {**ONE_OF_EACH, "connections": 2, "sourceConnections": 2}
    assert "connections-2 is taken" in run.warnings[0]


def test_of_several_target_connections_the_one_of_our_dataflow_is_taken() -> None:
    """Not the one of a dataflow of that name from another inlet."""
    platform = Platform()
    Run(platform).create(XDM)
    younger = twice(platform, "targetConnections")
    twice(platform, "flows", sourceConnectionIds=["another"])
    platform.objects["flows"][0]["targetConnectionIds"] = [younger["id"]]
    made = Run(platform).create(XDM)
    assert (made.parts[2].id, made.flow.id) == (younger["id"], "flows-1")


def test_of_several_whole_connections_that_of_the_configuration_is_taken() -> None:
    """By its dataflow, or by its inlet URL where it names no dataflow."""
    platform = Platform()
    first = Run(platform).create(XDM)
    inlet = "https://dcs.adobedc.net/collection/2"
    auth = platform.objects["connections"][0]["auth"]
    younger = twice(platform, "connections", auth={**auth, "params": {**auth["params"], "inletUrl": inlet}})
    source = twice(platform, "sourceConnections", baseConnectionId=younger["id"])
    twice(platform, "flows", sourceConnectionIds=[source["id"]])
    assert Run(platform).create(XDM).flow.id == first.flow.id
    for standing in (Standing(None, "flows-2"), Standing(inlet), Standing(inlet, "gone")):
        made = Run(platform).create(XDM, standing)
        assert (made.inlet_url, made.flow.id) == (inlet, "flows-2")
    assert len(platform.creates) == len(ONE_OF_EACH)


def test_a_disabled_dataflow_is_taken_with_a_warning() -> None:
    """It is not made a second time; somebody has to enable it."""
    platform = Platform()
    Run(platform).create(XDM)
    platform.objects["flows"][0]["state"] = "disabled"
    run = Run(platform)
    run.create(XDM)
    assert platform.counts == ONE_OF_EACH
    assert "enable it" in run.warnings[0]


def test_a_conflict_of_409_is_looked_up() -> None:
    """It says that the thing is there."""
    platform = Platform()
    first = Run(platform).create(XDM)

    def conflict(seen: int, request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
        if request.method == "POST":
            return answer(409, {"title": "exists"})
        if "/flows?" in request.url and not looks:
            looks.append(request)
            return answer(200, {"items": []})
        return act()

    looks: list[HttpRequest] = []
    platform.interfere = conflict
    run = Run(platform)
    assert run.create(XDM).flow.id == first.flow.id
    assert run.told["dataflow"] == "found"
    assert platform.counts == ONE_OF_EACH


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data_type": "raw", "mapping": PAIRS}, "base connection: .*it takes 'xdm' data, and 'raw' is wanted"),
        ({"authenticated": False}, "base connection: .*it is authenticated, and an open one is wanted"),
        ({"mapping": PAIRS}, "dataflow: .*flows-1, and it has no mapping"),
    ],
)
def test_a_connection_of_that_name_which_is_another_one_is_left_alone(change: dict[str, Any], words: str) -> None:
    """Nothing of it is changed, and nothing with its name is made beside it."""
    platform = Platform()
    Run(platform).create(XDM)
    with pytest.raises(ServiceError, match=words):
        Run(platform).create(replace(XDM, **change))
    assert platform.counts == ONE_OF_EACH


def test_another_dataset_under_the_same_name_is_refused() -> None:
    """A second target of that name would make two dataflows on one inlet."""
    platform = Platform()
    Run(platform).create(XDM)
    platform.datasets["other"] = {"schemaRef": {"id": SCHEMA}}
    with pytest.raises(ServiceError, match=f"target connection: .*it leads to dataset {DATASET}, and other is wanted"):
        Run(platform).create(replace(XDM, dataset_id="other"))
    assert platform.counts == ONE_OF_EACH


def test_another_mapping_under_the_same_name_is_refused() -> None:
    """The dataflow uses its own; the error says which."""
    platform = Platform()
    Run(platform).create(RAW)
    with pytest.raises(ServiceError, match=r"mapping set: .*the dataflow's mapping is not that of the file"):
        Run(platform).create(replace(RAW, mapping=PAIRS[:1]))
    assert platform.counts == ONE_OF_EACH_RAW


def test_a_mapping_set_with_other_pairs_or_for_another_schema_is_not_ours() -> None:
    """Only the same content counts; without a dataflow that decides, all sets are looked at."""
    platform = Platform()
    Run(platform).create(RAW)
    (ours,) = platform.objects["mappingSets"]
    others = [
        {**ours, "id": "schema", "xdmSchema": "https://ns.adobe.com/acme/schemas/other"},
        {**ours, "id": "version", "xdmVersion": "2.0"},
        {**ours, "id": "fewer", "mappings": ours["mappings"][:1]},
        {**ours, "id": "identity", "mappings": [{**one, "identity": True} for one in ours["mappings"]]},
        {**ours, "id": "expression", "mappings": [{**one, "sourceType": "EXPRESSION"} for one in ours["mappings"]]},
    ]
    platform.objects["mappingSets"] = list(others)
    platform.objects["flows"].clear()
    made = Run(platform).create(RAW)
    assert made.parts[3].id not in {one["id"] for one in others}
    assert len(platform.objects["mappingSets"]) == len(others) + 1


def test_a_mapping_set_that_is_listed_without_its_pairs_is_asked_for() -> None:
    """What a list leaves out must not look like a difference."""
    platform = Platform()
    first = Run(platform).create(RAW)
    platform.objects["flows"].clear()
    platform.interfere = _without_pairs
    second = Run(platform).create(RAW)
    assert second.parts[3].id == first.parts[3].id
    assert platform.counts == ONE_OF_EACH_RAW


def _without_pairs(seen: int, request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
    found = act()
    if request.method == "GET" and "mappingSets?limit" in request.url:
        document = json.loads(found.body)
        for item in document["data"]:
            del item["mappings"]
        return answer(200, document)
    return found


def test_the_tutorials_own_mapping_path_is_a_setting() -> None:
    """It is used for looking up, making and reading."""
    platform = Platform(mapping_path="/data/foundation/mappingSets")
    auth = Bearer("tok", "key", "org@AdobeOrg")
    settings = FlowService(auth, "adobe", mapping_path="/data/foundation/mappingSets")
    Run(platform, settings).create(RAW)
    Run(platform, settings).create(RAW)
    assert platform.counts == ONE_OF_EACH_RAW


# --- schema and dataset ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_id": "https://ns.adobe.com/acme/schemas/none"}, "schema: .*does not exist.*not made here.*Schemas"),
        ({"schema_version": 2}, "schema: .*version 2, does not exist"),
        ({"dataset_id": "none"}, "dataset: none does not exist.*not made here.*Datasets"),
    ],
)
def test_nothing_is_made_without_schema_and_dataset(change: dict[str, Any], words: str) -> None:
    """They are checked first, and the error says where they are made."""
    platform = Platform()
    with pytest.raises(ServiceError, match=words):
        Run(platform).create(replace(XDM, **change))
    assert platform.creates == []


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ({"id": "https://ns.adobe.com/acme/schemas/other"}, "schemas/other"),
        ({"id": SCHEMA, "contentType": "application/vnd.adobe.xed-full+json;version=2"}, "version 2"),
    ],
)
def test_a_dataset_of_another_schema_is_refused(ref: dict[str, str], words: str) -> None:
    """Its events would be refused one by one later."""
    platform = Platform()
    platform.datasets[DATASET] = {"schemaRef": ref}
    with pytest.raises(ServiceError, match=f"dataset: .*{words}"):
        Run(platform).create(XDM)
    assert platform.creates == []


def test_a_schema_of_adobes_own_is_in_the_global_container() -> None:
    """Each container is asked."""
    own = "https://ns.adobe.com/xdm/context/experienceevent"
    platform = Platform()
    platform.schemas = {("global", own): 1}
    platform.datasets["d"] = {"schemaRef": {"id": own, "contentType": "application/vnd.adobe.xed+json; version=1"}}
    Run(platform).create(Wanted("till", own, "d"))
    assert platform.counts == ONE_OF_EACH


def test_who_may_not_read_them_is_warned() -> None:
    """An account for sources alone may not look into the registry: that is no reason not to go on."""
    platform = Platform()

    def forbidden(seen: int, request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
        hidden = "/schemaregistry/" in request.url or "/catalog/" in request.url
        return answer(403, {"title": "Forbidden"}) if hidden else act()

    platform.interfere = forbidden
    run = Run(platform)
    run.create(XDM)
    assert platform.counts == ONE_OF_EACH
    assert [text.partition(":")[0] for text in run.warnings] == [
        "the schema could not be checked",
        "the dataset could not be checked",
    ]


# --- what the client does by itself ---------------------------------------------------------------------------------


class Renewing:
    """An account whose first token is refused."""

    client_id, org_id = "key", "org@AdobeOrg"

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.renewals = 0

    def headers(self, sender: Any, *, anew: bool = False) -> Any:
        return {"authorization": f"Bearer {self.tokens[0]}"}

    def renew(self, refused: Any) -> bool:
        self.renewals += 1
        if len(self.tokens) > 1:
            self.tokens.pop(0)
        return True


@pytest.mark.parametrize(
    "refusal",
    [
        answer(401, {"error_code": "401013", "message": "Oauth token is not valid"}),
        answer(403, {"error_code": "403010", "message": "Oauth token is missing"}),
        answer(401, {}),
    ],
)
def test_a_refused_token_is_renewed_once(refusal: HttpResponse) -> None:
    """With the new one everything goes on; a second refusal is an error that names the account."""
    account = Renewing("old", "new")
    platform = Platform()
    run = Run(platform, FlowService(account, "adobe"))

    def checked(seen: int, request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
        return act() if run.transport.credentials[-1]["authorization"] == "Bearer new" else refusal

    platform.interfere = checked
    run.create(XDM)
    assert platform.counts == ONE_OF_EACH
    assert account.renewals == 1
    platform.interfere = lambda seen, request, act: refusal
    with pytest.raises(ServiceError, match=r"schema: .*\[auth"):
        run.create(XDM)
    assert account.renewals == 2


def test_an_account_without_credentials_is_an_error_with_its_own_remedy() -> None:
    """Refused for good, or out of reach: exit codes 2 and 3 at the command line."""

    class Without(Renewing):
        state = HoldState.PAUSED

        def headers(self, sender: Any, *, anew: bool = False) -> Any:
            return Denied(Problem("no_secret", "the variable X is not set", "Set X and try again."), self.state)

    account = Without("t")
    with pytest.raises(ServiceError, match=r"the variable X is not set. Set X") as caught:
        Run(Platform(), FlowService(account, "adobe")).create(XDM)
    assert not isinstance(caught.value, ServiceUnavailable)
    account.state = HoldState.OFFLINE
    with pytest.raises(ServiceUnavailable):
        Run(Platform(), FlowService(account, "adobe")).create(XDM)


TOKEN, SECRET = "eyJhbGciOiJSUzI1NiJ9/+=.e30.c2ln", "p8e-client+secret/of/ours"


class Keeping(Renewing):
    """An account with a client secret."""

    client_secret = Secret(SECRET)


@pytest.mark.parametrize("shown", [TOKEN, SECRET, f"token={quote_plus(TOKEN)}&x", f"Bearer {TOKEN}" * 20])
@pytest.mark.parametrize(
    "answered",
    [
        lambda shown: answer(400, {"errorCode": "1100-400", "message": f"bad header {shown}"}),
        lambda shown: HttpResponse(400, {}, json.dumps({"errors": [{"title": shown}]}).replace("/", "\\/").encode()),
        lambda shown: HttpResponse(400, {}, json.dumps([shown]).replace("=", "\\u003d").encode()),
        lambda shown: HttpResponse(404, {}, f"no such thing: {shown}".encode()),
        lambda shown: answer(403, {"detail": {"report": [shown]}}),
        lambda shown: answer(401, {"error_code": "401013", "message": shown}),
        lambda shown: NotSent(f"{shown} is no header", code="settings"),
        lambda shown: MaybeSent(f"cut after {shown}", code="read"),
    ],
)
def test_no_error_repeats_a_secret_even_where_the_service_does(
    shown: str, answered: Callable[[str], HttpResponse | Exception]
) -> None:
    """Token and client secret, however they are escaped and wherever the text is shortened."""

    def echo(request: HttpRequest) -> HttpResponse:
        found = answered(shown)
        if isinstance(found, Exception):
            raise found
        return found

    with pytest.raises(ServiceError) as caught:
        Run(echo, FlowService(Keeping(TOKEN), "adobe")).create(XDM)
    assert not any(secret[:12] in str(caught.value) for secret in (TOKEN, SECRET))


def test_what_the_service_has_stored_of_a_secret_is_not_shown_either() -> None:
    """A name or a state is a text like any other."""
    platform = Platform()
    Run(platform).create(XDM)
    platform.objects["connections"][0]["state"] = f"waits for {TOKEN}"
    (found,) = connections(Run(platform, FlowService(Keeping(TOKEN), "adobe")).client)
    assert found.state == "waits for ***"


def test_looking_is_repeated_with_longer_waits_and_then_given_up() -> None:
    """Four tries, then the command can be run again."""
    run = Run(lambda request: answer(503, {"errorCode": "1103-503"}))
    with pytest.raises(ServiceUnavailable, match=r"schema: platform.adobe.io answered HTTP 503: 1103-503"):
        run.create(XDM)
    assert len(run.transport.requests) == TRIES_MAX
    assert run.waits == [0.5, 1.0, 2.0]


def test_a_wait_that_the_service_asks_for_is_kept_up_to_a_minute() -> None:
    """Then it says how long, and ends."""
    script = [answer(429, {}, **{"retry-after": "30"}), answer(429, {}, **{"retry-after": "61"})]
    run = Run(ScriptedAnswers(script))
    with pytest.raises(ServiceUnavailable, match="asks to wait for 61 seconds"):
        run.create(XDM)
    assert run.waits == [30.0]


class ScriptedAnswers:
    """One answer after the other, the last for ever."""

    def __init__(self, answers: list[HttpResponse]) -> None:
        self.answers = answers

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_without_a_network_nothing_is_made_and_the_error_says_what_to_check() -> None:
    """Exit code 3."""

    def offline(request: HttpRequest) -> HttpResponse:
        raise NotSent("platform.adobe.io cannot be resolved", code="dns")

    with pytest.raises(ServiceUnavailable, match=r"cannot be resolved. Check the network"):
        Run(offline).create(XDM)


def test_a_lost_create_that_stays_lost_says_that_it_may_have_been_done() -> None:
    """And that the same command looks first."""
    platform = Platform()

    def never(seen: int, request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
        if request.method == "POST":
            raise MaybeSent("the connection was cut", code="read")
        return act()

    platform.interfere = never
    with pytest.raises(ServiceUnavailable, match=r"base connection: .*It is not known whether it was done"):
        Run(platform).create(XDM)
    assert platform.counts == {}


@pytest.mark.parametrize("document", [{}, {"items": None}, {"items": "x"}, {"message": "hello"}])
def test_an_answer_without_a_list_is_not_an_empty_list(document: dict[str, Any]) -> None:
    """Taking it for "there is none" would make a second copy."""
    platform = Platform()

    def strange(seen: int, request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
        return answer(200, document) if "/connections" in request.url else act()

    platform.interfere = strange
    with pytest.raises(ServiceError, match=r"base connection: .*without the list"):
        Run(platform).create(XDM)
    assert platform.creates == []


def test_a_next_page_on_another_host_does_not_get_our_credentials() -> None:
    """Only its query is used."""
    platform = Platform(page=1)
    for name in ("a", "b", "c"):
        Run(platform).create(replace(XDM, name=name))

    def lying(seen: int, request: HttpRequest, act: Callable[[], HttpResponse]) -> HttpResponse:
        found = act()
        return replace(found, body=found.body.replace(b"https://platform.adobe.io", b"https://thief.test"))

    platform.interfere = lying
    run = Run(platform)
    assert [one.name for one in connections(run.client)] == ["a", "b", "c"]
    assert {request.url.split("/data/")[0] for request in run.transport.requests} == {"https://platform.adobe.io"}


def test_pages_that_lead_back_end() -> None:
    """A link to the same page again is the end of the list, not a loop."""
    body = {"items": [], "_links": {"next": {"href": "/connections?continuationToken=1"}}}
    run = Run(lambda request: answer(200, body))
    assert list(connections(run.client)) == []
    assert len(run.transport.requests) == 2


def test_a_connection_is_shown_with_all_that_belongs_to_it() -> None:
    """Source, target, dataset, dataflow, mapping."""
    platform = Platform()
    Run(platform).create(replace(XDM, name="other"))
    Run(platform).create(RAW)
    run = Run(platform)
    (found,) = connections(run.client, "sensors")
    whole = detail(run.client, found)
    assert (found.data_type, found.authenticated, found.state) == ("raw", True, "enabled")
    assert whole.source_connection_ids == ("sourceConnections-2",)
    (flow,) = whole.flows
    assert (flow.flow_id, flow.target_connection_id) == ("flows-2", "targetConnections-2")
    assert (flow.dataset_id, flow.schema_id, flow.mapping) == (DATASET, SCHEMA, PAIRS)
