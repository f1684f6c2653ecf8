"""What the benchmarks share: events, the raw sqlite3 floor, interleaved repetitions, medians and tables."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
POOL = 2000
"""Different events; longer runs take them in turn, so that a million of them does not need their size in memory."""


# --- events -----------------------------------------------------------------------------------------------------------


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


# --- the floor --------------------------------------------------------------------------------------------------------


class Floor:
    """What sqlite3 itself does with one table: json.dumps, BEGIN IMMEDIATE, INSERT, COMMIT; WAL, synchronous=FULL."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, created REAL, payload TEXT)")

    def put(self, event: Mapping[str, Any]) -> int | None:
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        cursor = execute("INSERT INTO events (created, payload) VALUES (?, ?)", (time.time(), encode_plainly(event)))
        execute("COMMIT")
        return cursor.lastrowid

    def put_many(self, events: Iterable[Mapping[str, Any]]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        rows = ((time.time(), encode_plainly(event)) for event in events)
        self.connection.executemany("INSERT INTO events (created, payload) VALUES (?, ?)", rows)
        self.connection.execute("COMMIT")

    def close(self) -> None:
        self.connection.close()


# --- measuring --------------------------------------------------------------------------------------------------------


def interleave(runs: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[Any]]:
    """Each run once per repetition, in an order that rotates, so that noise and drift hit all of them alike."""
    names = list(runs)
    found: dict[str, list[Any]] = {name: [] for name in names}
    for repetition in range(repeats):
        turn = repetition % len(names)
        for name in names[turn:] + names[:turn]:
            found[name].append(runs[name]())
    return found


def seconds_of(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def written_bytes() -> int:
    """What this process has made the kernel write so far: whole pages of the page cache, as they become dirty."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise SystemExit("/proc/self/io has no write_bytes")


def flush_micros(directory: Path, count: int = 200) -> float:
    """The median time of one fdatasync of an overwritten block of 4 KB, in microseconds."""
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        times = []
        for _ in range(count):
            os.pwrite(file.fileno(), os.urandom(4096), 0)
            times.append(seconds_of(lambda: os.fdatasync(file.fileno())))
    return statistics.median(times) * 1e6


def scratch(directory: Path | None) -> tempfile.TemporaryDirectory[str]:
    """A directory of our own for the databases: on the checkout's disk, because /tmp may be memory."""
    parent = directory or CHECKOUT / "build"  # build/ is ignored by git
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="bench-", dir=parent)


def file_system_of(path: Path) -> str:
    """The type of the file system that holds a path."""
    best = ("", "unknown")
    with suppress(OSError):
        for line in Path("/proc/mounts").read_text().splitlines():
            _, place, kind, *_ = line.split()
            if path.is_relative_to(place) and len(place) >= len(best[0]):
                best = (place, kind)
    return best[1]


def conditions(directory: Path) -> str:
    """One line that says where the figures come from."""
    return (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores, "
        f"{file_system_of(directory)}, flush {flush_micros(directory):.0f} us, load {os.getloadavg()[0]:.1f}"
    )


# --- reporting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """One line of a report: the median, the spread of the repetitions, and the target, where there is one."""

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    ratio: float | None = None
    target: float | None = None
    at_most: bool = False
    of_ratio: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        value = self.ratio if self.of_ratio else self.value
        if self.target is None or value is None:
            return None
        return value <= self.target if self.at_most else value >= self.target

    def cells(self) -> list[str]:
        spread = "" if self.low is None or self.high is None else f"{_short(self.low)} to {_short(self.high)}"
        sign = "<=" if self.at_most else ">="
        return [
            self.name,
            f"{_short(self.value)} {self.unit}",
            "" if self.floor is None else _short(self.floor),
            "" if self.ratio is None else f"{self.ratio:.2f}",
            spread,
            "" if self.target is None else f"{sign} {_short(self.target)}",
            {None: "", True: "met", False: "MISSED"}[self.met],
        ]


HEADS = ["figure", "median", "floor", "ratio", "spread", "target", ""]


def against_floor(name: str, rates: Mapping[str, Sequence[float]], target: float | None) -> Figure:
    """A figure from rates named `ours` and `floor`: the median of the ratios of each repetition."""
    ratios = [ours / floor for ours, floor in zip(rates["ours"], rates["floor"], strict=True)]
    return Figure(
        name,
        statistics.median(rates["ours"]),
        "/s",
        *spread(ratios),
        floor=statistics.median(rates["floor"]),
        ratio=statistics.median(ratios),
        target=target,
        of_ratio=True,
    )


def of_values(
    name: str, values: Sequence[float], unit: str, target: float | None = None, *, at_most: bool = False
) -> Figure:
    """A figure that has no floor."""
    return Figure(name, statistics.median(values), unit, *spread(values), target=target, at_most=at_most)


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The quartiles, or the ends of a few values."""
    if len(values) < 4:
        return min(values), max(values)
    low, _, high = statistics.quantiles(values, n=4)
    return low, high


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, the first as heads."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def report(heading: str, figures: Sequence[Figure], json_path: Path | None) -> None:
    """Print the table; write the same as JSON where it is asked for."""
    print(heading)
    print(table([HEADS, *(one.cells() for one in figures)]), flush=True)
    if json_path is not None:
        rows = [asdict(one) | {"met": one.met} for one in figures]
        json_path.write_text(json.dumps({"conditions": heading, "figures": rows}, indent=2) + "\n")


def _short(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value == round(value) else f"{value:.2f}"
