"""The command `runner report`."""

from __future__ import annotations

import os
import sys
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runner.cli.exit_codes import Command
from runner.cli.options import jobs_argument
from runner.cli.output import note, print_problems, write_output
from runner.cli.session import open_project, open_specs, read_ledger, recorded_jobs
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.report.page.document import Assets

_STDOUT: Final = "-"
_MAX_SAMPLES: Final = 50


@click.command(cls=Command)
@jobs_argument
@click.option(
    "-o",
    "--output",
    "output",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    default="report.html",
    show_default=True,
    help="The file to write, in place of a link of that name; - for stdout.",
)
@click.option(
    "--samples",
    metavar="N",
    type=click.IntRange(0, _MAX_SAMPLES),
    default=3,
    show_default=True,
    help="The number of requests of each job to show with their responses; 0 for none.",
)
@click.pass_obj
def report(directory: Path, jobs: tuple[str, ...], *, output: str, samples: int) -> int:
    """Write an HTML report about jobs, their batches, errors and responses.

    JOB is a job name, a pattern of names such as 'sent*', a spec file or a folder. Without JOB,
    the report has all jobs, also those whose spec was deleted. It is one file that needs no
    network; its links to the outputs are relative to it. Sends nothing to any provider.
    """
    from runner.files import write_whole
    from runner.report.page.document import render_page
    from runner.text import plural, size
    from runner.views.project import gather_report

    project = open_project(directory)
    target = None if output == _STDOUT else _target(output)
    with read_ledger(project) as ledger:
        known = recorded_jobs(ledger)
        specs = open_specs(project, jobs, directory, known=known)
        project_report = gather_report(
            project,
            specs.selected,
            specs.jobs_without_spec if jobs else sorted(known),
            ledger,
            chosen=bool(jobs),
            page_folder=Path.cwd() if target is None else target.parent,
            samples=samples,
        )
    page = render_page(project_report, assets=page_assets(), now=time.time())
    print_problems(specs.problems)
    if target is None:
        write_output(_encodable(page))
    else:
        content = page.encode()
        write_whole(target, content)
        note(f"{output}: {plural(len(project_report.jobs), 'job')}, {size(len(content))}")
    return 2 if specs.problems else 0


def page_assets() -> Assets:
    """Read the style and the script of the page."""
    from runner.report.page.document import Assets

    page = resources.files("runner.report.page")
    return Assets(
        style=page.joinpath("style.css").read_text("utf-8"),
        script=page.joinpath("script.js").read_text("utf-8"),
    )


def _target(output: str) -> Path:
    """Return the path of the report. Raises UsageError if it cannot be a regular file."""
    path = Path(os.path.abspath(output))  # noqa: PTH100 -- links in the report start at the folder of a symlink itself
    if not output or path.is_dir():
        raise UsageError(f"{output or 'FILE'} is a folder: name the file to write")
    if path.exists() and not path.is_file():
        raise UsageError(f"{output} is not a regular file: `-o -` writes to stdout")
    return path


def _encodable(page: str) -> str:
    """Replace the characters that stdout cannot encode by HTML character references."""
    encoding = (sys.stdout.encoding or "utf-8") if sys.stdout is not None else "utf-8"
    return page.encode(encoding, "xmlcharrefreplace").decode(encoding)
