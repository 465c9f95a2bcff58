"""Ask for the user's agreement before `runner.yaml` runs or sends anything, or refuse.

Commands that only read take a `Project`. What opens a provider, notifies a hook or makes a pass
takes a `TrustedProject`, and only `require_agreement` makes one of a project.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NewType

from runner.cli.output import is_terminal, note, wants_json
from runner.spec.project import Environment, Project

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.spec.permissions import Permission

TrustedProject = NewType("TrustedProject", Project)
"""A project to whose permissions the user has agreed."""


def needed_permissions(project: Project, start: Path) -> tuple[Permission, ...]:
    """Return all permissions that a project needs; `start` is where the command looked for it."""
    from runner.spec.owners import owner_permissions, owner_permissions_above

    found: dict[str, Permission] = {}
    for each in (
        *owner_permissions_above(project, start),
        *owner_permissions(project),
        *project.permissions,
    ):
        found.setdefault(each.digest, each)
    return tuple(found.values())


def require_agreement(project: Project, start: Path) -> TrustedProject:
    """Return the project once the user has agreed to all permissions that it needs.

    In a terminal the user is asked. Raises InvalidInput, with a problem for each permission, if the
    user has not agreed and says no or cannot be asked.
    """
    permissions = needed_permissions(project, start)
    if permissions:
        from runner.checks.agreement import agree, not_agreed, refusal

        missing = not_agreed(project, permissions, Environment())
        if missing and not _says_yes(project, missing):
            raise refusal(missing)
        if missing:
            agree(project, permissions, Environment())
    return TrustedProject(project)


def refuse_project_above(project: Project, start: Path) -> None:
    """Raise InvalidInput for a `runner.yaml` above `start` that others can change.

    Nobody has named its folder: it was only found on the way up. This is for all commands, also for
    those that run and send nothing.
    """
    from runner.spec.owners import owner_permissions_above

    if permissions := owner_permissions_above(project, start):
        from runner.checks.agreement import not_agreed, refusal

        if missing := not_agreed(project, permissions, Environment()):
            raise refusal(missing)


def _says_yes(project: Project, missing: Sequence[Permission]) -> bool:
    """Show the permissions and ask; False if there is nobody at a terminal."""
    if wants_json() or not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return False
    import click

    note(f"You have not agreed yet to what the project {project.root} does:")
    for each in missing:
        note(f"  {each.full}")
    return click.confirm("Do you agree?", err=True)
