"""The decision about a submission with a batch: observe, collect, close, cancel or lose it. Pure.

Providers should expire a batch at the end of its window; some never do (fact sheet, failure 7). A
batch that takes longer than it should is overdue: it is reported, and cancelled if the spec says
so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.batch import MONEY_CODES, BatchStatus, status_named_in, status_of_code
from runner.inputs.row_set import RowSet
from runner.ledger.records import SubmissionState
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
    from runner.ledger.records import Run, Submission
    from runner.planning.actions import Steps
    from runner.planning.shards import ShardContext, ShardProgress

_LIMIT_BACKOFF: Final = 60.0
_SHORTEST_BACKOFF: Final = 1.0
LONGEST_BACKOFF: Final = 3600.0
_LOST_AFTER: Final = 600.0
"""Seconds for which a provider must deny a batch before it is lost."""
_LATE: Final = 900.0
"""Seconds within which a terminal batch may name its output file."""
_CANCEL_PATIENCE: Final = 86_400.0
"""Seconds that a cancellation may take; it is to take minutes (fact sheet, section 1)."""
_REASONS_SHOWN: Final = 3
UNCOUNTED: Final = frozenset({BatchFailure.LIMIT, BatchFailure.MONEY})
"""Failures that are not the fault of the requests: they do not count as an attempt."""


def follow(context: ShardContext, progress: ShardProgress, submission: Submission) -> Steps:
    """Decide about a submission with a batch, by the batch that was observed."""
    batch_id = submission.batch_id or ""
    if context.address_change is not None:
        return [
            Wait(
                run=context.run, key=submission.key, reason=context.address_change, is_problem=True
            )
        ]
    if batch_id in context.observed.missing:
        return [_decide_missing(context, submission, batch_id)]
    batch = context.observed.batches.get(batch_id)
    if batch is None:
        failed = context.observed.failure
        return [
            Wait(
                run=context.run,
                key=submission.key,
                reason=failed or "in flight",
                is_problem=failed is not None,
                in_flight=failed is None,
                of_provider=refused_for_money(limited_attempt(context, progress, submission.rows)),
            )
        ]
    steps: Steps = []
    recorded = submission.batch
    if recorded is not None and batch.behind(recorded.status):
        # An older state: from a stale list, or from before this pass cancelled it.
        batch = recorded
    changed = recorded is None or batch.differs(recorded) or submission.missing_at is not None
    changed = changed or (batch.terminal and context.is_unset(submission.terminal_at))
    if changed and str(submission.key) not in context.inputs.recorded_batches:
        reason = (
            f"{recorded.status} → {batch.status}"
            if recorded is not None and recorded.status != batch.status
            else f"{batch.status}, with changes"
        )
        steps.append(Observe(run=context.run, reason=reason, key=submission.key, batch=batch))
    if batch.terminal:
        steps.append(_decide_terminal(context, progress, submission, batch))
    else:
        steps += _decide_in_flight(context, progress, submission, batch)
    return steps


def _decide_in_flight(
    context: ShardContext, progress: ShardProgress, submission: Submission, batch: Batch
) -> Steps:
    """Decide about a batch that is not terminal: wait, or cancel it on request or when overdue."""
    steps: Steps = []
    waiting = f"in flight, {batch.status}"
    overdue_text = _overdue(context, submission, batch)
    if overdue_text is not None:
        waiting = f"{waiting}, overdue"
        if submission.overdue_at is None:
            steps.append(
                NoteOverdue(
                    run=context.run, reason=overdue_text, key=submission.key, batch_id=batch.id
                )
            )
    # It was given up before `runner retry`.
    retried = submission.round < context.run.round
    cancel_reason = "cancelled on request" if context.run.cancel_requested else None
    if overdue_text is not None and context.deadline.action is DeadlineAction.RESUBMIT:
        cancel_reason = cancel_reason or "it is overdue; its unfinished requests are resubmitted"
    if (
        cancel_reason is not None
        and batch.known_status is not BatchStatus.CANCELLING
        and str(submission.key) not in context.inputs.cancelled
    ):
        steps.append(CancelBatch(run=context.run, reason=cancel_reason, submission=submission))
    elif (
        stuck := _stuck_in_cancelling(
            context, submission, batch, wanted=retried or cancel_reason is not None
        )
    ) is not None:
        steps.append(
            MarkLost(run=context.run, reason=stuck, submission=submission, stuck=True)
            if context.run.cancel_requested or retried
            else Wait(
                run=context.run,
                key=submission.key,
                reason=f"{stuck}; `runner cancel {context.run.job}` gives it up, and then "
                f"`runner retry {context.run.job}` submits its requests again",
                is_problem=True,
            )
        )
    else:
        steps.append(
            Wait(
                run=context.run,
                key=submission.key,
                reason=waiting,
                in_flight=True,
                # A lack of credit shows only when a batch is validated.
                of_provider=batch.known_status is BatchStatus.VALIDATING
                and refused_for_money(limited_attempt(context, progress, submission.rows)),
            )
        )
    return steps


def _decide_missing(
    context: ShardContext, submission: Submission, batch_id: str
) -> NoteMissing | MarkLost | Wait:
    if context.is_unset(submission.missing_at):
        return NoteMissing(
            run=context.run,
            reason="the provider does not know the batch any more",
            key=submission.key,
            batch_id=batch_id,
        )
    until = (submission.missing_at or 0.0) + context.patience(_LOST_AFTER)
    if context.observed_at >= until:
        return MarkLost(
            run=context.run,
            reason="the provider has denied the batch for too long",
            submission=submission,
        )
    return Wait(
        run=context.run,
        key=submission.key,
        reason=f"the provider says it does not know {batch_id}: is the API key of the same "
        f"project?",
        until=until,
        is_problem=True,
    )


def _decide_terminal(
    context: ShardContext, progress: ShardProgress, submission: Submission, batch: Batch
) -> CloseRejectedBatch | Collect | Wait:
    """Decide about a terminal batch: close it, or collect it once it names its files."""
    failed = batch.known_status is BatchStatus.FAILED
    has_files = batch.output_file_id is not None or batch.error_file_id is not None
    max_delay = context.patience(max(_LATE, context.grace))
    until = (submission.terminal_at or context.inputs.now) + max_delay
    within = context.is_unset(submission.terminal_at) or context.observed_at < until
    # What has run may have responses: its files are waited for like those of any other batch.
    ran = batch.in_progress_at is not None or batch.request_counts.completed > 0
    if failed and not has_files and not (ran and within):
        failure = batch_failure(batch)
        pause = _limit_backoff(context, progress, submission) if failure in UNCOUNTED else 0.0
        return CloseRejectedBatch(
            run=context.run,
            reason=_batch_failure_reason(batch),
            submission=submission,
            batch=batch,
            failure=failure,
            not_before=context.inputs.now + pause if pause else 0.0,
        )
    # The ids of files may be named minutes after the status (fact sheet, failure 5), and a
    # response that is not waited for is lost and paid for again. Counts are not reliable, but an
    # error file with a line for each request shows that nothing succeeded. The wait is bounded.
    early = False
    if batch.output_file_id is None:
        early = within
        counts = batch.request_counts
        none_succeeded = batch.error_file_id is not None and counts.total > 0 == counts.completed
        if early and not none_succeeded:
            return Wait(
                run=context.run,
                key=submission.key,
                reason=f"{batch.status}, but its files are not named yet",
                until=until,
                in_flight=True,
            )
    return Collect(
        run=context.run,
        reason=f"the batch is {batch.status}",
        shard=progress.shard,
        submission=submission,
        batch=batch,
        early=early,
    )


def limited_attempt(
    context: ShardContext, progress: ShardProgress, rows: RowSet
) -> Submission | None:
    """Return the last attempt at these rows if a limit refused it, not its requests."""
    before = context.run.shard_submissions(progress.shard.number)
    last = next(
        (
            attempt
            for attempt in reversed(before)
            if attempt.state.closed and attempt.rows.intersection(rows)
        ),
        None,
    )
    return last if last is not None and _is_limited(last) else None


def _is_limited(attempt: Submission) -> bool:
    """Whether a limit refused an attempt, and not its requests."""
    return attempt.state is SubmissionState.FAILED and not attempt.counted


def refused_for_money(limited: Submission | None) -> bool:
    """Whether an attempt that a limit refused was refused for lack of credit."""
    return (
        limited is not None
        and limited.batch is not None
        and batch_failure(limited.batch) is BatchFailure.MONEY
    )


def awaits_credit(run: Run) -> bool:
    """Whether requests of a run were refused for lack of credit, and not been validated since.

    A provider accepts a batch without credit, and refuses it when it validates it.
    """
    for shard in run.shards:
        since = RowSet()
        for attempt in reversed(run.shard_submissions(shard.number)):
            if not attempt.state.closed and not _is_validated(attempt):
                continue  # it is unknown whether there is credit for these requests now
            lacks_credit = _is_limited(attempt) and refused_for_money(attempt)
            if lacks_credit and attempt.rows.difference(since):
                return True
            since = since.union(attempt.rows)
    return False


def _is_validated(attempt: Submission) -> bool:
    batch = attempt.batch
    return batch is not None and batch.known_status is not BatchStatus.VALIDATING


def _limit_backoff(context: ShardContext, progress: ShardProgress, submission: Submission) -> float:
    """Return the seconds to wait after a limit: doubled for each in a row, at most an hour."""
    refused = 0
    for earlier in reversed(context.run.shard_submissions(progress.shard.number)):
        if earlier.key.attempt >= submission.key.attempt or not earlier.rows.intersection(
            submission.rows
        ):
            continue
        if earlier.counted:
            break
        refused += 1
    base = max(context.patience(_LIMIT_BACKOFF), _SHORTEST_BACKOFF)
    return float(min(base * 2.0 ** min(refused, 16), LONGEST_BACKOFF))


def batch_failure(batch: Batch) -> BatchFailure:
    """Classify why a batch was rejected as a whole (fact sheet, section 3, failures 10, 11).

    An unknown code counts as lasting: the user has to fix it, a resubmission would fail again.
    """
    kinds = set()
    for error in batch.errors:
        code, message = (error.code or "").lower(), (error.message or "").lower()
        status = status_of_code(code) or status_named_in(error.message or "") or 0
        if code in MONEY_CODES:
            kinds.add(BatchFailure.MONEY)
        elif (
            "token_limit" in code
            or "quota" in code
            or "enqueued token limit" in message
            or status == 429  # noqa: PLR2004 -- HTTP
        ):
            kinds.add(BatchFailure.LIMIT)
        elif "cannot find file" in message or code == "output_failed" or status >= 500:  # noqa: PLR2004 -- HTTP
            kinds.add(BatchFailure.PASSING)
        else:
            kinds.add(BatchFailure.LASTING)
    for kind in (BatchFailure.LASTING, BatchFailure.MONEY, BatchFailure.LIMIT):
        if kind in kinds:
            return kind
    return BatchFailure.PASSING


def _batch_failure_reason(batch: Batch) -> str:
    """Return the API's words for why a batch failed as a whole: the first three errors."""
    if not batch.errors:
        return f"{batch.id} failed without a reason"
    shown = "; ".join(str(error) for error in batch.errors[:_REASONS_SHOWN])
    more = len(batch.errors) - _REASONS_SHOWN
    return f"{batch.id} failed: {shown}" + (f"; and {more} more" if more > 0 else "")


_LEEWAY: Final = 3600.0
"""Seconds after the end of its window that a batch may still take to end."""


def _overdue(context: ShardContext, submission: Submission, batch: Batch) -> str | None:
    """Return the message about an overdue batch, with what is done; None if it is not overdue."""
    due = _due_at(context, submission, batch)
    if due is None or context.inputs.now < due or context.deadline.action is DeadlineAction.WAIT:
        return None
    consequence = (
        "it is cancelled, and its unfinished requests are resubmitted"
        if context.deadline.action is DeadlineAction.RESUBMIT
        else f"`runner cancel {context.run.job}` collects what has finished; "
        f"`deadline: {{action: resubmit}}` in the spec cancels it and resubmits the rest"
    )
    overdue_text = span(context.inputs.now - due)
    return f"{batch.id} is overdue: {batch.status}, and due {overdue_text} ago; {consequence}"


def _stuck_in_cancelling(
    context: ShardContext, submission: Submission, batch: Batch, *, wanted: bool
) -> str | None:
    """Say that the provider does not end a cancellation; None before its patience has ended.

    A cancellation that is, or was, `wanted` may also leave the batch as it was.
    """
    cancelling = batch.known_status is BatchStatus.CANCELLING
    since = _cancelled_at(context, submission, batch) if cancelling or wanted else None
    if since is None or context.inputs.now < since + _CANCEL_PATIENCE:
        return None
    age = span(context.inputs.now - since)
    return (
        f"{batch.id} has been {batch.status} for {age}: the provider does not end it"
        if cancelling
        else f"{batch.id} was to be cancelled {age} ago and is {batch.status}: the provider does "
        f"not end it"
    )


def _cancelled_at(context: ShardContext, submission: Submission, batch: Batch) -> float | None:
    """Return when a cancellation was requested, by this machine's clock; None if unknown.

    Of the provider's own time only the distance from the creation is taken, since its clock may
    differ from ours; and some say another time at each look, so the first sight of it counts too.
    """
    began = submission.submitted_at
    times = []
    if began is not None and batch.cancelling_at is not None and batch.created_at is not None:
        times.append(began + max(0, batch.cancelling_at - batch.created_at))
    if submission.cancelling_since is not None:
        times.append(submission.cancelling_since)
    overdue = submission.overdue_at
    resubmits = context.deadline.action is DeadlineAction.RESUBMIT
    if batch.known_status is not BatchStatus.CANCELLING and resubmits and overdue is not None:
        # It was cancelled when it became overdue, and nothing shows that.
        times.append(overdue)
    return min(times, default=None)


def _due_at(context: ShardContext, submission: Submission, batch: Batch) -> float | None:
    """Return when a batch should have ended, by this machine's clock; None if unknown.

    Only the length of the window is taken from the provider's clock, which may differ from ours.
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
