"""The command `runner watch`."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from runner.cli.exit_codes import INTERRUPTED, TERMINATED, Command
from runner.cli.options import SECONDS, jobs_argument
from runner.cli.output import colours, is_terminal, note, print_problems, write_output
from runner.cli.session import open_project, open_specs, read_ledger, recorded_jobs
from runner.cli.signals import Terminated
from runner.text import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from runner.ledger.store import Ledger
    from runner.report.colour import Colours
    from runner.report.watch import WatchState
    from runner.spec.job import Job
    from runner.spec.project import Project


@click.command(cls=Command)
@jobs_argument
@click.option(
    "--interval",
    metavar="SECONDS",
    type=SECONDS,
    default=1,
    show_default=True,
    help="Seconds between two reads of the ledger.",
)
@click.pass_obj
def watch(directory: Path, jobs: tuple[str, ...], *, interval: float) -> int:
    """Show the state of each job until all are final.

    JOB is a job name, a pattern of names such as 'sent*', a spec file or a folder. Without JOB,
    all jobs are shown, also those without a spec that are not final. Only reads the ledger: the
    passes are made by `runner reconcile`, by hand or by cron, and it says so if none was made for
    an hour. In a pipe or a file, prints one line per change. Press q or Ctrl-C to quit.
    """
    from runner.views.jobs import job_views

    project = open_project(directory)
    with read_ledger(project) as ledger:
        specs = open_specs(project, jobs, directory, known=recorded_jobs(ledger))
        without_spec = job_views(project, (), ledger, jobs_without_spec=specs.jobs_without_spec)
    jobs_without_spec = [
        view.name for view in without_spec if not view.state.final or view.name in jobs
    ]
    print_problems(specs.problems)
    if not specs.selected and not jobs_without_spec:
        if not specs.problems:
            note("no jobs yet: there is no spec")
        return 2 if specs.problems else 0
    try:
        with contextlib.closing(
            _LedgerWatcher(project, specs.selected, jobs_without_spec)
        ) as watcher:
            show = _draw if _can_draw() else _print
            state = show(watcher, interval)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Terminated:
        return TERMINATED
    if specs.problems:
        return 2
    return int(state.all_final and any(view.state in ("failed", "partial") for view in state.views))


class _LedgerWatcher:
    """Reads the state of jobs from the ledger whenever it has changed.

    The jobs are those selected at the start. A read never makes a reconcile wait, and no lock is
    held between two reads.
    """

    def __init__(
        self, project: Project, jobs: Sequence[Job], jobs_without_spec: Sequence[str]
    ) -> None:
        self._project = project
        self._jobs = jobs
        self._gone = jobs_without_spec
        self._ledger: Ledger | None = None
        self._version: int | None = None
        self._state: WatchState | None = None

    def close(self) -> None:
        """Close the ledger."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def read(self) -> WatchState:
        """Return the state of the jobs: the same object as before if nothing has changed.

        Raises LedgerError.
        """
        from runner.ledger.store import Ledger
        from runner.reconcile.lock import last_pass

        before = self._ledger
        if self._ledger is not None and not self._ledger.in_place:
            self.close()
        if self._ledger is None:
            self._ledger = Ledger.open_read_only(self._project.ledger, clock=time.time)
        version = None if self._ledger is None else self._ledger.version
        now = time.time()
        passed = last_pass(self._project.ledger, now)
        if self._state is None or self._ledger is not before or version != self._version:
            self._version = version
            self._state = self._read()
        if self._state.last_pass != passed:
            self._state = replace(self._state, last_pass=passed)
        return self._state

    def _read(self) -> WatchState:
        from runner.ledger.queries import batch_durations, history
        from runner.report.watch import EVENTS_READ, WatchState
        from runner.views.jobs import job_views

        ledger = self._ledger
        views = job_views(self._project, self._jobs, ledger, jobs_without_spec=self._gone)
        if ledger is None:
            return WatchState.of(views, (), (), now=time.time())
        at_work = {(view.name, view.revision) for view in views if not view.state.final}
        return WatchState.of(
            views,
            [ledger.run(run.id) for run in ledger.runs() if (run.job, run.short) in at_work],
            history(ledger, jobs=[view.name for view in views], limit=EVENTS_READ),
            now=time.time(),
            durations=batch_durations(ledger),
        )


def _can_draw() -> bool:
    from runner.cli.live import supports_display

    return is_terminal(sys.stdout) and supports_display(sys.stdout)


def _print(watcher: _LedgerWatcher, interval: float) -> WatchState:
    """Print a line for each change, until all jobs are final."""
    before: WatchState | None = None
    was_silent = False
    while True:
        state = watcher.read()
        silence = state.silence(time.time())
        if silence is not None and not was_silent:
            write_output(f"{moment(time.time())}  {silence}\n")
        was_silent = silence is not None
        for line in state.changes(before, unix=time.time()):
            write_output(line + "\n")
        if state.all_final:
            return state
        before = state
        time.sleep(interval)


def _draw(watcher: _LedgerWatcher, interval: float) -> WatchState:
    """Draw the state of the jobs until all are final or q is pressed; then print the table."""
    from runner.cli.live import Display, terminal_size

    state = watcher.read()

    def lines(width: int, height: int, colours: Colours) -> Sequence[str]:
        return state.lines(unix=time.time(), most=height - 1, width=width, colours=colours)

    with _keys() as keys, contextlib.closing(Display(sys.stdout, lines)):
        while not state.all_final and not keys.pressed("q", within=interval):
            state = watcher.read()
    width, _height = terminal_size(sys.stdout)
    write_output(state.table(unix=time.time(), width=width, colours=colours()))
    return state


class _Keys:
    """The keys pressed in a terminal; none if `terminal` is None."""

    def __init__(self, terminal: int | None) -> None:
        self._terminal = terminal

    def pressed(self, key: str, *, within: float) -> bool:
        """Wait `within` seconds; return early, with True, if the key is pressed."""
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
    """Read keys from stdin without echo, if this process is in the foreground of a terminal."""
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
