"""The decision about one shard: the decision table of the exactly-once protocol.

Each function handles one state of the open attempt and returns actions, or waits with the reason
why there is none. A shard for which nothing is returned has ended. Pure.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, assert_never

from runner.ledger.records import Submission, SubmissionKey, SubmissionState
from runner.planning.actions import (
    AbandonSubmission,
    AdoptBatch,
    AdoptFile,
    ClearIntent,
    ListFirst,
    MarkUncertain,
    Submit,
    Wait,
)
from runner.planning.in_flight import (
    LONGEST_BACKOFF,
    follow,
    limited_attempt,
    refused_for_money,
)

if TYPE_CHECKING:
    from runner.batch import Batch
    from runner.inputs.row_set import RowSet
    from runner.ledger.records import Run
    from runner.planning.actions import Steps
    from runner.planning.shards import ShardContext, ShardProgress
    from runner.planning.state import Listing


def decide_shard(context: ShardContext, progress: ShardProgress) -> Steps:
    """Decide what to do about one shard, or what to wait for; nothing if it has ended."""
    adopted = _adopt_unknown(context, progress)
    if adopted:
        return adopted
    steps = [
        step for submission in progress.open for step in _decide_open(context, progress, submission)
    ]
    steps += _next_attempts(context, progress)
    if any(isinstance(step, AdoptBatch) for step in steps) or _has_listed(context, progress):
        # It may have other rows than the attempt whose key it carries: then these are taken.
        return [step for step in steps if not isinstance(step, Submit)]
    return steps


def _has_listed(context: ShardContext, progress: ShardProgress) -> bool:
    """Whether the provider lists a batch of an open attempt that has none here.

    Another machine has made it. It is adopted as soon as what is known of the attempt is settled.
    """
    without = {each.key for each in progress.open if each.batch_id is None}
    shard = progress.shard.number
    return any(
        key in without and batch.id not in _other_batch_ids(context, key)
        for key, batch in context.index.of_shard(context.run.short, shard)
    )


def _decide_open(context: ShardContext, progress: ShardProgress, submission: Submission) -> Steps:
    """Decide about an attempt that has not ended."""
    problem = context.inputs.held.get(str(submission.key))
    if problem is not None:
        return [Wait(run=context.run, key=submission.key, reason=problem, is_problem=True)]
    match submission.state:
        case SubmissionState.PREPARED | SubmissionState.UPLOADED:
            return _submit(context, progress, submission, new=False)
        case SubmissionState.UPLOADING:
            return _resolve_upload(context, submission)
        case SubmissionState.CREATING:
            return _resolve_create(context, progress, submission)
        case SubmissionState.SUBMITTED:
            return follow(context, progress, submission)
        case (
            SubmissionState.COLLECTED
            | SubmissionState.FAILED
            | SubmissionState.LOST
            | SubmissionState.ABANDONED
        ):
            raise AssertionError(f"{submission.key} is both closed and open")
        case _:
            assert_never(submission.state)


def _adopt_unknown(context: ShardContext, progress: ShardProgress) -> Steps:
    """Return the adoptions of attempts that the provider has and this ledger does not.

    While one of them cannot be adopted, the shard waits: another attempt might submit, and pay
    for, the same rows again.
    """
    shard = progress.shard.number
    recorded = {each.key.attempt: each for each in context.run.shard_submissions(shard)}
    recorded_ids = {submission.batch_id for submission in context.run.submissions}
    job_names = context.inputs.job_names
    found: dict[int, tuple[SubmissionKey, Batch]] = {}
    steps: Steps = []
    listed = context.index.of_shard(context.run.short, shard)
    last = max((*recorded, *(key.attempt for key, _batch in listed)), default=0)
    for key, batch in listed:
        mine = recorded.get(key.attempt)
        belongs_to_other = key in context.used_keys or (
            key.job != context.run.job and (job_names is None or key.job in job_names)
        )
        # A number that was given up here without a batch another machine may have used since.
        used = mine is not None and (mine.batch_id is not None or not mine.state.closed)
        if used or belongs_to_other or batch.id in recorded_ids:
            continue
        problem = context.inputs.held.get(str(key))
        if problem is not None:
            steps.append(Wait(run=context.run, key=key, reason=problem, is_problem=True))
        elif mine is not None:
            last += 1
            found[last] = (dataclasses.replace(key, attempt=last), batch)
        else:
            found.setdefault(key.attempt, (key, batch))
    steps += [_adopt(context, progress, key, None, batch) for key, batch in found.values()]
    return steps


def _next_attempts(context: ShardContext, progress: ShardProgress) -> Steps:
    """Decide about the rows of a shard that no open attempt has: submit, or wait.

    Where one file would be too large they are several attempts, at the same time. Otherwise what an
    attempt leaves waits for its end, to be submitted together with what it does not answer.
    """
    if not progress.unsent or not context.may_submit:
        return []
    if progress.open and not context.sizes.is_split(progress.shard):
        return []
    parts = context.sizes.parts(progress)
    if not parts:
        held = context.sizes.held[progress.shard.number]
        return [Wait(run=context.run, key=None, reason=held.reason)]
    steps: Steps = []
    attempt = progress.last_attempt
    for rows in parts:
        key = SubmissionKey(
            job=context.run.job,
            revision=context.run.short,
            shard=progress.shard.number,
            attempt=attempt + 1,
        )
        while key in context.used_keys:
            key = dataclasses.replace(key, attempt=key.attempt + 1)
        attempt = key.attempt
        steps += _new_attempt(context, progress, key, rows)
    return steps


def _new_attempt(
    context: ShardContext, progress: ShardProgress, key: SubmissionKey, rows: RowSet
) -> Steps:
    """Decide about a new attempt at some rows of a shard: submit, or wait."""
    limited = limited_attempt(context, progress, rows)
    whole = len(rows) == progress.shard.requests
    submission = Submission(
        key=key,
        round=context.run.round,
        state=SubmissionState.PREPARED,
        rows=rows,
        requests=len(rows),
        bytes=progress.shard.bytes if whole else 0,
        sha256=progress.shard.sha256 if whole else "",
        # A file that met a limit is used again: nothing was wrong with it.
        input_file_id=limited.input_file_id if limited and limited.rows == rows else None,
        not_before=limited.not_before if limited else 0.0,
    )
    problem = context.inputs.held.get(str(key))
    if problem is not None:
        return [Wait(run=context.run, key=key, reason=problem, is_problem=True)]
    return _submit(context, progress, submission, new=True)


def _submit(
    context: ShardContext, progress: ShardProgress, submission: Submission, *, new: bool
) -> Steps:
    """Decide about an attempt without a batch: submit it, adopt its batch, abandon it or wait."""
    key = submission.key
    # A new attempt may use a file that an earlier batch was made from.
    found = context.index.batch(
        key, None if new else submission.input_file_id, _other_batch_ids(context, key)
    )
    if found is not None:
        return [_adopt(context, progress, key, submission, found)]
    taken = not new and _is_taken(progress, submission)
    if not context.may_submit or context.job is None or taken:
        return [
            AbandonSubmission(
                run=context.run,
                reason="another machine has submitted its requests in the meantime"
                if taken
                else "it is no longer wanted",
                submission=submission,
            )
        ]
    if context.inputs.now < submission.not_before <= context.inputs.now + LONGEST_BACKOFF:
        return [_limit_wait(context, progress, submission)]
    if context.observed.failure is not None:
        return [Wait(run=context.run, key=key, reason=context.observed.failure, is_problem=True)]
    listing = context.observed.listing
    if listing is None:
        # Another ledger may have submitted for the same specs since the last listing.
        return [ListFirst(run=context.run)]
    if listing.offered and not listing.complete:
        return [
            Wait(
                run=context.run,
                key=key,
                reason=_unknown(listing),
                is_problem=True,
            )
        ]
    if not new and context.sizes.exceeds_limits(submission):
        reason = "the limits in runner.yaml are smaller now, so it is submitted in smaller files"
        return [AbandonSubmission(run=context.run, reason=reason, submission=submission)]
    return [
        Submit(
            run=context.run,
            reason="its requests have not been submitted yet"
            if not _was_tried(context.run, submission)
            else "its requests failed, and submitting them again can help",
            job=context.job,
            shard=progress.shard,
            submission=submission,
            new=new,
        )
    ]


def _was_tried(run: Run, submission: Submission) -> bool:
    """Whether some of the requests were in an earlier attempt; after a canary most were in none."""
    key = submission.key
    return any(
        earlier.key.attempt < key.attempt and bool(earlier.rows.intersection(submission.rows))
        for earlier in run.shard_submissions(key.shard)
    )


def _is_taken(progress: ShardProgress, submission: Submission) -> bool:
    """Whether another attempt has rows of this one, in flight or answered.

    A machine with a ledger of its own numbers the parts of a shard in its own way.
    """
    others = (each.rows for each in progress.open if each.state is SubmissionState.SUBMITTED)
    return any(submission.rows.intersection(rows) for rows in (progress.succeeded, *others))


def _unknown(listing: Listing) -> str:
    """Return why a list of batches cannot show that something was not submitted before."""
    if not listing.unreadable:
        return (
            "the provider's list of batches could not be read completely, so it is unknown whether "
            "this was submitted before; `runner orphans` says what is wrong with the list"
        )
    return (
        "the provider's list of batches has what cannot be read and may be this very submission "
        f"({'; '.join(listing.unreadable)}): ask the provider to correct or remove it; until then "
        "nothing is submitted, so that nothing is paid for twice"
    )


def _limit_wait(context: ShardContext, progress: ShardProgress, submission: Submission) -> Wait:
    """Return the wait after a token limit, a queue limit or a lack of credit."""
    last = limited_attempt(context, progress, submission.rows)
    no_credit = refused_for_money(last)
    return Wait(
        run=context.run,
        key=submission.key,
        reason=f"{last.problem}; add credit or raise the limit, and it is submitted again"
        if last is not None and no_credit
        else "the provider's limit was reached",
        until=submission.not_before,
        is_problem=no_credit,
        of_provider=no_credit,
    )


def _other_batch_ids(context: ShardContext, key: SubmissionKey) -> frozenset[str]:
    """Return the ids of the batches of the run's other attempts."""
    return frozenset(
        submission.batch_id
        for submission in context.run.submissions
        if submission.batch_id is not None and submission.key != key
    )


def _adopt(
    context: ShardContext,
    progress: ShardProgress,
    key: SubmissionKey,
    submission: Submission | None,
    batch: Batch,
) -> AdoptBatch:
    return AdoptBatch(
        run=context.run,
        reason="the provider has it already, under this key",
        key=key,
        shard=progress.shard,
        submission=submission,
        batch=batch,
    )


def _resolve_upload(context: ShardContext, submission: Submission) -> Steps:
    """Decide about an upload whose reply was lost: adopt the file, or clear the intent."""
    if not context.may_submit:
        # A file that no batch uses costs nothing, and it expires.
        return [
            AbandonSubmission(
                run=context.run, reason="it is no longer wanted", submission=submission
            )
        ]
    file = context.index.file(submission.key, submission.bytes)
    if file is not None:
        reason = "the upload had arrived"
        return [
            AdoptFile(
                run=context.run,
                reason=reason,
                key=submission.key,
                file=file,
                sha256=submission.sha256,
            )
        ]
    if context.is_unset(submission.doubt_at):
        reason = "a pass ended between the upload and its response"
        return [MarkUncertain(run=context.run, reason=reason, key=submission.key)]
    listing = context.observed.listing
    if listing is not None and not listing.files_offered:
        reason = "the provider does not list files; a second copy costs nothing"
        return [ClearIntent(run=context.run, reason=reason, key=submission.key)]
    complete = listing is not None and listing.files is not None and listing.files_complete
    return [_resolve_uncertain(context, submission, complete=complete, call="upload")]


def _resolve_create(
    context: ShardContext, progress: ShardProgress, submission: Submission
) -> Steps:
    """Decide about a creation whose reply was lost: adopt the batch, or clear the intent.

    A wrong decision here creates a second batch, and costs money.
    """
    other_ids = _other_batch_ids(context, submission.key)
    found = context.index.batch(submission.key, submission.input_file_id, other_ids)
    if found is not None:
        return [_adopt(context, progress, submission.key, submission, found)]
    if context.is_unset(submission.doubt_at):
        reason = "a pass ended between the creation of the batch and its response"
        return [MarkUncertain(run=context.run, reason=reason, key=submission.key)]
    listing = context.observed.listing
    if listing is not None and not listing.offered:
        if context.run.cancel_requested:
            reason = "whether it was created cannot be found out; abandoned on request"
            return [AbandonSubmission(run=context.run, reason=reason, submission=submission)]
        return [
            Wait(
                run=context.run,
                key=submission.key,
                reason="whether the batch was created is unknown, and the provider cannot list "
                "batches: it is not created again, since that could be paid twice; to abandon it "
                f"run `runner cancel {context.run.job}`, then `runner retry "
                f"{context.run.job}` to submit again",
                is_problem=True,
            )
        ]
    complete = listing is not None and listing.complete
    return [_resolve_uncertain(context, submission, complete=complete, call="creation")]


def _resolve_uncertain(
    context: ShardContext, submission: Submission, *, complete: bool, call: str
) -> ClearIntent | Wait:
    """Clear an intent if a complete list, read after the grace time, does not show its object."""
    listing = context.observed.listing
    until = (submission.doubt_at or 0.0) + context.grace
    if complete and listing is not None and listing.started_at >= until:
        return ClearIntent(
            run=context.run,
            reason=f"a complete listing shows that the {call} did not happen",
            key=submission.key,
        )
    failed = context.observed.failure
    return Wait(
        run=context.run,
        key=submission.key,
        reason=failed
        or f"the response to its {call} was lost, and the provider's list may lag behind",
        until=until,
        is_problem=failed is not None,
    )
