"""The command `runner retry`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_jobs
from runner.cli.exit_codes import Command
from runner.cli.options import log_format_option
from runner.cli.session import (
    conclude,
    current_run,
    find_job,
    one_pass,
    open_context,
    open_trusted_project,
)
from runner.errors import LockHeld, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@click.argument("job", metavar="JOB", shell_complete=complete_jobs)
@log_format_option
@click.pass_obj
def retry(directory: Path, job: str) -> int:
    """Resubmit the requests of JOB that did not succeed, also those that failed permanently."""
    from runner.reconcile.lock import locked
    from runner.reconcile.run_lifecycle import reopen

    project = open_trusted_project(directory)
    specs, wanted = find_job(project, job, directory)
    name = wanted.name
    with open_context(project) as (context, opened, console):
        with locked(project.ledger, wait=True, waiting=console.waiting_for_lock):
            context.ledger.require_in_place()
            run = current_run(project, specs, context.ledger, context.ledger.runs())
            if run is None:
                raise UsageError(
                    f"{name} has no run of its current spec; run `runner reconcile {name}`"
                )
            if not run.state.final:
                console.info(f"still {run.state}; nothing to resubmit yet", job=name)
            elif run.succeeded == run.requests:
                console.info("all requests succeeded; nothing to resubmit", job=name)
                return 0
            else:
                reopen(context, run, next_round=True, attempts=wanted.attempts)
        try:
            report = one_pass(context, opened, console, specs)
        except LockHeld:
            console.info("the running reconcile resubmits them", job=name)
            return 0
        return conclude(report, specs, console)
