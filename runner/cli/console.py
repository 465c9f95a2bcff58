"""What a command writes to stderr while it works: messages, and in a terminal the progress.

A pass with nothing to report writes nothing, so that cron sends no mail. A message is written once.
Progress is drawn only in a terminal, and only if the work takes longer than a second. With
`--log-format json` every event is written, and nothing is drawn.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from runner.cli.live import Display, supports_display
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


_DRAWING_DELAY: Final = 1.0
"""Seconds before progress is drawn."""

_FREE_LINES: Final = 4
"""Lines of the terminal that are left to messages."""


class _DeferredProblem(NamedTuple):
    """A problem that is printed only once it is known that no earlier pass has reported it.

    `text` is its message with the name of its job, `write` the function that prints it.
    """

    message: str
    text: str
    write: Callable[[], None]


class Console:
    """Writes messages to stderr and draws progress; a context manager that removes the drawing.

    `remind_after` is the number of seconds after which an ongoing problem is reported again. None
    reports it in each pass, as in a terminal.
    """

    def __init__(
        self, *, quiet: bool = False, verbose: bool = False, remind_after: float | None = None
    ) -> None:
        self._quiet = quiet
        terminal = is_terminal(sys.stderr)
        interactive = terminal and not quiet and not wants_json()
        self.remind_after = None if terminal or verbose else remind_after
        self._deferred: list[_DeferredProblem] = []
        self._suppressed: frozenset[str] = frozenset()
        self._draws = interactive and supports_display(sys.stderr)
        self._verbose = verbose or interactive
        self._reported: set[tuple[str, str]] = set()
        self._warned: set[Problem] = set()
        self._display: Display | None = None
        self._began = time.monotonic()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        """Guards the fields below and the end of drawing against the threads of transfers."""
        self._transfers: dict[int, Transfer] = {}
        self._waiting_for: Sequence[RunProgress] = ()
        self._next_poll: float | None = None
        self._long_wait = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._draws = False  # an abandoned call may still report progress from its thread
        self.clear_display()
        self.flush()

    def clear_display(self) -> None:
        """Remove the progress from the terminal."""
        with self._lock:
            display, self._display = self._display, None
            self._waiting_for = ()
        if display is not None:
            display.close()

    def info(self, message: str, *, job: str = "", event: str = "note") -> None:
        """Print a message, unless --quiet was given."""
        from runner.reconcile.context import Notice

        self.notice(Notice(job=job, message=message, event=event))

    def nothing_to_do(self, message: str, *, event: str = "idle") -> None:
        """Print that nothing was done: only in a terminal or with --verbose."""
        if self._verbose and not self._quiet:
            self._print(message, partial(note, message, event=event))

    def waiting_for_lock(self, message: str) -> None:
        """Print that another process has the lock, before the wait for it."""
        self.info(f"{message}; waiting for it", event="waiting")

    def notice(self, notice: Notice) -> None:
        """Print a step that was done or a problem; the same problem only once."""
        if notice.is_problem:
            if {("", notice.message), (notice.job, notice.message)} & self._reported:
                return
            self._reported.add((notice.job, notice.message))
        elif self._quiet or (notice.debug and not wants_json()):
            return
        with self._lock:  # the progress of this job is out of date now
            self._waiting_for = [run for run in self._waiting_for if run.job != notice.job]
        text = f"{_beginning(notice)}{notice.message}"
        write = partial(self._print, text, partial(write_note, text, partial(_entry, notice)))
        if notice.is_problem and self.remind_after is not None:
            self._deferred.append(_DeferredProblem(notice.message, text, write))
        else:
            write()

    def held(self, report: PassReport) -> None:
        """Print why a pass holds runs or submissions, unless it was printed before."""
        from runner.reconcile.context import Notice

        for wait in report.waits:
            if wait.is_problem:
                self.notice(
                    Notice(
                        job=wait.run.job,
                        message=wait.reason,
                        is_problem=True,
                        event="held",
                        revision=wait.run.short,
                        submission=wait.key,
                    )
                )

    def problems(self, problems: Sequence[Problem]) -> None:
        """Print the problems of specs and inputs, in the form that editors and CI parse."""
        if self.remind_after is None:
            print_problems(problems)
        else:
            self._deferred += [
                _DeferredProblem(str(problem), str(problem), partial(print_problems, [problem]))
                for problem in sorted(problems)
            ]

    def warnings(self, warnings: Iterable[Problem]) -> None:
        """Print warnings of specs and inputs, each once."""
        print_problems(each for each in warnings if each not in self._warned)
        self._warned.update(warnings)

    def warn(self, message: str) -> None:
        """Print a failure outside the pass itself, such as of a hook; also with --quiet."""
        warning = partial(note, message, event="not_told", level="warning")
        self._print(f"warning: {message}", warning)

    def suppress(self, messages: Iterable[str]) -> None:
        """Print the deferred problems except these, which an earlier pass has reported."""
        self._suppressed = frozenset(messages)
        self.flush()

    def flush(self) -> None:
        """Print the deferred problems that are not suppressed."""
        deferred, self._deferred = self._deferred, []
        for problem in {problem.text: problem for problem in deferred}.values():
            if problem.message not in self._suppressed:
                problem.write()

    @contextlib.contextmanager
    def progress(self, job: str, what: str, total: int = 0, /) -> Iterator[Callable[[int], None]]:
        """Draw the progress of a transfer, as `runner.reconcile.context.ProgressReporter`."""
        if not self._draws:
            yield _ignore
            return
        from runner.report.progress import Transfer

        number = next(self._numbers)
        started = Transfer.begin(job=job, what=what, total=total, now=time.monotonic())

        def update(done: int) -> None:
            with self._lock:
                if number in self._transfers:  # an abandoned call may report after its end
                    moved = self._transfers[number].moved(done, time.monotonic())
                    self._transfers[number] = moved

        with self._lock:
            self._transfers[number] = started
        self._start_display()
        try:
            yield update
        finally:
            with self._lock:
                del self._transfers[number]

    def waiting(self, report: PassReport, pause: float) -> None:
        """Draw the batches that a pass waits for; `pause` is the seconds until the next pass."""
        self.held(report)
        if not self._draws:
            return
        from runner.report.progress import run_progress

        now = time.monotonic()
        with self._lock:
            self._waiting_for, self._next_poll = (
                run_progress(report.waits, time.time()),
                now + pause,
            )
            self._long_wait = self._long_wait or pause >= _DRAWING_DELAY
        self._start_display()

    def _start_display(self) -> None:
        """Create the display if there is none; it draws as soon as `_lines` returns lines."""
        with self._lock:
            if self._display is None and self._draws:
                self._display = Display(sys.stderr, self._lines)

    def _lines(self, width: int, height: int, colours: Colours) -> Sequence[str]:
        """Return the lines to draw; the display calls it from its own thread."""
        from runner.report.progress import Activity

        now = time.monotonic()
        with self._lock:
            shown = self._long_wait or now - self._began >= _DRAWING_DELAY
            activity = Activity(
                transfers=tuple(self._transfers.values()),
                runs=self._waiting_for if shown else (),
                began=self._began,
                next_pass=self._next_poll,
            )
        most = max(height - _FREE_LINES, 1)
        return activity.lines(now=now, unix=time.time(), most=most, width=width, colours=colours)

    def _print(self, text: str, write: Callable[[], None]) -> None:
        """Print text above the drawn progress; without a display, call `write` instead."""
        if self._display is None:
            write()
            return
        from runner.text import printable

        self._display.print_above(printable(text))


def _beginning(notice: Notice) -> str:
    """Return how the line of a notice begins: with its job, or else with what it is."""
    if notice.job:
        return f"{notice.job}: "
    if notice.is_problem:
        return "error: "
    return "note: " if notice.event == "remark" else ""


def _ignore(_done: int) -> None:
    """Ignore the progress of a transfer."""


def _entry(notice: Notice) -> Entry:
    from runner.report.log import Entry

    return Entry.of_notice(notice)
