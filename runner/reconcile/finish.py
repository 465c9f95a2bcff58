"""Finish a run: write its final files and `run.json`, and point `latest` to it.

`run.json` records the requests, the provider, the batches, and the versions that were used.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from runner.batch import sum_usage
from runner.errors import LocalFileError
from runner.inputs.row_set import RowSet
from runner.ledger import run_transitions
from runner.ledger.records import RunState, SubmissionState
from runner.outputs.files import ERRORS, OUTPUT
from runner.outputs.provenance import tool_versions
from runner.reconcile.context import Notice, RequestCounts
from runner.reconcile.custom_ids import custom_ids
from runner.reconcile.download import restore_raw_file
from runner.spec.job import METADATA_KEY
from runner.text import listed, timestamp, truncated_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.ledger.records import FileRecord, Run, ShardRecord, Submission
    from runner.outputs.publish import MissingResult, Published, ShardAnswers
    from runner.outputs.record import RecordedSubmission, RunRecord
    from runner.planning.actions import Finish, PointLatest
    from runner.reconcile.context import Context, PassState
    from runner.spec.job import Job


_ERRORS_SHOWN: Final = 3
"""Kinds of errors that the notice of a finished run names."""


def finish(context: Context, state: PassState, action: Finish) -> None:
    """Publish the final files of a run, then record its final state.

    A missing raw file is downloaded again. Raises LocalFileError or ApiError with the run
    unfinished; it can be repeated safely.
    """
    from runner.outputs.publish import prepare
    from runner.outputs.record import encode

    run = context.ledger.run(action.run.id)
    folder = context.folder(run)
    files = context.ledger.files(run.id)
    _restore_raw_files(context, run, files)
    shards = [
        _shard_answers(context, state, run, shard, files, action.state) for shard in run.shards
    ]
    reason = None if action.state is RunState.SUCCEEDED else action.reason
    if action.again:
        reason = run.reason
    with context.report_progress(run.job, "writing the final files"):
        publication = prepare(folder, shards)
    try:
        published = publication.published
        _require_responses(run, action.state, published)
        record = _build_record(
            context,
            run,
            action.job,
            state=action.state,
            reason=reason,
            superseded=action.superseded,
            files=files,
            published=published,
        )
        is_synced = publication.commit(encode(record))
    except BaseException:
        publication.discard()
        raise
    if not is_synced and not state.unsynced:
        state.unsynced = True
        context.report_notice(
            Notice(
                job=run.job,
                message=f"{folder} cannot be synced on this disk: the results are whole, but a "
                f"power cut in the next seconds may still undo them",
                event="remark",
                revision=run.short,
            )
        )
    if action.again:
        context.report_notice(
            Notice(
                job=run.job,
                message=f"wrote the final files of {run.folder} again",
                event="published_again",
                revision=run.short,
            )
        )
        return
    run_transitions.finish_run(
        context.ledger,
        run,
        state=action.state,
        reason=reason,
        succeeded=published.succeeded,
        failed=published.failed,
        truncated=published.truncated,
        superseded=action.superseded,
    )
    context.report_notice(
        Notice(
            job=run.job,
            message=f"{action.state}: {published.succeeded:,} of {run.requests:,} requests "
            "succeeded"
            + (
                f", {published.failed:,} failed{_reason_suffix(action)}"
                f"{_errors(context, run, action.reason)}"
                if published.failed
                else ""
            )
            + (f", {cut}" if (cut := truncated_answers(published.truncated)) else "")
            + f"; see {run.folder}",
            is_problem=action.state in (RunState.PARTIAL, RunState.FAILED)
            and not action.superseded,
            event="run_finished",
            revision=run.short,
            state=action.state,
            counts=RequestCounts(
                total=run.requests, succeeded=published.succeeded, failed=published.failed
            ),
        )
    )


def _reason_suffix(action: Finish) -> str:
    """Return the reason in parentheses; empty if it only repeats the count."""
    by_itself = action.state is RunState.PARTIAL and not action.superseded
    return "" if by_itself else f" ({action.reason})"


def _errors(context: Context, run: Run, reason: str) -> str:
    """Return the most common errors of the failed requests, with the message of one of each.

    A message that is in `reason` is left out. Providers may repeat the API key in a message, and
    this one goes to logs and mail: nothing is returned if the pass has not opened the provider,
    since only then the key is known.
    """
    from runner.outputs.failures import failure_kinds

    api = context.providers.opened(run.provider)
    if api is None:
        return ""
    errors = []
    for kind in failure_kinds(context.folder(run)) or ():
        message = api.redact(kind.examples[0].message) if kind.examples else ""
        example = f' "{message}"' if message and message not in reason else ""
        errors.append(f"{kind.count:,} x {api.redact(kind.code)}{example}")
    return f": {listed(errors, most=_ERRORS_SHOWN)}" if errors else ""


def _require_responses(run: Run, state: RunState, published: Published) -> None:
    """Raise unless the raw files of a succeeded run still hold all responses."""
    if state is RunState.SUCCEEDED and published.failed:
        raise LocalFileError(
            f"{published.failed:,} responses of {run.job} that had been collected are not in "
            f"{run.folder}/raw any more; put its files back, or remove them all to have them "
            f"downloaded again"
        )


def update_latest(context: Context, action: PointLatest) -> None:
    """Point the link `latest` to the run's revision."""
    from runner.outputs.files import LATEST
    from runner.outputs.publish import point_latest

    folder = context.folder(action.run)
    changed = point_latest(folder.parent, folder.name)
    if changed and not (folder.parent / LATEST).is_symlink():
        context.report_notice(
            Notice(
                job=action.run.job,
                message=f"{folder.parent / LATEST} is a text file that holds the revision, since "
                f"this disk has no symbolic links",
                event="remark",
                revision=action.run.short,
            )
        )


def _restore_raw_files(
    context: Context, run: Run, files: Mapping[str, tuple[FileRecord, ...]]
) -> None:
    folder = context.folder(run)
    for submission in run.submissions:
        for record in files.get(str(submission.key), ()):
            path = folder / record.path
            if not path.exists() or path.stat().st_size != record.bytes:
                restore_raw_file(context, run, submission.key, record)


def _shard_answers(
    context: Context,
    state: PassState,
    run: Run,
    shard: ShardRecord,
    files: Mapping[str, tuple[FileRecord, ...]],
    end: RunState,
) -> ShardAnswers:
    from runner.outputs.publish import AttemptFiles, ShardAnswers

    submissions = run.shard_submissions(shard.number)
    single = submissions[0] if len(submissions) == 1 else None
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
        unanswered=_missing_reason(submissions, end),
        index=state.answers.take(single.key)
        if single is not None and single.rows == shard.rows
        else None,
    )


def _missing_reason(
    submissions: tuple[Submission, ...], state: RunState
) -> Callable[[int], MissingResult]:
    """Return a function that returns why a row has no line: the end of its last attempt."""
    from runner.outputs.publish import MissingResult, missing_result

    def reason(row: int) -> MissingResult:
        for submission in reversed(submissions):
            if row not in submission.rows:
                continue
            match submission.state:
                case SubmissionState.FAILED:
                    return MissingResult(
                        code="runner_batch_failed",
                        message=submission.problem or "the batch failed as a whole",
                    )
                case SubmissionState.LOST:
                    return MissingResult(
                        code="runner_batch_lost",
                        message=f"no results of {submission.batch_id} were received",
                    )
                case SubmissionState.ABANDONED:
                    break
                case SubmissionState.COLLECTED if row in (submission.permanent or RowSet()):
                    # A row whose line is merely missing is transient.
                    return MissingResult(
                        code="runner_unmatched_response",
                        message=submission.problem or "the batch's files contradict its report",
                    )
                case _:
                    return missing_result(row)
        if state is RunState.CANCELLED:
            return MissingResult(
                code="runner_cancelled", message="the job was cancelled before it was submitted"
            )
        return MissingResult(
            code="runner_not_submitted", message="the job ended before this was submitted"
        )

    return reason


def _build_record(
    context: Context,
    run: Run,
    job: Job | None,
    *,
    state: RunState,
    reason: str | None,
    superseded: bool,
    files: Mapping[str, tuple[FileRecord, ...]],
    published: Published,
) -> RunRecord:
    """Build the record of a run that ends now.

    `job` is None if no spec describes the run any more: then window and metadata are those of its
    batches, and the document is the last one that described it.
    """
    from runner.outputs.record import (
        FORMAT_VERSION,
        RecordedCounts,
        RecordedGit,
        RecordedInput,
        RecordedParameters,
        RecordedProvider,
        RecordedShard,
        RecordedSpec,
        RunRecord,
    )

    batches = dict(context.ledger.batches(run.id))
    began = context.ledger.run(run.id)
    return RunRecord(
        format_version=FORMAT_VERSION,
        job=run.job,
        revision=run.revision,
        state=str(state),
        reason=reason,
        superseded=superseded,
        spec=RecordedSpec(
            path=run.spec_path,
            line=run.spec_line,
            sha256=run.spec_sha256,
            document=run.spec_document,
        ),
        request=RecordedParameters(
            endpoint=run.endpoint,
            completion_window=_window(job, batches),
            metadata=dict(job.metadata) if job is not None else _metadata(batches),
            # As it was when the run began, which the revision covers: see `with_present_provider`.
            provider=RecordedProvider(name=began.provider, base_url=began.base_url),
            replicate=run.replicate,
            attempts=job.attempts if job is not None else run.attempts,
        ),
        input=RecordedInput(
            path=run.input_path, requests=run.requests, bytes=run.bytes, sha256=run.digest
        ),
        shards=tuple(
            RecordedShard(
                number=shard.number,
                model=shard.model,
                rows=str(shard.rows),
                requests=shard.requests,
                bytes=shard.bytes,
                sha256=shard.sha256,
                offset=shard.offset,
                ids_offset=shard.ids_offset,
                whole=shard.whole,
                submissions=tuple(
                    _submission(submission, batches, files)
                    for submission in run.shard_submissions(shard.number)
                ),
            )
            for shard in run.shards
        ),
        counts=RecordedCounts(
            total=run.requests,
            succeeded=published.succeeded,
            failed=published.failed,
            codes=published.codes,
        ),
        truncated=published.truncated,
        usage=sum_usage(batches.values()),
        outputs={OUTPUT: published.output, ERRORS: published.errors},
        made_by=tool_versions(),
        git=None if run.git is None else RecordedGit(**json.loads(run.git)),
        started_at=timestamp(run.created_at),
        finished_at=timestamp(run.finished_at or context.clock()),
    )


def _metadata(batches: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """Return the user's own pairs as the last batch carries them."""
    shown = [batch["metadata"] for batch in batches.values() if batch.get("metadata")]
    pairs = shown[-1] if shown else None
    if not isinstance(pairs, dict):
        return {}
    return {str(key): str(value) for key, value in pairs.items() if key != METADATA_KEY}


def _window(job: Job | None, batches: Mapping[str, Mapping[str, object]]) -> str:
    shown = [
        str(batch["completion_window"])
        for batch in batches.values()
        if batch.get("completion_window")
    ]
    if shown:
        return shown[-1]
    return job.completion_window if job is not None else ""


def _submission(
    submission: Submission,
    batches: Mapping[str, Mapping[str, object]],
    files: Mapping[str, tuple[FileRecord, ...]],
) -> RecordedSubmission:
    from runner.outputs.record import RecordedResult, RecordedSubmission

    key = str(submission.key)
    return RecordedSubmission(
        key=key,
        attempt=submission.key.attempt,
        state=str(submission.state),
        counted=submission.counted,
        rows=str(submission.rows),
        transient=str(submission.transient or RowSet()),
        permanent=str(submission.permanent or RowSet()),
        problem=submission.problem,
        requests=submission.requests,
        bytes=submission.bytes,
        sha256=submission.sha256,
        input_file_id=submission.input_file_id,
        submitted_at=(
            None if submission.submitted_at is None else timestamp(submission.submitted_at)
        ),
        batch=batches.get(key),
        results=tuple(
            RecordedResult(
                kind=record.kind,
                file_id=record.file_id,
                path=record.path,
                bytes=record.bytes,
                sha256=record.sha256,
            )
            for record in files.get(key, ())
        ),
    )
