"""The command `runner retry`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.commands.reconcile import _asked_for
from runner.cli.completion import complete_jobs
from runner.cli.exit_codes import Command
from runner.cli.session import (
    conclude,
    find_job,
    log_format,
    one_pass,
    open_context,
    open_project,
)
from runner.errors import LockHeld, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@click.argument("job", metavar="JOB", shell_complete=complete_jobs)
@log_format
@click.pass_obj
def retry(directory: Path, job: str) -> int:
    """Ask the unanswered requests of JOB again, permanent failures included."""
    from runner.reconcile.lock import locked
    from runner.reconcile.run_lifecycle import reopen

    project = open_project(directory)
    specs, wanted = find_job(project, job, directory)
    name = wanted.name
    with open_context(project) as (context, opened, console):
        with locked(project.ledger, wait=True):
            context.ledger.require_in_place()
            run = _asked_for(project, specs, context.ledger, context.ledger.runs())
            if run is None:
                raise UsageError(
                    f"{name} has never been run as its spec stands; run `runner reconcile {name}`"
                )
            if not run.state.final:
                console.say(f"still {run.state}; it goes on by itself", job=name)
            elif run.succeeded == run.requests:
                console.say("every request is answered; nothing to ask again", job=name)
                return 0
            else:
                reopen(context, run, next_round=True, attempts=wanted.attempts)
        try:
            report = one_pass(context, opened, console, specs)
        except LockHeld:
            console.say("the reconcile at work goes on with it", job=name)
            return 0
        return conclude(report, specs, console)
