"""What a plan has to say to people beside its actions: twins, results about to be lost. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.ledger.records import SubmissionState
from runner.planning.overdue import span
from runner.spec.project import LONGEST_LIFE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.ledger.records import Run
    from runner.planning.state import DesiredRun, PlanInputs, Recorded


_WARNING: Final = 7 * 86_400.0
"""Seconds before results are gone from which on people are warned (fact sheet, failure 27)."""


def edited(run: Run, desired: DesiredRun, known: Recorded) -> tuple[str, str]:
    """Say what an edit of a spec came to that asks for a run which there is already.

    Returns the reason for noting it, and the remark for people.
    """
    before = known.jobs.get(desired.job.name)
    if before is not None and before.wanted not in (None, desired.revision):
        why = "the spec asks for this revision again"
        return why, f"{desired.job.name}: {why}; what is answered is not asked twice"
    in_flight = not run.state.final and any(submission.batch_id for submission in run.submissions)
    reaches = "it reaches only batches that are not created yet" if in_flight else "no new batch"
    return (
        "the spec changed in what cannot change an answer",
        f"{desired.job.name}: the spec's edit changes no answer; {reaches}",
    )


def twins(desired_runs: Sequence[DesiredRun], known: Recorded) -> Iterator[str]:
    """Warn of jobs that are about to ask the very same questions as another."""
    first: dict[str, str] = {}
    recorded = {(run.job, run.revision) for run in known.runs}
    for desired in desired_runs:
        other = first.setdefault(desired.revision, desired.job.name)
        if other != desired.job.name and (desired.job.name, desired.revision) not in recorded:
            yield (
                f"{desired.job.name}: asks the same questions as {other} again (revision "
                f"{desired.revision[:12]}); if you want another sample, say `replicate: 2`"
            )


def expiring(run: Run, facts: PlanInputs) -> Iterator[str]:
    """Warn of results that lie at the provider, are not here, and will be gone before long."""
    provider = facts.providers.get(run.provider)
    life = (provider and provider.output_expires_after) or LONGEST_LIFE
    for submission in run.submissions:
        began = submission.submitted_at
        if (
            submission.state is not SubmissionState.SUBMITTED
            or submission.terminal_at is None
            or began is None
        ):
            continue
        gone = began + life  # at the earliest: the files are younger than that
        if gone - _WARNING <= facts.now < gone:
            yield (
                f"{run.job}: the results of {submission.batch_id} are not here yet, and the "
                f"provider may delete them in {span(gone - facts.now)}"
            )
