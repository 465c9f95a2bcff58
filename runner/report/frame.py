"""The excerpt below a problem in a terminal: the lines of the file, and a caret at the column.

3 | endpoint: /v1/chat/completions
4 | completion_window: 24:00
  |                    ^
5 | metadata: {project: acl}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.report.colour import NO_COLOURS
from runner.report.text_width import columns, fit
from runner.text import printable

if TYPE_CHECKING:
    from runner.report.colour import Colours
    from runner.spec.yaml.excerpt import Excerpt

_INDENT: Final = "  "
_ELLIPSIS: Final = "…"
_TAB: Final = "→"
_PICTURES: Final[dict[int, int | str]] = {
    **{code: 0x2400 + code for code in range(0x20)},
    0x7F: 0x2421,
    ord("\t"): _TAB,
}
"""The picture of each control character (Unicode block Control Pictures)."""

_ROOM_BEHIND: Final = 3
"""The share of the width for the text after the caret, if a line is too long: a third."""


def render_frame(
    excerpt: Excerpt, *, width: int | None = None, colours: Colours = NO_COLOURS
) -> list[str]:
    """Return the lines of a frame, each of at most `width` columns; None for no limit.

    A tab is shown as an arrow, a control character by its picture. A line that is too long is cut
    around the caret and shown without its neighbours, which would be cut at other columns.
    """
    lines = [_visible(line) for line in excerpt.lines]
    number_width = len(str(excerpt.first + len(lines) - 1))
    room = None if width is None else max(width - len(_INDENT) - number_width - 3, 8)
    at = excerpt.line - excerpt.first
    text, caret = _cut_around(lines[at], excerpt.column - 1, room)
    alone = text.startswith(_ELLIPSIS) and not lines[at].startswith(_ELLIPSIS)

    def numbered(number: str, shown: str) -> str:
        return f"{_INDENT}{colours.faint(f'{number:>{number_width}} |')} {shown}".rstrip()

    frame: list[str] = []
    for index, line in enumerate(lines):
        if index == at:
            frame.append(numbered(str(excerpt.line), text))
            frame.append(numbered("", " " * caret + colours.bad("^")))
        elif not alone:
            frame.append(numbered(str(excerpt.first + index), fit(line, room)))
    return frame


def _visible(line: str) -> str:
    """Return a line in visible characters, one for each, so that its columns stay the same."""
    return printable(line.translate(_PICTURES))


def _cut_around(line: str, column: int, room: int | None) -> tuple[str, int]:
    """Cut a line to `room` columns around the character at `column`, from 0.

    Returns the cut line and the number of its columns before that character.
    """
    before = line[:column]
    if room is None or columns(line) < room:
        return line, columns(before)
    behind = min(room // _ROOM_BEHIND, columns(line[column:]) + 1)
    if columns(before) + behind > room:
        kept = _ending(before, room - behind - 1)
        before = _ELLIPSIS + kept
    return fit(before + line[column:], room), columns(before)


def _ending(text: str, room: int) -> str:
    """Return the longest end of a text that fits into `room` columns."""
    begin = len(text)
    while begin and columns(text[begin - 1 :]) <= room:
        begin -= 1
    return text[begin:]
