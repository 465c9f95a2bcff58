"""Ending a run: its final files, its record, its place under `latest`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import LocalFileError
from runner.ledger import run_transitions as run_steps
from runner.ledger.records import RunState, SubmissionState
from runner.reconcile.context import Notice, RequestCounts
from runner.reconcile.custom_ids import custom_ids
from runner.reconcile.download import download_again

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.ledger.records import FileRecord, Run, ShardRecord, Submission
    from runner.outputs.publish import MissingAnswer, Published, ShardAnswers
    from runner.planning.actions import Finish, PointLatest
    from runner.reconcile.context import Context


def finish(context: Context, action: Finish) -> None:
    """Publish the final files of a run, then record its final state.

    Raises LocalFileError or ApiError (a raw file that has gone is fetched again) with the run
    unfinished; doing it again is safe.
    """
    from runner.outputs.publish import prepare
    from runner.outputs.record import encode
    from runner.reconcile.account import account

    run = context.ledger.run(action.run.id)
    folder = context.folder(run)
    files = context.ledger.files(run.id)
    _bring_back(context, run, files)
    shards = [_answers(context, run, shard, files, action.state) for shard in run.shards]
    reason = None if action.state is RunState.SUCCEEDED else action.why
    if action.again:
        reason = run.reason
    with context.moving(run.job, "writing the final files"):
        publication = prepare(folder, shards)
    try:
        published = publication.published
        _require(run, action.state, published)
        record = account(
            context,
            run,
            action.job,
            state=action.state,
            reason=reason,
            superseded=action.superseded,
            files=files,
            published=published,
        )
        publication.commit(encode(record))
    except BaseException:
        publication.discard()
        raise
    if action.again:
        context.tell(
            Notice(
                job=run.job,
                what=f"wrote the final files of {run.folder} again",
                event="published_again",
                revision=run.short,
            )
        )
        return
    run_steps.finish_run(
        context.ledger,
        run,
        state=action.state,
        reason=reason,
        succeeded=published.succeeded,
        failed=published.failed,
        superseded=action.superseded,
    )
    context.tell(
        Notice(
            job=run.job,
            what=f"{action.state}: {published.succeeded:,} of {run.requests:,} requests answered"
            + (
                f", {published.failed:,} without success{_because(action, run)}"
                if published.failed
                else ""
            )
            + f"; see {run.folder}",
            trouble=action.state in (RunState.PARTIAL, RunState.FAILED) and not action.superseded,
            event="run_finished",
            revision=run.short,
            state=action.state,
            tally=RequestCounts(
                total=run.requests, succeeded=published.succeeded, failed=published.failed
            ),
        )
    )


def _because(action: Finish, run: Run) -> str:
    """Return the reason in brackets, unless it only repeats the count."""
    return "" if f" of {run.requests} requests ended" in action.why else f" ({action.why})"


def _require(run: Run, state: RunState, published: Published) -> None:
    """Refuse to call a run succeeded whose raw files do not hold all answers any more."""
    if state is RunState.SUCCEEDED and published.failed:
        raise LocalFileError(
            f"{published.failed:,} answers of {run.job} that had been collected are not in "
            f"{run.folder}/raw any more; put its files back, or remove them all to have them "
            f"downloaded again"
        )


def point(context: Context, action: PointLatest) -> None:
    """Let `latest` lead to the run's revision."""
    from runner.outputs.publish import point_latest

    folder = context.folder(action.run)
    point_latest(folder.parent, folder.name)


def _bring_back(context: Context, run: Run, files: Mapping[str, tuple[FileRecord, ...]]) -> None:
    folder = context.folder(run)
    for submission in run.submissions:
        for record in files.get(str(submission.key), ()):
            path = folder / record.path
            if not path.exists() or path.stat().st_size != record.bytes:
                download_again(context, run, submission.key, record)


def _answers(
    context: Context,
    run: Run,
    shard: ShardRecord,
    files: Mapping[str, tuple[FileRecord, ...]],
    state: RunState,
) -> ShardAnswers:
    from runner.outputs.publish import AttemptFiles, ShardAnswers

    submissions = run.shard_submissions(shard.number)
    only = submissions[0] if len(submissions) == 1 else None
    folder = context.folder(run)
    return ShardAnswers(
        rows=shard.rows,
        ids=custom_ids(context, run, shard, None),
        answers=tuple(
            AttemptFiles(
                attempt=submission.key.attempt,
                files=tuple(folder / record.path for record in files.get(str(submission.key), ())),
            )
            for submission in submissions
        ),
        unanswered=_reasons(submissions, state),
        places=context.recall(only.key) if only is not None and only.rows == shard.rows else None,
    )


def _reasons(
    submissions: tuple[Submission, ...], state: RunState
) -> Callable[[int], MissingAnswer]:
    """Return why a row has no line of its own: what its last attempt ended with."""
    from runner.outputs.publish import MissingAnswer, never_answered

    def reason(row: int) -> MissingAnswer:
        for submission in reversed(submissions):
            if row not in submission.rows:
                continue
            match submission.state:
                case SubmissionState.FAILED:
                    return MissingAnswer(
                        code="runner_batch_failed",
                        message=submission.problem or "the batch failed as a whole",
                    )
                case SubmissionState.LOST:
                    return MissingAnswer(
                        code="runner_batch_lost",
                        message=f"{submission.batch_id} vanished at the provider",
                    )
                case SubmissionState.ABANDONED:
                    break
                case _:
                    return never_answered(row)
        if state is RunState.CANCELLED:
            return MissingAnswer(
                code="runner_cancelled", message="the job was cancelled before it was submitted"
            )
        return MissingAnswer(
            code="runner_not_submitted", message="the job ended before this was submitted"
        )

    return reason
