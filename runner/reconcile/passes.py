"""A pass: observe once, then plan and apply until the plan is empty.

What is collected may have to be asked again at once, and what is finished is published at once,
but nothing waits for the provider.

Passes until every selected job is in a final state: `runner reconcile --wait`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from runner.errors import ApiError, LocalFileError, MissingExtra
from runner.ledger import cache
from runner.ledger import run_transitions as run_steps
from runner.ledger.records import RunState
from runner.planning.actions import Wait
from runner.planning.batch_index import BatchIndex
from runner.planning.plan import make_plan
from runner.planning.state import Observed, PlanInputs
from runner.reconcile.apply import action_name, apply
from runner.reconcile.context import Notice
from runner.reconcile.desired import resolve_desired
from runner.reconcile.lock import locked
from runner.reconcile.observe import list_again, observe, provider_queries
from runner.reconcile.recorded import load_recorded, published_of, with_traces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runner.api.protocol import BatchApi
    from runner.errors import Problem
    from runner.planning.actions import Action, Plan
    from runner.planning.state import DesiredRun, Recorded
    from runner.reconcile.context import Context
    from runner.spec.job import Specs


@dataclass(frozen=True, slots=True, kw_only=True)
class PassReport:
    """What a pass came to.

    `states` are those of the selected jobs' wanted runs; a job whose spec or input is invalid
    is not among them, nor are the `unread`, whose input could not be read this time. `changed`
    says whether anything was done at all; `hopeless` names the providers that waiting cannot
    help: no key, no money, a missing extra.
    """

    desired_runs: tuple[DesiredRun, ...]
    problems: tuple[Problem, ...]
    waits: tuple[Wait, ...]
    unread: Mapping[str, str]
    notes: tuple[str, ...]
    states: Mapping[str, RunState]
    changed: bool
    hopeless: frozenset[str]

    @property
    def settled(self) -> bool:
        """Whether every selected job is in a final state."""
        return not self.unread and all(state.final for state in self.states.values())

    @property
    def in_vain(self) -> bool:
        """Whether every selected job that is not final waits for a provider beyond hope."""
        return all(
            desired.job.provider.name in self.hopeless
            for desired in self.desired_runs
            if not self.states[desired.job.name].final
        )

    @property
    def trouble(self) -> bool:
        """Whether something could not be done that a person should know of."""
        return bool(self.unread) or any(wait.trouble for wait in self.waits)


def reconcile_once(
    context: Context, specs: Specs, *, everything: bool, restoring: bool = False
) -> PassReport:
    """Make one pass over the selected jobs.

    With `restoring` it only writes down what is at the providers and on the disk already.
    `everything` says that no selection was made: runs that no spec asks for any more are then
    seen through as well. Never waits for the provider's work. Raises LedgerError.
    """
    context.begin_pass()
    context.ledger.require_in_place()
    living = frozenset(job.name for job in specs.jobs) if specs.complete else None
    made = resolve_desired(
        context.project,
        specs.selected,
        context.ledger.runs(),
        living,
        context.ledger,
        writing=True,
        moving=context.moving,
    )
    if everything and living is not None:
        for name, job in {record.name: record for record in context.ledger.jobs()}.items():
            if job.wanted is not None and name not in living:
                run_steps.clear_desired(context.ledger, name)
    for name, reason in made.unread.items():
        context.tell(Notice(job=name, what=reason, trouble=True, event="unread"))
    desired_runs = with_traces(context.project, made.desired_runs, context.ledger.runs())
    for desired in desired_runs:
        context.claims.update(desired.claims)
        if desired.scanned is not None and len(desired.shards) == 1 and desired.shards[0].whole:
            context.fresh[desired.job.input] = (desired.scanned, desired.shards[0].sha256)
    recorded = load_recorded(context.ledger, desired_runs, everything=everything)
    observed = _observe(context, desired_runs, recorded)
    plan, recorded, changed = _settle(
        context,
        desired_runs,
        recorded,
        observed,
        living,
        everything=everything,
        restoring=restoring,
    )
    states = _states(desired_runs, recorded)
    return PassReport(
        desired_runs=desired_runs,
        problems=made.problems,
        waits=plan.waits,
        unread=made.unread,
        notes=plan.notes,
        states=states,
        changed=changed,
        hopeless=frozenset(context.hopeless),
    )


def _settle(
    context: Context,
    desired_runs: Sequence[DesiredRun],
    recorded: Recorded,
    observed: dict[str, Observed],
    living: frozenset[str] | None,
    *,
    everything: bool,
    restoring: bool,
) -> tuple[Plan, Recorded, bool]:
    """Plan and apply until the plan holds no more actions; returns what is known then."""
    notes: dict[str, None] = {}
    listed: set[str] = set()
    done = 0
    earlier: list[tuple[Action, ...]] = []
    while True:
        published, latest = published_of(context.project, desired_runs, recorded)
        plan = make_plan(
            desired_runs,
            recorded,
            PlanInputs(
                now=context.clock(),
                observed=observed,
                providers=context.project.providers,
                living=living,
                published=published,
                latest=latest,
                trouble=context.trouble,
                restoring=restoring,
                noted=frozenset(context.noted),
                cancelled=frozenset(context.cancelled),
            ),
        )
        for note in plan.notes:
            if note not in notes:
                context.tell(Notice(job="", what=note, event="remark"))
            notes[note] = None
        unlisted = {wait.run.provider for wait in plan.waits if wait.listing} - listed
        if unlisted:
            for name in sorted(unlisted):
                observed[name] = _list_everything(context, name, observed.get(name, Observed()))
            listed |= unlisted
            continue
        if context.agree is not None:
            context.agree(desired_runs, plan)
            context.agree = None
        held = {action_name(action) for action in plan.actions} & context.trouble.keys()
        if len(held) == len({action_name(action) for action in plan.actions}):
            # Nothing is planned, or nothing but what has failed in this pass already.
            return _waiting(plan, context.trouble), recorded, done > 0
        if plan.actions in earlier:
            # A bug of ours or an answer nobody foresaw: one job's trouble, not everybody's.
            for action in plan.actions:
                context.leave(
                    action_name(action), "it was done and nothing changed; please report it"
                )
        done += apply(context, plan.actions)
        earlier.append(plan.actions)
        recorded = load_recorded(context.ledger, desired_runs, everything=everything)


def _waiting(plan: Plan, trouble: Mapping[str, str]) -> Plan:
    """Turn what failed in this pass, and no wait says so yet, into waits."""
    waits = tuple(
        Wait(run=action.run, key=None, reason=trouble[action_name(action)], trouble=True)
        for action in plan.actions
    )
    return dataclasses.replace(plan, actions=(), waits=plan.waits + waits)


def _observe(
    context: Context, desired_runs: Sequence[DesiredRun], recorded: Recorded
) -> dict[str, Observed]:
    """Ask every provider that has to be asked."""
    observed: dict[str, Observed] = {}
    for name, asked in provider_queries(
        desired_runs, recorded.runs, context.project.providers, context.ledger.listed_through
    ).items():
        observed[name] = _seen(
            context, name, Observed(), partial(observe, asked=asked, clock=context.clock)
        )
    return observed


def _list_everything(context: Context, provider: str, before: Observed) -> Observed:
    """Look through a provider's lists in mid-pass, because there is something to submit."""
    configured = context.project.providers.get(provider)
    since = None if configured is None else context.ledger.listed_through(configured)
    listing = partial(list_again, observed=before, since=since, clock=context.clock)
    return _seen(context, provider, before, listing)


def _seen(
    context: Context, provider: str, before: Observed, ask: Callable[[BatchApi], Observed]
) -> Observed:
    """Ask one provider, and keep what a complete look has shown; a failure is told of."""
    try:
        api = context.api(provider)
    except (ApiError, LocalFileError, MissingExtra) as error:
        observed = dataclasses.replace(before, failure=str(error), hopeless=True, error=error)
    else:
        with context.moving(provider, "asking what it has"):
            observed = ask(api)
        _remember_look(context, provider, observed)
    if observed.failure is None:
        context.answered.add(provider)
        return observed
    context.stopped[provider] = observed.failure
    if observed.hopeless:
        context.hopeless.add(provider)
    context.tell(
        Notice(
            job="",
            what=observed.failure,
            trouble=True,
            event="provider_failed",
            provider=provider,
            error=observed.error,
        )
    )
    return observed


def _remember_look(context: Context, provider: str, observed: Observed) -> None:
    """Keep how far a complete look went, and what it showed that carries keys like ours."""
    listing = observed.listing
    if listing is None or not listing.complete:
        return
    through = context.ledger.listed_through(context.project.providers[provider])
    newest = max((batch.created_at or 0 for batch in listing.batches), default=0)
    recorded = context.ledger.batch_ids(provider)
    cache.record_listing(
        context.ledger,
        provider,
        context.project.providers[provider].base_url,
        through=max(newest, through or 0) or None,
        tagged=[
            (key, batch)
            for key, batch in BatchIndex((), observed, context.claims).carried
            if batch.id not in recorded
        ],
    )


def _states(desired_runs: Sequence[DesiredRun], recorded: Recorded) -> dict[str, RunState]:
    """Return where each wished run stands; pending where nothing was recorded of it."""
    states = {(run.job, run.revision): run.state for run in recorded.runs}
    return {
        desired.job.name: states.get((desired.job.name, desired.revision), RunState.PENDING)
        for desired in desired_runs
    }


_SHORTEST_POLL: Final = 5.0
_SHORTEST_POLL_LOOPBACK: Final = 0.2
_LONGEST_POLL: Final = 60.0
_SOONEST: Final = 0.05
_PATIENCE: Final = 3
"""How many passes in a row may meet nothing but trouble before waiting is given up."""


def reconcile_until_done(
    context: Context,
    specs: Specs,
    *,
    everything: bool,
    sleep: Callable[[float], None],
    poll_interval: float | None = None,
    wait_for_lock: bool = False,
    waiting: Callable[[PassReport, float], None] | None = None,
) -> PassReport:
    """Make passes until all selected jobs are final, or until waiting cannot help.

    The lock is held during a pass and not between passes, so that other reconciles get their
    turn. Without `poll_interval` (seconds) the pause is a tenth of the time in which nothing
    has changed, between 5 s (0.2 s on this machine) and a minute. A provider that has answered
    before, or that asks for patience, is waited for as long as it takes; a refused key, a lack
    of money or a missing extra ends the wait, and so does trouble alone, three passes in a row.
    `waiting` hears of each pause. Raises LockHeld, at the first pass only and unless
    `wait_for_lock`, if another reconcile is at work.
    """
    changed_at = context.clock()
    fruitless = 0
    while True:
        with locked(context.ledger.path, wait=wait_for_lock):
            report = reconcile_once(context, specs, everything=everything)
        wait_for_lock = True
        now = context.clock()
        if report.settled or report.in_vain:
            return report
        changed_at = now if report.changed else changed_at
        alone = bool(report.waits) and all(wait.trouble for wait in report.waits)
        outage = bool(context.stopped) and context.stopped.keys() <= context.answered
        asked = context.patience_until > 0
        fruitless = (
            fruitless + 1 if alone and not outage and not asked and not report.changed else 0
        )
        if fruitless >= _PATIENCE:
            return report
        pause = poll_interval or max(
            _pause(context, report, now - changed_at), context.patience_until - now
        )
        untils = [wait.until for wait in report.waits if wait.until is not None]
        if untils:
            pause = min(pause, max(min(untils) - now, _SOONEST))
        if waiting is not None:
            waiting(report, pause)
        sleep(pause)


def _pause(context: Context, report: PassReport, quiet: float) -> float:
    providers = {wait.run.provider for wait in report.waits}
    near = all(
        provider in context.project.providers and context.project.providers[provider].loopback
        for provider in providers
    )
    shortest = _SHORTEST_POLL_LOOPBACK if near else _SHORTEST_POLL
    return min(max(quiet / 10, shortest), _LONGEST_POLL)
