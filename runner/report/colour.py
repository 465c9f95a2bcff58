"""Colours for text in a terminal: the eight colours that every terminal has.

A colour only repeats what the text says, so the text without colour has all the information.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.report.text_width import columns, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_RESET: Final = "\x1b[0m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """Adds escape codes of colours to text; `on` False leaves text unchanged.

    Escape codes take no columns of the terminal: fit text to a width first, colour it afterwards.
    Source of the codes: ECMA-48, section 8.3.117 (SGR).
    """

    on: bool = False

    def bold(self, text: str) -> str:
        """Return a heading in bold."""
        return self._coloured("1", text)

    def faint(self, text: str) -> str:
        """Return a detail in faint letters."""
        return self._coloured("2", text)

    def good(self, text: str) -> str:
        """Return a success in green."""
        return self._coloured("32", text)

    def warning(self, text: str) -> str:
        """Return a warning in yellow."""
        return self._coloured("33", text)

    def bad(self, text: str) -> str:
        """Return a failure in red."""
        return self._coloured("31", text)

    def busy(self, text: str) -> str:
        """Return running work in cyan."""
        return self._coloured("36", text)

    def state(self, state: str, text: str) -> str:
        """Return a text in the colour of the state of its job."""
        match state:
            case "succeeded":
                return self.good(text)
            case "partial":
                return self.warning(text)
            case "failed":
                return self.bad(text)
            case "running":
                return self.busy(text)
            case _:
                return text

    def _coloured(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}{_RESET}" if self.on and text else text


NO_COLOURS: Final = Colours()


def join_coloured(pieces: Iterable[tuple[str, Callable[[str], str]]], width: int) -> str:
    """Join pieces of plain text, each with its own colour, and cut the line to `width` columns."""
    line = ""
    for text, colour in pieces:
        if width <= 0 or not text:
            continue
        shown = fit(text, width)
        width = width - columns(text) if shown == text else 0
        line += colour(shown)
    return line


def uncoloured(text: str) -> str:
    """Return a piece unchanged: it has no colour."""
    return text


def bar(done: int, total: int, width: int) -> tuple[str, str]:
    """Return the filled and the empty part of a progress bar of `width` columns."""
    filled = min(max(width * done // total, 0), width) if total else 0
    return "━" * filled, "─" * (width - filled)
