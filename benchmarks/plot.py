"""A log-log plot as SVG, for light and dark backgrounds; only with the standard library."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH: Final = 440
HEIGHT: Final = 360
_LEFT: Final = 52
_RIGHT: Final = 118
_TOP: Final = 40
_BOTTOM: Final = 48
_LABEL_HEIGHT: Final = 14
_SMALLEST: Final = 0.01
"""Seconds or megabytes; smaller values are drawn here."""

_STYLE: Final = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 } .grid { stroke: #d0d7de; stroke-width: 1 }
  .line { fill: none; stroke-width: 2 } .dashed { stroke-dasharray: 6 4 }
  .c0 { stroke: #0969da } .c1 { stroke: #bc4c00 } .c2 { stroke: #1a7f37 }
  .c3 { stroke: #8250df } .c4 { stroke: #6e7781 }
  .f0 { fill: #0969da } .f1 { fill: #bc4c00 } .f2 { fill: #1a7f37 }
  .f3 { fill: #8250df } .f4 { fill: #6e7781 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .grid { stroke: #30363d }
    .c0 { stroke: #58a6ff } .c1 { stroke: #f0883e } .c2 { stroke: #3fb950 }
    .c3 { stroke: #bc8cff } .c4 { stroke: #8b949e }
    .f0 { fill: #58a6ff } .f1 { fill: #f0883e } .f2 { fill: #3fb950 }
    .f3 { fill: #bc8cff } .f4 { fill: #8b949e }
  }
"""
_COLOURS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Points, ascending in their first number; both numbers are positive."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One plot; `across` names what its horizontal axis counts."""

    title: str
    across: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """A logarithmic scale: whole decades over a range of pixels."""

    first: int
    last: int
    start: float
    end: float

    @classmethod
    def over(cls, numbers: Sequence[float], *, start: float, end: float) -> _Scale:
        """Return a scale with the decades of these numbers, at least one decade."""
        logs = [math.log10(max(number, _SMALLEST)) for number in numbers] or [0.0]
        first, last = math.floor(min(logs)), math.ceil(max(logs))
        return cls(first=first, last=max(last, first + 1), start=start, end=end)

    def __call__(self, number: float) -> float:
        share = (math.log10(max(number, _SMALLEST)) - self.first) / (self.last - self.first)
        return self.start + share * (self.end - self.start)

    @property
    def ticks(self) -> Sequence[float]:
        return [10.0**power for power in range(self.first, self.last + 1)]


def svg(panels: Sequence[Panel]) -> str:
    """Draw the panels side by side."""
    width = WIDTH * len(panels)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" role="img"',
        f' viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}">',
        f"<title>{escape('; '.join(panel.title for panel in panels))}</title>",
        f"<style>{_STYLE}</style>",
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({number * WIDTH} 0)">')
        parts.extend(_panel(panel))
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel) -> Iterator[str]:
    points = [point for line in panel.lines for point in line.points]
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    across = _Scale.over([x for x, _ in points], start=_LEFT, end=right)
    up = _Scale.over([y for _, y in points], start=bottom, end=_TOP)
    yield _text(_LEFT, 20, panel.title, css="title")
    for tick in across.ticks:
        place = across(tick)
        yield f'<line class="grid" x1="{place:.1f}" y1="{_TOP}" x2="{place:.1f}" y2="{bottom}"/>'
        yield _text(place, bottom + 16, _number(tick), anchor="middle")
    for tick in up.ticks:
        place = up(tick)
        yield f'<line class="grid" x1="{_LEFT}" y1="{place:.1f}" x2="{right}" y2="{place:.1f}"/>'
        yield _text(_LEFT - 6, place + 4, _number(tick), anchor="end")
    yield _text((_LEFT + right) / 2, HEIGHT - 10, panel.across, anchor="middle")
    for number, line in enumerate(panel.lines):
        colour = number % _COLOURS
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line.points)
        css = f"line c{colour}" + (" dashed" if line.dashed else "")
        yield f'<polyline class="{css}" points="{path}"/>'
        for x, y in line.points:
            yield f'<circle class="f{colour}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="3"/>'
    for line, place in _places(panel.lines, up):
        colour = list(panel.lines).index(line) % _COLOURS
        yield _text(right + 8, place + 4, line.name, css=f"f{colour}")


def _places(lines: Sequence[Line], up: _Scale) -> Sequence[tuple[Line, float]]:
    """Return the position of each name next to the end of its line, without overlaps."""
    places: list[tuple[Line, float]] = []
    lowest = -math.inf
    for line in sorted(lines, key=lambda line: up(line.points[-1][1])):
        lowest = max(up(line.points[-1][1]), lowest + _LABEL_HEIGHT)
        places.append((line, lowest))
    too_low = max(0.0, lowest - (HEIGHT - _LABEL_HEIGHT))
    return [(line, place - too_low) for line, place in places]


def _text(x: float, y: float, words: str, *, anchor: str = "start", css: str = "") -> str:
    style = f' class="{css}"' if css else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _number(tick: float) -> str:
    if tick < 1:
        return f"{tick:g}"
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if tick >= size:
            return f"{tick / size:,.0f}{letter}"
    return f"{tick:.0f}"
