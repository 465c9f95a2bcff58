"""Rebuild a lost ledger from the outputs on the disk and from the providers' lists.

A pass that finds no ledger does the same for the jobs of the specs. A rebuild submits nothing, and
it also restores runs that no spec describes any more.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runner.errors import LedgerError, LocalFileError
from runner.files import rename
from runner.reconcile.context import Notice
from runner.reconcile.desired import shown_path
from runner.reconcile.passes import reconcile_once
from runner.reconcile.restore import read_restorable, restore_history

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.reconcile.context import Context
    from runner.reconcile.passes import PassReport
    from runner.spec.job import Specs
    from runner.spec.project import Project


def set_aside(ledger: Path, *, now: float) -> Path | None:
    """Rename a ledger and its journals; returns the new name, or None if there was none.

    The journals are renamed first: a database without its journal has the state of the last
    checkpoint, but a journal without its database would be applied to the next database. Raises
    LedgerError.
    """
    if not ledger.exists():
        return None
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = ledger.with_name(f"{ledger.name}.{stamp}")
    try:
        number = 1
        while os.path.lexists(aside):
            number += 1
            aside = ledger.with_name(f"{ledger.name}.{stamp}-{number}")
        for journal in ("-shm", "-wal", "-journal"):
            path = ledger.with_name(ledger.name + journal)
            if path.exists():
                rename(path, aside.with_name(aside.name + journal))
        rename(ledger, aside)
    except OSError as error:
        raise LedgerError(
            f"the ledger {ledger} cannot be renamed: {error.strerror or error}"
        ) from error
    return aside


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """The content of a new ledger: how many runs were restored from the disk and left out."""

    report: PassReport
    restored: int
    left_out: int


def rebuild(context: Context, specs: Specs) -> Rebuilt:
    """Fill a new ledger. Submits, collects and cancels nothing. Raises LedgerError."""
    restored = left_out = 0
    recorded = {(run.job, run.revision) for run in context.ledger.runs()}
    for folder in _folders(context.project, specs):
        shown = shown_path(context.project, folder)
        found = read_restorable(context.project.root, shown)
        reason = None
        if found is None:
            reason = f"{shown}: run.json does not match the files in its folder"
        elif (found.run.job, found.run.revision) not in recorded:
            try:
                restore_history(context, found)
            except LocalFileError as error:
                reason = str(error)
            else:
                recorded.add((found.run.job, found.run.revision))
                restored += 1
        if reason is not None:
            left_out += 1
            what = f"{reason}; this run is not restored; `runner verify` shows the differences"
            context.report_notice(
                Notice(job="", message=what, is_problem=True, event="not_restored")
            )
    report = reconcile_once(context, specs, everything=True, restoring=True)
    return Rebuilt(report=report, restored=restored, left_out=left_out)


def _folders(project: Project, specs: Specs) -> Iterator[Path]:
    """Yield the folders of runs, those in their usual place first; links are not followed."""
    job_folders = sorted(_subfolders(project.outputs))
    job_folders += [project.root / job.output for job in specs.jobs if job.output is not None]
    visited: set[Path] = set()
    for job_folder in job_folders:
        for folder in sorted(_subfolders(job_folder)):
            if folder not in visited and (folder / "run.json").is_file():
                visited.add(folder)
                yield folder


def _subfolders(folder: Path) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return  # missing or not readable: nothing to restore from
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield folder / entry.name
