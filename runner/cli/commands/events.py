"""The command `runner events`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from runner.cli.exit_codes import Command
from runner.cli.options import jobs_argument, json_option, output_format, output_option
from runner.cli.output import (
    colours,
    note,
    print_problems,
    width,
    write_json,
    write_json_lines,
    write_output,
)
from runner.cli.session import open_project, open_specs, read_ledger, recorded_jobs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.errors import Problem
    from runner.ledger.records import Event


@click.command(cls=Command)
@jobs_argument
@click.option(
    "--since",
    metavar="WHEN",
    help="Only events since WHEN: 2d, 12h or 30min ago, or a date such as 2026-01-31 (UTC).",
)
@click.option(
    "--kind",
    "kinds",
    metavar="KIND",
    multiple=True,
    help="Only events of this kind, such as submitted or 'batch_*'; can be repeated.",
)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Only the newest N events.")
@output_option("table", "json", "jsonl", "csv")
@json_option("Print a list of events as JSON; the same as -o json.")
@click.pass_obj
def events(
    directory: Path,
    jobs: tuple[str, ...],
    *,
    since: str | None,
    kinds: tuple[str, ...],
    limit: int | None,
    output: str | None,
    as_json: bool,
) -> int:
    """List the events of jobs, one per line, newest last.

    JOB is a job name, a pattern of names such as 'sent*', a spec file or a folder. Without JOB,
    all events are listed, also those of jobs whose spec was deleted.
    """
    from runner.ledger.queries import history
    from runner.views.filters import read_kinds, read_since

    chosen_format = output_format(output, as_json=as_json)
    project = open_project(directory)
    begin = None if since is None else read_since(since, now=time.time())
    of_kinds = read_kinds(kinds) if kinds else None
    found: Sequence[Event] = ()
    problems: Sequence[Problem] = ()
    names: list[str] | None = None
    with read_ledger(project) as ledger:
        if jobs:
            specs = open_specs(project, jobs, directory, known=recorded_jobs(ledger))
            names, problems = (
                [*(job.name for job in specs.selected), *specs.jobs_without_spec],
                specs.problems,
            )
        if ledger is not None:
            found = history(ledger, jobs=names, since=begin, kinds=of_kinds, limit=limit)
    print_problems(problems)
    _print_events(found, chosen_format)
    if not found and chosen_format == "table" and not problems:
        note("no event matches" if ledger else "no events yet")
    return 2 if problems else 0


def _print_events(found: Sequence[Event], chosen_format: str) -> None:
    match chosen_format:
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
