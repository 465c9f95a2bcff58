"""The command `runner cancel`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from runner.cli.commands.reconcile import _asked_for
from runner.cli.completion import complete_known_jobs
from runner.cli.exit_codes import Command
from runner.cli.session import (
    conclude,
    find_job,
    log_format,
    one_pass,
    open_context,
    open_project,
)
from runner.errors import InvalidInput, LockHeld, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.spec.job import Specs
    from runner.spec.project import Project


@click.command(cls=Command)
@click.argument("job", metavar="JOB", shell_complete=complete_known_jobs)
@log_format
@click.pass_obj
def cancel(directory: Path, job: str) -> int:
    """Cancel what is in flight of JOB and collect what was answered."""
    from runner.ledger import run_transitions as run_steps
    from runner.ledger.records import RunState
    from runner.reconcile.lock import locked

    project = open_project(directory)
    specs, name = _one_job(project, job, directory)
    with open_context(project) as (context, opened, console):
        with locked(project.ledger, wait=True):
            context.ledger.require_in_place()
            runs = _open_runs(context.ledger, name)
            for run in runs:
                run_steps.request_cancel(context.ledger, run)
        if not runs:
            console.say("nothing is in flight", job=name)
            return 0
        try:
            asked = _asked_for(project, specs, context.ledger, runs)
        except InvalidInput:
            asked = None
        if asked is None:
            # A pass would begin with what the spec asks for now.
            console.say(
                "its spec or input has changed since it began, or is gone; `runner reconcile` "
                "cancels it",
                job=name,
            )
            return 0
        try:
            report = one_pass(context, opened, console, specs)
        except LockHeld:
            console.say("the reconcile at work cancels it", job=name)
            return 0
        if _open_runs(context.ledger, name):
            console.say(
                "the provider may take some minutes; `runner reconcile` collects what was answered",
                job=name,
            )
        elif (state := report.states.get(name)) not in (None, RunState.CANCELLED):
            console.say(f"{state} before it could be cancelled", job=name)
        return conclude(report, specs, console)


def _open_runs(ledger: Ledger, job: str) -> list[Run]:
    return [run for run in ledger.runs() if run.job == job and not run.state.final]


def _one_job(project: Project, job: str, directory: Path) -> tuple[Specs, str]:
    """Return the specs that select a job; one whose spec is gone selects nothing but its name."""
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
