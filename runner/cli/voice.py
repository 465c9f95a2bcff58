"""How the acting commands speak: lines on stderr, and a progress display in terminals.

Under cron a pass with nothing to say says nothing. What has happened is said once; what is going
on is shown only to somebody who is watching, once it has taken longer than a second.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import click

from runner.report.text import plain
from runner.report.words import plural, size

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.status import Status

    from runner.reconcile.passes import PassReport
    from runner.reconcile.workshop import Tidings

_PATIENCE: Final = 1.0
"""Seconds before anything is shown of what is going on."""


class Voice:
    """Speaks on stderr; a context manager that clears the display at its end."""

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self._quiet = quiet
        self._watched = sys.stderr.isatty() and not quiet
        self._verbose = verbose or self._watched
        self._said: set[str] = set()
        self._display: Status | None = None
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clear()

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
            if tidings.what in self._said:
                return
            self._said.add(tidings.what)
        elif self._quiet:
            return
        prefix = f"{tidings.job}: " if tidings.job else ""
        self._print(f"{prefix}{tidings.what}")

    def progress(self, job: str, what: str, done: int, total: int) -> None:
        """Show how far a file has come, in terminals."""
        of = f" of {size(total)}" if total else ""
        self._show(f"{job}: {what} {size(done)}{of}")

    def waiting(self, report: PassReport, pause: float) -> None:  # noqa: ARG002
        """Show what is being waited for, in terminals."""
        if not self._watched:
            return
        running = [name for name, state in report.states.items() if not state.final]
        phases: dict[str, int] = {}
        for wait in report.waits:
            phases[wait.why] = phases.get(wait.why, 0) + 1
        told = ", ".join(f"{count} {why}" for why, count in sorted(phases.items()))
        self._show(f"waiting for {plural(len(running), 'job')}: {told}")

    def _show(self, text: str) -> None:
        if not self._watched:
            return
        if self._display is None:
            if time.monotonic() - self._since < _PATIENCE:
                return
            from rich.console import Console
            from rich.status import Status

            self._display = Status("", console=Console(stderr=True))
            self._display.start()
        from rich.text import Text

        self._display.update(Text(plain(text), overflow="ellipsis", no_wrap=True))

    def _clear(self) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None

    def _print(self, sentence: str) -> None:
        self._clear()
        self._since = time.monotonic()
        click.echo(plain(sentence), err=True)
