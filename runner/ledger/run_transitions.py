"""The state transitions of jobs and runs, each in one transaction with its event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import LedgerError
from runner.ledger.mapping import insert_file, insert_submission, upsert_batch
from runner.ledger.records import RunState, SubmissionState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runner.batch import Batch
    from runner.inputs.row_set import RowSet
    from runner.ledger.connection import Transaction
    from runner.ledger.records import (
        FileRecord,
        JobRecord,
        Run,
        ShardRecord,
        Submission,
        SubmissionKey,
    )
    from runner.ledger.store import Ledger


def set_desired(ledger: Ledger, job: JobRecord) -> None:
    """Record the desired revision of a job, and its spec."""
    with ledger.transaction() as transaction:
        _write_desired(transaction, job)


def clear_desired(ledger: Ledger, job: str) -> None:
    """Record that a job has no spec any more."""
    with ledger.transaction() as transaction:
        transaction.write(
            "UPDATE jobs SET wanted = NULL, updated_at = ? WHERE name = ?", transaction.now, job
        )
        transaction.record_event("spec_gone", job=job)


def start_run(ledger: Ledger, job: JobRecord, run: Run, shards: Iterable[ShardRecord]) -> int:
    """Record a new run with its shards and return the run's id.

    Raises LedgerError if the shards do not hold all of its requests: such a run could end without
    having submitted every request.
    """
    shards = tuple(shards)
    if sum(len(shard.rows) for shard in shards) != run.requests:
        raise LedgerError(f"run {run.job}/{run.short} has shards that do not hold its requests")
    with ledger.transaction() as transaction:
        _write_desired(transaction, job)
        identifier = _insert_run(transaction, run, shards)
        _note_spec(transaction, job)
        transaction.record_event(
            "run_started",
            job=run.job,
            revision=run.short,
            requests=run.requests,
            input=run.input_path,
        )
    return identifier


def restore_run(
    ledger: Ledger,
    job: JobRecord,
    run: Run,
    submissions: Sequence[tuple[Submission, Batch | None, Sequence[FileRecord]]],
) -> int:
    """Record a finished run of another ledger, read from its record on disk, as the desired one."""
    with ledger.transaction() as transaction:
        _write_desired(transaction, job)
        identifier = _restore(transaction, run, submissions)
        _note_spec(transaction, job)
    return identifier


def restore_history(
    ledger: Ledger,
    run: Run,
    submissions: Sequence[tuple[Submission, Batch | None, Sequence[FileRecord]]],
) -> int:
    """Record a finished run of another ledger without changing the job's desired revision."""
    with ledger.transaction() as transaction:
        transaction.write(
            "INSERT INTO jobs (name, spec_path, spec_line, spec_sha256, spec_document, "
            "updated_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
            run.job,
            run.spec_path,
            run.spec_line,
            run.spec_sha256,
            run.spec_document,
            transaction.now,
        )
        return _restore(transaction, run, submissions)


def _restore(
    transaction: Transaction,
    run: Run,
    submissions: Sequence[tuple[Submission, Batch | None, Sequence[FileRecord]]],
) -> int:
    identifier = _insert_run(transaction, run, run.shards)
    for submission, batch, files in submissions:
        insert_submission(transaction, identifier, submission)
        if batch is not None:
            upsert_batch(transaction, run.provider, batch, submission.key)
        for record in files:
            insert_file(transaction, submission.key, record)
    transaction.record_event("run_restored", job=run.job, revision=run.short, state=run.state)
    return identifier


def relocate_run(ledger: Ledger, run: Run, job: JobRecord, folder: str) -> None:
    """Move a run to the job whose spec has its revision now, or to another output folder."""
    with ledger.transaction() as transaction:
        _write_desired(transaction, job)
        transaction.write(
            "UPDATE runs SET job = ?, folder = ? WHERE id = ?", job.name, folder, run.id
        )
        _note_spec(transaction, job)
        transaction.record_event(
            "run_moved", job=job.name, revision=run.short, was_job=run.job, was_folder=run.folder
        )


def reopen_run(
    ledger: Ledger,
    run: Run,
    *,
    next_round: bool,
    attempts: int,
    unmatched: Iterable[SubmissionKey] = (),
) -> None:
    """Continue a finished run: its spec is back, or the user requested a retry (`next_round`).

    `unmatched` are the collected submissions whose files are read once more.
    """
    with ledger.transaction(durable=True) as transaction:
        transaction.write(
            "UPDATE runs SET state = ?, reason = NULL, superseded = 0, cancel_requested = 0, "
            "finished_at = NULL, tidied_at = NULL, round = round + ?, attempts = ? WHERE id = ?",
            RunState.RUNNING,
            int(next_round),
            attempts,
            run.id,
        )
        # A lost batch may be visible again (another API key or address): check the provider once
        # more before its requests are submitted and paid again.
        transaction.write(
            "UPDATE submissions SET state = ?, transient = NULL, permanent = NULL "
            "WHERE run = ? AND state = ?",
            SubmissionState.SUBMITTED,
            run.id,
            SubmissionState.LOST,
        )
        # The files of these may hold by now what they lacked.
        for key in unmatched:
            transaction.move(
                key,
                to=SubmissionState.SUBMITTED,
                allowed=(SubmissionState.COLLECTED,),
                values={"transient": None, "permanent": None},
            )
        transaction.record_event("run_reopened", job=run.job, revision=run.short, asked=next_round)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMatch:
    """What changes of a collected submission whose lines were matched by order.

    `file` holds the lines with their custom_ids. `transient` and `permanent` are the rows that are
    still without a success, `problem` says what was done, `detail` counts the lines.
    """

    key: SubmissionKey
    file: FileRecord
    transient: RowSet
    permanent: RowSet
    problem: str
    detail: Mapping[str, object]


def match_by_order(ledger: Ledger, run: Run, matches: Iterable[OrderMatch]) -> None:
    """Record which lines of a final run were matched by order, and let the run finish once more.

    The round stays, and so does a request to cancel: nothing is submitted because of this.
    """
    with ledger.transaction(durable=True) as transaction:
        transaction.write(
            "UPDATE runs SET state = ?, reason = NULL, finished_at = NULL, tidied_at = NULL "
            "WHERE id = ?",
            RunState.RUNNING,
            run.id,
        )
        for match in matches:
            transaction.move(
                match.key,
                to=SubmissionState.COLLECTED,
                allowed=(SubmissionState.COLLECTED,),
                values={
                    "transient": str(match.transient),
                    "permanent": str(match.permanent),
                    "problem": match.problem,
                },
            )
            insert_file(transaction, match.key, match.file)
            transaction.record_event(
                "matched_by_order",
                key=match.key,
                problem=match.problem,
                transient=len(match.transient),
                permanent=len(match.permanent),
                outcome=dict(match.detail),
            )


def request_cancel(ledger: Ledger, run: Run) -> None:
    """Record that the user cancels a run."""
    with ledger.transaction(durable=True) as transaction:
        transaction.write("UPDATE runs SET cancel_requested = 1 WHERE id = ?", run.id)
        transaction.record_event("cancel_requested", job=run.job, revision=run.short)


def finish_run(
    ledger: Ledger,
    run: Run,
    *,
    state: RunState,
    reason: str | None,
    succeeded: int,
    failed: int,
    superseded: bool,
    truncated: int | None = None,
) -> None:
    """Record that the final files of a run are in place."""
    with ledger.transaction(durable=True) as transaction:
        transaction.write(
            "UPDATE runs SET state = ?, reason = ?, succeeded = ?, failed = ?, truncated = ?, "
            "superseded = ?, finished_at = ? WHERE id = ?",
            state,
            reason,
            succeeded,
            failed,
            truncated,
            int(superseded),
            transaction.now,
            run.id,
        )
        transaction.record_event(
            "run_finished",
            job=run.job,
            revision=run.short,
            state=state,
            reason=reason,
            succeeded=succeeded,
            failed=failed,
            truncated=truncated,
        )


def submission_files_deleted(
    ledger: Ledger, key: SubmissionKey, *, deleted: Sequence[str], left: Mapping[str, str]
) -> None:
    """Record that the files of a submission were deleted at the provider.

    `left` maps the id of each file that could not be deleted to the reason: deletion is best effort
    (fact sheet, failure 33).
    """
    with ledger.transaction() as transaction:
        transaction.write(
            "UPDATE submissions SET tidied_at = ? WHERE key = ?", transaction.now, str(key)
        )
        transaction.record_event("tidied", key=key, deleted=list(deleted), left=dict(left))


def run_files_deleted(ledger: Ledger, run: Run) -> None:
    """Record that all files of a run that can be deleted at the provider were deleted."""
    with ledger.transaction() as transaction:
        transaction.write("UPDATE runs SET tidied_at = ? WHERE id = ?", transaction.now, run.id)


def _write_desired(transaction: Transaction, job: JobRecord) -> None:
    transaction.write(
        "INSERT INTO jobs (name, wanted, spec_path, spec_line, spec_sha256, spec_document, "
        "updated_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
        "wanted = excluded.wanted, spec_path = excluded.spec_path, "
        "spec_line = excluded.spec_line, spec_sha256 = excluded.spec_sha256, "
        "spec_document = excluded.spec_document, updated_at = excluded.updated_at",
        job.name,
        job.desired_revision,
        job.spec_path,
        job.spec_line,
        job.spec_sha256,
        job.spec_document,
        transaction.now,
    )
    _note_spec(transaction, job)


def _note_spec(transaction: Transaction, job: JobRecord) -> None:
    """Store the spec document in the run of the desired revision; later ones may have another."""
    transaction.write(
        "UPDATE runs SET spec_path = ?, spec_line = ?, spec_sha256 = ?, spec_document = ? "
        "WHERE job = ? AND revision = ?",
        job.spec_path,
        job.spec_line,
        job.spec_sha256,
        job.spec_document,
        job.name,
        job.desired_revision,
    )


def _insert_run(transaction: Transaction, run: Run, shards: Iterable[ShardRecord]) -> int:
    columns = (
        "job", "revision", "state", "reason", "provider", "base_url", "endpoint", "replicate",
        "digest", "requests", "bytes", "input_path", "folder", "git", "spec_path", "spec_line",
        "spec_sha256", "spec_document", "attempts", "succeeded", "failed", "superseded",
        "created_at", "finished_at", "truncated",
    )  # fmt: skip
    identifier = transaction.insert("runs", {column: getattr(run, column) for column in columns})
    for shard in shards:
        transaction.insert(
            "shards",
            {
                "run": identifier,
                "number": shard.number,
                "model": shard.model,
                "rows": str(shard.rows),
                "requests": shard.requests,
                "bytes": shard.bytes,
                "sha256": shard.sha256,
                "offset": shard.offset,
                "ids_offset": shard.ids_offset,
                "whole": int(shard.whole),
                "tokens": shard.tokens,
            },
        )
    return identifier
