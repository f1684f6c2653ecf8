"""DCCS inlets that differ from each other: authentication, data type, flows; validation at once, Smile, sandbox."""

from __future__ import annotations

import pytest

from edgequeue.emulator import Emulator, Fault, Inlet
from edgequeue.emulator.given import given_of, parse_inlet

RAW = {"_id": "r-1", "name": "Johnson Smith", "location": {"city": "Seattle"}}
FLOW = {"x-adobe-flow-id": "f1"}
SMILE = {"content-type": "application/x-jackson-smile"}
SMILE_RAW = b":)\n\x00\xfa\x82_id\x42r-1\xfb"
SMILE_BATCH = b":)\n\x00\xfa\x87messages\xf8\xfa\x82_id\x42r-2\xfb\xf9\xfb"


def message_of(answer):
    return answer.json()["report"]["message"]


def test_each_inlet_asks_for_a_token_or_not(client, batch, dccs_message):
    """`Authorization` is only needed where the inlet asks for it, on both endpoints; a stale one is refused."""
    inlets = [Inlet("till", authenticated=True), Inlet("kiosk", authenticated=False), "other"]
    with Emulator(inlets=inlets, token="t") as emulator:
        for right, wrong in (({"authorization": "Bearer t"}, {}), ({"authorization": "bearer t"}, {})):
            assert batch(emulator, dccs_message(), headers=wrong).status_code == 401
            assert batch(emulator, dccs_message(), headers=right).status_code == 207
        stale = {"authorization": "Bearer stale"}
        for name, plain, with_stale in (("till", 401, 403), ("kiosk", 200, 200), ("other", 401, 403)):
            url = emulator.inlet_url(name)
            assert client.post(url, json=dccs_message()).status_code == plain
            assert client.post(url, json=dccs_message(), headers=stale).status_code == with_stale


def test_an_authenticated_inlet_asks_for_some_token_even_where_none_is_known(client, dccs_message):
    """401 without a header, in the body's documented shape; any token will do where the emulator knows none."""
    with Emulator(inlets=[Inlet("till", authenticated=True)]) as emulator:
        missing = client.post(emulator.inlet_url("till"), json=dccs_message())
        some = client.post(emulator.inlet_url("till"), json=dccs_message(), headers={"authorization": "Bearer x"})
    assert missing.json() == {
        "type": "https://ns.adobe.com/adobecloud/problem/data-collection-service-authorization",
        "status": "401",
        "title": "Authorization",
        "report": {"message": "[id] Ims service token is empty"},
    }
    assert (missing.status_code, some.status_code) == (401, 200)


def test_an_inlet_of_raw_data_takes_any_object_with_a_flow(client):
    """A bare body with x-adobe-flow-id as header or parameter; without it 400 ("Post data to be ingested")."""
    with Emulator(inlets=[Inlet("till", data_type="raw")]) as emulator:
        url = emulator.inlet_url("till")
        assert client.post(url, json=RAW, headers=FLOW).status_code == 200
        assert client.post(url, json={"header": 1, "body": 2}, params=FLOW).status_code == 200
        without = client.post(url, json=RAW)
        assert (without.status_code, "no x-adobe-flow-id" in message_of(without)) == (400, True)
        assert client.post(url, json=[RAW], headers=FLOW).status_code == 400
        assert emulator.arrived.events == 2


def test_an_inlet_of_xdm_takes_no_raw_data(client, dccs_message):
    """A flow id makes no XDM of a bare object."""
    with Emulator(inlets=[Inlet("till", data_type="xdm")]) as emulator:
        url = emulator.inlet_url("till")
        assert client.post(url, json=RAW, headers=FLOW).status_code == 400
        assert client.post(url, json=dccs_message()).status_code == 200


def test_an_unknown_flow_is_refused(client, batch, dccs_message):
    """XDM names its flow in the header of the message, raw data beside the body; each must be one of the inlet's."""
    with Emulator(inlets=[Inlet("till", flow_ids=frozenset(["f1"]))]) as emulator:
        known, unknown = (dccs_message(flow, header={"flowId": flow}) for flow in ("f1", "f2"))
        good, bad, none = batch(emulator, known, unknown, dccs_message("c")).json()["responses"]
        raw = client.post(emulator.inlet_url("till"), json=RAW, headers={"x-adobe-flow-id": "f2"})
        assert client.post(emulator.inlet_url("till"), json=RAW, headers=FLOW).status_code == 200
    assert "statusCode" not in good
    assert all("unknown flow id" in refused["message"] for refused in (bad, none))
    assert (raw.status_code, "unknown flow id" in message_of(raw)) == (400, True)


def test_a_message_for_an_unknown_flow_can_be_lost_in_silence(client, batch, dccs_message):
    """On request it is answered like any other, and arrives nowhere; so it is with a flow that has not started yet."""
    inlets = [
        Inlet("till", flow_ids=frozenset(["f1"])),
        Inlet("new", flow_ids=frozenset(), starting_flow_ids=frozenset(["f2"])),
    ]
    with Emulator(inlets=inlets, unknown_flows="lost") as emulator:
        known, unknown = (dccs_message(flow, header={"flowId": flow}) for flow in ("f1", "f2"))
        assert all("xactionId" in entry for entry in batch(emulator, known, unknown).json()["responses"])
        emulator.unknown_flows = "refused"
        new = emulator.inlet_url("new")
        assert client.post(new, json=unknown).status_code == 200
        assert client.post(new, json=known).status_code == 400
        assert emulator.arrived.ids == ("f1",)


def test_a_reshaped_batch_answer_finds_no_lost_message_again(batch, dccs_message):
    """What is lost stays lost under a fault that only changes the shape of the answer."""
    with Emulator(inlets=[Inlet("till", flow_ids=frozenset(["f1"]))], unknown_flows="lost") as emulator:
        emulator.add_fault(Fault("answer", form="newer"))
        batch(emulator, *(dccs_message(flow, header={"flowId": flow}) for flow in ("f1", "f2")))
        assert emulator.arrived.ids == ("f1",)


def test_validation_at_once_reports_what_is_missing(client, dccs_message):
    """syncValidation=true, or its other spelling: 400 with report.cause._streamingValidation, and nothing is stored."""
    with Emulator(required_fields=["commerce", "web"]) as emulator:
        url = emulator.inlet_url("till")
        for name in ("syncValidation", "synchronousValidation"):
            refused = client.post(url, params={name: "true"}, json=dccs_message(web={}))
            (cause,) = refused.json()["report"]["cause"]["_streamingValidation"]
            assert (refused.status_code, cause["message"]) == (400, "1 schema violation found")
            assert "commerce" in cause["causingExceptions"][0]["message"]
            assert message_of(refused).endswith("Message is invalid")
        good = client.post(url, params={"syncValidation": "true"}, json=dccs_message("a", commerce={}, web={}))
        assert good.json()["syncValidation"] == {"status": "pass"}
        assert emulator.arrived.ids == ("a",)


def test_validation_stops_after_five_violations(client, dccs_message):
    """The sixth is not reported ("Streaming ingestion validation")."""
    with Emulator(required_fields=[f"field{index}" for index in range(6)]) as emulator:
        refused = client.post(emulator.inlet_url("till"), params={"syncValidation": "true"}, json=dccs_message())
    (cause,) = refused.json()["report"]["cause"]["_streamingValidation"]
    assert (cause["message"], len(cause["causingExceptions"])) == ("5 schema violations found", 5)


def test_without_validation_the_answer_says_that_it_was_skipped(emulator, client, dccs_message):
    """Where the parameter is there and not true; without it the answer is that of the other documents."""
    url = emulator.inlet_url("till")
    skipped = client.post(url, params={"syncValidation": "false"}, json=dccs_message())
    assert skipped.json()["syncValidation"] == {"skipped": True}
    assert "syncValidation" not in client.post(url, json=dccs_message()).json()


def test_validation_is_not_for_batches_and_not_everywhere(emulator, client, dccs_message):
    """The batch endpoint refuses the parameter; 501 where validation is not supported is a fault."""
    batch = f"{emulator.url}/collection/batch/till?syncValidation=true"
    assert client.post(batch, json={"messages": [dccs_message()]}).status_code == 400
    emulator.add_fault(Fault("status", status=501, service="dccs"))
    elsewhere = client.post(emulator.inlet_url("till"), params={"syncValidation": "true"}, json=dccs_message())
    assert (elsewhere.status_code, "not supported" in elsewhere.json()["title"]) == (501, True)


def test_smile_is_taken_on_both_endpoints(emulator, client):
    """The reference names the type on both."""
    single, batch = emulator.inlet_url("till"), f"{emulator.url}/collection/batch/till"
    assert client.post(single, content=SMILE_RAW, headers=SMILE | FLOW).status_code == 200
    assert client.post(batch, content=SMILE_BATCH, headers=SMILE | FLOW).status_code == 207
    assert emulator.arrived.ids == ("r-1", "r-2")


def test_smile_can_be_refused_everywhere(client, batch, dccs_message):
    """415: DCCS in its problem document, Edge as EXEG-0111-415; JSON goes on."""
    with Emulator(smile=False) as emulator:
        for url in (emulator.inlet_url("till"), f"{emulator.url}/collection/batch/till"):
            refused = client.post(url, content=SMILE_BATCH, headers=SMILE | FLOW)
            assert (refused.status_code, refused.json()["status"]) == (415, 415)
        edge = client.post(f"{emulator.url}/ee/v2/collect?dataStreamId=w", content=SMILE_BATCH, headers=SMILE)
        assert (edge.status_code, edge.json()["type"].rpartition("/")[2]) == (415, "EXEG-0111-415")
        assert "smile" not in edge.json()["detail"]
        assert batch(emulator, dccs_message()).status_code == 207
        emulator.smile = True
        assert client.post(emulator.inlet_url("till"), content=SMILE_RAW, headers=SMILE | FLOW).status_code == 200


@pytest.mark.parametrize(
    ("sent", "status"), [({}, 400), ({"x-sandbox-name": "prod"}, 403), ({"x-sandbox-name": "dev"}, 207)]
)
def test_the_sandbox_is_checked_where_it_is_known(batch, dccs_message, sent, status):
    """The reference calls x-sandbox-name required; a missing and a wrong one are refused."""
    with Emulator(sandbox="dev") as emulator:
        assert batch(emulator, dccs_message(), headers=sent).status_code == status


@pytest.mark.parametrize(
    ("text", "inlet"),
    [
        ("till", Inlet("till")),
        ("till:authenticated", Inlet("till", authenticated=True)),
        ("till:open:raw", Inlet("till", authenticated=False, data_type="raw")),
        ("till:xdm", Inlet("till", data_type="xdm")),
    ],
)
def test_an_inlet_can_be_written_as_text(text, inlet):
    """What the command lines take."""
    assert parse_inlet(text) == inlet


@pytest.mark.parametrize("text", ["till:closed", "", ":raw", "a/b"])
def test_an_inlet_that_cannot_be_is_named(text):
    """A mistyped word or id is an error that names it."""
    with pytest.raises(ValueError, match="inlet"):
        parse_inlet(text)


def test_an_unknown_data_type_is_refused_at_once():
    """In Python too."""
    with pytest.raises(ValueError, match="xdm, raw"):
        Inlet("till", data_type="csv")


def test_the_values_of_a_command_line_are_checked_together():
    """Empty lists mean that anything goes; a dataset without its schema is an error."""
    names = ("datastreams", "project_tokens", "required_fields", "inlets", "datasets")
    single = ("token", "org_id", "client_id", "client_secret", "sandbox", "public_token", "private_key")
    values = dict.fromkeys(names, ()) | dict.fromkeys(single) | {"error_shape": "older", "token_seconds": 5.0}
    given = given_of(values | {"smile": True, "port": 8080})
    assert (given["inlets"], given["datasets"], given["project_tokens"]) == (None, None, None)
    with pytest.raises(ValueError, match="DATASET=SCHEMA"):
        given_of(values | {"smile": True, "datasets": ("d1",)})
