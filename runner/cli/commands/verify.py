"""The command that looks whether results are still what they were: verify."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_known_jobs
from runner.cli.exit_codes import Command
from runner.cli.output import (
    colours,
    note,
    print_error,
    print_problems,
    width,
    write_json,
    write_output,
)
from runner.cli.session import open_project, open_specs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.ledger.store import Ledger
    from runner.spec.job import Specs
    from runner.spec.project import Project


@click.command(cls=Command)
@click.argument("jobs", metavar="[JOB]...", nargs=-1, shell_complete=complete_known_jobs)
@click.option("--json", "as_json", is_flag=True, help="Print what was checked as JSON.")
@click.pass_obj
def verify(directory: Path, jobs: tuple[str, ...], *, as_json: bool) -> int:
    """Hash inputs, raw files and outputs again and compare them with the records.

    JOB is a job name, a pattern of names such as 'sent*', a spec file or a folder; all jobs and
    all outputs without one. Every revision that has a run.json is held against it: the digest of
    each file, the counts, and the origin of each line in raw/. Asks nobody, changes nothing.
    Exits with 1 if something does not match, or a JOB that was named has nothing to check.
    """
    from runner.checks.verify import verify as check
    from runner.cli.console import Console
    from runner.errors import LedgerError

    project = open_project(directory)
    specs, others = _selected(project, jobs, directory)
    print_problems(specs.problems)
    with contextlib.ExitStack() as stack:
        ledger: Ledger | None = None
        unusable = False
        try:
            ledger = _ledger(project, stack)
        except LedgerError as error:
            unusable = True
            print_error(error)
            note("the files are checked without it")
        with Console() as console:
            found = check(project, specs.selected, others, ledger, moving=console.moving)
    if as_json:
        from runner.report.verify import verification_json

        write_json(verification_json(found, tuple(map(str, specs.problems))))
    else:
        from runner.report.verify import render_verification

        write_output(render_verification(found, width=width(), colours=colours()))
    if not found.matches or unusable or (jobs and found.unfinished):
        return 1
    return 2 if specs.problems else 0


def _ledger(project: Project, stack: contextlib.ExitStack) -> Ledger | None:
    """Open the ledger for looking only; None if there is none. Raises LedgerError."""
    from runner.ledger.store import Ledger

    ledger = Ledger.open_read_only(project.ledger, clock=time.time)
    return None if ledger is None else stack.enter_context(ledger)


def _selected(
    project: Project, jobs: Sequence[str], directory: Path
) -> tuple[Specs, Sequence[str] | None]:
    """Return the specs that are selected, and the names of jobs that have outputs alone.

    None for the latter stands for all of them. Raises UsageError for what is neither.
    """
    from runner.checks.verify import has_outputs
    from runner.errors import UsageError
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
