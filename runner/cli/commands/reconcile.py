"""The commands that act: reconcile, cancel, retry."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runner.cli.completion import complete_jobs, complete_known_jobs, complete_specs
from runner.cli.exit_codes import Command
from runner.cli.kept_plan import load_plan
from runner.cli.options import SECONDS, finite
from runner.cli.project import find_job, open_project, open_specs
from runner.cli.session import all_passes, conclude, log_format, one_pass, open_context, patiently
from runner.errors import InvalidInput, LockHeld, RunnerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.reconcile.passes import PassReport
    from runner.spec.job import Specs
    from runner.spec.project import Project


_UNITS: Final = {"m": 60, "h": 3600, "d": 86_400}


def _time(_context: click.Context, _parameter: click.Parameter, text: str | None) -> float | None:
    """Read a time such as 90m, 12h or 1d, in seconds."""
    if text is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,5}[mhd]", text, re.ASCII):
        raise click.BadParameter(f"{text!r} is no time; write one such as 12h or 1d")
    return float(text[:-1]) * _UNITS[text[-1]]


@contextlib.contextmanager
def _telling_failure(project: Project) -> Iterator[None]:
    """Ping that a pass could not be made; that another is at work is no failure."""
    try:
        yield
    except LockHeld:
        raise
    except RunnerError as error:
        from runner.cli.after_pass import tell_failure

        tell_failure(project, error)
        raise


@click.command(cls=Command)
@click.argument("selectors", metavar="[SPEC]...", nargs=-1, shell_complete=complete_specs)
@click.option("--wait", is_flag=True, help="Make passes until every selected job is final.")
@click.option(
    "--poll-interval",
    metavar="SECONDS",
    type=SECONDS,
    callback=finite,
    help="Seconds between passes with --wait; default: adaptive.",
)
@click.option(
    "--if-locked",
    type=click.Choice(["skip", "wait", "fail"]),
    default="skip",
    show_default=True,
    help="What to do if another reconcile is at work.",
)
@click.option(
    "--plan",
    "kept",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Begin with the plan that `runner plan -o FILE` kept, or refuse if the world has moved.",
)
@click.option(
    "--remind",
    metavar="TIME",
    callback=_time,
    help="Where nobody watches, tell a trouble that lasts only so often, such as 1d.",
)
@click.option(
    "--metrics",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write gauges for Prometheus to FILE.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say so, too, if there is nothing to do.")
@log_format
@click.pass_obj
def reconcile(  # noqa: PLR0913 -- its options
    directory: Path,
    selectors: tuple[str, ...],
    *,
    wait: bool,
    poll_interval: float | None,
    if_locked: str,
    kept: Path | None,
    remind: float | None,
    metrics: Path | None,
    quiet: bool,
    verbose: bool,
) -> int:
    """Bring jobs nearer to what their specs ask for.

    One idempotent pass that never blocks on the provider's work: validates, uploads, submits,
    observes, collects, asks again what did not finish. SPEC is a spec file, a folder, a job name
    or a pattern of names such as 'sent*'; all specs without one.
    """
    project = open_project(directory)
    agreed = None if kept is None else load_plan(kept, project, selectors)
    if agreed is not None:
        selectors, directory = agreed.selectors, agreed.folder
    if metrics is not None:
        project = dataclasses.replace(project, metrics=metrics.absolute())
    specs = open_specs(project, selectors, directory)
    with (
        _telling_failure(project),
        open_context(
            project, quiet=quiet, verbose=verbose, remind=remind, problems=specs.problems
        ) as (
            context,
            opened,
            console,
        ),
    ):
        context.agree = None if agreed is None else agreed.check

        def passes() -> PassReport:
            everything, after = not selectors, if_locked == "wait"
            if wait:
                return all_passes(
                    context,
                    opened,
                    console,
                    specs,
                    everything=everything,
                    wait_for_lock=after,
                    poll_interval=poll_interval,
                )
            return one_pass(
                context, opened, console, specs, everything=everything, wait_for_lock=after
            )

        try:
            report = patiently(passes) if if_locked == "wait" else passes()
        except LockHeld as error:
            if if_locked == "fail":
                raise
            console.nothing_to_do(f"{error}; skipped", event="skipped")
            return 2 if specs.problems else 0
        return conclude(report, specs, console)


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


@click.command(cls=Command)
@click.argument("job", metavar="JOB", shell_complete=complete_jobs)
@log_format
@click.pass_obj
def retry(directory: Path, job: str) -> int:
    """Ask the unanswered requests of JOB again, permanent failures included."""
    from runner.reconcile.lock import locked
    from runner.reconcile.reopen import reopen

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


def _open_runs(ledger: Ledger, job: str) -> list[Run]:
    return [run for run in ledger.runs() if run.job == job and not run.state.final]


def _asked_for(project: Project, specs: Specs, ledger: Ledger, runs: Sequence[Run]) -> Run | None:
    """Return that of these runs which the selected spec asks for as it stands, if any.

    Raises InvalidInput if its input has become invalid.
    """
    from runner.reconcile.desired import resolve_desired

    made = resolve_desired(project, specs.selected, runs, None, ledger, writing=False)
    if made.problems:
        raise InvalidInput(made.problems)
    asked = {(desired.job.name, desired.revision) for desired in made.desired_runs}
    return next((run for run in runs if (run.job, run.revision) in asked), None)


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
