"""Conversion between the ledger's rows and frozen values.

The `insert_…` and `upsert_…` functions write rows inside a transaction, the `read_…` functions
convert rows that a query returned.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.batch import CLASSIC_FIELDS, NEWER_FIELDS, Batch
from runner.errors import LedgerError
from runner.inputs.row_set import RowSet
from runner.ledger.records import (
    Event,
    Run,
    RunState,
    ShardRecord,
    Submission,
    SubmissionKey,
    SubmissionState,
    Tag,
)

if TYPE_CHECKING:
    import sqlite3

    from runner.ledger.connection import Transaction
    from runner.ledger.records import FileRecord


def insert_submission(transaction: Transaction, run: int, submission: Submission) -> None:
    """Insert a submission of a run, in any state."""
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


def insert_file(transaction: Transaction, key: SubmissionKey, record: FileRecord) -> None:
    """Insert a result file of a submission; a second download replaces the first."""
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
    key: SubmissionKey | None,
    *,
    carries: SubmissionKey | None = None,
) -> None:
    """Insert or update a Batch object: a column for each field of the reference, and the raw JSON.

    `key` is its submission, if it has one in this ledger; `carries` is the submission key that the
    batch has at the provider, in its metadata or in the name of its file.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """The batches that are or may be in flight for one model at one provider.

    `tokens` is the sum over shards with an exact token count, `uncounted_bytes` the size of the
    others. `exact`: every shard was counted, and every batch holds a whole shard.
    """

    provider: str
    model: str | None
    batches: int
    tokens: int
    uncounted_bytes: int
    exact: bool


def read_run(
    row: sqlite3.Row,
    shards: tuple[ShardRecord, ...] = (),
    submissions: tuple[Submission, ...] = (),
) -> Run:
    """Return a run from its row; shards and submissions are passed in if they are needed."""
    values: dict[str, Any] = {column: row[column] for column in row.keys()}  # noqa: SIM118
    values |= {
        "state": RunState(row["state"]),
        "superseded": bool(row["superseded"]),
        "cancel_requested": bool(row["cancel_requested"]),
    }
    return Run(**values, shards=shards, submissions=submissions)


def read_shard(row: sqlite3.Row) -> ShardRecord:
    """Return a shard from its row."""
    values: dict[str, Any] = {column: row[column] for column in row.keys() if column != "run"}  # noqa: SIM118
    values |= {"rows": RowSet.parse(row["rows"]), "whole": bool(row["whole"])}
    return ShardRecord(**values)


def read_in_flight(row: sqlite3.Row) -> InFlight:
    """Return the sums of one provider and model from a row."""
    values: dict[str, Any] = {column: row[column] for column in row.keys()}  # noqa: SIM118
    return InFlight(**values | {"exact": bool(row["exact"])})


def read_submission(row: sqlite3.Row) -> Submission:
    """Return a submission from its row, with its Batch object as last recorded.

    Raises LedgerError if its key is unreadable.
    """
    key = SubmissionKey.parse(row["key"])
    if key is None:
        raise LedgerError(f"the ledger holds a submission with an unreadable key: {row['key']!r}")
    left_out = {"run", "shard", "attempt"}
    values: dict[str, Any] = {
        column: row[column]
        for column in row.keys()  # noqa: SIM118 -- a Row iterates over its values
        if column not in left_out
    }
    values |= {
        "key": key,
        "batch": None if row["batch"] is None else Batch.from_api(json.loads(row["batch"])),
        "state": SubmissionState(row["state"]),
        "counted": bool(row["counted"]),
        "rows": RowSet.parse(row["rows"]),
        "transient": None if row["transient"] is None else RowSet.parse(row["transient"]),
        "permanent": None if row["permanent"] is None else RowSet.parse(row["permanent"]),
    }
    return Submission(**values)


def read_event(row: sqlite3.Row) -> Event:
    """Return an event from its row."""
    return Event(
        at=row["at"],
        kind=row["kind"],
        job=row["job"],
        revision=row["revision"],
        submission=row["submission"],
        batch=row["batch"],
        detail=json.loads(row["detail"]),
    )
