"""HTML that cannot be broken out of: whatever is not markup already is escaped.

Elements are made by functions, never by pasting text together, so there is one place where text
from outside becomes a part of the page. Control characters and those that turn the direction of
writing round are made visible there, as everywhere.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final, TypeAlias

from runner.report.safe_text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

_VOID: Final = frozenset({"br", "col", "hr", "input", "link", "meta"})


class Html(str):
    """Markup that was made here; any other string is text."""

    __slots__ = ()


Content: TypeAlias = "Html | str | int | None"
"""What may stand inside an element; None is nothing."""

BLANK: Final = "\N{EN DASH}"
"""What stands where there is nothing to say."""


def text(value: object) -> Html:
    """Make text of any origin a part of the page; it stays on one line."""
    return Html(html.escape(plain(str(value))))


def passage(value: str) -> Html:
    """Make text of several lines a part of the page: lines and tabs are kept."""
    lines = value.replace("\r\n", "\n").replace("\t", "    ").split("\n")
    return Html("\n".join(html.escape(plain(line)) for line in lines))


def element(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Html:
    """Make an element.

    Attributes are named as in Python: `class_`, `aria_label`. True stands for an attribute
    without a value; one that is None or False is left out. Their values are escaped as text is.
    """
    said = "".join(
        _attribute(key, value)
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{join(content)}</{name}>")


def join(parts: Iterable[Content], separator: str = "") -> Html:
    """Put parts one after the other."""
    return Html(
        separator.join(
            part if isinstance(part, Html) else text(part) for part in parts if part is not None
        )
    )


def _attribute(key: str, value: str | float | bool) -> str:  # noqa: FBT001 -- as HTML has it
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return (
        f' {name}="{html.escape(number(value) if isinstance(value, float) else plain(str(value)))}"'
    )


def number(value: float) -> str:
    """Write a coordinate: to a hundredth, and no zeros at its end."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
