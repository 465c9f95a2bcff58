"""Adopt a batch or a file that is at the provider already, under the submission key of a run.

After a crash, a lost reply or a lost ledger this replaces a second submission. Batches that carry
no key are adopted by the command `runner adopt`: see `adopt_external`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.errors import NotFound, NotOffered, Rejected, Unauthorized
from runner.files import make_folder, part_of
from runner.ledger import submission_transitions
from runner.ledger.records import Submission, SubmissionState, Tag
from runner.reconcile.context import Notice, RequestCounts
from runner.reconcile.custom_ids import rows_of_batch
from runner.text import plural

if TYPE_CHECKING:
    from runner.planning.actions import AdoptBatch, AdoptFile
    from runner.reconcile.context import Context


def adopt_batch(context: Context, action: AdoptBatch) -> None:
    """Record a batch found at the provider as the batch of a submission.

    Another ledger may have submitted other rows of the shard under this key: then the rows of the
    batch's own input file are recorded. Raises ApiError or LocalFileError if that file cannot be
    read.
    """
    intended = action.submission
    submission = (
        intended
        if intended is not None and _has_same_rows(intended, action)
        else _submission_of(context, action)
    )
    recorded = intended is not None and _is_recorded(context, action, intended)
    if not recorded:
        submission_transitions.prepare(context.ledger, action.run, submission)
    submission_transitions.submitted(
        context.ledger,
        submission.key,
        action.run.provider,
        action.batch,
        adopted=True,
        actual=submission if recorded and submission is not intended else None,
    )
    context.scratch(submission.key).unlink(missing_ok=True)
    context.report_notice(
        Notice(
            job=action.run.job,
            message=f"found {action.batch.id} at the provider "
            f"({plural(submission.requests, 'request')}, {action.batch.status}) "
            f"and adopted it; nothing was submitted",
            event="batch_adopted",
            submission=submission.key,
            batch=action.batch,
            counts=RequestCounts(total=submission.requests),
        )
    )


def _has_same_rows(submission: Submission, action: AdoptBatch) -> bool:
    """Whether a batch is known to have the rows of a submission."""
    tag = Tag.of(action.batch)
    if tag is not None and tag.sha256 is not None:
        return tag.sha256 == submission.sha256
    made_from = action.batch.input_file_id
    return made_from is not None and made_from == submission.input_file_id


def adopt_file(context: Context, action: AdoptFile) -> None:
    """Record a file found at the provider as the uploaded one, if it has the same content.

    The input may have changed during the upload, so name and size are not enough. Where a provider
    does not allow the download of inputs, the file is uploaded again: a second one costs nothing.
    """
    make_folder(context.uploads, within=context.uploads.parent)
    path = part_of(context.scratch(action.key))
    try:
        download = context.api(action.run.provider).download(
            action.file.id, path, expected_bytes=action.file.bytes
        )
        problem = (
            None
            if download.sha256 == action.sha256
            else "the file at the provider has another content"
        )
    except (NotFound, NotOffered, Rejected, Unauthorized):
        problem = "the content of the file at the provider cannot be read, so it is uploaded again"
    finally:
        path.unlink(missing_ok=True)
    if problem is not None:
        submission_transitions.clear_intent(context.ledger, action.key, problem)
        return
    submission_transitions.uploaded(context.ledger, action.key, action.file, adopted=True)
    context.scratch(action.key).unlink(missing_ok=True)


def _is_recorded(context: Context, action: AdoptBatch, submission: Submission) -> bool:
    run = context.ledger.run(action.run.id)
    return any(recorded.key == submission.key for recorded in run.submissions)


def _submission_of(context: Context, action: AdoptBatch) -> Submission:
    """Return the submission of a batch that the ledger lacks, from its tag or its input file."""
    shard, tag = action.shard, Tag.of(action.batch)
    rows, size, sha256 = shard.rows, shard.bytes, shard.sha256
    whole = tag is not None and tag.requests == shard.requests and tag.sha256 == shard.sha256
    if not whole:
        rows, size = rows_of_batch(context, action.run, shard, action.batch)
        sha256 = (tag.sha256 if tag is not None else None) or sha256
    return Submission(
        key=action.key,
        round=action.run.round,
        state=SubmissionState.PREPARED,
        rows=rows,
        requests=len(rows),
        bytes=size,
        sha256=sha256,
    )
