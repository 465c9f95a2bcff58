"""Where each job stands, from the specs and the ledger alone: nothing is asked, nothing changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.batch import TERMINAL, Batch, known_status
from runner.errors import InvalidInput
from runner.inputs.fingerprint import Fingerprint
from runner.ledger import queries
from runner.ledger.records import REVISION_SHOWN, RunState
from runner.planning.shard_progress import shard_progress
from runner.reconcile.desired import job_folder, shown_path
from runner.spec.identity import revision
from runner.spec.job import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runner.ledger.queries import Sent
    from runner.ledger.records import Event, Run
    from runner.ledger.store import Ledger
    from runner.outputs.failures import FailureKind
    from runner.spec.job import Job
    from runner.spec.project import Project


_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One job as people see it.

    Attributes:
        revision: its first 12 digits, None while the input has never been read.
        note: what the ledger cannot know yet, or why the run is as it is.
        batches: the API's objects verbatim, in order of submission.
        awaited: those of them that are at work and waited for.
        attempts: how often a request of it was submitted, at most; 0 before the first time.
        spec: the file that asks for it, None where there is none any more.
        created_at, finished_at: when the run began and ended, in Unix seconds.

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

    @property
    def pending(self) -> int:
        """Requests that have neither a successful response nor a final error."""
        return max(self.total - self.succeeded - self.failed, 0)

    @property
    def in_flight(self) -> tuple[Batch, ...]:
        """The batches that are waited for, read."""
        return tuple(map(Batch.from_api, self.awaited))

    @property
    def usage(self) -> dict[str, Any] | None:
        """What the batches say that they used, summed; None where none says it."""
        from runner.outputs.usage import sum_usage

        return sum_usage(self.batches)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHistory:
    """The whole story of one job: how it stands, its runs, and all that happened.

    `failures` are the requests of a finished run that have no answer, by kind; None where the
    run goes on, or its outputs are not there to be read.
    """

    view: JobView
    runs: tuple[JobView, ...]
    events: tuple[Event, ...]
    failures: tuple[FailureKind, ...] | None = None


def overview(
    project: Project, jobs: Sequence[Job], ledger: Ledger | None, *, gone: Sequence[str] = ()
) -> tuple[JobView, ...]:
    """Say where each of these jobs stands, in the order given.

    After them come those of `gone`, jobs of the ledger that no spec asks for. The number of
    queries does not grow with the number of jobs.
    """
    if ledger is None:
        return tuple(_unstarted(project, job, None, None) for job in jobs)
    runs: dict[str, dict[str, Run]] = {}
    for run in ledger.runs():
        runs.setdefault(run.job, {})[run.revision] = run
    wanted = {record.name: record.wanted for record in ledger.jobs()}
    digests = _digests(ledger, jobs)
    asked: list[tuple[Job, str | None, Run | None]] = []
    for job in jobs:
        digest = digests.get(job.input)
        its = wanted.get(job.name) if digest is None else revision(job, digest[0])
        asked.append((job, its, runs.get(job.name, {}).get(its or "")))
    left = [_foremost(tuple(runs[name].values())) for name in gone if name in runs]
    found = _FromLedger(project, ledger, [*(run for _, _, run in asked if run is not None), *left])
    told = []
    for job, its, wished in asked:
        digest = digests.get(job.input)
        if wished is None:
            told.append(_unstarted(project, job, its, digest))
            continue
        others = [other for other in runs[job.name].values() if other is not wished]
        told.append(found.view(wished, job, note=_remark(digest is None, others)))
    return (*told, *(found.view(run, None, note=_no_spec(run)) for run in left))


def job_history(project: Project, job: Job | None, name: str, ledger: Ledger) -> JobHistory | None:
    """Tell everything the ledger knows of a job; None if it knows nothing and no spec names it."""
    its = [run for run in ledger.runs() if run.job == name]
    runs = run_views(project, ledger, its, job)
    if job is not None:
        [view] = overview(project, [job], ledger)
    elif runs:
        [view] = overview(project, [], ledger, gone=[name])
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
    """Tell of runs as they stand, in the order given, whether a spec still asks for them or not.

    `job` is what the spec of all of them says, None where there is none.
    """
    found = _FromLedger(project, ledger, runs)
    return tuple(found.view(run, job) for run in runs)


def _failures(view: JobView) -> tuple[FailureKind, ...] | None:
    if not view.state.final or not view.failed:
        return None
    from runner.outputs.failures import failure_kinds

    return failure_kinds(Path(view.output_dir))


def _digests(ledger: Ledger, jobs: Sequence[Job]) -> dict[Path, tuple[str, int]]:
    """Return (digest, requests) of the inputs that have been hashed as they are now."""
    prints: dict[Path, Fingerprint] = {}
    for job in jobs:
        try:
            prints[job.input] = Fingerprint.of(job.input)
        except InvalidInput:
            continue  # it went away after its spec was read
    recorded = queries.cached_digests(ledger, prints.values())
    return {path: recorded[shape] for path, shape in prints.items() if shape in recorded}


def _foremost(runs: Sequence[Run]) -> Run:
    """Return the run that a job without a spec is shown by: one that goes on, or the last."""
    return next((run for run in reversed(runs) if not run.state.final), runs[-1])


def _no_spec(run: Run) -> str | None:
    return None if run.state.final else "no valid spec asks for it; it is seen to its end"


def _remark(stale: bool, others: Iterable[Run]) -> str | None:  # noqa: FBT001
    """Say what may not be known yet, and which earlier revisions are not over but paid for."""
    said = ["the input may have changed since the last reconcile"] if stale else []
    running = [run.short for run in others if not run.state.final]
    if running:
        noun, verb = ("revision", "is") if len(running) == 1 else ("revisions", "are")
        said.append(f"an earlier {noun}, {', '.join(running)}, {verb} still running")
    return "; ".join(said) or None


def _unstarted(
    project: Project, job: Job, asked: str | None, digest: tuple[str, int] | None
) -> JobView:
    folder = job_folder(project, job)
    note = "not reconciled yet"
    try:
        total = _count_lines(job) if digest is None else digest[1]
    except OSError as error:
        total, note = 0, f"its input cannot be read: {error.strerror or error}"
    return JobView(
        name=job.name,
        revision=None if asked is None else asked[:REVISION_SHOWN],
        state=RunState.PENDING,
        total=total,
        succeeded=0,
        failed=0,
        output_dir=str(folder if asked is None else folder / asked[:REVISION_SHOWN]),
        provider=job.provider.name,
        endpoint=job.endpoint,
        note=note,
        batches=(),
        completion_window=job.completion_window,
        metadata=job.metadata,
        spec=job.source.path,
    )


def _count_lines(job: Job) -> int:
    """Count the lines of an input that nobody has validated yet; blank ones at the end apart."""
    lines, last = 0, b"\n"
    with job.input.open("rb") as file:
        while block := file.read(_BLOCK):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


class _FromLedger:
    """What the ledger has of some runs, asked for all of them at once."""

    def __init__(self, project: Project, ledger: Ledger, runs: Sequence[Run]) -> None:
        self._root = project.root
        self._sent = queries.sent(ledger, [run.id for run in runs])
        going_on = [run.id for run in runs if not run.state.final and self._of(run).any_ended]
        # Where no attempt has ended yet nothing is answered, and there is nothing to add up.
        self._counts = {run.id: _counts(run) for run in queries.whole_runs(ledger, going_on)}

    def view(self, run: Run, job: Job | None, *, note: str | None = None) -> JobView:
        """Say where a run stands; `job` is None where no spec asks for it."""
        sent = self._of(run)
        answered, failed = run.succeeded, run.failed
        if not run.state.final:
            answered, failed = self._counts.get(run.id, (0, 0))
        last = sent.batches[-1].raw if sent.batches else {}
        window = last.get("completion_window") or (job.completion_window if job else None)
        return JobView(
            name=run.job,
            revision=run.short,
            state=run.state,
            total=run.requests,
            succeeded=answered,
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
        )

    def _of(self, run: Run) -> Sent:
        return self._sent.get(run.id, queries.Sent())


def _counts(run: Run) -> tuple[int, int]:
    """Count the requests of an unfinished run that are answered, and those given up."""
    all_progress = [shard_progress(run, shard, run.attempts) for shard in run.shards]
    return (
        sum(len(progress.answered) for progress in all_progress),
        sum(len(progress.failed) for progress in all_progress),
    )


def _awaited(sent: Sent) -> Iterable[Mapping[str, Any]]:
    for batch in sent.batches:
        if batch.awaited and known_status(str(batch.raw.get("status"))) not in TERMINAL:
            yield batch.raw


def _metadata(raw: Mapping[str, Any]) -> dict[str, str]:
    """Return the pairs that a batch carries besides ours, as its spec had them."""
    pairs = raw.get("metadata")
    if not isinstance(pairs, dict):
        return {}
    return {
        str(key): value
        for key, value in pairs.items()
        if isinstance(value, str) and key != METADATA_KEY
    }


def shown_folder(project: Project, view: JobView) -> str:
    """Write a job's output folder relative to the project."""
    return shown_path(project, Path(view.output_dir))
