"""Gathering what the plan may know from this machine: the ledger and the output folders."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

from runner.planning.state import Enqueued, Load, Recorded
from runner.reconcile.adopt import read_claims
from runner.reconcile.desired import job_folder, shown_path
from runner.reconcile.restore import find_restorable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.planning.state import DesiredRun
    from runner.spec.project import Project


def load_recorded(
    ledger: Ledger, desired_runs: Sequence[DesiredRun], *, everything: bool
) -> Recorded:
    """Read from the ledger what concerns these wishes.

    With `everything`, also unfinished runs that no spec asks for any more. Finished runs are
    summaries: however many there are, their shards are not read.
    """
    names = {desired.job.name for desired in desired_runs}
    revisions = {desired.revision for desired in desired_runs}
    runs: list[Run] = []
    for run in ledger.runs():
        if run.job not in names and run.revision not in revisions and not everything:
            continue
        runs.append(run if run.state.final else ledger.run(run.id))
    providers = {desired.job.provider.name for desired in desired_runs} | {
        run.provider for run in runs
    }
    own = {(run.job, run.revision) for run in runs}
    busy = any(not run.state.final for run in runs) or any(
        (desired.job.name, desired.revision) not in own for desired in desired_runs
    )
    newly_asked = {
        desired.revision
        for desired in desired_runs
        if (desired.job.name, desired.revision) not in own
    }
    shared = [
        revision
        for revision, count in Counter(run.revision for run in runs).items()
        if count > 1 or revision in newly_asked
    ]
    return Recorded(
        jobs={record.name: record for record in ledger.jobs()},
        runs=tuple(runs),
        tagged={provider: tuple(ledger.foreign_batches(provider)) for provider in providers}
        if busy
        else {},
        keys={revision: ledger.submission_keys(revision) for revision in shared} if busy else {},
        loads=_loads(ledger) if busy else {},
    )


def _loads(ledger: Ledger) -> dict[str, Load]:
    enqueued: dict[str, dict[str | None, Enqueued]] = {}
    batches: dict[str, int] = {}
    for found in ledger.in_flight():
        enqueued.setdefault(found.provider, {})[found.model] = Enqueued(
            counted=found.tokens, uncounted_bytes=found.uncounted_bytes, exact=found.exact
        )
        batches[found.provider] = batches.get(found.provider, 0) + found.batches
    return {
        provider: Load(batches=count, enqueued=enqueued[provider])
        for provider, count in batches.items()
    }


def published_of(
    project: Project, desired_runs: Sequence[DesiredRun], recorded: Recorded
) -> tuple[frozenset[int], dict[str, str]]:
    """Look which finished runs have their output on the disk, and where each `latest` leads.

    Returns the ids of the runs, and the revision by the job's output folder as the plan
    writes it.
    """
    finals = {(run.job, run.revision): run for run in recorded.runs if run.state.final}
    published: set[int] = set()
    latest: dict[str, str] = {}
    for desired in desired_runs:
        run = finals.get((desired.job.name, desired.revision))
        if run is None:
            continue
        if (project.root / run.folder / "output.jsonl").exists():
            published.add(run.id)
        folder = job_folder(project, desired.job)
        try:
            latest[shown_path(project, folder)] = (folder / "latest").readlink().name
        except OSError:
            # No link, or something else of that name: pointing it will say what is wrong.
            continue
    return frozenset(published), latest


def with_traces(
    project: Project, desired_runs: Sequence[DesiredRun], runs: Sequence[Run]
) -> tuple[DesiredRun, ...]:
    """Add, to wishes that the ledger has no run for, what their output folders tell of one."""
    recorded = {(run.job, run.revision) for run in runs}
    return tuple(
        dataclasses.replace(
            desired,
            restorable=find_restorable(project.root, desired)
            if desired.shards and (desired.job.name, desired.revision) not in recorded
            else None,
            claims=read_claims(project.root / desired.folder),
        )
        for desired in desired_runs
    )
