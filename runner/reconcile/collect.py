"""Bringing a terminal batch home: both files, verified, and each row settled."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from runner.errors import ApiError, NotFound, UnexpectedReply
from runner.inputs.row_set import RowSet
from runner.ledger import submission_transitions
from runner.ledger.records import SubmissionState
from runner.planning.actions import WholeFailure
from runner.planning.in_flight import UNCOUNTED
from runner.reconcile.context import Tally, Tidings, count
from runner.reconcile.custom_ids import custom_ids
from runner.reconcile.download import fetch, kept

if TYPE_CHECKING:
    from collections.abc import Generator

    from runner.ledger.records import Run, Submission
    from runner.outputs.answer_index import Settled
    from runner.planning.actions import CloseWhole, Collect, Lose
    from runner.reconcile.concurrency import Call, Steps
    from runner.reconcile.context import Workshop
    from runner.reconcile.download import Fetched

_GONE_AFTER: Final = 3600.0
"""Seconds after the end of a batch during which a result file may still turn up."""


def collect(shop: Workshop, action: Collect) -> Steps:
    """Download what a terminal batch has and settle its rows.

    The steps raise ApiError or LocalFileError with nothing settled; doing it again is safe.
    """
    from runner.outputs.answer_index import Places

    asked_at = shop.clock()
    submission, key = action.submission, action.submission.key
    fetched, gone = yield from _files(shop, action, asked_at)
    ids = custom_ids(shop, action.run, action.shard, submission)
    places = Places(ids(), [one.path for one in fetched])
    if places.settled.missing and not all(one.sure for one in fetched):
        # A body of unannounced length can end early and look clean; rows that are missing
        # for that reason would be asked, and paid, a second time.
        records = [one.record for one in fetched]
        fetched = []
        for record in records:
            fetched.append(
                (yield partial(fetch, shop, action.run, key, record.kind, record.file_id))
            )
        places = Places(ids(), [one.path for one in fetched])
    settled = places.settled
    if settled.missing and gone is None:
        _insist_there_is_no_more(
            action,
            len(settled.missing),
            contradicted=any(one.contradicted for one in fetched)
            and not _given_up(shop, action, asked_at),
        )
    for one in fetched:
        submission_transitions.downloaded(shop.ledger, key, one.record)
    if settled.missing and gone is not None:
        _results_gone(shop, action, settled, gone)
        return
    submission_transitions.close(
        shop.ledger,
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
        shop.remember(key, places)
    unanswered = len(settled.transient) + len(settled.permanent)
    shop.tell(
        Tidings(
            job=action.run.job,
            what=f"collected {len(settled.succeeded):,} of {submission.requests:,} answers of "
            f"{action.batch.id} ({action.batch.status})"
            + (f"; {unanswered:,} without success" if unanswered else ""),
            event="collected",
            submission=key,
            batch=action.batch,
            tally=Tally(
                total=submission.requests, succeeded=len(settled.succeeded), failed=unanswered
            ),
        )
    )


def _insist_there_is_no_more(action: Collect, missing: int, *, contradicted: bool) -> None:
    """Raise UnexpectedReply while requests without a line may have one that is not here yet.

    Asking for files once more is free; asking the questions once more is not.
    """
    why = None
    if action.early:
        why = "it names no output file, and its error file"
    elif contradicted:
        # What came in place of answers may be an error page.
        why = "a result file is not as long as the provider says, and"
    if why is not None:
        raise UnexpectedReply(
            f"{action.batch.id} is {action.batch.status}, but {why} lacks {missing:,} requests; it "
            f"is looked at again later",
            provider=action.run.provider,
            call="GET /files",
        )


def _files(
    shop: Workshop, action: Collect, asked_at: float
) -> Generator[Call, Any, tuple[list[Fetched], NotFound | None]]:
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
            one: Fetched = yield partial(fetch, shop, action.run, key, kind, file_id)
        except NotFound as error:
            here = [each for each in kept(shop, action.run, key) if each.record.kind == kind]
            if here:
                fetched += here
                continue
            if not _given_up(shop, action, asked_at):
                raise
            gone = error
        else:
            fetched.append(one)
    return fetched, gone


def _given_up(shop: Workshop, action: Collect, asked_at: float) -> bool:
    """Whether a result file has been missing for so long that it will not come any more.

    What counts is when it was asked for: an answer may have been long on its way.
    """
    provider = shop.project.providers[action.run.provider]
    since = action.submission.terminal_at
    patience = provider.grace if provider.loopback else _GONE_AFTER
    return since is not None and asked_at >= since + patience


def _results_gone(shop: Workshop, action: Collect, settled: Settled, error: NotFound) -> None:
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
        shop.ledger,
        action.submission.key,
        state=SubmissionState.LOST,
        transient=settled.transient if again else settled.transient.difference(settled.missing),
        permanent=settled.permanent if again else settled.permanent.union(settled.missing),
        problem=problem,
    )
    shop.tell(
        Tidings(
            job=action.run.job,
            what=problem,
            trouble=not again,
            event="lost",
            submission=action.submission.key,
            batch=action.batch,
            error=error,
        )
    )


def close_whole(shop: Workshop, action: CloseWhole) -> None:
    """Close a submission whose batch was turned away as a whole."""
    lasting = action.failure is WholeFailure.LASTING
    money = action.failure is WholeFailure.MONEY
    problem = action.why + _whose_trouble(shop, action)
    if money:
        shop.stopped.setdefault(action.run.provider, problem)
        shop.hopeless.add(action.run.provider)
    nothing = RowSet.parse("")
    rows = action.submission.rows
    submission_transitions.close(
        shop.ledger,
        action.submission.key,
        state=SubmissionState.FAILED,
        transient=nothing if lasting else rows,
        permanent=rows if lasting else nothing,
        problem=problem,
        counted=action.failure not in UNCOUNTED,
        not_before=action.not_before,
    )
    shop.tell(
        Tidings(
            job=action.run.job,
            what=problem,
            trouble=lasting or money,
            event="failed",
            submission=action.submission.key,
            batch=action.batch,
        )
    )


def _whose_trouble(shop: Workshop, action: CloseWhole) -> str:
    """Say whether the provider has the file that it could not find (fact sheet, failure 10)."""
    file_id = action.batch.input_file_id
    about_file = any("file" in (error.message or "").lower() for error in action.batch.errors)
    if action.failure is not WholeFailure.PASSING or file_id is None or not about_file:
        return ""
    try:
        file = shop.api(action.run.provider).retrieve_file(file_id)
    except NotFound:
        return f"; the provider does not have {file_id} any more, so it is uploaded again"
    except ApiError:
        # Which of the two it is stays open; the requests are asked again either way.
        return ""
    return f"; the provider does show {file.id} ({file.bytes} bytes), so the trouble is on its side"


def lose(shop: Workshop, action: Lose) -> None:
    """Give up a batch that the provider has denied for too long.

    What was downloaded of it before counts. Where a person has asked again since it was
    submitted, its other rows may be asked anew.
    """
    submission = action.submission
    left = submission.rows.difference(_already_here(shop, action.run, submission))
    again = submission.round < action.run.round
    problem = (
        f"{submission.batch_id} has vanished: the provider does not know it. If the key belongs "
        f"to another project now, put the right one back; to ask its {count(len(left))} "
        f"again, and perhaps pay them twice, run `runner retry {action.run.job}`"
    )
    submission_transitions.close(
        shop.ledger,
        submission.key,
        state=SubmissionState.LOST if left else SubmissionState.COLLECTED,
        transient=left if again else RowSet(),
        permanent=RowSet() if again else left,
        problem=problem if left else f"{submission.batch_id} has vanished since; all is here",
    )
    if left and not again:
        shop.tell(
            Tidings(
                job=action.run.job,
                what=problem,
                trouble=True,
                event="lost",
                submission=submission.key,
                batch=submission.batch,
            )
        )


def _already_here(shop: Workshop, run: Run, submission: Submission) -> RowSet:
    """Return the rows whose answers lie on this disk though their batch was never settled."""
    from runner.outputs.answer_index import Places

    whole = [each.path for each in kept(shop, run, submission.key)]
    if not whole:
        return RowSet()
    shard = next(shard for shard in run.shards if shard.number == submission.key.shard)
    return Places(custom_ids(shop, run, shard, submission)(), whole).settled.succeeded


def _told(settled: Settled) -> str | None:
    """Say in one line what the rows without a success ended with, the commonest first."""
    if not settled.transient and not settled.permanent:
        return None
    codes = sorted(settled.codes.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{count:,} {code}" for code, count in codes]
    if settled.missing:
        told.append(f"{len(settled.missing):,} without a line")
    return ", ".join(told)
