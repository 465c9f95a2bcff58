"""Tables that fit a width, and CSV."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.report.csv_output import to_csv
from runner.report.table import Column, flow_cells, render_table
from runner.report.text_width import columns
from runner.text import printable
from tests.report.scenes import HOSTILE

HEADS = (
    Column(title="NAME", narrowest=6),
    Column(title="N", number=True),
    Column(title="FIRST", rank=1),
    Column(title="SECOND", rank=2),
    Column(title="WHAT", narrowest=8),
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=30).map(printable)
ROWS = st.lists(
    st.tuples(TEXT, st.integers(0, 999).map(str), TEXT, TEXT, TEXT), min_size=1, max_size=4
)


@given(ROWS, st.integers(25, 120))
def test_a_table_keeps_to_its_width(rows: list[tuple[str, ...]], width: int) -> None:
    table = render_table(HEADS, rows, width)

    assert max(map(columns, table.lines)) <= width
    assert len(table.lines) == len(rows) + 1


@given(ROWS)
def test_without_a_limit_a_table_has_everything(rows: list[tuple[str, ...]]) -> None:
    table = render_table(HEADS, rows, None)

    assert table.left_out == ()
    for row, line in zip(rows, table.lines[1:], strict=True):
        assert all(cell.strip() in line for cell in row)


def test_what_matters_least_is_left_out_first_and_what_fits_is_kept() -> None:
    rows = [("a-long-name", "7", "x" * 10, "y" * 3, "what happened")]

    assert render_table(HEADS, rows, 60).left_out == ()
    assert render_table(HEADS, rows, 45).left_out == ("SECOND",)
    assert render_table(HEADS, rows, 40).left_out == ("FIRST",)  # SECOND is narrow enough
    narrow = render_table(HEADS, rows, 25)
    assert narrow.left_out == ("FIRST", "SECOND")
    assert narrow.lines[1] == "a-long-na…  7  what happ…"


def test_colour_is_put_on_where_it_was_asked_for() -> None:
    coloured = render_table(
        HEADS,
        [("a", "1", "b", "c", "d")],
        None,
        colour_cell=lambda row, at, cell: f"<{row}{at}{cell}>",
    )

    assert coloured.lines[1] == "<00a   >  <011>  <02b    >  <03c     >  <04d>"


@given(st.lists(TEXT, max_size=9), st.integers(12, 60))
def test_what_flows_keeps_to_its_width_and_its_order(cells: list[str], width: int) -> None:
    lines = flow_cells(cells, width, indent=2)

    assert all(columns(line) <= width for line in lines)
    if all(columns(cell) <= width - 2 for cell in cells):
        assert "".join(lines).replace(" ", "") == "".join(cells).replace(" ", "")


CELLS = st.none() | st.integers() | st.text(st.characters(codec="utf-8"))


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5))
@example([("a,b", 'say "x"'), (None, HOSTILE), ("\r\n", "-1")])
def test_a_spreadsheet_reads_what_was_written(rows: list[tuple[str | int | None, ...]]) -> None:
    written = to_csv(("one", "two"), rows)

    read = list(csv.reader(io.StringIO(written, newline=""), strict=True))

    assert written.endswith("\r\n")
    assert read[0] == ["one", "two"]
    for row, cells in zip(rows, read[1:], strict=True):
        for value, cell in zip(row, cells, strict=True):
            if isinstance(value, str):
                assert cell.removeprefix("'") == printable(value).removeprefix("'")
            else:
                assert cell == ("" if value is None else str(value))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum(a1)", "  =1", "\t=1", "=cmd|'/c x'!A0"])
def test_no_text_becomes_a_formula(text: str) -> None:
    [_, [cell]] = csv.reader(io.StringIO(to_csv(("x",), [(text,)])))

    assert cell == f"'{printable(text)}"
    assert to_csv(("x",), [(-1,)]) == "x\r\n-1\r\n"  # a number is what it is
