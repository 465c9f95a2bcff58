"""Tables that fit a terminal: columns are left out or shortened, in a fixed order.

Cells are printable text (`runner.text.printable`); colours are added last, since they take no
columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.report.colour import NO_COLOURS
from runner.report.text_width import columns, fit, pad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.report.colour import Colours

_GAP: Final = 2
_ENDLESS: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column, and what may be done to it in a narrow terminal.

    A column of `rank` 0 is never left out; of the others, the highest rank is left out first.
    `narrowest` is the least width to which it may be shortened, None: it may not be shortened.
    """

    title: str
    number: bool = False
    rank: int = 0
    narrowest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A rendered table: the lines, head first, and the titles of the columns left out."""

    lines: tuple[str, ...]
    left_out: tuple[str, ...]


def render_table(
    heads: Sequence[Column],
    rows: Sequence[Sequence[str]],
    width: int | None,
    *,
    colours: Colours = NO_COLOURS,
    colour_cell: Callable[[int, int, str], str] | None = None,
) -> Table:
    """Render rows as a table of at most `width` columns of a terminal.

    `width` None sets no limit: no column is left out or shortened. `colour_cell` returns the text
    of a cell in colour, given the index of its row, the index of its column, and its text.
    """
    titles = [head.title for head in heads]
    widths = [max(columns(row[number]) for row in (titles, *rows)) for number in range(len(heads))]
    kept = _columns_that_fit(heads, widths, width)
    _shorten(heads, widths, kept, width)

    def line(row: Sequence[str], number: int | None) -> str:
        cells = []
        for place in kept:
            cell = fit(row[place], widths[place])
            cell = cell.rjust(widths[place]) if heads[place].number else pad(cell, widths[place])
            if place == kept[-1]:
                cell = cell.rstrip()
            if number is not None and colour_cell is not None:
                cell = colour_cell(number, place, cell)
            cells.append(cell)
        return (" " * _GAP).join(cells)

    return Table(
        lines=(
            colours.bold(line(titles, None)),
            *(line(row, number) for number, row in enumerate(rows)),
        ),
        left_out=tuple(title for place, title in enumerate(titles) if place not in kept),
    )


def _columns_that_fit(
    heads: Sequence[Column], widths: Sequence[int], width: int | None
) -> list[int]:
    """Return the indices of the columns that fit, the most important ones first."""
    everything = list(range(len(heads)))
    if width is None:
        return everything
    kept = [place for place in everything if heads[place].rank == 0]
    for place in sorted(everything, key=lambda place: heads[place].rank):
        if place not in kept and _total_width([*kept, place], widths) <= width:
            kept.append(place)
    return sorted(kept)


def _shorten(
    heads: Sequence[Column], widths: list[int], kept: Sequence[int], width: int | None
) -> None:
    """Shorten the widest column again and again, until all columns fit or none may be shortened."""
    if width is None:
        return
    while _total_width(kept, widths) > width:
        places = [place for place in kept if widths[place] > (heads[place].narrowest or _ENDLESS)]
        if not places:
            return
        widths[max(places, key=lambda place: widths[place])] -= 1


def _total_width(kept: Sequence[int], widths: Sequence[int]) -> int:
    return sum(widths[place] for place in kept) + _GAP * (len(kept) - 1)


def flow_cells(cells: Sequence[str], width: int, *, indent: int) -> list[str]:
    """Return lines of at most `width` columns, each with as many cells as fit; no cell is cut."""
    lines: list[str] = []
    for cell in cells:
        short = fit(cell, width - indent)
        if lines and columns(lines[-1]) + _GAP + columns(short) <= width:
            lines[-1] += " " * _GAP + short
        else:
            lines.append(" " * indent + short)
    return lines
