"""Collect a terminal batch: download both files, verify them, and classify each row."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from runner.errors import ApiError, NotFound, Transient, UnexpectedReply
from runner.inputs.row_set import RowSet
from runner.ledger import submission_transitions
from runner.ledger.records import SubmissionState
from runner.outputs.files import BY_ORDER
from runner.planning.actions import BatchFailure
from runner.planning.in_flight import UNCOUNTED
from runner.reconcile.context import Notice, RequestCounts
from runner.reconcile.custom_ids import custom_ids
from runner.reconcile.download import fetch, read_downloaded
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from runner.api.protocol import BatchApi
    from runner.ledger.records import Run, Submission
    from runner.outputs.answer_index import SubmissionResults
    from runner.planning.actions import CloseRejectedBatch, Collect, MarkLost
    from runner.reconcile.concurrency import Call, Steps
    from runner.reconcile.context import Context, PassState
    from runner.reconcile.download import DownloadedFile

_MAX_FILE_DELAY: Final = 3600.0
"""Seconds after the end of a batch within which a result file may still appear, or be
completed."""


def collect(context: Context, state: PassState, action: Collect) -> Steps:
    """Download the files of a terminal batch and classify its rows.

    The steps raise ApiError or LocalFileError with nothing recorded; they can be repeated safely.
    """
    from runner.outputs.answer_index import AnswerIndex

    started_at = context.clock()
    submission, key = action.submission, action.submission.key
    ids = custom_ids(context, action.run, action.shard, submission)
    retried = submission.round < action.run.round
    earlier = read_downloaded(context, action.run, key) if retried else []
    fetched, failure = yield from _download_files(context, action, ids, earlier, started_at)
    index = AnswerIndex(ids(), [file.path for file in fetched])
    if index.results.lacking and not all(file.has_expected_size for file in fetched):
        # A body without Content-Length can end early and look complete. Rows that are missing
        # for that reason would be submitted, and paid for, a second time.
        earlier = fetched
        fetched, failure = yield from _download_files(context, action, ids, earlier, started_at)
        fetched = [_with_earlier_size(file, earlier) for file in fetched]
        index = AnswerIndex(ids(), [file.path for file in fetched])
    results = index.results
    contradiction = None
    if results.lacking and failure is None:
        contradiction = _contradiction(action, results, fetched, context.api(action.run.provider))
        # Time passes between the plan and this call: `early` is the plan's, and it decides.
        waiting = action.early or not is_given_up(context, action, started_at)
        if contradiction is not None and waiting:
            raise UnexpectedReply(
                f"{action.batch.id} is {action.batch.status}, but {contradiction}; its files are "
                f"downloaded again later, and nothing is submitted again",
                provider=action.run.provider,
                call="GET /files",
            )
    for file in fetched:
        submission_transitions.downloaded(context.ledger, key, file.record)
    if results.missing and failure is not None:
        _close_without_results(context, action, results, failure)
        return
    if contradiction is not None and action.submission.round == action.run.round:
        _close_contradicted(context, action, results, fetched, contradiction)
        return
    submission_transitions.close(
        context.ledger,
        key,
        state=SubmissionState.COLLECTED,
        transient=results.transient,
        permanent=results.permanent,
        problem=_failure_summary(results),
        truncated=results.truncated,
        detail=results.as_detail(),
    )
    if not results.transient:
        state.answers.put(key, index)
    failed = _counts(action, results).failed
    context.report_notice(
        Notice(
            job=action.run.job,
            message=f"collected {len(results.succeeded):,} of {submission.requests:,} responses of "
            f"{action.batch.id} ({action.batch.status})"
            + (f"; {failed:,} failed" if failed else ""),
            event="collected",
            submission=key,
            batch=action.batch,
            counts=_counts(action, results),
        )
    )


def _with_earlier_size(file: DownloadedFile, earlier: Sequence[DownloadedFile]) -> DownloadedFile:
    """Return a file with what was known of its size before, where it was not said this time."""
    had_other_size = any(
        before.has_other_size and before.record.file_id == file.record.file_id for before in earlier
    )
    if file.has_expected_size or not had_other_size:
        return file
    return replace(file, has_other_size=True)


def _contradiction(
    action: Collect,
    results: SubmissionResults,
    fetched: Sequence[DownloadedFile],
    api: BatchApi,
) -> str | None:
    """Return what speaks against the absence of the lines that lack; None where nothing does.

    A request without a line that can be read is submitted again, and paid for again, only if the
    provider says nothing else: downloading the files again is free. The text completes "the batch
    is completed, but …".
    """
    from runner.outputs.result_files import NOT_EXECUTED

    if action.early:
        return (
            f"it names no output file, and its error file lacks {len(results.missing):,} requests"
        )
    lacking = plural(len(results.lacking), "request")
    found = action.submission.requests - len(results.lacking)
    counts = action.batch.request_counts
    # Some providers never fill in the counts; those of a completed batch account for each request.
    counted = counts.total > 0 and counts.completed + counts.failed == counts.total
    for one in fetched:
        lines = results.unmatched.get(one.path)
        if lines is None or one.record.kind != "output":
            continue  # a line of the error file is no response
        if not (counted and counts.completed <= found):
            return (
                f"its output file has {plural(lines.count, 'line')} whose custom_id is that of no "
                f"request, and no line for {lacking}; the first is: {api.redact(lines.example)}"
            )
    # What was not run is not completed. Where each error is counted as failed, it is not among the
    # completed requests as well.
    found -= sum(results.codes.get(code, 0) for code in NOT_EXECUTED)
    errors = found - len(results.succeeded)
    apart = errors <= counts.failed and counts.completed + counts.failed <= counts.total
    found -= errors if apart else 0
    if counts.completed > found:
        return f"it reports {counts.completed:,} responses, and its files hold {found:,}"
    if any(file.has_other_size for file in fetched):
        return f"a result file is not as long as the provider says, and lacks {lacking}"
    return None


def _close_contradicted(
    context: Context,
    action: Collect,
    results: SubmissionResults,
    fetched: Sequence[DownloadedFile],
    contradiction: str,
) -> None:
    """Close a batch whose files have contradicted its own report for too long.

    What came counts. The rest failed in words: the provider may have answered, and been paid for,
    what it does not show, so only `runner retry` submits it again.
    """
    from runner.reconcile.by_order import can_match_by_order

    by_kind = {file.record.kind: file.path for file in fetched}
    output = by_kind.get("output")
    by_order = output is not None and can_match_by_order(
        context, action.run, action.submission, output, by_kind.get("error")
    )
    problem = (
        f"{action.batch.id} is {action.batch.status}, but {contradiction}. The responses that "
        f"cannot be matched stay in raw/; `runner retry {action.run.job}` reads the files once "
        f"more, and submits what they still lack of {plural(len(results.lacking), 'request')} "
        f"again, and pays for it again"
    )
    if by_order:
        problem += (
            f". There are as many lines as requests: if this server keeps their order, `runner "
            f"retry {action.run.job} --by-order` matches them by it, and submits nothing"
        )
    submission_transitions.close(
        context.ledger,
        action.submission.key,
        state=SubmissionState.COLLECTED,
        transient=results.transient.difference(results.lacking),
        permanent=results.permanent.union(results.lacking),
        problem=problem,
        truncated=results.truncated,
        detail=results.as_detail(),
    )
    context.report_notice(
        Notice(
            job=action.run.job,
            message=problem,
            is_problem=True,
            event="collected",
            submission=action.submission.key,
            batch=action.batch,
            counts=_counts(action, results),
        )
    )


def _counts(action: Collect, results: SubmissionResults) -> RequestCounts:
    return RequestCounts(
        total=action.submission.requests,
        succeeded=len(results.succeeded),
        failed=len(results.transient) + len(results.permanent),
    )


def _download_files(
    context: Context,
    action: Collect,
    ids: Callable[[], Iterator[tuple[int, str]]],
    earlier: Sequence[DownloadedFile],
    started_at: float,
) -> Generator[Call, Any, tuple[list[DownloadedFile], ApiError | None]]:
    """Download both files; returns them, and the error if one of them is given up.

    That is a file that the provider has denied for too long, or one that could not be downloaded
    for as long, and that the user has given up by `runner cancel` or `runner retry`. `earlier` are
    intact copies on this disk: one is used if the provider does not have the file any more, or if
    what comes now lacks a response that it has.
    """
    key, fetched = action.submission.key, []
    failure: ApiError | None = None
    kinds = (("output", action.batch.output_file_id), ("error", action.batch.error_file_id))
    for kind, file_id in kinds:
        if not file_id:
            continue
        before = next((each for each in earlier if each.record.kind == kind), None)
        try:
            file: DownloadedFile = yield partial(
                fetch,
                context,
                action.run,
                key,
                kind,
                file_id,
                is_worse=None if before is None else partial(_answers_less, ids, before.path),
            )
        except ApiError as error:
            # An error in place of a file, with a successful status, is no outage.
            denied = isinstance(error, NotFound) or (isinstance(error, Transient) and error.in_body)
            # After `runner cancel` or `runner retry` the user does not wait for it any more.
            unwanted = action.run.cancel_requested or action.submission.round < action.run.round
            given_up = (denied or unwanted) and is_given_up(context, action, started_at)
            if before is None and (denied or given_up):
                on_disk = read_downloaded(context, action.run, key)
                before = next((each for each in on_disk if each.record.kind == kind), None)
            if before is not None and (denied or given_up):
                fetched.append(before)
            elif given_up:
                failure = error
            else:
                raise
        else:
            fetched.append(file)
    return fetched, failure


def _answers_less(ids: Callable[[], Iterator[tuple[int, str]]], before: Path, now: Path) -> bool:
    """Whether a file lacks a response that an earlier download of it has."""
    from runner.outputs.answer_index import AnswerIndex

    answered = AnswerIndex(ids(), [before]).results.succeeded
    return bool(answered.difference(AnswerIndex(ids(), [now]).results.succeeded))


def is_given_up(context: Context, action: Collect, started_at: float) -> bool:
    """Whether the result files of a batch have been missing or unusable for too long.

    The time counts at which the download began, `started_at`: a slow reply proves nothing.
    """
    patience = context.project.providers[action.run.provider].patience(_MAX_FILE_DELAY)
    since = action.submission.terminal_at
    return since is not None and started_at >= since + patience


def _close_without_results(
    context: Context, action: Collect, results: SubmissionResults, error: ApiError
) -> None:
    """Close a submission whose result file was deleted or has expired (fact sheet, failure 27).

    The same holds for one that could not be downloaded until the user gave it up. The rows in the
    other file are classified; those without a line are lost.
    """
    gone = isinstance(error, NotFound)
    problem = (
        f"results of {action.batch.id} "
        f"{'are not at the provider any more' if gone else 'could not be downloaded'} ({error}); "
        f"to submit its "
        f"{plural(len(results.missing), 'request')} without a line again, and pay for them again, "
        f"run `runner retry {action.run.job}`"
    )
    # If the user has run `runner retry` since, the lost rows are submitted again.
    retried = action.submission.round < action.run.round
    submission_transitions.close(
        context.ledger,
        action.submission.key,
        state=SubmissionState.LOST,
        transient=results.transient if retried else results.transient.difference(results.missing),
        permanent=results.permanent if retried else results.permanent.union(results.missing),
        problem=problem,
        truncated=results.truncated,
    )
    context.report_notice(
        Notice(
            job=action.run.job,
            message=problem,
            is_problem=not retried,
            event="lost",
            submission=action.submission.key,
            batch=action.batch,
            error=error,
        )
    )


def close_rejected_batch(context: Context, state: PassState, action: CloseRejectedBatch) -> None:
    """Close a submission whose batch was rejected as a whole."""
    lasting = action.failure is BatchFailure.LASTING
    no_credit = action.failure is BatchFailure.MONEY
    problem = action.reason + _file_remark(context, action)
    if no_credit:
        state.stopped.setdefault(action.run.provider, problem)
        state.unusable.add(action.run.provider)
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
    context.report_notice(
        Notice(
            job=action.run.job,
            message=problem,
            is_problem=lasting or no_credit,
            event="failed",
            submission=action.submission.key,
            batch=action.batch,
        )
    )


def _file_remark(context: Context, action: CloseRejectedBatch) -> str:
    """Return whether the provider has the file that it did not find (fact sheet, failure 10).

    The result is a clause for the message about the batch; empty if that was not its error.
    """
    file_id = action.batch.input_file_id
    about_file = any("file" in (error.message or "").lower() for error in action.batch.errors)
    if action.failure is not BatchFailure.PASSING or file_id is None or not about_file:
        return ""
    try:
        file = context.api(action.run.provider).retrieve_file(file_id)
    except NotFound:
        return f"; the provider does not have {file_id} any more, so it is uploaded again"
    except ApiError:
        # Which of the two it is stays unknown; the requests are resubmitted either way.
        return ""
    return f"; the provider does show {file.id} ({file.bytes} bytes), so the problem is on its side"


def mark_lost(context: Context, action: MarkLost) -> None:
    """Close a submission whose batch the provider has not known, or cancelled, for too long.

    Results that were downloaded before are kept. If the user has run `runner retry` since the batch
    was submitted, its other rows may be submitted again.
    """
    submission = action.submission
    missing_rows = submission.rows.difference(_rows_on_disk(context, action.run, submission))
    retried = submission.round < action.run.round
    what = (
        f"{action.reason}, so it is given up. To"
        if action.stuck
        else f"{submission.batch_id} has vanished: the provider does not know it. If the API key "
        f"belongs to another project now, set the right one again; to"
    )
    problem = (
        f"{what} submit its {plural(len(missing_rows), 'request')} again, and perhaps pay for them "
        f"twice, run `runner retry {action.run.job}`"
    )
    submission_transitions.close(
        context.ledger,
        submission.key,
        state=SubmissionState.LOST if missing_rows else SubmissionState.COLLECTED,
        transient=missing_rows if retried else RowSet(),
        permanent=RowSet() if retried else missing_rows,
        problem=problem
        if missing_rows
        else f"{submission.batch_id} is lost; all its results are on this disk",
    )
    if missing_rows and not retried:
        context.report_notice(
            Notice(
                job=action.run.job,
                message=problem,
                is_problem=True,
                event="lost",
                submission=submission.key,
                batch=submission.batch,
            )
        )


def _rows_on_disk(context: Context, run: Run, submission: Submission) -> RowSet:
    """Return the rows whose responses were downloaded before, although nothing was collected."""
    results = _results_on_disk(context, run, submission)
    return RowSet() if results is None else results.succeeded


def _results_on_disk(
    context: Context, run: Run, submission: Submission
) -> SubmissionResults | None:
    """Return the results in the files that were downloaded before; None if there is none."""
    from runner.outputs.answer_index import AnswerIndex

    paths = [each.path for each in read_downloaded(context, run, submission.key)]
    if not paths:
        return None
    shard = next(shard for shard in run.shards if shard.number == submission.key.shard)
    return AnswerIndex(custom_ids(context, run, shard, submission)(), paths).results


def unmatched_submissions(context: Context, run: Run) -> list[Submission]:
    """Return the submissions of a run that were closed although their files lack responses."""
    found = []
    files = context.ledger.files(run.id)
    for submission in run.submissions:
        if submission.state is not SubmissionState.COLLECTED or not submission.permanent:
            continue
        if any(record.kind == BY_ORDER for record in files.get(str(submission.key), ())):
            continue  # the user has said whose lines they are
        results = _results_on_disk(context, run, submission)
        if results is None or results.lacking.intersection(submission.permanent):
            found.append(submission)
    return found


def _failure_summary(results: SubmissionResults) -> str | None:
    """Return the error codes of the rows that failed with their counts, the most frequent first."""
    if not results.transient and not results.permanent:
        return None
    codes = sorted(results.codes.items(), key=lambda item: (-item[1], item[0]))
    counts = [f"{count:,} {code}" for code, count in codes]
    if results.missing:
        counts.append(f"{len(results.missing):,} without a line")
    return ", ".join(counts)
