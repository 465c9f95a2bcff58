"""Carrying a submission to the provider, one intent and one call at a time.

Neither POST is ever repeated blindly. Each is announced in the ledger, made once, and recorded;
after an answer that leaves the outcome open the submission stays where it is, in doubt, and a
later pass looks before it acts.
"""

from __future__ import annotations

import dataclasses
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
from runner.inputs.row_set import RowSet
from runner.ledger import submission_transitions
from runner.ledger.records import SubmissionState
from runner.planning.batch_sizing import rows_that_fit
from runner.reconcile.context import Notice, RequestCounts, in_part
from runner.reconcile.upload_content import content, extract_remaining
from runner.spec.job import METADATA_KEY
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Generator

    from runner.api.protocol import BatchApi
    from runner.batch import Batch, File
    from runner.ledger.records import ShardRecord, Submission
    from runner.planning.actions import Submit
    from runner.reconcile.concurrency import Call, Steps
    from runner.reconcile.context import Context
    from runner.spec.job import Job

MAX_METADATA_PAIRS: Final = 16
"""How many pairs the API takes (fact sheet, section 1)."""
_KNOWN_AFTER: Final = 600.0
"""Seconds after its upload from which on a file that GET denies is gone; loopback: the grace."""


def submit(context: Context, action: Submit) -> Steps:
    """Take a submission as far as it will go: prepared, uploaded, submitted.

    The steps raise ApiError, InputChanged or LocalFileError; the ledger then says how far it got.
    """
    submission = action.submission
    if action.new:
        submission = _prepare(context, action)
    if submission.state is SubmissionState.PREPARED:
        file_id = yield from _reused(context, action, submission)
        if file_id is None:
            file_id = yield from _upload(context, action, submission)
    else:
        file_id = submission.input_file_id
    if file_id is not None:
        yield from _create(context, action, submission, file_id)


def metadata(job: Job, shard: ShardRecord, submission: Submission) -> dict[str, str]:
    """Return the pairs that go out with a batch: the user's, and ours where there is room."""
    pairs = dict(job.metadata)
    if len(pairs) < MAX_METADATA_PAIRS:
        pairs[METADATA_KEY] = str(submission.tag(shard))
    return pairs


def _prepare(context: Context, action: Submit) -> Submission:
    """Record a new attempt; what is left of a shard is cut first, to know its digest."""
    submission = action.submission
    if not submission.sha256:
        submission = extract_remaining(context, action)
    submission_transitions.prepare(context.ledger, action.run, submission)
    return submission


def _reused(
    context: Context, action: Submit, submission: Submission
) -> Generator[Call, Any, str | None]:
    """Take the file of an earlier attempt again, if the provider still has it."""
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
    context: Context, action: Submit, submission: Submission
) -> Generator[Call, Any, str | None]:
    """Upload the file of a submission; None if it is too large and has to go out in parts."""
    api = context.api(action.run.provider)
    key = submission.key

    since = context.ledger.listed_through(action.job.provider)
    intended = False
    try:
        with (
            content(context, action, submission) as source,
            context.moving(
                key.job, in_part("uploading", action.run, key), submission.bytes
            ) as told,
        ):
            submission_transitions.intend_upload(context.ledger, key, since=since)
            intended = True
            file: File = yield partial(
                api.upload, source, filename=key.filename, size=submission.bytes, progress=told
            )
    except MayHaveActed as error:
        submission_transitions.mark_uncertain(context.ledger, key, str(error))
        raise
    except TooLarge as error:
        if submission.requests == 1:
            _refused(context, submission, error)
            raise
        _too_large(context, action, submission, error)
        return None
    except Rejected as error:
        _refused(context, submission, error)
        raise
    except (ApiError, LocalFileError, InputChanged) as error:
        # An input that changed meanwhile may have been stored half old, half new: it is sent
        # again, or becomes another revision.
        if intended:
            submission_transitions.clear_intent(context.ledger, key, str(error))
        raise
    if file.bytes is not None and file.bytes != submission.bytes:
        submission_transitions.clear_intent(
            context.ledger, key, "the provider stored another number of bytes"
        )
        raise LocalFileError(
            f"{key}: {submission.bytes} bytes were uploaded, but the provider says it has "
            f"{file.bytes}; it is uploaded again in the next pass"
        )
    submission_transitions.uploaded(context.ledger, key, file)
    context.scratch(key).unlink(missing_ok=True)
    return file.id


def _create(context: Context, action: Submit, submission: Submission, file_id: str) -> Steps:
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
            metadata=metadata(action.job, action.shard, submission),
        )
    except MayHaveActed as error:
        submission_transitions.mark_uncertain(context.ledger, key, str(error))
        raise
    except FileNotVisible as error:
        gone = (yield partial(_gone, api, file_id)) and not _new(context, action)
        submission_transitions.clear_intent(context.ledger, key, str(error), file_gone=gone)
        raise
    except Rejected as error:
        _refused(context, submission, error)
        raise
    except ApiError as error:
        submission_transitions.clear_intent(context.ledger, key, str(error))
        raise
    submission_transitions.submitted(context.ledger, key, action.run.provider, batch)
    context.proven.add(action.run.provider)
    context.scratch(key).unlink(missing_ok=True)
    context.tell(
        Notice(
            job=key.job,
            what=f"submitted {plural(submission.requests, 'request')} as {batch.id}",
            event="submitted",
            submission=key,
            batch=batch,
            tally=RequestCounts(total=submission.requests),
        )
    )


def _gone(api: BatchApi, file_id: str) -> bool:
    """Whether a file that a batch could not be made from is really not there any more."""
    try:
        api.retrieve_file(file_id)
    except NotFound:
        return True
    except ApiError:
        # Whether it is there cannot be told now; the next pass tries to use it once more.
        return False
    return False


def _new(context: Context, action: Submit) -> bool:
    """Whether a file was uploaded so lately that GET may deny it too (fact sheet, failure 9).

    Another upload would only be newer still, and as little known.
    """
    provider = action.job.provider
    patience = provider.grace if provider.loopback else _KNOWN_AFTER
    uploaded = context.ledger.uploaded_at(action.submission.key)
    return uploaded is not None and uploaded <= context.clock() < uploaded + patience


def _too_large(context: Context, action: Submit, submission: Submission, error: TooLarge) -> None:
    """Let an attempt that is refused for its size ask fewer requests; the others follow it."""
    ceiling = submission.bytes // 2
    rows = submission.rows.head(
        min(rows_that_fit(action.shard, ceiling), max(1, submission.requests // 2))
    )
    smaller = dataclasses.replace(submission, rows=rows, requests=len(rows))
    smaller = extract_remaining(context, dataclasses.replace(action, submission=smaller))
    submission_transitions.too_large(
        context.ledger, action.run, smaller, ceiling=ceiling, problem=str(error)
    )
    context.ceilings[action.run.id] = ceiling
    context.tell(
        Notice(
            job=submission.key.job,
            what=f"the provider takes no file of {submission.bytes:,} bytes; its "
            f"{plural(submission.requests, 'request')} go out in smaller ones "
            f"(max_bytes_per_batch in runner.yaml spares the detour)",
            event="too_large",
            submission=submission.key,
            error=error,
        )
    )


def _refused(context: Context, submission: Submission, error: Rejected) -> None:
    """Close an attempt whose request the provider refuses as such: the user's to fix."""
    submission_transitions.close(
        context.ledger,
        submission.key,
        state=SubmissionState.FAILED,
        transient=RowSet.parse(""),
        permanent=submission.rows,
        problem=str(error),
    )
