"""Compare the files of a run's folder with its `run.json`: digests, counts, origin of each line.

Writes nothing, and opens only the files of the folder itself. Files are read in pieces, so that
memory does not grow with their size.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from runner.errors import LocalFileError
from runner.files import explained, name_of_part
from runner.inputs.row_set import RowSet
from runner.outputs.by_order import is_made_of
from runner.outputs.files import (
    BY_ORDER,
    ERRORS,
    OUTPUT,
    RAW,
    RECORD,
    FileRejected,
    open_file,
)
from runner.outputs.record import read_record
from runner.outputs.trace import trace
from runner.spec.identity import REVISION_SHOWN, canonical_json
from runner.spec.job import METADATA_KEY
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from runner.outputs.record import RecordedShard, RecordedSubmission, RunRecord


_CHUNK_BYTES: Final = 1024 * 1024


class FileMatch(StrEnum):
    """How a file compares with its entry in the record."""

    OK = "ok"
    DIFFERS = "differs"
    MISSING = "missing"
    STRAY = "stray"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """One file, compared with the record; expected and found are None where they are unknown.

    `lines` counts the line feeds that were found. `reason` says why a file is unreadable. `name`
    is relative to the run's folder, and can be any text if it comes from the record.
    """

    name: str
    match: FileMatch
    expected_sha256: str | None = None
    found_sha256: str | None = None
    expected_bytes: int | None = None
    found_bytes: int | None = None
    lines: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderCheck:
    """The folder of a run, compared with its record.

    `record` is None where it cannot be read; `problems` then has the reason. `notes` are worth
    knowing, but are no mismatch.
    """

    record: RunRecord | None
    files: tuple[FileCheck, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_folder(
    folder: Path,
    *,
    adopted: Collection[str] = (),
    beside: Collection[str] = (),
    report_progress: Callable[[int], AbstractContextManager[Callable[[int], None]]] | None = None,
) -> FolderCheck:
    """Compare all files in a run's folder with its `run.json`.

    `adopted` are the ids of batches that runner did not create: their files and submission keys
    need not be those of the record. `beside` names other files of runner in the folder.
    `report_progress` is called with the number of bytes to hash and entered; the function that it
    yields is called with the number of bytes hashed so far.
    """
    try:
        record = read_record(folder)
    except FileNotFoundError:
        return FolderCheck(record=None, problems=(f"{RECORD} is missing",))
    except FileRejected as unfit:
        return FolderCheck(record=None, problems=(f"{RECORD} {unfit}",))
    expected = {name: (file.bytes, file.sha256) for name, file in record.outputs.items()}
    expected |= {file.path: (file.bytes, file.sha256) for file in record.results}
    total = sum(size for size, _ in expected.values())
    files: list[FileCheck] = []
    with (
        contextlib.nullcontext(_ignore)
        if report_progress is None
        else report_progress(total) as report
    ):
        done = 0
        for name, (size, digest) in expected.items():
            files.append(_check_file(folder, name, size, digest, report, done))
            done += size
    problems = [*_contradictions(folder, record, files, adopted)]
    notes: list[str] = []
    try:
        strays, notes = _find_strays(folder, {*expected, *beside})
        files += strays
        problems += _untraced(folder, record, files)
        notes += _matched_by_order(record, files)
    except LocalFileError as problem:
        problems.append(str(problem))
    return FolderCheck(
        record=record, files=tuple(files), problems=tuple(problems), notes=tuple(notes)
    )


def _ignore(_done: int) -> None:
    """Ignore the number of bytes hashed so far."""


def _check_file(
    folder: Path, name: str, size: int, digest: str, report: Callable[[int], None], before: int
) -> FileCheck:
    """Hash one file; `before` is the number of bytes that were hashed before it."""
    try:
        with open_file(folder, name) as file:
            found = hashlib.sha256()
            count = lines = 0
            while chunk := file.read(_CHUNK_BYTES):
                found.update(chunk)
                count += len(chunk)
                lines += chunk.count(b"\n")
                report(before + count)
    except FileNotFoundError:
        return FileCheck(
            name=name, match=FileMatch.MISSING, expected_sha256=digest, expected_bytes=size
        )
    except (FileRejected, OSError) as problem:
        words = str(problem) if isinstance(problem, FileRejected) else f"cannot be read: {problem}"
        return FileCheck(name=name, match=FileMatch.UNREADABLE, reason=words)
    same = (count, found.hexdigest()) == (size, digest)
    return FileCheck(
        name=name,
        match=FileMatch.OK if same else FileMatch.DIFFERS,
        expected_sha256=digest,
        found_sha256=found.hexdigest(),
        expected_bytes=size,
        found_bytes=count,
        lines=lines,
    )


def _find_strays(folder: Path, known: set[str]) -> tuple[list[FileCheck], list[str]]:
    """Find the files that are not in the record: the stray ones, and notes about the others.

    A file in `raw/` that is not in the record is stray: `raw/` holds the evidence. A file next to
    the final ones may be the user's own.
    """
    with explained(folder, doing="read"):
        beside = sorted(os.listdir(folder))  # noqa: PTH208 -- names, not paths
    raw: list[str] = []
    if (folder / RAW).is_dir() and not (folder / RAW).is_symlink():
        with explained(folder / RAW, doing="read"):
            raw = [f"{RAW}/{name}" for name in sorted(os.listdir(folder / RAW))]  # noqa: PTH208
    expected_names = known | {RAW, RECORD}
    unknown = [name for name in (*raw, *beside) if name not in expected_names]
    # Nothing ever reads the part of a download that was interrupted.
    cut_off = [
        name for name in unknown if f"{RAW}/{name_of_part(name.removeprefix(f'{RAW}/'))}" in known
    ]
    unknown = [name for name in unknown if name not in cut_off]
    strays = [name for name in unknown if name in (OUTPUT, ERRORS) or name in raw]
    notes = [f"{name} is part of a download that was interrupted" for name in cut_off]
    notes += [f"{name} is not of this run" for name in unknown if name not in strays]
    return [FileCheck(name=name, match=FileMatch.STRAY) for name in strays], notes


def _untraced(folder: Path, record: RunRecord, files: list[FileCheck]) -> Iterator[str]:
    """Yield the problems with the origin of the final lines, as far as the files exist.

    Raises LocalFileError.
    """
    readable = {file.name for file in files if file.match in (FileMatch.OK, FileMatch.DIFFERS)}
    if not {OUTPUT, ERRORS} <= readable:
        return
    raw = [folder / file.path for file in record.results if file.path in readable]
    for submission in record.submissions:
        paths = {file.kind: file.path for file in submission.results if file.path in readable}
        source, matched = paths.get("output"), paths.get(BY_ORDER)
        if source and matched and not is_made_of(folder / matched, folder / source):
            yield f"{matched} has lines that are not those of {source}"
    lines = sum(file.lines or 0 for file in files if file.name in (OUTPUT, ERRORS))
    yield from trace(folder, raw, lines=lines)


def _matched_by_order(record: RunRecord, files: list[FileCheck]) -> Iterator[str]:
    """Yield a note for each file whose lines have their custom_ids from their order."""
    lines = {file.name: file.lines or 0 for file in files}
    for result in record.results:
        if result.kind == BY_ORDER:
            count = plural(lines.get(result.path, 0), "line")
            yield f"{result.path} has {count} that named no request: matched by order, on request"


def _contradictions(
    folder: Path, record: RunRecord, files: list[FileCheck], adopted: Collection[str]
) -> Iterator[str]:
    """Yield where the record contradicts itself, its folder's name or its files."""
    if not record.revision.startswith(folder.name) or len(folder.name) != REVISION_SHOWN:
        yield f"the record is of revision {record.revision[:REVISION_SHOWN]}, not of this folder"
    if _identity(record) != record.revision:
        yield "the revision of the record is not that of the requests in it"
    document = record.spec.document.encode(errors="surrogatepass")
    if hashlib.sha256(document).hexdigest() != record.spec.sha256:
        yield "the text of the spec in the record is not the one with its digest"
    for name in (OUTPUT, ERRORS):
        if name not in record.outputs:
            yield f"the record has no entry for {name}"
    counts = record.counts
    sharded = sum(shard.requests for shard in record.shards)
    if not counts.total == record.input.requests == sharded == counts.succeeded + counts.failed:
        yield (
            f"the record counts {counts.total:,} requests, {counts.succeeded:,} succeeded and "
            f"{counts.failed:,} failed, {record.input.requests:,} in the input and {sharded:,} in "
            f"its shards"
        )
    if sum(counts.codes.values()) != counts.failed:
        yield f"the codes of the record are not those of {counts.failed:,} failures"
    expected = {OUTPUT: counts.succeeded, ERRORS: counts.failed}
    for file in files:
        if file.lines is not None and file.lines != expected.get(file.name, file.lines):
            yield f"{file.name} has {file.lines:,} lines, the record says {expected[file.name]:,}"
    yield from _shard_problems(record, adopted)


def _identity(record: RunRecord) -> str:
    """Compute the revision again, as `runner.spec.identity` does for a job."""
    request = record.request
    return hashlib.sha256(
        canonical_json(
            {
                "endpoint": request.endpoint,
                "requests": record.input.sha256,
                "replicate": request.replicate,
                "provider": request.provider.name,
                "base_url": request.provider.base_url,
            }
        )
    ).hexdigest()


def _shard_problems(record: RunRecord, adopted: Collection[str]) -> Iterator[str]:
    covered = RowSet()
    keys: set[str] = set()
    batches: set[str] = set()
    for shard in record.shards:
        rows = _rows(shard.rows)
        if rows is None or len(rows) != shard.requests or rows.intersection(covered):
            yield f"the rows of shard {shard.number} are not those of {shard.requests:,} requests"
            continue
        covered = covered.union(rows)
        for submission in shard.submissions:
            named = f"shard {shard.number}, attempt {submission.attempt}"
            if submission.key in keys:
                yield f"{named} is recorded twice"
            keys.add(submission.key)
            problems = _submission_problems(record, shard, rows, submission, adopted)
            yield from (f"{named}: {problem}" for problem in problems)
            batch = submission.batch
            if batch is not None and (identifier := str(batch.get("id"))) in batches:
                yield f"{named}: batch {identifier} belongs to another attempt"
            elif batch is not None:
                batches.add(identifier)


def _submission_problems(
    record: RunRecord,
    shard: RecordedShard,
    rows: RowSet,
    submission: RecordedSubmission,
    adopted: Collection[str],
) -> Iterator[str]:
    mine = _rows(submission.rows)
    parts = submission.key.rsplit("/", 3)
    expected = [record.revision[:REVISION_SHOWN], f"{shard.number:04d}", str(submission.attempt)]
    if parts[1:] != expected:
        yield f"its key is {submission.key}"
    batch = submission.batch
    created_here = batch is None or str(batch.get("id")) not in adopted
    if mine is None or mine.difference(rows) or len(mine) != submission.requests:
        yield f"its rows are not {submission.requests:,} of the shard's"
    elif created_here and mine == rows and submission.sha256 != shard.sha256:
        yield "it has all rows of the shard, but another file than the shard's"
    if batch is None:
        if submission.results:
            yield "there are results and no batch"
        return
    metadata = batch.get("metadata")
    mark = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    if created_here and isinstance(mark, str) and mark.split(" ")[0] != submission.key:
        yield f"batch {batch.get('id')} has the submission key {mark.split(' ')[0]}"
    ids = {"output": batch.get("output_file_id"), "error": batch.get("error_file_id")}
    ids[BY_ORDER] = ids["output"]
    for result in submission.results:
        if result.file_id != ids.get(result.kind):
            yield f"{result.path} is file {result.file_id}, which batch {batch.get('id')} has not"


def _rows(text: str) -> RowSet | None:
    try:
        rows = RowSet.parse(text)
        len(rows)
    except (ValueError, OverflowError):
        return None
    return rows
