"""A few lines at the bottom of a terminal that say what is going on, gone when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

_REFRESHES = 8
"""Times a second that the lines are drawn anew."""


class Display:
    """Draws, until it is stopped, what `lines` returns at each moment.

    `lines` is called from a thread of the display's own.
    """

    def __init__(self, lines: Callable[[], Sequence[str]]) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        self._lines = lines
        self._console = Console(stderr=True, highlight=False, emoji=False, markup=False)
        self._spinner = Spinner("dots")
        self._live = Live(
            get_renderable=self._drawn,
            console=self._console,
            refresh_per_second=_REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    @property
    def size(self) -> tuple[int, int]:
        """How many columns and lines the terminal has."""
        return self._console.size

    def say(self, sentence: str) -> None:
        """Print a sentence above the lines; it stays."""
        self._console.print(sentence, soft_wrap=True)

    def stop(self) -> None:
        """Take the lines away."""
        self._live.stop()

    def _drawn(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        first, *rest = self._lines() or ("",)
        glyph = self._spinner.render(self._console.get_time())
        head = Text.assemble(glyph if isinstance(glyph, Text) else "", f" {first}")
        lines = [head, *(Text(line) for line in rest)]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)
