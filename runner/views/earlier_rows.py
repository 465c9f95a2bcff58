"""The requests of an earlier revision, wherever they can still be read.

A ledger holds no requests, so they are looked for: in the earlier file, if the spec names another
now; in the project's git repository; and where neither has them, in the lists of custom_ids that
are kept for the order of the results, or in the results themselves. Contents are believed only if
their digest is that of the revision.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.inputs.row_diff import RequestHashes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.ledger.records import Run
    from runner.planning.state import DesiredRun
    from runner.spec.project import Project


_TRIES: Final = 3
"""Contents of git that are read at the most, those of the likeliest size first."""

_COMMIT_SHOWN: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRequests:
    """The requests of a revision, or their custom_ids alone; `source` says where they were read."""

    rows: RequestHashes
    source: str


def earlier_requests(project: Project, run: Run, desired: DesiredRun) -> EarlierRequests | None:
    """Find the requests of an earlier run of a job; None where nothing has them any more.

    Memory: 16 bytes a request. Changes nothing.
    """
    return (
        _of_file(project, run, desired)
        or _of_git(project, run)
        or _of_ids(project, run)
        or _of_results(project, run)
    )


def current_requests(desired: DesiredRun) -> RequestHashes | None:
    """Read the requests that a job asks now; None if its input is being written to."""
    return _whole(desired.job.input, desired.digest)


def _of_file(project: Project, run: Run, desired: DesiredRun) -> EarlierRequests | None:
    path = project.root / run.input_path
    if path == desired.job.input:
        return None
    try:
        likely = path.is_file() and _likely(path.stat().st_size, run)
    except (OSError, ValueError):
        return None
    rows = _whole(path, run.digest) if likely else None
    return None if rows is None else EarlierRequests(rows=rows, source=run.input_path)


def _of_git(project: Project, run: Run) -> EarlierRequests | None:
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
    from runner.reconcile.desired import ids_path

    path = ids_path(project.ledger, run.digest)
    with contextlib.suppress(OSError, ValueError), path.open("rb") as lines:
        return _complete(RequestHashes.of_ids(lines), run, "the custom_ids that were kept")
    return None


def _of_results(project: Project, run: Run) -> EarlierRequests | None:
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
        with path.open("rb") as file:
            yield from file


def _whole(path: Path, digest: str) -> RequestHashes | None:
    """Read a file of requests if it is the one with this digest."""
    with contextlib.suppress(OSError, ValueError), path.open("rb") as lines:
        rows = RequestHashes.of_requests(lines)
        return rows if rows.digest == digest else None
    return None


def _likely(size: int, run: Run) -> bool:
    """Whether a file of this size can hold the requests, and little else.

    Their last line may lack its line feed, and all may end as on Windows. What is much larger is
    something else, and perhaps without a line feed to stop at.
    """
    return run.bytes - 1 <= size <= 2 * run.bytes


def _commit(run: Run) -> str | None:
    """Return the commit at which a run began, if it was noted."""
    try:
        state = json.loads(run.git or "null")
    except ValueError:
        return None
    commit = state.get("commit") if isinstance(state, dict) else None
    return commit if isinstance(commit, str) else None
