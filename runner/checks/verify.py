"""The check of all results: every file in the output folders is hashed again.

Each folder with a record is compared with that record (`runner.outputs.integrity`), the
record with the ledger if there is one, and the input with the digest of the submitted requests.
An input may change: then the spec has another revision, and the folders of earlier revisions are
still right. A changed input is a mismatch only if no newer run has finished and the spec would
have the same revision with the same input.

No provider is called, no lock is taken and nothing is written.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from runner.checks.input import Inputs
from runner.files import explained
from runner.outputs.files import ERRORS, OUTPUT, RECORD
from runner.outputs.integrity import FileMatch, check_folder
from runner.reconcile.context import no_progress
from runner.reconcile.desired import job_folder, shown_path
from runner.reconcile.recorded import CLAIMS, read_claims
from runner.spec.identity import revision as revision_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from runner.checks.input import InputCheck
    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.outputs.integrity import FolderCheck
    from runner.outputs.record import RunRecord
    from runner.reconcile.context import ProgressReporter
    from runner.spec.job import Job
    from runner.spec.project import Project


_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionCheck:
    """The check of the folder of one revision.

    `folder` is relative to the project; `input` is None if no record names it. `problems` are
    mismatches other than those of the files in the folder.
    """

    job: str
    revision: str
    folder: str
    content: FolderCheck
    input: InputCheck | None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def matches(self) -> bool:
        """Whether no mismatch was found."""
        return (
            not self.problems
            and not self.content.problems
            and not (self.input is not None and self.input.bad)
            and all(file.match is FileMatch.OK for file in self.content.files)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The checks of all folders, and the names of the jobs without a finished run."""

    revisions: tuple[RevisionCheck, ...]
    unfinished: tuple[str, ...]

    @property
    def matches(self) -> bool:
        """Whether no mismatch was found in any folder."""
        return all(check.matches for check in self.revisions)


def _is_name(text: str) -> bool:
    """Whether a text can be the name of a job, and so the name of its folder."""
    return _NAME.fullmatch(text) is not None


def has_outputs(project: Project, name: str) -> bool:
    """Whether a job without a spec has a record in the outputs of the project."""
    return _is_name(name) and any(_revisions(project.outputs / name))


def verify(
    project: Project,
    jobs: Sequence[Job],
    others: Sequence[str] | None,
    ledger: Ledger | None,
    *,
    report_progress: ProgressReporter = no_progress,
) -> Verification:
    """Check every revision of these jobs, and of `others`: names without a spec, None for all.

    Raises LocalFileError if a folder cannot be read.
    """
    found = dict(_folders(project, jobs, others))
    runs = {} if ledger is None else _runs(project, ledger, jobs, others)
    wanted = {} if ledger is None else {job.name: job.desired_revision for job in ledger.jobs()}
    for folder, run in runs.items():
        # The user may delete the folders of earlier revisions.
        if run.state.final and (os.path.lexists(folder) or wanted.get(run.job) == run.revision):
            job = next((job for job in jobs if job_folder(project, job) == folder.parent), None)
            found.setdefault(folder, (run.job, job))
    inputs = Inputs(project, report_progress)
    contents = {
        folder: check_folder(
            folder,
            adopted=_adopted(folder),
            beside=(CLAIMS,),
            report_progress=partial(report_progress, name, "hashing"),
        )
        for folder, (name, _) in found.items()
    }
    checks = []
    for folder, (name, job) in sorted(found.items(), key=lambda item: (item[1][0], item[0])):
        content, compared = contents[folder], _LedgerCheck()
        if ledger is not None and folder in runs:
            content, compared = _against_ledger(ledger, runs[folder], content)
        source = None
        if content.record is not None:
            siblings = [contents[each].record for each in contents if each.parent == folder.parent]
            current = _is_current(content.record, job, siblings, inputs)
            source = inputs.check(content.record, job, is_current=current)
        checks.append(
            RevisionCheck(
                job=name,
                revision=folder.name,
                folder=shown_path(project, folder),
                content=content,
                input=source,
                problems=compared.problems,
                notes=compared.notes,
            )
        )
    done = {check.job for check in checks}
    return Verification(
        revisions=tuple(checks),
        unfinished=tuple(job.name for job in jobs if job.name not in done),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _LedgerCheck:
    """The comparison of a record with the ledger."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _adopted(folder: Path) -> frozenset[str]:
    """Return the ids of the batches that `runner adopt` added to a run; a pipe is not opened."""
    if not os.path.isfile(folder / CLAIMS):  # noqa: PTH113 -- it never raises
        return frozenset()
    return frozenset(read_claims(folder))


def _folders(
    project: Project, jobs: Sequence[Job], others: Sequence[str] | None
) -> Iterator[tuple[Path, tuple[str, Job | None]]]:
    """Yield each folder with a record once, with the name of its job and the job of its spec."""
    with_spec = {job_folder(project, job): job for job in jobs}
    for parent, job in with_spec.items():
        for folder in _revisions(parent):
            yield folder, (job.name, job)
    names = (
        _names(project.outputs) if others is None else [name for name in others if _is_name(name)]
    )
    for name in names:
        if project.outputs / name not in with_spec:
            for folder in _revisions(project.outputs / name):
                yield folder, (name, None)


def _names(outputs: Path) -> list[str]:
    """List the folders of jobs; links are left out, since what they lead to has its own name."""
    # The methods of Path raise for a name that no file system accepts; os.path does not.
    if not os.path.isdir(outputs):  # noqa: PTH112
        return []
    with explained(outputs, doing="read"), os.scandir(outputs) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _revisions(parent: Path) -> Iterator[Path]:
    """Yield the folders of a job with a record; links, such as `latest`, are left out."""
    for name in _names(parent):
        if os.path.lexists(parent / name / RECORD):
            yield parent / name


def _runs(
    project: Project, ledger: Ledger, jobs: Sequence[Job], others: Sequence[str] | None
) -> dict[Path, Run]:
    """Return the recorded runs of these jobs, by folder."""
    names = None if others is None else {job.name for job in jobs} | set(others)
    return {
        project.root / run.folder: run for run in ledger.runs() if names is None or run.job in names
    }


def _is_current(
    record: RunRecord, job: Job | None, siblings: Sequence[RunRecord | None], inputs: Inputs
) -> bool:
    """Whether a spec would have the revision of a run with the input of that run.

    False if the spec has another revision for other reasons, or a later run has finished.
    """
    if job is None:
        return False
    now = inputs.of_job(job)
    wanted = None if isinstance(now, str) else revision_of(job, now.digest)
    finished = [other for other in siblings if other is not None]
    if any(other.revision == wanted for other in finished):
        return record.revision == wanted
    if any(other.finished_at > record.finished_at for other in finished):
        return False
    return revision_of(job, record.input.sha256) == record.revision


def _against_ledger(
    ledger: Ledger, run: Run, content: FolderCheck
) -> tuple[FolderCheck, _LedgerCheck]:
    """Compare a record with the ledger; new files of a run that goes on are not stray."""
    record = content.record
    if not run.state.final:
        # A run that was opened again has no final files until it finishes.
        expected = {(OUTPUT, FileMatch.MISSING), (ERRORS, FileMatch.MISSING)}
        kept = tuple(
            file
            for file in content.files
            if file.match is not FileMatch.STRAY and (file.name, file.match) not in expected
        )
        note = f"the run was continued ({run.state}); its record describes the earlier end"
        return replace(content, files=kept), _LedgerCheck(notes=(note,))
    if record is None:
        return content, _LedgerCheck()
    recorded = {file.path: file.sha256 for each in ledger.files(run.id).values() for file in each}
    written = {result.path: result.sha256 for result in record.results}
    problems = [
        f"{path}: the ledger has {recorded.get(path, 'no such file')}, the record "
        f"{written.get(path, 'none')}"
        for path in sorted(recorded.keys() | written.keys())
        if recorded.get(path) != written.get(path)
    ]
    written_totals = (record.revision, record.state, record.counts.succeeded, record.counts.failed)
    if written_totals != (run.revision, str(run.state), run.succeeded, run.failed):
        problems.append(
            f"the ledger says {run.state} with {run.succeeded:,} succeeded and {run.failed:,} "
            f"failed, the record {record.state} with {record.counts.succeeded:,} and "
            f"{record.counts.failed:,}"
        )
    return content, _LedgerCheck(problems=tuple(problems))
