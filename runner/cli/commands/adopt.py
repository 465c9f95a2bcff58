"""The command `runner adopt`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_jobs
from runner.cli.exit_codes import Command
from runner.cli.options import log_format_option
from runner.cli.session import find_job, open_context, open_trusted_project
from runner.errors import InvalidInput, LocalFileError, UsageError

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
    help="The job whose requests the batch contains.",
)
@log_format_option
@click.pass_obj
def adopt(directory: Path, batch_id: str, *, job: str) -> int:
    """Adopt a batch that a notebook or another tool has created.

    Compares the requests of the batch with those of the job, one by one, and records the batch in
    the ledger. The next reconcile observes and collects it like a batch of runner, and submits
    only the requests that did not succeed in it. Submits nothing itself.
    """
    from runner.reconcile.adopt_external import adopt_external
    from runner.reconcile.lock import locked

    if not batch_id.isprintable() or not batch_id.strip():
        raise UsageError("BATCH_ID is empty or contains characters that cannot be printed")
    project = open_trusted_project(directory)
    specs, _wanted = find_job(project, job, directory)
    with (
        open_context(project) as (context, _opened, console),
        locked(project.ledger, wait=True, waiting=console.waiting_for_lock),
    ):
        context.ledger.require_in_place()
        adopt_external(context, _desired_run(context, specs), batch_id)
    return 0


def _desired_run(context: Context, specs: Specs) -> DesiredRun:
    """Return the desired run of the one selected job. Raises InvalidInput or LocalFileError."""
    from runner.reconcile.desired import resolve_desired

    resolved = resolve_desired(
        context.project, specs.selected, context.ledger.runs(), None, context.ledger, writing=True
    )
    if resolved.problems:
        raise InvalidInput(resolved.problems)
    for reason in resolved.unreadable_inputs.values():
        raise LocalFileError(reason)
    [desired] = resolved.desired_runs
    return desired
