"""Where each job stands, from the specs and the ledger alone: nothing is asked, nothing changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.inputs.fingerprint import Fingerprint
from runner.ledger.records import REVISION_SHOWN, RunState
from runner.reconcile.standing import shard_standing
from runner.reconcile.wishes import job_folder, shown_path
from runner.spec.identity import revision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.ledger.records import Event, Run
    from runner.ledger.store import Ledger
    from runner.spec.job import Job
    from runner.spec.project import Project

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One job as people see it.

    `revision` is the first 12 digits, None while the input has never been read. `batches` are
    the API's objects verbatim, in order of submission. `note` says what the ledger cannot know
    yet, or why the run is as it is.
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

    @property
    def pending(self) -> int:
        """Requests that have neither a successful response nor a final error."""
        return max(self.total - self.succeeded - self.failed, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStory:
    """The whole story of one job: how it stands, its runs, and all that happened."""

    view: JobView
    runs: tuple[JobView, ...]
    events: tuple[Event, ...]


def overview(project: Project, jobs: Sequence[Job], ledger: Ledger | None) -> tuple[JobView, ...]:
    """Say where each of these jobs stands, in the order given."""
    runs = {} if ledger is None else {(run.job, run.revision): run for run in ledger.runs()}
    wanted = {} if ledger is None else {record.name: record.wanted for record in ledger.jobs()}
    views = []
    for job in jobs:
        note = None
        asked = _revision(job, ledger)
        if asked is None:
            asked = wanted.get(job.name)
            if asked is not None:
                note = "the input may have changed since the last reconcile"
        run = runs.get((job.name, asked)) if asked is not None else None
        if run is None or ledger is None:
            views.append(_unstarted(project, job, asked))
        else:
            views.append(run_view(project, ledger, run, note))
    return tuple(views)


def story(project: Project, job: Job | None, name: str, ledger: Ledger) -> JobStory | None:
    """Tell everything the ledger knows of a job; None if it knows nothing and no spec names it."""
    runs = tuple(run_view(project, ledger, run, None) for run in ledger.runs() if run.job == name)
    if job is not None:
        [view] = overview(project, [job], ledger)
    elif runs:
        view = runs[-1]
    else:
        return None
    return JobStory(view=view, runs=runs, events=ledger.events(name))


def _revision(job: Job, ledger: Ledger | None) -> str | None:
    """Return the revision a job asks for now, if its input has been hashed as it is."""
    if ledger is None:
        return None
    cached = ledger.cached_digest(Fingerprint.of(job.input))
    return None if cached is None else revision(job, cached[0])


def _unstarted(project: Project, job: Job, asked: str | None) -> JobView:
    folder = job_folder(project, job)
    return JobView(
        name=job.name,
        revision=None if asked is None else asked[:REVISION_SHOWN],
        state=RunState.PENDING,
        total=_count_lines(job),
        succeeded=0,
        failed=0,
        output_dir=str(folder if asked is None else folder / asked[:REVISION_SHOWN]),
        provider=job.provider.name,
        endpoint=job.endpoint,
        note="not reconciled yet",
        batches=(),
    )


def _count_lines(job: Job) -> int:
    """Count the lines of an input that nobody has validated yet; blank ones at the end apart."""
    lines, last = 0, b"\n"
    with job.input.open("rb") as file:
        while block := file.read(_BLOCK):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


def run_view(project: Project, ledger: Ledger, run: Run, note: str | None) -> JobView:
    """Tell of one run as it stands, whether its spec still asks for it or not."""
    succeeded, failed = run.succeeded, run.failed
    if not run.state.final:
        whole = ledger.run(run.id)
        standings = [shard_standing(whole, shard, whole.attempts) for shard in whole.shards]
        succeeded = sum(len(standing.answered) for standing in standings)
        failed = sum(len(standing.failed) for standing in standings)
    return JobView(
        name=run.job,
        revision=run.short,
        state=run.state,
        total=run.requests,
        succeeded=succeeded,
        failed=failed,
        output_dir=str(project.root / run.folder),
        provider=run.provider,
        endpoint=run.endpoint,
        note=note or run.reason,
        batches=tuple(raw for _key, raw in ledger.batches(run.id)),
    )


def shown_folder(project: Project, view: JobView) -> str:
    """Write a job's output folder relative to the project."""
    from pathlib import Path

    return shown_path(project, Path(view.output_dir))
