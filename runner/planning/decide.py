"""What to do about one shard: the decision table of the exactly-once protocol.

Each function handles one state of the open attempt and returns steps: actions, or waits that
say why there is none. A shard for which nothing is returned has come to its end. Pure, like
the plan that calls it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, assert_never

from runner.ledger.records import Key, Submission, SubmissionState
from runner.planning.actions import (
    AbandonSubmission,
    AdoptBatch,
    AdoptFile,
    BatchFailure,
    ClearIntent,
    MarkUncertain,
    Submit,
    Wait,
)
from runner.planning.in_flight import LONGEST_BACKOFF, batch_failure, follow

if TYPE_CHECKING:
    from runner.batch import Batch
    from runner.planning.actions import Action
    from runner.planning.shard_context import ShardContext
    from runner.planning.shard_progress import ShardProgress

    Steps = list[Action | Wait]


def decide_shard(desk: ShardContext, standing: ShardProgress) -> Steps:
    """Decide what is to be done about one shard, or waited for; nothing if it has ended."""
    adopted = _adopt_unknown(desk, standing)
    if adopted:
        return adopted
    submission = standing.open
    if submission is None:
        return _next_attempt(desk, standing)
    trouble = desk.facts.trouble.get(str(submission.key))
    if trouble is not None:
        return [Wait(run=desk.run, key=submission.key, why=trouble, trouble=True)]
    match submission.state:
        case SubmissionState.PREPARED | SubmissionState.UPLOADED:
            return _submit(desk, standing, submission, new=False)
        case SubmissionState.UPLOADING:
            return _resolve_upload(desk, submission)
        case SubmissionState.CREATING:
            return _resolve_create(desk, standing, submission)
        case SubmissionState.SUBMITTED:
            return follow(desk, standing, submission)
        case (
            SubmissionState.COLLECTED
            | SubmissionState.FAILED
            | SubmissionState.LOST
            | SubmissionState.ABANDONED
        ):
            raise AssertionError(f"{submission.key} is closed and open at once")
        case _:
            assert_never(submission.state)


def _adopt_unknown(desk: ShardContext, standing: ShardProgress) -> Steps:
    """Take over attempts that the provider knows of and this ledger does not.

    One that could not be taken over keeps the shard waiting: it may hold the very answers that
    another attempt would ask for.
    """
    shard = standing.shard.number
    mine = {submission.key.attempt for submission in desk.run.shard_submissions(shard)}
    owned = {submission.batch_id for submission in desk.run.submissions}
    living = desk.facts.living
    found: dict[int, tuple[Key, Batch]] = {}
    steps: Steps = []
    for key, batch in desk.traces.of_shard(desk.run.short, shard):
        anothers = key in desk.taken or (
            key.job != desk.run.job and (living is None or key.job in living)
        )
        if key.attempt in mine or anothers or batch.id in owned:
            continue
        trouble = desk.facts.trouble.get(str(key))
        if trouble is not None:
            steps.append(Wait(run=desk.run, key=key, why=trouble, trouble=True))
        else:
            found.setdefault(key.attempt, (key, batch))
    steps += [_adoption(desk, standing, key, None, batch) for key, batch in found.values()]
    return steps


def _next_attempt(desk: ShardContext, standing: ShardProgress) -> Steps:
    """Ask what is still to be asked, in a new attempt."""
    if not standing.pending or not desk.may_submit:
        return []
    rows = desk.portions.of(standing)
    if not rows:
        portion = desk.portions.by_shard[standing.shard.number]
        return [Wait(run=desk.run, key=None, why=portion.why)]
    turned_away = _turned_away(desk, standing)
    whole = len(rows) == standing.shard.requests
    key = Key(
        job=desk.run.job,
        revision=desk.run.short,
        shard=standing.shard.number,
        attempt=standing.last_attempt + 1,
    )
    while key in desk.taken:
        key = dataclasses.replace(key, attempt=key.attempt + 1)
    submission = Submission(
        key=key,
        round=desk.run.round,
        state=SubmissionState.PREPARED,
        rows=rows,
        requests=len(rows),
        bytes=standing.shard.bytes if whole else 0,
        sha256=standing.shard.sha256 if whole else "",
        # A file that met a limit is used again: nothing was wrong with it.
        input_file_id=turned_away.input_file_id
        if turned_away and turned_away.rows == rows
        else None,
        not_before=turned_away.not_before if turned_away else 0.0,
    )
    trouble = desk.facts.trouble.get(str(key))
    if trouble is not None:
        return [Wait(run=desk.run, key=key, why=trouble, trouble=True)]
    return _submit(desk, standing, submission, new=True)


def _turned_away(desk: ShardContext, standing: ShardProgress) -> Submission | None:
    """Return the last attempt if it was refused for nothing that its requests could help."""
    before = desk.run.shard_submissions(standing.shard.number)
    last = next((attempt for attempt in reversed(before) if attempt.state.closed), None)
    refused = last is not None and last.state is SubmissionState.FAILED and not last.counted
    return last if refused else None


def _submit(
    desk: ShardContext, standing: ShardProgress, submission: Submission, *, new: bool
) -> Steps:
    """Submit, unless the provider has it already, a limit holds, or nobody could look first."""
    key = submission.key
    # A new attempt may go out with a file that an earlier batch was made from.
    found = desk.traces.batch(key, None if new else submission.input_file_id, _others(desk, key))
    if found is not None:
        return [_adoption(desk, standing, key, submission, found)]
    if not desk.may_submit or desk.job is None:
        return [
            AbandonSubmission(run=desk.run, why="it is not wanted any more", submission=submission)
        ]
    if desk.facts.now < submission.not_before <= desk.facts.now + LONGEST_BACKOFF:
        return [_patience(desk, standing, submission)]
    if desk.seen.failure is not None:
        return [Wait(run=desk.run, key=key, why=desk.seen.failure, trouble=True)]
    look = desk.seen.look
    if look is None:
        # Another ledger may have been at work on the same specs since the last look.
        return [Wait(run=desk.run, key=key, why="the provider is looked at first", look=True)]
    if look.offered and not look.complete:
        return [
            Wait(
                run=desk.run,
                key=key,
                why="the provider's list of batches could not be read to its end, so nobody "
                "knows whether this was submitted before",
                trouble=True,
            )
        ]
    return [
        Submit(
            run=desk.run,
            why="its requests have not been asked"
            if key.attempt == 1
            else "its requests ended without an answer, and trying again can help",
            job=desk.job,
            shard=standing.shard,
            submission=submission,
            new=new,
        )
    ]


def _patience(desk: ShardContext, standing: ShardProgress, submission: Submission) -> Wait:
    """Wait for a limit to pass, or for somebody to pay."""
    last = _turned_away(desk, standing)
    money = last is not None and last.batch is not None and batch_failure(last.batch)
    return Wait(
        run=desk.run,
        key=submission.key,
        why=f"{last.problem}; add credit or raise the limit, and it is submitted again"
        if last is not None and money is BatchFailure.MONEY
        else "the provider's limit was reached",
        until=submission.not_before,
        trouble=money is BatchFailure.MONEY,
    )


def _others(desk: ShardContext, key: Key) -> frozenset[str]:
    """Return the batches that other attempts of the run have become."""
    return frozenset(
        submission.batch_id
        for submission in desk.run.submissions
        if submission.batch_id is not None and submission.key != key
    )


def _adoption(
    desk: ShardContext,
    standing: ShardProgress,
    key: Key,
    submission: Submission | None,
    batch: Batch,
) -> AdoptBatch:
    return AdoptBatch(
        run=desk.run,
        why="the provider has it already, under this key",
        key=key,
        shard=standing.shard,
        submission=submission,
        batch=batch,
    )


def _resolve_upload(desk: ShardContext, submission: Submission) -> Steps:
    """Find out what became of an upload whose answer was lost."""
    if not desk.may_submit:
        # A file that no batch uses costs nothing and expires by itself.
        return [
            AbandonSubmission(run=desk.run, why="it is not wanted any more", submission=submission)
        ]
    file = desk.traces.file(submission.key, submission.bytes)
    if file is not None:
        why = "the upload had arrived"
        return [
            AdoptFile(
                run=desk.run, why=why, key=submission.key, file=file, sha256=submission.sha256
            )
        ]
    if desk.unset(submission.doubt_at):
        why = "a pass ended between the upload and its answer"
        return [MarkUncertain(run=desk.run, why=why, key=submission.key)]
    look = desk.seen.look
    if look is not None and not look.files_offered:
        why = "the provider does not list files; a second copy costs nothing"
        return [ClearIntent(run=desk.run, why=why, key=submission.key)]
    complete = look is not None and look.files is not None and look.files_complete
    return [_settle_doubt(desk, submission, complete=complete, what="upload")]


def _resolve_create(desk: ShardContext, standing: ShardProgress, submission: Submission) -> Steps:
    """Find out what became of a creation whose answer was lost: this is where money is."""
    others = _others(desk, submission.key)
    found = desk.traces.batch(submission.key, submission.input_file_id, others)
    if found is not None:
        return [_adoption(desk, standing, submission.key, submission, found)]
    if desk.unset(submission.doubt_at):
        why = "a pass ended between the creation of the batch and its answer"
        return [MarkUncertain(run=desk.run, why=why, key=submission.key)]
    look = desk.seen.look
    if look is not None and not look.offered:
        if desk.run.cancel_requested:
            why = "whether it was created cannot be found out; given up on request"
            return [AbandonSubmission(run=desk.run, why=why, submission=submission)]
        return [
            Wait(
                run=desk.run,
                key=submission.key,
                why="whether the batch was created is unknown, and the provider cannot list "
                "batches: it is not created again, since that could be paid twice; to give it up "
                f"run `runner cancel {desk.run.job}`, then `runner retry {desk.run.job}` asks "
                "again",
                trouble=True,
            )
        ]
    complete = look is not None and look.complete
    return [_settle_doubt(desk, submission, complete=complete, what="creation")]


def _settle_doubt(
    desk: ShardContext, submission: Submission, *, complete: bool, what: str
) -> ClearIntent | Wait:
    """Believe that a call had no effect only where a complete look, late enough, shows none."""
    look = desk.seen.look
    until = (submission.doubt_at or 0.0) + desk.grace
    if complete and look is not None and look.started_at >= until:
        return ClearIntent(
            run=desk.run,
            why=f"a complete listing shows that the {what} did not happen",
            key=submission.key,
        )
    failed = desk.seen.failure
    return Wait(
        run=desk.run,
        key=submission.key,
        why=failed or f"the answer to its {what} was lost, and the provider's list may lag behind",
        until=until,
        trouble=failed is not None,
    )
