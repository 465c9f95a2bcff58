"""Match the responses of a finished run with its requests by order, where the user requests it.

Nothing is submitted: what is in `raw/` already is read again. A file gets its name before the
ledger records it, and the ledger records everything in one transaction. So after a crash either
nothing has changed, or a pass writes the final files; and doing it again has the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import UsageError
from runner.inputs.row_set import RowSet
from runner.ledger import run_transitions
from runner.ledger.records import FileRecord, SubmissionState
from runner.outputs.by_order import (
    by_order_name,
    match_by_order,
    unknown_names,
    write_by_order,
)
from runner.outputs.files import BY_ORDER, FileRejected
from runner.outputs.publish import unpublish
from runner.outputs.result_files import lines
from runner.reconcile.context import Notice
from runner.reconcile.custom_ids import custom_ids, ids_in_order
from runner.reconcile.download import read_downloaded, restore_raw_file
from runner.reconcile.recorded import read_claims
from runner.text import listed, plural

if TYPE_CHECKING:
    from pathlib import Path

    from runner.ledger.records import Run, Submission, SubmissionKey
    from runner.ledger.run_transitions import OrderMatch
    from runner.outputs.answer_index import SubmissionResults
    from runner.reconcile.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unmatched:
    """A collected submission with rows without a line, and with lines that name none of them."""

    submission: Submission
    output: FileRecord
    paths: tuple[Path, ...]
    results: SubmissionResults


def match_run_by_order(context: Context, run: Run) -> None:
    """Match what can be matched of a final run, and record it; the next pass publishes it.

    What could not be matched is reported as a problem. Raises UsageError with the reasons if
    nothing could be, LocalFileError or ApiError with nothing recorded.
    """
    refused: dict[SubmissionKey, str] = {}
    paid_again: list[str] = []
    matches: list[OrderMatch] = []
    for each in _find_unmatched(context, run):
        words = f"{run.folder}/{each.output.path} cannot be matched by order: it"
        if (later := _submitted_again(run, each)) is not None:
            paid_again.append(
                f"{words} stands for requests that were submitted again, and paid for again, as "
                f"{later}"
            )
            continue
        try:
            matches.append(_match(context, run, each))
        except FileRejected as unfit:
            refused[each.submission.key] = f"{words} {unfit}"
    if not matches:
        nothing = "no output file has lines that name no request, for requests without a response"
        reasons = [*refused.values(), *paid_again] or [nothing]
        raise UsageError(f"{run.job}: nothing was matched: {listed(reasons)}")
    unpublish(context.folder(run))
    run_transitions.match_by_order(context.ledger, run, matches)
    for match in matches:
        context.report_notice(
            Notice(job=run.job, message=match.problem, event="remark", submission=match.key)
        )
    for key, message in refused.items():
        context.report_notice(
            Notice(job=run.job, message=message, is_problem=True, event="remark", submission=key)
        )


def can_match_by_order(
    context: Context, run: Run, submission: Submission, output: Path, error: Path | None
) -> bool:
    """Whether an output file could be matched with the requests of its batch by order."""
    try:
        _require_order(context, run, submission, output, error)
        for _line in match_by_order(output, ids_in_order(context, run, submission)):
            pass
    except FileRejected:
        return False
    return True


def _find_unmatched(context: Context, run: Run) -> list[_Unmatched]:
    from runner.outputs.answer_index import AnswerIndex

    found = []
    for submission in run.submissions:
        records = context.ledger.files(run.id).get(str(submission.key), ())
        by_kind = {record.kind: record for record in records}
        output = by_kind.get("output")
        if submission.state is not SubmissionState.COLLECTED or output is None:
            continue
        if BY_ORDER in by_kind:
            continue  # that was done before
        intact = {file.path for file in read_downloaded(context, run, submission.key)}
        for record in records:
            if context.folder(run) / record.path not in intact:
                restore_raw_file(context, run, submission.key, record)
        paths = tuple(context.folder(run) / record.path for record in records)
        shard = next(shard for shard in run.shards if shard.number == submission.key.shard)
        ids = custom_ids(context, run, shard, submission)
        results = AnswerIndex(ids(), paths).results
        if results.missing and paths[0] in results.unmatched:
            found.append(
                _Unmatched(submission=submission, output=output, paths=paths, results=results)
            )
    return found


def _submitted_again(run: Run, unmatched: _Unmatched) -> SubmissionKey | None:
    """Return a later attempt, perhaps paid for, at the rows without a line; None if there is none.

    An attempt that was refused or abandoned cost nothing.
    """
    key = unmatched.submission.key
    for later in run.shard_submissions(key.shard):
        if (
            later.key.attempt > key.attempt
            and later.state in (SubmissionState.COLLECTED, SubmissionState.LOST)
            and later.rows.intersection(unmatched.results.missing)
        ):
            return later.key
    return None


def _match(context: Context, run: Run, unmatched: _Unmatched) -> OrderMatch:
    """Write the file of the matched lines of one submission, and return what to record.

    Raises FileRejected.
    """
    from runner.outputs.answer_index import AnswerIndex

    submission, output = unmatched.submission, unmatched.output
    source, *others = unmatched.paths
    _require_order(context, run, submission, source, next(iter(others), None))
    ids = ids_in_order(context, run, submission)
    name = by_order_name(output.path)
    target = context.folder(run) / name
    written = write_by_order(source, target, ids)
    shard = next(shard for shard in run.shards if shard.number == submission.key.shard)
    results = AnswerIndex(
        custom_ids(context, run, shard, submission)(), [*unmatched.paths, target]
    ).results
    # Each line of the output file has its request now.
    detail = results.as_detail() | {"unknown": 0, "malformed": 0, "matched": written.lines}
    return run_transitions.OrderMatch(
        key=submission.key,
        file=FileRecord(
            kind=BY_ORDER,
            file_id=output.file_id,
            path=name,
            bytes=written.bytes,
            sha256=written.sha256,
        ),
        # What is still without a success is submitted again by `runner retry` only.
        transient=(submission.transient or RowSet()).difference(results.succeeded),
        permanent=(submission.permanent or RowSet()).difference(results.succeeded),
        problem=f"{plural(written.lines, 'line')} of {output.path} named no request; on request "
        f"they were matched by their order, see {name}",
        detail=detail,
    )


def _require_order(
    context: Context, run: Run, submission: Submission, output: Path, error: Path | None
) -> None:
    """Raise FileRejected if the order of an output file cannot be that of the requests."""
    if submission.batch_id in read_claims(context.folder(run)):
        raise FileRejected("is of a batch that runner did not create, and whose order is not known")
    apart = 0 if error is None else sum(1 for _ in lines(error))
    if apart:
        raise FileRejected(f"is not all there is: the error file has {plural(apart, 'line')}")
    unknown = unknown_names(output, ids_in_order(context, run, submission))
    for shard in run.shards if unknown else ():
        for row, custom_id in custom_ids(context, run, shard, None)():
            if custom_id in unknown:
                raise FileRejected(
                    f"has a line of {custom_id}, which is request {row + 1:,} of the input and not "
                    f"of this batch"
                )
