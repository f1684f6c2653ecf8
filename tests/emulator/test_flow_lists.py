"""Lists of Flow Service: filters, order, counts and pages, as "Sorting and filtering responses" describes them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from edgequeue.emulator import Emulator


def ids_of(answer):
    assert answer.status_code == 200
    return [item["id"] for item in answer.json()["items"]]


@pytest.fixture
def made(platform):
    """Four connections by name; two of them share theirs."""
    names = ("till", "kiosk", "till", "a,b")
    return [platform.connection(name, authenticationRequired=name == "kiosk").json()["id"] for name in names]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([], [0, 1, 2, 3]),
        (["name==till"], [0, 2]),
        (["name==none"], []),
        (["name==till,kiosk"], [0, 1, 2]),
        (["name==a,b"], []),
        (["name==till", "connectionSpec.id==bc7b00d6-623a-4dfc-9fdb-f1240aeadaeb"], [0, 2]),
        (["name==till", "connectionSpec.id==other"], []),
        (["auth.params.authenticationRequired==true"], [1]),
        (["name.first==till"], []),
    ],
)
def test_filters_are_paths_and_all_of_them_hold(platform, made, filters, found):
    """Several `property` are AND, a comma in a value is "any of": a name with a comma cannot be found by itself."""
    answer = platform.get("flowservice/connections", *(("property", one) for one in filters))
    assert ids_of(answer) == [made[index] for index in found]


def test_arrays_are_filtered_with_brackets(platform):
    """`sourceConnectionIds[]==id` finds the flow that has it among others."""
    _, flow = platform.whole()
    platform.whole()
    (shown,) = platform.get(f"flowservice/flows/{flow}").json()["items"]
    source = shown["sourceConnectionIds"][0]
    assert ids_of(platform.get("flowservice/flows", ("property", f"sourceConnectionIds[]=={source}"))) == [flow]
    assert ids_of(platform.get("flowservice/flows", ("property", f"sourceConnectionIds=={source}"))) == []


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([("limit", 1), ("count", "true")], "FLOW-1401-400"),
        ([("property", "name~till")], "FLOW-1450-400"),
        ([("property", "name==")], "FLOW-1453-400"),
        ([("colour", "red")], "FLOW-1451-400"),
        ([("limit", 0)], "FLOW-1100-400"),
        ([("limit", "many")], "FLOW-1100-400"),
        ([("continuationToken", "made-up")], "FLOW-1100-400"),
    ],
)
def test_a_query_that_breaks_a_rule_is_refused(platform, pairs, code):
    """Codes of "Flow Service error messages"."""
    answer = platform.get("flowservice/connections", *pairs)
    assert (answer.status_code, platform.refused(answer)) == (400, code)


def test_a_count_takes_the_place_of_the_items(platform, made):
    """`count=true` counts what the filters leave."""
    answer = platform.get("flowservice/connections", ("property", "name==till"), ("count", "true"))
    assert answer.json() == {"count": 2}


@pytest.mark.parametrize(
    ("orderby", "order"), [("name", [3, 1, 0, 2]), ("+name", [3, 1, 0, 2]), ("-name", [0, 2, 1, 3])]
)
def test_a_list_can_be_ordered(platform, made, orderby, order):
    """Plus or nothing is ascending, minus descending."""
    assert ids_of(platform.get("flowservice/connections", ("orderby", orderby))) == [made[index] for index in order]


def test_a_long_list_comes_in_pages(client, on_platform):
    """`_links.next.href` leads on with a continuationToken and the same filters; the last page has no next."""
    with Emulator(page_size=2) as emulator:
        platform = on_platform(emulator)
        made = [platform.connection("till").json()["id"] for _ in range(5)]
        platform.connection("other")
        answer = platform.get("flowservice/connections", ("property", "name==till"), ("limit", 100))
        seen = [ids_of(answer)]
        while following := answer.json()["_links"].get("next"):
            assert parse_qs(urlsplit(following["href"]).query)["property"] == ["name==till"]
            answer = client.get(following["href"], headers=platform.HEADERS)
            seen.append(ids_of(answer))
    assert seen == [made[:2], made[2:4], made[4:]]


def test_sandboxes_do_not_see_each_other(platform, made):
    """A list shows the objects of the sandbox that the header names."""
    assert ids_of(platform.get("flowservice/connections", **{"x-sandbox-name": "dev"})) == []
