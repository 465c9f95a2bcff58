"""The width of text in a terminal, and text cut, padded or wrapped to a width.

The text has been through `runner.text.printable`: it is one line without control characters.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_ELLIPSIS: Final = "…"


def columns(text: str) -> int:
    """Return how many columns of a terminal a line of printable text takes.

    Source: Unicode Standard Annex #11, wide and full-width characters take two.
    """
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, width: int) -> str:
    """Return a line of printable text with spaces at its end, up to a number of columns."""
    return text + " " * (width - columns(text))


def fit(text: str, width: int | None) -> str:
    """Return a line of text cut to `width` columns, with an ellipsis; None for no limit."""
    if width is None or columns(text) <= width:
        return text
    kept, used = "", columns(_ELLIPSIS)
    for character in text:
        used += _columns(character)
        if used > width:
            break
        kept += character
    return kept.rstrip() + _ELLIPSIS


def wrap(text: str, width: int | None, *, indent: int) -> str:
    """Wrap a line of printable text at spaces; all lines but the first begin with `indent` spaces.

    `width` None sets no limit. A word that is too long for a line is not broken: it may be a path
    that the user wants to copy.
    """
    if width is None or columns(text) <= width:
        return text
    lead = text[: len(text) - len(text.lstrip(" "))]
    lines: list[str] = []
    line, used = lead, len(lead)
    empty = True
    for word in text[len(lead) :].split(" "):
        needed = columns(word)
        if not empty and used + 1 + needed > width:
            lines.append(line.rstrip())
            line, used, empty = " " * indent, indent, True
        line += word if empty else f" {word}"
        used += needed + (not empty)
        empty = False
    return "\n".join([*lines, line])
