"""The steps that reconcile leaves to the user, with the commands for them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from runner.ledger.records import RunState, SubmissionState
from runner.planning.actions import AdoptBatch, CancelBatch, RelocateRun
from runner.planning.batch_index import BatchIndex
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runner.planning.actions import Plan
    from runner.planning.state import DesiredRun, Observed, Recorded


class ManualStepKind(StrEnum):
    """The kinds of steps that are left to the user."""

    UNANSWERED = "unanswered"
    """Requests that failed or were cancelled: they are submitted again on demand only."""

    OLDER_REVISION = "older_revision"
    """A run in flight whose spec has another revision now; its batches are paid for."""

    NO_SPEC = "no_spec"
    """A run in flight of a job that no spec describes any more."""

    ORPHANS = "orphans"
    """Batches with submission keys that belong to no job of this project."""

    FOREIGN = "foreign"
    """Batches that were not made by runner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualStep:
    """One step that is left to the user.

    `job` and `revision` (12 digits) are None for a step about a provider as a whole. `what` is a
    clause that says what is left undone; `command` would do it.
    """

    kind: ManualStepKind
    provider: str
    job: str | None = None
    revision: str | None = None
    what: str
    command: str


def manual_steps(
    desired_runs: Sequence[DesiredRun],
    recorded: Recorded,
    plan: Plan,
    observed: Mapping[str, Observed],
    owned: Mapping[str, frozenset[str]],
) -> tuple[ManualStep, ...]:
    """Return the steps that a user might expect in a plan, but that reconcile does not take.

    `owned` are the ids of the batches of this ledger, by provider.
    """
    return (
        *_unanswered(desired_runs, recorded),
        *_undesired(desired_runs, recorded, plan),
        *_unclaimed_batches(desired_runs, recorded, plan, observed, owned),
    )


def _unanswered(desired_runs: Sequence[DesiredRun], recorded: Recorded) -> Iterator[ManualStep]:
    runs = {(run.job, run.revision): run for run in recorded.runs}
    for desired in desired_runs:
        run = runs.get((desired.job.name, desired.revision))
        if run is None or not run.state.final or run.superseded or run.succeeded == run.requests:
            continue
        requests = plural(run.requests - run.succeeded, "request")
        match run.state:
            case RunState.CANCELLED:
                what = f"{requests} without a response, since it was cancelled"
            case RunState.FAILED:
                what = f"{requests} without a response; fix what made it fail first"
            case _:
                what = f"{requests} ended without a successful response"
        yield ManualStep(
            kind=ManualStepKind.UNANSWERED,
            provider=run.provider,
            job=run.job,
            revision=run.short,
            what=f"{what}: not submitted again",
            command=f"runner retry {run.job}",
        )


def _undesired(
    desired_runs: Sequence[DesiredRun], recorded: Recorded, plan: Plan
) -> Iterator[ManualStep]:
    """Yield the runs in flight that no spec describes."""
    wanted = {(desired.job.name, desired.revision) for desired in desired_runs}
    names = {desired.job.name for desired in desired_runs}
    moved = {action.run.id for action in plan.actions if isinstance(action, RelocateRun)}
    stopping = {action.run.id for action in plan.actions if isinstance(action, CancelBatch)}
    for run in recorded.runs:
        if run.state.final or (run.job, run.revision) in wanted or run.id in moved | stopping:
            continue
        in_flight = [
            submission
            for submission in run.submissions
            if submission.state is SubmissionState.SUBMITTED
        ]
        if run.cancel_requested or not in_flight:
            continue
        batches = plural(len(in_flight), "batch")
        gone = run.job not in names
        reason = "no spec describes it any more" if gone else "the spec has another revision"
        both_run = any(
            other.job == run.job and other.id != run.id and not other.state.final
            for other in recorded.runs
        )
        yield ManualStep(
            kind=ManualStepKind.NO_SPEC if gone else ManualStepKind.OLDER_REVISION,
            provider=run.provider,
            job=run.job,
            revision=run.short,
            what=f"{batches} of {run.short} in flight, and {reason}: not cancelled, since what is "
            "in flight is paid for"
            + ("; cancelling stops the new revision, too" if both_run else ""),
            command=f"runner cancel {run.job}",
        )


def _unclaimed_batches(
    desired_runs: Sequence[DesiredRun],
    recorded: Recorded,
    plan: Plan,
    observed: Mapping[str, Observed],
    owned: Mapping[str, frozenset[str]],
) -> Iterator[ManualStep]:
    """Yield a step for the batches at each provider that belong to no job of this project."""
    wanted = {desired.short for desired in desired_runs}
    adopted = {action.batch.id for action in plan.actions if isinstance(action, AdoptBatch)}
    claims = {name: key for desired in desired_runs for name, key in desired.claims.items()}
    for provider in sorted(observed):
        at_provider = observed[provider]
        owned_here = owned.get(provider, frozenset()) | adopted
        carried = BatchIndex(recorded.tagged.get(provider, ()), at_provider, claims).carried
        orphans = [
            batch
            for key, batch in carried
            if batch.id not in owned_here and key.revision not in wanted
        ]
        with_key = {batch.id for _key, batch in carried} | owned_here
        foreign = [
            batch
            for batch in (at_provider.listing.batches if at_provider.listing else ())
            if batch.id not in with_key
        ]
        if orphans:
            count = plural(len(orphans), "batch")
            yield ManualStep(
                kind=ManualStepKind.ORPHANS,
                provider=provider,
                what=f"{count} with submission keys of no job here: not touched",
                command="runner orphans",
            )
        if foreign:
            count = plural(len(foreign), "batch")
            yield ManualStep(
                kind=ManualStepKind.FOREIGN,
                provider=provider,
                what=f"{count} made by others: never touched, nor adopted",
                command="runner adopt BATCH_ID --job NAME",
            )
