"""A terminal to read while a command runs in it: what is on its screen, not what was sent.

It knows what `runner` uses, and refuses everything else: text that wraps, carriage return, line
feed, cursor up, erasing to the end of a line and of the screen, colours, hiding the cursor.
"""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Final

from tests.cli.shell import PATIENCE, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.cli.shell import Folder

_PIECE: Final = re.compile(r"(\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x1f\x7f])")
_COMMAND: Final = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # a key that interrupts is to reach this process
from runner.cli import main
main()
"""
CTRL_C: Final = "\x03"


class Glass:
    """What a person sees, lines that have scrolled away included; `columns` may change."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.cursor_hidden = False
        self._rows = [""]
        self._row = self._column = 0

    @property
    def lines(self) -> list[str]:
        """The lines that are not empty."""
        return [row.rstrip() for row in self._rows if row.strip()]

    def show(self, text: str) -> None:
        """Show what is sent to the terminal; the pieces of an escape sequence stay together."""
        for piece in _PIECE.split(text):
            if not piece.startswith("\x1b"):
                self._write(piece)
            elif piece[-1] == "A":
                self._row = max(self._row - int(piece[2:-1] or 1), 0)
            elif piece == "\x1b[K":
                self._rows[self._row] = self._rows[self._row][: self._column]
            elif piece == "\x1b[J":
                self._rows[self._row] = self._rows[self._row][: self._column]
                del self._rows[self._row + 1 :]
            elif piece in ("\x1b[?25l", "\x1b[?25h"):
                self.cursor_hidden = piece.endswith("l")
            else:
                assert piece.endswith("m"), f"sent {piece!r} to a terminal"

    def _write(self, piece: str) -> None:
        if piece == "\r":
            self._column = 0
        elif piece == "\n":
            self._go_down()
        else:
            assert piece.isprintable(), f"sent {piece!r} to a terminal"
            for character in piece:
                if self._column >= self.columns:
                    self._column = 0
                    self._go_down()
                row = self._rows[self._row].ljust(self._column)
                self._rows[self._row] = row[: self._column] + character + row[self._column + 1 :]
                self._column += 1

    def _go_down(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append("")


def on_screen(text: str, columns: int = 80) -> list[str]:
    """Return the lines that are left in the end of what was written to a terminal."""
    glass = Glass(columns)
    glass.show(text.replace("\n", "\r\n"))  # as the terminal's driver does
    return glass.lines


class Terminal:
    """A command that runs in a terminal of its own, and the screen of that terminal."""

    def __init__(self, process: subprocess.Popen[bytes], ours: int, columns: int) -> None:
        self.process = process
        self.glass = Glass(columns)
        self.received = ""
        self._ours = ours
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._unshown = ""

    def until(self, pattern: str) -> str:
        """Read on until a line on the screen matches; returns it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = [line for line in self.glass.lines if re.search(pattern, line)]
            if found:
                return found[0]
            more = self._read(deadline)
            assert more, f"ended without {pattern!r}: {self.glass.lines}"

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._ours, key.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Make the terminal another size; the lines that are there stay as they are."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.glass.columns = columns

    @property
    def modes(self) -> list[object]:
        """How the terminal treats what is typed."""
        return termios.tcgetattr(self._ours)

    def end(self) -> int:
        """Read to the end, and return how the command ended."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(deadline - time.monotonic(), 0))
        assert ready, f"nothing more within {PATIENCE} s; on the screen: {self.glass.lines}"
        try:
            piece = self._decoder.decode(os.read(self._ours, 65536))
        except OSError:  # how Linux says that nobody has the terminal open any more
            return False
        self.received += piece
        whole, mark, rest = (self._unshown + piece).rpartition("\x1b")
        if re.match(r"\[[0-9;?]*[A-Za-z]", rest) or not mark:
            whole, mark, rest = whole + mark + rest, "", ""
        self._unshown = mark + rest
        self.glass.show(whole)
        return True


@contextlib.contextmanager
def terminal(
    folder: Folder, *arguments: str, columns: int = 80, rows: int = 24
) -> Iterator[Terminal]:
    """Begin a command line in a terminal; it is killed if it has not ended by itself."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    command: Sequence[str] = (sys.executable, "-c", _COMMAND, *arguments)
    process = subprocess.Popen(
        command,
        cwd=folder.root,
        env=environment({"TERM": "xterm-256color", **folder.env}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours, columns)
    finally:
        process.kill()
        process.wait(PATIENCE)
        os.close(ours)
