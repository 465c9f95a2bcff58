"""The parts of a figure: a caption, an SVG drawing with a name, and its data as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.report.page.markup import element

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runner.report.page.markup import Content, Html

FULL_HEIGHT: Final = 12

HEIGHTS: Final = {"validating": 4, "finalizing": 8, "cancelling": 8, "unreported": 8}
"""The heights of bars in pixels: phases differ in height as well as in colour."""

MARKS: Final = {"going": "M2 1 9 6 2 11Z", "broken": "M3 2 11 10M11 2 3 10"}
"""The SVG paths of the signs after the end of a bar, which is at x = 0."""


def figure(
    identifier: str, title: str, caption: Content, *content: Content, wide: bool = False
) -> Html:
    """Return a figure with a heading; `caption` says what it shows."""
    return element(
        "figure",
        element("figcaption", element("h3", title), element("p", caption)),
        *content,
        id=identifier,
        class_="card wide" if wide else "card",
    )


def drawing(identifier: str, title: str, description: str, height: int, *shapes: Html) -> Html:
    """Return an SVG drawing as wide as its place; its x coordinates are in percent."""
    return element(
        "svg",
        element("title", title, id=f"{identifier}-title"),
        element("desc", description, id=f"{identifier}-desc"),
        *shapes,
        id=identifier,
        class_="chart",
        role="img",
        aria_labelledby=f"{identifier}-title {identifier}-desc",
        width="100%",
        height=height,
    )


def folded_table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[Content]], *, numbers: int
) -> Html:
    """Return the data of a drawing as a folded table; see `data_table`."""
    table = data_table(caption, heads, rows, numbers=numbers)
    return element(
        "details", element("summary", "As a table"), scroll_area(caption, table), class_="data"
    )


def data_table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[Content]], *, numbers: int
) -> Html:
    """Return a table; the first column has the row headers, the last `numbers` columns numbers."""
    counted = len(heads) - numbers
    return element(
        "table",
        element("caption", caption),
        element(
            "thead",
            element(
                "tr",
                *(
                    element("th", head, scope="col", class_="n" if at >= counted else None)
                    for at, head in enumerate(heads)
                ),
            ),
        ),
        element(
            "tbody",
            *(
                element(
                    "tr",
                    element("th", row[0], scope="row"),
                    *(
                        element("td", cell, class_="n" if at >= counted else None)
                        for at, cell in enumerate(row[1:], start=1)
                    ),
                )
                for row in rows
            ),
        ),
    )


def scroll_area(name: str, *content: Content, class_: str = "scroll") -> Html:
    """Return an area that scrolls if it is wider than the screen; the keyboard can scroll it."""
    return element("div", *content, class_=class_, role="region", aria_label=name, tabindex=0)


def rect(x: float, width: float, y: float, height: float, class_: str, *content: Html) -> Html:
    """Return a rectangle; `x` and `width` are in percent."""
    return element(
        "rect", *content, class_=class_, x=_percent(x), width=_percent(width), y=y, height=height
    )


def label(x: float, y: float, words: str, *, anchor: str = "start", class_: str = "axis") -> Html:
    """Return a text in a drawing; `x` is in percent."""
    return element("text", words, class_=class_, x=_percent(x), y=y, text_anchor=anchor)


def horizontal_line(y: float, *, class_: str = "grid") -> Html:
    """Return a horizontal line through a drawing."""
    return element("line", class_=class_, x1="0", x2="100%", y1=y, y2=y)


def vertical_line(x: float, top: float, bottom: float) -> Html:
    """Return a vertical line in a drawing; `x` is in percent."""
    return element("line", class_="grid", x1=_percent(x), x2=_percent(x), y1=top, y2=bottom)


def stacked_bar(parts: Iterable[tuple[str, int]], total: int) -> Html:
    """Return a thin bar of (class, count) parts. Screen readers skip it: the numbers are text."""
    at = 0.0
    shapes: list[Html] = []
    for class_, count in parts:
        width = 100 * count / total if total else 0.0
        if width:
            shapes.append(rect(at, width, 0, 8, class_))
        at += width
    return element("svg", *shapes, class_="bar", aria_hidden="true", width="100%", height=8)


def legend(entries: Iterable[tuple[str, str]]) -> Html:
    """Return a legend of (class, words), each with its shape in the drawing."""
    return element(
        "ul",
        *(
            element(
                "li",
                element(
                    "svg",
                    _shape(class_),
                    aria_hidden="true",
                    width=14,
                    height=12,
                ),
                words,
            )
            for class_, words in entries
        ),
        class_="legend",
    )


def _shape(class_: str) -> Html:
    if class_ in MARKS:
        return element("path", d=MARKS[class_], class_=class_)
    height = HEIGHTS.get(class_, FULL_HEIGHT)
    return element("rect", class_=class_, width=14, height=height, y=(FULL_HEIGHT - height) / 2)


def _percent(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") + "%"
