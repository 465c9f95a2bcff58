"""Ending a run: its final files, its record, its place under `latest`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import LocalFileError
from runner.ledger import run_transitions as run_steps
from runner.ledger.records import RunState, SubmissionState
from runner.reconcile.context import Tally, Tidings
from runner.reconcile.custom_ids import custom_ids
from runner.reconcile.download import fetch_again

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.ledger.records import FileRecord, Run, ShardRecord, Submission
    from runner.outputs.publish import Published, ShardAnswers, Unanswered
    from runner.planning.actions import Finish, PointLatest
    from runner.reconcile.context import Workshop


def finish(shop: Workshop, action: Finish) -> None:
    """Publish the final files of a run, then record its final state.

    Raises LocalFileError or ApiError (a raw file that has gone is fetched again) with the run
    unfinished; doing it again is safe.
    """
    from runner.outputs.publish import prepare
    from runner.outputs.record import encode
    from runner.reconcile.account import account

    run = shop.ledger.run(action.run.id)
    folder = shop.folder(run)
    files = shop.ledger.files(run.id)
    _bring_back(shop, run, files)
    shards = [_answers(shop, run, shard, files, action.state) for shard in run.shards]
    reason = None if action.state is RunState.SUCCEEDED else action.why
    if action.again:
        reason = run.reason
    with shop.moving(run.job, "writing the final files"):
        publication = prepare(folder, shards)
    try:
        published = publication.published
        _insist(run, action.state, published)
        record = account(
            shop,
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
        shop.tell(
            Tidings(
                job=run.job,
                what=f"wrote the final files of {run.folder} again",
                event="published_again",
                revision=run.short,
            )
        )
        return
    run_steps.finish_run(
        shop.ledger,
        run,
        state=action.state,
        reason=reason,
        succeeded=published.succeeded,
        failed=published.failed,
        superseded=action.superseded,
    )
    shop.tell(
        Tidings(
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
            tally=Tally(total=run.requests, succeeded=published.succeeded, failed=published.failed),
        )
    )


def _because(action: Finish, run: Run) -> str:
    """Return the reason in brackets, unless it only repeats the count."""
    return "" if f" of {run.requests} requests ended" in action.why else f" ({action.why})"


def _insist(run: Run, state: RunState, published: Published) -> None:
    """Refuse to call a run succeeded whose raw files do not hold all answers any more."""
    if state is RunState.SUCCEEDED and published.failed:
        raise LocalFileError(
            f"{published.failed:,} answers of {run.job} that had been collected are not in "
            f"{run.folder}/raw any more; put its files back, or remove them all to have them "
            f"downloaded again"
        )


def point(shop: Workshop, action: PointLatest) -> None:
    """Let `latest` lead to the run's revision."""
    from runner.outputs.publish import point_latest

    folder = shop.folder(action.run)
    point_latest(folder.parent, folder.name)


def _bring_back(shop: Workshop, run: Run, files: Mapping[str, tuple[FileRecord, ...]]) -> None:
    folder = shop.folder(run)
    for submission in run.submissions:
        for record in files.get(str(submission.key), ()):
            path = folder / record.path
            if not path.exists() or path.stat().st_size != record.bytes:
                fetch_again(shop, run, submission.key, record)


def _answers(
    shop: Workshop,
    run: Run,
    shard: ShardRecord,
    files: Mapping[str, tuple[FileRecord, ...]],
    state: RunState,
) -> ShardAnswers:
    from runner.outputs.publish import Answers, ShardAnswers

    submissions = run.shard_submissions(shard.number)
    only = submissions[0] if len(submissions) == 1 else None
    folder = shop.folder(run)
    return ShardAnswers(
        rows=shard.rows,
        ids=custom_ids(shop, run, shard, None),
        answers=tuple(
            Answers(
                attempt=submission.key.attempt,
                files=tuple(folder / record.path for record in files.get(str(submission.key), ())),
            )
            for submission in submissions
        ),
        unanswered=_reasons(submissions, state),
        places=shop.recall(only.key) if only is not None and only.rows == shard.rows else None,
    )


def _reasons(submissions: tuple[Submission, ...], state: RunState) -> Callable[[int], Unanswered]:
    """Return why a row has no line of its own: what its last attempt ended with."""
    from runner.outputs.publish import Unanswered, never_answered

    def reason(row: int) -> Unanswered:
        for submission in reversed(submissions):
            if row not in submission.rows:
                continue
            match submission.state:
                case SubmissionState.FAILED:
                    return Unanswered(
                        code="runner_batch_failed",
                        message=submission.problem or "the batch failed as a whole",
                    )
                case SubmissionState.LOST:
                    return Unanswered(
                        code="runner_batch_lost",
                        message=f"{submission.batch_id} vanished at the provider",
                    )
                case SubmissionState.ABANDONED:
                    break
                case _:
                    return never_answered(row)
        if state is RunState.CANCELLED:
            return Unanswered(
                code="runner_cancelled", message="the job was cancelled before it was submitted"
            )
        return Unanswered(
            code="runner_not_submitted", message="the job ended before this was submitted"
        )

    return reason
