from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.inputs.row_set import RowSet

# Few and close, so that ranges touch, overlap and swallow each other.
some_rows = st.sets(st.integers(0, 40))


def test_text_has_inclusive_ends() -> None:
    assert str(RowSet.from_iterable([0, 1, 2, 3, 4, 7, 9, 10, 11, 12])) == "0-4,7,9-12"


def test_text_is_read_back() -> None:
    rows = RowSet.parse("0-4,7,9-12")
    assert list(rows) == [0, 1, 2, 3, 4, 7, 9, 10, 11, 12]
    assert list(rows.ranges()) == [(0, 5), (7, 8), (9, 13)]
    assert (rows.first, rows.last, len(rows)) == (0, 12, 10)


def test_adjacent_ranges_become_one() -> None:
    assert RowSet.parse("0-4,5-9") == RowSet.span(0, 10)


@pytest.mark.parametrize("text", ["0-", "-3", "a", "1,,2", "0-4,3", "9,3", "4-1", " 1", "\uff11"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a set of rows"):
        RowSet.parse(text)


def test_rows_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="count from 0"):
        RowSet.from_iterable([-1])
    with pytest.raises(ValueError, match="count from 0"):
        RowSet.span(-1, 3)


def test_the_empty_set() -> None:
    empty = RowSet()
    assert not empty
    assert str(empty) == ""
    assert RowSet.parse("") == empty == RowSet.span(5, 5) == RowSet.from_iterable([])
    for end in ("first", "last"):
        with pytest.raises(ValueError, match="empty"):
            getattr(empty, end)


def test_a_long_range_is_small() -> None:
    assert len(RowSet.span(0, 50_000)._bounds) == 2


def test_contains_only_rows() -> None:
    assert "1" not in RowSet.span(0, 5)
    assert RowSet.span(0, 5) != {0, 1, 2, 3, 4}


@given(st.lists(st.integers(0, 40)))
def test_any_order_and_repeats_give_the_same_set(rows: list[int]) -> None:
    made = RowSet.from_iterable(rows)
    assert list(made) == sorted(set(rows))
    assert made == RowSet.from_iterable(sorted(rows))
    assert hash(made) == hash(RowSet.from_iterable(set(rows)))


@given(some_rows)
def test_text_round_trip(rows: set[int]) -> None:
    made = RowSet.from_iterable(rows)
    assert RowSet.parse(str(made)) == made
    assert eval(repr(made), {"RowSet": RowSet}) == made


@given(some_rows, some_rows)
def test_it_is_a_set(one: set[int], other: set[int]) -> None:
    mine, theirs = RowSet.from_iterable(one), RowSet.from_iterable(other)
    assert mine.union(theirs) == RowSet.from_iterable(one | other)
    assert mine.difference(theirs) == RowSet.from_iterable(one - other)
    assert mine.intersection(theirs) == RowSet.from_iterable(one & other)
    assert len(mine) == len(one)
    assert all((row in mine) == (row in one) for row in range(-1, 42))
