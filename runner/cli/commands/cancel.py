"""The command `runner cancel`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from runner.cli.exit_codes import Command
from runner.cli.options import known_job_argument, log_format_option
from runner.cli.session import (
    conclude,
    current_run,
    find_job,
    one_pass,
    open_context,
    open_trusted_project,
)
from runner.errors import InvalidInput, LockHeld, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.spec.job import Specs
    from runner.spec.project import Project


@click.command(cls=Command)
@known_job_argument
@log_format_option
@click.pass_obj
def cancel(directory: Path, job: str) -> int:
    """Cancel the batches of JOB in flight and collect the responses it has so far."""
    from runner.ledger import run_transitions
    from runner.ledger.records import RunState
    from runner.reconcile.lock import locked

    project = open_trusted_project(directory)
    specs, name = _find_job(project, job, directory)
    with open_context(project) as (context, opened, console):
        with locked(project.ledger, wait=True, waiting=console.waiting_for_lock):
            context.ledger.require_in_place()
            runs = _open_runs(context.ledger, name)
            for run in runs:
                run_transitions.request_cancel(context.ledger, run)
        if not runs:
            console.info("nothing is in flight", job=name)
            return 0
        try:
            current = current_run(project, specs, context.ledger, runs)
        except InvalidInput:
            current = None
        if current is None:
            # A pass over this job would start a run of the revision that its spec describes now.
            console.info(
                "cancellation requested; the spec or input has changed since the run started, or "
                "was deleted, so the next `runner reconcile` cancels it",
                job=name,
            )
            return 0
        try:
            report = one_pass(context, opened, console, specs)
        except LockHeld:
            console.info("cancellation requested; the running reconcile cancels it", job=name)
            return 0
        if _open_runs(context.ledger, name):
            console.info(
                "the provider may take some minutes to cancel; then `runner reconcile` collects "
                "the responses",
                job=name,
            )
        elif (state := report.states.get(name)) not in (None, RunState.CANCELLED):
            console.info(f"{state} before it could be cancelled", job=name)
        return conclude(report, specs, console)


def _open_runs(ledger: Ledger, job: str) -> list[Run]:
    return [run for run in ledger.runs() if run.job == job and not run.state.final]


def _find_job(project: Project, job: str, directory: Path) -> tuple[Specs, str]:
    """Return the specs that select a job, and its name; without a spec, they select nothing."""
    from runner.ledger.store import Ledger
    from runner.spec.job import Specs

    try:
        specs, wanted = find_job(project, job, directory)
    except UsageError:
        ledger = Ledger.open_read_only(project.ledger, clock=time.time)
        if ledger is None:
            raise
        with ledger:
            if not any(run.job == job for run in ledger.runs()):
                raise
        return Specs(jobs=(), selected=(), problems=(), complete=False), job
    return specs, wanted.name
