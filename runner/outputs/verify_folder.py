"""A run's folder, held against its own record: digests, counts, and where each line comes from.

Nothing is written, and nothing is opened but the files of the folder itself. Files are read in
pieces, so that memory does not grow with them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from runner.errors import LocalFileError
from runner.inputs.row_set import RowSet
from runner.outputs.durable_files import explained
from runner.outputs.publish import ERRORS, OUTPUT, RECORD
from runner.outputs.recorded import RAW, Unfit, open_file, read_record
from runner.outputs.trace import trace
from runner.spec.identity import canonical_json
from runner.spec.job import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from runner.outputs.recorded import Record, Shard, Submission


_PIECE: Final = 1024 * 1024
_REVISION_SHOWN: Final = 12
_PART: Final = ".part"


class Match(StrEnum):
    """How a file compares with what the record says of it."""

    OK = "ok"
    DIFFERS = "differs"
    MISSING = "missing"
    STRAY = "stray"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """One file; what is expected or found is None where there is nothing to compare.

    `lines` counts the line feeds that were found, `reason` says what is wrong with an unreadable
    one. `name` is relative to the run's folder and may come from a record that is not ours.
    """

    name: str
    match: Match
    expected_sha256: str | None = None
    found_sha256: str | None = None
    expected_bytes: int | None = None
    found_bytes: int | None = None
    lines: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderCheck:
    """A folder and its record.

    `record` is None where there is none that can be read, which `problems` then says. `notes`
    are worth knowing and no reason to doubt anything.
    """

    record: Record | None
    files: tuple[FileCheck, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_folder(
    folder: Path,
    *,
    adopted: Collection[str] = (),
    beside: Collection[str] = (),
    moving: Callable[[int], AbstractContextManager[Callable[[int], None]]] | None = None,
) -> FolderCheck:
    """Hold everything in a run's folder against its `run.json`.

    `adopted` are the ids of batches that were made elsewhere, of other files and under no mark
    or another; `beside` names further files of ours in the folder. `moving` is opened with the
    number of bytes to be hashed, and what it gives is told how many have been.
    """
    try:
        record = read_record(folder)
    except FileNotFoundError:
        return FolderCheck(record=None, problems=(f"{RECORD} is missing",))
    except Unfit as unfit:
        return FolderCheck(record=None, problems=(f"{RECORD} {unfit}",))
    expected = {name: (file.bytes, file.sha256) for name, file in record.outputs.items()}
    expected |= {file.path: (file.bytes, file.sha256) for file in record.results}
    total = sum(size for size, _ in expected.values())
    files: list[FileCheck] = []
    with contextlib.nullcontext(_unheeded) if moving is None else moving(total) as told:
        done = 0
        for name, (size, digest) in expected.items():
            files.append(_check_file(folder, name, size, digest, told, done))
            done += size
    problems = [*_contradictions(folder, record, files, adopted)]
    notes: list[str] = []
    try:
        strays, notes = _strays(folder, {*expected, *beside})
        files += strays
        problems += _untraced(folder, record, files)
    except LocalFileError as problem:
        problems.append(str(problem))
    return FolderCheck(
        record=record, files=tuple(files), problems=tuple(problems), notes=tuple(notes)
    )


def _unheeded(_done: int) -> None:
    """Take no notice of how far the hashing has come."""


def _check_file(
    folder: Path, name: str, size: int, digest: str, told: Callable[[int], None], before: int
) -> FileCheck:
    """Hash one file; `told` hears of each piece, on top of the bytes of the files before it."""
    try:
        with open_file(folder, name) as file:
            found = hashlib.sha256()
            count = lines = 0
            while piece := file.read(_PIECE):
                found.update(piece)
                count += len(piece)
                lines += piece.count(b"\n")
                told(before + count)
    except FileNotFoundError:
        return FileCheck(
            name=name, match=Match.MISSING, expected_sha256=digest, expected_bytes=size
        )
    except (Unfit, OSError) as problem:
        words = str(problem) if isinstance(problem, Unfit) else f"cannot be read: {problem}"
        return FileCheck(name=name, match=Match.UNREADABLE, reason=words)
    same = (count, found.hexdigest()) == (size, digest)
    return FileCheck(
        name=name,
        match=Match.OK if same else Match.DIFFERS,
        expected_sha256=digest,
        found_sha256=found.hexdigest(),
        expected_bytes=size,
        found_bytes=count,
        lines=lines,
    )


def _strays(folder: Path, known: set[str]) -> tuple[list[FileCheck], list[str]]:
    """Find what the record does not know.

    In `raw/`, which is the evidence, it has no business; beside the final files it may be
    somebody's own.
    """
    with explained(folder, doing="read"):
        beside = sorted(os.listdir(folder))  # noqa: PTH208 -- names, not paths
    raw: list[str] = []
    if (folder / RAW).is_dir() and not (folder / RAW).is_symlink():
        with explained(folder / RAW, doing="read"):
            raw = [f"{RAW}/{name}" for name in sorted(os.listdir(folder / RAW))]  # noqa: PTH208
    ours = known | {RAW, RECORD}
    unknown = [name for name in (*raw, *beside) if name not in ours]
    # What was left of a download that was cut off is never read by anybody.
    cut_off = [name for name in unknown if name.removesuffix(_PART) in known]
    unknown = [name for name in unknown if name not in cut_off]
    strays = [name for name in unknown if name in (OUTPUT, ERRORS) or name in raw]
    notes = [f"{name} is the rest of a download that was interrupted" for name in cut_off]
    notes += [f"{name} is not of this run" for name in unknown if name not in strays]
    return [FileCheck(name=name, match=Match.STRAY) for name in strays], notes


def _untraced(folder: Path, record: Record, files: list[FileCheck]) -> Iterator[str]:
    """Yield what is wrong with the origin of the final lines, as far as the files are there.

    Raises LocalFileError.
    """
    there = {file.name for file in files if file.match in (Match.OK, Match.DIFFERS)}
    if not {OUTPUT, ERRORS} <= there:
        return
    raw = [folder / file.path for file in record.results if file.path in there]
    lines = sum(file.lines or 0 for file in files if file.name in (OUTPUT, ERRORS))
    yield from trace(folder, raw, lines=lines)


def _contradictions(
    folder: Path, record: Record, files: list[FileCheck], adopted: Collection[str]
) -> Iterator[str]:
    """Yield where the record contradicts itself, its folder's name or what the files hold."""
    if not record.revision.startswith(folder.name) or len(folder.name) != _REVISION_SHOWN:
        yield f"the record is of revision {record.revision[:_REVISION_SHOWN]}, not of this folder"
    if _identity(record) != record.revision:
        yield "the revision of the record is not that of the questions in it"
    document = record.spec.document.encode(errors="surrogatepass")
    if hashlib.sha256(document).hexdigest() != record.spec.sha256:
        yield "the text of the spec in the record is not the one with its digest"
    for name in (OUTPUT, ERRORS):
        if name not in record.outputs:
            yield f"the record does not know {name}"
    counts = record.counts
    asked = sum(shard.requests for shard in record.shards)
    if not counts.total == record.input.requests == asked == counts.succeeded + counts.failed:
        yield (
            f"the record counts {counts.total:,} requests, {counts.succeeded:,} answered and "
            f"{counts.failed:,} failed, {record.input.requests:,} in the input and {asked:,} in "
            f"its shards"
        )
    if sum(counts.codes.values()) != counts.failed:
        yield f"the codes of the record are not those of {counts.failed:,} failures"
    said = {OUTPUT: counts.succeeded, ERRORS: counts.failed}
    for file in files:
        if file.name in said and file.lines is not None and file.lines != said[file.name]:
            yield f"{file.name} has {file.lines:,} lines, the record says {said[file.name]:,}"
    yield from _of_shards(record, adopted)


def _identity(record: Record) -> str:
    """Compute the revision again, as `runner.spec.identity` does for a job."""
    asked = record.request
    return hashlib.sha256(
        canonical_json(
            {
                "endpoint": asked.endpoint,
                "requests": record.input.sha256,
                "replicate": asked.replicate,
                "provider": asked.provider.name,
                "base_url": asked.provider.base_url,
            }
        )
    ).hexdigest()


def _of_shards(record: Record, adopted: Collection[str]) -> Iterator[str]:
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
            said = _of_attempt(record, shard, rows, submission, adopted)
            yield from (f"{named}: {what}" for what in said)
            batch = submission.batch
            if batch is not None and (identifier := str(batch.get("id"))) in batches:
                yield f"{named}: batch {identifier} belongs to another attempt"
            elif batch is not None:
                batches.add(identifier)


def _of_attempt(
    record: Record,
    shard: Shard,
    rows: RowSet,
    submission: Submission,
    adopted: Collection[str],
) -> Iterator[str]:
    mine = _rows(submission.rows)
    parts = submission.key.rsplit("/", 3)
    expected = [record.revision[:_REVISION_SHOWN], f"{shard.number:04d}", str(submission.attempt)]
    if parts[1:] != expected:
        yield f"its key is {submission.key}"
    batch = submission.batch
    ours = batch is None or str(batch.get("id")) not in adopted
    if mine is None or mine.difference(rows) or len(mine) != submission.requests:
        yield f"its rows are not {submission.requests:,} of the shard's"
    elif ours and mine == rows and submission.sha256 != shard.sha256:
        yield "it asked all of the shard with another file than the shard's"
    if batch is None:
        if submission.results:
            yield "there are results and no batch"
        return
    metadata = batch.get("metadata")
    mark = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    if ours and isinstance(mark, str) and mark.split(" ")[0] != submission.key:
        yield f"batch {batch.get('id')} carries the mark of {mark.split(' ')[0]}"
    ids = {"output": batch.get("output_file_id"), "error": batch.get("error_file_id")}
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
