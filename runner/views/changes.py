"""The changes of a job since its last pass: fields of its spec, requests of its input.

`runner plan` alone shows them. They are found by reading the input again and by running git, which
takes too long for a pass, and no decision depends on them.

The ledger holds no requests. Those of the earlier revision are read from the earlier file, if the
spec names another file now; from the git repository of the project; or, as custom_ids only, from
the lists that runner keeps to order the results, or from the results. Contents count only if their
digest is that of the revision.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.files import open_regular
from runner.planning.actions import RelocateRun
from runner.spec.diff import changed_fields, spec_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.inputs.row_diff import RequestHashes, RowChanges
    from runner.ledger.records import JobRecord, Run, RunState
    from runner.planning.actions import Plan
    from runner.planning.state import DesiredRun, Recorded
    from runner.spec.diff import FieldChange
    from runner.spec.project import Project


_IDENTITY: Final = ("endpoint", "provider", "base_url", "replicate")
"""Fields that make another revision, as the requests do (`runner/spec/identity.py`)."""

_EFFECTS: Final = {
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
"""The effect of an edit that makes no new revision, by the first part of the path of its field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecEdit:
    """A changed field. `identity` is true if it makes another revision; `effect` is a phrase."""

    change: FieldChange
    identity: bool
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputChange:
    """The change of the requests; `rows` is None if the earlier requests were not found.

    `source` says where they were found; `total` is the number of requests now.
    """

    rows: RowChanges | None
    source: str | None
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanges:
    """The changes of one job.

    `before` is the earlier revision (12 digits), `state` the state of its run and `folder` its
    output folder; `same_revision` is true if the job still has that revision. `edits` is None if
    this version of runner cannot read the earlier spec, `requests` if the input is the same.
    """

    before: str
    state: RunState
    folder: str
    same_revision: bool
    edits: tuple[SpecEdit, ...] | None
    requests: InputChange | None


def changes_since_last_pass(
    project: Project,
    desired_runs: Sequence[DesiredRun],
    recorded: Recorded,
    runs: Sequence[Run],
    plan: Plan,
) -> dict[str, JobChanges]:
    """Return the changes since the last pass by job, without new and unchanged jobs.

    `runs` are all runs of the ledger. `plan` is the plan for `desired_runs`: it shows which jobs
    were renamed.
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
        record = recorded.jobs.get(renamed.get(desired.job.name, desired.job.name))
        if record is None or record == desired.record:
            continue
        run = by_identity.get((record.name, record.desired_revision or ""), newest.get(record.name))
        if run is not None:
            changed[desired.job.name] = _changes_of(project, desired, record, run)
    return changed


def _changes_of(project: Project, desired: DesiredRun, record: JobRecord, run: Run) -> JobChanges:
    same_revision = run.revision == desired.revision
    return JobChanges(
        before=run.short,
        state=run.state,
        folder=run.folder,
        same_revision=same_revision,
        edits=_edits(desired, record, run, same_revision=same_revision),
        requests=None if run.digest == desired.digest else _requests(project, desired, run),
    )


def _edits(
    desired: DesiredRun, record: JobRecord, run: Run, *, same_revision: bool
) -> tuple[SpecEdit, ...] | None:
    """Compare the identity recorded of the run, and the other fields of the two specs."""
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
            effect=_effect(change.field, same_revision=same_revision),
        )
        for change in changed_fields(before, after)
    )


def _effect(field: str, *, same_revision: bool) -> str:
    if field in _IDENTITY:
        return "makes another revision"
    effect = _EFFECTS.get(field.partition(".")[0]) if same_revision else None
    return f"costs nothing; {effect}" if effect else "costs nothing by itself"


def _requests(project: Project, desired: DesiredRun, run: Run) -> InputChange:
    earlier = _earlier_requests(project, run, desired)
    now = None if earlier is None else _requests_with_digest(desired.job.input, desired.digest)
    if earlier is None or now is None:
        return InputChange(rows=None, source=None, total=desired.requests)
    return InputChange(
        rows=now.changes_since(earlier.rows), source=earlier.source, total=desired.requests
    )


_TRIES: Final = 3
"""The most versions of a file in git that are read, those of the most likely size first."""

_COMMIT_SHOWN: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRequests:
    """The requests of a revision, or only their custom_ids; `source` says where they were read."""

    rows: RequestHashes
    source: str


def _earlier_requests(project: Project, run: Run, desired: DesiredRun) -> EarlierRequests | None:
    """Return the requests of an earlier run of a job; None if they are nowhere any more.

    Takes 16 bytes of memory for each request.
    """
    return (
        _of_file(project, run, desired)
        or _of_git(project, run)
        or _of_ids(project, run)
        or _of_results(project, run)
    )


def _of_file(project: Project, run: Run, desired: DesiredRun) -> EarlierRequests | None:
    path = project.root / run.input_path
    if path == desired.job.input:
        return None
    try:
        likely = path.is_file() and _likely(path.stat().st_size, run)
    except (OSError, ValueError):
        return None
    rows = _requests_with_digest(path, run.digest) if likely else None
    return None if rows is None else EarlierRequests(rows=rows, source=run.input_path)


def _of_git(project: Project, run: Run) -> EarlierRequests | None:
    from runner.inputs.row_diff import RequestHashes
    from runner.outputs.git_history import blobs, content

    if Path(run.input_path).is_absolute():
        return None
    found = blobs(project.root, run.input_path, commit=_commit(run))
    likely = sorted(
        (blob for blob in found if _likely(blob.size, run)),
        key=lambda blob: blob.size - run.bytes,
    )
    for blob in likely[:_TRIES]:
        with contextlib.suppress(OSError, ValueError), content(project.root, blob) as lines:
            rows = RequestHashes.of_requests(lines)
            if rows.digest == run.digest:
                return EarlierRequests(rows=rows, source=f"commit {blob.commit[:_COMMIT_SHOWN]}")
    return None


def _of_ids(project: Project, run: Run) -> EarlierRequests | None:
    from runner.inputs.row_diff import RequestHashes
    from runner.reconcile.desired import ids_path

    path = ids_path(project.ledger, run.digest)
    with contextlib.suppress(OSError, ValueError), open_regular(path) as lines:
        return _complete(RequestHashes.of_ids(lines), run, "the custom_ids that were kept")
    return None


def _of_results(project: Project, run: Run) -> EarlierRequests | None:
    from runner.inputs.row_diff import RequestHashes

    folder = project.root / run.folder
    if not run.state.final:
        return None
    with contextlib.suppress(OSError, ValueError):
        rows = RequestHashes.of_responses(_lines(folder / "output.jsonl", folder / "errors.jsonl"))
        return _complete(rows, run, f"the results in {run.folder}")
    return None


def _complete(rows: RequestHashes, run: Run, source: str) -> EarlierRequests | None:
    return EarlierRequests(rows=rows, source=source) if rows.count == run.requests else None


def _lines(*paths: Path) -> Iterator[bytes]:
    for path in paths:
        with open_regular(path) as file:
            yield from file


def _requests_with_digest(path: Path, digest: str) -> RequestHashes | None:
    """Read a file of requests; None if it does not have this digest."""
    from runner.inputs.row_diff import RequestHashes

    with contextlib.suppress(OSError, ValueError), open_regular(path) as lines:
        rows = RequestHashes.of_requests(lines)
        return rows if rows.digest == digest else None
    return None


def _likely(size: int, run: Run) -> bool:
    """Whether a file of this size can hold the requests of a run, and little else.

    The last line may have no line feed, and the lines may end as on Windows. A much larger file
    holds something else, perhaps in one line of any length.
    """
    return run.bytes - 1 <= size <= 2 * run.bytes


def _commit(run: Run) -> str | None:
    """Return the commit at which a run began; None if it is not recorded."""
    try:
        state = json.loads(run.git or "null")
    except ValueError:
        return None
    commit = state.get("commit") if isinstance(state, dict) else None
    return commit if isinstance(commit, str) else None
