"""The commands that tell what the ledger knows: status, show, events. They ask nobody."""

from __future__ import annotations

import contextlib
import gc
import time
from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_specs
from runner.cli.exit_codes import Command
from runner.cli.output import (
    colours,
    note,
    print_problems,
    width,
    write_json,
    write_output,
)
from runner.cli.session import open_project, open_specs, recorded, recorded_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from runner.spec.job import Specs
    from runner.views.jobs import JobView


def _forms(*forms: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """Return the option that chooses the form of an answer."""
    choice = click.Choice(forms)
    return click.option("-o", "--output", "form", type=choice, help="The form of the answer.")


def _form(form: str | None, *, as_json: bool) -> str:
    """Return the form that was asked for; raises UsageError for two at once."""
    if as_json and form not in (None, "json"):
        context = click.get_current_context()
        raise click.UsageError(f"--json and -o {form} contradict each other", context)
    return "json" if as_json else form or "table"


@click.command(cls=Command)
@click.argument("jobs", metavar="[JOB]...", nargs=-1, shell_complete=complete_specs)
@click.option(
    "--select",
    "conditions",
    metavar="KEY:VALUE",
    multiple=True,
    help="Only jobs of this state, provider, endpoint or metadata.KEY. Several values with commas "
    "between them; given several times, all must hold.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Also jobs that have ended and lost their spec."
)
@_forms("table", "wide", "json", "csv", "name")
@click.option("--json", "as_json", is_flag=True, help="Print a list of jobs as JSON: -o json.")
@click.pass_obj
def status(
    directory: Path,
    jobs: tuple[str, ...],
    *,
    conditions: tuple[str, ...],
    everything: bool,
    form: str | None,
    as_json: bool,
) -> int:
    """Show where each job stands; asks nobody, changes nothing.

    JOB is a job name, a pattern of names such as 'sent*', a spec file or a folder; all jobs
    without one. Jobs whose spec is gone are shown until they have ended.
    """
    from runner.views.filters import chosen, read_conditions
    from runner.views.jobs import job_views

    form = _form(form, as_json=as_json)
    project = open_project(directory)
    with recorded(project) as ledger, _all_of_it_kept():
        specs = open_specs(project, jobs, directory, known=recorded_jobs(ledger))
        views = job_views(project, specs.selected, ledger, gone=specs.gone)
    providers = {*project.providers, *(view.provider for view in views)}
    wanted = chosen(
        [view for view in views if view.spec or everything or _matters(view, jobs)],
        read_conditions(conditions, providers),
    )
    print_problems(specs.problems)
    _print_status(wanted, form)
    if not wanted and form in ("table", "wide") and not specs.problems:
        note(_nothing(views, specs))
    return 2 if specs.problems else 0


@contextlib.contextmanager
def _all_of_it_kept() -> Iterator[None]:
    """Let the block make many values that stay, without a search for those that do not.

    A tenth of the time for a thousand jobs: Python looks for garbage as often as much is made.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _matters(view: JobView, named: Sequence[str]) -> bool:
    """Whether a job without a spec is shown unasked: it is at work, or was called by its name."""
    return not view.state.final or view.name in named


def _nothing(views: Sequence[JobView], specs: Specs) -> str:
    if specs.selected:
        return "no job is selected by that"
    if views:
        return "no job has a spec; `runner status --all` shows those that had one"
    return "no jobs yet: there is no spec"


def _print_status(views: Sequence[JobView], form: str) -> None:
    match form:
        case "json":
            from runner.report.json_output import job_json

            write_json([job_json(view) for view in views])
        case "csv":
            from runner.report.status import status_csv

            write_output(status_csv(views))
        case "name":
            write_output("".join(f"{view.name}\n" for view in views))
        case _:
            from runner.report.status import render_status

            write_output(
                render_status(
                    views, now=time.time(), wide=form == "wide", width=width(), colours=colours()
                )
            )
