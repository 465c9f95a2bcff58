"""Read the recorded state: from the ledger, and from the output folders.

Besides final files an output folder holds `adopted.json`, the keys of batches that were made
elsewhere. A batch that runner made carries its key at the provider. An adopted one does not, and
it cannot be added there; without the file a lost ledger would pay for its requests again.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.batch import BatchStatus
from runner.files import make_folder, open_regular, parts_of, sweep, sync_folder, write_whole
from runner.ledger.records import SubmissionKey, SubmissionState
from runner.outputs.files import read_latest
from runner.planning.state import Enqueued, Load, Recorded
from runner.reconcile.desired import job_folder, shown_path
from runner.reconcile.restore import find_restorable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.ledger.records import Run, Submission
    from runner.ledger.store import Ledger
    from runner.planning.state import DesiredRun
    from runner.spec.project import Project


def load_recorded(
    ledger: Ledger, desired_runs: Sequence[DesiredRun], *, everything: bool
) -> Recorded:
    """Return the recorded state of these desired runs, read from the ledger.

    With `everything`, also that of unfinished runs that no spec describes any more. Finished runs
    are summaries: their shards are not read, so that a thousand of them cost little.
    """
    names = {desired.job.name for desired in desired_runs}
    revisions = {desired.revision for desired in desired_runs}
    runs: list[Run] = []
    for run in ledger.runs():
        if run.job not in names and run.revision not in revisions and not everything:
            continue
        runs.append(run if run.state.final else _with_cancellations(ledger, ledger.run(run.id)))
    providers = {desired.job.provider.name for desired in desired_runs} | {
        run.provider for run in runs
    }
    recorded_identities = {(run.job, run.revision) for run in runs}
    has_unfinished = any(not run.state.final for run in runs) or any(
        (desired.job.name, desired.revision) not in recorded_identities for desired in desired_runs
    )
    newly_desired = {
        desired.revision
        for desired in desired_runs
        if (desired.job.name, desired.revision) not in recorded_identities
    }
    shared = [
        revision
        for revision, count in Counter(run.revision for run in runs).items()
        if count > 1 or revision in newly_desired
    ]
    return Recorded(
        jobs={record.name: record for record in ledger.jobs()},
        runs=tuple(runs),
        tagged={provider: tuple(ledger.foreign_batches(provider)) for provider in providers}
        if has_unfinished
        else {},
        keys={revision: ledger.submission_keys(revision) for revision in shared}
        if has_unfinished
        else {},
        loads=_loads(ledger) if has_unfinished else {},
    )


def with_present_provider(project: Project, run: Run) -> Run:
    """Return a run with the provider that has its batches now, where `same_as` names another."""
    own = project.providers.get(run.provider)
    if own is not None and own.has_batches_of(run.provider, run.base_url):
        return run
    for provider in project.providers.values():
        if provider.was(run.provider, run.base_url):
            address = provider.identity["base_url"]
            return dataclasses.replace(run, provider=provider.name, base_url=address)
    return run


def _with_cancellations(ledger: Ledger, run: Run) -> Run:
    """Return a run with the times since when its batches are being cancelled."""

    def is_ending(submission: Submission) -> bool:
        batch = submission.batch
        # `runner retry` takes a cancellation back, but not for the batches of before.
        wanted = run.cancel_requested or submission.round < run.round
        return (
            submission.state is SubmissionState.SUBMITTED
            and batch is not None
            and (batch.known_status is BatchStatus.CANCELLING or wanted)
        )

    if not any(map(is_ending, run.submissions)):
        return run
    return dataclasses.replace(
        run,
        submissions=tuple(
            dataclasses.replace(each, cancelling_since=ledger.cancelling_since(run, each))
            if is_ending(each)
            else each
            for each in run.submissions
        ),
    )


def _loads(ledger: Ledger) -> dict[str, Load]:
    enqueued: dict[str, dict[str | None, Enqueued]] = {}
    batches: dict[str, int] = {}
    for in_flight in ledger.in_flight():
        enqueued.setdefault(in_flight.provider, {})[in_flight.model] = Enqueued(
            counted=in_flight.tokens,
            uncounted_bytes=in_flight.uncounted_bytes,
            exact=in_flight.exact,
        )
        batches[in_flight.provider] = batches.get(in_flight.provider, 0) + in_flight.batches
    return {
        provider: Load(batches=count, enqueued=enqueued[provider])
        for provider, count in batches.items()
    }


def find_published(
    project: Project, desired_runs: Sequence[DesiredRun], recorded: Recorded
) -> tuple[frozenset[int], dict[str, str]]:
    """Return the finished runs whose output is on the disk, and the target of each `latest`.

    The runs are given by id; the targets (revisions) by the job's output folder, as the plan
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
        named = read_latest(folder)
        if named is not None:
            latest[shown_path(project, folder)] = Path(named).name
    return frozenset(published), latest


def with_output_folders(
    project: Project, desired_runs: Sequence[DesiredRun], runs: Sequence[Run]
) -> tuple[DesiredRun, ...]:
    """Return the desired runs with restorable runs and claims, read from their output folders."""
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


CLAIMS: Final = "adopted.json"
_FORMAT: Final = 1


def read_claims(folder: Path) -> dict[str, SubmissionKey]:
    """Return the keys of the batches that were adopted for a run, by batch id."""
    try:
        with open_regular(folder / CLAIMS) as file:
            document = json.loads(file.read())
        keys = {
            str(name): SubmissionKey.parse(str(key)) for name, key in document["batches"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Not a file that runner wrote: it claims nothing.
        return {}
    return {name: key for name, key in keys.items() if key is not None}


def write_claims(folder: Path, claims: Mapping[str, SubmissionKey]) -> None:
    """Write the claims of a run durably. Raises LocalFileError."""
    document = {
        "format_version": _FORMAT,
        "batches": {name: str(key) for name, key in claims.items()},
    }
    make_folder(folder, within=folder.parent)
    sweep(folder, parts_of(CLAIMS))
    write_whole(folder / CLAIMS, json.dumps(document, indent=2, sort_keys=True).encode() + b"\n")
    sync_folder(folder)
