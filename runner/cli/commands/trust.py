"""The command `runner trust`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.exit_codes import Command
from runner.cli.output import note, write_output
from runner.cli.session import find_project_here

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command)
@click.option("--show", is_flag=True, help="Show what needs your agreement, and change nothing.")
@click.option("--revoke", is_flag=True, help="Forget that you have agreed.")
@click.pass_obj
def trust(directory: Path, *, show: bool, revoke: bool) -> int:
    """Agree to what runner.yaml runs, where it sends and what it uses outside the project.

    A project from somebody else is data until you agree: to the commands it runs, the addresses
    that get requests and API keys, the hooks and the ping, folders elsewhere, and files that other
    users of this machine can change. Prints what you agree to. What is added or changed later needs
    a new agreement; commands that would use it ask in a terminal, and exit with 2 elsewhere.

    Agreements are kept in ~/.local/state/runner/trust, or below XDG_STATE_HOME. In CI and in
    containers, where somebody has reviewed the file before, RUNNER_TRUST=yes agrees.
    """
    from runner.checks import agreement
    from runner.spec.permissions import needed_permissions
    from runner.spec.project import Environment

    if show and revoke:
        raise click.UsageError("--show and --revoke contradict each other")
    project = find_project_here(directory)
    environ = Environment()
    if revoke:
        had_any = agreement.revoke(project, environ)
        note("revoked" if had_any else "there was no agreement to revoke")
        return 0
    permissions = needed_permissions(project, directory)
    if not permissions:
        note("nothing needs your agreement")
    if show:
        missing = agreement.not_agreed(project, permissions, environ)
        for each in permissions:
            state = "not agreed" if each in missing else "agreed"
            write_output(f"{each.full} ({state})\n")
        return 0
    write_output("".join(f"{each.full}\n" for each in permissions))
    if permissions:
        agreement.agree(project, permissions, environ)
        note("agreed; `runner trust --revoke` takes it back")
    else:
        agreement.revoke(project, environ)  # of what the file said before
    return 0
