"""What to do about a submission that is a batch: follow it, end it, or give it up. Pure.

When a batch takes longer than it should. Pure.

Providers are to expire a batch at the end of its window; some never do (fact sheet, failure 7), so
that a job would wait for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.batch import MONEY_CODES, BatchStatus
from runner.planning.actions import (
    BatchFailure,
    CancelBatch,
    CloseRejectedBatch,
    Collect,
    MarkLost,
    NoteMissing,
    NoteOverdue,
    Observe,
    Wait,
)
from runner.spec.job import DeadlineAction
from runner.text import parse_duration, span

if TYPE_CHECKING:
    from runner.batch import Batch
    from runner.ledger.records import Submission
    from runner.planning.shard_context import ShardContext


if TYPE_CHECKING:
    from runner.batch import Batch
    from runner.ledger.records import Submission
    from runner.planning.actions import Action
    from runner.planning.shard_context import ShardContext
    from runner.planning.shard_progress import ShardProgress

    Steps = list[Action | Wait]

_LIMIT_BACKOFF: Final = 60.0
_LIMIT_BACKOFF_LOOPBACK: Final = 1.0
LONGEST_BACKOFF: Final = 3600.0
_LOST_AFTER: Final = 600.0
"""Seconds for which a provider must deny a batch before it is given up; loopback: the grace."""
_LATE: Final = 900.0
"""Seconds for which a terminal batch may keep its output file to itself; loopback: the grace."""
_REASONS_SHOWN: Final = 3
UNCOUNTED: Final = frozenset({BatchFailure.LIMIT, BatchFailure.MONEY})
"""Failures of which nothing is the requests' fault: they do not count as an attempt."""


def follow(context: ShardContext, progress: ShardProgress, submission: Submission) -> Steps:
    """Record what the provider says of a batch, and act on it if it is terminal."""
    batch_id = submission.batch_id or ""
    if context.moved is not None:
        return [Wait(run=context.run, key=submission.key, reason=context.moved, trouble=True)]
    if batch_id in context.observed.missing:
        return [_missing(context, submission, batch_id)]
    batch = context.observed.batches.get(batch_id)
    if batch is None:
        failed = context.observed.failure
        return [
            Wait(
                run=context.run,
                key=submission.key,
                reason=failed or "in flight",
                trouble=failed is not None,
            )
        ]
    steps: Steps = []
    recorded = submission.batch
    if recorded is not None and batch.behind(recorded.status):
        # An older view: a stale list, or what was seen before this pass cancelled it.
        batch = recorded
    news = recorded is None or batch.differs(recorded) or submission.missing_at is not None
    news = news or (batch.terminal and context.unset(submission.terminal_at))
    if news and str(submission.key) not in context.inputs.noted:
        reason = (
            f"{recorded.status} → {batch.status}"
            if recorded is not None and recorded.status != batch.status
            else f"{batch.status}, with changes"
        )
        steps.append(Observe(run=context.run, reason=reason, key=submission.key, batch=batch))
    if batch.terminal:
        steps.append(_end(context, progress, submission, batch))
    else:
        steps += _in_flight(context, submission, batch)
    return steps


def _in_flight(context: ShardContext, submission: Submission, batch: Batch) -> Steps:
    """Wait for a batch, unless somebody wants it stopped or it takes too long."""
    steps: Steps = []
    waiting = f"in flight, {batch.status}"
    late = overdue(context, submission, batch)
    if late is not None:
        waiting = f"{waiting}, overdue"
        if submission.overdue_at is None:
            steps.append(
                NoteOverdue(run=context.run, reason=late, key=submission.key, batch_id=batch.id)
            )
    unwanted = "cancelled on request" if context.run.cancel_requested else None
    if late is not None and context.deadline.action is DeadlineAction.RESUBMIT:
        unwanted = unwanted or "it is overdue; what it leaves is asked again"
    if (
        unwanted is not None
        and batch.known_status is not BatchStatus.CANCELLING
        and str(submission.key) not in context.inputs.cancelled
    ):
        steps.append(CancelBatch(run=context.run, reason=unwanted, submission=submission))
    else:
        steps.append(Wait(run=context.run, key=submission.key, reason=waiting))
    return steps


def _missing(
    context: ShardContext, submission: Submission, batch_id: str
) -> NoteMissing | MarkLost | Wait:
    if context.unset(submission.missing_at):
        return NoteMissing(
            run=context.run,
            reason="the provider does not know the batch any more",
            key=submission.key,
            batch_id=batch_id,
        )
    until = (submission.missing_at or 0.0) + (context.grace if context.loopback else _LOST_AFTER)
    if context.seen_at >= until:
        return MarkLost(
            run=context.run,
            reason="the provider has not known the batch for too long",
            submission=submission,
        )
    return Wait(
        run=context.run,
        key=submission.key,
        reason=f"the provider says it does not know {batch_id}: is the key of the same project?",
        until=until,
        trouble=True,
    )


def _end(
    context: ShardContext, progress: ShardProgress, submission: Submission, batch: Batch
) -> CloseRejectedBatch | Collect | Wait:
    """Read what a terminal batch has, as soon as it shows all that it says it has."""
    failed = batch.known_status is BatchStatus.FAILED
    has_files = batch.output_file_id is not None or batch.error_file_id is not None
    if failed and not has_files:
        failure = batch_failure(batch)
        away = _limit_backoff(context, progress) if failure in UNCOUNTED else 0.0
        return CloseRejectedBatch(
            run=context.run,
            reason=batch_failure_reason(batch),
            submission=submission,
            batch=batch,
            failure=failure,
            not_before=context.inputs.now + away if away else 0.0,
        )
    # Ids may be named minutes after the status (fact sheet, failure 5), and an answer that was
    # not waited for is asked again and lost. Counts lie, but that nothing was answered can be
    # seen from an error file that has a line for each request; the wait is bounded.
    early = False
    if batch.output_file_id is None:
        patience = context.grace if context.loopback else max(_LATE, context.grace)
        until = (submission.terminal_at or context.inputs.now) + patience
        early = context.unset(submission.terminal_at) or context.seen_at < until
        counts = batch.request_counts
        none_answered = batch.error_file_id is not None and counts.total > 0 == counts.completed
        if early and not none_answered:
            return Wait(
                run=context.run,
                key=submission.key,
                reason=f"{batch.status}, but its files are not named yet",
                until=until,
            )
    return Collect(
        run=context.run,
        reason=f"the batch is {batch.status}",
        shard=progress.shard,
        submission=submission,
        batch=batch,
        early=early,
    )


def _limit_backoff(context: ShardContext, progress: ShardProgress) -> float:
    """Return the seconds to stay away after a limit: doubling with each in a row, to an hour."""
    refused = 0
    for earlier in reversed(context.run.shard_submissions(progress.shard.number)[:-1]):
        if earlier.counted:
            break
        refused += 1
    base = _LIMIT_BACKOFF_LOOPBACK if context.loopback else _LIMIT_BACKOFF
    return float(min(base * 2.0 ** min(refused, 16), LONGEST_BACKOFF))


def batch_failure(batch: Batch) -> BatchFailure:
    """Classify why a batch was turned away as a whole (fact sheet, section 3, failures 10, 11).

    Unknown codes are the user's to fix: asking again by itself would fail again.
    """
    kinds = set()
    for error in batch.errors:
        code, message = (error.code or "").lower(), (error.message or "").lower()
        if code in MONEY_CODES:
            kinds.add(BatchFailure.MONEY)
        elif "token_limit" in code or "quota" in code or "enqueued token limit" in message:
            kinds.add(BatchFailure.LIMIT)
        elif "cannot find file" in message or code in ("internal_error", "output_failed"):
            kinds.add(BatchFailure.PASSING)
        else:
            kinds.add(BatchFailure.LASTING)
    for kind in (BatchFailure.LASTING, BatchFailure.MONEY, BatchFailure.LIMIT):
        if kind in kinds:
            return kind
    return BatchFailure.PASSING


def batch_failure_reason(batch: Batch) -> str:
    """Say why a batch failed as a whole, in the API's own words; the first three errors."""
    if not batch.errors:
        return f"{batch.id} failed without a reason"
    shown = "; ".join(str(error) for error in batch.errors[:_REASONS_SHOWN])
    more = len(batch.errors) - _REASONS_SHOWN
    return f"{batch.id} failed: {shown}" + (f"; and {more} more" if more > 0 else "")


_LEEWAY: Final = 3600.0
"""Seconds after the end of its window that a batch may still take to come to its end."""


def overdue(context: ShardContext, submission: Submission, batch: Batch) -> str | None:
    """Say that a batch takes longer than it should, and what is done about it; None if not."""
    due = _due(context, submission, batch)
    if due is None or context.inputs.now < due or context.deadline.action is DeadlineAction.WAIT:
        return None
    done = (
        "it is cancelled, and what it leaves unanswered is asked again"
        if context.deadline.action is DeadlineAction.RESUBMIT
        else f"`runner cancel {context.run.job}` collects what it has answered; "
        f"`deadline: {{action: resubmit}}` in the spec cancels it and asks the rest again"
    )
    late = span(context.inputs.now - due)
    return f"{batch.id} is overdue: {batch.status}, and due {late} ago; {done}"


def _due(context: ShardContext, submission: Submission, batch: Batch) -> float | None:
    """Return when a batch should be over, by this machine's clock; None where nobody has said.

    The provider's clock gives the length of the window only: it may be of another opinion about
    the time of day.
    """
    began = submission.submitted_at
    if began is None:
        return None
    if context.deadline.after is not None:
        return began + context.deadline.after
    if batch.expires_at is not None and batch.created_at is not None:
        return began + max(0, batch.expires_at - batch.created_at) + _LEEWAY
    window = parse_duration(batch.completion_window or "", units=("m", "h", "d"))
    return began + window + _LEEWAY if window else None
