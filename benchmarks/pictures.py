"""The pictures of docs/benchmarks.md, one for each question, as plain SVG: no library, legible on white and on black.

The ground is transparent; text and grid are of a grey that has a contrast of 4.5 with both, and lighter or darker
where the viewer says which of the two it is. Lines differ by dashes as well as by colour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from report import short

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 92, 200, 46, 54
COLOURS = ("#e8590c", "#1c7ed6", "#2f9e44", "#ae3ec9", "#b08900", "#0c8599", "#868e96", "#d6336c")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2", "12 4", "3 5")
_STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #757575 } .title { font-size: 15px; font-weight: 600 }
.grid { stroke: #808080; stroke-opacity: .3 } .line { fill: none; stroke-width: 2 } .ours { stroke-width: 3.5 }
@media (prefers-color-scheme: dark) { text { fill: #c8c8c8 } }
@media (prefers-color-scheme: light) { text { fill: #404040 } }
</style>"""

Points = Sequence[Sequence[float]]


@dataclass
class Axis:
    """One axis: from the least to the most of its values, in powers of ten unless it begins at 0."""

    label: str
    low: float
    high: float
    logarithmic: bool = True
    ticks: Mapping[float, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.ticks:
            return
        if self.logarithmic:
            first, last = floor(log10(self.low)), ceil(log10(self.high))
            self.low, self.high = 10.0**first, 10.0**last
            self.ticks = {10.0**power: f"{10.0**power:,.{max(-power, 0)}f}" for power in range(first, last + 1)}
        else:
            step = 10 ** floor(log10(self.high))
            step = step / 2 if self.high / step < 4 else step
            self.ticks = {step * number: f"{step * number:g}" for number in range(ceil(self.high / step) + 1)}
            self.high = max(self.ticks)

    def share(self, value: float) -> float:
        """Where a value stands between both ends, from 0 to 1."""
        if self.logarithmic:
            return log10(max(value, self.low) / self.low) / log10(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def draw(directory: Path, series: Mapping[str, Any]) -> list[Path]:
    """Write the pictures for which there are points; where they were written."""
    makers: Mapping[str, tuple[str, Callable[[Any], str]]] = {
        "backlog_get": ("benchmark-backlog.svg", _backlog),
        "latency": ("benchmark-latency.svg", _latency),
        "life": ("benchmark-bytes.svg", _bytes),
    }
    written = []
    for key, (name, make) in makers.items():
        if series.get(key):
            directory.mkdir(parents=True, exist_ok=True)
            path = directory / name
            path.write_text(make(series[key]), encoding="utf-8")
            written.append(path)
    return written


def _backlog(lines: Mapping[str, Points]) -> str:
    points = [point for line in lines.values() for point in line]
    across = Axis("events in the backlog", min(one for one, _ in points), max(one for one, _ in points))
    up = Axis("events per second", min(one for _, one in points), max(one for _, one in points))
    named = {_named(name): line for name, line in lines.items()}
    return _lines("Taking events out, over the backlog", named, across, up)


def _named(name: str) -> str:
    """What a take is for each of them."""
    if name == "edgequeue":
        return "edgequeue, settled by 100"
    return f"{name}, no acknowledgement" if name in ("diskcache", "huey") else name


def _latency(lines: Mapping[str, Points]) -> str:
    """The shares as how many puts are slower, so that the slowest have the room."""
    points = [point for line in lines.values() for point in line]
    across = Axis("an enqueue takes longer than, ms", min(one for one, _ in points), max(one for one, _ in points))
    ticks = {1.0: "all", 0.1: "1 in 10", 0.01: "1 in 100", 0.001: "1 in 1,000", 0.0001: "1 in 10,000"}
    up = Axis("of the enqueues", 0.0001, 1.0, ticks=ticks)
    slower = {name: [(took, 1 - share) for took, share in line] for name, line in lines.items()}
    return _lines("How long an enqueue takes while another process drains", slower, across, up)


def _lines(title: str, lines: Mapping[str, Points], across: Axis, up: Axis) -> str:
    body = [_frame(title, across, up)]
    for number, (name, points) in enumerate(lines.items()):
        places = " ".join(f"{_x(across, one):.1f},{_y(up, other):.1f}" for one, other in points)
        style = f'stroke="{COLOURS[number % 8]}" stroke-dasharray="{DASHES[number % 8]}"'
        ours = " ours" if name.startswith("edgequeue") else ""
        body.append(f'<polyline class="line{ours}" {style} points="{places}"/>')
        height = TOP + 8 + 34 * number
        end = WIDTH - RIGHT + 14
        body.append(f'<line class="line{ours}" {style} x1="{end}" y1="{height}" x2="{end + 26}" y2="{height}"/>')
        first, _, rest = name.partition(", ")
        body.append(_text(end + 32, height + 4, first))
        if rest:
            body.append(_text(end + 32, height + 18, rest))
    return _svg(title, body, HEIGHT)


def _bytes(values: Mapping[str, float]) -> str:
    """Bars, the shortest first: the payload itself is 1."""
    title = "Bytes written to disk over an event's life"
    ordered = sorted(values.items(), key=lambda pair: pair[1])
    row, left = 30, 190
    height = TOP + row * len(ordered) + BOTTOM
    axis = Axis("times the bytes of the payload", 0.0, max(values.values()), logarithmic=False)
    wide = WIDTH - left - 60
    body = [_text(left, 26, title, "title")]
    for value, text in axis.ticks.items():
        x = left + wide * axis.share(value)
        body.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - BOTTOM}"/>')
        body.append(_text(x, height - BOTTOM + 18, text, anchor="middle"))
    body.append(_text(left + wide / 2, height - 12, axis.label, anchor="middle"))
    for number, (name, value) in enumerate(ordered):
        y, long = TOP + row * number + 5, wide * axis.share(value)
        colour = COLOURS[0] if name.startswith("edgequeue") else COLOURS[1]
        body.append(f'<rect x="{left}" y="{y}" width="{long:.1f}" height="{row - 10}" fill="{colour}"/>')
        body.append(_text(left - 8, y + 15, name, anchor="end"))
        body.append(_text(left + long + 6, y + 15, short(value)))
    return _svg(title, body, height)


def _frame(title: str, across: Axis, up: Axis) -> str:
    """Title, grid and both axes with their labels."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [_text(LEFT, 26, title, "title")]
    for value, text in across.ticks.items():
        x = _x(across, value)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(_text(x, bottom + 18, text, anchor="middle"))
    for value, text in up.ticks.items():
        y = _y(up, value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 8, y + 4, text, anchor="end"))
    parts.append(_text((LEFT + right) / 2, HEIGHT - 12, across.label, anchor="middle"))
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text transform="rotate(-90 14 {middle})" x="14" y="{middle}" text-anchor="middle">{up.label}</text>'
    )
    return "\n".join(parts)


def _x(axis: Axis, value: float) -> float:
    return LEFT + (WIDTH - RIGHT - LEFT) * axis.share(value)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * axis.share(value)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, body: Sequence[str], height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", _STYLE, *body, "</svg>", ""])
