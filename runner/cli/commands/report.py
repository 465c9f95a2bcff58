"""The command `runner report`."""

from __future__ import annotations

import os
import sys
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runner.cli.completion import complete_known_jobs
from runner.cli.exit_codes import Command
from runner.cli.output import note, print_problems, write_output
from runner.cli.session import open_project, open_specs, recorded, recorded_jobs

if TYPE_CHECKING:
    from runner.report.page.document import Assets

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
    help="How many requests of each job to show with their responses; 0 for none.",
)
@click.pass_obj
def report(directory: Path, jobs: tuple[str, ...], *, output: str, samples: int) -> int:
    """Write an HTML page about jobs, their batches, errors and responses.

    JOB is a job name, a pattern of names such as 'sent*', a spec file or a folder; without JOB the
    page has all jobs, including those whose spec is gone. The page needs no other file and no
    network; its links lead to the output files, relative to the folder of the page. Sends no
    request to a provider and changes nothing else.
    """
    from runner.outputs.durable_files import write_whole
    from runner.report.page.document import render_page
    from runner.text import plural, size
    from runner.views.project import gather_report

    project = open_project(directory)
    target = None if output == _STDOUT else _target(output)
    with recorded(project) as ledger:
        known = recorded_jobs(ledger)
        specs = open_specs(project, jobs, directory, known=known)
        project_report = gather_report(
            project,
            specs.selected,
            specs.gone if jobs else sorted(known),
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
    """Return the path of the page. Raises UsageError if it cannot be a file."""
    from runner.errors import UsageError

    path = Path(os.path.abspath(output))  # noqa: PTH100 -- keeps symbolic links
    if not output or path.is_dir():
        raise UsageError(f"{output or 'FILE'} is a folder: name the file to write")
    if path.exists() and not path.is_file():
        raise UsageError(f"{output} is not a regular file: `-o -` writes to stdout")
    return path


def _encodable(page: str) -> str:
    """Return the page in the characters of stdout's encoding, the others as HTML references."""
    encoding = (sys.stdout.encoding or "utf-8") if sys.stdout is not None else "utf-8"
    return page.encode(encoding, "xmlcharrefreplace").decode(encoding)
