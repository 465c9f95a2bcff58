"""What reconcile leaves to people: what it would never do by itself, and how they do it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from runner.ledger.records import REVISION_SHOWN, RunState, SubmissionState
from runner.planning.actions import AdoptBatch, CancelBatch, RelocateRun
from runner.planning.state import Traces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runner.planning.actions import Plan
    from runner.planning.state import Known, Seen, Wish


class LeftKind(StrEnum):
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
class Left:
    """One thing that is left to people.

    `job` and `revision` (12 digits) are None where it belongs to a provider as a whole. `what` is
    a sentence's worth; `command` what to type, were it to be done.
    """

    kind: LeftKind
    provider: str
    job: str | None = None
    revision: str | None = None
    what: str
    command: str


def left_to_people(
    wishes: Sequence[Wish],
    known: Known,
    plan: Plan,
    seen: Mapping[str, Seen],
    owned: Mapping[str, frozenset[str]],
) -> tuple[Left, ...]:
    """List what a plan does not hold and a person might expect it to.

    `owned` are the ids of the batches, by provider, that are attempts of this ledger.
    """
    return (
        *_unanswered(wishes, known),
        *_unwished(wishes, known, plan),
        *_of_others(wishes, known, plan, seen, owned),
    )


def _unanswered(wishes: Sequence[Wish], known: Known) -> Iterator[Left]:
    runs = {(run.job, run.revision): run for run in known.runs}
    for wish in wishes:
        run = runs.get((wish.job.name, wish.revision))
        if run is None or not run.state.final or run.superseded or run.succeeded == run.requests:
            continue
        requests = _count(run.requests - run.succeeded, "request")
        match run.state:
            case RunState.CANCELLED:
                what = f"{requests} without an answer, since it was cancelled"
            case RunState.FAILED:
                what = f"{requests} without an answer; mend what made it fail first"
            case _:
                what = f"{requests} ended without a successful response"
        yield Left(
            kind=LeftKind.UNANSWERED,
            provider=run.provider,
            job=run.job,
            revision=run.short,
            what=f"{what}: not asked again",
            command=f"runner retry {run.job}",
        )


def _unwished(wishes: Sequence[Wish], known: Known, plan: Plan) -> Iterator[Left]:
    """Find what is in flight and goes on although no spec asks for it."""
    wanted = {(wish.job.name, wish.revision) for wish in wishes}
    names = {wish.job.name for wish in wishes}
    going = {action.run.id for action in plan.actions if isinstance(action, RelocateRun)}
    stopping = {action.run.id for action in plan.actions if isinstance(action, CancelBatch)}
    for run in known.runs:
        if run.state.final or (run.job, run.revision) in wanted or run.id in going | stopping:
            continue
        in_flight = [one for one in run.submissions if one.state is SubmissionState.SUBMITTED]
        if run.cancel_requested or not in_flight:
            continue
        batches = _count(len(in_flight), "batch", "batches")
        gone = run.job not in names
        why = "no spec asks for it any more" if gone else "the spec asks for another revision"
        beside = any(
            other.job == run.job and other.id != run.id and not other.state.final
            for other in known.runs
        )
        yield Left(
            kind=LeftKind.NO_SPEC if gone else LeftKind.OLDER_REVISION,
            provider=run.provider,
            job=run.job,
            revision=run.short,
            what=f"{batches} of {run.short} in flight, and {why}: not cancelled, since what is in "
            f"flight is paid for" + ("; cancelling stops the new revision, too" if beside else ""),
            command=f"runner cancel {run.job}",
        )


def _of_others(
    wishes: Sequence[Wish],
    known: Known,
    plan: Plan,
    seen: Mapping[str, Seen],
    owned: Mapping[str, frozenset[str]],
) -> Iterator[Left]:
    """Count what lies at the providers and is nobody's here."""
    wanted = {wish.revision[:REVISION_SHOWN] for wish in wishes}
    adopted = {action.batch.id for action in plan.actions if isinstance(action, AdoptBatch)}
    claims = {name: key for wish in wishes for name, key in wish.claims.items()}
    for provider in sorted(seen):
        saw = seen[provider]
        mine = owned.get(provider, frozenset()) | adopted
        carried = Traces(known.tagged.get(provider, ()), saw, claims).carried
        orphans = [
            batch for key, batch in carried if batch.id not in mine and key.revision not in wanted
        ]
        ours = {batch.id for _key, batch in carried} | mine
        foreign = [
            batch for batch in (saw.look.batches if saw.look else ()) if batch.id not in ours
        ]
        if orphans:
            count = _count(len(orphans), "batch", "batches")
            yield Left(
                kind=LeftKind.ORPHANS,
                provider=provider,
                what=f"{count} with runner's keys, of no job here: left alone",
                command="runner orphans",
            )
        if foreign:
            count = _count(len(foreign), "batch", "batches")
            yield Left(
                kind=LeftKind.FOREIGN,
                provider=provider,
                what=f"{count} made by others: never touched, nor taken over",
                command="runner adopt BATCH_ID --job NAME",
            )


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many or one + 's'}"
