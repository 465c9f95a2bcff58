"""Gathering what the plan may know from this machine: the ledger and the output folders."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

from runner.planning.loads import Enqueued, Load
from runner.planning.state import Known
from runner.reconcile.claims import read_claims
from runner.reconcile.desired import job_folder, shown_path
from runner.reconcile.restore import find_restorable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.ledger.records import Run
    from runner.ledger.store import Ledger
    from runner.planning.state import Wish
    from runner.spec.project import Project


def known_of(ledger: Ledger, wishes: Sequence[Wish], *, everything: bool) -> Known:
    """Read from the ledger what concerns these wishes.

    With `everything`, also unfinished runs that no spec asks for any more. Finished runs are
    summaries: however many there are, their shards are not read.
    """
    names = {wish.job.name for wish in wishes}
    revisions = {wish.revision for wish in wishes}
    runs: list[Run] = []
    for run in ledger.runs():
        if run.job not in names and run.revision not in revisions and not everything:
            continue
        runs.append(run if run.state.final else ledger.run(run.id))
    providers = {wish.job.provider.name for wish in wishes} | {run.provider for run in runs}
    own = {(run.job, run.revision) for run in runs}
    busy = any(not run.state.final for run in runs) or any(
        (wish.job.name, wish.revision) not in own for wish in wishes
    )
    newly_asked = {wish.revision for wish in wishes if (wish.job.name, wish.revision) not in own}
    shared = [
        revision
        for revision, count in Counter(run.revision for run in runs).items()
        if count > 1 or revision in newly_asked
    ]
    return Known(
        jobs={record.name: record for record in ledger.jobs()},
        runs=tuple(runs),
        tagged={provider: tuple(ledger.foreign_batches(provider)) for provider in providers}
        if busy
        else {},
        keys={revision: ledger.keys_of(revision) for revision in shared} if busy else {},
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
    project: Project, wishes: Sequence[Wish], known: Known
) -> tuple[frozenset[int], dict[str, str]]:
    """Look which finished runs have their output on the disk, and where each `latest` leads.

    Returns the ids of the runs, and the revision by the job's output folder as the plan
    writes it.
    """
    finals = {(run.job, run.revision): run for run in known.runs if run.state.final}
    published: set[int] = set()
    latest: dict[str, str] = {}
    for wish in wishes:
        run = finals.get((wish.job.name, wish.revision))
        if run is None:
            continue
        if (project.root / run.folder / "output.jsonl").exists():
            published.add(run.id)
        folder = job_folder(project, wish.job)
        try:
            latest[shown_path(project, folder)] = (folder / "latest").readlink().name
        except OSError:
            # No link, or something else of that name: pointing it will say what is wrong.
            continue
    return frozenset(published), latest


def with_traces(project: Project, wishes: Sequence[Wish], runs: Sequence[Run]) -> tuple[Wish, ...]:
    """Add, to wishes that the ledger has no run for, what their output folders tell of one."""
    recorded = {(run.job, run.revision) for run in runs}
    return tuple(
        dataclasses.replace(
            wish,
            restorable=find_restorable(project.root, wish)
            if wish.shards and (wish.job.name, wish.revision) not in recorded
            else None,
            claims=read_claims(project.root / wish.folder),
        )
        for wish in wishes
    )
