"""The state of each job, read from the specs and the ledger; no provider is called."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from runner.batch import TERMINAL, Batch, known_status, sum_usage
from runner.errors import InvalidInput
from runner.inputs.reading import Fingerprint
from runner.ledger import queries
from runner.ledger.notifications import open_problems
from runner.ledger.records import RunState
from runner.planning.shards import shard_progress
from runner.reconcile.desired import identify, job_folder, shown_path
from runner.spec.identity import REVISION_SHOWN
from runner.spec.job import METADATA_KEY
from runner.views.token_usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runner.ledger.notifications import OpenProblem
    from runner.ledger.queries import SubmissionSummary
    from runner.ledger.records import Event, Run
    from runner.ledger.store import Ledger
    from runner.outputs.failures import FailureKind
    from runner.spec.job import Job
    from runner.spec.project import Project


_BLOCK = 1 << 20
_NEVER = "not reconciled yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Why the next pass cannot go on with a job by itself, as the last pass found it.

    `since` is in Unix seconds. `provider` is None where the reason is on this machine: a disk, or
    an input.
    """

    reason: str
    since: float
    provider: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """How many requests have succeeded and failed so far.

    `source` is `provider` if a part is what the provider reported of batches in flight when it was
    last queried; `results` if all was counted from results.
    """

    succeeded: int
    failed: int
    source: Literal["provider", "results"] = "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """The state of one job, as `runner status` shows it.

    Attributes:
        revision: its first 12 digits, None while the input has never been read.
        note: what the ledger does not know yet, or the reason for the state of the run.
        batches: the Batch objects as received, in order of submission.
        awaited: the Batch objects whose results are awaited, not terminal yet.
        truncated: the answers so far that were cut at the token limit; None if that is not known.
        attempts: the most submissions of any request; 0 before the first one.
        spec: the file that describes the job, None if no spec does any more.
        created_at, finished_at: when the run began and ended, in Unix seconds.
        progress: the requests done so far, those in flight included; None before the first batch.
        blocked: why the next pass cannot go on by itself; None if it can, or if the run has ended.

    """

    name: str
    revision: str | None
    state: RunState
    total: int
    succeeded: int
    failed: int
    output_dir: str
    provider: str
    endpoint: str
    note: str | None
    batches: tuple[Mapping[str, Any], ...]
    awaited: tuple[Mapping[str, Any], ...] = ()
    attempts: int = 0
    completion_window: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    spec: str | None = None
    created_at: float | None = None
    finished_at: float | None = None
    truncated: int | None = None
    progress: JobProgress | None = None
    blocked: Blocked | None = None

    @property
    def done(self) -> JobProgress:
        """The requests done so far; none before the first batch."""
        return self.progress or JobProgress(succeeded=self.succeeded, failed=self.failed)

    @property
    def pending(self) -> int:
        """Requests that have neither a successful response nor a final error."""
        return max(self.total - self.succeeded - self.failed, 0)

    @property
    def in_flight(self) -> tuple[Batch, ...]:
        """The batches whose results are awaited."""
        return tuple(map(Batch.from_api, self.awaited))

    @property
    def usage(self) -> dict[str, Any] | None:
        """The sum of the `usage` objects of the batches, number by number; None without any."""
        return sum_usage(self.batches)

    @property
    def tokens(self) -> TokenUsage:
        """The tokens that the batches report."""
        return TokenUsage.sum(batch.get("usage") for batch in self.batches)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHistory:
    """The state of one job, its runs and its events.

    `failures` are the failed requests of a finished run, by kind; None if the run goes on, or its
    outputs cannot be read.
    """

    view: JobView
    runs: tuple[JobView, ...]
    events: tuple[Event, ...]
    failures: tuple[FailureKind, ...] | None = None


def job_views(
    project: Project,
    jobs: Sequence[Job],
    ledger: Ledger | None,
    *,
    jobs_without_spec: Sequence[str] = (),
) -> tuple[JobView, ...]:
    """Return the state of each of these jobs, in the order given, and then of `jobs_without_spec`.

    `jobs_without_spec` are names of jobs in the ledger that no spec describes. The number of
    queries does not grow with the number of jobs.
    """
    if ledger is None:
        return tuple(_unstarted(project, job, None, None) for job in jobs)
    runs: dict[str, dict[str, Run]] = {}
    for run in ledger.runs():
        runs.setdefault(run.job, {})[run.revision] = run
    wanted = {record.name: record.desired_revision for record in ledger.jobs()}
    digests = _digests(ledger, jobs)
    desired: list[tuple[Job, str | None, Run | None]] = []
    for job in jobs:
        digest = digests.get(job.input)
        recorded = runs.get(job.name, {})
        wanted_revision = (
            wanted.get(job.name) if digest is None else identify(project, job, digest[0], recorded)
        )
        desired.append((job, wanted_revision, recorded.get(wanted_revision or "")))
    without_spec = [
        _last_or_running(tuple(runs[name].values())) for name in jobs_without_spec if name in runs
    ]
    shown = [*(run for _, _, run in desired if run is not None), *without_spec]
    reader = _RunReader(project, ledger, shown)
    views = []
    for job, wanted_revision, current in desired:
        digest = digests.get(job.input)
        if current is None:
            views.append(_unstarted(project, job, wanted_revision, digest))
            continue
        others = [other for other in runs[job.name].values() if other is not current]
        views.append(reader.view(current, job, note=_note(digest is None, others)))
    views += [reader.view(run, None, note=_no_spec(run)) for run in without_spec]
    inputs = {job.name: job.input_shown for job in jobs}
    return tuple(_with_blocked(views, inputs, open_problems(ledger)))


def _with_blocked(
    views: Iterable[JobView], inputs: Mapping[str, str], problems: Mapping[str, OpenProblem]
) -> Iterator[JobView]:
    """Yield each job with the open problem that concerns it; `inputs` are their paths by job."""
    for view in views:
        subjects = {
            f"job {view.name}": view.provider,
            f"machine {view.name}": None,
            f"file {inputs.get(view.name)}": None,
            f"provider {view.provider}": view.provider,
        }
        found = next((subject for subject in subjects if subject in problems), None)
        if found is None or view.state.final:
            yield view
            continue
        problem = problems[found]
        blocked = Blocked(reason=problem.what, since=problem.began_at, provider=subjects[found])
        # It was reconciled: what the ledger lacks of it is what is blocked.
        note = None if view.note == _NEVER else view.note
        yield replace(view, blocked=blocked, note=note)


def job_history(project: Project, job: Job | None, name: str, ledger: Ledger) -> JobHistory | None:
    """Return all that the ledger has of a job; None if it has nothing and no spec describes it."""
    recorded = [run for run in ledger.runs() if run.job == name]
    runs = run_views(project, ledger, recorded, job)
    if job is not None:
        [view] = job_views(project, [job], ledger)
    elif runs:
        [view] = job_views(project, [], ledger, jobs_without_spec=[name])
    else:
        return None
    return JobHistory(
        view=view,
        runs=runs,
        events=queries.history(ledger, jobs=[name]),
        failures=_failures(view),
    )


def run_views(
    project: Project, ledger: Ledger, runs: Sequence[Run], job: Job | None = None
) -> tuple[JobView, ...]:
    """Return the state of each of these runs, in the order given.

    `job` is the job of all of them as its spec describes it, None if no spec does.
    """
    reader = _RunReader(project, ledger, runs)
    return tuple(reader.view(run, job) for run in runs)


def _failures(view: JobView) -> tuple[FailureKind, ...] | None:
    if not view.state.final or not view.failed:
        return None
    from runner.outputs.failures import failure_kinds

    return failure_kinds(Path(view.output_dir))


def _digests(ledger: Ledger, jobs: Sequence[Job]) -> dict[Path, tuple[str, int]]:
    """Return (digest, requests) of the inputs that have not changed since they were hashed."""
    prints: dict[Path, Fingerprint] = {}
    for job in jobs:
        try:
            prints[job.input] = Fingerprint.of(job.input)
        except InvalidInput:
            continue  # removed after its spec was read
    recorded = queries.cached_digests(ledger, prints.values())
    return {path: recorded[shape] for path, shape in prints.items() if shape in recorded}


def _last_or_running(runs: Sequence[Run]) -> Run:
    """Return the run that shows the state of a job without a spec: one not final, or the last."""
    return next((run for run in reversed(runs) if not run.state.final), runs[-1])


def _no_spec(run: Run) -> str | None:
    return None if run.state.final else "no valid spec describes it; it is followed to its end"


def _note(stale: bool, others: Iterable[Run]) -> str | None:  # noqa: FBT001
    """Write that the input may have changed, and which earlier revisions are still running."""
    notes = ["the input may have changed since the last reconcile"] if stale else []
    running = [run.short for run in others if not run.state.final]
    if running:
        noun, verb = ("revision", "is") if len(running) == 1 else ("revisions", "are")
        notes.append(f"an earlier {noun}, {', '.join(running)}, {verb} still running")
    return "; ".join(notes) or None


def _unstarted(
    project: Project, job: Job, wanted: str | None, digest: tuple[str, int] | None
) -> JobView:
    folder = job_folder(project, job)
    note = _NEVER
    try:
        total = _count_lines(job) if digest is None else digest[1]
    except OSError as error:
        total, note = 0, f"its input cannot be read: {error.strerror or error}"
    return JobView(
        name=job.name,
        revision=None if wanted is None else wanted[:REVISION_SHOWN],
        state=RunState.PENDING,
        total=total,
        succeeded=0,
        failed=0,
        output_dir=str(folder if wanted is None else folder / wanted[:REVISION_SHOWN]),
        provider=job.provider.name,
        endpoint=job.endpoint,
        note=note,
        batches=(),
        completion_window=job.completion_window,
        metadata=job.metadata,
        spec=job.source.path,
    )


def _count_lines(job: Job) -> int:
    """Count the lines of an input that has not been validated yet."""
    lines, last = 0, b"\n"
    with job.input.open("rb") as file:
        while block := file.read(_BLOCK):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


class _RunReader:
    """A reader of the state of some runs, with one query for all of them."""

    def __init__(self, project: Project, ledger: Ledger, runs: Sequence[Run]) -> None:
        self._root = project.root
        self._sent = queries.submission_summaries(ledger, [run.id for run in runs])
        unfinished = [run.id for run in runs if not run.state.final and self._of(run).any_ended]
        # Before the first attempt has ended, no request has succeeded or failed.
        self._counts = {
            run.id: _counts(run) for run in queries.runs_with_submissions(ledger, unfinished)
        }

    def view(self, run: Run, job: Job | None, *, note: str | None = None) -> JobView:
        """Return the state of a run; `job` is None if no spec describes it."""
        sent = self._of(run)
        succeeded, failed = run.succeeded, run.failed
        if not run.state.final:
            succeeded, failed = self._counts.get(run.id, (0, 0))
        last = sent.batches[-1].raw if sent.batches else {}
        window = last.get("completion_window") or (job.completion_window if job else None)
        return JobView(
            name=run.job,
            revision=run.short,
            state=run.state,
            total=run.requests,
            succeeded=succeeded,
            failed=failed,
            output_dir=str(self._root / run.folder),
            provider=run.provider,
            endpoint=run.endpoint,
            note=note or run.reason,
            batches=tuple(batch.raw for batch in sent.batches),
            awaited=tuple(_awaited(sent)),
            attempts=sent.attempts,
            completion_window=window if isinstance(window, str) else None,
            metadata=_metadata(last) if job is None else job.metadata,
            spec=None if job is None else job.source.path,
            created_at=run.created_at,
            finished_at=run.finished_at,
            progress=_progress(sent, succeeded, failed) if sent.batches else None,
            truncated=run.truncated,
        )

    def _of(self, run: Run) -> SubmissionSummary:
        return self._sent.get(run.id, queries.SubmissionSummary())


def _counts(run: Run) -> tuple[int, int]:
    """Return how many requests of an unfinished run have succeeded and failed so far."""
    all_progress = [shard_progress(run, shard, run.attempts) for shard in run.shards]
    return (
        sum(len(progress.succeeded) for progress in all_progress),
        sum(len(progress.failed) for progress in all_progress),
    )


def _progress(sent: SubmissionSummary, succeeded: int, failed: int) -> JobProgress:
    """Add what the provider reports of the batches that are not collected yet."""
    open_batches = [batch for batch in sent.batches if batch.awaited]
    for batch in open_batches:
        counts = Batch.from_api(batch.raw).request_counts
        completed = min(max(counts.completed, 0), batch.requests)
        succeeded += completed
        failed += min(max(counts.failed, 0), batch.requests - completed)
    return JobProgress(
        succeeded=succeeded, failed=failed, source="provider" if open_batches else "results"
    )


def _awaited(sent: SubmissionSummary) -> Iterable[Mapping[str, Any]]:
    for batch in sent.batches:
        if batch.awaited and known_status(str(batch.raw.get("status"))) not in TERMINAL:
            yield batch.raw


def _metadata(raw: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata of a batch that its spec set, without runner's own."""
    pairs = raw.get("metadata")
    if not isinstance(pairs, dict):
        return {}
    return {
        str(key): value
        for key, value in pairs.items()
        if isinstance(value, str) and key != METADATA_KEY
    }


def relative_folder(project: Project, view: JobView) -> str:
    """Return the output folder of a job, relative to the project."""
    return shown_path(project, Path(view.output_dir))
