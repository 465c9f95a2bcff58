"""How commands speak while they work: lines on stderr, and what is going on, in terminals.

Under cron a pass with nothing to say says nothing. What has happened is said once; what is going
on is shown only to somebody who is watching, once it has taken longer than a second. Machines
(`--log-format json`) hear of everything that happens, and are shown nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from runner.cli.live import Display, shows_drawings
from runner.cli.output import is_terminal, note, print_problems, wants_json, write_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from runner.errors import Problem
    from runner.reconcile.context import Notice
    from runner.reconcile.passes import PassReport
    from runner.report.colour import Colours
    from runner.report.log import Entry
    from runner.report.progress import RunProgress, Transfer


_PATIENCE: Final = 1.0
"""Seconds before anything is shown of what is going on."""

_LEFT_FREE: Final = 4
"""Lines of the terminal that stay to what was said."""


class _Kept(NamedTuple):
    """A trouble that may have been told in an earlier pass: what it is, and how it is said."""

    what: str
    sentence: str
    say: Callable[[], None]


class Console:
    """Speaks on stderr; a context manager that clears the display at its end.

    `remind` is after how many seconds a trouble that lasts is told again; None tells it in each
    pass, and so it is told to somebody who is watching.
    """

    def __init__(
        self, *, quiet: bool = False, verbose: bool = False, remind: float | None = None
    ) -> None:
        self._quiet = quiet
        terminal = is_terminal(sys.stderr)
        watched = terminal and not quiet and not wants_json()
        self.remind = None if terminal or verbose else remind
        self._kept: list[_Kept] = []
        self._hushed: frozenset[str] = frozenset()
        self._draws = watched and shows_drawings(sys.stderr)
        self._verbose = verbose or watched
        self._said: set[tuple[str, str]] = set()
        self._display: Display | None = None
        self._began = time.monotonic()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        """Held to touch what is below, and to end the drawing: threads that move bytes do so."""
        self._transfers: dict[int, Transfer] = {}
        self._standing: Sequence[RunProgress] = ()
        self._next_look: float | None = None
        self._soon = False

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
        self.clear_display()
        self.flush()

    def clear_display(self) -> None:
        """Take away what shows what is going on."""
        with self._lock:
            display, self._display = self._display, None
            self._standing = ()
        if display is not None:
            display.close()

    def say(self, what: str, *, job: str = "", event: str = "note") -> None:
        """Say something that a person asked for; not with --quiet."""
        from runner.reconcile.context import Notice

        self.tell(Notice(job=job, what=what, event=event))

    def nothing_to_do(self, sentence: str, *, event: str = "idle") -> None:
        """Say that nothing was done: only to somebody who is watching or wants to know."""
        if self._verbose and not self._quiet:
            self._print(sentence, partial(note, sentence, event=event))

    def tell(self, notice: Notice) -> None:
        """Tell what was done, or what went wrong; the same trouble only once."""
        if notice.trouble:
            if {("", notice.what), (notice.job, notice.what)} & self._said:
                return
            self._said.add((notice.job, notice.what))
        elif self._quiet or (notice.aside and not wants_json()):
            return
        with self._lock:  # how the job stood is no longer so
            self._standing = [one for one in self._standing if one.job != notice.job]
        prefix = f"{notice.job}: " if notice.job else ""
        sentence = f"{prefix}{notice.what}"
        say = partial(self._print, sentence, partial(write_note, sentence, partial(_entry, notice)))
        if notice.trouble and self.remind is not None:
            self._kept.append(_Kept(notice.what, sentence, say))
        else:
            say()

    def troubles(self, report: PassReport) -> None:
        """Tell what a pass could not do and nobody was told of yet."""
        from runner.reconcile.context import Notice

        for wait in report.waits:
            if wait.trouble:
                self.tell(
                    Notice(
                        job=wait.run.job,
                        what=wait.reason,
                        trouble=True,
                        event="held",
                        revision=wait.run.short,
                        submission=wait.key,
                    )
                )

    def problems(self, problems: Sequence[Problem]) -> None:
        """Print what is wrong with documents, as editors and CI read it."""
        if self.remind is None:
            print_problems(problems)
        else:
            self._kept += [
                _Kept(str(problem), str(problem), partial(print_problems, [problem]))
                for problem in sorted(problems)
            ]

    def warn(self, sentence: str) -> None:
        """Say what did not work beside the work itself, to everybody."""
        self._print(sentence, partial(note, sentence, event="not_told", level="warning"))

    def suppress(self, troubles: Iterable[str]) -> None:
        """Say what was kept until it is known which troubles people have been told of: these."""
        self._hushed = frozenset(troubles)
        self.flush()

    def flush(self) -> None:
        """Say what was kept and is not hushed."""
        kept, self._kept = self._kept, []
        for one in {one.sentence: one for one in kept}.values():
            if one.what not in self._hushed:
                one.say()

    @contextlib.contextmanager
    def moving(self, job: str, what: str, total: int = 0, /) -> Iterator[Callable[[int], None]]:
        """Show in terminals how far something has come; as `runner.reconcile.context` has it."""
        if not self._draws:
            yield _unheeded
            return
        from runner.report.progress import Transfer

        number = next(self._numbers)
        begun = Transfer.begin(job=job, what=what, total=total, now=time.monotonic())

        def told(done: int) -> None:
            with self._lock:
                if number in self._transfers:  # else a call that was left behind tells of it
                    moved = self._transfers[number].moved(done, time.monotonic())
                    self._transfers[number] = moved

        with self._lock:
            self._transfers[number] = begun
        self._show()
        try:
            yield told
        finally:
            with self._lock:
                del self._transfers[number]

    def waiting(self, report: PassReport, pause: float) -> None:
        """Show what is being waited for, in terminals; `pause` is until the next look."""
        self.troubles(report)
        if not self._draws:
            return
        from runner.report.progress import run_progress

        now = time.monotonic()
        with self._lock:
            self._standing = run_progress(report.waits, time.time())
            self._next_look = now + pause
            self._soon = self._soon or pause >= _PATIENCE
        self._show()

    def _show(self) -> None:
        """Have the display at hand; it draws once there is something that takes its time."""
        with self._lock:
            if self._display is None and self._draws:
                self._display = Display(sys.stderr, self._lines)

    def _lines(self, width: int, height: int, colours: Colours) -> Sequence[str]:
        """Return what is going on now; called by the display, from its own thread."""
        from runner.report.progress import Activity

        now = time.monotonic()
        with self._lock:
            shown = self._soon or now - self._began >= _PATIENCE
            activity = Activity(
                transfers=tuple(self._transfers.values()),
                runs=self._standing if shown else (),
                began=self._began,
                next_pass=self._next_look,
            )
        most = max(height - _LEFT_FREE, 1)
        return activity.lines(now=now, unix=time.time(), most=most, width=width, colours=colours)

    def _print(self, sentence: str, write: Callable[[], None]) -> None:
        """Print a sentence above what is drawn, or have it written where nothing is."""
        if self._display is None:
            write()
            return
        from runner.report.safe_text import plain

        self._display.say(plain(sentence))


def _unheeded(_done: int) -> None:
    """Take no notice of how far something has come."""


def _entry(notice: Notice) -> Entry:
    from runner.report.log import Entry

    return Entry.of_notice(notice)
