"""The command `runner validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.exit_codes import Command
from runner.cli.options import specs_argument
from runner.cli.output import note, print_problems
from runner.cli.session import open_project, open_specs
from runner.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@specs_argument
@click.pass_obj
def validate(directory: Path, selectors: tuple[str, ...]) -> int:
    """Check specs and inputs offline.

    SPEC is a spec file, a folder, a job name or a pattern of names such as 'sent*'. Without SPEC,
    all specs are checked. Prints one line per problem on stderr and exits with 2 if there is one.
    A warning is about what the provider will probably refuse, and changes no exit code. Sends
    nothing.
    """
    from runner.cli.console import Console
    from runner.reconcile.desired import scan_input

    project = open_project(directory)
    specs = open_specs(project, selectors, directory)
    problems = list(specs.problems)
    warnings = {each for provider in project.providers.values() for each in provider.warnings}
    requests = 0
    with Console() as console:
        for job in specs.selected:
            warnings.update(job.warnings)
            try:
                scanned = scan_input(project, job, None, report_progress=console.progress)
                requests += scanned.requests
                warnings.update(scanned.warnings)
            except InvalidInput as error:
                problems.extend(error.problems)
                warnings.update(error.warnings)
    print_problems((*problems, *warnings))
    if problems:
        return 2
    from runner.text import plural

    counts = [plural(len(specs.selected), "job"), plural(requests, "request")]
    if warnings:
        counts.append(plural(len(warnings), "warning"))
    note(f"valid: {', '.join(counts)}")
    return 0
