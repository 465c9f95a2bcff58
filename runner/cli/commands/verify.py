"""The command `runner verify`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from runner.cli.exit_codes import Command
from runner.cli.options import jobs_argument, json_option
from runner.cli.output import (
    colours,
    note,
    print_error,
    print_problems,
    width,
    write_json,
    write_output,
)
from runner.cli.session import open_project, open_specs, read_ledger
from runner.errors import LedgerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.ledger.store import Ledger
    from runner.spec.job import Specs
    from runner.spec.project import Project


@click.command(cls=Command)
@jobs_argument
@json_option("Print the checks as JSON.")
@click.pass_obj
def verify(directory: Path, jobs: tuple[str, ...], *, as_json: bool) -> int:
    """Check that inputs, raw files and outputs still match their records.

    JOB is a job name, a pattern of names such as 'sent*', a spec file or a folder. Without JOB,
    all jobs and all outputs are checked. Compares each revision with its run.json: the digest of
    every file, the counts, and for each line of the outputs its line in raw/. Sends nothing and
    changes nothing. Exits with 1 for a mismatch, or if a named JOB has nothing to check.
    """
    from runner.checks.verify import verify as check
    from runner.cli.console import Console

    project = open_project(directory)
    specs, others = _selected(project, jobs, directory)
    print_problems(specs.problems)
    with contextlib.ExitStack() as stack:
        ledger: Ledger | None = None
        unusable = False
        try:
            ledger = stack.enter_context(read_ledger(project))
        except LedgerError as error:
            unusable = True
            print_error(error)
            note("note: the files are checked without the ledger")
        with Console() as console:
            found = check(project, specs.selected, others, ledger, report_progress=console.progress)
    if as_json:
        from runner.report.verify import verification_json

        write_json(verification_json(found, tuple(map(str, specs.problems))))
    else:
        from runner.report.verify import render_verification

        write_output(render_verification(found, width=width(), colours=colours()))
    if not found.matches or unusable or (jobs and found.unfinished):
        return 1
    return 2 if specs.problems else 0


def _selected(
    project: Project, jobs: Sequence[str], directory: Path
) -> tuple[Specs, Sequence[str] | None]:
    """Return the selected specs, and the selected names of jobs that have outputs but no spec.

    None instead of the names selects all of them. Raises UsageError for a selector that is neither.
    """
    from runner.checks.verify import has_outputs
    from runner.spec.job import Specs

    if not jobs:
        return open_specs(project, (), directory), None
    selectors: list[str] = []
    others: list[str] = []
    for selector in jobs:
        try:
            open_specs(project, (selector,), directory)
        except UsageError:
            if not has_outputs(project, selector):
                raise
            others.append(selector)
        else:
            selectors.append(selector)
    if not selectors:
        return Specs(jobs=(), selected=(), problems=(), complete=False), others
    return open_specs(project, selectors, directory), others
