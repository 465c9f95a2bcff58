"""The command `runner events`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from runner.cli.commands.status import _form, _forms
from runner.cli.completion import complete_known_jobs
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
from runner.cli.session import open_project, open_specs, recorded, recorded_jobs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.errors import Problem
    from runner.ledger.records import Event


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
    as_json: bool,
) -> int:
    """List what happened, newest last, a line each.

    JOB is a job name, a pattern of names such as 'sent*', a spec file or a folder; everything
    without one, jobs whose spec is gone included.
    """
    from runner.ledger.queries import history
    from runner.views.filters import read_kinds, read_since

    form = _form(form, as_json=as_json)
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
