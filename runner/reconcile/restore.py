"""Restore finished runs that the ledger does not have from their `run.json`.

A ledger can be deleted. The `run.json` in the output folder has everything that the ledger had of a
finished run. A run whose outputs still have the recorded digests is not submitted again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING

from runner.batch import Batch
from runner.errors import LocalFileError
from runner.inputs.row_set import RowSet
from runner.ledger import run_transitions
from runner.ledger.records import (
    FileRecord,
    Run,
    RunState,
    ShardRecord,
    Submission,
    SubmissionKey,
    SubmissionState,
)
from runner.outputs.files import RECORD, FileRejected, is_run_file, open_file
from runner.planning.state import Restorable
from runner.reconcile.context import Notice, RequestCounts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.outputs.record import RecordedShard, RecordedSubmission, RunRecord
    from runner.planning.actions import RestoreRun
    from runner.planning.state import DesiredRun
    from runner.reconcile.context import Context


def find_restorable(root: Path, desired: DesiredRun) -> Restorable | None:
    """Read the finished run of a desired revision from its output folder.

    Returns None if there is no record, if it is of another revision, or if an output differs
    from the digest in the record. Changes nothing.
    """
    found = read_restorable(root, desired.folder)
    if (
        found is None
        or found.run.revision != desired.revision
        or found.run.digest != desired.digest
    ):
        return None
    # The spec may have another job name, input path or number of attempts by now.
    run = dataclasses.replace(
        found.run,
        job=desired.job.name,
        input_path=desired.job.input_shown,
        attempts=desired.job.attempts,
    )
    return dataclasses.replace(found, run=run)


def read_restorable(root: Path, shown: str) -> Restorable | None:
    """Read the finished run from its folder `shown`, a path relative to `root`.

    Returns None if there is no usable record, or if an output differs from the digest in the
    record: then nothing proves that the requests have succeeded. Changes nothing.
    """
    from runner.outputs.record import read_record

    folder = root / shown
    try:
        record = read_record(folder)
        for name, output in record.outputs.items():
            with open_file(folder, name) as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != output.sha256:
                    return None
        return _restorable(record, shown)
    except (FileRejected, OSError, ValueError, OverflowError):
        return None


def runs_on_disk(root: Path, folder: Path) -> Iterator[Run]:
    """Yield the finished runs whose records are in the folder of a job; outputs are not checked."""
    from runner.outputs.record import read_record

    with contextlib.suppress(OSError):
        for record_file in sorted(folder.glob(f"*/{RECORD}")):
            with contextlib.suppress(FileRejected, OSError, ValueError, OverflowError):
                shown = record_file.parent.relative_to(root).as_posix()
                if found := _restorable(read_record(record_file.parent), shown):
                    yield found.run


def restore(context: Context, action: RestoreRun) -> None:
    """Write a finished run, with everything in its record, into the ledger."""
    restorable = action.restorable
    with _storable(restorable.run):
        run_transitions.restore_run(context.ledger, action.job, restorable.run, _parts(restorable))
    run = restorable.run
    context.report_notice(
        Notice(
            job=run.job,
            message=f"{run.state}: restored from {run.folder}/run.json; nothing was submitted",
            event="run_restored",
            revision=run.short,
            state=run.state,
            counts=RequestCounts(total=run.requests, succeeded=run.succeeded, failed=run.failed),
        )
    )


def restore_history(context: Context, restorable: Restorable) -> None:
    """Write a finished run into the ledger, whether or not a spec still describes it.

    Raises LocalFileError for a record that the ledger cannot keep.
    """
    with _storable(restorable.run):
        run_transitions.restore_history(context.ledger, restorable.run, _parts(restorable))


@contextlib.contextmanager
def _storable(run: Run) -> Iterator[None]:
    """Raise LocalFileError for a value of a record that the ledger cannot keep."""
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


def _restorable(record: RunRecord, folder: str) -> Restorable | None:
    """Convert a record to the ledger's values. Raises ValueError and OverflowError."""
    state = RunState(record.state)
    if not state.final or not all(is_run_file(result.path) for result in record.results):
        return None
    return Restorable(
        run=Run(
            id=0,
            job=record.job,
            revision=record.revision,
            state=state,
            reason=record.reason,
            provider=record.request.provider.name,
            base_url=record.request.provider.base_url,
            endpoint=record.request.endpoint,
            replicate=record.request.replicate,
            digest=record.input.sha256,
            requests=record.input.requests,
            bytes=record.input.bytes,
            input_path=record.input.path,
            folder=folder,
            superseded=record.superseded,
            git=None if record.git is None else json.dumps(dataclasses.asdict(record.git)),
            spec_path=record.spec.path,
            spec_line=record.spec.line,
            spec_sha256=record.spec.sha256,
            spec_document=record.spec.document,
            attempts=record.request.attempts,
            succeeded=record.counts.succeeded,
            failed=record.counts.failed,
            truncated=record.truncated,
            created_at=_seconds(record.started_at),
            finished_at=_seconds(record.finished_at),
            # As they were cut then: the provider's limits may have changed since.
            shards=tuple(_shard(shard) for shard in record.shards),
            submissions=tuple(_submission(each) for each in record.submissions),
        ),
        files={each.key: _files(each) for each in record.submissions},
    )


def _shard(shard: RecordedShard) -> ShardRecord:
    return ShardRecord(
        number=shard.number,
        model=shard.model,
        rows=RowSet.parse(shard.rows),
        requests=shard.requests,
        bytes=shard.bytes,
        sha256=shard.sha256,
        offset=shard.offset,
        ids_offset=shard.ids_offset,
        whole=shard.whole,
    )


def _submission(submission: RecordedSubmission) -> Submission:
    key = SubmissionKey.parse(submission.key)
    if key is None:
        raise ValueError(submission.key)
    batch = None if submission.batch is None else Batch.from_api(submission.batch)
    at = submission.submitted_at
    return Submission(
        key=key,
        state=SubmissionState(submission.state),
        rows=RowSet.parse(submission.rows),
        requests=submission.requests,
        bytes=submission.bytes,
        sha256=submission.sha256,
        counted=submission.counted,
        input_file_id=submission.input_file_id,
        batch_id=None if batch is None else batch.id,
        submitted_at=None if at is None else _seconds(at),
        transient=RowSet.parse(submission.transient),
        permanent=RowSet.parse(submission.permanent),
        problem=submission.problem,
        batch=batch,
    )


def _files(submission: RecordedSubmission) -> tuple[FileRecord, ...]:
    return tuple(
        FileRecord(
            kind=result.kind,
            file_id=result.file_id,
            path=result.path,
            bytes=result.bytes,
            sha256=result.sha256,
        )
        for result in submission.results
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
