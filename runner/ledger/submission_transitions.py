"""The state transitions of a submission (exactly-once protocol), each in one transaction.

The order of the transitions makes a crash harmless: an *intent* (`intend_upload`, `intend_create`)
is on disk before its call is made, and the *fact* (`uploaded`, `submitted`) is recorded after it.
After a crash in between, the outcome is unknown until a pass has checked the provider: it records
`uploaded` or `submitted` with the object that it found, or `clear_intent` after the grace period.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runner.ledger.mapping import insert_file, insert_submission, upsert_batch
from runner.ledger.records import RunState, SubmissionState

if TYPE_CHECKING:
    from runner.batch import Batch, File
    from runner.inputs.row_set import RowSet
    from runner.ledger.records import FileRecord, Run, Submission, SubmissionKey
    from runner.ledger.store import Ledger


_OPEN: Final = (
    SubmissionState.PREPARED,
    SubmissionState.UPLOADING,
    SubmissionState.UPLOADED,
    SubmissionState.CREATING,
)


def prepare(ledger: Ledger, run: Run, submission: Submission) -> None:
    """Record a new submission before anything is sent for it; its run becomes `running`."""
    with ledger.transaction() as transaction:
        insert_submission(transaction, run.id, submission)
        transaction.write(
            "UPDATE runs SET state = ? WHERE id = ? AND state = ?",
            RunState.RUNNING,
            run.id,
            RunState.PENDING,
        )
        transaction.record_event("prepared", key=submission.key, requests=submission.requests)


def intend_upload(ledger: Ledger, key: SubmissionKey, *, since: int | None) -> None:
    """Record the intent to upload: the call may reach the provider even if its reply is lost."""
    with ledger.transaction(durable=True) as transaction:
        transaction.move(
            key,
            to=SubmissionState.UPLOADING,
            allowed=(SubmissionState.PREPARED,),
            values={"since": since, "intent_at": transaction.now, "doubt_at": None},
        )
        transaction.record_event("uploading", key=key)


def uploaded(ledger: Ledger, key: SubmissionKey, file: File, *, adopted: bool = False) -> None:
    """Record the input file of the submission at the provider."""
    with ledger.transaction() as transaction:
        transaction.move(
            key,
            to=SubmissionState.UPLOADED,
            allowed=(SubmissionState.PREPARED, SubmissionState.UPLOADING),
            values={"input_file_id": file.id, "intent_at": None, "doubt_at": None},
        )
        transaction.record_event("file_adopted" if adopted else "uploaded", key=key, file=file.id)


def intend_create(
    ledger: Ledger, key: SubmissionKey, *, since: int | None, completion_window: str
) -> None:
    """Record the intent to create the batch: it may exist, and cost, even if the reply is lost."""
    with ledger.transaction(durable=True) as transaction:
        transaction.move(
            key,
            to=SubmissionState.CREATING,
            allowed=(SubmissionState.UPLOADED,),
            values={"since": since, "intent_at": transaction.now, "doubt_at": None},
        )
        transaction.record_event("creating", key=key, completion_window=completion_window)


def submitted(
    ledger: Ledger,
    key: SubmissionKey,
    provider: str,
    batch: Batch,
    *,
    adopted: bool = False,
    actual: Submission | None = None,
) -> None:
    """Record the batch of a submission.

    `actual` describes the requests of an adopted batch if they are not those of the submission.
    """
    with ledger.transaction(durable=True) as transaction:
        transaction.move(
            key,
            to=SubmissionState.SUBMITTED,
            allowed=_OPEN,
            values={
                "batch_id": batch.id,
                "submitted_at": transaction.now,
                "intent_at": None,
                "doubt_at": None,
            },
        )
        if batch.input_file_id is not None:
            transaction.write(
                "UPDATE submissions SET input_file_id = ? WHERE key = ?",
                batch.input_file_id,
                str(key),
            )
        if actual is not None:
            transaction.write(
                "UPDATE submissions SET rows = ?, requests = ?, bytes = ?, sha256 = ? "
                "WHERE key = ?",
                str(actual.rows),
                actual.requests,
                actual.bytes,
                actual.sha256,
                str(key),
            )
        upsert_batch(transaction, provider, batch, key)
        transaction.record_event(
            "batch_adopted" if adopted else "submitted",
            key=key,
            batch=batch.id,
            status=batch.status,
        )


def mark_uncertain(ledger: Ledger, key: SubmissionKey, problem: str) -> None:
    """Record that the outcome of the intended call is unknown.

    The first time is kept, unless it is in the future because a clock was wrong.
    """
    with ledger.transaction() as transaction:
        transaction.require_state(key, (SubmissionState.UPLOADING, SubmissionState.CREATING))
        changed = transaction.write(
            "UPDATE submissions SET doubt_at = ?, problem = ? WHERE key = ? "
            "AND (doubt_at IS NULL OR doubt_at > ?)",
            transaction.now,
            problem,
            str(key),
            transaction.now,
        )
        if changed:
            transaction.record_event("outcome_unknown", key=key, problem=problem)


def clear_intent(
    ledger: Ledger, key: SubmissionKey, problem: str, *, file_gone: bool = False
) -> None:
    """Record that an intended call has not acted."""
    with ledger.transaction() as transaction:
        values: dict[str, object] = {"intent_at": None, "doubt_at": None, "problem": problem}
        uploading = transaction.write(
            "UPDATE submissions SET state = ?, intent_at = NULL, doubt_at = NULL, problem = ? "
            "WHERE key = ? AND state = ?",
            SubmissionState.PREPARED,
            problem,
            str(key),
            SubmissionState.UPLOADING,
        )
        if not uploading:
            to = SubmissionState.PREPARED if file_gone else SubmissionState.UPLOADED
            if file_gone:
                values["input_file_id"] = None
            transaction.move(
                key,
                to=to,
                allowed=(SubmissionState.CREATING, SubmissionState.UPLOADED),
                values=values,
            )
        transaction.record_event("not_sent", key=key, problem=problem)


def too_large(ledger: Ledger, run: Run, smaller: Submission, *, ceiling: int, problem: str) -> None:
    """Replace a file that the provider rejected for its size by a smaller one.

    The attempt never existed at the provider, so it keeps its number: two ledgers that learn this
    at different times agree on attempt 1. `ceiling` limits all other files of the run, in bytes.
    """
    with ledger.transaction() as transaction:
        transaction.move(
            smaller.key,
            to=SubmissionState.PREPARED,
            allowed=(SubmissionState.UPLOADING,),
            values={
                "rows": str(smaller.rows),
                "requests": smaller.requests,
                "bytes": smaller.bytes,
                "sha256": smaller.sha256,
                "intent_at": None,
                "doubt_at": None,
                "problem": problem,
            },
        )
        transaction.write(
            "UPDATE runs SET ceiling = min(coalesce(ceiling, ?), ?) WHERE id = ?",
            ceiling,
            ceiling,
            run.id,
        )
        transaction.record_event(
            "too_large",
            key=smaller.key,
            ceiling=ceiling,
            requests=smaller.requests,
            problem=problem,
        )


def observed(ledger: Ledger, key: SubmissionKey, provider: str, batch: Batch) -> None:
    """Record an observed Batch object; a changed status is an event."""
    with ledger.transaction() as transaction:
        transaction.require_state(key, (SubmissionState.SUBMITTED,))
        # `same_as` may have given its provider another name since the last look.
        transaction.write(
            "UPDATE OR REPLACE batches SET provider = ? WHERE id = ? AND submission = ? "
            "AND provider != ?",
            provider,
            batch.id,
            str(key),
            provider,
        )
        before = transaction.status(provider, batch.id)
        upsert_batch(transaction, provider, batch, key)
        # Some gateways change the id of a batch from one poll to the next (fact sheet, failure 25).
        transaction.write("UPDATE submissions SET batch_id = ? WHERE key = ?", batch.id, str(key))
        transaction.write(
            "UPDATE submissions SET missing_at = NULL, terminal_at = CASE WHEN ? THEN "
            "min(coalesce(terminal_at, ?), ?) ELSE NULL END WHERE key = ?",
            int(batch.terminal),
            transaction.now,
            transaction.now,
            str(key),
        )
        if before == batch.status:
            return  # counts change all the time: no event
        counts = batch.request_counts
        transaction.record_event(
            "batch_changed",
            key=key,
            batch=batch.id,
            status=batch.status,
            completed=counts.completed,
            failed=counts.failed,
            total=counts.total,
        )


def batch_not_found(ledger: Ledger, key: SubmissionKey, batch_id: str) -> None:
    """Record that the provider does not know a batch that it had created."""
    with ledger.transaction() as transaction:
        transaction.require_state(key, (SubmissionState.SUBMITTED,))
        transaction.write(
            "UPDATE submissions SET missing_at = min(coalesce(missing_at, ?), ?) WHERE key = ?",
            transaction.now,
            transaction.now,
            str(key),
        )
        transaction.record_event("batch_not_found", key=key, batch=batch_id)


def overdue(ledger: Ledger, key: SubmissionKey, problem: str) -> None:
    """Record that a batch takes longer than it should; the first time is kept."""
    with ledger.transaction() as transaction:
        transaction.require_state(key, (SubmissionState.SUBMITTED,))
        transaction.write(
            "UPDATE submissions SET overdue_at = coalesce(overdue_at, ?) WHERE key = ?",
            transaction.now,
            str(key),
        )
        transaction.record_event("overdue", key=key, problem=problem)


def downloaded(ledger: Ledger, key: SubmissionKey, record: FileRecord) -> None:
    """Record a result file that was downloaded completely."""
    with ledger.transaction() as transaction:
        transaction.require_state(key, (SubmissionState.SUBMITTED,))
        insert_file(transaction, key, record)
        transaction.record_event(
            "downloaded", key=key, kind_of_file=record.kind, file=record.file_id
        )


def close(  # noqa: PLR0913 -- every detail of the outcome
    ledger: Ledger,
    key: SubmissionKey,
    *,
    state: SubmissionState,
    transient: RowSet,
    permanent: RowSet,
    problem: str | None,
    counted: bool = True,
    not_before: float = 0.0,
    truncated: int | None = None,
    detail: dict[str, object] | None = None,
) -> None:
    """Record the end of a submission, its rows without a success, and the reason.

    `truncated` is the number of its answers that were cut at the token limit, None without results.
    """
    if not state.closed:
        raise ValueError(f"{state} is not a final state of a submission")
    with ledger.transaction(durable=True) as transaction:
        transaction.move(
            key,
            to=state,
            allowed=(*_OPEN, SubmissionState.SUBMITTED),
            values={
                "transient": str(transient),
                "permanent": str(permanent),
                "problem": problem,
                "counted": int(counted),
                "not_before": not_before,
            },
        )
        if truncated is not None:
            transaction.write(
                "UPDATE runs SET truncated = coalesce(truncated, 0) + ? "
                "WHERE id = (SELECT run FROM submissions WHERE key = ?)",
                truncated,
                str(key),
            )
        transaction.record_event(
            str(state),
            key=key,
            problem=problem,
            transient=len(transient),
            permanent=len(permanent),
            outcome=detail or {},
        )
