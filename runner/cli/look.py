"""The commands that change nothing: validate, plan, status, show."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from runner.cli.project import find_job, open_project, open_specs, providers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runner.errors import Problem

_SELECTORS = click.argument("selectors", metavar="[SPEC]...", nargs=-1)


@click.command()
@_SELECTORS
@click.pass_obj
def validate(directory: Path, selectors: tuple[str, ...]) -> int:
    """Check specs and inputs offline.

    SPEC is a spec file, a folder or a job name; all specs without one. Prints one line for each
    problem on stderr and exits with 2; nothing is sent anywhere.
    """
    from runner.errors import InvalidInput
    from runner.reconcile.wishes import scan_input

    project = open_project(directory)
    specs = open_specs(project, selectors, directory)
    problems = list(specs.problems)
    requests = 0
    for job in specs.selected:
        try:
            requests += scan_input(job, None).requests
        except InvalidInput as error:
            problems.extend(error.problems)
    print_problems(problems)
    if problems:
        return 2
    from runner.report.words import plural

    click.echo(
        f"valid: {plural(len(specs.selected), 'job')}, {plural(requests, 'request')}", err=True
    )
    return 0


@click.command()
@_SELECTORS
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option(
    "--detailed-exitcode",
    "detailed",
    is_flag=True,
    help="Exit with 0 if there is nothing to do, 2 if changes are pending, 1 on any error.",
)
@click.pass_obj
def plan(directory: Path, selectors: tuple[str, ...], *, as_json: bool, detailed: bool) -> int:
    """Show what reconcile would do; change nothing.

    SPEC is a spec file, a folder or a job name; all specs without one. Providers are asked what
    they have, nothing is sent that changes anything.
    """
    from runner.ledger.store import Ledger
    from runner.reconcile.preview import preview
    from runner.report.shapes import plan_shape
    from runner.report.text import render_plan
    from runner.report.words import is_change

    project = open_project(directory)
    specs = open_specs(project, selectors, directory)
    ledger = Ledger.open_read_only(project.ledger, clock=time.time)
    with providers(project) as opened:
        try:
            made = preview(
                project,
                specs,
                ledger,
                opened.open,
                everything=not selectors,
                clock=time.time,
            )
        finally:
            if ledger is not None:
                ledger.close()
    problems = (*specs.problems, *made.problems)
    if as_json:
        _print_json(plan_shape(made, problems))
    else:
        click.echo(render_plan(made), nl=False)
    print_problems(problems)
    changes = any(is_change(action) for action in made.plan.actions)
    if detailed:
        return 1 if problems or made.failed else 2 if changes else 0
    return 2 if problems else int(made.failed)


@click.command()
@click.argument("jobs", metavar="[JOB]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print a list of jobs as JSON.")
@click.pass_obj
def status(directory: Path, jobs: tuple[str, ...], *, as_json: bool) -> int:
    """Show where each job stands; asks nobody, changes nothing."""
    from runner.ledger.store import Ledger
    from runner.reconcile.overview import overview
    from runner.report.shapes import job_shape
    from runner.report.text import render_status

    project = open_project(directory)
    specs = open_specs(project, jobs, directory)
    ledger = Ledger.open_read_only(project.ledger, clock=time.time)
    try:
        views = overview(project, specs.selected, ledger)
    finally:
        if ledger is not None:
            ledger.close()
    if as_json:
        _print_json([job_shape(view) for view in views])
    else:
        click.echo(render_status(views), nl=False)
    print_problems(specs.problems)
    return 2 if specs.problems else 0


@click.command()
@click.argument("job", metavar="JOB")
@click.option("--json", "as_json", is_flag=True, help="Print the story as JSON.")
@click.pass_obj
def show(directory: Path, job: str, *, as_json: bool) -> int:
    """Tell the whole story of one job: its batches, its revisions, all that happened."""
    from runner.errors import UsageError
    from runner.ledger.store import Ledger
    from runner.reconcile.overview import shown_folder, story
    from runner.report.shapes import story_shape
    from runner.report.text import render_story

    project = open_project(directory)
    ledger = Ledger.open_read_only(project.ledger, clock=time.time)
    try:
        wanted = None
        try:
            _specs, wanted = find_job(project, job, directory)
            name = wanted.name
        except UsageError:
            # A job whose spec is gone still has its story, if the ledger knows it.
            if ledger is None or not any(known.name == job for known in ledger.jobs()):
                raise
            name = job
        told = None if ledger is None else story(project, wanted, name, ledger)
    finally:
        if ledger is not None:
            ledger.close()
    if told is None:
        click.echo(f"{name} has not been reconciled yet", err=True)
        return 0
    if as_json:
        _print_json(story_shape(told))
    else:
        click.echo(render_story(told, shown_folder(project, told.view)), nl=False)
    return 0


def print_problems(problems: Iterable[Problem]) -> None:
    """Print one line for each problem on stderr, as editors and CI read them."""
    for problem in sorted(problems):
        click.echo(str(problem), err=True)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
