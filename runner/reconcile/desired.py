"""Resolve the desired runs: the revision of each job that the specs describe.

A revision needs the digest of the input. An input that has not changed since it was hashed (same
path, size, times and inode, as in git's index) is not read again: an idle pass reads no input.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import InputChanged, InvalidInput, LocalFileError
from runner.files import create, make_folder, part_of, parts_of, rename, sweep
from runner.inputs.reading import Fingerprint
from runner.ledger import store
from runner.ledger.records import JobRecord, RunState, ShardRecord
from runner.planning.state import DesiredRun, EarlierRun
from runner.reconcile.context import no_progress
from runner.reconcile.restore import read_restorable, runs_on_disk
from runner.spec.discovery import is_inside
from runner.spec.identity import REVISION_SHOWN, revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from runner.errors import Problem
    from runner.inputs.scan import Scan
    from runner.inputs.tokens import TokenCounter
    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.reconcile.context import ProgressReporter
    from runner.spec.job import Job
    from runner.spec.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredRuns:
    """The desired runs of the selected specs, and the problems of specs that have none.

    `unreadable_inputs` has, by job, the reason why an input could not be read in this pass: it was
    being written to, or the disk failed. The spec is valid, and the next pass tries again.
    `warnings` are those of the runs that are not recorded yet: each is said before a run begins,
    and not in each pass.
    """

    desired_runs: tuple[DesiredRun, ...]
    problems: tuple[Problem, ...]
    unreadable_inputs: Mapping[str, str]
    warnings: tuple[Problem, ...] = ()


def resolve_desired(
    project: Project,
    jobs: Sequence[Job],
    runs: Sequence[Run],
    job_names: frozenset[str] | None,
    ledger: Ledger | None,
    *,
    writing: bool,
    report_progress: ProgressReporter = no_progress,
) -> DesiredRuns:
    """Find the revision of each job, reading only inputs that are new or have changed.

    With `writing` the custom_ids of each input that is read are stored in the ledger's folder and
    its digest is cached; without it (`runner plan`) nothing is written. `job_names` are the names
    of all jobs in the specs, or None if a spec cannot be read: a run whose job has no spec any more
    may belong to one of `jobs` under a new name.
    """
    if writing and ledger is not None:
        _remove_part_files(ledger.path)
    desired_runs: list[DesiredRun] = []
    problems: list[Problem] = []
    warnings: dict[Problem, None] = {}
    unreadable_inputs: dict[str, str] = {}
    by_job: dict[str, dict[str, Run]] = {}
    for run in runs:
        by_job.setdefault(run.job, {})[run.revision] = run
    orphans = {
        run.revision: run for run in runs if job_names is not None and run.job not in job_names
    }
    for job in jobs:
        try:
            desired_runs.append(
                _resolve_job(
                    project,
                    job,
                    by_job.get(job.name, {}),
                    orphans,
                    ledger,
                    writing,
                    report_progress,
                    warnings,
                )
            )
        except InvalidInput as error:
            problems.extend(error.problems)
        except (InputChanged, LocalFileError) as error:
            unreadable_inputs[job.name] = str(error)
    return DesiredRuns(
        desired_runs=tuple(desired_runs),
        problems=tuple(problems),
        unreadable_inputs=unreadable_inputs,
        warnings=tuple(sorted(warnings)),
    )


def _remove_part_files(ledger_path: Path) -> None:
    """Remove the unfinished files of a crashed pass; the lock excludes a running one."""
    for folder in ("ids", "uploads"):
        # A disk that is not writable is reported by the next write.
        with contextlib.suppress(LocalFileError):
            sweep(ledger_path.parent / folder, parts_of("*"))


def job_folder(project: Project, job: Job) -> Path:
    """Return the folder that holds a job's revisions and its `latest`."""
    return project.root / job.output if job.output else project.outputs / job.name


def ids_path(ledger_path: Path, digest: str) -> Path:
    """Return the path of an input's custom_ids: in the ledger's folder, by digest."""
    return ledger_path.parent / "ids" / f"{digest}.jsonl"


def shown_path(project: Project, path: Path) -> str:
    """Write a path relative to the project if it is inside, else absolute."""
    return (
        path.relative_to(project.root).as_posix()
        if path.is_relative_to(project.root)
        else str(path)
    )


def _resolve_job(
    project: Project,
    job: Job,
    runs: Mapping[str, Run],
    orphans: dict[str, Run],
    ledger: Ledger | None,
    writing: bool,  # noqa: FBT001
    report_progress: ProgressReporter,
    warnings: dict[Problem, None],
) -> DesiredRun:
    fingerprint = Fingerprint.of(job.input)
    cached = ledger.cached_digest(fingerprint) if ledger is not None else None
    if cached is not None:
        digest, requests = cached
        desired_revision = identify(project, job, digest, runs)
        # Only one job can continue an orphan: a second one with the same requests needs shards.
        run = runs.get(desired_revision) or orphans.pop(desired_revision, None)
        if run is not None:
            return dataclasses.replace(
                _desired_run(project, job, desired_revision, digest, requests, run.bytes, None),
                earlier=_earlier_runs(project, job, digest, runs, desired_revision),
            )
    scanned = scan_input(
        project,
        job,
        ledger.path if ledger is not None and writing else None,
        report_progress=report_progress,
        counter=_counter(job),
    )
    is_cacheable = ledger is not None and scanned.fingerprint.is_reliable(int(ledger.clock() * 1e9))
    if writing and ledger is not None and cached is None and is_cacheable:
        store.cache_digest(
            ledger, scanned.fingerprint, digest=scanned.digest, requests=scanned.requests
        )
    desired_revision = identify(project, job, scanned.digest, runs)
    if desired_revision not in runs:
        for found in (job.provider.warnings, job.warnings, scanned.warnings):
            warnings.update(dict.fromkeys(found))
    desired = _desired_run(
        project,
        job,
        desired_revision,
        scanned.digest,
        scanned.requests,
        scanned.bytes,
        scanned,
        is_cacheable=is_cacheable,
    )
    earlier = _earlier_runs(project, job, scanned.digest, runs, desired_revision)
    return dataclasses.replace(desired, earlier=earlier)


def identify(project: Project, job: Job, digest: str, runs: Mapping[str, Run]) -> str:
    """Return the revision of a job: that of an earlier run whose provider is `same_as` the present.

    `digest` is that of the input; `runs` are those of the job in the ledger, by revision. A
    revision that has been submitted at the present provider comes first.
    """
    desired_revision = revision(job, digest)
    provider = job.provider
    if not provider.same_as or not _is_new(runs.get(desired_revision)):
        return desired_revision
    for run in reversed(_same_requests(project, job, digest, runs)):
        is_kept = run.id or read_restorable(project.root, run.folder) is not None
        if provider.was(run.provider, run.base_url) and is_kept:
            return run.revision
    return desired_revision


def _is_new(run: Run | None) -> bool:
    """Whether nothing of a run has been submitted, as far as its summary shows."""
    return run is None or run.state is RunState.PENDING


def _same_requests(
    project: Project, job: Job, digest: str, runs: Mapping[str, Run]
) -> Sequence[Run]:
    """Return the runs of a job's requests at any provider; from the disk if the ledger is new."""

    def fits(run: Run) -> bool:
        return (run.digest, run.endpoint, run.replicate) == (digest, job.endpoint, job.replicate)

    found = [run for run in runs.values() if fits(run)]
    if any(not _is_new(run) for run in found):
        return found
    on_disk = runs_on_disk(project.root, job_folder(project, job))
    return [*(run for run in on_disk if fits(run)), *found]


def _earlier_runs(
    project: Project, job: Job, digest: str, runs: Mapping[str, Run], desired_revision: str
) -> tuple[EarlierRun, ...]:
    """Return the runs of the same requests elsewhere, if the desired run is not submitted yet."""
    if not _is_new(runs.get(desired_revision)):
        return ()
    earlier = [
        run
        for run in _same_requests(project, job, digest, runs)
        if run.revision != desired_revision
    ]
    if not earlier:
        return ()
    from runner.spec.diff import spec_fields

    provider = job.provider
    named = provider.name if "provider" in job.source.positions else None
    found = []
    for run in earlier:
        before = spec_fields(run.spec_document)
        found.append(
            EarlierRun(
                run=run,
                provider_edited=before is not None
                and before["provider"] != named
                and provider.name != run.provider
                and provider.identity["base_url"] != run.base_url,
                asked_again=before is not None and before["ask_again"] is True,
            )
        )
    return tuple(found)


def _counter(job: Job) -> TokenCounter | None:
    """Return a counter of prompt tokens; None without a token limit or the extra `tokens`."""
    if job.provider.max_enqueued_tokens is None:
        return None
    from runner.inputs.tokens import token_counter

    return token_counter(job.endpoint)


def scan_input(
    project: Project,
    job: Job,
    ledger_path: Path | None,
    *,
    report_progress: ProgressReporter = no_progress,
    counter: TokenCounter | None = None,
) -> Scan:
    """Validate, hash and shard a job's input in one read, and store its custom_ids.

    The ids file is in the folder of the ledger; with `ledger_path` None there is none. With a
    `counter` the prompt tokens of the shards are counted. Raises InvalidInput with the problems of
    the input; they quote nothing of a file outside of the project.
    """
    from runner.inputs.scan import scan

    size = job.input.stat().st_size
    with (
        open_ids_file(ledger_path) as (ids, name_by_digest),
        report_progress(job.name, "reading", size) as report_bytes,
    ):
        scanned = scan(
            job.input,
            shown=job.input_shown,
            endpoint=job.endpoint,
            limits=job.provider.limits,
            ids=ids,
            progress=report_bytes,
            counter=counter,
            quoting=is_inside(job.input, project.root),
        )
        name_by_digest(scanned.digest)
    return scanned


@contextlib.contextmanager
def open_ids_file(
    ledger_path: Path | None,
) -> Iterator[tuple[BinaryIO | None, Callable[[str], None]]]:
    """Open a new ids file; yields it and a function that gives it its final name, the digest.

    A file without its final name is removed. Raises LocalFileError.
    """
    if ledger_path is None:
        yield None, lambda _digest: None
        return
    folder = ids_path(ledger_path, "").parent
    make_folder(folder, within=ledger_path.parent)
    temporary = part_of(folder / "ids")
    try:
        with create(temporary) as file:

            def name_by_digest(digest: str) -> None:
                file.flush()
                os.fsync(file.fileno())
                rename(temporary, ids_path(ledger_path, digest))

            yield file, name_by_digest
    except OSError as error:
        raise LocalFileError(
            f"the list of custom_ids cannot be kept in {folder}: {error.strerror or error}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _desired_run(
    project: Project,
    job: Job,
    desired_revision: str,
    digest: str,
    requests: int,
    size: int,
    scanned: Scan | None,
    *,
    is_cacheable: bool = False,
) -> DesiredRun:
    folder = job_folder(project, job) / desired_revision[:REVISION_SHOWN]
    return DesiredRun(
        job=job,
        revision=desired_revision,
        digest=digest,
        requests=requests,
        bytes=size,
        folder=shown_path(project, folder),
        record=JobRecord(
            name=job.name,
            desired_revision=desired_revision,
            spec_path=job.source.path,
            spec_line=job.source.line,
            spec_sha256=job.source.sha256,
            spec_document=job.document,
        ),
        scanned=scanned.fingerprint if scanned is not None and is_cacheable else None,
        shards=()
        if scanned is None
        else tuple(
            ShardRecord(
                number=shard.number,
                model=shard.model,
                rows=shard.rows,
                requests=shard.requests,
                bytes=shard.bytes,
                sha256=shard.sha256,
                offset=shard.offset,
                ids_offset=shard.ids_offset,
                whole=shard.whole,
                tokens=shard.tokens,
            )
            for shard in scanned.shards
        ),
    )
