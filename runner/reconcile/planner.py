"""Planning, from specs to a plan: the one path that `runner plan` and every pass share.

    desired   resolve the revision of each selected job, and read its output folder
    recorded  read the runs of these jobs from the ledger
    observed  query each provider that has, or may have, batches of these jobs
    plan      decide; if the plan needs the list of a provider first, read it and plan again

So `runner plan` shows the plan that the next pass begins with.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from runner.planning.plan import make_plan
from runner.planning.state import Observed, PlanInputs, Recorded
from runner.reconcile.context import PassState, no_progress
from runner.reconcile.desired import resolve_desired
from runner.reconcile.observe import list_before_submission, observe, provider_queries
from runner.reconcile.recorded import (
    find_published,
    load_recorded,
    with_output_folders,
    with_present_provider,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.api.protocol import BatchApi
    from runner.errors import Problem
    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.planning.actions import Plan
    from runner.planning.state import DesiredRun
    from runner.reconcile.context import ProgressReporter
    from runner.spec.job import Specs
    from runner.spec.project import Project, Provider


class QueryProvider(Protocol):
    """Sends a query to a provider and handles its failure."""

    def __call__(
        self, provider: str, before: Observed, query: Callable[[BatchApi], Observed], /
    ) -> Observed:
        """Return the result of `query`; `before` is what was observed at the provider earlier."""


class Planner:
    """Gathers the inputs of plans for the selected jobs of a project, and makes the plans.

    Attributes:
        desired: the desired runs of the selected specs.
        problems: the problems of invalid inputs; their jobs have no desired run.
        unreadable_inputs: the jobs whose input could not be read in this pass, with the reason.
        warnings: what the provider will probably refuse of the runs that are not recorded yet.
        recorded: the recorded state, as last read from the ledger.
        observed: what each provider has shown so far.

    """

    desired: tuple[DesiredRun, ...]
    problems: tuple[Problem, ...]
    unreadable_inputs: Mapping[str, str]
    warnings: tuple[Problem, ...]
    recorded: Recorded
    observed: dict[str, Observed]

    def __init__(
        self,
        project: Project,
        specs: Specs,
        ledger: Ledger | None,
        query: QueryProvider,
        *,
        everything: bool,
        writing: bool,
        clock: Callable[[], float],
        report_progress: ProgressReporter = no_progress,
    ) -> None:
        """Resolve the desired runs and read the ledger. Raises LedgerError.

        `ledger` is None if there is none yet. `everything` is true if no job was selected: then
        runs that no spec describes any more are planned for as well. With `writing` the digests
        and custom_ids of inputs are stored in the ledger and in its folder.
        """
        self._project = project
        self._ledger = ledger
        self._query = query
        self._everything = everything
        self._clock = clock
        self._job_names = frozenset(job.name for job in specs.jobs) if specs.complete else None
        self._listed: set[str] = set()
        runs = self._runs()
        resolved = resolve_desired(
            project,
            specs.selected,
            runs,
            self._job_names,
            ledger,
            writing=writing,
            report_progress=report_progress,
        )
        self._lost_providers = (
            frozenset(run.provider for run in runs) - project.providers.keys()
            if project.config_file is None
            else frozenset()
        )
        self.problems = resolved.problems
        self.unreadable_inputs = resolved.unreadable_inputs
        self.warnings = resolved.warnings
        self.desired = with_output_folders(project, resolved.desired_runs, runs)
        self.observed = {}
        self.reload()

    def reload(self) -> None:
        """Read the ledger again, after actions have changed it."""
        if self._ledger is None:
            self.recorded = Recorded(jobs={}, runs=())
            return
        recorded = load_recorded(self._ledger, self.desired, everything=self._everything)
        self.recorded = replace(
            recorded, runs=tuple(with_present_provider(self._project, run) for run in recorded.runs)
        )

    def observe(self) -> None:
        """Query every provider that has to be queried."""
        queries = provider_queries(
            self.desired, self.recorded.runs, self._project.providers, self._listed_through
        )
        for name, provider_query in queries.items():
            self._query_provider(name, partial(observe, query=provider_query, clock=self._clock))

    def plan(self, state: PassState | None = None, *, restoring: bool = False) -> Plan:
        """Return the plan; reads the lists of a provider first if the plan needs them.

        `state` is the state of the pass. With `restoring` the plan only records what exists
        already.
        """
        state = state or PassState()
        while True:
            published, latest = find_published(self._project, self.desired, self.recorded)
            plan = make_plan(
                self.desired,
                self.recorded,
                PlanInputs(
                    now=self._clock(),
                    observed=self.observed,
                    providers=self._project.providers,
                    job_names=self._job_names,
                    published=published,
                    latest=latest,
                    held=state.held,
                    restoring=restoring,
                    recorded_batches=frozenset(state.recorded_batches),
                    cancelled=frozenset(state.cancelled),
                    lost_providers=self._lost_providers,
                ),
            )
            unlisted = sorted(plan.needs_listing - self._listed)
            if not unlisted:
                return plan
            for name in unlisted:
                provider = self._project.providers.get(name)
                self._query_provider(
                    name,
                    partial(
                        list_before_submission,
                        observed=self.observed.get(name, Observed()),
                        since=None if provider is None else self._listed_through(provider),
                        clock=self._clock,
                    ),
                )
            self._listed.update(unlisted)

    def _query_provider(self, name: str, query: Callable[[BatchApi], Observed]) -> None:
        self.observed[name] = self._query(name, self.observed.get(name, Observed()), query)

    def _runs(self) -> tuple[Run, ...]:
        return () if self._ledger is None else tuple(self._ledger.runs())

    def _listed_through(self, provider: Provider) -> int | None:
        return None if self._ledger is None else self._ledger.listed_through(provider)
