"""Making a ledger anew from what is left of it: the outputs on disk, and the providers' lists.

A pass that finds no ledger does the same by the way, for the jobs of the specs. This does it
alone: it submits nothing, and it brings back what no spec asks for any more as well.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runner.errors import LedgerError
from runner.reconcile.passes import reconcile_once
from runner.reconcile.restore import read_restorable, restore_history
from runner.reconcile.wishes import shown_path
from runner.reconcile.workshop import Tidings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.reconcile.passes import PassReport
    from runner.reconcile.workshop import Workshop
    from runner.spec.job import Specs
    from runner.spec.project import Project


def set_aside(ledger: Path, *, now: float) -> Path | None:
    """Give a ledger, with its journals, another name; returns it, or None if there was none.

    The journals go first: a database without its own is as it was at the last checkpoint, but
    a journal without its database would be played into the next one. Raises LedgerError.
    """
    if not ledger.exists():
        return None
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = ledger.with_name(f"{ledger.name}.{stamp}")
    try:
        number = 1
        while aside.exists():
            number += 1
            aside = ledger.with_name(f"{ledger.name}.{stamp}-{number}")
        for journal in ("-shm", "-wal", "-journal"):
            path = ledger.with_name(ledger.name + journal)
            if path.exists():
                path.replace(aside.with_name(aside.name + journal))
        ledger.replace(aside)
    except OSError as error:
        raise LedgerError(
            f"the ledger {ledger} cannot be put aside: {error.strerror or error}"
        ) from error
    return aside


def rebuild(shop: Workshop, specs: Specs) -> tuple[PassReport, int]:
    """Fill a new ledger; returns what the pass came to, and how many runs the disk had.

    Submits, collects and cancels nothing. Raises LedgerError.
    """
    restored = 0
    known = {(run.job, run.revision) for run in shop.ledger.runs()}
    for folder in _folders(shop.project, specs):
        found = read_restorable(shop.project.root, shown_path(shop.project, folder))
        if found is None:
            shop.tell(
                Tidings(
                    job="",
                    what=f"{shown_path(shop.project, folder)}: run.json and the files beside it do "
                    f"not fit together, so this run is not restored; `runner verify` says more",
                    trouble=True,
                )
            )
            continue
        name = (found.run.job, found.run.revision)
        if name not in known:
            known.add(name)
            restore_history(shop, found)
            restored += 1
    report = reconcile_once(shop, specs, everything=True, restoring=True)
    return report, restored


def _folders(project: Project, specs: Specs) -> Iterator[Path]:
    """Yield the folders of runs, those in their usual place first; links are not followed."""
    homes = sorted(_inside(project.outputs))
    homes += [project.root / job.output for job in specs.jobs if job.output is not None]
    seen: set[Path] = set()
    for home in homes:
        for folder in sorted(_inside(home)):
            if folder not in seen and (folder / "run.json").is_file():
                seen.add(folder)
                yield folder


def _inside(folder: Path) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return  # nothing was ever put there, or nobody may look: nothing to restore from
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield folder / entry.name
