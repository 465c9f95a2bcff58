"""What reconcile would do, without doing it: the plan behind `runner plan`.

Asks the providers what they have (GETs only) and changes nothing, neither there nor here. A
provider that cannot be asked is taken to have nothing of ours, and the preview says so.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import ApiError, MissingExtra, Unauthorized
from runner.reconcile.facts import Facts, Known, Look, Seen
from runner.reconcile.observe import observe, questions
from runner.reconcile.plan import make_plan
from runner.reconcile.survey import known_of, published_of, with_traces
from runner.reconcile.wishes import make_wishes

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.api.protocol import BatchApi
    from runner.errors import Problem
    from runner.ledger.store import Ledger
    from runner.reconcile.actions import Plan
    from runner.reconcile.facts import Wish
    from runner.reconcile.observe import Questions
    from runner.spec.job import Specs
    from runner.spec.project import Project, Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A plan that nobody carries out.

    `unasked` maps providers to why they were not asked; `failed` says that one of them should
    have answered and did not.
    """

    plan: Plan
    wishes: tuple[Wish, ...]
    problems: tuple[Problem, ...]
    unasked: dict[str, str]
    failed: bool


def preview(
    project: Project,
    specs: Specs,
    ledger: Ledger | None,
    open_api: Callable[[str], BatchApi],
    *,
    everything: bool,
    clock: Callable[[], float],
) -> Preview:
    """Make the plan that the next reconcile would begin with. Raises LedgerError."""
    living = frozenset(job.name for job in specs.jobs) if specs.complete else None
    runs = ledger.runs() if ledger is not None else ()
    made = make_wishes(project, specs.selected, runs, living, ledger, writing=False)
    wishes = with_traces(project, made.wishes, runs)
    known = (
        known_of(ledger, wishes, everything=everything)
        if ledger is not None
        else Known(jobs={}, runs=())
    )
    through = ledger.listed_through if ledger is not None else _never_listed
    seen: dict[str, Seen] = {}
    unasked: dict[str, str] = {}
    failed = False
    for name, asked in questions(wishes, known.runs, project.providers, through).items():
        seen[name], why, broken = _ask(project, name, asked, open_api, clock)
        failed = failed or broken
        if why is not None:
            unasked[name] = why
    published, latest = published_of(project, wishes, known)
    plan = make_plan(
        wishes,
        known,
        Facts(
            now=clock(),
            seen=seen,
            providers=project.providers,
            living=living,
            published=published,
            latest=latest,
        ),
    )
    return Preview(plan=plan, wishes=wishes, problems=made.problems, unasked=unasked, failed=failed)


def _never_listed(_provider: Provider) -> int | None:
    return None


def _ask(
    project: Project,
    name: str,
    asked: Questions,
    open_api: Callable[[str], BatchApi],
    clock: Callable[[], float],
) -> tuple[Seen, str | None, bool]:
    """Ask one provider; returns what was seen, why it was not asked, and whether it failed."""
    nothing = Seen(look=Look(started_at=clock(), complete=True))
    provider = project.providers.get(name)
    if provider is not None and provider.embedded:
        return nothing, None, False
    try:
        api = open_api(name)
    except Unauthorized as error:
        return nothing, str(error), False
    except (ApiError, MissingExtra) as error:
        return nothing, str(error), True
    seen = observe(api, asked, clock)
    if seen.failure is None:
        return seen, None, False
    look = seen.look or nothing.look
    return dataclasses.replace(seen, failure=None, look=look), seen.failure, True
