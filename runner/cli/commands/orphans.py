"""The command `runner orphans`."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import click

from runner.cli.exit_codes import Command
from runner.cli.output import colours, note, print_problems, width, write_json, write_output
from runner.cli.session import (
    open_project,
    open_specs,
    providers,
)

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_obj
def orphans(directory: Path, *, as_json: bool) -> int:
    """List batches and files at the providers that carry runner's keys and belong to no job here.

    Another ledger's, those of a spec that is gone, or made twice by hand. Deletes nothing.
    Exits with 1 if a provider could not be asked.
    """
    from runner.ledger.store import Ledger
    from runner.reconcile.desired import resolve_desired
    from runner.report.orphans import orphans_json, render_orphans
    from runner.views.orphans import find_orphans

    project = open_project(directory)
    specs = open_specs(project, (), directory)
    print_problems(specs.problems)
    with contextlib.ExitStack() as stack:
        ledger = Ledger.open_read_only(project.ledger, clock=time.time)
        if ledger is not None:
            stack.enter_context(ledger)
        runs = ledger.runs() if ledger is not None else ()
        made = resolve_desired(project, specs.selected, runs, None, ledger, writing=False)
        print_problems(made.problems)
        names = {job.provider.name for job in specs.selected} | {run.provider for run in runs}
        named = {
            name for name, provider in project.providers.items() if name not in ("openai", "local")
        }
        asked = sorted((names | named) & project.providers.keys()) or [project.default_provider]
        opened = stack.enter_context(providers(project))
        found = find_orphans(made.desired_runs, ledger, asked, opened.open)
    for name, reason in found.unasked.items():
        note(f"{name}: {reason}")
    if as_json:
        write_json(orphans_json(found))
    else:
        write_output(render_orphans(found, width=width(), colours=colours()))
    if specs.problems or made.problems:
        return 2
    return int(bool(found.unasked))
