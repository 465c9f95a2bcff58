"""Plans in files: `plan -o FILE` keeps one, `reconcile --plan FILE` holds it against the world.

What is compared, and what is not, is in `runner/planning/saved_plan.py`. The comparison takes place
under the lock, with the first plan of the pass itself, once the providers have been looked at and
before any step is taken. What follows from that plan (collecting, asking again what has failed,
publishing) is the usual work of a pass: it has been agreed to with the plan.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import InvalidInput, PlanOutdated, Problem, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.planning.actions import Plan
    from runner.planning.saved_plan import PlanTerms
    from runner.planning.state import DesiredRun
    from runner.report.plan_json import Selection
    from runner.report.schemas.plan import PlanOutput
    from runner.spec.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan that somebody has looked at; `folder` is where its selectors were typed."""

    path: Path
    terms: PlanTerms
    folder: Path
    silent: frozenset[str]

    @property
    def selectors(self) -> tuple[str, ...]:
        """What was selected; nothing stands for everything."""
        return self.terms.selectors

    def check(self, desired_runs: Sequence[DesiredRun], plan: Plan) -> None:
        """Raise PlanMoved unless this is what was agreed to."""
        from runner.planning.saved_plan import moved, terms_of
        from runner.report.plan_json import Selection, asked_and_done

        selection = Selection(selectors=self.terms.selectors, folder=self.terms.folder)
        now = terms_of(asked_and_done(desired_runs, plan, selection))
        how = moved(self.terms, now, silent=self.silent)
        if how is not None:
            raise PlanOutdated(
                f"the world has moved since {self.path} was made, so nothing was done: {how}. "
                f"`runner plan -o {self.path}` makes the plan anew"
            )


def selection(project: Project, directory: Path, selectors: Sequence[str]) -> Selection:
    """Say what a plan is made for, so that it can be selected again from any folder."""
    from runner.report.plan_json import Selection

    folder = os.path.relpath(os.path.abspath(directory), project.root)  # noqa: PTH100
    return Selection(selectors=tuple(selectors), folder=Path(folder).as_posix())


def save_plan(path: Path, shape: PlanOutput) -> None:
    """Write a plan to a file, whole or not at all. Raises LocalFileError."""
    from runner.outputs.durable_files import write_whole
    from runner.report.json_output import to_json

    write_whole(path, to_json(shape).encode())


def load_plan(path: Path, project: Project, selectors: Sequence[str]) -> SavedPlan:
    """Read a plan that was kept.

    Raises UsageError if SPECs are named besides, InvalidInput if the file is none that this
    version of runner has made.
    """
    from runner.planning.saved_plan import read_terms

    if selectors:
        raise UsageError(
            f"--plan {path} says which SPECs it is for; leave out {' '.join(selectors)}"
        )
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise InvalidInput([Problem(path=str(path), message=message)]) from error
    except UnicodeDecodeError as error:
        message = "is no plan; `runner plan -o FILE` makes one"
        raise InvalidInput([Problem(path=str(path), message=message)]) from error
    terms = read_terms(text, shown=str(path))
    return SavedPlan(
        path=path,
        terms=terms,
        folder=project.root / terms.folder,
        silent=frozenset(
            provider.name for provider in project.providers.values() if provider.embedded
        ),
    )
