"""What has become of a run for which there is nothing left to do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.ledger.records import RunState, SubmissionState
from runner.planning.actions import Finish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.ledger.records import Run
    from runner.planning.shard_progress import ShardProgress
    from runner.spec.job import Job


def ended(
    run: Run, job: Job | None, standings: Sequence[ShardProgress], broken: str | None
) -> Finish:
    """Say how a run has ended: nothing is under way and nothing may be submitted.

    `job` is None where no spec asks for it any more; `broken` is why it cannot go on, or None.
    """
    unanswered = sum(len(standing.shard.rows) - len(standing.answered) for standing in standings)
    could_go_on = any(len(standing.pending) for standing in standings)
    if unanswered == 0:
        state, why = RunState.SUCCEEDED, "every request is answered"
    elif run.cancel_requested:
        state, why = RunState.CANCELLED, "cancelled on request"
    elif broken is not None:
        state, why = RunState.FAILED, broken
    elif job is None and could_go_on:
        state = RunState.PARTIAL
        without = f"{unanswered} of {run.requests} requests without an answer"
        why = f"no spec asks for it any more; {without}"
    else:
        state = RunState.PARTIAL
        why = f"{unanswered} of {run.requests} requests ended without a successful response"
        last = _last_failure(run, standings)
        why += "" if last is None else f"; the last of them with: {last}"
    return Finish(
        run=run,
        why=why,
        job=job,
        state=state,
        superseded=job is None and could_go_on and not run.cancel_requested,
    )


def _last_failure(run: Run, standings: Sequence[ShardProgress]) -> str | None:
    """Return why a batch failed as a whole, where that was the end of some requests."""
    for standing in standings:
        attempts = run.shard_submissions(standing.shard.number)
        if standing.failed and attempts and attempts[-1].state is SubmissionState.FAILED:
            return attempts[-1].problem
    return None
