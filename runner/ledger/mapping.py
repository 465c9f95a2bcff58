"""How values become rows: shared by the transitions, each of which is one transaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runner.batch import CLASSIC_FIELDS, NEWER_FIELDS
from runner.ledger.records import Tag

if TYPE_CHECKING:
    from runner.batch import Batch
    from runner.ledger.records import FileRecord, Key, Submission
    from runner.ledger.transaction import Transaction


def insert_submission(transaction: Transaction, run: int, submission: Submission) -> None:
    """Insert an attempt of a run, as far as it has come."""
    key = submission.key
    transaction.insert(
        "submissions",
        {
            "key": str(key),
            "run": run,
            "shard": key.shard,
            "attempt": key.attempt,
            "round": submission.round,
            "state": submission.state,
            "rows": str(submission.rows),
            "requests": submission.requests,
            "bytes": submission.bytes,
            "sha256": submission.sha256,
            "counted": int(submission.counted),
            "input_file_id": submission.input_file_id,
            "batch_id": submission.batch_id,
            "not_before": submission.not_before,
            "submitted_at": submission.submitted_at,
            "transient": None if submission.transient is None else str(submission.transient),
            "permanent": None if submission.permanent is None else str(submission.permanent),
            "problem": submission.problem,
        },
    )


def insert_file(transaction: Transaction, key: Key, record: FileRecord) -> None:
    """Record a result file of a submission; a second download replaces the first."""
    transaction.write(
        "INSERT OR REPLACE INTO files (submission, kind, file_id, path, bytes, sha256, "
        "downloaded_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        str(key),
        record.kind,
        record.file_id,
        record.path,
        record.bytes,
        record.sha256,
        transaction.now,
    )


def upsert_batch(
    transaction: Transaction,
    provider: str,
    batch: Batch,
    key: Key | None,
    *,
    carries: Key | None = None,
) -> None:
    """Store a Batch object, a column for each field of the reference, and the whole of it.

    `key` is the submission it belongs to, if it is one of this ledger's; `carries` the key that
    it goes by at the provider, in its metadata or in the name of its file.
    """
    tag = Tag.of(batch)
    carries = carries or key or (None if tag is None else tag.key)
    values: dict[str, object] = {
        "provider": provider,
        "submission": None if key is None else str(key),
        "tag": None if carries is None else str(carries),
        "raw": json.dumps(batch.raw, ensure_ascii=False),
        "first_seen_at": transaction.now,
        "changed_at": transaction.now,
    }
    for field in (*CLASSIC_FIELDS, *NEWER_FIELDS):
        values[field] = _column(field, batch)
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    updates = ", ".join(
        f"{column} = excluded.{column}"
        for column in values
        if column not in ("provider", "id", "submission", "first_seen_at")
    )
    transaction.write(
        f"INSERT INTO batches ({columns}) VALUES ({marks}) "  # noqa: S608 -- our own names
        f"ON CONFLICT (provider, id) DO UPDATE SET {updates}, "
        f"submission = coalesce(excluded.submission, submission)",
        *values.values(),
    )


def _column(field: str, batch: Batch) -> Any:  # noqa: ANN401 -- as the API has it
    if field in ("errors", "request_counts", "metadata", "usage"):
        value = batch.raw.get(field)
        return None if value is None else json.dumps(value, ensure_ascii=False)
    if field == "object":
        value = batch.raw.get("object")
        return value if isinstance(value, str) else None
    return getattr(batch, field)
