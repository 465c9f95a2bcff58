"""Totals of a project from its ledger: requests by state, batches in flight, tokens, errors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from runner.ledger.notifications import open_problems
from runner.ledger.queries import attempt_outcomes
from runner.ledger.records import RunState
from runner.planning.shards import shard_progress
from runner.views.attempts import Failure, read_failures
from runner.views.token_usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from runner.ledger.queries import AttemptOutcome
    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.spec.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTotals:
    """The totals of one job: of the run of its wanted revision, as the last pass left it.

    `tokens` are those that the batches of that run report.
    """

    name: str
    state: RunState
    succeeded: int = 0
    failed: int = 0
    pending: int = 0
    tokens: TokenUsage = field(default_factory=TokenUsage)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTotals:
    """The totals of a project at one moment.

    `in_flight` counts batches by provider and status. `oldest` is when the oldest of them was
    submitted, in Unix seconds; None without batches. `problem_count` counts the open problems.
    """

    jobs: tuple[JobTotals, ...]
    in_flight: Mapping[tuple[str, str], int]
    oldest: float | None
    problem_count: int


def project_totals(jobs: Sequence[Job], ledger: Ledger) -> ProjectTotals:
    """Count the requests of these jobs, and all batches in flight, from the ledger."""
    runs = {(run.job, run.revision): run for run in ledger.runs()}
    wanted = {record.name: record.desired_revision for record in ledger.jobs()}
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
        problem_count=len(open_problems(ledger)),
    )


def _job(name: str, run: Run | None, ledger: Ledger) -> JobTotals:
    if run is None:
        return JobTotals(name=name, state=RunState.PENDING)
    succeeded, failed = run.succeeded, run.failed
    if not run.state.final:
        whole = ledger.run(run.id)
        all_progress = [shard_progress(whole, shard, whole.attempts) for shard in whole.shards]
        succeeded = sum(len(progress.succeeded) for progress in all_progress)
        failed = sum(len(progress.failed) for progress in all_progress)
    return JobTotals(
        name=name,
        state=run.state,
        succeeded=succeeded,
        failed=failed,
        pending=max(run.requests - succeeded - failed, 0),
        tokens=TokenUsage.sum(batch.get("usage") for _, batch in ledger.batches(run.id)),
    )


_MOST_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorKind:
    """One kind of failure: the number of requests, over all attempts, and the jobs they are of."""

    code: str
    count: int
    jobs: tuple[str, ...]
    examples: tuple[str, ...]


def count_errors(ledger: Ledger, shown: Collection[str]) -> tuple[ErrorKind, ...]:
    """Count the failures of these jobs over all attempts, the most frequent kind first."""
    counts: dict[str, int] = {}
    jobs: dict[str, dict[str, None]] = {}
    examples: dict[str, list[str]] = {}
    for ending in attempt_outcomes(ledger):
        if ending.job not in shown:
            continue
        for failure in _failures(ending):
            code = failure.code
            counts[code] = counts.get(code, 0) + failure.count
            jobs.setdefault(code, {})[ending.job] = None
            kept = examples.setdefault(code, [])
            kept += [text for text in failure.examples if text not in kept]
            del kept[_MOST_EXAMPLES:]
    return tuple(
        ErrorKind(code=code, count=count, jobs=tuple(jobs[code]), examples=tuple(examples[code]))
        for code, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    )


def _failures(ending: AttemptOutcome) -> Iterator[Failure]:
    """Yield each kind of failure of a closed attempt."""
    if ending.kind not in ("collected", "matched_by_order"):
        problem = ending.detail.get("problem")
        examples = (problem,) if isinstance(problem, str) else ()
        yield Failure(code=f"batch {ending.kind}", count=ending.requests, examples=examples)
        return
    outcome = ending.detail.get("outcome")
    if not isinstance(outcome, dict):
        return
    yield from read_failures(outcome)
    if missing := outcome.get("missing"):
        yield Failure(code="in neither file", count=missing, examples=())
