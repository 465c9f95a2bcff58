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
    DeleteRemoteFiles,
    Finish,
    NoteSpec,
    Observe,
    Plan,
    PointLatest,
    RelocateRun,
    ReopenRun,
    RestoreRun,
    StartRun,
    Wait,
)
from runner.planning.admission import admit
from runner.planning.batch_sizing import portions
from runner.planning.decide import decide_shard
from runner.planning.ending import ended
from runner.planning.remarks import edited, expiring, twins
from runner.planning.shard_context import ShardContext
from runner.planning.shard_progress import shard_progress
from runner.planning.state import BatchIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.planning.actions import Action
    from runner.planning.state import DesiredRun, PlanInputs, Recorded
    from runner.spec.job import Job


def make_plan(desired_runs: Sequence[DesiredRun], known: Recorded, facts: PlanInputs) -> Plan:
    """Decide what brings the project nearer to what its specs ask for.

    `desired_runs` are the selected jobs; `known.runs` holds, besides theirs, those runs that no
    spec asks for any more and that are to be seen through (they are paid for).
    """
    planner = _Planner(desired_runs, known, facts)
    for desired in sorted(desired_runs, key=planner.is_new):
        planner.wished(desired)
    wanted = {(desired.job.name, desired.revision) for desired in desired_runs}
    for run in known.runs:
        if (run.job, run.revision) not in wanted and run.id not in planner.taken:
            planner.unwished(run)
    planner.notes += twins(desired_runs, known)
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

    def __init__(
        self, desired_runs: Sequence[DesiredRun], known: Recorded, facts: PlanInputs
    ) -> None:
        self._wishes = desired_runs
        self._wanted = {desired.job.name: desired.revision for desired in desired_runs}
        self._jobs = {desired.job.name: desired.job for desired in desired_runs}
        self.known = known
        self.facts = facts
        self.actions: list[Action] = []
        self.waits: list[Wait] = []
        self.notes: list[str] = []
        self.taken: set[int] = set()
        self._by_identity = {(run.job, run.revision): run for run in known.runs}
        self._traces: dict[str, BatchIndex] = {}

    def is_new(self, desired: DesiredRun) -> bool:
        """Whether a job has no run of its own; those that have come first."""
        return (desired.job.name, desired.revision) not in self._by_identity

    def wished(self, desired: DesiredRun) -> None:
        """Plan for a job that a spec asks for."""
        run = self._by_identity.get((desired.job.name, desired.revision))
        if run is None:
            run = self._renamed(desired)
        if (run is None and self._unsure(desired)) or self._cut_otherwise(desired, run):
            return
        if run is None:
            run = self._new(desired)
            if run.state.final:
                return
        else:
            self.taken.add(run.id)
            if self._blocked(run, desired):
                return
            run = self._up_to_date(run, desired)
        if run.state.final and not run.superseded:
            self._final(run, desired)
            return
        if run.state.final:
            self.actions.append(
                ReopenRun(run=run, why="its spec is back", attempts=desired.job.attempts)
            )
            return
        self._advance(run, desired)

    def _cut_otherwise(self, desired: DesiredRun, run: Run | None) -> bool:
        """Hold a run whose batches at the provider do not fit its shards; says whether it does."""
        if desired.restorable is not None or (run is not None and run.submissions):
            return False
        if run is not None and run.state.final:
            return False
        run = run or self._fresh(desired)
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

    def _renamed(self, desired: DesiredRun) -> Run | None:
        """Find the run of these very questions that no job asks for under its own name."""
        for run in reversed(self.known.runs):
            if run.revision == desired.revision and run.id not in self.taken and self._free(run):
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

    def _unsure(self, desired: DesiredRun) -> bool:
        """Hold a job whose questions were asked under a name that may be its old one."""
        if self.facts.living is not None:
            return False
        for run in self.known.runs:
            if run.revision == desired.revision and run.job not in self._wanted:
                self.waits.append(
                    Wait(
                        run=self._fresh(desired),
                        key=None,
                        why=f"job {run.job} has asked the same; while some spec cannot be read, "
                        f"nobody knows whether this is {run.job} under a new name",
                        trouble=True,
                    )
                )
                return True
        return False

    def _new(self, desired: DesiredRun) -> Run:
        if desired.restorable is not None:
            self.actions.append(
                RestoreRun(
                    run=desired.restorable.run,
                    restorable=desired.restorable,
                    why="its outputs and record are on the disk, the ledger does not know it",
                    job=desired.record,
                )
            )
            return desired.restorable.run
        run = self._fresh(desired)
        before = self.known.jobs.get(desired.job.name)
        earlier = before is not None and before.wanted not in (None, desired.revision)
        self.actions.append(
            StartRun(
                run=run,
                why="the spec or its input changed what is asked" if earlier else "a new job",
                job=desired.record,
            )
        )
        return run

    def _fresh(self, desired: DesiredRun) -> Run:
        """Return the run that a wish would become."""
        return Run(
            id=0,
            job=desired.job.name,
            revision=desired.revision,
            state=RunState.PENDING,
            provider=desired.job.provider.name,
            base_url=desired.job.provider.identity["base_url"],
            endpoint=desired.job.endpoint,
            replicate=desired.job.replicate,
            digest=desired.digest,
            requests=desired.requests,
            bytes=desired.bytes,
            input_path=desired.job.input_shown,
            folder=desired.folder,
            attempts=desired.job.attempts,
            created_at=self.facts.now,
            shards=desired.shards,
        )

    def _blocked(self, run: Run, desired: DesiredRun) -> bool:
        """Hold a run that has to move and could not."""
        trouble = self.facts.trouble.get(f"{run.job}/{run.short}")
        if trouble is None or (run.job == desired.job.name and run.folder == desired.folder):
            return False
        self.waits.append(Wait(run=run, key=None, why=trouble, trouble=True))
        return True

    def _up_to_date(self, run: Run, desired: DesiredRun) -> Run:
        if run.job != desired.job.name or run.folder != desired.folder:
            what = (
                f"job {run.job} is now called {desired.job.name}"
                if run.job != desired.job.name
                else "the spec names another output folder"
            )
            self.actions.append(
                RelocateRun(run=run, why=what, job=desired.record, folder=desired.folder)
            )
            self.notes.append(f"{desired.job.name}: {what}; nothing is submitted for that")
            return dataclasses.replace(run, job=desired.job.name, folder=desired.folder)
        if self.known.jobs.get(desired.job.name) != desired.record:
            why, note = edited(run, desired, self.known)
            self.actions.append(NoteSpec(run=run, why=why, job=desired.record))
            self.notes.append(note)
        return run

    def _final(self, run: Run, desired: DesiredRun) -> None:
        if run.id not in self.facts.published:
            self._unless_troubled(
                Finish(
                    run=run,
                    why="its final files are not on the disk",
                    job=desired.job,
                    state=run.state,
                    superseded=run.superseded,
                    again=True,
                )
            )
        elif self.facts.latest.get(desired.folder.rpartition("/")[0]) != run.short:
            self._unless_troubled(
                PointLatest(run=run, why="the spec asks for this finished revision")
            )
        else:
            self._tidied(run, desired.job)

    def _tidied(self, run: Run, job: Job) -> None:
        """Leave nothing at the provider, once everything is here, if the spec says so."""
        provider = self.facts.providers.get(run.provider)
        if provider is None or provider.identity["base_url"] != run.base_url:
            return  # its files are elsewhere: the same ids may be somebody else's here
        # What has not succeeded may be asked again, and then its answers are collected once more.
        if run.state is RunState.SUCCEEDED and not job.keep_remote and run.tidied_at is None:
            why = "its results are here, and the spec says keep_remote: false"
            self._unless_troubled(DeleteRemoteFiles(run=run, why=why))

    def _unless_troubled(self, action: Finish | PointLatest | DeleteRemoteFiles) -> None:
        trouble = self.facts.trouble.get(f"{action.run.job}/{action.run.short}")
        if trouble is None:
            self.actions.append(action)
        else:
            self.waits.append(Wait(run=action.run, key=None, why=trouble, trouble=True))

    def _advance(self, run: Run, desired: DesiredRun | None) -> None:
        attempts = desired.job.attempts if desired is not None else run.attempts
        standings = [shard_progress(run, shard, attempts) for shard in run.shards]
        job = None if desired is None else desired.job
        parts = portions(run, standings, job.canary if job is not None else None)
        broken = next((standing.broken for standing in standings if standing.broken), parts.broken)
        desk = ShardContext(
            run=run,
            job=job,
            facts=self.facts,
            seen=self.facts.of(run.provider),
            traces=self._of(run.provider),
            portions=parts,
            may_submit=desired is not None and not run.cancel_requested and broken is None,
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

    def _of(self, provider: str) -> BatchIndex:
        if provider not in self._traces:
            claims = {
                name: key
                for desired in self._wishes
                if desired.job.provider.name == provider
                for name, key in desired.claims.items()
            }
            self._traces[provider] = BatchIndex(
                self.known.tagged.get(provider, ()), self.facts.of(provider), claims
            )
        return self._traces[provider]
