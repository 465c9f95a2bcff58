"""How rows become values again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.batch import Batch
from runner.errors import LedgerError
from runner.inputs.row_set import RowSet
from runner.ledger.records import (
    Event,
    Key,
    Run,
    RunState,
    ShardRecord,
    Submission,
    SubmissionState,
)

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """What is in flight, or may be, for one model at one provider.

    `tokens` are those of shards that were counted, `uncounted_bytes` the size of the others.
    `exact` says that all was counted, and none of it taken as a part of its shard's tokens.
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
    """Read a run; its parts are given where they were asked for."""
    values: dict[str, Any] = {column: row[column] for column in row.keys()}  # noqa: SIM118
    values |= {
        "state": RunState(row["state"]),
        "superseded": bool(row["superseded"]),
        "cancel_requested": bool(row["cancel_requested"]),
    }
    return Run(**values, shards=shards, submissions=submissions)


def read_shard(row: sqlite3.Row) -> ShardRecord:
    """Read a shard."""
    values: dict[str, Any] = {column: row[column] for column in row.keys() if column != "run"}  # noqa: SIM118
    values |= {"rows": RowSet.parse(row["rows"]), "whole": bool(row["whole"])}
    return ShardRecord(**values)


def read_in_flight(row: sqlite3.Row) -> InFlight:
    """Read a sum over submissions."""
    values: dict[str, Any] = {column: row[column] for column in row.keys()}  # noqa: SIM118
    return InFlight(**values | {"exact": bool(row["exact"])})


def read_submission(row: sqlite3.Row) -> Submission:
    """Read a submission, with the Batch object as last recorded; raises LedgerError."""
    key = Key.parse(row["key"])
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
    """Read one line of the history."""
    return Event(
        at=row["at"],
        kind=row["kind"],
        job=row["job"],
        revision=row["revision"],
        submission=row["submission"],
        batch=row["batch"],
        detail=json.loads(row["detail"]),
    )
