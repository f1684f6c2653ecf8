"""The request bodies of Adobe's own documents, made from a configuration and compared field by field.

Each test lists every difference and why it is there. The bodies of the Flow Service tutorial stand in
`tests/core/test_flow_bodies.py`, Bloomreach's in `tests/core/test_bloomreach.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgequeue import EventQueue
from edgequeue.config import parse_settings
from edgequeue.testing import ScriptedTransport, accept

ID = "<the event's id>"
NOTHING = "<nothing>"


def sent(directory: Path, destination: str, *events: Any) -> tuple[str, dict[str, str], Any]:
    """The address, headers and body that events come to, from a table of the configuration to the wire."""
    text = f'[queue]\ndatabase = "queue.db"\n[destinations.it]\n{destination}'
    settings = parse_settings(text, directory / "edgequeue.toml")
    network = ScriptedTransport(then=accept)
    with EventQueue.from_settings(settings, transport=lambda _: network) as queue:
        ids = queue.enqueue_many(events)
        assert queue.sync().delivered == len(events)
    (request,) = network.requests
    body = request.body.decode()
    for one in ids:
        body = body.replace(one, ID)
    return request.url, dict(request.headers), json.loads(body)


def differences(ours: Any, theirs: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Where two documents differ: path -> (what we send, what their document has)."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in {**ours, **theirs}:
            found |= differences(ours.get(key, NOTHING), theirs.get(key, NOTHING), f"{path}.{key}".lstrip("."))
        return found
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return {key: one for n, (a, b) in pairs for key, one in differences(a, b, f"{path}.{n}").items()}
    return {} if ours == theirs and type(ours) is type(theirs) else {path: (ours, theirs)}


# --- "Non-interactive data collection": POST /ee/v2/collect -----------------------------------------------------------


def page_view() -> dict[str, Any]:
    return {
        "xdm": {
            "identityMap": {"FPID": [{"id": "79bf8e83-f708-414b-b1ed-5789ff33bf0b", "primary": "true"}]},
            "eventType": "web.webpagedetails.pageViews",
            "web": {"webPageDetails": {"URL": "https://alloystore.dev/", "name": "home-demo-Home Page"}},
            "timestamp": "2021-08-09T14:09:20.859Z",
        },
        "data": {"prop1": "custom value"},
    }


def click() -> dict[str, Any]:
    return {
        "xdm": {
            "identityMap": {"FPID": [{"id": "871e8460-a329-4e96-a5b6-ff359fb0afb9", "primary": "true"}]},
            "eventType": "web.webinteraction.linkClicks",
            "web": {
                "webInteraction": {"linkClicks": {"value": 1}},
                "name": "My Custom Link",
                "URL": "https://myurl.com",
            },
            "timestamp": "2021-08-09T14:09:20.859Z",
        }
    }


def test_non_interactive_collection(tmp_path: Path) -> None:
    """Two events of two people; `"true"` as a text is what the document has, and it is sent as it came."""
    table = 'type = "adobe-edge"\ndatastream_id = "DATASTREAM"\nendpoint = "https://edge.adobedc.net"'
    url, headers, body = sent(tmp_path, table, page_view(), click())
    assert url.startswith("https://edge.adobedc.net/ee/v2/collect?dataStreamId=DATASTREAM&requestId=")
    assert headers["content-type"] == "application/json"
    assert differences(body, {"events": [page_view(), click()]}) == {
        # The document's events have no `_id`; with one, Profile drops what a lost answer made us send twice.
        "events.0.xdm._id": (ID, NOTHING),
        "events.1.xdm._id": (ID, NOTHING),
    }


# --- "Send multiple messages in a single HTTP request": POST /collection/batch/{CONNECTION_ID} ------------------------

BATCH = """type = "adobe-dccs"
endpoint = "https://dcs.adobedc.net/collection/CONNECTION_ID"
org_id = "ORG@AdobeOrg"
dataset_id = "DATASET_ID"
schema_id = "https://ns.adobe.com/TENANT_ID/schemas/SCHEMA_ID"
"""
SCHEMA_REF = {
    "id": "https://ns.adobe.com/TENANT_ID/schemas/SCHEMA_ID",
    "contentType": "application/vnd.adobe.xed-full+json;version=1",  # the document has {SCHEMA_VERSION} there
}


def product_view(event_id: str, name: str, quantity: int, total: float, address: str) -> dict[str, Any]:
    return {
        "_id": event_id,
        "timestamp": "2019-02-23T22:07:01Z",
        "environment": {
            "browserDetails": {
                "userAgent": "Mozilla/5.0 (Windows NT 5.1)",
                "acceptLanguage": "en-US",
                "cookiesEnabled": True,
                "javaScriptVersion": "1.6",
                "javaEnabled": True,
            },
            "colorDepth": 32,
            "viewportHeight": 799,
            "viewportWidth": 414,
        },
        "productListItems": [{"SKU": "CC", "name": name, "quantity": quantity, "priceTotal": total}],
        "commerce": {"productViews": {"value": 1}},
        "_experience": {"campaign": {"message": {"profileSnapshot": {"workEmail": {"address": address}}}}},
    }


def message(entity: dict[str, Any], **header: Any) -> dict[str, Any]:
    return {
        "header": {"schemaRef": SCHEMA_REF, "imsOrgId": "ORG@AdobeOrg", "datasetId": "DATASET_ID", **header},
        "body": {"xdmMeta": {"schemaRef": SCHEMA_REF}, "xdmEntity": entity},
    }


ENTITIES = [
    product_view("9af5adcc-db9c-4692-b826-65d3abe68c22", "Fernie Snow", 30, 7.8, "one@example.com"),
    product_view("7af6adcc-dc9e-4692-b826-55d2abe68c11", "Carmine Santiago", 10, 5.5, "two@example.com"),
]


def test_several_messages_in_one_request(tmp_path: Path) -> None:
    """The envelope comes from the configuration, the entities as they were enqueued."""
    url, headers, body = sent(tmp_path, BATCH, *({"xdm": entity} for entity in ENTITIES))
    assert url == "https://dcs.adobedc.net/collection/batch/CONNECTION_ID"
    assert headers["content-type"] == "application/json"
    document = {"messages": [message(entity, createdAt=1526283801869) for entity in ENTITIES]}
    assert differences(body, document) == {
        # Optional, and it would make the bytes of an event depend on when it is sent.
        "messages.0.header.createdAt": (NOTHING, 1526283801869),
        "messages.1.header.createdAt": (NOTHING, 1526283801869),
    }


def test_full_messages_travel_as_the_document_has_them(tmp_path: Path) -> None:
    """Who brings header and body has every field sent, `createdAt` too."""
    document = {"messages": [message(entity, createdAt=1526283801869) for entity in ENTITIES]}
    _, _, body = sent(tmp_path, BATCH, *document["messages"])
    assert differences(body, document) == {}


# --- the streaming ingestion reference: POST /collection/{CONNECTION_ID} ----------------------------------------------


def test_one_record_on_the_single_endpoint(tmp_path: Path) -> None:
    """A person, with flow id and source; records have no timestamp."""
    person = {
        "person": {
            "name": {"firstName": "Jane", "middleName": "F", "lastName": "Doe"},
            "birthDate": "1969-03-14",
            "gender": "female",
        },
        "workEmail": {"primary": True, "address": "janedoe@example.com", "type": "work", "status": "active"},
    }
    flow = "69f188b6-af07-4587-8061-e94d34637b41"
    more = f'flow_id = "{flow}"\nsource_name = "ACME Streaming Connection"\nschema_class = "record"'
    url, _, body = sent(tmp_path, BATCH + more, {"xdm": person})
    assert url == "https://dcs.adobedc.net/collection/CONNECTION_ID"
    content_type = {"contentType": SCHEMA_REF["contentType"]}
    document = message(person, createdAt="1526283801869", flowId=flow, source={"name": "ACME Streaming Connection"})
    document["header"]["schemaRef"] = document["body"]["xdmMeta"]["schemaRef"] = content_type
    assert differences(body, document) == {
        # The reference leaves the schema's id out where all of Adobe's tutorials have it; without it DCCS refuses.
        "header.schemaRef.id": (SCHEMA_REF["id"], NOTHING),
        "body.xdmMeta.schemaRef.id": (SCHEMA_REF["id"], NOTHING),
        "header.createdAt": (NOTHING, "1526283801869"),  # optional, as above
        "body.xdmEntity._id": (ID, NOTHING),  # the event's identity through every retry
    }


def test_a_batch_with_a_flow_and_a_source(tmp_path: Path) -> None:
    """The batch of the same reference: one message, which we send to the single endpoint, as it stands."""
    flow, source = "69f188b6-af07-4587-8061-e94d34637b41", {"name": "Streaming dataflow - 06/07/2022 3:09 PM"}
    more = f'flow_id = "{flow}"\nsource_name = "{source["name"]}"'
    url, _, body = sent(tmp_path, BATCH + more, {"xdm": ENTITIES[0]})
    assert differences(body, message(ENTITIES[0], flowId=flow, source=source)) == {}
    assert url.endswith("/collection/CONNECTION_ID"), "a message alone needs no batch, and its answer is beyond doubt"


# --- "Create an HTTP API streaming connection": its last step, sending ------------------------------------------------

INLET = 'type = "adobe-dccs"\nendpoint = "https://dcs.adobedc.net/collection/667b41cf2dbf"\n'
FLOW = "f2ae0194-8bd8-4a40-a4d9-f07bdc3e6ce2"


def test_xdm_for_a_dataflow(tmp_path: Path) -> None:
    """The tutorial's content type is a setting, and the organisation may be left to Adobe."""
    settings = f"""schema_id = "{SCHEMA_REF["id"]}"
schema_content_type = "application/vnd.adobe.xed-full-notext+json; version=1.0"
schema_class = "record"
dataset_id = "604a18a3bae67d18db6d258c"
flow_id = "{FLOW}"
"""
    entity = {
        "_id": "http-source-connector-acme-01",
        "person": {"name": {"firstName": "suman", "lastName": "nolan"}},
        "workEmail": {"primary": True, "address": "suman@example.com", "type": "work", "status": "active"},
    }
    _, _, body = sent(tmp_path, INLET + settings, {"xdm": entity})
    schema_ref = {"id": SCHEMA_REF["id"], "contentType": "application/vnd.adobe.xed-full-notext+json; version=1.0"}
    header = {"schemaRef": schema_ref, "flowId": FLOW, "datasetId": "604a18a3bae67d18db6d258c"}
    assert (
        differences(body, {"header": header, "body": {"xdmMeta": {"schemaRef": schema_ref}, "xdmEntity": entity}}) == {}
    )


def test_raw_data_with_the_flow_id_in_a_header_or_in_the_query(tmp_path: Path) -> None:
    """The body is the data and nothing else, in both of the tutorial's forms."""
    person = {
        "name": "Johnson Smith",
        "location": {"city": "Seattle", "country": "United State of America", "address": "3692 Main Street"},
        "gender": "Male",
        "birthday": {"year": 1984, "month": 6, "day": 9},
    }
    raw = f'data_type = "raw"\nflow_id = "{FLOW}"\n'
    (tmp_path / "header").mkdir()
    url, headers, body = sent(tmp_path / "header", INLET + raw, {"data": person})
    assert differences(body, person) == {}
    # The tutorial prints 'x-adobe-flow-id=…' as a header, which none can be: it is an ordinary one.
    assert headers["x-adobe-flow-id"] == FLOW
    (tmp_path / "query").mkdir()
    asked, headers, body = sent(tmp_path / "query", INLET + raw + 'flow_id_in = "query"', {"data": person})
    assert differences(body, person) == {}
    assert asked == f"{url}?x-adobe-flow-id={FLOW}"
    assert "x-adobe-flow-id" not in headers
