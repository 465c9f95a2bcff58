"""What the ledger knows across all jobs: for those who look at a project as a whole.

Each question is one read, however many jobs there are; `Ledger` answers those about one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.ledger.store import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended, as its last event tells; `key` names the submission.

    `detail` holds the counts by error code of one that was collected, or the problem of one that
    was not.
    """

    job: str
    key: str
    kind: str
    requests: int
    detail: Mapping[str, Any]


def batches_by_run(ledger: Ledger) -> dict[int, list[tuple[str, dict[str, Any]]]]:
    """Return (submission key, Batch object verbatim) of every run, as `Ledger.batches` does."""
    found: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    for row in ledger.query(
        "SELECT run, submission, raw FROM batches JOIN submissions "
        "ON submissions.key = batches.submission AND submissions.batch_id = batches.id "
        "ORDER BY run, shard, attempt"
    ):
        found.setdefault(row["run"], []).append((row["submission"], json.loads(row["raw"])))
    return found


def endings(ledger: Ledger) -> Iterator[Ending]:
    """Yield how each attempt ended that has ended, in the order in which they were made."""
    for row in ledger.query(
        "SELECT runs.job, submissions.key, submissions.requests, events.kind, events.detail "
        "FROM submissions JOIN runs ON runs.id = submissions.run "
        "JOIN (SELECT submission, max(id) AS last FROM events "
        "WHERE kind IN ('collected', 'failed', 'lost', 'abandoned') GROUP BY submission) AS ends "
        "ON ends.submission = submissions.key "
        "JOIN events ON events.id = ends.last ORDER BY events.id"
    ):
        yield Ending(
            job=row["job"],
            key=row["key"],
            kind=row["kind"],
            requests=row["requests"],
            detail=json.loads(row["detail"]),
        )


def last_changes(ledger: Ledger) -> dict[str, float]:
    """Return when something last happened to each job, in Unix seconds."""
    return {
        row["job"]: row["at"]
        for row in ledger.query(
            "SELECT job, max(at) AS at FROM events WHERE job IS NOT NULL GROUP BY job"
        )
    }
