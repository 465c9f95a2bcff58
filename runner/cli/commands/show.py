"""The command `runner show`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from runner.cli.exit_codes import Command
from runner.cli.options import json_option, known_job_argument
from runner.cli.output import (
    colours,
    width,
    write_json,
    write_output,
)
from runner.cli.session import find_known, open_project, read_ledger

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@known_job_argument
@click.option("--all", "whole", is_flag=True, help="Show all attempts and events of all revisions.")
@json_option("Print the job as JSON.")
@click.pass_obj
def show(directory: Path, job: str, *, whole: bool, as_json: bool) -> int:
    """Show one job in detail: its batches, its revisions and its events.

    JOB is a job name, a pattern that matches only one name, or a spec file with one job. Long lists
    are shortened; --all prints them completely.
    """
    from runner.views.jobs import JobHistory, job_history, job_views, relative_folder

    project = open_project(directory)
    with read_ledger(project) as ledger:
        name, wanted = find_known(project, job, directory, ledger)
        history = None if ledger is None else job_history(project, wanted, name, ledger)
        if history is None:
            # The job has a spec and no run yet.
            [view] = job_views(project, [wanted] if wanted is not None else [], ledger)
            history = JobHistory(view=view, runs=(), events=())
    folder = relative_folder(project, history.view)
    if as_json:
        from runner.report.json_output import history_json

        write_json(history_json(history, folder=folder, now=time.time()))
    else:
        from runner.report.job import render_history

        write_output(
            render_history(
                history,
                folder=folder,
                now=time.time(),
                whole=whole,
                width=width(),
                colours=colours(),
            )
        )
    return 0
