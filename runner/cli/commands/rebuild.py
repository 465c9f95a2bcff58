"""The command `runner rebuild`."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import click

from runner.cli.exit_codes import Command
from runner.cli.options import log_format_option
from runner.cli.output import note, print_problems
from runner.cli.session import open_context, open_specs, open_trusted_project, read_ledger
from runner.errors import LedgerDamaged, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from runner.spec.project import Project


@click.command(cls=Command)
@click.option("--force", is_flag=True, help="Rebuild even if the ledger is intact.")
@log_format_option
@click.pass_obj
def rebuild(directory: Path, *, force: bool) -> int:
    """Rebuild the ledger from the outputs on disk and the batches at the providers.

    The old ledger is kept under another name. Submits and collects nothing; the next `runner
    reconcile` continues. Only a damaged ledger needs this: without a ledger, reconcile rebuilds
    it itself for the jobs of the specs.
    """
    from runner.reconcile.lock import locked
    from runner.reconcile.rebuild import rebuild as rebuild_ledger
    from runner.reconcile.rebuild import set_aside
    from runner.text import plural

    project = open_trusted_project(directory)
    specs = open_specs(project, (), directory)
    print_problems(specs.problems)
    with locked(project.ledger):
        runs = None if force else _intact_runs(project)
        if runs is not None:
            raise UsageError(
                f"the ledger {project.ledger} is intact and has {plural(runs, 'run')}; to replace "
                f"it anyway, use --force"
            )
        aside = set_aside(project.ledger, now=time.time())
        if aside is not None:
            note(f"the old ledger was moved to {aside}")
        with open_context(project) as (context, _opened, console):
            rebuilt = rebuild_ledger(context, specs)
            report = rebuilt.report
            console.clear_display()
            console.held(report)
            print_problems(report.problems)
    found = sum(1 for state in report.states.values() if not state.final and state != "pending")
    note(
        f"rebuilt {project.ledger}: {plural(rebuilt.restored, 'finished run')} from the outputs, "
        f"{plural(found, 'job')} with batches at a provider; nothing was submitted"
    )
    if specs.problems or report.problems:
        return 2
    return int(report.has_problem or rebuilt.left_out > 0)


def _intact_runs(project: Project) -> int | None:
    """Return the number of runs in an intact ledger; None if it is missing, empty or damaged."""
    with contextlib.suppress(LedgerDamaged), read_ledger(project) as ledger:
        if ledger is not None:
            ledger.check()
            return len(ledger.runs()) or None
    return None
