"""The commands for what went another way than runner's: adopt, rebuild, orphans."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_jobs
from runner.cli.exit_codes import Command
from runner.cli.session import (
    find_job,
    log_format,
    open_context,
    open_project,
)
from runner.errors import InvalidInput, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from runner.planning.state import DesiredRun
    from runner.reconcile.context import Context
    from runner.spec.job import Specs


@click.command(cls=Command)
@click.argument("batch_id", metavar="BATCH_ID")
@click.option(
    "--job",
    metavar="NAME",
    required=True,
    shell_complete=complete_jobs,
    help="The job whose requests it asks.",
)
@log_format
@click.pass_obj
def adopt(directory: Path, batch_id: str, *, job: str) -> int:
    """Take over a batch that a notebook or another tool has made.

    Its requests are compared with those of the job, one by one; the next reconcile then follows
    and collects it as if runner had made it, and asks only what it leaves unanswered. Nothing is
    submitted.
    """
    from runner.reconcile.adopt_external import adopt_external
    from runner.reconcile.lock import locked

    if not batch_id.isprintable() or not batch_id.strip():
        raise UsageError("BATCH_ID is no id of a batch: it is empty or holds strange characters")
    project = open_project(directory)
    specs, _wanted = find_job(project, job, directory)
    with (
        open_context(project) as (context, _opened, _voice),
        locked(project.ledger, wait=True),
    ):
        context.ledger.require_in_place()
        adopt_external(context, _desired_run(context, specs), batch_id)
    return 0


def _desired_run(context: Context, specs: Specs) -> DesiredRun:
    """Return what the one selected job asks for. Raises InvalidInput or LocalFileError."""
    from runner.errors import LocalFileError
    from runner.reconcile.desired import resolve_desired

    made = resolve_desired(
        context.project, specs.selected, context.ledger.runs(), None, context.ledger, writing=True
    )
    if made.problems:
        raise InvalidInput(made.problems)
    for reason in made.unread.values():
        raise LocalFileError(reason)
    [desired] = made.desired_runs
    return desired
