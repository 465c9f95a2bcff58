"""What has changed of a job since it was last reconciled: keys of its spec, requests of its input.

For people who look before they pay. It reads the input once more, and asks git, so it is made for
`runner plan` alone: no pass waits for it, and nothing is decided by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.planning.actions import RelocateRun
from runner.spec.diff import changed_fields, spec_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.inputs.row_diff import RowChanges
    from runner.ledger.records import JobRecord, Run, RunState
    from runner.planning.actions import Plan
    from runner.planning.state import DesiredRun, Recorded
    from runner.spec.diff import FieldChange
    from runner.spec.project import Project


_IDENTITY: Final = ("endpoint", "provider", "base_url", "replicate")
"""What makes another revision, beside the requests themselves (`runner/spec/identity.py`)."""

_REACHES: Final = {
    "name": "the run and its outputs move along",
    "input": "the requests are the same",
    "completion_window": "it reaches batches that are not created yet",
    "metadata": "it reaches batches that are not created yet",
    "retry": "it reaches requests that are not given up yet",
    "deadline": "it reaches batches in flight, too",
    "canary": "it reaches attempts that have not begun yet",
    "keep_remote": "it holds once the results are here",
    "output": "the results move there",
}
"""What an edit of a key does that makes no new revision, by the first part of its path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecEdit:
    """A key that changed. `identity` says that it makes another revision, `effect` what it does."""

    change: FieldChange
    identity: bool
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputChange:
    """How the requests changed; `rows` None: nobody can tell. `source` is where the earlier were.

    `total` counts the requests that are asked now.
    """

    rows: RowChanges | None
    source: str | None
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanges:
    """What changed of one job.

    `before` is the revision it asked for last (12 digits), `state` where that stands, `folder` the
    place of its results;
    `again` says that the revision is the same. `edits` is None where the earlier spec cannot be
    read by this version of runner. `requests` is None where the input is what it was.
    """

    before: str
    state: RunState
    folder: str
    again: bool
    edits: tuple[SpecEdit, ...] | None
    requests: InputChange | None


def changes_since_last_pass(
    project: Project,
    desired_runs: Sequence[DesiredRun],
    known: Recorded,
    runs: Sequence[Run],
    plan: Plan,
) -> dict[str, JobChanges]:
    """Say by job what has changed since the last pass; jobs that are new or the same are left out.

    `runs` are all runs of the ledger, `plan` the plan for these wishes: it knows which jobs are
    old ones under a new name.
    """
    renamed = {
        action.job.name: action.run.job
        for action in plan.actions
        if isinstance(action, RelocateRun)
    }
    by_identity = {(run.job, run.revision): run for run in runs}
    newest = {run.job: run for run in runs}
    changed: dict[str, JobChanges] = {}
    for desired in desired_runs:
        record = known.jobs.get(renamed.get(desired.job.name, desired.job.name))
        if record is None or record == desired.record:
            continue
        run = by_identity.get((record.name, record.wanted or ""), newest.get(record.name))
        if run is not None:
            changed[desired.job.name] = _since(project, desired, record, run)
    return changed


def _since(project: Project, desired: DesiredRun, record: JobRecord, run: Run) -> JobChanges:
    again = run.revision == desired.revision
    return JobChanges(
        before=run.short,
        state=run.state,
        folder=run.folder,
        again=again,
        edits=_edits(desired, record, run, again=again),
        requests=None if run.digest == desired.digest else _requests(project, desired, run),
    )


def _edits(
    desired: DesiredRun, record: JobRecord, run: Run, *, again: bool
) -> tuple[SpecEdit, ...] | None:
    """Compare what is recorded of the run for what identifies it, and the texts for the rest."""
    before, after = spec_fields(record.spec_document), spec_fields(desired.job.document)
    if before is None or after is None:
        return None
    job = desired.job
    before |= {
        "name": record.name,
        "endpoint": run.endpoint,
        "provider": run.provider,
        "base_url": run.base_url,
        "replicate": run.replicate,
    }
    after |= {
        "name": job.name,
        "endpoint": job.endpoint,
        "provider": job.provider.name,
        "base_url": job.provider.identity["base_url"],
        "replicate": job.replicate,
    }
    return tuple(
        SpecEdit(
            change=change,
            identity=change.field in _IDENTITY,
            effect=_effect(change.field, again=again),
        )
        for change in changed_fields(before, after)
    )


def _effect(field: str, *, again: bool) -> str:
    if field in _IDENTITY:
        return "makes another revision"
    reaches = _REACHES.get(field.partition(".")[0]) if again else None
    return f"costs nothing; {reaches}" if reaches else "costs nothing by itself"


def _requests(project: Project, desired: DesiredRun, run: Run) -> InputChange:
    from runner.views.earlier_rows import current_requests, earlier_requests

    earlier = earlier_requests(project, run, desired)
    now = None if earlier is None else current_requests(desired)
    if earlier is None or now is None:
        return InputChange(rows=None, source=None, total=desired.requests)
    return InputChange(rows=now.since(earlier.rows), source=earlier.source, total=desired.requests)
