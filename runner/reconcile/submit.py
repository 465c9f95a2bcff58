"""Submit: prepare the file of a submission, upload it, create the batch.

Each POST is recorded as an intent in the ledger, made once, and recorded as done. If its outcome is
unknown, the submission keeps its state and is marked as uncertain; a later pass lists the provider
before it makes the call again.

A revision is identified by its rows, not by its file: the same rows may come back with other line
ends, blank lines or a byte order mark, at other offsets. So the recorded offset of a shard is only
a hint, and the content decides.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from runner.errors import (
    ApiError,
    FileNotVisible,
    InputChanged,
    LocalFileError,
    MayHaveActed,
    NotFound,
    Rejected,
    TooLarge,
)
from runner.files import create, explained, make_folder, part_of, refusal, rename, sha256_of
from runner.inputs.reading import Fingerprint, open_unchanged
from runner.inputs.row_set import RowSet
from runner.ledger import submission_transitions
from runner.ledger.records import SubmissionState
from runner.planning.shards import rows_that_fit
from runner.reconcile.context import Notice, RequestCounts, with_shard
from runner.reconcile.custom_ids import custom_ids
from runner.spec.job import MAX_METADATA_PAIRS, METADATA_KEY
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from io import FileIO
    from pathlib import Path

    from runner.api.protocol import BatchApi
    from runner.batch import Batch, File
    from runner.inputs.extract import ExtractedFile
    from runner.ledger.records import Run, ShardRecord, Submission
    from runner.planning.actions import Submit
    from runner.reconcile.concurrency import Call, Steps
    from runner.reconcile.context import Context, PassState
    from runner.spec.job import Job


_VISIBLE_AFTER: Final = 600.0
"""Seconds after its upload after which a 404 proves that a file is deleted."""


def submit(context: Context, state: PassState, action: Submit) -> Steps:
    """Prepare a submission, upload its file and create its batch, from its present state on.

    The steps raise ApiError, InputChanged or LocalFileError; the ledger has the last state reached.
    """
    submission = action.submission
    if action.new:
        submission = _prepare(context, action)
    if submission.state is SubmissionState.PREPARED:
        file_id = yield from _reuse_file(context, action, submission)
        if file_id is None:
            file_id = yield from _upload(context, state, action, submission)
    else:
        file_id = submission.input_file_id
    if file_id is not None:
        yield from _create(context, state, action, submission, file_id)


def _metadata(job: Job, shard: ShardRecord, submission: Submission) -> dict[str, str]:
    """Return the metadata of a batch: the user's pairs and, if there is room, the tag of runner."""
    pairs = dict(job.metadata)
    if len(pairs) < MAX_METADATA_PAIRS:
        pairs[METADATA_KEY] = str(submission.tag(shard))
    return pairs


def _prepare(context: Context, action: Submit) -> Submission:
    """Record a new attempt; a part of a shard is extracted first, to know its digest."""
    submission = action.submission
    if not submission.sha256:
        submission = _extract_remaining(context, action)
    limit = action.job.provider.limits.max_bytes
    while submission.bytes > limit and submission.requests > 1:
        # How many rows fit was estimated.
        fewer = min(submission.requests - 1, submission.requests * limit // submission.bytes)
        rows = submission.rows.head(max(1, fewer))
        smaller = dataclasses.replace(submission, rows=rows, requests=len(rows))
        submission = _extract_remaining(context, dataclasses.replace(action, submission=smaller))
    submission_transitions.prepare(context.ledger, action.run, submission)
    return submission


def _reuse_file(
    context: Context, action: Submit, submission: Submission
) -> Generator[Call, Any, str | None]:
    """Return the id of an earlier attempt's file, if the provider still has it; else None."""
    if submission.input_file_id is None:
        return None
    try:
        file: File = yield partial(
            context.api(action.run.provider).retrieve_file, submission.input_file_id
        )
    except NotFound:
        return None
    submission_transitions.uploaded(context.ledger, submission.key, file, adopted=True)
    return file.id


def _upload(
    context: Context, state: PassState, action: Submit, submission: Submission
) -> Generator[Call, Any, str | None]:
    """Upload the file of a submission; returns None if it is too large and has to be split.

    A file of which the provider says another size than was sent may have been cut on its way, so
    it is uploaded a second time. That one is used whatever its size is: some gateways rewrite the
    lines, or count otherwise.
    """
    key, provider = submission.key, action.run.provider
    file: File | None = yield from _send(context, state, action, submission)
    if file is not None and _differs(file, submission) and provider not in state.recounting:
        submission_transitions.clear_intent(
            context.ledger, key, "the provider says another size of the uploaded file"
        )
        file = yield from _send(context, state, action, submission)
        if file is not None and _differs(file, submission):
            state.recounting.add(provider)
            context.report_notice(
                Notice(
                    job=key.job,
                    message=f"{submission.bytes:,} bytes were uploaded, twice, and the provider "
                    f"says that the file has {file.bytes:,}; it is used as it is, since a gateway "
                    f"may rewrite the lines",
                    event="remark",
                    submission=key,
                )
            )
    if file is None:
        return None
    submission_transitions.uploaded(context.ledger, key, file)
    context.scratch(key).unlink(missing_ok=True)
    return file.id


def _differs(file: File, submission: Submission) -> bool:
    """Whether a provider says another size of a file than was sent; 0 is what some do not know."""
    return file.bytes not in (None, 0, submission.bytes)


def _send(
    context: Context, state: PassState, action: Submit, submission: Submission
) -> Generator[Call, Any, File | None]:
    """Upload a file once, from its intent on; returns None if it has to be split."""
    api = context.api(action.run.provider)
    key = submission.key

    since = context.ledger.listed_through(action.job.provider)
    intended = False
    try:
        with (
            _content(context, state, action, submission) as source,
            context.report_progress(
                key.job, with_shard("uploading", action.run, key), submission.bytes
            ) as report_bytes,
        ):
            submission_transitions.intend_upload(context.ledger, key, since=since)
            intended = True
            file: File = yield partial(
                api.upload,
                source,
                filename=key.filename,
                size=submission.bytes,
                progress=report_bytes,
            )
    except MayHaveActed as error:
        submission_transitions.mark_uncertain(context.ledger, key, str(error))
        raise
    except TooLarge as error:
        if submission.requests == 1:
            _close_refused(context, submission, error)
            raise
        _submit_fewer(context, state, action, submission, error)
        return None
    except Rejected as error:
        _close_refused(context, submission, error)
        raise
    except (ApiError, LocalFileError, InputChanged) as error:
        # An input that changed during the upload may be stored half old, half new: it is sent
        # again, or becomes another revision.
        if intended:
            submission_transitions.clear_intent(context.ledger, key, str(error))
        raise
    return file


def _create(
    context: Context, state: PassState, action: Submit, submission: Submission, file_id: str
) -> Steps:
    api = context.api(action.run.provider)
    key = submission.key
    submission_transitions.intend_create(
        context.ledger,
        key,
        since=context.ledger.listed_through(action.job.provider),
        completion_window=action.job.completion_window,
    )
    try:
        batch: Batch = yield partial(
            api.create_batch,
            input_file_id=file_id,
            endpoint=action.run.endpoint,
            completion_window=action.job.completion_window,
            metadata=_metadata(action.job, action.shard, submission),
        )
    except MayHaveActed as error:
        submission_transitions.mark_uncertain(context.ledger, key, str(error))
        raise
    except FileNotVisible as error:
        file_gone = (yield partial(_is_file_gone, api, file_id)) and not _is_new_upload(
            context, action
        )
        submission_transitions.clear_intent(context.ledger, key, str(error), file_gone=file_gone)
        raise
    except Rejected as error:
        _close_refused(context, submission, error)
        raise
    except ApiError as error:
        submission_transitions.clear_intent(context.ledger, key, str(error))
        raise
    submission_transitions.submitted(context.ledger, key, action.run.provider, batch)
    state.accepting.add(action.run.provider)
    context.scratch(key).unlink(missing_ok=True)
    context.report_notice(
        Notice(
            job=key.job,
            message=f"submitted {plural(submission.requests, 'request')} as {batch.id}",
            event="submitted",
            submission=key,
            batch=batch,
            counts=RequestCounts(total=submission.requests),
        )
    )


def _is_file_gone(api: BatchApi, file_id: str) -> bool:
    """Whether the provider does not have a file from which a batch could not be created."""
    try:
        api.retrieve_file(file_id)
    except NotFound:
        return True
    except ApiError:
        # Unknown for now; the next pass tries to use it again.
        return False
    return False


def _is_new_upload(context: Context, action: Submit) -> bool:
    """Whether a file was uploaded so recently that GET may not find it yet (fact sheet, failure 9).

    Another upload would be even more recent and would not help.
    """
    max_delay = action.job.provider.patience(_VISIBLE_AFTER)
    uploaded = context.ledger.uploaded_at(action.submission.key)
    return uploaded is not None and uploaded <= context.clock() < uploaded + max_delay


def _submit_fewer(
    context: Context, state: PassState, action: Submit, submission: Submission, error: TooLarge
) -> None:
    """Reduce an attempt that was refused for its size to half of its requests.

    Later attempts submit the others.
    """
    ceiling = submission.bytes // 2
    rows = submission.rows.head(
        min(rows_that_fit(action.shard, ceiling), max(1, submission.requests // 2))
    )
    smaller = dataclasses.replace(submission, rows=rows, requests=len(rows))
    smaller = _extract_remaining(context, dataclasses.replace(action, submission=smaller))
    submission_transitions.too_large(
        context.ledger, action.run, smaller, ceiling=ceiling, problem=str(error)
    )
    state.max_file_bytes[action.run.id] = ceiling
    context.report_notice(
        Notice(
            job=submission.key.job,
            message=f"the provider accepts no file of {submission.bytes:,} bytes; its "
            f"{plural(submission.requests, 'request')} are submitted in smaller ones "
            f"(max_bytes_per_batch in runner.yaml avoids the failed upload)",
            event="too_large",
            submission=submission.key,
            error=error,
        )
    )


def _close_refused(context: Context, submission: Submission, error: Rejected) -> None:
    """Close an attempt whose upload or creation the provider rejects; the user has to fix it."""
    submission_transitions.close(
        context.ledger,
        submission.key,
        state=SubmissionState.FAILED,
        transient=RowSet.parse(""),
        permanent=submission.rows,
        problem=str(error),
    )


def _extract_remaining(context: Context, action: Submit) -> Submission:
    """Write the rows of a submission to a file; returns the submission with its digest.

    Their custom_ids are compared with the recorded ones. Raises InputChanged, InvalidInput or
    LocalFileError.
    """
    submission = action.submission
    path = context.scratch(submission.key)
    extracted = extract_rows(context, action.job, action.run, action.shard, submission.rows, path)
    return dataclasses.replace(
        submission, requests=extracted.requests, bytes=extracted.bytes, sha256=extracted.sha256
    )


def extract_rows(
    context: Context, job: Job, run: Run, shard: ShardRecord, rows: RowSet, path: Path
) -> ExtractedFile:
    """Write some rows of a shard to a file, and check their custom_ids.

    Raises InputChanged, InvalidInput or LocalFileError.
    """

    def is_expected(_extracted: ExtractedFile) -> bool:
        from runner.outputs.result_files import read_results

        expected = (name for row, name in custom_ids(context, run, shard, None)() if row in rows)
        return [line.custom_id for line in read_results(path)] == list(expected)

    return _extract(job, shard, rows, path, is_expected)


@contextlib.contextmanager
def _content(
    context: Context, state: PassState, action: Submit, submission: Submission
) -> Iterator[FileIO]:
    """Open the file to upload, which has the recorded digest.

    If the shard is the whole input, the input itself is opened; other rows are written to a file of
    their own. Raises InputChanged if the content does not have the recorded digest, or if it
    changes while the block runs; InvalidInput or LocalFileError.
    """
    whole = action.shard.whole and len(submission.rows) == action.shard.requests
    if whole and _has_digest(state, action.job.input, submission.sha256):
        path = action.job.input
    else:
        path = context.scratch(submission.key)
        if not path.exists() or _sha256(path) != submission.sha256:
            _extract(
                action.job,
                action.shard,
                submission.rows,
                path,
                lambda extracted: extracted.sha256 == submission.sha256,
            )
    with open_unchanged(path, shown=action.job.input_shown) as (file, _fingerprint):
        yield file


def _has_digest(state: PassState, path: Path, sha256: str) -> bool:
    """Whether a file has this digest; a file is not hashed again if this pass has read it."""
    scanned = state.scanned.get(path)
    if scanned is not None and scanned == (Fingerprint.of(path), sha256):
        return True
    return _sha256(path) == sha256


def _sha256(path: Path) -> str:
    with explained(path, doing="read"):
        return sha256_of(path)


def _extract(
    job: Job,
    shard: ShardRecord,
    rows: RowSet,
    path: Path,
    is_expected: Callable[[ExtractedFile], bool],
) -> ExtractedFile:
    """Write some rows of a shard to a file, read from the recorded offset or from the beginning."""
    from runner.inputs.extract import write_rows

    whole_input = dataclasses.replace(shard, offset=0, rows=RowSet.span(0, shard.rows.last + 1))
    make_folder(path.parent, within=path.parent.parent)
    part = part_of(path)
    try:
        for location in (shard, whole_input):
            part.unlink(missing_ok=True)
            with create(part) as destination:
                try:
                    extracted = write_rows(
                        job.input,
                        shard=location,
                        rows=rows,
                        destination=destination,
                        shown=job.input_shown,
                    )
                except InputChanged:
                    if location is whole_input:
                        raise
                    continue
                destination.flush()
                os.fsync(destination.fileno())
            rename(part, path)
            if is_expected(extracted):
                return extracted
    except OSError as error:
        raise refusal(path, error, doing="written") from error
    finally:
        part.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    raise InputChanged(
        f"{job.input_shown} no longer holds the requests that were validated and hashed; "
        f"nothing was sent. Restore it, or let the next pass submit it as a new revision"
    )
