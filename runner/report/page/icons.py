"""The icons of states: SVG symbols, always shown with the word of the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.report.page.markup import element

if TYPE_CHECKING:
    from runner.report.page.markup import Html


_SHAPES: Final = {
    "succeeded": "M3.5 8.5 6.5 11.5 12.5 4.5",
    "partial": "M8 3.5V9M8 11.6V12.4",
    "failed": "M4.5 4.5 11.5 11.5M11.5 4.5 4.5 11.5",
    "running": "M5.5 3.5 12 8 5.5 12.5Z",
    "pending": "M8 4.2V8L10.8 9.8",
    "cancelled": "M4 8H12",
}
_RINGED: Final = frozenset({"pending", "cancelled", "partial"})

STATES: Final = ("failed", "partial", "running", "pending", "succeeded", "cancelled")
"""The states in the order of the page: those that need attention first."""


def sprite() -> Html:
    """Return the symbols of all icons; a page has them once, at its beginning."""
    return element(
        "svg",
        *(_symbol(name, path) for name, path in _SHAPES.items()),
        class_="sprite",
        aria_hidden="true",
        width=0,
        height=0,
    )


def _symbol(name: str, path: str) -> Html:
    ring = element("circle", cx=8, cy=8, r=7) if name in _RINGED else None
    return element("symbol", ring, element("path", d=path), id=f"sign-{name}", viewBox="0 0 16 16")


def state_icon(state: str) -> Html:
    """Return the icon of a state, without its word."""
    return element(
        "svg", element("use", href=f"#sign-{state}"), class_=f"sign {state}", aria_hidden="true"
    )


def state_label(state: str) -> Html:
    """Return the word of a state with its icon."""
    return element("span", state_icon(state), state, class_=f"state {state}")
