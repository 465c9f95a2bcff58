"""A pass: observe once, then plan and apply until the plan is empty.

What is collected may have to be asked again at once, and what is finished is published at once,
but nothing waits for the provider.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from runner.errors import ApiError, LocalFileError, MissingExtra
from runner.ledger import cache
from runner.ledger import run_transitions as run_steps
from runner.ledger.records import RunState
from runner.planning.actions import Wait
from runner.planning.plan import make_plan
from runner.planning.state import Facts, Seen, Traces
from runner.reconcile.apply import action_name, apply
from runner.reconcile.context import Tidings
from runner.reconcile.desired import make_wishes
from runner.reconcile.observe import look_again, observe, questions
from runner.reconcile.recorded import known_of, published_of, with_traces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runner.api.protocol import BatchApi
    from runner.errors import Problem
    from runner.planning.actions import Action, Plan
    from runner.planning.state import Known, Wish
    from runner.reconcile.context import Workshop
    from runner.spec.job import Specs


@dataclass(frozen=True, slots=True, kw_only=True)
class PassReport:
    """What a pass came to.

    `states` are those of the selected jobs' wanted runs; a job whose spec or input is invalid
    is not among them, nor are the `unread`, whose input could not be read this time. `changed`
    says whether anything was done at all; `hopeless` names the providers that waiting cannot
    help: no key, no money, a missing extra.
    """

    wishes: tuple[Wish, ...]
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
            wish.job.provider.name in self.hopeless
            for wish in self.wishes
            if not self.states[wish.job.name].final
        )

    @property
    def trouble(self) -> bool:
        """Whether something could not be done that a person should know of."""
        return bool(self.unread) or any(wait.trouble for wait in self.waits)


def reconcile_once(
    shop: Workshop, specs: Specs, *, everything: bool, restoring: bool = False
) -> PassReport:
    """Make one pass over the selected jobs.

    With `restoring` it only writes down what is at the providers and on the disk already.
    `everything` says that no selection was made: runs that no spec asks for any more are then
    seen through as well. Never waits for the provider's work. Raises LedgerError.
    """
    shop.begin_pass()
    shop.ledger.insist_in_place()
    living = frozenset(job.name for job in specs.jobs) if specs.complete else None
    made = make_wishes(
        shop.project,
        specs.selected,
        shop.ledger.runs(),
        living,
        shop.ledger,
        writing=True,
        moving=shop.moving,
    )
    if everything and living is not None:
        for name, job in {record.name: record for record in shop.ledger.jobs()}.items():
            if job.wanted is not None and name not in living:
                run_steps.unwant(shop.ledger, name)
    for name, why in made.unread.items():
        shop.tell(Tidings(job=name, what=why, trouble=True, event="unread"))
    wishes = with_traces(shop.project, made.wishes, shop.ledger.runs())
    for wish in wishes:
        shop.claims.update(wish.claims)
        if wish.scanned is not None and len(wish.shards) == 1 and wish.shards[0].whole:
            shop.fresh[wish.job.input] = (wish.scanned, wish.shards[0].sha256)
    known = known_of(shop.ledger, wishes, everything=everything)
    seen = _observe(shop, wishes, known)
    plan, known, changed = _settle(
        shop, wishes, known, seen, living, everything=everything, restoring=restoring
    )
    states = _states(wishes, known)
    return PassReport(
        wishes=wishes,
        problems=made.problems,
        waits=plan.waits,
        unread=made.unread,
        notes=plan.notes,
        states=states,
        changed=changed,
        hopeless=frozenset(shop.hopeless),
    )


def _settle(
    shop: Workshop,
    wishes: Sequence[Wish],
    known: Known,
    seen: dict[str, Seen],
    living: frozenset[str] | None,
    *,
    everything: bool,
    restoring: bool,
) -> tuple[Plan, Known, bool]:
    """Plan and apply until the plan holds no more actions; returns what is known then."""
    notes: dict[str, None] = {}
    looked: set[str] = set()
    done = 0
    earlier: list[tuple[Action, ...]] = []
    while True:
        published, latest = published_of(shop.project, wishes, known)
        plan = make_plan(
            wishes,
            known,
            Facts(
                now=shop.clock(),
                seen=seen,
                providers=shop.project.providers,
                living=living,
                published=published,
                latest=latest,
                trouble=shop.trouble,
                restoring=restoring,
                noted=frozenset(shop.noted),
                cancelled=frozenset(shop.cancelled),
            ),
        )
        for note in plan.notes:
            if note not in notes:
                shop.tell(Tidings(job="", what=note, event="remark"))
            notes[note] = None
        unseen = {wait.run.provider for wait in plan.waits if wait.look} - looked
        if unseen:
            for name in sorted(unseen):
                seen[name] = _look(shop, name, seen.get(name, Seen()))
            looked |= unseen
            continue
        if shop.agree is not None:
            shop.agree(wishes, plan)
            shop.agree = None
        held = {action_name(action) for action in plan.actions} & shop.trouble.keys()
        if len(held) == len({action_name(action) for action in plan.actions}):
            # Nothing is planned, or nothing but what has failed in this pass already.
            return _waiting(plan, shop.trouble), known, done > 0
        if plan.actions in earlier:
            # A bug of ours or an answer nobody foresaw: one job's trouble, not everybody's.
            for action in plan.actions:
                shop.leave(action_name(action), "it was done and nothing changed; please report it")
        done += apply(shop, plan.actions)
        earlier.append(plan.actions)
        known = known_of(shop.ledger, wishes, everything=everything)


def _waiting(plan: Plan, trouble: Mapping[str, str]) -> Plan:
    """Turn what failed in this pass, and no wait says so yet, into waits."""
    waits = tuple(
        Wait(run=action.run, key=None, why=trouble[action_name(action)], trouble=True)
        for action in plan.actions
    )
    return dataclasses.replace(plan, actions=(), waits=plan.waits + waits)


def _observe(shop: Workshop, wishes: Sequence[Wish], known: Known) -> dict[str, Seen]:
    """Ask every provider that has to be asked."""
    seen: dict[str, Seen] = {}
    for name, asked in questions(
        wishes, known.runs, shop.project.providers, shop.ledger.listed_through
    ).items():
        seen[name] = _seen(shop, name, Seen(), partial(observe, asked=asked, clock=shop.clock))
    return seen


def _look(shop: Workshop, provider: str, before: Seen) -> Seen:
    """Look through a provider's lists in mid-pass, because there is something to submit."""
    configured = shop.project.providers.get(provider)
    since = None if configured is None else shop.ledger.listed_through(configured)
    look = partial(look_again, seen=before, since=since, clock=shop.clock)
    return _seen(shop, provider, before, look)


def _seen(shop: Workshop, provider: str, before: Seen, ask: Callable[[BatchApi], Seen]) -> Seen:
    """Ask one provider, and keep what a complete look has shown; a failure is told of."""
    try:
        api = shop.api(provider)
    except (ApiError, LocalFileError, MissingExtra) as error:
        seen = dataclasses.replace(before, failure=str(error), hopeless=True, error=error)
    else:
        with shop.moving(provider, "asking what it has"):
            seen = ask(api)
        _remember_look(shop, provider, seen)
    if seen.failure is None:
        shop.answered.add(provider)
        return seen
    shop.stopped[provider] = seen.failure
    if seen.hopeless:
        shop.hopeless.add(provider)
    shop.tell(
        Tidings(
            job="",
            what=seen.failure,
            trouble=True,
            event="provider_failed",
            provider=provider,
            error=seen.error,
        )
    )
    return seen


def _remember_look(shop: Workshop, provider: str, seen: Seen) -> None:
    """Keep how far a complete look went, and what it showed that carries keys like ours."""
    look = seen.look
    if look is None or not look.complete:
        return
    through = shop.ledger.listed_through(shop.project.providers[provider])
    newest = max((batch.created_at or 0 for batch in look.batches), default=0)
    recorded = shop.ledger.batch_ids(provider)
    cache.listed(
        shop.ledger,
        provider,
        shop.project.providers[provider].base_url,
        through=max(newest, through or 0) or None,
        tagged=[
            (key, batch)
            for key, batch in Traces((), seen, shop.claims).carried
            if batch.id not in recorded
        ],
    )


def _states(wishes: Sequence[Wish], known: Known) -> dict[str, RunState]:
    """Return where each wished run stands; pending where nothing was recorded of it."""
    states = {(run.job, run.revision): run.state for run in known.runs}
    return {
        wish.job.name: states.get((wish.job.name, wish.revision), RunState.PENDING)
        for wish in wishes
    }
