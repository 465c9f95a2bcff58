"""The command `runner plan`."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from runner.cli.exit_codes import Command
from runner.cli.options import json_option, specs_argument
from runner.cli.output import (
    colours,
    note,
    print_error,
    print_problems,
    width,
    write_json,
    write_output,
)
from runner.cli.session import open_specs, open_trusted_project, providers, read_ledger
from runner.errors import RunnerError


@click.command(cls=Command)
@specs_argument
@json_option("Print the plan as JSON.")
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save the plan to FILE, for `reconcile --plan FILE`; a link of that name is replaced.",
)
@click.option(
    "--all",
    "each",
    is_flag=True,
    help="Show each job. Without it, a terminal shows many jobs with the same steps together.",
)
@click.option(
    "--detailed-exitcode",
    "detailed",
    is_flag=True,
    help="Exit with 0 if there is nothing to do, 2 if there are changes, 1 on any error.",
)
@click.pass_obj
def plan(
    directory: Path,
    selectors: tuple[str, ...],
    *,
    as_json: bool,
    out: Path | None,
    each: bool,
    detailed: bool,
) -> int:
    """Show what reconcile would do, without changing anything.

    SPEC is a spec file, a folder, a job name or a pattern of names such as 'sent*'. Without SPEC,
    the plan is for all specs. Reads the state of batches and files from the providers.
    """
    try:
        return _plan(directory, selectors, as_json=as_json, out=out, each=each, detailed=detailed)
    except RunnerError as error:
        if detailed and error.exit_code != 1:
            # With --detailed-exitcode, 2 means that there are changes.
            print_error(error)
            return 1
        raise


def _plan(
    directory: Path,
    selectors: tuple[str, ...],
    *,
    as_json: bool,
    out: Path | None,
    each: bool,
    detailed: bool,
) -> int:
    from runner.cli.console import Console
    from runner.views.preview import preview

    project = open_trusted_project(directory)
    specs = open_specs(project, selectors, directory)
    with read_ledger(project) as ledger, providers(project) as opened, Console() as console:
        made = preview(
            project,
            specs,
            ledger,
            opened.open,
            everything=not selectors,
            clock=time.time,
            report_progress=console.progress,
        )
    problems = (*specs.problems, *made.problems)
    print_problems((*problems, *made.warnings))
    if as_json or out is not None:
        from runner.planning.saved_plan import Selection
        from runner.report.plan_json import plan_json

        folder = os.path.relpath(os.path.abspath(directory), project.root)  # noqa: PTH100
        selection = Selection(selectors=selectors, folder=Path(folder).as_posix())
        shape = plan_json(made, problems, selection=selection, made_at=time.time())
        if out is not None:
            from runner.files import write_whole
            from runner.report.json_output import to_json

            write_whole(out, to_json(shape).encode())
        if as_json:
            write_json(shape)
    if not as_json:
        from runner.report.plan import render_plan

        write_output(render_plan(made, width=width(), each=each, colours=colours()))
    if out is not None:
        note(f"plan saved to {out}; to apply exactly this plan: runner reconcile --plan {out}")
    changes = any(not action.bookkeeping for action in made.plan.actions)
    if detailed:
        return 1 if problems or made.failed else 2 if changes else 0
    return 2 if problems else int(made.failed)
