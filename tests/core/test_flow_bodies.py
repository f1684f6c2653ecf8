"""Request bodies of the HTTP API tutorial, field by field, and what the plan of a create is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgequeue.auth import Bearer
from edgequeue.errors import ConfigError
from edgequeue.flow_service import plan
from edgequeue.flow_service.client import request_of, url_of
from edgequeue.flow_service.create import Made
from edgequeue.flow_service.finding import Part
from edgequeue.flow_service.settings import FlowService
from edgequeue.flow_service.steps import Call, Kind, base, flow, mapping, source, target
from edgequeue.flow_service.wanted import MappingRef, Pair, Wanted

SCHEMA = "https://ns.adobe.com/{TENANT}/schemas/7f682c29f887512a897791e7161b90a1ae7ed3dd07a177b1"
SPEC = {"id": "bc7b00d6-623a-4dfc-9fdb-f1240aeadaeb", "version": "1.0"}
PAIRS = (Pair("firstName", "person.name.firstName"), Pair("lastName", "person.name.lastName"))
BASE_ID = "a59d368a-1152-4673-a46e-bd52e8cdb9a9"
SOURCE_ID = "34ece231-294d-416c-ad2a-5a5dfb2bc69f"
TARGET_ID = "07f2f6ff-1da5-4704-916a-c615b873cba9"
SERVICE = FlowService(Bearer("tok", "key", "org@AdobeOrg"), "adobe")
NOW = datetime(2026, 11, 21, 10, 40, tzinfo=UTC)


def acme(**more: Any) -> Wanted:
    """The tutorial's connection."""
    return Wanted(
        **{
            "name": "ACME Streaming Connection XDM Data",
            "description": "ACME streaming connection for customer data",
            "schema_id": SCHEMA,
            "dataset_id": "637eb7fadc8a211b6312b65b",
            "source_name": "ACME Streaming Source Connection for Customer Data",
            "source_description": "A streaming source connection for ACME XDM Customer Data",
            "target_name": "ACME Streaming Target Connection",
            "target_description": "ACME Streaming Target Connection",
            "flow_name": "ACME Streaming Dataflow",
            "flow_description": "ACME streaming dataflow for customer data",
            **more,
        }
    )


def authenticated(kind: str, data_type: Any, **more: Any) -> Wanted:
    inlet = f"Authenticated {kind} streaming connection"
    name = f"ACME Streaming Connection {kind if kind == 'XDM' else 'Raw'} Data Authenticated"
    return acme(name=name, data_type=data_type, inlet_name=inlet, source_id=inlet, **more)


def tutorial_base(name: str, params: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "description": "ACME streaming connection for customer data",
        "connectionSpec": SPEC,
        "auth": {"specName": "Streaming Connection", "params": params},
    }


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (
            acme(authenticated=False),
            tutorial_base("ACME Streaming Connection XDM Data", {"dataType": "xdm"}),
        ),
        (
            acme(name="ACME Streaming Connection Raw Data", data_type="raw", mapping=PAIRS, authenticated=False),
            tutorial_base("ACME Streaming Connection Raw Data", {"dataType": "raw"}),
        ),
        (
            authenticated("XDM", "xdm"),
            tutorial_base(
                "ACME Streaming Connection XDM Data Authenticated",
                {
                    "sourceId": "Authenticated XDM streaming connection",
                    "dataType": "xdm",
                    "name": "Authenticated XDM streaming connection",
                    "authenticationRequired": True,
                },
            ),
        ),
        (
            authenticated("raw", "raw", mapping=PAIRS),
            tutorial_base(
                "ACME Streaming Connection Raw Data Authenticated",
                {
                    "sourceId": "Authenticated raw streaming connection",
                    "dataType": "raw",
                    "name": "Authenticated raw streaming connection",
                    "authenticationRequired": True,
                },
            ),
        ),
    ],
    ids=["open xdm", "open raw", "authenticated xdm", "authenticated raw"],
)
def test_base_connection_is_the_tutorials(wanted: Wanted, expected: dict[str, Any]) -> None:
    """All four base connections; no difference."""
    create = base(wanted).create
    assert (create.method, create.path) == ("POST", "/data/foundation/flowservice/connections")
    assert create.body == expected


def test_source_connection_is_the_tutorials() -> None:
    """No difference."""
    create = source(acme(), BASE_ID).create
    assert (create.method, create.path) == ("POST", "/data/foundation/flowservice/sourceConnections")
    assert create.body == {
        "name": "ACME Streaming Source Connection for Customer Data",
        "description": "A streaming source connection for ACME XDM Customer Data",
        "baseConnectionId": BASE_ID,
        "connectionSpec": SPEC,
    }


def test_target_connection_is_the_tutorials() -> None:
    """No difference."""
    create = target(acme(), SOURCE_ID).create
    assert (create.method, create.path) == ("POST", "/data/foundation/flowservice/targetConnections")
    assert create.body == {
        "name": "ACME Streaming Target Connection",
        "description": "ACME Streaming Target Connection",
        "data": {"schema": {"id": SCHEMA, "version": "application/vnd.adobe.xed-full+json;version=1.0"}},
        "params": {"dataSetId": "637eb7fadc8a211b6312b65b"},
        "connectionSpec": {"id": "c604ff05-7f1a-43c0-8e18-33bf874cb11c", "version": "1.0"},
    }


def test_mapping_set_is_the_tutorials() -> None:
    """The body has no difference. The path has one: `/conversion/` by default, because Data Prep's OpenAPI and the
    other tutorials have it; the tutorial's own path is the setting `mapping_path`.
    """
    wanted = acme(data_type="raw", mapping=PAIRS)
    assert mapping(wanted, SERVICE.mapping_path).create.path == "/data/foundation/conversion/mappingSets"
    create = mapping(wanted, "/data/foundation/mappingSets").create
    assert (create.method, create.path) == ("POST", "/data/foundation/mappingSets")
    assert create.body == {
        "version": 0,
        "xdmSchema": SCHEMA,
        "xdmVersion": "1.0",
        "mappings": [
            {
                "destinationXdmPath": "person.name.firstName",
                "sourceAttribute": "firstName",
                "identity": False,
                "version": 0,
            },
            {
                "destinationXdmPath": "person.name.lastName",
                "sourceAttribute": "lastName",
                "identity": False,
                "version": 0,
            },
        ],
    }


def test_dataflow_without_transformations_is_the_tutorials() -> None:
    """No difference."""
    create = flow(acme(), SOURCE_ID, TARGET_ID, None).create
    assert (create.method, create.path) == ("POST", "/data/foundation/flowservice/flows")
    assert create.body == {
        "name": "ACME Streaming Dataflow",
        "description": "ACME streaming dataflow for customer data",
        "flowSpec": {"id": "d8a6f005-7eaf-4153-983e-e8574508b877", "version": "1.0"},
        "sourceConnectionIds": [SOURCE_ID],
        "targetConnectionIds": [TARGET_ID],
    }


def test_dataflow_with_transformations_is_the_tutorials() -> None:
    """No difference. "Mapping" is the name of the transformation, not of the dataflow."""
    wanted = acme(flow_name="<name>", flow_description="<description>", mapping=PAIRS)
    mapped = MappingRef("79a623960d3f4969835c9e00dc90c8df", 0)
    assert flow(wanted, SOURCE_ID, TARGET_ID, mapped).create.body == {
        "name": "<name>",
        "description": "<description>",
        "flowSpec": {"id": "c1a19761-d2c7-4702-b9fa-fe91f0613e81", "version": "1.0"},
        "sourceConnectionIds": [SOURCE_ID],
        "targetConnectionIds": [TARGET_ID],
        "transformations": [
            {"name": "Mapping", "params": {"mappingId": "79a623960d3f4969835c9e00dc90c8df", "mappingVersion": 0}}
        ],
    }


def test_a_request_has_the_tutorials_address_and_headers() -> None:
    """Difference: Accept is sent, which curl does too; the credentials are added when it is sent."""
    request = request_of(source(acme(), BASE_ID).create, SERVICE)
    assert request.url == "https://platform.adobe.io/data/foundation/flowservice/sourceConnections"
    assert request.headers == {
        "accept": "application/json",
        "content-type": "application/json",
        "x-sandbox-name": "prod",
    }


@given(name=st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable() and text.strip()))
def test_a_filter_never_holds_a_name_that_it_could_misread(name: str) -> None:
    """A comma means "any of" to the service: such a name is not left to the filter, and compared here alone."""
    step = base(Wanted(name, SCHEMA, "d"))
    filters = [value for key, value in step.look_up.query if key == "property"]
    assert filters[-1] == f"connectionSpec.id=={SPEC['id']}"
    assert filters[:-1] in ([], [f"name=={name}"])
    assert not (set(",=&<>!~[]%\"'") & set("".join(filters[:-1]).removeprefix("name==")))
    assert step.same({"name": name, "connectionSpec": SPEC})
    assert not step.same({"name": name + "x", "connectionSpec": SPEC})


def test_a_query_is_encoded() -> None:
    """What stands in a value never ends it."""
    call = Call(Kind.FLOW, "GET", "/p", (("property", "name==a b"), ("limit", "1")))
    assert url_of(call, "https://h/") == "https://h/p?property=name%3D%3Da%20b&limit=1"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 201}, "200"),
        ({"schema_version": 0}, "version"),
        ({"data_type": "raw"}, "--mapping"),
    ],
)
def test_what_adobe_would_refuse_late_is_refused_at_once(more: dict[str, Any], words: str) -> None:
    """Before anything is made."""
    with pytest.raises(ConfigError, match=words):
        acme(**more)


# --- the ready destination ------------------------------------------------------------------------------------------


def made(*, new: bool, created_at: Any = None) -> Made:
    item = {} if created_at is None else {"createdAt": created_at}
    return Made((Part(Kind.FLOW, "f-1", new, item),), "https://dcs.adobedc.net/collection/667b")


def test_destination_has_everything_that_sending_needs() -> None:
    """In the order of the file; nothing may be sent for five minutes after the dataflow was made."""
    keys = plan.destination_keys(acme(), SERVICE, made(new=True), NOW + timedelta(microseconds=1))
    assert list(keys.items()) == [
        ("type", "adobe-dccs"),
        ("endpoint", "https://dcs.adobedc.net/collection/667b"),
        ("data_type", "xdm"),
        ("auth", "adobe"),
        ("org_id", "org@AdobeOrg"),
        ("dataset_id", "637eb7fadc8a211b6312b65b"),
        ("schema_id", SCHEMA),
        ("schema_version", 1),
        ("flow_id", "f-1"),
        ("sandbox_name", "prod"),
        ("not_before", datetime(2026, 11, 21, 10, 45, tzinfo=UTC)),
    ]


def test_destination_of_an_open_inlet_has_no_account() -> None:
    """A token that nobody asks for is not sent."""
    assert "auth" not in plan.destination_keys(acme(authenticated=False), SERVICE, made(new=True), NOW)


@pytest.mark.parametrize(
    ("age_seconds", "expected"),
    [(60, NOW + timedelta(seconds=241)), (299, NOW + timedelta(seconds=2)), (300, None), (86_400, None)],
)
def test_a_dataflow_that_was_found_is_waited_for_as_long_as_it_is_young(
    age_seconds: int, expected: datetime | None
) -> None:
    """Its own age counts, rounded up to whole seconds."""
    created = round((NOW.timestamp() - age_seconds) * 1000)
    assert plan.ready_at(made(new=False, created_at=created), NOW) == expected


@pytest.mark.parametrize("created", [None, "soon", True, 1e30, float("nan")])
def test_an_age_that_cannot_be_read_is_no_wait(created: Any) -> None:
    """Whatever Adobe says there, nothing is raised."""
    assert plan.ready_at(made(new=False, created_at=created), NOW) is None


def test_the_plan_names_every_request_once() -> None:
    """A dry run: checks, then a look-up and a create for each object, with placeholders for what nobody knows yet."""
    calls = list(plan.requests(acme(data_type="raw", mapping=PAIRS), SERVICE))
    assert [(call.method, call.kind) for call in calls] == [
        ("GET", Kind.SCHEMA),
        ("GET", Kind.DATASET),
        ("GET", Kind.BASE),
        ("POST", Kind.BASE),
        ("GET", Kind.INLET),
        ("GET", Kind.SOURCE),
        ("POST", Kind.SOURCE),
        ("GET", Kind.TARGET),
        ("POST", Kind.TARGET),
        ("GET", Kind.FLOW),
        ("GET", Kind.MAPPING),
        ("POST", Kind.MAPPING),
        ("GET", Kind.FLOW),
        ("POST", Kind.FLOW),
    ]
    assert calls[6].body is not None
    assert calls[6].body["baseConnectionId"] == plan.BASE_ID
