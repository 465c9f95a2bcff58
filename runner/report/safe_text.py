"""Text from outside made safe to show, and made to fit: what every rendering goes through.

Messages of servers, names of files and the contents of specs are shown to people in terminals,
where a control character can move the cursor and a bidirectional one can turn a sentence round.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_JOINERS: Final = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Format characters that words and emoji are made with; they move nothing."""

_ELLIPSIS: Final = "…"


def plain(text: str) -> str:
    """Make text from outside safe to show: one line, no control, no change of direction.

    White space of any kind becomes a space, everything else that is not a visible character
    a replacement character.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "Z" or character in "\t\n\v\f\r":
        return " "
    if category[0] == "C" and character not in _JOINERS:
        return _REPLACEMENT
    return character


def columns(text: str) -> int:
    """Return how many columns of a terminal a line of plain text takes.

    Source: Unicode Standard Annex #11, wide and full-width characters take two.
    """
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, width: int) -> str:
    """Fill a line of plain text up with spaces to a number of columns."""
    return text + " " * (width - columns(text))


def fit(text: str, width: int | None) -> str:
    """Shorten a line of plain text to a number of columns, with an ellipsis; None: not at all."""
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
    """Break a line of plain text at spaces; all lines but the first begin with `indent` spaces.

    `width` None leaves it as it is. A word that is too long for a line is not broken: it may be
    a path that somebody wants to copy.
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
