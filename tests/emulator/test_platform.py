"""platform.adobe.io as the emulator reads it: the gateway, Data Prep, Schema Registry and Catalog."""

from __future__ import annotations

import pytest

from edgequeue.emulator import Emulator

SCHEMA = "https://ns.adobe.com/shop/schemas/7f68"
ENCODED = "https%3A%2F%2Fns.adobe.com%2Fshop%2Fschemas%2F7f68"
ACCEPT = {"accept": "application/vnd.adobe.xed+json;version=1"}
PATHS = (
    "flowservice/connections",
    "conversion/mappingSets",
    "catalog/dataSets/d1",
    f"schemaregistry/tenant/schemas/{ENCODED}",
)


@pytest.fixture
def shop():
    with Emulator(datasets={"d1": SCHEMA}, sandbox="prod", org_id="shop@AdobeOrg", client_id="till") as running:
        yield running


@pytest.fixture
def token(shop, client):
    form = {"grant_type": "client_credentials", "client_id": "till", "client_secret": "s", "scope": "openid"}
    return "Bearer " + client.post(shop.token_url, data=form).json()["access_token"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"authorization": ""}, 403, "403010"),
        ({"authorization": "Bearer stale"}, 401, "401013"),
        ({"x-api-key": ""}, 403, "403000"),
        ({"x-api-key": "other"}, 403, "403003"),
        ({"x-gw-ims-org-id": ""}, 400, "400003"),
        ({"x-gw-ims-org-id": "other@AdobeOrg"}, 403, "403025"),
        ({"x-sandbox-name": ""}, 400, "400003"),
        ({"x-sandbox-name": "dev"}, 404, "FLOW-2100-404"),
    ],
)
def test_each_header_is_asked_for(shop, on_platform, token, path, headers, status, code):
    """The gateway's codes ("Platform troubleshooting"), whatever service is behind it; the sandbox must be known."""
    platform = on_platform(shop)
    answer = platform.get(path, **({"authorization": token} | ACCEPT | headers))
    assert (answer.status_code, platform.refused(answer)) == (status, code)


def test_a_token_of_ims_opens_the_platform_until_it_is_revoked(shop, on_platform, token):
    """Those that the emulated IMS has issued are valid there too."""
    platform = on_platform(shop)
    assert platform.get("flowservice/flows", authorization=token).status_code == 200
    shop.revoke_tokens()
    assert platform.get("flowservice/flows", authorization=token).status_code == 401


def test_the_platform_is_never_open(emulator, client):
    """A token is asked for even where the emulator knows none; any will do then."""
    answer = client.get(f"{emulator.url}/data/foundation/flowservice/flows")
    assert (answer.status_code, answer.json()["error_code"]) == (403, "403010")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_nothing_is_changed_or_deleted(emulator, client, platform, method):
    """Only POST and GET are emulated: 405 for others, and for a POST on one object."""
    url = f"{emulator.url}/data/foundation/flowservice/connections"
    assert client.request(method, url, headers=platform.HEADERS).status_code == 405
    one = client.post(f"{url}/c1", headers=platform.HEADERS)
    assert (one.status_code, one.headers["allow"]) == (405, "GET")


def test_a_body_must_be_json(emulator, client, platform):
    """415 for another Content-Type, 1405-400 for nothing."""
    url = f"{emulator.url}/data/foundation/flowservice/connections"
    assert client.post(url, content=b"{}", headers=platform.HEADERS).status_code == 415
    assert platform.refused(platform.post("flowservice/connections", {})) == "FLOW-1405-400"


def test_a_mapping_set_is_answered_200_and_shown(emulator, platform):
    """Data Prep answers a POST with 200 and id, version and dates; a GET with the whole set."""
    answer = platform.mapping(name="till")
    made = answer.json()
    assert (answer.status_code, made["version"]) == (200, 0)
    assert set(made) == {"id", "version", "createdDate", "modifiedDate", "createdBy", "modifiedBy"}
    shown = platform.get(f"conversion/mappingSets/{made['id']}").json()
    assert (shown["name"], shown["xdmSchema"]) == ("till", platform.SCHEMA)
    assert platform.get("conversion/mappingSets/none").status_code == 404
    assert emulator.platform.counts()["mappingSets"] == 1


def test_both_forms_of_a_mapping_set_are_taken(platform):
    """The reference's form: outputSchema, and mappings with sourceType, source and destination."""
    schema = {"id": platform.SCHEMA, "contentType": "application/vnd.adobe.xed-full+json;version=1"}
    mapping = {"sourceType": "ATTRIBUTE", "source": "firstName", "destination": "person.name.firstName"}
    document = {"outputSchema": {"schemaRef": schema}, "mappings": [mapping]}
    assert platform.post("conversion/mappingSets", document).status_code == 200


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"xdmSchema": None}, "xdmSchema and xdmVersion"),
        ({"xdmVersion": ""}, "xdmSchema and xdmVersion"),
        ({"mappings": []}, "mappings must be"),
        ({"mappings": [{"sourceAttribute": "a"}]}, "mappings[0]"),
    ],
)
def test_a_mapping_set_that_lacks_something_is_refused(emulator, platform, change, text):
    """400 names what is missing."""
    answer = platform.mapping(**change)
    assert (answer.status_code, text in answer.json()["detail"]) == (400, True)
    assert emulator.platform.counts()["mappingSets"] == 0


def test_the_list_of_mapping_sets_needs_both_paging_numbers(platform):
    """limit and start are required (reference); name filters."""
    ids = [platform.mapping(name=name).json()["id"] for name in ("a", "b", "a")]
    assert platform.get("conversion/mappingSets", ("limit", 5)).status_code == 400
    found = platform.get("conversion/mappingSets", ("name", "a"), ("limit", 5), ("start", 0)).json()
    assert [one["id"] for one in found["data"]] == [ids[0], ids[2]]
    rest = platform.get("conversion/mappingSets", ("limit", 2), ("start", 2)).json()
    assert [one["id"] for one in rest["data"]] == [ids[2]]


def test_the_mapping_path_of_the_tutorial_exists_only_on_request(client, emulator, platform, on_platform):
    """The tutorial prints /data/foundation/mappingSets, others /conversion/: 404 unless it is switched on."""
    document = {"xdmSchema": platform.SCHEMA, "xdmVersion": "1.0"}
    document["mappings"] = [{"destinationXdmPath": "a", "sourceAttribute": "b"}]
    assert platform.post("mappingSets", document).status_code == 404
    assert emulator.unknown_paths == {"/data/foundation/mappingSets": 1}
    with Emulator(short_mapping_path=True) as other:
        assert on_platform(other).post("mappingSets", document).status_code == 200


def test_a_schema_is_looked_up_by_either_of_its_ids(shop, on_platform, token):
    """By the percent-encoded $id or by meta:altId, in its own container; unknown ones are XDM-1010-404."""
    platform = on_platform(shop)
    headers = {"authorization": token} | ACCEPT
    found = platform.get(f"schemaregistry/tenant/schemas/{ENCODED}", **headers)
    assert (found.status_code, found.json()["$id"]) == (200, SCHEMA)
    alternative = found.json()["meta:altId"]
    assert alternative == "_shop.schemas.7f68"
    assert platform.get(f"schemaregistry/tenant/schemas/{alternative}", **headers).json()["$id"] == SCHEMA
    for path in (f"global/schemas/{ENCODED}", "tenant/schemas/_shop.schemas.none"):
        missing = platform.get(f"schemaregistry/{path}", **headers)
        assert (missing.status_code, platform.refused(missing)) == (404, "XDM-1010-404")


def test_a_schema_id_that_is_not_encoded_is_another_path(emulator, platform):
    """The slashes of an $id that is pasted as it is lead nowhere."""
    assert platform.get(f"schemaregistry/tenant/schemas/{SCHEMA}", **ACCEPT).status_code == 404
    assert len(emulator.unknown_paths) == 1


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/vnd.adobe.xed+json;version=1", 200),
        ("application/vnd.adobe.xed-full+json; version=1.0", 200),
        ("application/vnd.adobe.xed-id+json", 400),
        ("application/json", 400),
    ],
)
def test_a_schema_is_looked_up_with_a_versioned_accept_header(platform, accept, status):
    """The lookup of one resource needs a format and a version ("Schema Registry", Accept header)."""
    assert platform.get(f"schemaregistry/tenant/schemas/{ENCODED}", accept=accept).status_code == status


def test_a_dataset_tells_its_schema(shop, on_platform, token):
    """Catalog answers an object keyed by the dataset's id; unknown ones are not found."""
    platform = on_platform(shop)
    found = platform.get("catalog/dataSets/d1", authorization=token).json()
    assert found["d1"]["schemaRef"]["id"] == SCHEMA
    assert platform.get("catalog/dataSets/d2", authorization=token).status_code == 404


def test_a_mapping_set_needs_a_schema_that_exists(shop, on_platform, token):
    """Where the datasets are known, their schemas are the ones that there are."""
    document = {"xdmVersion": "1.0", "mappings": [{"destinationXdmPath": "a", "sourceAttribute": "b"}]}
    for schema, status in ((SCHEMA, 200), (f"{SCHEMA}00", 400)):
        made = on_platform(shop).post("conversion/mappingSets", document | {"xdmSchema": schema}, authorization=token)
        assert made.status_code == status


def test_without_datasets_every_dataset_and_schema_exists(platform):
    """Anything goes where the emulator was told nothing; a dataset then says nothing of its schema."""
    assert "schemaRef" not in platform.get("catalog/dataSets/any").json()["any"]
    assert platform.get("schemaregistry/tenant/schemas/_any.schemas.1", **ACCEPT).status_code == 200
    assert platform.get("schemaregistry/global/schemas/_xdm.schemas.profile", **ACCEPT).status_code == 200
