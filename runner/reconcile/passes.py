"""Passes: one pass, and the loop of passes that `runner reconcile --wait` makes.

A pass observes once, then plans and applies until the plan is empty: what is collected may have
to be resubmitted immediately, and what is finished is published immediately. It never waits for
the provider's work.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.errors import ApiError, LocalFileError, MissingExtra
from runner.ledger import run_transitions, store
from runner.ledger.records import RunState
from runner.planning.actions import Wait
from runner.planning.batch_index import BatchIndex
from runner.reconcile.apply import apply
from runner.reconcile.context import Notice, PassState
from runner.reconcile.lock import locked
from runner.reconcile.planner import Planner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runner.api.protocol import BatchApi
    from runner.errors import Problem
    from runner.ledger.notifications import OpenProblem
    from runner.planning.actions import Action, Plan
    from runner.planning.saved_plan import SavedPlan
    from runner.planning.state import DesiredRun, Observed, Recorded
    from runner.reconcile.context import Context
    from runner.spec.job import Specs


@dataclass(frozen=True, slots=True, kw_only=True)
class PassReport:
    """The result of a pass.

    `states` are those of the selected jobs' desired runs, by job. A job is left out if its spec or
    input is invalid, or if its input could not be read in this pass; `unreadable_inputs` has the
    latter with the reason. `changed` is true if an action was applied. `stopped` has, by provider,
    the reason why it got no more requests in this pass. `unusable` are the providers for which
    waiting does not help: the API key is refused, there is no credit, or an extra is missing.
    `on_this_machine` are the subjects of the waits whose reason is on this machine.
    `refused` are the submissions, by key, whose results could not be read for too long. `answered`
    are the providers that have answered a query in this pass, and `accepting` those that have
    accepted a batch.
    `patience_until` is the time (Unix seconds) before which a provider wants no more requests
    (Retry-After), or 0. `unresolved` are problems of earlier passes of which this one has not shown
    that they are over; they are known once it is compared with the ledger.
    """

    desired_runs: tuple[DesiredRun, ...]
    problems: tuple[Problem, ...]
    waits: tuple[Wait, ...]
    unreadable_inputs: Mapping[str, str]
    notes: tuple[str, ...]
    states: Mapping[str, RunState]
    changed: bool
    stopped: Mapping[str, str]
    unusable: frozenset[str]
    refused: frozenset[str]
    answered: frozenset[str]
    accepting: frozenset[str]
    patience_until: float
    on_this_machine: frozenset[str] = frozenset()
    unresolved: tuple[OpenProblem, ...] = ()

    @property
    def all_final(self) -> bool:
        """Whether every selected job is in a final state."""
        return not self.unreadable_inputs and all(state.final for state in self.states.values())

    @property
    def only_hopeless_remain(self) -> bool:
        """Whether waiting helps no selected job that is not final.

        Each waits for an unusable provider, or only for results that were refused for too long.
        """
        return all(
            desired.job.provider.name in self.unusable or self._waits_for_refused(desired.job.name)
            for desired in self.desired_runs
            if not self.states[desired.job.name].final
        )

    def _waits_for_refused(self, job: str) -> bool:
        keys = [str(wait.key) for wait in self.waits if wait.run.job == job]
        return bool(keys) and self.refused.issuperset(keys)

    @property
    def has_problem(self) -> bool:
        """Whether something could not be done that the user should know."""
        return bool(self.unreadable_inputs or self.unresolved) or any(
            wait.is_problem for wait in self.waits
        )


def reconcile_once(
    context: Context,
    specs: Specs,
    *,
    everything: bool,
    restoring: bool = False,
    saved_plan: SavedPlan | None = None,
) -> PassReport:
    """Make one pass over the selected jobs.

    `everything` is true if no job was selected: then runs that no spec describes any more are
    followed to their end as well. With `restoring` the pass only records what is at the providers
    and on the disk already. With a `saved_plan` nothing is done unless the first plan of the pass
    is that plan. Raises LedgerError, and PlanMoved if it is another plan.
    """
    context.ledger.require_in_place()
    if everything and specs.complete:
        _clear_removed(context, specs)
    state = PassState()
    planner = Planner(
        context.project,
        specs,
        context.ledger,
        _PassQueries(context, state).query,
        everything=everything,
        writing=True,
        clock=context.clock,
        report_progress=context.report_progress,
    )
    if not restoring:
        context.report_warnings(planner.warnings)
    for name, reason in planner.unreadable_inputs.items():
        context.report_notice(Notice(job=name, message=reason, is_problem=True, event="unread"))
    for desired in planner.desired:
        state.claims.update(desired.claims)
        if desired.scanned is not None and len(desired.shards) == 1 and desired.shards[0].whole:
            state.scanned[desired.job.input] = (desired.scanned, desired.shards[0].sha256)
    planner.observe()
    plan, changed = _plan_and_apply(
        context, state, planner, restoring=restoring, saved_plan=saved_plan
    )
    return PassReport(
        desired_runs=planner.desired,
        problems=planner.problems,
        waits=plan.waits,
        unreadable_inputs=planner.unreadable_inputs,
        notes=plan.notes,
        states=_states(planner.desired, planner.recorded),
        changed=changed,
        stopped=dict(state.stopped),
        unusable=frozenset(state.unusable),
        refused=frozenset(state.refused),
        answered=frozenset(state.answered),
        accepting=frozenset(state.accepting),
        patience_until=state.patience_until,
        on_this_machine=frozenset(state.on_this_machine),
    )


def _clear_removed(context: Context, specs: Specs) -> None:
    """Record which jobs no spec describes any more."""
    job_names = {job.name for job in specs.jobs}
    for record in tuple(context.ledger.jobs()):
        if record.desired_revision is not None and record.name not in job_names:
            run_transitions.clear_desired(context.ledger, record.name)


def _plan_and_apply(
    context: Context,
    state: PassState,
    planner: Planner,
    *,
    restoring: bool,
    saved_plan: SavedPlan | None,
) -> tuple[Plan, bool]:
    """Plan and apply until the plan holds no more actions.

    Returns the last plan, and whether anything was done.
    """
    reported: set[str] = set()
    done = 0
    earlier: list[tuple[Action, ...]] = []
    while True:
        plan = planner.plan(state, restoring=restoring)
        for note in plan.notes:
            if note not in reported:
                context.report_notice(Notice(job="", message=note, event="remark"))
                reported.add(note)
        if saved_plan is not None:
            saved_plan.require_same(
                planner.desired,
                plan,
                embedded={
                    provider.name
                    for provider in context.project.providers.values()
                    if provider.embedded
                },
            )
            saved_plan = None
        if all(action.subject in state.held for action in plan.actions):
            # Nothing is planned, or nothing but what has failed in this pass already.
            return _as_waits(plan, state), done > 0
        if plan.actions in earlier:
            # A bug, or an unforeseen reply. Its actions are held; other jobs continue.
            for action in plan.actions:
                state.held[action.subject] = (
                    "it was applied and nothing changed, which is a bug of runner: please report it"
                )
        done += apply(context, state, plan.actions)
        earlier.append(plan.actions)
        planner.reload()


def _as_waits(plan: Plan, state: PassState) -> Plan:
    """Return a plan with its actions, which are all held, as waits."""
    waits = tuple(
        Wait(
            run=action.run,
            key=action.submission_key,
            reason=state.held[action.subject],
            is_problem=True,
        )
        for action in plan.actions
    )
    return dataclasses.replace(plan, actions=(), waits=plan.waits + waits)


class _PassQueries:
    """Sends the queries of a pass to providers, and records the complete listings."""

    def __init__(self, context: Context, state: PassState) -> None:
        self._context = context
        self._state = state

    def query(
        self, provider: str, before: Observed, send_query: Callable[[BatchApi], Observed]
    ) -> Observed:
        """Return what a provider shows; one that fails is reported and stopped for the pass."""
        context, state = self._context, self._state
        try:
            api = context.api(provider)
        except (ApiError, LocalFileError, MissingExtra) as error:
            observed = dataclasses.replace(before, failure=str(error), unusable=True, error=error)
        else:
            with context.report_progress(provider, "querying"):
                observed = send_query(api)
            self._record_listing(provider, observed)
        if observed.failure is None:
            context.providers.responded.add(provider)
            state.answered.add(provider)
            return observed
        state.stopped[provider] = observed.failure
        if observed.unusable:
            state.unusable.add(provider)
        context.report_notice(
            Notice(
                job="",
                message=observed.failure,
                is_problem=True,
                event="provider_failed",
                provider=provider,
                error=observed.error,
            )
        )
        return observed

    def _record_listing(self, provider: str, observed: Observed) -> None:
        """Record the time of a complete listing, and its batches with a submission key."""
        listing = observed.listing
        if listing is None or not listing.complete:
            return
        ledger = self._context.ledger
        configured = self._context.project.providers[provider]
        through = ledger.listed_through(configured)
        newest = max((batch.created_at or 0 for batch in listing.batches), default=0)
        recorded = ledger.batch_ids(provider)
        store.record_listing(
            ledger,
            provider,
            configured.base_url,
            through=max(newest, through or 0) or None,
            tagged=[
                (key, batch)
                for key, batch in BatchIndex((), observed, self._state.claims).carried
                if batch.id not in recorded
            ],
        )


def _states(desired_runs: Sequence[DesiredRun], recorded: Recorded) -> dict[str, RunState]:
    """Return the state of each desired run; pending where nothing is recorded of it."""
    states = {(run.job, run.revision): run.state for run in recorded.runs}
    return {
        desired.job.name: states.get((desired.job.name, desired.revision), RunState.PENDING)
        for desired in desired_runs
    }


_SHORTEST_POLL: Final = 5.0
_SHORTEST_POLL_LOOPBACK: Final = 0.2
_LONGEST_POLL: Final = 60.0
_SHORTEST_PAUSE: Final = 0.05
_MAX_FRUITLESS: Final = 3
"""Passes in a row that met only problems after which the loop ends."""


def reconcile_until_done(
    context: Context,
    specs: Specs,
    *,
    everything: bool,
    sleep: Callable[[float], None],
    poll_interval: float | None = None,
    wait_for_lock: bool = False,
    waiting: Callable[[PassReport, float], None] | None = None,
    saved_plan: SavedPlan | None = None,
) -> PassReport:
    """Make passes until all selected jobs are final, or until waiting does not help.

    The lock is held during a pass and not between passes, so that other reconciles get their
    turn. Without `poll_interval` (seconds) the pause is a tenth of the time in which nothing
    has changed, between 5 s (0.2 s on this machine) and a minute. An outage of a provider that has
    responded before, or that asks clients to wait (Retry-After), has no limit of time. A refused
    API key, a lack of credit or a missing extra ends the loop, and so do results that have been
    refused for too long, and three passes in a row that met only problems. `waiting` is called
    before each pause. `saved_plan` is compared with the first plan of the first pass. Raises
    LockHeld if another reconcile holds the lock at the first pass and `wait_for_lock` is false.
    """

    def say_first(message: str) -> None:
        text = f"{message}; waiting for it"
        context.report_notice(Notice(job="", message=text, event="waiting"))

    say_waiting: Callable[[str], None] | None = say_first
    changed_at = context.clock()
    fruitless = 0
    while True:
        with locked(context.ledger.path, wait=wait_for_lock, waiting=say_waiting):
            report = reconcile_once(context, specs, everything=everything, saved_plan=saved_plan)
        say_waiting = None  # later waits are for other processes that take their turn
        saved_plan = None
        wait_for_lock = True
        now = context.clock()
        if report.all_final or report.only_hopeless_remain:
            return report
        changed_at = now if report.changed else changed_at
        fruitless = fruitless + 1 if _is_fruitless(context, report) else 0
        if fruitless >= _MAX_FRUITLESS:
            return report
        pause = poll_interval or max(
            _pause(context, report, now - changed_at), report.patience_until - now
        )
        wait_ends = [wait.until for wait in report.waits if wait.until is not None]
        if wait_ends:
            pause = min(pause, max(min(wait_ends) - now, _SHORTEST_PAUSE))
        if waiting is not None:
            waiting(report, pause)
        sleep(pause)


def _is_fruitless(context: Context, report: PassReport) -> bool:
    """Whether a pass met only problems, and none is an outage that the provider may end itself."""
    only_problems = bool(report.waits) and all(wait.is_problem for wait in report.waits)
    outage = bool(report.stopped) and report.stopped.keys() <= context.providers.responded
    waits_on_request = report.patience_until > 0
    return only_problems and not outage and not waits_on_request and not report.changed


def _pause(context: Context, report: PassReport, unchanged_for: float) -> float:
    providers = {wait.run.provider for wait in report.waits}
    all_loopback = all(
        provider in context.project.providers and context.project.providers[provider].loopback
        for provider in providers
    )
    shortest = _SHORTEST_POLL_LOOPBACK if all_loopback else _SHORTEST_POLL
    return min(max(unchanged_for / 10, shortest), _LONGEST_POLL)
