"""The one place where decisions are made: wish, ledger and facts give a plan.

Pure: no clock, no file, no network, no randomness. The same arguments give the same plan, so
every decision can be tested as a row of a table, and what `runner plan` prints is what
`runner reconcile` does.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from runner.ledger.records import Run, RunState
from runner.planning.actions import (
    AdoptBatch,
    Finish,
    NoteSpec,
    Observe,
    Plan,
    PointLatest,
    RelocateRun,
    ReopenRun,
    RestoreRun,
    StartRun,
    Tidy,
    Wait,
)
from runner.planning.admission import admit
from runner.planning.batch_sizing import portions
from runner.planning.decide import decide_shard
from runner.planning.ending import ended
from runner.planning.remarks import edited, expiring, twins
from runner.planning.shard_context import Desk
from runner.planning.shard_progress import shard_standing
from runner.planning.state import Traces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.planning.actions import Action
    from runner.planning.state import Facts, Known, Wish
    from runner.spec.job import Job


def make_plan(wishes: Sequence[Wish], known: Known, facts: Facts) -> Plan:
    """Decide what brings the project nearer to what its specs ask for.

    `wishes` are the selected jobs; `known.runs` holds, besides theirs, those runs that no
    spec asks for any more and that are to be seen through (they are paid for).
    """
    planner = _Planner(wishes, known, facts)
    for wish in sorted(wishes, key=planner.is_new):
        planner.wished(wish)
    wanted = {(wish.job.name, wish.revision) for wish in wishes}
    for run in known.runs:
        if (run.job, run.revision) not in wanted and run.id not in planner.taken:
            planner.unwished(run)
    planner.notes += twins(wishes, known)
    for run in known.runs:
        planner.notes += expiring(run, facts)
    if facts.restoring:
        return Plan(actions=_restorations(planner.actions), waits=tuple(planner.waits), notes=())
    actions, turned_away = admit(planner.actions, known.loads, facts.providers)
    return Plan(
        actions=tuple(actions),
        waits=(*planner.waits, *turned_away),
        notes=tuple(planner.notes),
    )


def _restorations(actions: Sequence[Action]) -> tuple[Action, ...]:
    """Keep what writes down what there is already; a run only begins where batches of it are."""
    found = {action.run.revision for action in actions if isinstance(action, AdoptBatch)}
    kept = (AdoptBatch, NoteSpec, Observe, RestoreRun)
    return tuple(
        action
        for action in actions
        if isinstance(action, kept)
        or (isinstance(action, StartRun) and action.run.revision in found)
    )


class _Planner:
    """A plan in the making."""

    def __init__(self, wishes: Sequence[Wish], known: Known, facts: Facts) -> None:
        self._wishes = wishes
        self._wanted = {wish.job.name: wish.revision for wish in wishes}
        self._jobs = {wish.job.name: wish.job for wish in wishes}
        self.known = known
        self.facts = facts
        self.actions: list[Action] = []
        self.waits: list[Wait] = []
        self.notes: list[str] = []
        self.taken: set[int] = set()
        self._by_identity = {(run.job, run.revision): run for run in known.runs}
        self._traces: dict[str, Traces] = {}

    def is_new(self, wish: Wish) -> bool:
        """Whether a job has no run of its own; those that have come first."""
        return (wish.job.name, wish.revision) not in self._by_identity

    def wished(self, wish: Wish) -> None:
        """Plan for a job that a spec asks for."""
        run = self._by_identity.get((wish.job.name, wish.revision))
        if run is None:
            run = self._renamed(wish)
        if (run is None and self._unsure(wish)) or self._cut_otherwise(wish, run):
            return
        if run is None:
            run = self._new(wish)
            if run.state.final:
                return
        else:
            self.taken.add(run.id)
            if self._blocked(run, wish):
                return
            run = self._up_to_date(run, wish)
        if run.state.final and not run.superseded:
            self._final(run, wish)
            return
        if run.state.final:
            self.actions.append(
                ReopenRun(run=run, why="its spec is back", attempts=wish.job.attempts)
            )
            return
        self._advance(run, wish)

    def _cut_otherwise(self, wish: Wish, run: Run | None) -> bool:
        """Hold a run whose batches at the provider do not fit its shards; says whether it does."""
        if wish.restorable is not None or (run is not None and run.submissions):
            return False
        if run is not None and run.state.final:
            return False
        run = run or self._fresh(wish)
        other = self._of(run.provider).misfit(run)
        if other is None:
            return False
        self.waits.append(
            Wait(
                run=run,
                key=None,
                why=f"{other.id} asks requests of this revision in another cut: the ledger was "
                f"lost, and the limits of provider {run.provider} were changed since. Nothing is "
                f"submitted, since it could be paid twice: put the limits back as they were",
                trouble=True,
            )
        )
        return True

    def unwished(self, run: Run) -> None:
        """Plan for a run that no spec asks for: see it through, submit nothing new."""
        if not run.state.final:
            self._advance(run, None)
        elif run.job in self._jobs:
            self._tidied(run, self._jobs[run.job])

    def _renamed(self, wish: Wish) -> Run | None:
        """Find the run of these very questions that no job asks for under its own name."""
        for run in reversed(self.known.runs):
            if run.revision == wish.revision and run.id not in self.taken and self._free(run):
                return run
        return None

    def _free(self, run: Run) -> bool:
        """Whether the job that a run belongs to is gone, or asks for something else now."""
        if run.job in self._wanted:
            return self._wanted[run.job] != run.revision
        if self.facts.living is None:
            return False
        if run.job not in self.facts.living:
            return True
        record = self.known.jobs.get(run.job)
        return record is not None and record.wanted != run.revision

    def _unsure(self, wish: Wish) -> bool:
        """Hold a job whose questions were asked under a name that may be its old one."""
        if self.facts.living is not None:
            return False
        for run in self.known.runs:
            if run.revision == wish.revision and run.job not in self._wanted:
                self.waits.append(
                    Wait(
                        run=self._fresh(wish),
                        key=None,
                        why=f"job {run.job} has asked the same; while some spec cannot be read, "
                        f"nobody knows whether this is {run.job} under a new name",
                        trouble=True,
                    )
                )
                return True
        return False

    def _new(self, wish: Wish) -> Run:
        if wish.restorable is not None:
            self.actions.append(
                RestoreRun(
                    run=wish.restorable.run,
                    restorable=wish.restorable,
                    why="its outputs and record are on the disk, the ledger does not know it",
                    job=wish.record,
                )
            )
            return wish.restorable.run
        run = self._fresh(wish)
        before = self.known.jobs.get(wish.job.name)
        earlier = before is not None and before.wanted not in (None, wish.revision)
        self.actions.append(
            StartRun(
                run=run,
                why="the spec or its input changed what is asked" if earlier else "a new job",
                job=wish.record,
            )
        )
        return run

    def _fresh(self, wish: Wish) -> Run:
        """Return the run that a wish would become."""
        return Run(
            id=0,
            job=wish.job.name,
            revision=wish.revision,
            state=RunState.PENDING,
            provider=wish.job.provider.name,
            base_url=wish.job.provider.identity["base_url"],
            endpoint=wish.job.endpoint,
            replicate=wish.job.replicate,
            digest=wish.digest,
            requests=wish.requests,
            bytes=wish.bytes,
            input_path=wish.job.input_shown,
            folder=wish.folder,
            attempts=wish.job.attempts,
            created_at=self.facts.now,
            shards=wish.shards,
        )

    def _blocked(self, run: Run, wish: Wish) -> bool:
        """Hold a run that has to move and could not."""
        trouble = self.facts.trouble.get(f"{run.job}/{run.short}")
        if trouble is None or (run.job == wish.job.name and run.folder == wish.folder):
            return False
        self.waits.append(Wait(run=run, key=None, why=trouble, trouble=True))
        return True

    def _up_to_date(self, run: Run, wish: Wish) -> Run:
        if run.job != wish.job.name or run.folder != wish.folder:
            what = (
                f"job {run.job} is now called {wish.job.name}"
                if run.job != wish.job.name
                else "the spec names another output folder"
            )
            self.actions.append(RelocateRun(run=run, why=what, job=wish.record, folder=wish.folder))
            self.notes.append(f"{wish.job.name}: {what}; nothing is submitted for that")
            return dataclasses.replace(run, job=wish.job.name, folder=wish.folder)
        if self.known.jobs.get(wish.job.name) != wish.record:
            why, note = edited(run, wish, self.known)
            self.actions.append(NoteSpec(run=run, why=why, job=wish.record))
            self.notes.append(note)
        return run

    def _final(self, run: Run, wish: Wish) -> None:
        if run.id not in self.facts.published:
            self._unless_troubled(
                Finish(
                    run=run,
                    why="its final files are not on the disk",
                    job=wish.job,
                    state=run.state,
                    superseded=run.superseded,
                    again=True,
                )
            )
        elif self.facts.latest.get(wish.folder.rpartition("/")[0]) != run.short:
            self._unless_troubled(
                PointLatest(run=run, why="the spec asks for this finished revision")
            )
        else:
            self._tidied(run, wish.job)

    def _tidied(self, run: Run, job: Job) -> None:
        """Leave nothing at the provider, once everything is here, if the spec says so."""
        provider = self.facts.providers.get(run.provider)
        if provider is None or provider.identity["base_url"] != run.base_url:
            return  # its files are elsewhere: the same ids may be somebody else's here
        # What has not succeeded may be asked again, and then its answers are collected once more.
        if run.state is RunState.SUCCEEDED and not job.keep_remote and run.tidied_at is None:
            why = "its results are here, and the spec says keep_remote: false"
            self._unless_troubled(Tidy(run=run, why=why))

    def _unless_troubled(self, action: Finish | PointLatest | Tidy) -> None:
        trouble = self.facts.trouble.get(f"{action.run.job}/{action.run.short}")
        if trouble is None:
            self.actions.append(action)
        else:
            self.waits.append(Wait(run=action.run, key=None, why=trouble, trouble=True))

    def _advance(self, run: Run, wish: Wish | None) -> None:
        attempts = wish.job.attempts if wish is not None else run.attempts
        standings = [shard_standing(run, shard, attempts) for shard in run.shards]
        job = None if wish is None else wish.job
        parts = portions(run, standings, job.canary if job is not None else None)
        broken = next((standing.broken for standing in standings if standing.broken), parts.broken)
        desk = Desk(
            run=run,
            job=job,
            facts=self.facts,
            seen=self.facts.of(run.provider),
            traces=self._of(run.provider),
            portions=parts,
            may_submit=wish is not None and not run.cancel_requested and broken is None,
            taken=self.known.keys.get(run.revision, frozenset())
            - {submission.key for submission in run.submissions},
        )
        steps = [step for standing in standings for step in decide_shard(desk, standing)]
        for step in steps:
            if isinstance(step, Wait):
                self.waits.append(step)
            else:
                self.actions.append(step)
        if not steps:
            self._unless_troubled(ended(run, desk.job, standings, broken))

    def _of(self, provider: str) -> Traces:
        if provider not in self._traces:
            claims = {
                name: key
                for wish in self._wishes
                if wish.job.provider.name == provider
                for name, key in wish.claims.items()
            }
            self._traces[provider] = Traces(
                self.known.tagged.get(provider, ()), self.facts.of(provider), claims
            )
        return self._traces[provider]
