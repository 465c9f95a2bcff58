"""The command `runner status`."""

from __future__ import annotations

import contextlib
import gc
import time
from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_specs
from runner.cli.exit_codes import Command
from runner.cli.options import json_option, output_format, output_option
from runner.cli.output import (
    colours,
    note,
    print_problems,
    width,
    write_json,
    write_output,
)
from runner.cli.session import open_project, open_specs, read_ledger, recorded_jobs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from runner.spec.job import Specs
    from runner.views.jobs import JobView


@click.command(cls=Command)
@click.argument("jobs", metavar="[JOB]...", nargs=-1, shell_complete=complete_specs)
@click.option(
    "--select",
    "conditions",
    metavar="KEY:VALUE",
    multiple=True,
    help="Only jobs with this state, provider, endpoint or metadata.KEY. Separate several values "
    "by commas; if the option is repeated, all of them must match.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Show each job, also final ones whose spec was deleted. Without it, a terminal shows many "
    "jobs in the same state in one line.",
)
@output_option("table", "wide", "json", "csv", "name")
@json_option("Print a list of jobs as JSON; the same as -o json.")
@click.pass_obj
def status(
    directory: Path,
    jobs: tuple[str, ...],
    *,
    conditions: tuple[str, ...],
    everything: bool,
    output: str | None,
    as_json: bool,
) -> int:
    """Show the state of each job, from the ledger.

    JOB is a job name, a pattern of names such as 'sent*', a spec file or a folder. Without JOB,
    all jobs are listed; a job whose spec was deleted is listed until it is final. Sends nothing to
    any provider and changes nothing.
    """
    from runner.ledger.queries import batch_durations
    from runner.views.filters import chosen, read_conditions
    from runner.views.jobs import job_views

    chosen_format = output_format(output, as_json=as_json)
    project = open_project(directory)
    with read_ledger(project) as ledger, _without_garbage_collection():
        specs = open_specs(project, jobs, directory, known=recorded_jobs(ledger))
        views = job_views(
            project, specs.selected, ledger, jobs_without_spec=specs.jobs_without_spec
        )
        durations = {} if ledger is None else batch_durations(ledger)
    providers = {*project.providers, *(view.provider for view in views)}
    wanted = chosen(
        [view for view in views if view.spec or everything or _is_listed(view, jobs)],
        read_conditions(conditions, providers),
    )
    print_problems(specs.problems)
    _print_status(wanted, chosen_format, durations, each=everything)
    if not wanted and chosen_format in ("table", "wide") and not specs.problems:
        note(_empty_message(views, specs))
    return 2 if specs.problems else 0


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Disable the garbage collector inside the block.

    Reading a thousand jobs creates many objects that are all kept; without the searches for
    garbage it takes a tenth less time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _is_listed(view: JobView, named: Sequence[str]) -> bool:
    """Whether a job without a spec is listed without --all: it is not final, or JOB names it."""
    return not view.state.final or view.name in named


def _empty_message(views: Sequence[JobView], specs: Specs) -> str:
    if specs.selected:
        return "no job matches"
    if views:
        return "no job has a spec; `runner status --all` also lists jobs whose spec was deleted"
    return "no jobs yet: there is no spec"


def _print_status(
    views: Sequence[JobView],
    chosen_format: str,
    durations: Mapping[str, Sequence[float]],
    *,
    each: bool,
) -> None:
    match chosen_format:
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
                    views,
                    now=time.time(),
                    wide=chosen_format == "wide",
                    each=each,
                    durations=durations,
                    width=width(),
                    colours=colours(),
                )
            )
