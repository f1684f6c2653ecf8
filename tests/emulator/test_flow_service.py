"""Flow Service as the emulator reads it: what is made and what is refused, and the inlet that comes with it."""

from __future__ import annotations

import re

import httpx
import pytest

from edgequeue.emulator import Emulator, Fault, parse_fault

ONE_OF_EACH = {"connections": 1, "sourceConnections": 1, "targetConnections": 1, "mappingSets": 0, "flows": 1}


def test_an_object_is_made_and_shown(emulator, platform):
    """201 with id, etag and Location; a single GET answers a list of one, with inletUrl and inletId."""
    answer = platform.connection("till", sourceId="s")
    made = answer.json()
    assert answer.status_code == 201
    assert re.fullmatch(r'"[0-9a-f]{8}-0000-0200-0000-[0-9a-f]{8}"', made["etag"])
    assert answer.headers["etag"] == made["etag"]
    assert answer.headers["location"] == f"/data/foundation/flowservice/connections/{made['id']}"
    (shown,) = platform.get(f"flowservice/connections/{made['id']}").json()["items"]
    params = shown["auth"]["params"]
    assert re.fullmatch(r"[0-9a-f]{64}", params["inletId"])
    assert params["inletUrl"] == emulator.inlet_url(params["inletId"])
    assert (params["sourceId"], params["authenticationRequired"], params["dataType"]) == ("s", False, "xdm")
    assert (shown["name"], shown["state"], shown["sandboxName"]) == ("till", "enabled", "prod")
    assert shown["etag"] == shown["version"] == made["etag"]


def test_an_unknown_object_is_not_found(platform):
    """1101-404 ("Flow Service error messages"); an object of another sandbox is unknown too."""
    made = platform.connection().json()["id"]
    assert platform.refused(platform.get("flowservice/connections/none")) == "FLOW-1101-404"
    elsewhere = platform.get(f"flowservice/connections/{made}", **{"x-sandbox-name": "dev"})
    assert elsewhere.status_code == 404


def test_names_are_not_unique(emulator, platform):
    """A second POST of the same makes a second object; nothing in the documents forbids it."""
    assert platform.connection("till").json()["id"] != platform.connection("till").json()["id"]
    assert platform.target(id="mine").json()["id"] != "mine"
    assert emulator.platform.counts()["connections"] == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"state": "enabled"}, "FLOW-1410-400"),
        ({"name": ""}, "FLOW-1100-400"),
        ({"connectionSpec": {"id": "other"}}, "FLOW-1413-400"),
        ({"auth": {"specName": "Other"}}, "FLOW-1415-400"),
        ({"auth": {"specName": "Streaming Connection", "params": {"dataType": "csv"}}}, "FLOW-1100-400"),
        (
            {
                "auth": {
                    "specName": "Streaming Connection",
                    "params": {"dataType": "xdm", "authenticationRequired": "true"},
                }
            },
            "FLOW-1100-400",
        ),
    ],
)
def test_a_base_connection_that_breaks_a_rule_is_refused(emulator, platform, change, code):
    """Codes of "Flow Service error messages"; nothing is made."""
    auth = {"specName": "Streaming Connection", "params": {"dataType": "xdm"}}
    document = {"name": "till", "connectionSpec": platform.SPEC, "auth": auth} | change
    answer = platform.post("flowservice/connections", document)
    assert (answer.status_code, platform.refused(answer)) == (400, code)
    assert emulator.platform.counts()["connections"] == 0


def test_a_reference_to_nothing_is_refused(emulator, platform):
    """A source connection needs its base, a flow both its ends, a mapped flow its mapping set."""
    base = platform.connection().json()["id"]
    source, target = platform.source(base).json()["id"], platform.target().json()["id"]
    for answer, code in (
        (platform.source("none"), "FLOW-1439-400"),
        (platform.flow("none", target), "FLOW-1439-400"),
        (platform.flow(source, "none"), "FLOW-1439-400"),
        (platform.flow(source, source), "FLOW-1439-400"),
        (platform.flow(source, target, "none"), "FLOW-1419-400"),
        (platform.flow(source, target, sourceConnectionIds=[]), "FLOW-1100-400"),
        (platform.flow(source, target, flowSpec={"id": "other"}), "FLOW-1413-400"),
        (platform.flow(source, target, transformations=[{}]), "FLOW-1100-400"),
        (platform.flow(source, target, state="enabled"), "FLOW-1410-400"),
        (platform.source(base, connectionSpec={"id": "other"}), "FLOW-1413-400"),
        (platform.target(connectionSpec={"id": "other"}), "FLOW-1413-400"),
        (platform.target(params={}), "FLOW-1100-400"),
    ):
        assert (answer.status_code, platform.refused(answer)) == (400, code)
    assert emulator.platform.counts()["flows"] == 0


def test_a_target_needs_a_dataset_of_its_schema(on_platform):
    """Where the datasets are known, another dataset or another schema is refused."""
    schemas = {"d1": "https://ns.adobe.com/shop/schemas/7f68", "d2": "https://ns.adobe.com/shop/schemas/other"}
    with Emulator(datasets=schemas) as emulator:
        platform = on_platform(emulator)
        assert platform.target("d1").status_code == 201
        assert platform.refused(platform.target("d2")) == "FLOW-1100-400"
        assert platform.refused(platform.target("d3")) == "FLOW-1439-400"


def test_a_mapped_flow_needs_its_mapping_as_it_is(platform):
    """The transformation is named Mapping, has the set's version, and both schemas are the same, version included."""
    source = platform.source(platform.connection(data_type="raw").json()["id"]).json()["id"]
    target, newer = platform.target().json()["id"], platform.target(version="1.1").json()["id"]
    mapping = platform.mapping().json()["id"]
    other = [{"name": "Other", "params": {"mappingId": mapping, "mappingVersion": 0}}]
    version = [{"name": "Mapping", "params": {"mappingId": mapping, "mappingVersion": 1}}]
    assert platform.refused(platform.flow(source, target, mapping, transformations=other)) == "FLOW-1100-400"
    assert platform.refused(platform.flow(source, target, mapping, transformations=version)) == "FLOW-1412-400"
    assert platform.refused(platform.flow(source, newer, mapping)) == "FLOW-1425-400"
    assert platform.flow(source, target, mapping).status_code == 201


def test_the_new_inlet_takes_messages_of_its_flow(emulator, client, platform, dccs_message):
    """DCCS knows the inlet at once, and of its flows only those that were made for it."""
    inlet, flow = platform.whole()
    assert client.post(inlet, json=dccs_message("a", header={"flowId": flow})).status_code == 200
    assert client.post(inlet, json=dccs_message("b", header={"flowId": "none"})).status_code == 400
    _, other = platform.whole()
    assert client.post(inlet, json=dccs_message("c", header={"flowId": other})).status_code == 400
    assert emulator.arrived.ids == ("a",)


def test_the_new_inlet_has_its_own_authentication_and_data_type(client, platform, dccs_message):
    """authenticationRequired and dataType of the base connection hold at the inlet."""
    inlet, flow = platform.whole("raw", authenticationRequired=True)
    headers = {"x-adobe-flow-id": flow}
    assert client.post(inlet, json={"a": 1}, headers=headers).status_code == 401
    assert client.post(inlet, json={"a": 1}, headers=headers | {"authorization": "Bearer t"}).status_code == 200


def test_an_inlet_of_flow_service_is_known_beside_those_of_the_options(client, on_platform, dccs_message):
    """A list of inlets does not hide the ones that are made later."""
    with Emulator(inlets=["till"]) as emulator:
        inlet, flow = on_platform(emulator).whole()
        assert client.post(inlet, json=dccs_message(header={"flowId": flow})).status_code == 200
        assert client.post(emulator.inlet_url("none"), json=dccs_message()).status_code == 404


def test_what_comes_before_a_flow_is_enabled_is_lost(client, on_platform, dccs_message):
    """About five minutes after it was made, says the tutorial; until then the answer is the usual one."""
    with Emulator(flow_delay_seconds=300) as emulator:
        inlet, flow = on_platform(emulator).whole()
        assert client.post(inlet, json=dccs_message(header={"flowId": flow})).status_code == 200
        assert emulator.arrived.events == 0


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize(("kind", "made"), [("cut_before", 0), ("cut_after", 1), ("cut_during", 1)])
def test_a_cut_leaves_the_object_made_or_not(emulator, platform, step, kind, made):
    """At any request of the tutorial: cut before, it is not made; cut after or in the answer, it is."""
    makers = {
        "connections": platform.connection,
        "sourceConnections": lambda: platform.source(emulator.platform.all("connections")[0]["id"]),
        "targetConnections": platform.target,
        "mappingSets": platform.mapping,
        "flows": lambda: platform.flow(
            emulator.platform.all("sourceConnections")[0]["id"],
            emulator.platform.all("targetConnections")[0]["id"],
            emulator.platform.all("mappingSets")[0]["id"],
        ),
    }
    emulator.add_fault(Fault(kind, service="platform", skip=step))
    for index, (collection, make) in enumerate(makers.items()):
        if index == step:
            with pytest.raises(httpx.TransportError):
                make()
            assert emulator.platform.counts()[collection] == made
            break
        assert make().status_code in (200, 201)
    assert emulator.arrived.events == 0


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("status:service=platform:status=503", 503, "FLOW-1103-503"),
        ("status:service=platform:status=429", 429, "429050"),
        ("status:service=platform:status=401", 401, "401013"),
        ("status:code=1102-500", 500, "FLOW-1102-500"),
        ("status:code=403025", 403, "403025"),
        ("status:service=platform:status=418", 418, "FLOW-0000-418"),
    ],
)
def test_a_refusal_has_a_code(emulator, platform, text, status, code):
    """By status or by name, in the gateway's shape or the service's; nothing is made."""
    emulator.add_fault(parse_fault(text))
    answer = platform.connection()
    assert (answer.status_code, platform.refused(answer)) == (status, code)
    assert emulator.platform.counts()["connections"] == 0


def test_somebody_elses_answer_names_another_object(emulator, platform):
    """garbage:form=wrong_id: an id that nothing has."""
    emulator.add_fault(Fault("garbage", form="wrong_id"))
    assert platform.connection().json()["id"] == "00000000-0000-4000-8000-000000000000"
    assert emulator.platform.counts()["connections"] == 0


def test_what_was_made_can_be_counted_from_a_shell(emulator, client, platform):
    """`/_emulator/platform` shows counts and objects; a reset forgets requests, not objects."""
    _, flow = platform.whole()
    client.post(f"{emulator.url}/_emulator/reset")
    document = client.get(f"{emulator.url}/_emulator/platform").json()
    assert document["counts"] == emulator.platform.counts() == ONE_OF_EACH
    assert [one["id"] for one in document["objects"]["flows"]] == [flow]
    assert emulator.requests == []


def test_requests_to_the_platform_are_seen_and_bring_no_events(emulator, platform):
    """Service, method and path of each; the made object is what was accepted."""
    platform.connection()
    platform.get("flowservice/flows")
    assert [(seen.service, seen.method, seen.accepted) for seen in emulator.requests] == [
        ("platform", "POST", 1),
        ("platform", "GET", 0),
    ]
    assert emulator.arrived.events == emulator.arrived_at("platform").events == 0
