"""The events of the benchmarks: XDM as a kiosk hands it over, in five kinds; some 1,065 bytes of JSON as stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

POOL = 2000
"""Different events; longer runs take them in turn, so that a million of them does not need their size in memory."""


def make_event(number: int) -> dict[str, Any]:
    """An XDM event as an application hands it over: with a timestamp, without an `_id`; five kinds in turn."""
    xdm: dict[str, Any] = {
        "timestamp": f"2026-11-{number % 28 + 1:02d}T{number % 24:02d}:{number % 60:02d}:17.{number % 1000:03d}Z",
        "eventType": _KINDS[number % 5],
        "identityMap": {
            "FPID": [{"id": f"3f1c9a52-7e0b-4d6a-8c21-{number:012d}", "primary": True}],
            "loyaltyId": [{"id": f"L{number * 7919 % 10_000_000:08d}", "authenticatedState": "authenticated"}],
        },
        "device": {"type": "terminal", "manufacturer": "Contoso", "model": "K-200", "screenWidth": 1920},
        "environment": {"type": "application", "operatingSystem": "Linux", "operatingSystemVersion": "6.1.0"},
        "placeContext": {
            "localTimezoneOffset": 60,
            "geo": {"countryCode": "DE", "city": "Köln", "postalCode": f"{50667 + number % 300}"},
        },
        "_contoso": {
            "store": {"id": f"store-{number % 412:04d}", "till": number % 9 + 1, "shift": "early"},
            "software": {"name": "contoso-kiosk", "channel": "stable", "build": f"{number % 900:05d}", "uptime": 86400},
            "receipt": f"R-{number:09d}",
            "offline": number % 3 == 0,
        },
    }
    xdm |= _DETAILS[number % 5](number)
    return {"xdm": xdm}


def make_events(count: int = POOL, size: int | None = None) -> list[dict[str, Any]]:
    """Events of about 1,065 bytes of JSON as stored (with their `_id`), or with articles up to about `size` bytes."""
    events = [make_event(number) for number in range(count)]
    for number, event in enumerate(events):
        if size is not None:
            articles: list[dict[str, Any]] = []
            event["xdm"]["productListItems"] = articles
            room = size - len(encode_plainly(event))
            while room > 150:
                articles.append(_article(number + len(articles)))
                room -= len(encode_plainly(articles[-1])) + 1
    return events


def stream(count: int) -> Iterator[dict[str, Any]]:
    """`count` events, of which only `POOL` are kept in memory."""
    return islice(cycle(make_events(min(POOL, count))), count)


def encode_plainly(event: Any) -> str:
    """Compact JSON by the standard library, as the raw floor writes it."""
    return json.dumps(event, separators=(",", ":"))


_KINDS = (
    "commerce.purchases",
    "web.webpagedetails.pageViews",
    "commerce.productListAdds",
    "application.launches",
    "decisioning.propositionDisplay",
)


def _article(number: int) -> dict[str, Any]:
    return {
        "SKU": f"4006381{number % 1_000_000:06d}",
        "name": ("Mineralwasser 1,5 l", "Vollkornbrot 750 g", "Äpfel Elstar lose", "Kaffee, ganze Bohne")[number % 4],
        "quantity": number % 5 + 1,
        "priceTotal": number % 5000 / 100,
        "currencyCode": "EUR",
    }


def _purchase(number: int) -> dict[str, Any]:
    return {
        "commerce": {
            "order": {"purchaseID": f"P{number:010d}", "priceTotal": number % 20000 / 100, "currencyCode": "EUR"},
            "purchases": {"value": 1},
        },
        "productListItems": [_article(number), _article(number + 1)],
    }


def _page(number: int) -> dict[str, Any]:
    return {
        "web": {
            "webPageDetails": {
                "name": "kiosk:catalogue:drinks",
                "URL": f"https://kiosk.contoso.example/catalogue/drinks?page={number % 40}&sort=price",
                "server": "kiosk.contoso.example",
                "pageViews": {"value": 1},
            },
            "webReferrer": {"URL": "https://kiosk.contoso.example/", "type": "internal"},
        },
    }


def _cart(number: int) -> dict[str, Any]:
    cart = {"cartID": f"cart-{number:08d}", "cartSource": "kiosk"}
    return {"commerce": {"productListAdds": {"value": 1}, "cart": cart}, "productListItems": [_article(number)] * 2}


def _launch(number: int) -> dict[str, Any]:
    return {
        "application": {
            "id": "com.contoso.kiosk",
            "name": "Contoso Kiosk",
            "version": f"5.{number % 30}.1",
            "launches": {"value": 1},
            "firstLaunches": {"value": 0},
        },
        "_experience": {"analytics": {"customDimensions": {"eVars": {f"eVar{i}": f"v{number + i}" for i in range(7)}}}},
    }


def _display(number: int) -> dict[str, Any]:
    proposition = {
        "id": f"AT:eyJhY3Rpdml0eUlkIjoi{number:08d}In0=",
        "scope": "kiosk#attract-loop",
        "scopeDetails": {"decisionProvider": "TGT", "activity": {"id": f"{number % 90}"}, "experience": {"id": "2"}},
    }
    return {"_experience": {"decisioning": {"propositions": [proposition], "propositionEventType": {"display": 1}}}}


_DETAILS = (_purchase, _page, _cart, _launch, _display)
