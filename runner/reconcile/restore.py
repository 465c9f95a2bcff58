"""Finished runs that the ledger does not know: read from their records, believed if whole.

A ledger can be deleted. What it knew of finished runs stands in `run.json` beside their outputs,
and a run whose outputs are there, byte for byte, is not asked for again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from runner.batch import Batch
from runner.errors import LocalFileError
from runner.inputs.row_set import RowSet
from runner.ledger import run_transitions as run_steps
from runner.ledger.records import (
    FileRecord,
    Run,
    RunState,
    ShardRecord,
    Submission,
    SubmissionKey,
    SubmissionState,
)
from runner.planning.state import Restorable
from runner.reconcile.context import Notice, RequestCounts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.planning.actions import RestoreRun
    from runner.planning.state import DesiredRun
    from runner.reconcile.context import Context


_UNREADABLE: Final = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What a file that is no record of ours can lead to, when it is read as one."""


def find_restorable(root: Path, desired: DesiredRun) -> Restorable | None:
    """Read the finished run of a wish from its output folder, if it is there and whole.

    None if there is no record, if it is of another revision, or if an output differs from what
    the record says of it. Changes nothing.
    """
    found = read_restorable(root, desired.folder)
    if (
        found is None
        or found.run.revision != desired.revision
        or found.run.digest != desired.digest
    ):
        return None
    # As the spec has it now: another name, the input in another place.
    run = dataclasses.replace(
        found.run,
        job=desired.job.name,
        input_path=desired.job.input_shown,
        attempts=desired.job.attempts,
    )
    return dataclasses.replace(found, run=run)


def read_restorable(root: Path, shown: str) -> Restorable | None:
    """Read the finished run that a folder below `root` holds.

    None if there is no record, or if an output is not what it says. Changes nothing.
    """
    from runner.outputs.recorded import Unfit, open_file

    folder = root / shown
    try:
        record = json.loads((folder / "run.json").read_bytes())
        if record["format_version"] != 1:
            return None
        for name, output in record["outputs"].items():
            with open_file(folder, name) as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != output["sha256"]:
                    return None
        return _restorable(record, shown)
    except (Unfit, *_UNREADABLE):
        # Whatever is wrong with it, it is no proof that the questions were answered.
        return None


def restore(context: Context, action: RestoreRun) -> None:
    """Put a finished run and everything its record holds back into the ledger."""
    restorable = action.restorable
    with _storable(restorable.run):
        run_steps.restore_run(context.ledger, action.job, restorable.run, _parts(restorable))
    run = restorable.run
    context.tell(
        Notice(
            job=run.job,
            what=f"{run.state}: taken over from {run.folder}/run.json; nothing was submitted",
            event="run_restored",
            revision=run.short,
            state=run.state,
            tally=RequestCounts(total=run.requests, succeeded=run.succeeded, failed=run.failed),
        )
    )


def restore_history(context: Context, restorable: Restorable) -> None:
    """Put a finished run back that its job may or may not ask for any more.

    Raises LocalFileError for a record that the ledger cannot keep.
    """
    with _storable(restorable.run):
        run_steps.restore_history(context.ledger, restorable.run, _parts(restorable))


@contextlib.contextmanager
def _storable(run: Run) -> Iterator[None]:
    """Say in words that a record holds what no ledger can keep."""
    try:
        yield
    except (OverflowError, UnicodeError) as error:
        raise LocalFileError(
            f"{run.folder}/run.json holds a number or a text that the ledger cannot keep: {error}"
        ) from error


def _parts(
    restorable: Restorable,
) -> list[tuple[Submission, Batch | None, tuple[FileRecord, ...]]]:
    return [
        (submission, submission.batch, restorable.files.get(str(submission.key), ()))
        for submission in restorable.run.submissions
    ]


def _restorable(record: dict[str, Any], folder: str) -> Restorable | None:
    from runner.outputs.recorded import is_ours

    request, source, spec = record["request"], record["input"], record["spec"]
    submissions: list[Submission] = []
    files: dict[str, tuple[FileRecord, ...]] = {}
    for shard in record["shards"]:
        for entry in shard["submissions"]:
            submissions.append(_submission(entry))
            files[entry["key"]] = tuple(FileRecord(**result) for result in entry["results"])
    if not all(is_ours(result.path) for results in files.values() for result in results):
        return None
    state = RunState(record["state"])
    if not state.final:
        return None
    return Restorable(
        run=Run(
            id=0,
            job=record["job"],
            revision=record["revision"],
            state=state,
            reason=record["reason"],
            provider=request["provider"]["name"],
            base_url=request["provider"]["base_url"],
            endpoint=request["endpoint"],
            replicate=request["replicate"],
            digest=source["sha256"],
            requests=source["requests"],
            bytes=source["bytes"],
            input_path=source["path"],
            folder=folder,
            superseded=record["superseded"],
            git=None if record["git"] is None else json.dumps(record["git"]),
            spec_path=spec["path"],
            spec_line=spec["line"],
            spec_sha256=spec["sha256"],
            spec_document=spec["document"],
            attempts=request["attempts"],
            succeeded=record["counts"]["succeeded"],
            failed=record["counts"]["failed"],
            created_at=_seconds(record["started_at"]),
            finished_at=_seconds(record["finished_at"]),
            # As they were cut then: the provider's limits may have been changed since.
            shards=tuple(_shard(shard) for shard in record["shards"]),
            submissions=tuple(submissions),
        ),
        files=files,
    )


def _shard(entry: dict[str, Any]) -> ShardRecord:
    return ShardRecord(
        number=entry["number"],
        model=entry["model"],
        rows=RowSet.parse(entry["rows"]),
        requests=entry["requests"],
        bytes=entry["bytes"],
        sha256=entry["sha256"],
        offset=entry["offset"],
        ids_offset=entry["ids_offset"],
        whole=entry["whole"],
    )


def _submission(entry: dict[str, Any]) -> Submission:
    key = SubmissionKey.parse(entry["key"])
    if key is None:
        raise ValueError(entry["key"])
    batch = None if entry["batch"] is None else Batch.from_api(entry["batch"])
    at = entry["submitted_at"]
    return Submission(
        key=key,
        state=SubmissionState(entry["state"]),
        rows=RowSet.parse(entry["rows"]),
        requests=entry["requests"],
        bytes=entry["bytes"],
        sha256=entry["sha256"],
        counted=entry["counted"],
        input_file_id=entry["input_file_id"],
        batch_id=None if batch is None else batch.id,
        submitted_at=None if at is None else _seconds(at),
        transient=RowSet.parse(entry["transient"]),
        permanent=RowSet.parse(entry["permanent"]),
        problem=entry["problem"],
        batch=batch,
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
