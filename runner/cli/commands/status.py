"""The commands that tell what the ledger knows: status, show, events. They ask nobody."""

from __future__ import annotations

import contextlib
import gc
import time
from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_known_jobs, complete_specs
from runner.cli.exit_codes import Command
from runner.cli.output import (
    colours,
    note,
    print_problems,
    width,
    write_json,
    write_json_lines,
    write_output,
)
from runner.cli.project import find_known, open_project, open_specs, recorded, recorded_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from runner.errors import Problem
    from runner.ledger.records import Event
    from runner.spec.job import Specs
    from runner.views.jobs import JobView


def _forms(*forms: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """Return the option that chooses the form of an answer."""
    choice = click.Choice(forms)
    return click.option("-o", "--output", "form", type=choice, help="The form of the answer.")


def _form(form: str | None, *, to_json: bool) -> str:
    """Return the form that was asked for; raises UsageError for two at once."""
    if to_json and form not in (None, "json"):
        context = click.get_current_context()
        raise click.UsageError(f"--json and -o {form} contradict each other", context)
    return "json" if to_json else form or "table"


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
    to_json: bool,
) -> int:
    """Show where each job stands; asks nobody, changes nothing.

    JOB is a job name, a pattern of names such as 'sent*', a spec file or a folder; all jobs
    without one. Jobs whose spec is gone are shown until they have ended.
    """
    from runner.views.filters import chosen, read_conditions
    from runner.views.jobs import overview

    form = _form(form, to_json=to_json)
    project = open_project(directory)
    with recorded(project) as ledger, _all_of_it_kept():
        specs = open_specs(project, jobs, directory, known=recorded_jobs(ledger))
        views = overview(project, specs.selected, ledger, gone=specs.gone)
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


@click.command(cls=Command)
@click.argument("job", metavar="JOB", shell_complete=complete_known_jobs)
@click.option("--all", "whole", is_flag=True, help="All attempts and events of all revisions.")
@click.option("--json", "as_json", is_flag=True, help="Print the story as JSON.")
@click.pass_obj
def show(directory: Path, job: str, *, whole: bool, to_json: bool) -> int:
    """Tell the whole story of one job: its batches, its revisions, all that happened.

    JOB is a job name, a pattern that only its name fits, or its spec file. What is long is summed
    up; --all has it in full, and so does `runner events JOB`.
    """
    from runner.views.jobs import JobHistory, job_history, overview, shown_folder

    project = open_project(directory)
    with recorded(project) as ledger:
        name, wanted = find_known(project, job, directory, ledger)
        told = None if ledger is None else job_history(project, wanted, name, ledger)
        if told is None:
            # Only a job with a spec is unknown to the ledger.
            [view] = overview(project, [wanted] if wanted is not None else [], ledger)
            told = JobHistory(view=view, runs=(), events=())
    folder = shown_folder(project, told.view)
    if to_json:
        from runner.report.json_output import history_json

        write_json(history_json(told, folder=folder))
    else:
        from runner.report.job import render_history

        write_output(
            render_history(
                told,
                folder=folder,
                now=time.time(),
                whole=whole,
                width=width(),
                colours=colours(),
            )
        )
    return 0


@click.command(cls=Command)
@click.argument("jobs", metavar="[JOB]...", nargs=-1, shell_complete=complete_known_jobs)
@click.option(
    "--since",
    metavar="WHEN",
    help="Only what happened since: 2d, 12h or 30min ago, or a date such as 2026-01-31 (UTC).",
)
@click.option(
    "--kind",
    "kinds",
    metavar="KIND",
    multiple=True,
    help="Only events of this kind, such as submitted or 'batch_*'; may be given several times.",
)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Only the newest N.")
@_forms("table", "json", "jsonl", "csv")
@click.option("--json", "as_json", is_flag=True, help="Print a list of events as JSON: -o json.")
@click.pass_obj
def events(
    directory: Path,
    jobs: tuple[str, ...],
    *,
    since: str | None,
    kinds: tuple[str, ...],
    limit: int | None,
    form: str | None,
    to_json: bool,
) -> int:
    """List what happened, newest last, a line each.

    JOB is a job name, a pattern of names such as 'sent*', a spec file or a folder; everything
    without one, jobs whose spec is gone included.
    """
    from runner.ledger.queries import history
    from runner.views.recall import read_kinds, read_since

    form = _form(form, to_json=to_json)
    project = open_project(directory)
    begin = None if since is None else read_since(since, now=time.time())
    of_kinds = read_kinds(kinds) if kinds else None
    found: Sequence[Event] = ()
    problems: Sequence[Problem] = ()
    names: list[str] | None = None
    with recorded(project) as ledger:
        if jobs:
            specs = open_specs(project, jobs, directory, known=recorded_jobs(ledger))
            names, problems = [*(job.name for job in specs.selected), *specs.gone], specs.problems
        if ledger is not None:
            found = history(ledger, jobs=names, since=begin, kinds=of_kinds, limit=limit)
    print_problems(problems)
    _print_events(found, form)
    if not found and form == "table" and not problems:
        note("nothing has happened that this asks for" if ledger else "nothing has happened yet")
    return 2 if problems else 0


def _print_events(found: Sequence[Event], form: str) -> None:
    match form:
        case "json":
            from runner.report.json_output import event_json

            write_json([event_json(event) for event in found])
        case "jsonl":
            from runner.report.json_output import event_json

            write_json_lines([event_json(event) for event in found])
        case "csv":
            from runner.report.history import events_csv

            write_output(events_csv(found))
        case _:
            from runner.report.history import render_events

            write_output(render_events(found, width=width(), colours=colours()))
