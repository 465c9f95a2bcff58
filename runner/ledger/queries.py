"""Queries across many jobs and runs, for views and reports.

Each function runs one to three queries, however many jobs there are: one query for each job would
be a thousand queries in a project of a thousand jobs. Queries about one run are in `store.Ledger`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from runner.inputs.reading import Fingerprint
from runner.ledger.mapping import read_event, read_run, read_shard, read_submission
from runner.ledger.records import SubmissionState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runner.ledger.records import Event, Run, ShardRecord, Submission
    from runner.ledger.store import Ledger


EVENT_KINDS: Final = (
    "run_started",
    "run_restored",
    "run_moved",
    "run_reopened",
    "run_finished",
    "spec_gone",
    "cancel_requested",
    "prepared",
    "uploading",
    "uploaded",
    "file_adopted",
    "too_large",
    "creating",
    "submitted",
    "batch_adopted",
    "outcome_unknown",
    "not_sent",
    "batch_changed",
    "batch_not_found",
    "overdue",
    "downloaded",
    "collected",
    "matched_by_order",
    "failed",
    "lost",
    "abandoned",
    "tidied",
    "trouble",
    "recovered",
    "told",
    "not_told",
)
"""Every kind of event, in the order in which they occur in a run.

The last four belong to passes: problems, and notifications of subscribers.
"""

_ENDED: Final = json.dumps([state for state in SubmissionState if state.closed])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBatch:
    """A batch of a run: the Batch object verbatim, and whether its results are still awaited.

    `requests` is the number of requests that were submitted in it.
    """

    awaited: bool
    requests: int
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionSummary:
    """The submissions of a run: its batches in order, and the number of attempts.

    `attempts` is the highest attempt number; `any_ended`: at least one submission has ended.
    """

    batches: tuple[RunBatch, ...] = ()
    attempts: int = 0
    any_ended: bool = False


def jobs_with_runs(ledger: Ledger) -> frozenset[str]:
    """Return the names of the jobs that have a run."""
    return frozenset(row["job"] for row in ledger.query("SELECT DISTINCT job FROM runs"))


def submission_summaries(ledger: Ledger, runs: Sequence[int]) -> dict[int, SubmissionSummary]:
    """Return a summary of the submissions of each run; runs without one are left out."""
    batches: dict[int, list[RunBatch]] = {}
    for row in ledger.query(
        "SELECT run, state, requests, raw FROM submissions "
        "JOIN batches ON submissions.key = batches.submission "
        "AND submissions.batch_id = batches.id "
        "WHERE run IN (SELECT value FROM json_each(?)) ORDER BY run, shard, attempt",
        json.dumps(runs),
    ):
        batches.setdefault(row["run"], []).append(
            RunBatch(
                awaited=row["state"] == SubmissionState.SUBMITTED,
                requests=row["requests"],
                raw=json.loads(row["raw"]),
            )
        )
    return {
        row["run"]: SubmissionSummary(
            batches=tuple(batches.get(row["run"], ())),
            attempts=row["attempts"],
            any_ended=bool(row["any_ended"]),
        )
        for row in ledger.query(
            "SELECT run, max(attempt) AS attempts, "
            "max(state IN (SELECT value FROM json_each(?))) AS any_ended "
            "FROM submissions WHERE run IN (SELECT value FROM json_each(?)) GROUP BY run",
            _ENDED,
            json.dumps(runs),
        )
    }


def runs_with_submissions(ledger: Ledger, identifiers: Sequence[int]) -> tuple[Run, ...]:
    """Return these runs with their shards and submissions, oldest first."""
    some = json.dumps(identifiers)
    shards: dict[int, list[ShardRecord]] = {}
    for row in ledger.query(
        "SELECT * FROM shards WHERE run IN (SELECT value FROM json_each(?)) ORDER BY run, number",
        some,
    ):
        shards.setdefault(row["run"], []).append(read_shard(row))
    submissions: dict[int, list[Submission]] = {}
    for row in ledger.query(
        "SELECT *, NULL AS batch FROM submissions "
        "WHERE run IN (SELECT value FROM json_each(?)) ORDER BY run, shard, attempt",
        some,
    ):
        submissions.setdefault(row["run"], []).append(read_submission(row))
    return tuple(
        read_run(
            row,
            shards=tuple(shards.get(row["id"], ())),
            submissions=tuple(submissions.get(row["id"], ())),
        )
        for row in ledger.query(
            "SELECT * FROM runs WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", some
        )
    )


def cached_digests(
    ledger: Ledger, fingerprints: Iterable[Fingerprint]
) -> dict[Fingerprint, tuple[str, int]]:
    """Return (digest, requests) of the inputs that have not changed since they were hashed."""
    wanted = set(fingerprints)
    known = {
        Fingerprint(
            path=row["path"],
            size=row["size"],
            mtime_ns=row["mtime_ns"],
            ctime_ns=row["ctime_ns"],
            inode=row["inode"],
        ): (row["digest"], row["requests"])
        for row in ledger.query(
            "SELECT * FROM input_cache WHERE path IN (SELECT value FROM json_each(?))",
            json.dumps([fingerprint.path for fingerprint in wanted]),
        )
    }
    return {fingerprint: known[fingerprint] for fingerprint in wanted & known.keys()}


def history(
    ledger: Ledger,
    *,
    jobs: Sequence[str] | None = None,
    since: float | None = None,
    kinds: Sequence[str] | None = None,
    limit: int | None = None,
) -> tuple[Event, ...]:
    """Return the newest `limit` events of some jobs and kinds since a time, oldest first.

    None selects all. The events of a job include those under its earlier names.
    """
    conditions, values = ["TRUE"], list[object]()
    if jobs is not None:
        conditions.append(
            "(job IN (SELECT value FROM json_each(?)) OR submission IN "
            "(SELECT key FROM submissions JOIN runs ON runs.id = submissions.run "
            "WHERE runs.job IN (SELECT value FROM json_each(?))))"
        )
        values += [json.dumps(jobs)] * 2
    if since is not None:
        conditions.append("at >= ?")
        values.append(since)
    if kinds is not None:
        conditions.append("kind IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(kinds))
    rows = ledger.query(
        f"SELECT * FROM events WHERE {' AND '.join(conditions)} "  # noqa: S608 -- our own words
        f"ORDER BY id DESC LIMIT ?",
        *values,
        -1 if limit is None else limit,
    )
    return tuple(read_event(row) for row in reversed(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """The outcome of an ended submission, from its last event; `key` is the submission key.

    `detail` holds the counts by error code if it was collected, else the problem.
    """

    job: str
    key: str
    kind: str
    requests: int
    detail: Mapping[str, Any]


def batches_by_run(ledger: Ledger) -> dict[int, list[tuple[str, dict[str, Any]]]]:
    """Return the result of `Ledger.batches` for every run: (submission key, raw Batch object)."""
    found: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    for row in ledger.query(
        "SELECT run, submission, raw FROM batches JOIN submissions "
        "ON submissions.key = batches.submission AND submissions.batch_id = batches.id "
        "ORDER BY run, shard, attempt"
    ):
        found.setdefault(row["run"], []).append((row["submission"], json.loads(row["raw"])))
    return found


def attempt_outcomes(ledger: Ledger) -> Iterator[AttemptOutcome]:
    """Yield the outcome of each ended submission, in the order in which they ended."""
    for row in ledger.query(
        "SELECT runs.job, submissions.key, submissions.requests, events.kind, events.detail "
        "FROM submissions JOIN runs ON runs.id = submissions.run "
        "JOIN (SELECT submission, max(id) AS last FROM events "
        "WHERE kind IN ('collected', 'matched_by_order', 'failed', 'lost', 'abandoned') "
        "GROUP BY submission) AS ends "
        "ON ends.submission = submissions.key "
        "JOIN events ON events.id = ends.last ORDER BY events.id"
    ):
        yield AttemptOutcome(
            job=row["job"],
            key=row["key"],
            kind=row["kind"],
            requests=row["requests"],
            detail=json.loads(row["detail"]),
        )


def last_changes(ledger: Ledger) -> dict[str, float]:
    """Return the time of the last event of each job, in Unix seconds."""
    return {
        row["job"]: row["at"]
        for row in ledger.query(
            "SELECT job, max(at) AS at FROM events WHERE job IS NOT NULL GROUP BY job"
        )
    }


def batch_durations(ledger: Ledger) -> dict[str, tuple[float, ...]]:
    """Return how long the last 100 completed batches of each provider took, in seconds."""
    found: dict[str, list[float]] = {}
    for row in ledger.query(
        "SELECT provider, completed_at - created_at AS seconds FROM (SELECT *, row_number() OVER "
        "(PARTITION BY provider ORDER BY completed_at DESC) AS place FROM batches "
        "WHERE completed_at >= created_at AND status = 'completed') WHERE place <= 100"
    ):
        found.setdefault(row["provider"], []).append(row["seconds"])
    return {provider: tuple(seconds) for provider, seconds in found.items()}
