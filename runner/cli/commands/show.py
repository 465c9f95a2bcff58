"""The command `runner show`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_known_jobs
from runner.cli.exit_codes import Command
from runner.cli.output import (
    colours,
    width,
    write_json,
    write_output,
)
from runner.cli.session import find_known, open_project, recorded

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@click.argument("job", metavar="JOB", shell_complete=complete_known_jobs)
@click.option("--all", "whole", is_flag=True, help="All attempts and events of all revisions.")
@click.option("--json", "as_json", is_flag=True, help="Print the story as JSON.")
@click.pass_obj
def show(directory: Path, job: str, *, whole: bool, as_json: bool) -> int:
    """Tell the whole story of one job: its batches, its revisions, all that happened.

    JOB is a job name, a pattern that only its name fits, or its spec file. What is long is summed
    up; --all has it in full, and so does `runner events JOB`.
    """
    from runner.views.jobs import JobHistory, job_history, job_views, relative_folder

    project = open_project(directory)
    with recorded(project) as ledger:
        name, wanted = find_known(project, job, directory, ledger)
        told = None if ledger is None else job_history(project, wanted, name, ledger)
        if told is None:
            # Only a job with a spec is unknown to the ledger.
            [view] = job_views(project, [wanted] if wanted is not None else [], ledger)
            told = JobHistory(view=view, runs=(), events=())
    folder = relative_folder(project, told.view)
    if as_json:
        from runner.report.json_output import history_json

        write_json(history_json(told, folder=folder, now=time.time()))
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
