"""What reconcile leaves to people: what it would never do by itself, and how they do it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from runner.ledger.records import REVISION_SHOWN, RunState, SubmissionState
from runner.planning.actions import AdoptBatch, CancelBatch, RelocateRun
from runner.planning.batch_index import BatchIndex
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runner.planning.actions import Plan
    from runner.planning.state import DesiredRun, Observed, Recorded


class ManualStepKind(StrEnum):
    """What sort of thing is left to people."""

    UNANSWERED = "unanswered"
    """Requests that ended without a successful response: asked again on demand only."""

    OLDER_REVISION = "older_revision"
    """A run in flight that its job's spec does not ask for any more; it is paid for."""

    NO_SPEC = "no_spec"
    """A run in flight of a job that no spec asks for any more."""

    ORPHANS = "orphans"
    """Batches with runner's keys that belong to no job here."""

    FOREIGN = "foreign"
    """Batches that somebody else has made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualStep:
    """One thing that is left to people.

    `job` and `revision` (12 digits) are None where it belongs to a provider as a whole. `what` is
    a sentence's worth; `command` what to type, were it to be done.
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
    """List what a plan does not hold and a person might expect it to.

    `owned` are the ids of the batches, by provider, that are attempts of this ledger.
    """
    return (
        *_unanswered(desired_runs, recorded),
        *_unwished(desired_runs, recorded, plan),
        *_of_others(desired_runs, recorded, plan, observed, owned),
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
                what = f"{requests} without an answer, since it was cancelled"
            case RunState.FAILED:
                what = f"{requests} without an answer; mend what made it fail first"
            case _:
                what = f"{requests} ended without a successful response"
        yield ManualStep(
            kind=ManualStepKind.UNANSWERED,
            provider=run.provider,
            job=run.job,
            revision=run.short,
            what=f"{what}: not asked again",
            command=f"runner retry {run.job}",
        )


def _unwished(
    desired_runs: Sequence[DesiredRun], recorded: Recorded, plan: Plan
) -> Iterator[ManualStep]:
    """Find what is in flight and goes on although no spec asks for it."""
    wanted = {(desired.job.name, desired.revision) for desired in desired_runs}
    names = {desired.job.name for desired in desired_runs}
    going = {action.run.id for action in plan.actions if isinstance(action, RelocateRun)}
    stopping = {action.run.id for action in plan.actions if isinstance(action, CancelBatch)}
    for run in recorded.runs:
        if run.state.final or (run.job, run.revision) in wanted or run.id in going | stopping:
            continue
        in_flight = [one for one in run.submissions if one.state is SubmissionState.SUBMITTED]
        if run.cancel_requested or not in_flight:
            continue
        batches = plural(len(in_flight), "batch")
        gone = run.job not in names
        reason = "no spec asks for it any more" if gone else "the spec asks for another revision"
        beside = any(
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
            + ("; cancelling stops the new revision, too" if beside else ""),
            command=f"runner cancel {run.job}",
        )


def _of_others(
    desired_runs: Sequence[DesiredRun],
    recorded: Recorded,
    plan: Plan,
    observed: Mapping[str, Observed],
    owned: Mapping[str, frozenset[str]],
) -> Iterator[ManualStep]:
    """Count what lies at the providers and is nobody's here."""
    wanted = {desired.revision[:REVISION_SHOWN] for desired in desired_runs}
    adopted = {action.batch.id for action in plan.actions if isinstance(action, AdoptBatch)}
    claims = {name: key for desired in desired_runs for name, key in desired.claims.items()}
    for provider in sorted(observed):
        saw = observed[provider]
        mine = owned.get(provider, frozenset()) | adopted
        carried = BatchIndex(recorded.tagged.get(provider, ()), saw, claims).carried
        orphans = [
            batch for key, batch in carried if batch.id not in mine and key.revision not in wanted
        ]
        ours = {batch.id for _key, batch in carried} | mine
        foreign = [
            batch for batch in (saw.listing.batches if saw.listing else ()) if batch.id not in ours
        ]
        if orphans:
            count = plural(len(orphans), "batch")
            yield ManualStep(
                kind=ManualStepKind.ORPHANS,
                provider=provider,
                what=f"{count} with runner's keys, of no job here: left alone",
                command="runner orphans",
            )
        if foreign:
            count = plural(len(foreign), "batch")
            yield ManualStep(
                kind=ManualStepKind.FOREIGN,
                provider=provider,
                what=f"{count} made by others: never touched, nor taken over",
                command="runner adopt BATCH_ID --job NAME",
            )
