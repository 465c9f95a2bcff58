"""The plan behind `runner plan`: what reconcile would do, and what it leaves to the user.

It sends only GETs and changes nothing, neither at the provider nor here. A provider that cannot
be queried is assumed to have nothing of ours, and the preview says so.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.errors import ApiError, LocalFileError, MissingExtra, Unauthorized
from runner.planning.state import Listing
from runner.reconcile.context import ProviderPool, no_progress
from runner.reconcile.planner import Planner
from runner.views.changes import changes_since_last_pass
from runner.views.manual_steps import manual_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.api.protocol import BatchApi
    from runner.errors import Problem
    from runner.ledger.store import Ledger
    from runner.planning.actions import Plan
    from runner.planning.state import DesiredRun, Observed
    from runner.reconcile.context import ProgressReporter
    from runner.spec.job import Specs
    from runner.spec.project import Project
    from runner.views.changes import JobChanges
    from runner.views.manual_steps import ManualStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The plan for `runner plan`, with the changes and the manual steps for the user.

    `not_queried` has the providers that were not queried, with the reason; `failed` is true if one
    of them should have responded and did not. `changes` has, by job, the changes since the last
    pass; `manual_steps` are the steps that reconcile leaves to the user; `warnings` are about what
    the provider will probably refuse.
    """

    plan: Plan
    desired_runs: tuple[DesiredRun, ...]
    problems: tuple[Problem, ...]
    not_queried: dict[str, str]
    failed: bool
    changes: Mapping[str, JobChanges] = field(default_factory=dict)
    manual_steps: tuple[ManualStep, ...] = ()
    warnings: tuple[Problem, ...] = ()


def preview(
    project: Project,
    specs: Specs,
    ledger: Ledger | None,
    open_api: Callable[[str], BatchApi],
    *,
    everything: bool,
    clock: Callable[[], float],
    report_progress: ProgressReporter = no_progress,
) -> Preview:
    """Make the plan that the next reconcile would begin with. Raises LedgerError."""
    querying = _PreviewQueries(project, open_api, clock, report_progress)
    planner = Planner(
        project,
        specs,
        ledger,
        querying.query,
        everything=everything,
        writing=False,
        clock=clock,
        report_progress=report_progress,
    )
    planner.observe()
    plan = planner.plan()
    runs = () if ledger is None else ledger.runs()
    return Preview(
        plan=plan,
        desired_runs=planner.desired,
        problems=planner.problems,
        not_queried=querying.not_queried,
        failed=querying.failed,
        warnings=planner.warnings,
        changes=changes_since_last_pass(project, planner.desired, planner.recorded, runs, plan),
        manual_steps=manual_steps(
            planner.desired,
            planner.recorded,
            plan,
            planner.observed,
            {}
            if ledger is None
            else {name: frozenset(ledger.batch_keys(name)) for name in planner.observed},
        ),
    )


class _PreviewQueries:
    """Sends the queries of a preview; a provider that cannot be queried has nothing of ours."""

    def __init__(
        self,
        project: Project,
        open_api: Callable[[str], BatchApi],
        clock: Callable[[], float],
        report_progress: ProgressReporter,
    ) -> None:
        self._project = project
        self._providers = ProviderPool(open_api)
        self._clock = clock
        self._report_progress = report_progress
        self.not_queried: dict[str, str] = {}
        self.failed = False

    def query(
        self, name: str, before: Observed, send_query: Callable[[BatchApi], Observed]
    ) -> Observed:
        """Return what a provider shows; an empty list where it cannot be queried."""
        empty = dataclasses.replace(
            before, listing=Listing(started_at=self._clock(), complete=True)
        )
        with self._report_progress(name, "querying"):
            api = self._open(name)
            observed = empty if api is None else send_query(api)
        if observed.failure is None:
            return observed
        self.not_queried[name], self.failed = observed.failure, True
        return dataclasses.replace(
            observed, failure=None, listing=observed.listing or empty.listing
        )

    def _open(self, name: str) -> BatchApi | None:
        """Open a provider; None for one that cannot be queried.

        The embedded one is not: it works only while a pass does, so it has no news.
        """
        provider = self._project.providers.get(name)
        if (provider is not None and provider.embedded) or name in self.not_queried:
            return None
        try:
            return self._providers.api(name)
        except Unauthorized as error:
            self.not_queried[name] = str(error)
            return None
        except (ApiError, LocalFileError, MissingExtra) as error:
            self.not_queried[name], self.failed = str(error), True
            return None
