"""The figures of a project: how many jobs, requests and batches are where. Asks nobody."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.ledger.notifications import open_problems
from runner.ledger.records import RunState
from runner.planning.shard_progress import shard_progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.spec.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTotals:
    """One job: the run that its spec asks for, as the last pass left it.

    `tokens` are those that the batches of that run report, by kind; empty where they report none.
    """

    name: str
    state: RunState
    succeeded: int = 0
    failed: int = 0
    pending: int = 0
    tokens: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTotals:
    """A project at one moment.

    `in_flight` counts batches by provider and status; `oldest` is when the oldest of them was
    submitted, in Unix seconds, None where there is none.
    """

    jobs: tuple[JobTotals, ...]
    in_flight: Mapping[tuple[str, str], int]
    oldest: float | None
    troubles: int


def project_totals(jobs: Sequence[Job], ledger: Ledger) -> ProjectTotals:
    """Count what the ledger knows of these jobs, and of everything in flight."""
    runs = {(run.job, run.revision): run for run in ledger.runs()}
    wanted = {record.name: record.wanted for record in ledger.jobs()}
    rows = ledger.query(
        "SELECT runs.provider, coalesce(batches.status, 'submitted') AS status, "
        "submissions.submitted_at FROM submissions "
        "JOIN runs ON runs.id = submissions.run "
        "LEFT JOIN batches ON batches.submission = submissions.key "
        "AND batches.id = submissions.batch_id WHERE submissions.state = 'submitted'"
    )
    return ProjectTotals(
        jobs=tuple(
            _job(job.name, runs.get((job.name, wanted.get(job.name) or "")), ledger) for job in jobs
        ),
        in_flight=Counter((row["provider"], row["status"]) for row in rows),
        oldest=min((row["submitted_at"] for row in rows if row["submitted_at"]), default=None),
        troubles=len(open_problems(ledger)),
    )


def _job(name: str, run: Run | None, ledger: Ledger) -> JobTotals:
    if run is None:
        return JobTotals(name=name, state=RunState.PENDING, tokens={})
    succeeded, failed = run.succeeded, run.failed
    if not run.state.final:
        whole = ledger.run(run.id)
        standings = [shard_progress(whole, shard, whole.attempts) for shard in whole.shards]
        succeeded = sum(len(standing.answered) for standing in standings)
        failed = sum(len(standing.failed) for standing in standings)
    return JobTotals(
        name=name,
        state=run.state,
        succeeded=succeeded,
        failed=failed,
        pending=max(run.requests - succeeded - failed, 0),
        tokens=_tokens(run, ledger),
    )


def _tokens(run: Run, ledger: Ledger) -> dict[str, int]:
    """Add up what the batches of a run report, by kind, where they report a number."""
    [row] = ledger.query(
        "SELECT sum(iif(json_type(usage, '$.input_tokens') = 'integer', "
        "json_extract(usage, '$.input_tokens'), NULL)) AS input, "
        "sum(iif(json_type(usage, '$.output_tokens') = 'integer', "
        "json_extract(usage, '$.output_tokens'), NULL)) AS output "
        "FROM batches JOIN submissions ON submissions.key = batches.submission "
        "AND submissions.batch_id = batches.id WHERE submissions.run = ? "
        "AND batches.usage IS NOT NULL",
        run.id,
    )
    return {kind: row[kind] for kind in ("input", "output") if row[kind] is not None}
