"""The bytes of a submission: cut from the input as it lies now, and known to be the right ones.

A revision is known by its rows, not by its file: the same rows may come back with other line
ends, blank lines or a byte order mark, and then nothing stands where it stood. So where a shard
begins is only a hint, and what was cut is believed for its content alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from typing import TYPE_CHECKING

from runner.errors import InputChanged, LocalFileError
from runner.inputs.fingerprint import Fingerprint, open_unchanged
from runner.inputs.row_set import RowSet
from runner.reconcile.custom_ids import custom_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path

    from runner.inputs.extract import ExtractedFile
    from runner.ledger.records import Run, ShardRecord, Submission
    from runner.planning.actions import Submit
    from runner.reconcile.context import Context
    from runner.spec.job import Job


def extract_remaining(context: Context, action: Submit) -> Submission:
    """Cut what is left of a shard into a file, and return the submission with its digest.

    The rows that were cut are those that are meant: their custom_ids say so. Raises InputChanged,
    InvalidInput or LocalFileError.
    """
    submission = action.submission
    path = context.scratch(submission.key)
    made = extract_rows(context, action.job, action.run, action.shard, submission.rows, path)
    return dataclasses.replace(
        submission, requests=made.requests, bytes=made.bytes, sha256=made.sha256
    )


def extract_rows(
    context: Context, job: Job, run: Run, shard: ShardRecord, rows: RowSet, path: Path
) -> ExtractedFile:
    """Cut some rows of a shard into a file, and see by their custom_ids that it is those.

    Raises InputChanged, InvalidInput or LocalFileError.
    """

    def right(_cut: ExtractedFile) -> bool:
        from runner.outputs.result_files import read_results

        meant = (name for row, name in custom_ids(context, run, shard, None)() if row in rows)
        return [line.custom_id for line in read_results(path)] == list(meant)

    return _cut(job, shard, rows, path, right)


@contextlib.contextmanager
def content(context: Context, action: Submit, submission: Submission) -> Iterator[FileIO]:
    """Give the bytes to upload, known to be those that were recorded.

    A shard that is the whole input is read from where it lies; anything else is cut into a file
    of its own. Raises InputChanged if the bytes are not those that were recorded, or if they
    change while the block runs; InvalidInput or LocalFileError.
    """
    whole = action.shard.whole and len(submission.rows) == action.shard.requests
    if whole and _is_still(context, action.job.input, submission.sha256):
        path = action.job.input
    else:
        path = context.scratch(submission.key)
        if not path.exists() or _sha256(path) != submission.sha256:
            _cut(
                action.job,
                action.shard,
                submission.rows,
                path,
                lambda made: made.sha256 == submission.sha256,
            )
    with open_unchanged(path, shown=action.job.input_shown) as (file, _fingerprint):
        yield file


def _is_still(context: Context, path: Path, sha256: str) -> bool:
    """Whether a file has this digest; one that was read in this pass is only looked at."""
    fresh = context.fresh.get(path)
    if fresh is not None and fresh == (Fingerprint.of(path), sha256):
        return True
    return _sha256(path) == sha256


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise LocalFileError(f"{path} cannot be read: {error.strerror or error}") from error


def _cut(
    job: Job,
    shard: ShardRecord,
    rows: RowSet,
    path: Path,
    right: Callable[[ExtractedFile], bool],
) -> ExtractedFile:
    """Write some rows of a shard to a file of their own, from where they were or are now."""
    from runner.inputs.extract import write_rows

    from_the_top = dataclasses.replace(shard, offset=0, rows=RowSet.span(0, shard.rows.last + 1))
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for place in (shard, from_the_top):
            with part.open("wb") as destination:
                try:
                    made = write_rows(
                        job.input,
                        shard=place,
                        rows=rows,
                        destination=destination,
                        shown=job.input_shown,
                    )
                except InputChanged:
                    if place is from_the_top:
                        raise
                    continue
                destination.flush()
                os.fsync(destination.fileno())
            part.replace(path)
            if right(made):
                return made
    except OSError as error:
        raise LocalFileError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    raise InputChanged(
        f"{job.input_shown} does not hold the requests any more that were validated and hashed; "
        f"nothing was sent. Restore it, or let the next pass take it as a new revision"
    )
