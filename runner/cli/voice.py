"""How the acting commands speak: lines on stderr, and a progress display in terminals.

Under cron a pass with nothing to say says nothing. What has happened is said once; what is going
on is shown only to somebody who is watching, once it has taken longer than a second.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from runner.cli.answer import is_terminal, note

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from runner.cli.display import Display
    from runner.reconcile.passes import PassReport
    from runner.reconcile.workshop import Tidings
    from runner.report.progress import Standing, Transfer

_PATIENCE: Final = 1.0
"""Seconds before anything is shown of what is going on."""

_LEFT_FREE: Final = 4
"""Lines of the terminal that stay to what was said."""


class Voice:
    """Speaks on stderr; a context manager that clears the display at its end."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._quiet = quiet
        self._watched = is_terminal(sys.stderr) and not quiet
        self._draws = self._watched and os.environ.get("TERM") != "dumb"
        self._verbose = verbose or self._watched
        self._said: set[tuple[str, str]] = set()
        self._display: Display | None = None
        self._began = time.time()
        self._quiet_since = time.monotonic()
        self._transfer: Transfer | None = None
        self._lock = threading.Lock()
        self._waiting: Sequence[Standing] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._draws = False  # a call that was left behind may still tell of its progress
            self.rest()

    def rest(self) -> None:
        """Take away what shows what is going on."""
        if self._display is not None:
            self._display.stop()
            self._display = None

    def say(self, sentence: str) -> None:
        """Say something that a person asked for; not with --quiet."""
        if not self._quiet:
            self._print(sentence)

    def idle(self, sentence: str) -> None:
        """Say that nothing was done: only to somebody who is watching or wants to know."""
        if self._verbose and not self._quiet:
            self._print(sentence)

    def tell(self, tidings: Tidings) -> None:
        """Tell what was done, or what went wrong; the same trouble only once."""
        if tidings.trouble:
            if {("", tidings.what), (tidings.job, tidings.what)} & self._said:
                return
            self._said.add((tidings.job, tidings.what))
        elif self._quiet:
            return
        prefix = f"{tidings.job}: " if tidings.job else ""
        self._print(f"{prefix}{tidings.what}")

    def troubles(self, report: PassReport) -> None:
        """Tell what a pass could not do and nobody was told of yet."""
        from runner.reconcile.workshop import Tidings

        for wait in report.waits:
            if wait.trouble:
                self.tell(Tidings(job=wait.run.job, what=wait.why, trouble=True))

    def progress(self, job: str, what: str, done: int, total: int) -> None:
        """Show how far a file has come, in terminals."""
        from runner.report.progress import Transfer

        with self._lock:  # several files may be on their way, each in a thread of its own
            if not self._draws:
                return
            self._transfer = Transfer.after(
                self._transfer, job=job, what=what, done=done, total=total, now=time.monotonic()
            )
            self._show()

    def waiting(self, report: PassReport, pause: float) -> None:
        """Show what is being waited for, in terminals; `pause` is until the next look."""
        self.troubles(report)
        if not self._draws:
            return
        from runner.report.progress import standings

        self._transfer = None
        self._waiting = standings(report.waits)
        self._show(soon=pause >= _PATIENCE)

    def _show(self, *, soon: bool = False) -> None:
        """Begin to draw, once it has taken long enough or is about to (`soon`)."""
        if self._display is not None:
            return
        if soon or time.monotonic() - self._quiet_since >= _PATIENCE:
            from runner.cli.display import Display

            self._display = Display(self._lines)

    def _lines(self) -> list[str]:
        """Return what is going on now; called by the display, from its own thread."""
        from runner.report.plain import plain
        from runner.report.progress import waiting_lines

        transfer, display = self._transfer, self._display
        if transfer is not None:
            return [plain(transfer.told(time.monotonic()))]
        width, height = display.size if display is not None else (0, 0)
        return waiting_lines(
            self._waiting,
            now=time.time(),
            began=self._began,
            most=max(height - _LEFT_FREE, 1),
            width=width,
        )

    def _print(self, sentence: str) -> None:
        if self._display is None:
            note(sentence)
            self._quiet_since = time.monotonic()
            return
        from runner.report.plain import plain

        self._display.say(plain(sentence))
