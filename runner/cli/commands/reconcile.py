"""The command `runner reconcile`."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runner.cli.completion import complete_specs
from runner.cli.exit_codes import Command
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
from runner.errors import InvalidInput, LockHeld, Problem, RunnerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.planning.saved_plan import SavedPlan
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
    saved_plan = None if kept is None else _load_plan(kept, selectors)
    if saved_plan is not None:
        selectors = saved_plan.terms.selection.selectors
        directory = project.root / saved_plan.terms.selection.folder
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
                    saved_plan=saved_plan,
                )
            return one_pass(
                context,
                opened,
                console,
                specs,
                everything=everything,
                wait_for_lock=after,
                saved_plan=saved_plan,
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


def _load_plan(path: Path, selectors: Sequence[str]) -> SavedPlan:
    """Read a plan that `runner plan -o FILE` has saved.

    Raises UsageError if SPECs are named as well, InvalidInput if the file is no plan that this
    version of runner has made.
    """
    from runner.planning.saved_plan import NO_PLAN, SavedPlan

    if selectors:
        raise UsageError(
            f"--plan {path} says which SPECs it is for; leave out {' '.join(selectors)}"
        )
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise InvalidInput([Problem(path=str(path), message=message)]) from error
    except UnicodeDecodeError as error:
        raise InvalidInput([Problem(path=str(path), message=NO_PLAN)]) from error
    return SavedPlan.read(text, shown=str(path))
