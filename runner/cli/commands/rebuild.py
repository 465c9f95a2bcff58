"""The command `runner rebuild`."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import click

from runner.cli.exit_codes import Command
from runner.cli.output import note, print_problems
from runner.cli.session import (
    log_format,
    open_context,
    open_project,
    open_specs,
)
from runner.errors import LedgerDamaged, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from runner.spec.project import Project


@click.command(cls=Command)
@click.option("--force", is_flag=True, help="Do so even if the ledger that is there is sound.")
@log_format
@click.pass_obj
def rebuild(directory: Path, *, force: bool) -> int:
    """Make the ledger anew from the outputs on disk and from what the providers list.

    The ledger that is there is kept under another name. Submits nothing, collects nothing;
    `runner reconcile` then goes on. Needed only for a damaged ledger: a reconcile that finds none
    does the same for the jobs of the specs.
    """
    from runner.reconcile.lock import locked
    from runner.reconcile.rebuild import rebuild as fill
    from runner.reconcile.rebuild import set_aside
    from runner.text import plural

    project = open_project(directory)
    specs = open_specs(project, (), directory)
    print_problems(specs.problems)
    with locked(project.ledger):
        runs = None if force else _sound(project)
        if runs is not None:
            raise UsageError(
                f"the ledger {project.ledger} is sound and knows {plural(runs, 'run')}; to put it "
                f"aside and make a new one all the same, say --force"
            )
        aside = set_aside(project.ledger, now=time.time())
        if aside is not None:
            note(f"the ledger that was there is {aside} now")
        with open_context(project) as (context, _opened, console):
            made = fill(context, specs)
            report = made.report
            console.clear_display()
            console.troubles(report)
            print_problems(report.problems)
    found = sum(1 for state in report.states.values() if not state.final and state != "pending")
    note(
        f"rebuilt {project.ledger}: {plural(made.restored, 'finished run')} from the outputs, "
        f"{plural(found, 'job')} with batches at a provider; nothing was submitted"
    )
    if specs.problems or report.problems:
        return 2
    return int(report.has_problem or made.left_out > 0)


def _sound(project: Project) -> int | None:
    """Return how many runs a usable ledger knows; None for none, an empty or a damaged one."""
    from runner.ledger.store import Ledger

    with contextlib.suppress(LedgerDamaged):
        ledger = Ledger.open_read_only(project.ledger, clock=time.time)
        if ledger is not None:
            with ledger:
                ledger.check()
                return len(ledger.runs()) or None
    return None
