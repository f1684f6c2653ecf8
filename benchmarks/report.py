"""What a benchmark found: one table of targets, and the same as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from targets import TARGETS, Target


@dataclass(frozen=True)
class Figure:
    """A median, the quartiles of its repetitions, and in words what it was made of."""

    value: float
    low: float
    high: float
    note: str = ""


@dataclass(frozen=True)
class Skipped:
    """Why a figure could not be had here."""

    reason: str


Found = Mapping[str, Figure | Skipped]


def of_values(values: Sequence[float], note: str = "") -> Figure:
    """The median of what the repetitions found."""
    return Figure(statistics.median(values), *_spread(values), note)


def against(ours: Sequence[float], theirs: Sequence[float], unit: str = "/s") -> Figure:
    """The median of the ratios of each repetition: what disturbed one side of it disturbed the other as well."""
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    note = f"{short(statistics.median(ours))}{unit} against {short(statistics.median(theirs))}{unit}"
    return of_values(ratios, note)


def _spread(values: Sequence[float]) -> tuple[float, float]:
    """The quartiles, or the ends of a few values."""
    if len(values) < 4:
        return min(values), max(values)
    low, _, high = statistics.quantiles(values, n=4)
    return low, high


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def cells(target: Target, found: Figure | Skipped) -> list[str]:
    """One line of the table."""
    row = [str(target.row), target.text]
    if isinstance(found, Skipped):
        return [*row, "skipped", "", target.bound, "", found.reason]
    met = {None: "", True: "ok", False: "missed"}[target.met(found.value)]
    figure = f"{short(found.value)} {target.unit}".strip()
    return [*row, figure, f"{short(found.low)} to {short(found.high)}", target.bound, met, found.note]


HEADS = ["row", "measure", "figure", "spread", "target", "", "made of"]
RIGHT = frozenset((2, 3, 4))


def table(rows: Sequence[Sequence[str]], right: Container[int] = frozenset((1,))) -> str:
    """Rows in columns, the first as heads; columns of figures end at the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def report(heading: str, found: Found) -> str:
    """The table of the targets that were asked for."""
    rows = [cells(one, found[one.key]) for one in TARGETS if one.key in found]
    marks = [row[5] for row in rows]
    summary = f"{marks.count('ok')} ok, {marks.count('missed')} missed, {marks.count('')} shown or skipped"
    return f"{heading}\n\n{table([HEADS, *rows], RIGHT)}\n\n{summary}"


def as_markdown(found: Found) -> str:
    """The table as docs/benchmarks.md has it."""
    rows = [cells(one, found[one.key]) for one in TARGETS if one.key in found]
    lines = [
        f"| {row} | {text} | {figure} | {bound} | {met} | {note} |".replace("<=", "≤").replace(">=", "≥")
        for row, text, figure, _, bound, met, note in rows
    ]
    heads = ["| # | measure | figure | target | | made of |", "| ---: | --- | ---: | ---: | --- | --- |"]
    return "\n".join([*heads, *lines]) + "\n"


def as_json(heading: str, found: Found, seconds: float, series: Mapping[str, object]) -> str:
    """The same for programs; `series` are the points of the pictures."""
    figures = []
    for one in TARGETS:
        if (value := found.get(one.key)) is not None:
            met = one.met(value.value) if isinstance(value, Figure) else None
            figures.append(asdict(one) | asdict(value) | {"met": met})
    document = {"conditions": heading, "seconds": round(seconds), "figures": figures, "series": series}
    return json.dumps(document, indent=1) + "\n"


def write_json(path: Path, heading: str, found: Found, seconds: float, series: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(heading, found, seconds, series))


def short(value: float) -> str:
    """A figure with as many digits as mean something."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100 or value == round(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
