"""CSV for spreadsheets and data frames (RFC 4180): plain numbers, times in ISO 8601.

A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@` as a formula. Ids and messages come
from outside, so such a text gets an apostrophe in front, which spreadsheets hide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


Cell = str | int | float | None

_FORMULA: Final = ("=", "+", "-", "@")
_QUOTED: Final = frozenset('",')


def to_csv(titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a header and rows as CSV, one line a row; None is an empty cell."""
    return "".join(",".join(map(_cell, row)) + "\r\n" for row in (titles, *rows))


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = printable(value)
    if text.lstrip(" ").startswith(_FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if _QUOTED.intersection(text) else text
