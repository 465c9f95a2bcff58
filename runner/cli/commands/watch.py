"""The command that goes on looking: watch. It asks no provider and changes nothing."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from typing import TYPE_CHECKING, Final

import click

from runner.cli.completion import complete_known_jobs
from runner.cli.exit_codes import Command
from runner.cli.options import SECONDS, finite
from runner.cli.output import colours, is_terminal, note, print_problems, write_output
from runner.cli.session import open_project, open_specs, recorded, recorded_jobs
from runner.cli.signals import Terminated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from runner.ledger.store import Ledger
    from runner.report.colour import Colours
    from runner.report.watch import WatchState
    from runner.spec.job import Job
    from runner.spec.project import Project


_INTERRUPTED: Final = 130
_TERMINATED: Final = 143


@click.command(cls=Command)
@click.argument("jobs", metavar="[JOB]...", nargs=-1, shell_complete=complete_known_jobs)
@click.option(
    "--interval",
    metavar="SECONDS",
    type=SECONDS,
    callback=finite,
    default=1,
    show_default=True,
    help="Seconds between looks at the ledger.",
)
@click.pass_obj
def watch(directory: Path, jobs: tuple[str, ...], *, interval: float) -> int:
    """Follow where jobs stand until all are final.

    JOB is a job name, a pattern of names such as 'sent*', a spec file or a folder; all jobs
    without one, and those at work whose spec is gone. Reads the ledger alone: a reconcile, by
    hand or from cron, does the work meanwhile. In a pipe or a file, one line for each change. q
    or Ctrl-C ends it before.
    """
    from runner.views.jobs import job_views

    project = open_project(directory)
    with recorded(project) as ledger:
        specs = open_specs(project, jobs, directory, known=recorded_jobs(ledger))
        left = job_views(project, (), ledger, gone=specs.gone)
    gone = [view.name for view in left if not view.state.final or view.name in jobs]
    print_problems(specs.problems)
    if not specs.selected and not gone:
        if not specs.problems:
            note("no jobs yet: there is no spec")
        return 2 if specs.problems else 0
    try:
        with contextlib.closing(_LedgerWatcher(project, specs.selected, gone)) as lookout:
            follow = _draw if _can_draw() else _print
            seen = follow(lookout, interval)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Terminated:
        return _TERMINATED
    if specs.problems:
        return 2
    return int(seen.settled and any(view.state in ("failed", "partial") for view in seen.views))


class _LedgerWatcher:
    """Looks at the ledger, again if it has changed.

    The specs, and the jobs without one, are those of the beginning. Holds no lock between looks,
    and none that a reconcile would have to wait for during one.
    """

    def __init__(self, project: Project, jobs: Sequence[Job], gone: Sequence[str]) -> None:
        self._project = project
        self._jobs = jobs
        self._gone = gone
        self._ledger: Ledger | None = None
        self._version: int | None = None
        self._seen: WatchState | None = None

    def close(self) -> None:
        """Close the ledger."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def look(self) -> WatchState:
        """Return where the jobs stand: the same object as before if nothing has changed.

        Raises LedgerError.
        """
        from runner.ledger.store import Ledger

        before = self._ledger
        if self._ledger is not None and not self._ledger.in_place:
            self.close()
        if self._ledger is None:
            self._ledger = Ledger.open_read_only(self._project.ledger, clock=time.time)
        version = None if self._ledger is None else self._ledger.version
        if self._seen is None or self._ledger is not before or version != self._version:
            self._version = version
            self._seen = self._watched()
        return self._seen

    def _watched(self) -> WatchState:
        from runner.ledger.queries import history
        from runner.report.watch import EVENTS_READ, WatchState
        from runner.views.jobs import job_views

        ledger = self._ledger
        views = job_views(self._project, self._jobs, ledger, gone=self._gone)
        if ledger is None:
            return WatchState.of(views, (), (), now=time.time())
        at_work = {(view.name, view.revision) for view in views if not view.state.final}
        return WatchState.of(
            views,
            [ledger.run(run.id) for run in ledger.runs() if (run.job, run.short) in at_work],
            history(ledger, jobs=[view.name for view in views], limit=EVENTS_READ),
            now=time.time(),
        )


def _can_draw() -> bool:
    from runner.cli.live import shows_drawings

    return is_terminal(sys.stdout) and shows_drawings(sys.stdout)


def _print(lookout: _LedgerWatcher, interval: float) -> WatchState:
    """Print a line for each change, until all jobs are final."""
    before: WatchState | None = None
    while True:
        seen = lookout.look()
        for line in seen.changes(before, unix=time.time()):
            write_output(line + "\n")
        if seen.settled:
            return seen
        before = seen
        time.sleep(interval)


def _draw(lookout: _LedgerWatcher, interval: float) -> WatchState:
    """Draw where the jobs stand, until all are final or q is pressed; their table stays."""
    from runner.cli.live import Display, terminal_size

    seen = lookout.look()

    def lines(width: int, height: int, colours: Colours) -> Sequence[str]:
        return seen.lines(unix=time.time(), most=height - 1, width=width, colours=colours)

    with _keys() as keys, contextlib.closing(Display(sys.stdout, lines)):
        while not seen.settled and not keys.pressed("q", within=interval):
            seen = lookout.look()
    width, _height = terminal_size(sys.stdout)
    write_output(seen.table(unix=time.time(), width=width, colours=colours()))
    return seen


class _Keys:
    """The keys that a person presses; none where `terminal` is None."""

    def __init__(self, terminal: int | None) -> None:
        self._terminal = terminal

    def pressed(self, key: str, *, within: float) -> bool:
        """Wait for so many seconds, or until the key is pressed."""
        until = time.monotonic() + within
        while self._terminal is not None and (left := until - time.monotonic()) > 0:
            if select.select([self._terminal], [], [], left)[0]:
                typed = os.read(self._terminal, 64)
                if not typed:
                    self._terminal = None
                elif key.encode() in typed:
                    return True
        time.sleep(max(until - time.monotonic(), 0))
        return False


@contextlib.contextmanager
def _keys() -> Iterator[_Keys]:
    """Hear keys as they are pressed, unshown, where stdin is a terminal and this is before it."""
    import termios
    import tty

    if not is_terminal(sys.stdin) or os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
        yield _Keys(None)
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal, termios.TCSANOW)
        yield _Keys(terminal)
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
