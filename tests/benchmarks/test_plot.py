"""The plot of growth: well-formed, to scale, and without overlapping labels."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from benchmarks.plot import HEIGHT, WIDTH, Line, Panel, svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*panels: Panel) -> ET.Element:
    return ET.fromstring(svg(panels))


def panel(*lines: Line) -> Panel:
    return Panel(title="growth & more", across="rows", lines=lines)


def points(root: ET.Element) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, _, y in (pair.partition(",") for pair in path.split())]
        for line in root.iter(f"{SVG}polyline")
        if (path := line.get("points")) is not None
    ]


def test_what_is_linear_is_a_straight_line() -> None:
    [[first, second, third]] = points(
        drawn(panel(Line(name="wall, s", points=[(10, 0.1), (100, 1), (1_000, 10)])))
    )

    assert second[0] - first[0] == pytest.approx(third[0] - second[0], abs=0.2)
    assert first[1] - second[1] == pytest.approx(second[1] - third[1], abs=0.2)
    assert first[1] > second[1]


def test_everything_is_inside() -> None:
    line = Line(name="memory", points=[(1, 0), (10_000_000, 99_999)])
    root = drawn(panel(line), panel(line))

    assert root.get("viewBox") == f"0 0 {2 * WIDTH} {HEIGHT}"
    for path in points(root):
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in path)


def test_names_do_not_lie_on_each_other() -> None:
    lines = [Line(name=f"line {number}", points=[(1, 5), (10, 1)]) for number in range(5)]
    names = [
        float(text.get("y", ""))
        for text in drawn(panel(*lines)).iter(f"{SVG}text")
        if (text.text or "").startswith("line ")
    ]

    assert len(names) == 5
    assert max(names) < HEIGHT
    assert all(abs(a - b) >= 14 for a in names for b in names if a is not b)


def test_light_and_dark_are_both_thought_of() -> None:
    assert "prefers-color-scheme: dark" in svg([panel(Line(name="one", points=[(1, 1)]))])
