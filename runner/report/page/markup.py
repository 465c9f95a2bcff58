"""HTML elements as functions: every string that is not `Html` is escaped.

No other module joins markup and text, so this is the only place where text from outside becomes a
part of the page. Control characters and bidirectional characters are replaced here, as in every
rendering.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final, TypeAlias

from runner.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

_VOID: Final = frozenset({"br", "col", "hr", "input", "link", "meta"})


class Html(str):
    """Markup made by this module; any other string is text."""

    __slots__ = ()


Content: TypeAlias = "Html | str | int | None"
"""The content of an element; None is left out."""

BLANK: Final = "\N{EN DASH}"
"""The text of an empty cell."""


def text(value: object) -> Html:
    """Return text of any origin as HTML, on one line."""
    return Html(html.escape(printable(str(value))))


def passage(value: str) -> Html:
    """Return text of any origin as HTML, with its lines and tabs."""
    lines = value.replace("\r\n", "\n").replace("\t", "    ").split("\n")
    return Html("\n".join(html.escape(printable(line)) for line in lines))


def element(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Html:
    """Return an element.

    Attributes have Python names: `class_`, `aria_label`. True is an attribute without a value; an
    attribute that is None or False is left out. Values are escaped as text is.
    """
    written = "".join(
        _attribute(key, value)
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(content)}</{name}>")


def join(parts: Iterable[Content], separator: str = "") -> Html:
    """Return the parts in one string, text escaped."""
    return Html(
        separator.join(
            part if isinstance(part, Html) else text(part) for part in parts if part is not None
        )
    )


def _attribute(key: str, value: str | float | bool) -> str:  # noqa: FBT001 -- as HTML has it
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = number(value) if isinstance(value, float) else printable(str(value))
    return f' {name}="{html.escape(text)}"'


def number(value: float) -> str:
    """Return a coordinate with two decimals, without zeros at its end."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
