"""A live display: a few lines at the bottom of a terminal that show progress.

The cursor stays at the start of the first line. So clearing from the cursor on removes all lines
after the terminal has become narrower, and leaves what another program has written above them; and
if the process is killed, the next prompt overwrites them. While a terminal is dragged narrower, a
few rows can stay that were drawn for the old width.

`rich.live` was tried in its place: it keeps the cursor on the last line, so a resize leaves more
rows and lines of other programs are erased; and it takes 3.8 times the processor time.
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
"""Seconds that `close` waits for the last drawing; a paused terminal would block it for longer."""

_LINE_END: Final = "\x1b[K\n"
_CLEAR_BELOW: Final = "\x1b[J"
_UP: Final = "\x1b[{}A"
_HIDE_CURSOR: Final = "\x1b[?25l"
_SHOW_CURSOR: Final = "\x1b[?25h"
"""Source of the codes: ECMA-48, 8.3.22 (CUU), 8.3.39 (ED), 8.3.41 (EL); for the cursor, DEC VT510.

Lines are overwritten, and only the part below them is cleared: this does not flicker, and tmux does
not save each drawing in its scrollback, as it does when the screen is cleared.
"""

_CLEAR: Final = f"\r{_LINE_END}{_CLEAR_BELOW}{_UP.format(1)}"

_GLYPHS: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_MIN_WIDTH: Final = 20
_DEFAULT_SIZE: Final = (80, 24)


class Display:
    """Draws the lines that a function returns, several times per second, until it is closed.

    The function gets the width and height of the terminal and its colours. It is called from the
    thread of the display. Nothing is written before it returns a line for the first time.
    """

    def __init__(self, stream: TextIO, lines: Callable[[int, int, Colours], Sequence[str]]) -> None:
        self._stream = stream
        self._lines = lines
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._frame = ""
        self._started = False
        self._thread = threading.Thread(target=self._run, name="display", daemon=True)
        self._thread.start()

    def print_above(self, text: str) -> None:
        """Print a line of text above the live lines; it stays when they are removed."""
        with self._lock:
            self._write(f"{_CLEAR if self._frame else ''}{text}\n{self._frame}")

    def close(self) -> None:
        """Remove the live lines and stop drawing."""
        self._closed.set()
        self._thread.join(_LAST_WAIT)
        if not self._thread.is_alive() and self._started:
            self._write(f"{_CLEAR if self._frame else ''}{_SHOW_CURSOR}")

    def _run(self) -> None:
        while not self._closed.wait(_PAUSE):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        frame = self._render()
        if not frame and not self._frame:
            return
        first = "" if self._started else _HIDE_CURSOR
        self._started = True
        self._frame = frame
        self._write(f"{first}{frame or _CLEAR}")

    def _render(self) -> str:
        """Return the lines, followed by the codes that move the cursor back to the first one."""
        width, height = terminal_size(self._stream)
        lines = self._lines(
            max(width, _MIN_WIDTH)
            - len("⠋ ")
            - 1,  # without the last column, so that no line wraps
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
            # The terminal was closed.
            self._closed.set()


def supports_display(stream: TextIO) -> bool:
    """Whether a terminal can move its cursor and show the characters of a live display."""
    encoding = (stream.encoding or "").lower().replace("-", "")
    return os.environ.get("TERM") != "dumb" and encoding.startswith("utf8")


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Return the columns and lines of a terminal; 80 and 24 if it does not report them."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except OSError:
        return _DEFAULT_SIZE
    return size.columns or _DEFAULT_SIZE[0], size.lines or _DEFAULT_SIZE[1]
