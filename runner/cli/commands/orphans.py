"""The command `runner orphans`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.exit_codes import Command
from runner.cli.options import json_option
from runner.cli.output import colours, note, print_problems, width, write_json, write_output
from runner.cli.session import open_specs, open_trusted_project, providers, read_ledger

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@json_option("Print the list as JSON.")
@click.pass_obj
def orphans(directory: Path, *, as_json: bool) -> int:
    """List batches and files at the providers that runner has created and no job here uses.

    They belong to another ledger or to a deleted spec, or were created again by hand. Deletes
    nothing. Exits with 1 if a provider did not respond.
    """
    from runner.reconcile.desired import resolve_desired
    from runner.report.orphans import orphans_json, render_orphans
    from runner.views.orphans import find_orphans

    project = open_trusted_project(directory)
    specs = open_specs(project, (), directory)
    print_problems(specs.problems)
    with read_ledger(project) as ledger, providers(project) as opened:
        runs = ledger.runs() if ledger is not None else ()
        resolved = resolve_desired(project, specs.selected, runs, None, ledger, writing=False)
        print_problems(resolved.problems)
        names = {job.provider.name for job in specs.selected} | {run.provider for run in runs}
        configured = project.providers.keys() - {"openai", "local"}  # without the built-in ones
        searched = sorted((names | configured) & project.providers.keys())
        found = find_orphans(
            resolved.desired_runs, ledger, searched or [project.default_provider], opened.open
        )
    for name, reason in found.not_queried.items():
        note(f"{name}: {reason}", level="error")
    if as_json:
        write_json(orphans_json(found))
    else:
        write_output(render_orphans(found, width=width(), colours=colours()))
    if specs.problems or resolved.problems:
        return 2
    return int(bool(found.not_queried))
