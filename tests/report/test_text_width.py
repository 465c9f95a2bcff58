"""Text in columns of a terminal: counted, cut and wrapped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.report.text_width import columns, fit, pad, wrap
from runner.text import printable


@pytest.mark.parametrize(
    ("text", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0), ("👍", 2)]
)
def test_columns_are_counted_as_a_terminal_does(text: str, width: int) -> None:
    assert columns(text) == width
    assert columns(pad(text, 9)) == 9


@given(st.text().map(printable), st.integers(1, 30))
def test_what_is_fitted_fits_and_says_that_it_was_cut(text: str, width: int) -> None:
    fitted = fit(text, width)

    assert columns(fitted) <= width
    assert fitted == text or fitted.endswith("…")
    assert text.startswith(fitted.removesuffix("…"))
    assert fit(text, None) == text


@given(st.text(), st.integers(10, 60), st.integers(0, 6))
def test_wrapping_loses_nothing_but_spaces(text: str, width: int, indent: int) -> None:
    text = printable(text)

    wrapped = wrap(text, width, indent=indent)

    assert "".join(wrapped.split()) == "".join(text.split())
    for line in wrapped.split("\n"):
        assert columns(line) <= width or " " not in line.strip()
    assert wrap(text, None, indent=indent) == text


def test_wrapped_lines_hang() -> None:
    assert wrap("  + one two three", 11, indent=4) == "  + one two\n    three"
