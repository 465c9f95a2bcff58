"""Where a shard stands: which of its rows are answered, given up, or still to be asked.

The arithmetic that everything else rests on. Each row of a shard is in exactly one of the three
sets, whatever its attempts have been through; that is a law the tests hold it to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.inputs.row_set import RowSet
from runner.ledger.records import SubmissionState

if TYPE_CHECKING:
    from runner.ledger.records import Run, ShardRecord, Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardProgress:
    """One shard of a run, summed over its attempts.

    Attributes:
        answered: rows with a successful response.
        failed: rows that nothing asks again by itself.
        pending: rows that another attempt may ask, or that the open one is asking.
        open: the attempt under way, or None.
        last_attempt: the highest attempt number so far, 0 before the first.
        broken: why the shard as a whole cannot go on, or None.

    """

    shard: ShardRecord
    answered: RowSet
    failed: RowSet
    pending: RowSet
    open: Submission | None
    last_attempt: int
    broken: str | None


def shard_progress(run: Run, shard: ShardRecord, attempts: int) -> ShardProgress:
    """Sum up one shard; `attempts` is how many counted attempts a row may have."""
    answered = given_up = RowSet()
    open_one: Submission | None = None
    broken: str | None = None
    last = 0
    asked: list[RowSet] = []
    for submission in run.shard_submissions(shard.number):
        last = submission.key.attempt
        if not submission.state.closed:
            open_one = submission
            continue
        transient = submission.transient or RowSet()
        permanent = submission.permanent or RowSet()
        answered = answered.union(submission.rows.difference(transient).difference(permanent))
        if submission.round != run.round:
            continue
        given_up = given_up.union(permanent)
        if submission.counted and submission.state is not SubmissionState.ABANDONED:
            _count(asked, submission.rows)
        if submission.state is SubmissionState.LOST or (
            submission.state is SubmissionState.FAILED and permanent
        ):
            broken = submission.problem
    left = shard.rows.difference(answered)
    exhausted = asked[attempts - 1] if len(asked) >= attempts else RowSet()
    if open_one is not None:
        exhausted = exhausted.difference(open_one.rows)
    failed = left.intersection(given_up.union(exhausted))
    return ShardProgress(
        shard=shard,
        answered=answered,
        failed=failed,
        pending=left.difference(failed),
        open=open_one,
        last_attempt=last,
        broken=broken,
    )


def _count(asked: list[RowSet], rows: RowSet) -> None:
    """Count one more attempt at these rows: `asked[n]` are those with more than n attempts."""
    for level, before in enumerate(asked):
        again = rows.intersection(before)
        asked[level] = before.union(rows)
        rows = again
        if not rows:
            return
    asked.append(rows)
