"""The report on a project: its jobs, batches and errors, gathered for the HTML page.

Everything is read from the specs, the ledger and the outputs folder; no provider is called and
nothing is changed. Only the jobs that are most likely to need the user have details (attempts,
links, samples): with those of all jobs the page would be too large for a browser.
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
from runner.outputs.files import ERRORS, OUTPUT, RAW, RECORD
from runner.outputs.provenance import git_state
from runner.views.jobs import JobHistory, job_views, relative_folder, run_views
from runner.views.samples import Samples, SampleSource, read_samples
from runner.views.totals import count_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.outputs.provenance import GitState
    from runner.spec.job import Job
    from runner.spec.project import Project
    from runner.views.jobs import JobView
    from runner.views.token_usage import TokenUsage
    from runner.views.totals import ErrorKind


MOST_IN_FULL: Final = 40
MOST_NAMED_IN_FULL: Final = 200
"""The most jobs with details: in a report on all jobs, and on jobs that the user named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedBatch:
    """A batch with its job and the key of its submission."""

    job: str
    key: SubmissionKey
    batch: Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLink:
    """An existing file or folder; `href` is its path relative to the folder of the page, quoted."""

    name: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetails:
    """The details of a job.

    `properties` are values of its spec and its run, by the name to show; `files` are links to the
    final files, `raw` links to the downloaded files by submission key.
    """

    job_history: JobHistory
    properties: Mapping[str, str]
    files: tuple[FileLink, ...]
    raw: Mapping[SubmissionKey, tuple[FileLink, ...]]
    samples: Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """One job; `details` is None for a job that has a line in the table only.

    `folder` is its output folder, relative to the project; `href` is a link to that folder, None
    if it does not exist. `spec_gone` is true if no spec describes the job any more. `changed_at` is
    the time of its last event, in Unix seconds. `tokens` are those of its wanted revision.
    """

    view: JobView
    folder: str
    href: str | None
    spec_gone: bool
    changed_at: float | None
    tokens: TokenUsage
    details: JobDetails | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectReport:
    """The jobs of a project, those that need the user first, and all batches made for them.

    `project` is the name of its folder. `chosen` is true if the user named the jobs. `errors`
    begin with the most frequent kind.
    """

    project: str
    version: str
    git: GitState | None
    chosen: bool
    jobs: tuple[JobReport, ...]
    batches: tuple[SubmittedBatch, ...]
    errors: tuple[ErrorKind, ...]


def gather_report(
    project: Project,
    jobs: Sequence[Job],
    jobs_without_spec: Iterable[str],
    ledger: Ledger | None,
    *,
    chosen: bool,
    page_folder: Path,
    samples: int,
) -> ProjectReport:
    """Gather the report on some jobs.

    `jobs_without_spec` are names of further jobs, which only the ledger has. Links are relative to
    `page_folder`. `samples` is the most requests of each kind that are shown of a job. Raises
    LedgerError, and InvalidInput if an input does not exist.
    """
    runs = ledger.runs() if ledger is not None else ()
    names = {job.name for job in jobs}
    last_runs = {run.job: run for run in runs if run.job in set(jobs_without_spec) - names}
    views: list[tuple[JobView, Job | None]] = [
        *zip(job_views(project, jobs, ledger), jobs, strict=True)
    ]
    if ledger is not None:
        views += [(view, None) for view in run_views(project, ledger, list(last_runs.values()))]
    changed = last_changes(ledger) if ledger is not None else {}
    views.sort(key=lambda pair: _rank(pair[0], changed))
    most = MOST_NAMED_IN_FULL if chosen else MOST_IN_FULL
    reader = _DetailsReader(project, ledger, runs, page_folder=page_folder, samples=samples)
    shown = names | last_runs.keys()
    return ProjectReport(
        project=project.root.name or str(project.root),
        version=__version__,
        git=git_state(project.root),
        chosen=chosen,
        jobs=tuple(
            JobReport(
                view=view,
                folder=relative_folder(project, view),
                href=reader.output_link(view),
                spec_gone=job is None,
                changed_at=changed.get(view.name),
                tokens=view.tokens,
                details=reader.details(view, job) if number < most else None,
            )
            for number, (view, job) in enumerate(views)
        ),
        batches=_submitted_batches(ledger, runs, shown) if ledger is not None else (),
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
    """Return the sort key of a job: those that need the user first, then running, then recent."""
    order = 1 if view.blocked is not None else _ORDER[view.state]
    return order, -changed.get(view.name, 0.0), view.name


class _DetailsReader:
    """A reader of the details of jobs, from the ledger and the outputs folder."""

    def __init__(
        self,
        project: Project,
        ledger: Ledger | None,
        runs: Iterable[Run],
        *,
        page_folder: Path,
        samples: int,
    ) -> None:
        self._project = project
        self._ledger = ledger
        self._runs = {(run.job, run.short): run for run in runs}
        self._of_job: dict[str, list[Run]] = {}
        for run in self._runs.values():
            self._of_job.setdefault(run.job, []).append(run)
        self._beside = page_folder
        self._samples = samples

    def details(self, view: JobView, job: Job | None) -> JobDetails:
        """Read the details of one job; `job` is None if no spec describes it."""
        run = self._runs.get((view.name, view.revision or ""))
        folder = Path(view.output_dir)
        return JobDetails(
            job_history=self._history(view),
            properties=dict(_properties(view, job, run)),
            files=tuple(self._files(folder)) if run is not None else (),
            raw=self._raw(run, folder),
            samples=self._samples_of(job, run, folder),
        )

    def output_link(self, view: JobView) -> str | None:
        """Return the link to the output folder of a job; None if the folder does not exist."""
        folder = Path(view.output_dir)
        exists = os.path.isdir(folder)  # noqa: PTH112 -- it never raises
        return self._link(f"{folder.name}/", folder).href if exists else None

    def _history(self, view: JobView) -> JobHistory:
        if self._ledger is None:
            return JobHistory(view=view, runs=(), events=())
        runs = self._of_job.get(view.name, ())
        return JobHistory(
            view=view,
            runs=run_views(self._project, self._ledger, runs),
            events=self._ledger.events(view.name),
        )

    def _files(self, folder: Path) -> Iterable[FileLink]:
        for name in (OUTPUT, ERRORS, RECORD):
            if os.path.isfile(folder / name):  # noqa: PTH113 -- it never raises
                yield self._link(name, folder / name)
        with contextlib.suppress(OSError):  # not there yet, or empty until the first download
            if os.listdir(folder / RAW):  # noqa: PTH208 -- it needs no Path for each name
                yield self._link(f"{RAW}/", folder / RAW)

    def _raw(self, run: Run | None, folder: Path) -> dict[SubmissionKey, tuple[FileLink, ...]]:
        if run is None or self._ledger is None:
            return {}
        found: dict[SubmissionKey, tuple[FileLink, ...]] = {}
        for text, records in self._ledger.files(run.id).items():
            key = SubmissionKey.parse(text)
            if key is not None:
                found[key] = tuple(
                    self._link(record.kind, folder / record.path)
                    for record in records
                    if os.path.isfile(folder / record.path)  # noqa: PTH113
                )
        return found

    def _link(self, name: str, path: Path) -> FileLink:
        relative = os.path.relpath(path, self._beside)
        return FileLink(name=name, href=quote(relative) + ("/" if name.endswith("/") else ""))

    def _samples_of(self, job: Job | None, run: Run | None, folder: Path) -> Samples:
        if run is None:
            if job is None:
                return Samples()
            source = SampleSource(
                path=job.input, shown=job.input_shown, endpoint=job.endpoint, digest=None
            )
            return read_samples(source, None, self._ledger, most=self._samples)
        source = SampleSource(
            path=self._project.root / run.input_path if job is None else job.input,
            shown=run.input_path,
            endpoint=run.endpoint,
            digest=run.digest,
        )
        return read_samples(source, folder, self._ledger, most=self._samples)


def _properties(view: JobView, job: Job | None, run: Run | None) -> Iterable[tuple[str, str]]:
    """Yield (name, value) of what the spec requests and what the run was made from."""
    yield "endpoint", f"{view.endpoint} on {view.provider}"
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


def _submitted_batches(
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
    """Read the Batch objects of the ledger; a damaged one is left out."""
    for raw in raws:
        with contextlib.suppress(ValueError):
            yield Batch.from_api(dict(raw))
