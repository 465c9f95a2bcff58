"""Whether what lies in the output folders is still what was made: everything is hashed again.

Each folder with a record is held against that record (`runner.outputs.integrity`), the record
against the ledger where there is one, and the input against the digest that was asked for. An
input may change: then the spec asks for another revision, and the folders of earlier ones are no
worse for it. Only where nothing newer has been finished, and the spec would still ask exactly
this if its input were the same, is a changed input a mismatch.

Nothing is asked, locked or written.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from runner.checks.input import Inputs
from runner.outputs.durable_files import explained
from runner.outputs.integrity import FileMatch, check_folder
from runner.outputs.run_folder import ERRORS, OUTPUT, RECORD
from runner.reconcile.adopt import CLAIMS, read_claims
from runner.reconcile.context import no_progress
from runner.reconcile.desired import job_folder, shown_path
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
    """One revision folder of a job, checked.

    `folder` is as people write it, relative to the project; `input` is None where no record
    says which it was. `problems` are mismatches beyond the files of the folder.
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
        """Whether there is nothing that speaks against this revision."""
        return (
            not self.problems
            and not self.content.problems
            and not (self.input is not None and self.input.bad)
            and all(file.match is FileMatch.OK for file in self.content.files)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Everything that was checked, and the jobs of which nothing has been finished yet."""

    revisions: tuple[RevisionCheck, ...]
    unfinished: tuple[str, ...]

    @property
    def matches(self) -> bool:
        """Whether everything that was checked is as it was made."""
        return all(check.matches for check in self.revisions)


def is_name(text: str) -> bool:
    """Whether a text can be the name of a job, and so of its folder."""
    return _NAME.fullmatch(text) is not None


def has_outputs(project: Project, name: str) -> bool:
    """Whether a job that no spec names has a record in the project's outputs."""
    return is_name(name) and any(_revisions(project.outputs / name))


def verify(
    project: Project,
    jobs: Sequence[Job],
    others: Sequence[str] | None,
    ledger: Ledger | None,
    *,
    moving: ProgressReporter = no_progress,
) -> Verification:
    """Check every revision of these jobs, and of `others`, which no spec names (None: of all).

    Raises LocalFileError where a folder cannot be looked into.
    """
    found = dict(_folders(project, jobs, others))
    runs = {} if ledger is None else _runs(project, ledger, jobs, others)
    wanted = {} if ledger is None else {job.name: job.wanted for job in ledger.jobs()}
    for folder, run in runs.items():
        # An earlier revision that somebody has deleted is nobody's loss.
        if run.state.final and (os.path.lexists(folder) or wanted.get(run.job) == run.revision):
            job = next((job for job in jobs if job_folder(project, job) == folder.parent), None)
            found.setdefault(folder, (run.job, job))
    inputs = Inputs(project, moving)
    contents = {
        folder: check_folder(
            folder,
            adopted=_adopted(folder),
            beside=(CLAIMS,),
            moving=partial(moving, name, "hashing"),
        )
        for folder, (name, _) in found.items()
    }
    checks = []
    for folder, (name, job) in sorted(found.items(), key=lambda item: (item[1][0], item[0])):
        content, said = contents[folder], _Said()
        if ledger is not None and folder in runs:
            content, said = _against_ledger(ledger, runs[folder], content)
        source = None
        if content.record is not None:
            beside = [contents[each].record for each in contents if each.parent == folder.parent]
            asked = _is_asked(content.record, job, beside, inputs)
            source = inputs.check(content.record, job, asked=asked)
        checks.append(
            RevisionCheck(
                job=name,
                revision=folder.name,
                folder=shown_path(project, folder),
                content=content,
                input=source,
                problems=said.problems,
                notes=said.notes,
            )
        )
    done = {check.job for check in checks}
    return Verification(
        revisions=tuple(checks),
        unfinished=tuple(job.name for job in jobs if job.name not in done),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What the ledger says against a record, and besides."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _adopted(folder: Path) -> frozenset[str]:
    """Return the batches that a person has taken over for a run; no pipe is waited for."""
    if not os.path.isfile(folder / CLAIMS):  # noqa: PTH113 -- it never raises
        return frozenset()
    return frozenset(read_claims(folder))


def _folders(
    project: Project, jobs: Sequence[Job], others: Sequence[str] | None
) -> Iterator[tuple[Path, tuple[str, Job | None]]]:
    """Yield every folder with a record once, with the name of its job, and its spec if any."""
    recorded = {job_folder(project, job): job for job in jobs}
    for parent, job in recorded.items():
        for folder in _revisions(parent):
            yield folder, (job.name, job)
    names = (
        _names(project.outputs) if others is None else [name for name in others if is_name(name)]
    )
    for name in names:
        if project.outputs / name not in recorded:
            for folder in _revisions(project.outputs / name):
                yield folder, (name, None)


def _names(outputs: Path) -> list[str]:
    """List the folders of jobs; a link would lead to what is found by its own name."""
    # os.path: Path's questions raise for a name that no file system takes.
    if not os.path.isdir(outputs):  # noqa: PTH112
        return []
    with explained(outputs, doing="read"), os.scandir(outputs) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _revisions(parent: Path) -> Iterator[Path]:
    """Yield the folders of a job that hold a record; `latest`, as any link, is passed over."""
    for name in _names(parent):
        if os.path.lexists(parent / name / RECORD):
            yield parent / name


def _runs(
    project: Project, ledger: Ledger, jobs: Sequence[Job], others: Sequence[str] | None
) -> dict[Path, Run]:
    """Return what the ledger knows of what is checked, by folder."""
    names = None if others is None else {job.name for job in jobs} | set(others)
    return {
        project.root / run.folder: run for run in ledger.runs() if names is None or run.job in names
    }


def _is_asked(
    record: RunRecord, job: Job | None, beside: Sequence[RunRecord | None], inputs: Inputs
) -> bool:
    """Whether a spec would still ask for a run if its input were the same as it was then.

    It does not if it asks for something else by now, or if a later run beside it has finished.
    """
    if job is None:
        return False
    now = inputs.of_job(job)
    wanted = None if isinstance(now, str) else revision_of(job, now.digest)
    finished = [other for other in beside if other is not None]
    if any(other.revision == wanted for other in finished):
        return record.revision == wanted
    if any(other.finished_at > record.finished_at for other in finished):
        return False
    return revision_of(job, record.input.sha256) == record.revision


def _against_ledger(ledger: Ledger, run: Run, content: FolderCheck) -> tuple[FolderCheck, _Said]:
    """Hold a record against the ledger; what a run under way has fetched since is no stray."""
    record = content.record
    if not run.state.final:
        # Beginning again takes the final files away, until they are whole once more.
        expected = {(OUTPUT, FileMatch.MISSING), (ERRORS, FileMatch.MISSING)}
        kept = tuple(
            file
            for file in content.files
            if file.match is not FileMatch.STRAY and (file.name, file.match) not in expected
        )
        note = f"the run goes on ({run.state}); its record is that of the end before"
        return replace(content, files=kept), _Said(notes=(note,))
    if record is None:
        return content, _Said()
    recorded = {file.path: file.sha256 for each in ledger.files(run.id).values() for file in each}
    written = {result.path: result.sha256 for result in record.results}
    problems = [
        f"{path}: the ledger has {recorded.get(path, 'no such file')}, the record "
        f"{written.get(path, 'none')}"
        for path in sorted(recorded.keys() | written.keys())
        if recorded.get(path) != written.get(path)
    ]
    said = (record.revision, record.state, record.counts.succeeded, record.counts.failed)
    if said != (run.revision, str(run.state), run.succeeded, run.failed):
        problems.append(
            f"the ledger says {run.state} with {run.succeeded:,} answered and {run.failed:,} "
            f"failed, the record {record.state} with {record.counts.succeeded:,} and "
            f"{record.counts.failed:,}"
        )
    return content, _Said(problems=tuple(problems))
