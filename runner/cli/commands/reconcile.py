"""The commands that act: reconcile, cancel, retry."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_specs
from runner.cli.exit_codes import Command
from runner.cli.kept_plan import load_plan
from runner.cli.options import SECONDS, finite
from runner.cli.session import (
    all_passes,
    conclude,
    log_format,
    one_pass,
    open_context,
    open_project,
    open_specs,
    patiently,
)
from runner.errors import InvalidInput, LockHeld, RunnerError
from runner.text import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.reconcile.passes import PassReport
    from runner.spec.job import Specs
    from runner.spec.project import Project


def _time(_context: click.Context, _parameter: click.Parameter, text: str | None) -> float | None:
    """Read a time such as 90m, 12h or 1d, in seconds."""
    if text is None:
        return None
    seconds = parse_duration(text, units=("m", "h", "d"))
    if not seconds:
        raise click.BadParameter(f"{text!r} is no time; write one such as 12h or 1d")
    return seconds


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
