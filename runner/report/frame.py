"""The frame below a problem in a terminal: the lines it is about, and a caret at the place.

3 | endpoint: /v1/chat/completions
4 | completion_window: 24:00
  |                    ^
5 | metadata: {project: acl}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.report.colour import NO_COLOURS
from runner.report.safe_text import columns, fit, plain

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
"""What shows a control character: Unicode has a picture of each (block Control Pictures)."""

_ROOM_BEHIND: Final = 3
"""The part of a line that stays behind the caret where not all of it fits: a third."""


def render_frame(
    excerpt: Excerpt, *, width: int | None = None, colours: Colours = NO_COLOURS
) -> list[str]:
    """Return the lines of a frame, each of at most `width` columns; None for no limit.

    A tab is shown as an arrow, a control character by its picture. A line that is too long is cut
    around the caret, and then stands alone: lines beside it would be cut somewhere else.
    """
    lines = [_visible(line) for line in excerpt.lines]
    number_width = len(str(excerpt.first + len(lines) - 1))
    room = None if width is None else max(width - len(_INDENT) - number_width - 3, 8)
    at = excerpt.line - excerpt.first
    text, caret = _around(lines[at], excerpt.column - 1, room)
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
    """Show what is in a line, one character for one, so that columns stay what they are."""
    return plain(line.translate(_PICTURES))


def _around(line: str, column: int, room: int | None) -> tuple[str, int]:
    """Cut a line to `room` columns around the character at `column`, from 0.

    Returns what is left and how many columns of it are before that character.
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
    """Return as much of the end of a text as fits."""
    begin = len(text)
    while begin and columns(text[begin - 1 :]) <= room:
        begin -= 1
    return text[begin:]
