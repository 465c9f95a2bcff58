"""Colour for those who can see it: the same text, in the eight colours of any terminal.

Colour repeats what the words say and never says anything alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.report.safe_text import columns, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_RESET: Final = "\x1b[0m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """Paints pieces of text, or leaves them as they are where `on` is false.

    Escape codes take no columns: lay text out first, paint it afterwards.
    Source of the codes: ECMA-48, section 8.3.117 (SGR).
    """

    on: bool = False

    def bold(self, text: str) -> str:
        """Paint a heading."""
        return self._coloured("1", text)

    def faint(self, text: str) -> str:
        """Paint what is there for completeness."""
        return self._coloured("2", text)

    def good(self, text: str) -> str:
        """Paint what went well."""
        return self._coloured("32", text)

    def warning(self, text: str) -> str:
        """Paint what deserves a look."""
        return self._coloured("33", text)

    def bad(self, text: str) -> str:
        """Paint what went wrong."""
        return self._coloured("31", text)

    def busy(self, text: str) -> str:
        """Paint what is under way."""
        return self._coloured("36", text)

    def state(self, state: str, text: str) -> str:
        """Paint text by the state of a job that it belongs to."""
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


def lay_out_line(pieces: Iterable[tuple[str, Callable[[str], str]]], width: int) -> str:
    """Put pieces of plain text side by side, each in its own paint, in at most `width` columns."""
    line = ""
    for text, coloured in pieces:
        if width <= 0 or not text:
            continue
        rows_that_fit = fit(text, width)
        width = width - columns(text) if rows_that_fit == text else 0
        line += coloured(rows_that_fit)
    return line


def uncoloured(text: str) -> str:
    """Leave a piece as it is."""
    return text


def bar(done: int, total: int, width: int) -> tuple[str, str]:
    """Draw how much of a total is done: what is and what is not, `width` columns together."""
    filled = min(max(width * done // total, 0), width) if total else 0
    return "━" * filled, "─" * (width - filled)
