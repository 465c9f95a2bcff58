"""The command that makes a page for people to look at: report."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runner.cli.answer import answer, note, print_problems
from runner.cli.codes import Command
from runner.cli.completion import complete_known_jobs
from runner.cli.project import open_project, open_specs, recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.ledger.store import Ledger
    from runner.spec.job import Specs
    from runner.spec.project import Project

_STDOUT: Final = "-"
_MOST_SAMPLES: Final = 50


@click.command(cls=Command)
@click.argument("jobs", metavar="[JOB]...", nargs=-1, shell_complete=complete_known_jobs)
@click.option(
    "-o",
    "--output",
    "output",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    default="report.html",
    show_default=True,
    help="Where to write the page; - for stdout.",
)
@click.option(
    "--samples",
    metavar="N",
    type=click.IntRange(0, _MOST_SAMPLES),
    default=3,
    show_default=True,
    help="How many requests of each job to show beside their answers; 0 for none.",
)
@click.pass_obj
def report(directory: Path, jobs: tuple[str, ...], *, output: str, samples: int) -> int:
    """Write one HTML page about jobs, their batches, errors and answers.

    JOB is a job name, a spec file or a folder; all jobs without one. The page needs no other file
    and no network; its links lead to the outputs from where it is written. Asks nobody, changes
    nothing else.
    """
    from runner.reconcile.dossier import gather
    from runner.report.page.document import render_page
    from runner.report.words import plural, size

    project = open_project(directory)
    target = None if output == _STDOUT else _target(output)
    with recorded(project) as ledger:
        specs, gone = _selected(project, jobs, directory, ledger)
        dossier = gather(
            project,
            specs.selected,
            gone,
            ledger,
            chosen=bool(jobs),
            beside=Path.cwd() if target is None else target.parent,
            samples=samples,
        )
    page = render_page(dossier, now=time.time())
    print_problems(specs.problems)
    if target is None:
        answer(_spelt(page))
    else:
        content = page.encode()
        _write(target, content)
        note(f"{output}: {plural(len(dossier.jobs), 'job')}, {size(len(content))}")
    return 2 if specs.problems else 0


def _selected(
    project: Project, jobs: Sequence[str], directory: Path, ledger: Ledger | None
) -> tuple[Specs, Sequence[str]]:
    """Return the specs that are selected, and the names of jobs that only the ledger knows.

    Raises UsageError for what is neither.
    """
    from runner.errors import UsageError
    from runner.spec.job import Specs

    known = {run.job for run in ledger.runs()} if ledger is not None else set()
    if not jobs:
        return open_specs(project, (), directory), sorted(known)
    selectors: list[str] = []
    gone: list[str] = []
    for selector in jobs:
        try:
            open_specs(project, (selector,), directory)
        except UsageError:
            if selector not in known:
                raise
            gone.append(selector)
        else:
            selectors.append(selector)
    if not selectors:
        return Specs(jobs=(), selected=(), problems=(), complete=False), gone
    return open_specs(project, selectors, directory), gone


def _target(output: str) -> Path:
    """Return where the page is to be written. Raises UsageError where it cannot be a file."""
    from runner.errors import UsageError

    path = Path(os.path.abspath(output))  # noqa: PTH100 -- a link's own folder is where links begin
    if not output or path.is_dir():
        raise UsageError(f"{output or 'FILE'} is a folder: name the file to write")
    if path.exists() and not path.is_file():
        raise UsageError(f"{output} is not a regular file: `-o -` writes to stdout")
    return path


def _spelt(page: str) -> str:
    """Write a page in the characters that stdout has; HTML has names for all others."""
    encoding = (sys.stdout.encoding or "utf-8") if sys.stdout is not None else "utf-8"
    return page.encode(encoding, "xmlcharrefreplace").decode(encoding)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises LocalFileError."""
    from runner.outputs.disk import explained

    real = Path(os.path.realpath(path))  # a link stays one
    temporary = real.with_name(f".{real.name}.{os.getpid()}.partial")
    with explained(path, doing="written"):
        try:
            temporary.write_bytes(content)
            temporary.replace(real)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
