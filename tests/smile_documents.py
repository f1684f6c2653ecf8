"""Documents for all that writes or reads Smile: what hypothesis draws, the borders of the format, composed events."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

BORDER_SIZES = (1, 2, 31, 32, 33, 34, 54, 55, 56, 57, 58, 63, 64, 65, 66, 200)
INTEGERS = (
    *(
        sign * (1 << bits) + off
        for bits in (0, 4, 5, 6, 13, 20, 31, 32, 62, 63)
        for sign in (1, -1)
        for off in (-1, 0, 1)
    ),
    2**64,
    2**70,
    -(2**70),
    10**18,
    3**400,
)
DOUBLES = (0.0, -0.0, 1.0, -1.0, 0.1, 12.99, 1e300, -1e300, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308)


def sized(size: int, letter: str = "n") -> str:
    """A text of so many UTF-8 bytes, ASCII or of that letter."""
    width = len(letter.encode())
    return letter * (size // width) + "x" * (size % width)


def _strings(size_max: int) -> st.SearchStrategy[str]:
    whole = st.characters(exclude_categories=("Cs",))
    borders = st.builds(sized, st.sampled_from([n for n in BORDER_SIZES if n <= size_max]), st.sampled_from("nä€𝄞"))
    few = st.sampled_from(["", "id", "value", "größe", "xdm"])  # repeated, so that there is something to refer to
    return few | borders | st.text(whole, max_size=size_max // 4)


def documents(name_bytes_max: int = 200, *, wide: bool = True) -> st.SearchStrategy[Any]:
    """Documents of JSON; `wide` ones hold integers of any size, the others what fits into 64 bits."""
    integers = st.integers() | st.sampled_from(INTEGERS)
    scalars = (
        st.none()
        | st.booleans()
        | (integers if wide else integers.filter(lambda number: -(2**63) <= number < 2**64))
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.sampled_from(DOUBLES)
        | _strings(200)
    )
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(_strings(name_bytes_max), inner, max_size=6),
        max_leaves=40,
    )


def border_documents() -> list[Any]:
    """Names and texts around every length at which the format changes its token; integers and doubles at theirs."""
    strings = [sized(size, letter) for size in BORDER_SIZES for letter in ("n", "ä", "€", "𝄞")]
    return [
        *({text: text} for text in strings),
        [*strings, *strings],
        [{text: 1} for text in strings * 2 if len(text.encode()) <= 56],
        list(INTEGERS),
        list(DOUBLES),
        {"": "", "a": {"": [[], {}, "", None, True, False]}},
    ]


def crowded_documents() -> list[Any]:
    """Tables of references that fill up and begin again, and slots 254 and 255, which must not be referenced."""
    texts = [f"text {number}" for number in range(2500)]
    names = [{f"name{number}": number} for number in range(2500)]
    return [
        texts[:254] + texts[:254],
        texts[:300] + texts[250:260] * 3,
        texts[:1024] + texts[1015:1024] + texts[:40],
        texts[:1025] + [texts[0], texts[1024]] * 2,
        texts + texts[::7] + texts,
        names[:300] + names[250:260] * 3,
        names[:1024] + names[1015:1024] + names[:40],
        names + names[::7] + names,
        [{one: texts[at] for at, one in enumerate(texts[:700])}, texts],
    ]


def purchase(number: int) -> dict[str, Any]:
    """A sale as a till writes it, each with its own numbers."""
    articles = [
        {
            "SKU": f"40063{number * 37 % 99991:07d}",
            "name": "Äpfel, lose",
            "quantity": 1 + number % 4,
            "priceTotal": 2.49,
        },
        {"SKU": "7622210449283", "name": "Kaffee", "quantity": 1, "priceTotal": round(number % 90 + 0.99, 2)},
    ]
    return {
        "_id": f"sale-{number:08d}",
        "timestamp": f"2026-11-{number % 28 + 1:02d}T{number % 24:02d}:15:30.{number % 1000:03d}Z",
        "eventType": "commerce.purchases",
        "identityMap": {"Email": [{"id": f"customer{number}@example.com", "primary": number % 2 == 0}]},
        "commerce": {"order": {"purchaseID": f"P{number}", "priceTotal": number / 100, "currencyCode": "EUR"}},
        "productListItems": articles,
        "_contoso": {"till": number % 9, "offline": True, "note": None, "pressed": 1_790_000_000_000 + number},
    }


def batches() -> list[Any]:
    """Request documents as they go out: events of Edge, messages of DCCS."""
    schema = {"id": "https://ns.adobe.com/contoso/schemas/1234", "contentType": "application/vnd.adobe.xed-full+json"}
    header = {"schemaRef": schema, "imsOrgId": "1234@AdobeOrg", "datasetId": "5f0c2f6e7e0b4d5a", "flowId": "f-1"}
    return [
        {"events": [{"xdm": purchase(number)} for number in range(80)]},
        {"messages": [{"header": header, "body": {"xdmEntity": purchase(number)}} for number in range(100)]},
        purchase(7),
    ]
