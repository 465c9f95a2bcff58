"""All there is to say about the jobs of a project, gathered for a page that people look at.

From the specs, the ledger and the outputs folder: nobody is asked, nothing is changed. Every job
is told in short. In full, with attempts, links and samples, are told those that somebody is
likely to want to look into; the rest would make the page too large to be opened.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from runner import __version__
from runner.batch import Batch
from runner.ledger.queries import batches_by_run, last_changes
from runner.ledger.records import RunState, SubmissionKey
from runner.outputs.provenance import git_state
from runner.outputs.run_folder import ERRORS, OUTPUT, RAW, RECORD
from runner.views.jobs import JobHistory, overview, run_views, shown_folder
from runner.views.samples import Samples, SampleSource, take_samples
from runner.views.totals import Tokens, count_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.outputs.provenance import GitState
    from runner.spec.job import Job
    from runner.spec.project import Project
    from runner.views.jobs import JobView
    from runner.views.totals import ErrorKind


MOST_IN_FULL: Final = 40
MOST_NAMED_IN_FULL: Final = 200
"""How many jobs are told in full at most: of all jobs, and of those that were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedBatch:
    """A batch and the job that it was for; `key` is that of its submission."""

    job: str
    key: SubmissionKey
    batch: Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A file or folder that is there; `href` leads to it from where the page will be."""

    name: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetails:
    """A job told in full.

    `facts` are what the spec and the run say, by name; `files` are links to the final files,
    `raw` those to the downloaded ones by submission key.
    """

    job_history: JobHistory
    facts: Mapping[str, str]
    files: tuple[Link, ...]
    raw: Mapping[SubmissionKey, tuple[Link, ...]]
    samples: Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """One job. `account` is None where it is told in short.

    `folder` is that of its outputs as people write it, `href` leads there if it is there.
    `spec_gone` says that no spec asks for it any more; `tokens` are those of its wanted revision,
    None where no batch reports any.
    """

    view: JobView
    folder: str
    href: str | None
    spec_gone: bool
    changed_at: float | None
    tokens: Tokens | None
    account: JobDetails | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectReport:
    """A project's jobs, those first that need somebody, and every batch made for them.

    `project` is the name of its folder, `chosen` says that jobs were asked for by name.
    `errors` are the most frequent first.
    """

    project: str
    version: str
    git: GitState | None
    chosen: bool
    jobs: tuple[JobReport, ...]
    flights: tuple[SubmittedBatch, ...]
    errors: tuple[ErrorKind, ...]


def gather_report(
    project: Project,
    jobs: Sequence[Job],
    gone: Iterable[str],
    ledger: Ledger | None,
    *,
    chosen: bool,
    beside: Path,
    samples: int,
) -> ProjectReport:
    """Gather everything about some jobs.

    `gone` are further names that only the ledger knows. Links lead from the folder `beside`.
    `samples` is how many requests of each kind are shown of a job. Raises LedgerError, InvalidInput
    where an input is not there.
    """
    runs = ledger.runs() if ledger is not None else ()
    names = {job.name for job in jobs}
    last_runs = {run.job: run for run in runs if run.job in set(gone) - names}
    views = [(view, job) for view, job in zip(overview(project, jobs, ledger), jobs, strict=True)]
    told: list[tuple[JobView, Job | None]] = [*views]
    if ledger is not None:
        told += [(view, None) for view in run_views(project, ledger, list(last_runs.values()))]
    changed = last_changes(ledger) if ledger is not None else {}
    told.sort(key=lambda one: _rank(one[0], changed))
    most = MOST_NAMED_IN_FULL if chosen else MOST_IN_FULL
    teller = _Teller(project, ledger, runs, beside=beside, samples=samples)
    shown = names | last_runs.keys()
    return ProjectReport(
        project=project.root.name or str(project.root),
        version=__version__,
        git=git_state(project.root),
        chosen=chosen,
        jobs=tuple(
            JobReport(
                view=view,
                folder=shown_folder(project, view),
                href=teller.folder(view),
                spec_gone=job is None,
                changed_at=changed.get(view.name),
                tokens=Tokens.sum(_batches(view.batches)),
                account=teller.tell(view, job) if number < most else None,
            )
            for number, (view, job) in enumerate(told)
        ),
        flights=_flights(ledger, runs, shown) if ledger is not None else (),
        errors=count_errors(ledger, shown) if ledger is not None else (),
    )


_ORDER: Final = {
    RunState.FAILED: 0,
    RunState.PARTIAL: 1,
    RunState.RUNNING: 2,
    RunState.SUCCEEDED: 3,
    RunState.CANCELLED: 3,
    RunState.PENDING: 4,
}


def _rank(view: JobView, changed: Mapping[str, float]) -> tuple[int, float, str]:
    """Put those first that need somebody, then those at work, then what happened last."""
    return _ORDER[view.state], -changed.get(view.name, 0.0), view.name


class _Teller:
    """Tells jobs in full."""

    def __init__(
        self,
        project: Project,
        ledger: Ledger | None,
        runs: Iterable[Run],
        *,
        beside: Path,
        samples: int,
    ) -> None:
        self._project = project
        self._ledger = ledger
        self._runs = {(run.job, run.short): run for run in runs}
        self._of_job: dict[str, list[Run]] = {}
        for run in self._runs.values():
            self._of_job.setdefault(run.job, []).append(run)
        self._beside = beside
        self._samples = samples

    def tell(self, view: JobView, job: Job | None) -> JobDetails:
        """Tell everything about one job."""
        run = self._runs.get((view.name, view.revision or ""))
        folder = Path(view.output_dir)
        return JobDetails(
            job_history=self._story(view),
            facts=dict(_facts(view, job, run)),
            files=tuple(self._files(folder)) if run is not None else (),
            raw=self._raw(run, folder),
            samples=self._some(job, run, folder),
        )

    def folder(self, view: JobView) -> str | None:
        """Return what leads to a job's outputs; None if there are none."""
        folder = Path(view.output_dir)
        there = os.path.isdir(folder)  # noqa: PTH112 -- it never raises
        return self._link(f"{folder.name}/", folder).href if there else None

    def _story(self, view: JobView) -> JobHistory:
        if self._ledger is None:
            return JobHistory(view=view, runs=(), events=())
        runs = self._of_job.get(view.name, ())
        return JobHistory(
            view=view,
            runs=run_views(self._project, self._ledger, runs),
            events=self._ledger.events(view.name),
        )

    def _files(self, folder: Path) -> Iterable[Link]:
        for name in (OUTPUT, ERRORS, RECORD):
            if os.path.isfile(folder / name):  # noqa: PTH113 -- it never raises
                yield self._link(name, folder / name)
        if os.path.isdir(folder / RAW):  # noqa: PTH112
            yield self._link(f"{RAW}/", folder / RAW)

    def _raw(self, run: Run | None, folder: Path) -> dict[SubmissionKey, tuple[Link, ...]]:
        if run is None or self._ledger is None:
            return {}
        found: dict[SubmissionKey, tuple[Link, ...]] = {}
        for text, records in self._ledger.files(run.id).items():
            key = SubmissionKey.parse(text)
            if key is not None:
                found[key] = tuple(
                    self._link(record.kind, folder / record.path)
                    for record in records
                    if os.path.isfile(folder / record.path)  # noqa: PTH113
                )
        return found

    def _link(self, name: str, path: Path) -> Link:
        relative = os.path.relpath(path, self._beside)
        return Link(name=name, href=quote(relative) + ("/" if name.endswith("/") else ""))

    def _some(self, job: Job | None, run: Run | None, folder: Path) -> Samples:
        if run is None:
            if job is None:
                return Samples()
            source = SampleSource(
                path=job.input, shown=job.input_shown, endpoint=job.endpoint, digest=None
            )
            return take_samples(source, None, self._ledger, most=self._samples)
        source = SampleSource(
            path=self._project.root / run.input_path if job is None else job.input,
            shown=run.input_path,
            endpoint=run.endpoint,
            digest=run.digest,
        )
        return take_samples(source, folder, self._ledger, most=self._samples)


def _facts(view: JobView, job: Job | None, run: Run | None) -> Iterable[tuple[str, str]]:
    """Name what the spec asks for and the run was made from."""
    yield "asks", f"{view.endpoint} on {view.provider}"
    batches = list(_batches(view.batches))
    models = list(dict.fromkeys(batch.model for batch in batches if batch.model))
    if models:
        yield "model" if len(models) == 1 else "models", ", ".join(models)
    if job is not None:
        yield "input", job.input_shown
        yield "spec", f"{job.source.path}:{job.source.line}"
        yield "window", job.completion_window
        if job.metadata:
            yield "metadata", ", ".join(f"{name}={text}" for name, text in job.metadata.items())
        if job.replicate != 1:
            yield "replicate", str(job.replicate)
        yield "attempts", f"{job.attempts} at most"
    elif run is not None:
        yield "input", run.input_path
        yield "spec", f"{run.spec_path}:{run.spec_line}, gone"
    if run is not None and run.git is not None:
        git = json.loads(run.git)
        yield "commit", git["commit"][:12] + (", with changes" if git.get("dirty") else "")


def _flights(
    ledger: Ledger, runs: Iterable[Run], shown: Collection[str]
) -> tuple[SubmittedBatch, ...]:
    jobs = {run.id: run.job for run in runs if run.job in shown}
    found = []
    for run, batches in batches_by_run(ledger).items():
        for text, raw in batches if run in jobs else ():
            key = SubmissionKey.parse(text)
            if key is not None:
                found += [
                    SubmittedBatch(job=jobs[run], key=key, batch=one) for one in _batches([raw])
                ]
    return tuple(found)


def _batches(raws: Iterable[Mapping[str, Any]]) -> Iterator[Batch]:
    """Read Batch objects as the ledger holds them; one that somebody has spoilt is left out."""
    for raw in raws:
        with contextlib.suppress(ValueError):
            yield Batch.from_api(dict(raw))
