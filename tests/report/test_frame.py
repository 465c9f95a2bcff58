"""The excerpt below a problem in a terminal, and its caret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.report.frame import render_frame
from runner.report.text_width import columns
from runner.spec.yaml.excerpt import Excerpt
from tests.report.golden_files import WIDTHS, check_rendering
from tests.report.scenes import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.report.colour import Colours


def at(line: int, column: int, *lines: str, first: int | None = None) -> Excerpt:
    return Excerpt(first=line if first is None else first, lines=lines, line=line, column=column)


LONG: Final = '{"custom_id": "review-1", "body": {"text": "' + "so " * 200 + '", "n": NaN}}'
FRAMES: Final = (
    at(1, 1, "inptu: x", "endpoint: /v1/embeddings"),
    at(10, 20, "input: a.jsonl", "completion_window: 24:00", "metadata: {a: b}", first=9),
    at(3, 12, "metadata:", "\tproject: acl", first=2),
    at(7, 10, "名前: 日本語 NO # 注", first=7),
    at(2, 6, "", "name: ", first=1),
    at(5, 4, f"a: {HOSTILE}\x7f"),
    at(48_213, LONG.index("NaN") + 1, LONG),
    at(6, 15, LONG),
    at(4, 1, "x" * 300, LONG, "", first=3),
    at(9, len(LONG) + 1, LONG),
)


@pytest.mark.parametrize("width", WIDTHS)
def test_frames(width: int) -> None:
    def render(colours: Colours) -> str:
        frames = [render_frame(each, width=width, colours=colours) for each in FRAMES]
        return "\n\n".join("\n".join(frame) for frame in frames) + "\n"

    check_rendering("frames", width, render)


def caret(frame: Sequence[str]) -> tuple[int, str]:
    """Return the column of the caret and the line above it."""
    [index] = [index for index, line in enumerate(frame) if re.fullmatch(r" +\| +\^", line)]
    return frame[index].index("^"), frame[index - 1]


@given(
    before=st.text(st.characters(exclude_characters="\n\r"), max_size=300),
    after=st.text(st.characters(exclude_characters="\n\r"), max_size=300),
    width=st.sampled_from([40, 80, 200, None]),
)
def test_the_caret_stands_below_the_place(before: str, after: str, width: int | None) -> None:
    frame = render_frame(at(3, len(before) + 1, f"{before}§{after}"), width=width)

    if "§" not in before:
        column, line = caret(frame)
        assert columns(line[: line.index("§")]) == column
    assert width is None or max(map(columns, frame)) <= width
    # Zero-width joiners are no characters that can be seen, but words and emoji are made with them.
    assert re.sub("[\u200c\u200d]", "", "".join(frame)).isprintable()


def test_lines_beside_one_that_is_cut_at_its_beginning_are_left_out() -> None:
    cut = render_frame(at(2, 500, "above", LONG, "below", first=1), width=80)
    whole = render_frame(at(2, 5, "above", LONG, "below", first=1), width=80)

    assert len(cut) == 2
    assert len(whole) == 4
