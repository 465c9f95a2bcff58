"""Bringing a terminal batch home: both files, verified, and each row settled."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from runner.errors import ApiError, NotFound, UnexpectedReply
from runner.inputs.row_set import RowSet
from runner.ledger import submission_transitions
from runner.ledger.records import SubmissionState
from runner.planning.actions import BatchFailure
from runner.planning.in_flight import UNCOUNTED
from runner.reconcile.context import Notice, RequestCounts, count
from runner.reconcile.custom_ids import custom_ids
from runner.reconcile.download import fetch, kept

if TYPE_CHECKING:
    from collections.abc import Generator

    from runner.ledger.records import Run, Submission
    from runner.outputs.answer_index import SubmissionResults
    from runner.planning.actions import CloseRejectedBatch, Collect, MarkLost
    from runner.reconcile.concurrency import Call, Steps
    from runner.reconcile.context import Context
    from runner.reconcile.download import DownloadedFile

_GONE_AFTER: Final = 3600.0
"""Seconds after the end of a batch during which a result file may still turn up."""


def collect(context: Context, action: Collect) -> Steps:
    """Download what a terminal batch has and settle its rows.

    The steps raise ApiError or LocalFileError with nothing settled; doing it again is safe.
    """
    from runner.outputs.answer_index import AnswerIndex

    asked_at = context.clock()
    submission, key = action.submission, action.submission.key
    fetched, gone = yield from _files(context, action, asked_at)
    ids = custom_ids(context, action.run, action.shard, submission)
    places = AnswerIndex(ids(), [one.path for one in fetched])
    if places.results.missing and not all(one.sure for one in fetched):
        # A body of unannounced length can end early and look clean; rows that are missing
        # for that reason would be asked, and paid, a second time.
        records = [one.record for one in fetched]
        fetched = []
        for record in records:
            fetched.append(
                (yield partial(fetch, context, action.run, key, record.kind, record.file_id))
            )
        places = AnswerIndex(ids(), [one.path for one in fetched])
    settled = places.results
    if settled.missing and gone is None:
        _require_complete(
            action,
            len(settled.missing),
            contradicted=any(one.contradicted for one in fetched)
            and not _given_up(context, action, asked_at),
        )
    for one in fetched:
        submission_transitions.downloaded(context.ledger, key, one.record)
    if settled.missing and gone is not None:
        _results_gone(context, action, settled, gone)
        return
    submission_transitions.close(
        context.ledger,
        key,
        state=SubmissionState.COLLECTED,
        transient=settled.transient,
        permanent=settled.permanent,
        problem=_told(settled),
        detail={
            "succeeded": len(settled.succeeded),
            "missing": len(settled.missing),
            "unknown": settled.unknown,
            "malformed": settled.malformed,
            "duplicates": settled.duplicates,
            "codes": dict(settled.codes),
            "examples": {code: list(texts) for code, texts in settled.examples.items()},
        },
    )
    if not settled.transient:
        context.remember(key, places)
    unanswered = len(settled.transient) + len(settled.permanent)
    context.tell(
        Notice(
            job=action.run.job,
            what=f"collected {len(settled.succeeded):,} of {submission.requests:,} answers of "
            f"{action.batch.id} ({action.batch.status})"
            + (f"; {unanswered:,} without success" if unanswered else ""),
            event="collected",
            submission=key,
            batch=action.batch,
            tally=RequestCounts(
                total=submission.requests, succeeded=len(settled.succeeded), failed=unanswered
            ),
        )
    )


def _require_complete(action: Collect, missing: int, *, contradicted: bool) -> None:
    """Raise UnexpectedReply while requests without a line may have one that is not here yet.

    Asking for files once more is free; asking the questions once more is not.
    """
    reason = None
    if action.early:
        reason = "it names no output file, and its error file"
    elif contradicted:
        # What came in place of answers may be an error page.
        reason = "a result file is not as long as the provider says, and"
    if reason is not None:
        raise UnexpectedReply(
            f"{action.batch.id} is {action.batch.status}, but {reason} lacks {missing:,} requests; "
            f"it is looked at again later",
            provider=action.run.provider,
            call="GET /files",
        )


def _files(
    context: Context, action: Collect, asked_at: float
) -> Generator[Call, Any, tuple[list[DownloadedFile], NotFound | None]]:
    """Fetch both files; the second value is why one of them will not come any more, or None.

    One that the provider has no more but this disk has is as good.
    """
    key, fetched = action.submission.key, []
    gone: NotFound | None = None
    kinds = (("output", action.batch.output_file_id), ("error", action.batch.error_file_id))
    for kind, file_id in kinds:
        if not file_id:
            continue
        try:
            one: DownloadedFile = yield partial(fetch, context, action.run, key, kind, file_id)
        except NotFound as error:
            here = [each for each in kept(context, action.run, key) if each.record.kind == kind]
            if here:
                fetched += here
                continue
            if not _given_up(context, action, asked_at):
                raise
            gone = error
        else:
            fetched.append(one)
    return fetched, gone


def _given_up(context: Context, action: Collect, asked_at: float) -> bool:
    """Whether a result file has been missing for so long that it will not come any more.

    What counts is when it was asked for: an answer may have been long on its way.
    """
    provider = context.project.providers[action.run.provider]
    since = action.submission.terminal_at
    patience = provider.grace if provider.loopback else _GONE_AFTER
    return since is not None and asked_at >= since + patience


def _results_gone(
    context: Context, action: Collect, settled: SubmissionResults, error: NotFound
) -> None:
    """Close a batch of whose answers some were deleted or have expired (fact sheet, failure 27).

    What the other file holds counts.
    """
    problem = (
        f"results of {action.batch.id} are gone from the provider ({error}); to ask its "
        f"{count(len(settled.missing))} without a line again, and pay for them again, run "
        f"`runner retry {action.run.job}`"
    )
    # A person who has asked again since has decided that they are worth paying for.
    again = action.submission.round < action.run.round
    submission_transitions.close(
        context.ledger,
        action.submission.key,
        state=SubmissionState.LOST,
        transient=settled.transient if again else settled.transient.difference(settled.missing),
        permanent=settled.permanent if again else settled.permanent.union(settled.missing),
        problem=problem,
    )
    context.tell(
        Notice(
            job=action.run.job,
            what=problem,
            trouble=not again,
            event="lost",
            submission=action.submission.key,
            batch=action.batch,
            error=error,
        )
    )


def close_rejected_batch(context: Context, action: CloseRejectedBatch) -> None:
    """Close a submission whose batch was turned away as a whole."""
    lasting = action.failure is BatchFailure.LASTING
    money = action.failure is BatchFailure.MONEY
    problem = action.reason + _whose_trouble(context, action)
    if money:
        context.stopped.setdefault(action.run.provider, problem)
        context.hopeless.add(action.run.provider)
    nothing = RowSet.parse("")
    rows = action.submission.rows
    submission_transitions.close(
        context.ledger,
        action.submission.key,
        state=SubmissionState.FAILED,
        transient=nothing if lasting else rows,
        permanent=rows if lasting else nothing,
        problem=problem,
        counted=action.failure not in UNCOUNTED,
        not_before=action.not_before,
    )
    context.tell(
        Notice(
            job=action.run.job,
            what=problem,
            trouble=lasting or money,
            event="failed",
            submission=action.submission.key,
            batch=action.batch,
        )
    )


def _whose_trouble(context: Context, action: CloseRejectedBatch) -> str:
    """Say whether the provider has the file that it could not find (fact sheet, failure 10)."""
    file_id = action.batch.input_file_id
    about_file = any("file" in (error.message or "").lower() for error in action.batch.errors)
    if action.failure is not BatchFailure.PASSING or file_id is None or not about_file:
        return ""
    try:
        file = context.api(action.run.provider).retrieve_file(file_id)
    except NotFound:
        return f"; the provider does not have {file_id} any more, so it is uploaded again"
    except ApiError:
        # Which of the two it is stays open; the requests are asked again either way.
        return ""
    return f"; the provider does show {file.id} ({file.bytes} bytes), so the trouble is on its side"


def mark_lost(context: Context, action: MarkLost) -> None:
    """Give up a batch that the provider has denied for too long.

    What was downloaded of it before counts. Where a person has asked again since it was
    submitted, its other rows may be asked anew.
    """
    submission = action.submission
    left = submission.rows.difference(_already_here(context, action.run, submission))
    again = submission.round < action.run.round
    problem = (
        f"{submission.batch_id} has vanished: the provider does not know it. If the key belongs "
        f"to another project now, put the right one back; to ask its {count(len(left))} "
        f"again, and perhaps pay them twice, run `runner retry {action.run.job}`"
    )
    submission_transitions.close(
        context.ledger,
        submission.key,
        state=SubmissionState.LOST if left else SubmissionState.COLLECTED,
        transient=left if again else RowSet(),
        permanent=RowSet() if again else left,
        problem=problem if left else f"{submission.batch_id} has vanished since; all is here",
    )
    if left and not again:
        context.tell(
            Notice(
                job=action.run.job,
                what=problem,
                trouble=True,
                event="lost",
                submission=submission.key,
                batch=submission.batch,
            )
        )


def _already_here(context: Context, run: Run, submission: Submission) -> RowSet:
    """Return the rows whose answers lie on this disk though their batch was never settled."""
    from runner.outputs.answer_index import AnswerIndex

    whole = [each.path for each in kept(context, run, submission.key)]
    if not whole:
        return RowSet()
    shard = next(shard for shard in run.shards if shard.number == submission.key.shard)
    return AnswerIndex(custom_ids(context, run, shard, submission)(), whole).results.succeeded


def _told(settled: SubmissionResults) -> str | None:
    """Say in one line what the rows without a success ended with, the commonest first."""
    if not settled.transient and not settled.permanent:
        return None
    codes = sorted(settled.codes.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{count:,} {code}" for code, count in codes]
    if settled.missing:
        told.append(f"{len(settled.missing):,} without a line")
    return ", ".join(told)
