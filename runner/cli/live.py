"""A few lines at the bottom of a terminal that say what is going on, gone when it is over.

The cursor rests on the first of them, at the left. Whatever becomes of the lines below it, because
the terminal is made narrower or something else writes there, clearing from the cursor on takes
them all away; and a process that is killed leaves a prompt that overwrites them.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final

from runner.cli.output import colours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from runner.report.colour import Colours


_PAUSE: Final = 1 / 8
"""Seconds between two drawings."""

_LAST_WAIT: Final = 1.0
"""Seconds that the end waits for a drawing; a terminal that was stopped takes longer."""

_LINE_END: Final = "\x1b[K\n"
_CLEAR_BELOW: Final = "\x1b[J"
_UP: Final = "\x1b[{}A"
_HIDE_CURSOR: Final = "\x1b[?25l"
_SHOW_CURSOR: Final = "\x1b[?25h"
"""Source of the codes: ECMA-48, 8.3.22 (CUU), 8.3.39 (ED), 8.3.41 (EL); for the cursor, DEC VT510.

Lines are written over each other, and only what is below them is cleared: nothing flickers, and
tmux does not take it for a screen that is cleared and to be remembered.
"""

_CLEAR: Final = f"\r{_LINE_END}{_CLEAR_BELOW}{_UP.format(1)}"

_GLYPHS: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_NARROWEST: Final = 20
_USUAL_SIZE: Final = (80, 24)


class Display:
    """Draws, until it is stopped, what `lines` returns for a width, a height and a paint.

    Nothing at all is written before there is a line to draw. `lines` is called from a thread of
    the display's own.
    """

    def __init__(self, stream: TextIO, lines: Callable[[int, int, Colours], Sequence[str]]) -> None:
        self._stream = stream
        self._lines = lines
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._frame = ""
        self._began = False
        self._thread = threading.Thread(target=self._go_on, name="display", daemon=True)
        self._thread.start()

    def say(self, sentence: str) -> None:
        """Print a sentence above the lines; it stays."""
        with self._lock:
            self._write(f"{_CLEAR if self._frame else ''}{sentence}\n{self._frame}")

    def close(self) -> None:
        """Take the lines away, and be silent from then on."""
        self._over.set()
        self._thread.join(_LAST_WAIT)
        if not self._thread.is_alive() and self._began:
            self._write(f"{_CLEAR if self._frame else ''}{_SHOW_CURSOR}")

    def _go_on(self) -> None:
        while not self._over.wait(_PAUSE):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        frame = self._drawn()
        if not frame and not self._frame:
            return
        first = "" if self._began else _HIDE_CURSOR
        self._began = True
        self._frame = frame
        self._write(f"{first}{frame or _CLEAR}")

    def _drawn(self) -> str:
        """Return the lines as they are written, and the way back to the first of them."""
        width, height = terminal_size(self._stream)
        lines = self._lines(
            max(width, _NARROWEST) - len("⠋ ") - 1,  # the last column stays free: no line wraps
            height,
            colours(self._stream),
        )
        if not lines:
            return ""
        glyph = _GLYPHS[int(time.monotonic() / _PAUSE) % len(_GLYPHS)]
        written = _LINE_END.join([*lines, _CLEAR_BELOW])
        return f"\r{glyph} {written}{_UP.format(len(lines))}"

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # The terminal has gone, and whoever watched with it.
            self._over.set()


def shows_drawings(stream: TextIO) -> bool:
    """Whether a terminal moves its cursor about, and knows the signs that are drawn with."""
    encoding = (stream.encoding or "").lower().replace("-", "")
    return os.environ.get("TERM") != "dumb" and encoding.startswith("utf8")


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Return how many columns and lines a terminal has; the usual ones where it does not say."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except OSError:
        return _USUAL_SIZE
    return size.columns or _USUAL_SIZE[0], size.lines or _USUAL_SIZE[1]
