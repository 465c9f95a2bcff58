"""The plan: all decisions are made here, from desired, recorded and observed state.

Pure: no clock, no file, no network, no randomness. The same arguments give the same plan, so
every decision can be tested as a row of a table, and `runner plan` prints what
`runner reconcile` does.

Submissions beyond what may be in flight wait for a later pass. Providers count the prompt tokens of
everything enqueued and reject whole batches when there are too many (fact sheet, failure 11). A
project can state the limits of its tier to avoid that. Tokens are counted when the run begins;
where they were not, they are estimated from the bytes.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from runner.ledger.records import RunState, SubmissionState
from runner.planning.actions import (
    AdoptBatch,
    DeleteRemoteFiles,
    Finish,
    ListFirst,
    NoteSpec,
    Observe,
    Plan,
    PointLatest,
    RelocateRun,
    ReopenRun,
    RestoreRun,
    StartRun,
    Submit,
    Wait,
)
from runner.planning.batch_index import BatchIndex
from runner.planning.decide import decide_shard
from runner.planning.shards import ShardContext, shard_progress, sizes
from runner.planning.state import Enqueued
from runner.spec.project import MAX_EXPIRES_AFTER
from runner.text import listed, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runner.ledger.records import Run
    from runner.planning.actions import Action
    from runner.planning.shards import ShardProgress
    from runner.planning.state import DesiredRun, EarlierRun, Load, PlanInputs, Recorded
    from runner.spec.job import Job
    from runner.spec.project import Provider


def make_plan(desired_runs: Sequence[DesiredRun], recorded: Recorded, inputs: PlanInputs) -> Plan:
    """Decide which actions bring the project to the state that its specs describe.

    `desired_runs` are the selected jobs. `recorded.runs` holds their runs, and those that no spec
    describes any more but that have to be followed to their end, since they are paid for.
    """
    planner = _Planner(desired_runs, recorded, inputs)
    for desired in sorted(desired_runs, key=planner.is_new):
        planner.add_desired(desired)
    wanted = {(desired.job.name, desired.revision) for desired in desired_runs}
    for run in recorded.runs:
        if (run.job, run.revision) not in wanted and run.id not in planner.used_runs:
            planner.add_undesired(run)
    planner.notes += _duplicate_notes(desired_runs, recorded)
    for run in recorded.runs:
        planner.notes += _expiry_notes(run, inputs)
    if inputs.restoring:
        return Plan(
            actions=_restorations(planner.actions),
            waits=tuple(planner.waits),
            notes=(),
            needs_listing=frozenset(planner.needs_listing),
        )
    actions, limit_waits = admit(planner.actions, recorded.loads, inputs.providers)
    return Plan(
        actions=tuple(actions),
        waits=(*planner.waits, *limit_waits),
        notes=tuple(planner.notes),
        needs_listing=frozenset(planner.needs_listing),
    )


def _restorations(actions: Sequence[Action]) -> tuple[Action, ...]:
    """Return the actions that record what exists already; a run starts only if it has batches."""
    found = {action.run.revision for action in actions if isinstance(action, AdoptBatch)}
    kept = (AdoptBatch, NoteSpec, Observe, RestoreRun)
    return tuple(
        action
        for action in actions
        if isinstance(action, kept)
        or (isinstance(action, StartRun) and action.run.revision in found)
    )


class _Planner:
    """Collects the actions, waits and notes of a plan."""

    def __init__(
        self, desired_runs: Sequence[DesiredRun], recorded: Recorded, inputs: PlanInputs
    ) -> None:
        self._desired = desired_runs
        self._wanted = {desired.job.name: desired.revision for desired in desired_runs}
        self._jobs = {desired.job.name: desired.job for desired in desired_runs}
        self.recorded = recorded
        self.inputs = inputs
        self.actions: list[Action] = []
        self.waits: list[Wait] = []
        self.notes: list[str] = []
        self.used_runs: set[int] = set()
        self.needs_listing: set[str] = set()
        self._by_identity = {(run.job, run.revision): run for run in recorded.runs}
        self._indexes: dict[str, BatchIndex] = {}

    def is_new(self, desired: DesiredRun) -> bool:
        """Whether a job has no run of its own; jobs that have one are planned first."""
        return (desired.job.name, desired.revision) not in self._by_identity

    def add_desired(self, desired: DesiredRun) -> None:
        """Plan for a job that a spec describes."""
        run = self._by_identity.get((desired.job.name, desired.revision))
        if run is None:
            run = self._find_renamed(desired)
        if (run is None and self._may_be_renamed(desired)) or self._has_other_shards(desired, run):
            return
        if self._is_unintended(desired, run):
            return
        if run is None:
            run = self._start_or_restore(desired)
            if run.state.final:
                return
        else:
            self.used_runs.add(run.id)
            if self._is_move_held(run, desired):
                return
            run = self._record_edit(run, desired)
        if run.state.final and not run.superseded:
            self._plan_final(run, desired)
            return
        if run.state.final:
            self.actions.append(
                ReopenRun(run=run, reason="its spec is back", attempts=desired.job.attempts)
            )
            return
        self._plan_shards(run, desired)

    def _has_other_shards(self, desired: DesiredRun, run: Run | None) -> bool:
        """Whether the provider has batches of other shards of this revision; then add a wait."""
        if desired.restorable is not None or (run is not None and run.submissions):
            return False
        if run is not None and run.state.final:
            return False
        run = run or desired.new_run(self.inputs.now)
        other = self._index_of(run.provider).batch_of_other_shards(run)
        if other is None:
            return False
        self.waits.append(
            Wait(
                run=run,
                key=None,
                reason=f"{other.id} has requests of this revision in other shards: the ledger was "
                f"lost, and the limits of provider {run.provider} were changed since. Nothing is "
                f"submitted, since it could be paid twice: restore the limits",
                is_problem=True,
            )
        )
        return True

    def _is_unintended(self, desired: DesiredRun, run: Run | None) -> bool:
        """Whether git does not say that these requests go to this provider; then add a wait.

        Without an edit of the spec, only an address or a default has changed: a variable that is
        not set, a `runner.yaml` that is gone. Then the same requests would be paid for again.
        """
        is_new = run is None or not (run.state.final or run.submissions)
        if not is_new or desired.restorable is not None or self.inputs.restoring:
            return False
        full = {recorded.id: recorded for recorded in self.recorded.runs}
        earlier = [
            dataclasses.replace(each, run=full.get(each.run.id, each.run))
            for each in desired.earlier
        ]
        earlier = [each for each in earlier if _has_responses(each.run)]
        reason = _why_unintended(desired, earlier, self.inputs.lost_providers)
        if reason is None:
            self.notes += [
                f"{desired.job.name}: the same requests have responses elsewhere already: "
                f"{_describe(each.run)}"
                for each in earlier
            ]
            return False
        if run is not None:
            self.used_runs.add(run.id)
        self.waits.append(
            Wait(
                run=run or desired.new_run(self.inputs.now),
                key=None,
                reason=reason,
                is_problem=True,
            )
        )
        return True

    def add_undesired(self, run: Run) -> None:
        """Plan for a run that no spec describes: follow it to its end, submit nothing new."""
        if not run.state.final:
            self._plan_shards(run, None)
        elif run.job in self._jobs:
            self._plan_cleanup(run, self._jobs[run.job])

    def _find_renamed(self, desired: DesiredRun) -> Run | None:
        """Find a run of this revision whose job has no spec any more, or another revision."""
        for run in reversed(self.recorded.runs):
            if (
                run.revision == desired.revision
                and run.id not in self.used_runs
                and self._is_unclaimed(run)
            ):
                return run
        return None

    def _is_unclaimed(self, run: Run) -> bool:
        """Whether the job of a run has no spec any more, or has another revision now."""
        if run.job in self._wanted:
            return self._wanted[run.job] != run.revision
        if self.inputs.job_names is None:
            return False
        if run.job not in self.inputs.job_names:
            return True
        record = self.recorded.jobs.get(run.job)
        return record is not None and record.desired_revision != run.revision

    def _may_be_renamed(self, desired: DesiredRun) -> bool:
        """Whether another name that submitted this revision may be the job's; then add a wait."""
        if self.inputs.job_names is not None:
            return False
        for run in self.recorded.runs:
            if run.revision == desired.revision and run.job not in self._wanted:
                self.waits.append(
                    Wait(
                        run=desired.new_run(self.inputs.now),
                        key=None,
                        reason=f"job {run.job} has submitted the same requests; while some spec "
                        f"cannot be read, it is unknown whether this is {run.job} under a new name",
                        is_problem=True,
                    )
                )
                return True
        return False

    def _start_or_restore(self, desired: DesiredRun) -> Run:
        if desired.restorable is not None:
            self.actions.append(
                RestoreRun(
                    run=desired.restorable.run,
                    restorable=desired.restorable,
                    reason="its outputs and record are on the disk and not in the ledger",
                    job=desired.record,
                )
            )
            return desired.restorable.run
        run = desired.new_run(self.inputs.now)
        before = self.recorded.jobs.get(desired.job.name)
        earlier = before is not None and before.desired_revision not in (None, desired.revision)
        self.actions.append(
            StartRun(
                run=run,
                reason="the spec or its input has changed the requests" if earlier else "a new job",
                job=desired.record,
            )
        )
        return run

    def _is_move_held(self, run: Run, desired: DesiredRun) -> bool:
        """Whether the move of a run has failed in this pass; then add a wait."""
        held = self.inputs.held.get(run.name)
        if held is None or (run.job == desired.job.name and run.folder == desired.folder):
            return False
        self.waits.append(Wait(run=run, key=None, reason=held, is_problem=True))
        return True

    def _record_edit(self, run: Run, desired: DesiredRun) -> Run:
        if run.job != desired.job.name or run.folder != desired.folder:
            change = (
                f"job {run.job} is now called {desired.job.name}"
                if run.job != desired.job.name
                else "the spec names another output folder"
            )
            self.actions.append(
                RelocateRun(run=run, reason=change, job=desired.record, folder=desired.folder)
            )
            self.notes.append(f"{desired.job.name}: {change}; nothing is submitted for this")
            return dataclasses.replace(run, job=desired.job.name, folder=desired.folder)
        if self.recorded.jobs.get(desired.job.name) != desired.record:
            reason, note = _describe_spec_edit(run, desired, self.recorded)
            self.actions.append(NoteSpec(run=run, reason=reason, job=desired.record))
            self.notes.append(note)
        return run

    def _plan_final(self, run: Run, desired: DesiredRun) -> None:
        if run.id not in self.inputs.published:
            self._add_unless_held(
                Finish(
                    run=run,
                    reason="its final files are not on the disk",
                    job=desired.job,
                    state=run.state,
                    superseded=run.superseded,
                    again=True,
                )
            )
        elif self.inputs.latest.get(desired.folder.rpartition("/")[0]) != run.short:
            self._add_unless_held(
                PointLatest(run=run, reason="the spec describes this finished revision")
            )
        else:
            self._plan_cleanup(run, desired.job)

    def _plan_cleanup(self, run: Run, job: Job) -> None:
        """Delete the files at the provider, once the results are here, if the spec says so."""
        provider = self.inputs.providers.get(run.provider)
        if provider is None or not provider.has_batches_of(run.provider, run.base_url):
            return  # its files are elsewhere: here the same ids may belong to another user
        # What has not succeeded may be retried, and then its files are collected once more.
        if run.state is RunState.SUCCEEDED and not job.keep_remote and run.tidied_at is None:
            reason = "its results are here, and the spec says keep_remote: false"
            self._add_unless_held(DeleteRemoteFiles(run=run, reason=reason))

    def _add_unless_held(self, action: Finish | PointLatest | DeleteRemoteFiles) -> None:
        held = self.inputs.held.get(action.subject)
        if held is None:
            self.actions.append(action)
        else:
            self.waits.append(Wait(run=action.run, key=None, reason=held, is_problem=True))

    def _plan_shards(self, run: Run, desired: DesiredRun | None) -> None:
        attempts = desired.job.attempts if desired is not None else run.attempts
        all_progress = [shard_progress(run, shard, attempts) for shard in run.shards]
        job = None if desired is None else desired.job
        provider = self.inputs.providers.get(run.provider)
        next_sizes = sizes(
            run,
            all_progress,
            canary=None if job is None else job.canary,
            limits=None if provider is None else provider.limits,
        )
        broken = next(
            (progress.broken for progress in all_progress if progress.broken), next_sizes.broken
        )
        context = ShardContext(
            run=run,
            job=job,
            inputs=self.inputs,
            observed=self.inputs.of(run.provider),
            index=self._index_of(run.provider),
            sizes=next_sizes,
            may_submit=desired is not None and not run.cancel_requested and broken is None,
            used_keys=self.recorded.keys.get(run.revision, frozenset())
            - {submission.key for submission in run.submissions},
        )
        steps = [step for progress in all_progress for step in decide_shard(context, progress)]
        for step in steps:
            match step:
                case Wait():
                    self.waits.append(step)
                case ListFirst():
                    self.needs_listing.add(step.run.provider)
                case _:
                    self.actions.append(step)
        if not steps:
            self._add_unless_held(_finish_action(run, context.job, all_progress, broken))

    def _index_of(self, provider: str) -> BatchIndex:
        if provider not in self._indexes:
            claims = {
                name: key
                for desired in self._desired
                if desired.job.provider.name == provider
                for name, key in desired.claims.items()
            }
            self._indexes[provider] = BatchIndex(
                self.recorded.tagged.get(provider, ()),
                self.inputs.of(provider),
                claims,
                submissions=(
                    submission
                    for run in self.recorded.runs
                    if run.provider == provider
                    for submission in run.submissions
                ),
            )
        return self._indexes[provider]


def _has_responses(run: Run) -> bool:
    """Whether a run has responses, or a batch in flight that may have some."""
    if run.state.final:
        return run.succeeded > 0
    return any(
        submission.batch_id is not None or submission.state is SubmissionState.CREATING
        for submission in run.submissions
        if not submission.state.closed or submission.state is SubmissionState.COLLECTED
    )


def _describe(run: Run) -> str:
    """Describe the responses of an earlier run: how many, from whom, where they are."""
    source = run.provider if run.base_url is None else f"{run.provider} at {run.base_url}"
    if run.state.final:
        return f"{run.succeeded:,} of {run.requests:,} responses from {source}, in {run.folder}"
    batches = [
        submission.batch_id
        for submission in run.submissions
        if submission.batch_id is not None and not submission.state.closed
    ]
    flight = f"{listed(batches)} in flight at {source}" if batches else f"begun at {source}"
    return f"{flight} (revision {run.short})"


def _why_unintended(
    desired: DesiredRun, earlier: Sequence[EarlierRun], lost_providers: frozenset[str]
) -> str | None:
    """Return why a new run is not what git says; None if it is."""
    job, provider = desired.job, desired.job.provider
    now = provider.name if provider.embedded else f"{provider.name} at {provider.base_url}"
    unedited = [each for each in earlier if not each.provider_edited]
    if unedited and job.ask_again and any(each.asked_again for each in earlier):
        return (
            f"nothing is submitted to {now}: `ask_again: true` counts for one revision, and it was "
            f"used already ({_describe(unedited[-1].run)}); to submit the requests once more, "
            f"change `replicate`"
        )
    if unedited and not job.ask_again:
        run = unedited[-1].run
        return (
            f"nothing is submitted to {now}: the same requests were sent elsewhere: "
            f"{_describe(run)}. If {provider.name} is the same provider, write "
            f"`same_as: [{run.base_url or run.provider}]` for it in runner.yaml; to submit and pay "
            f"once more, write `ask_again: true` in the spec; else put the address back"
        )
    if lost_providers and "provider" not in job.source.positions:
        names = listed(sorted(lost_providers))
        return (
            f"nothing is submitted to {now}: there is no runner.yaml, and earlier jobs of this "
            f"project went to {names}: put runner.yaml back, or write `provider: {provider.name}` "
            f"in the spec"
        )
    return None


def _finish_action(
    run: Run, job: Job | None, all_progress: Sequence[ShardProgress], broken: str | None
) -> Finish:
    """Return the action that finishes a run with nothing in flight and nothing to submit.

    `job` is None if no spec describes the run any more; `broken` is the reason why the run cannot
    continue, or None.
    """
    unfinished = sum(
        len(progress.shard.rows) - len(progress.succeeded) for progress in all_progress
    )
    could_continue = any(len(progress.pending) for progress in all_progress)
    if unfinished == 0:
        state, reason = RunState.SUCCEEDED, "every request succeeded"
    elif run.cancel_requested:
        state, reason = RunState.CANCELLED, "cancelled on request"
    elif broken is not None:
        state, reason = RunState.FAILED, broken
    elif job is None and could_continue:
        state = RunState.PARTIAL
        without = f"{unfinished} of {run.requests} requests have not succeeded"
        reason = f"no spec describes it any more; {without}"
    else:
        state = RunState.PARTIAL
        reason = f"{unfinished} of {run.requests} requests ended without a successful response"
        last = _last_failure(run, all_progress)
        reason += "" if last is None else f"; the last of them with: {last}"
    return Finish(
        run=run,
        reason=reason,
        job=job,
        state=state,
        superseded=job is None and could_continue and not run.cancel_requested,
    )


def _last_failure(run: Run, all_progress: Sequence[ShardProgress]) -> str | None:
    """Return why a batch failed as a whole, if requests have failed by that; else None."""
    for progress in all_progress:
        attempts = run.shard_submissions(progress.shard.number)
        if progress.failed and attempts and attempts[-1].state is SubmissionState.FAILED:
            return attempts[-1].problem
    return None


_WARNING: Final = 7 * 86_400.0
"""Seconds before results expire at which warnings begin (fact sheet, failure 27)."""


def _describe_spec_edit(run: Run, desired: DesiredRun, recorded: Recorded) -> tuple[str, str]:
    """Describe an edit of a spec whose run exists already.

    Returns the reason of the action that records it, and the note for the user.
    """
    before = recorded.jobs.get(desired.job.name)
    if before is not None and before.desired_revision not in (None, desired.revision):
        reason = "the spec describes this revision again"
        note = f"{desired.job.name}: {reason}; requests that succeeded are not submitted again"
        return reason, note
    in_flight = not run.state.final and any(submission.batch_id for submission in run.submissions)
    effect = "it affects only batches that are not created yet" if in_flight else "no new batch"
    return (
        "the spec changed, and no response can change by it",
        f"{desired.job.name}: the edit of the spec cannot change a response; {effect}",
    )


def _duplicate_notes(desired_runs: Sequence[DesiredRun], recorded: Recorded) -> Iterator[str]:
    """Yield a note for each job that will submit the same requests as another job."""
    first: dict[str, str] = {}
    recorded_identities = {(run.job, run.revision) for run in recorded.runs}
    for desired in desired_runs:
        other = first.setdefault(desired.revision, desired.job.name)
        if (
            other != desired.job.name
            and (desired.job.name, desired.revision) not in recorded_identities
        ):
            yield (
                f"{desired.job.name}: submits the same requests as {other} again (revision "
                f"{desired.short}); for another sample write `replicate: 2`"
            )


def _expiry_notes(run: Run, inputs: PlanInputs) -> Iterator[str]:
    """Yield a note for each batch whose results expire soon and are not downloaded yet."""
    provider = inputs.providers.get(run.provider)
    lifetime = (provider and provider.output_expires_after) or MAX_EXPIRES_AFTER
    for submission in run.submissions:
        began = submission.submitted_at
        if (
            submission.state is not SubmissionState.SUBMITTED
            or submission.terminal_at is None
            or began is None
        ):
            continue
        expires_at = began + lifetime  # at the earliest: the files are younger than that
        if expires_at - _WARNING <= inputs.now < expires_at:
            yield (
                f"{run.job}: the results of {submission.batch_id} are not downloaded yet, and the "
                f"provider may delete them in {span(expires_at - inputs.now)}"
            )


def admit(
    actions: Sequence[Action], loads: Mapping[str, Load], providers: Mapping[str, Provider]
) -> tuple[list[Action], list[Wait]]:
    """Return the actions without the submissions beyond a limit, and a wait for each of those.

    A submission that alone exceeds the limit is submitted when nothing else of its model is in
    flight: only the provider can say whether it is really too large.
    """
    admitted: list[Action] = []
    waits: list[Wait] = []
    batches = {name: load.batches for name, load in loads.items()}
    enqueued = {
        (name, model): in_flight
        for name, load in loads.items()
        for model, in_flight in load.enqueued.items()
    }
    for action in actions:
        provider = providers.get(action.run.provider)
        if not isinstance(action, Submit) or provider is None:
            admitted.append(action)
            continue
        pool = (provider.name, action.shard.model)
        size = _prompt_size(action)
        active, enqueued_now = batches.get(provider.name, 0), enqueued.get(pool, Enqueued())
        reason = _limit_reason(provider, active, enqueued_now, size)
        if reason is not None:
            waits.append(Wait(run=action.run, key=action.submission.key, reason=reason))
            continue
        admitted.append(action)
        batches[provider.name] = active + 1
        enqueued[pool] = enqueued_now + size
    return admitted, waits


def _prompt_size(action: Submit) -> Enqueued:
    """Return the prompt tokens of a submission; a part of a shard counts by its requests."""
    submission, shard = action.submission, action.shard
    if shard.tokens is None:
        size = submission.bytes or shard.bytes * submission.requests // shard.requests
        return Enqueued(uncounted_bytes=size, exact=False)
    return Enqueued(
        counted=-(-shard.tokens * submission.requests // shard.requests),
        exact=submission.requests == shard.requests,
    )


def prompt_tokens(submits: Iterable[Submit]) -> Enqueued:
    """Sum the prompt tokens of submissions: counted where they were, else estimated."""
    return sum(map(_prompt_size, submits), Enqueued())


def _limit_reason(
    provider: Provider, active: int, enqueued_now: Enqueued, size: Enqueued
) -> str | None:
    max_batches = provider.max_active_batches
    if max_batches is not None and active >= max_batches:
        batches = "1 batch is" if max_batches == 1 else f"{max_batches} batches are"
        return f"{batches} in flight at {provider.name} already"
    limit = provider.max_enqueued_tokens
    if limit is not None and enqueued_now.tokens and (enqueued_now + size).tokens > limit:
        return f"{enqueued_now} of {limit:,} tokens are enqueued at {provider.name}"
    return None
