"""What reconcile would do, without doing it: the plan behind `runner plan`.

Asks the providers what they have (GETs only) and changes nothing, neither there nor here. A
provider that cannot be asked is taken to have nothing of ours, and the preview says so.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from runner.errors import ApiError, LocalFileError, MissingExtra, Unauthorized
from runner.planning.plan import make_plan
from runner.planning.state import Listing, Observed, PlanInputs, Recorded
from runner.reconcile.context import no_progress
from runner.reconcile.desired import resolve_desired
from runner.reconcile.observe import list_again, observe, provider_queries
from runner.reconcile.recorded import load_recorded, published_of, with_traces
from runner.views.changes import changes_since_last_pass
from runner.views.manual_steps import manual_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.api.protocol import BatchApi
    from runner.errors import Problem
    from runner.ledger.store import Ledger
    from runner.planning.actions import Plan
    from runner.planning.state import DesiredRun
    from runner.reconcile.context import ProgressReporter
    from runner.spec.job import Specs
    from runner.spec.project import Project, Provider
    from runner.views.changes import JobChanges
    from runner.views.manual_steps import ManualStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A plan that nobody carries out.

    `unasked` maps providers to why they were not asked; `failed` says that one of them should
    have answered and did not. `since` says by job what has changed since it was last reconciled,
    `left` what the plan leaves to people.
    """

    plan: Plan
    desired_runs: tuple[DesiredRun, ...]
    problems: tuple[Problem, ...]
    unasked: dict[str, str]
    failed: bool
    since: Mapping[str, JobChanges] = field(default_factory=dict)
    left: tuple[ManualStep, ...] = ()


def preview(
    project: Project,
    specs: Specs,
    ledger: Ledger | None,
    open_api: Callable[[str], BatchApi],
    *,
    everything: bool,
    clock: Callable[[], float],
    moving: ProgressReporter = no_progress,
) -> Preview:
    """Make the plan that the next reconcile would begin with. Raises LedgerError."""
    living = frozenset(job.name for job in specs.jobs) if specs.complete else None
    runs = ledger.runs() if ledger is not None else ()
    made = resolve_desired(
        project, specs.selected, runs, living, ledger, writing=False, moving=moving
    )
    desired_runs = with_traces(project, made.desired_runs, runs)
    recorded = (
        load_recorded(ledger, desired_runs, everything=everything)
        if ledger is not None
        else Recorded(jobs={}, runs=())
    )
    through = ledger.listed_through if ledger is not None else _never_listed
    asking = _Asking(project, open_api, clock, moving)
    for name, asked in provider_queries(
        desired_runs, recorded.runs, project.providers, through
    ).items():
        asking.ask(name, partial(observe, asked=asked, clock=clock))
    published, latest = published_of(project, desired_runs, recorded)
    listed: set[str] = set()
    while True:
        inputs = PlanInputs(
            now=clock(),
            observed=asking.observed,
            providers=project.providers,
            living=living,
            published=published,
            latest=latest,
        )
        plan = make_plan(desired_runs, recorded, inputs)
        unlisted = {wait.run.provider for wait in plan.waits if wait.listing} - listed
        if not unlisted:
            break
        # A pass looks before it submits, and its plan is the one after that.
        for name in sorted(unlisted):
            configured = project.providers.get(name)
            since = None if configured is None else through(configured)
            before = asking.observed.get(name, Observed())
            asking.ask(name, partial(list_again, observed=before, since=since, clock=clock))
        listed |= unlisted
    return Preview(
        plan=plan,
        desired_runs=desired_runs,
        problems=made.problems,
        unasked=asking.unasked,
        failed=asking.failed,
        since=changes_since_last_pass(project, desired_runs, recorded, runs, plan),
        left=manual_steps(
            desired_runs,
            recorded,
            plan,
            asking.observed,
            {}
            if ledger is None
            else {name: frozenset(ledger.batch_keys(name)) for name in asking.observed},
        ),
    )


def _never_listed(_provider: Provider) -> int | None:
    return None


class _Asking:
    """What providers have answered so far; one that cannot be asked has nothing of ours."""

    def __init__(
        self,
        project: Project,
        open_api: Callable[[str], BatchApi],
        clock: Callable[[], float],
        moving: ProgressReporter,
    ) -> None:
        self._project = project
        self._open_api = open_api
        self._clock = clock
        self._moving = moving
        self._apis: dict[str, BatchApi] = {}
        self.observed: dict[str, Observed] = {}
        self.unasked: dict[str, str] = {}
        self.failed = False

    def ask(self, name: str, question: Callable[[BatchApi], Observed]) -> None:
        """Put a question to one provider; `question` is given its API and returns what was seen."""
        nothing = dataclasses.replace(
            self.observed.get(name, Observed()),
            listing=Listing(started_at=self._clock(), complete=True),
        )
        with self._moving(name, "asking what it has"):
            api = self._open(name)
            observed = nothing if api is None else question(api)
        if observed.failure is not None:
            self.unasked[name], self.failed = observed.failure, True
            observed = dataclasses.replace(
                observed, failure=None, listing=observed.listing or nothing.listing
            )
        self.observed[name] = observed

    def _open(self, name: str) -> BatchApi | None:
        """Open a provider; None for one that cannot be asked.

        The embedded one is not: it works only while a pass does, so it has no news.
        """
        provider = self._project.providers.get(name)
        if (provider is not None and provider.embedded) or name in self.unasked:
            return None
        try:
            if name not in self._apis:
                self._apis[name] = self._open_api(name)
        except Unauthorized as error:
            self.unasked[name] = str(error)
            return None
        except (ApiError, LocalFileError, MissingExtra) as error:
            self.unasked[name], self.failed = str(error), True
            return None
        return self._apis[name]
