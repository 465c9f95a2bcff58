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
from runner.text import plural

if TYPE_CHECKING:
    from pathlib import Path

    from runner.cli.console import Console
    from runner.ledger.records import Run
    from runner.reconcile.context import Context


@click.command(cls=Command)
@click.argument("job", metavar="JOB", shell_complete=complete_jobs)
@click.option(
    "--by-order",
    is_flag=True,
    help="Submit nothing: match result lines that name no request with the requests by order.",
)
@log_format_option
@click.pass_obj
def retry(directory: Path, job: str, *, by_order: bool) -> int:
    """Resubmit the requests of JOB that did not succeed, also those that failed permanently.

    With --by-order nothing is submitted. A server may have lost or altered the custom_ids in an
    output file; if the file has a line for each request, each line is taken for the response to the
    request at its place. Use it only if the server keeps the order of the requests. `run.json`,
    `runner show` and `runner verify` say what was matched in this way.
    """
    from runner.reconcile.lock import locked

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
            proceed = _match_by_order if by_order else _reopen
            code = proceed(context, console, run, wanted.attempts)
            if code is not None:
                return code
        try:
            report = one_pass(context, opened, console, specs)
        except LockHeld:
            console.info("the running reconcile resubmits them", job=name)
            return 0
        return conclude(report, specs, console)


def _reopen(context: Context, console: Console, run: Run, attempts: int) -> int | None:
    """Continue a run with what has not succeeded; return the exit code if no pass is needed."""
    from runner.reconcile.run_lifecycle import reopen

    if not run.state.final:
        console.info(f"still {run.state}; nothing to resubmit yet", job=run.job)
    elif run.succeeded == run.requests:
        console.info("all requests succeeded; nothing to resubmit", job=run.job)
        return 0
    else:
        reopen(context, run, next_round=True, attempts=attempts)
    return None


def _match_by_order(context: Context, console: Console, run: Run, attempts: int) -> int | None:
    """Match the result lines of a run by order; return the exit code if no pass may follow.

    A pass follows only if it has nothing to submit. Raises UsageError.
    """
    from runner.planning.shards import shard_progress
    from runner.reconcile.by_order import match_run_by_order

    if run.state.final and run.succeeded == run.requests:
        console.info("all requests succeeded; nothing to match", job=run.job)
        return 0
    ended = run.state.final
    if ended:
        match_run_by_order(context, context.ledger.run(run.id))
    run = context.ledger.run(run.id)
    pending = sum(len(shard_progress(run, shard, attempts).pending) for shard in run.shards)
    if not pending or (ended and run.cancel_requested):
        return None
    next_step = f"`runner reconcile {run.job}` goes on with {plural(pending, 'request')}"
    if not ended:
        raise UsageError(
            f"{run.job} is {run.state}, and can be matched when it has ended; {next_step}"
        )
    console.info(f"{next_step} that have no response yet", job=run.job)
    return 0
