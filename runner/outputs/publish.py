"""Publish the final files of a run: every request is in exactly one of two files, in input order.

The promise: where `output.jsonl` exists, `errors.jsonl` and `run.json` of the same run exist, whole
and on the disk. So everything is written under temporary names first, `output.jsonl` gets its
name last, and an older one is removed before the other two files change. A crash at any point
leaves either the promise kept or no `output.jsonl`, and publishing again has the same result.

Memory is bounded by the shards that are read at the same time: one, or one for each model where
the rows of several models alternate.

Lines are copied as bytes and never decoded. Lines that follow each other in a source are copied
in one piece, so that files in row order are copied at the speed of the disk; any other order
costs one read per line.
"""

from __future__ import annotations

import errno
import hashlib
import heapq
import json
import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Self

from runner.errors import LocalFileError
from runner.files import (
    BY_UMASK,
    create,
    explained,
    make_folder,
    make_link,
    part_of,
    parts_of,
    refusal,
    rename,
    sweep,
    sync_folder,
    write_whole,
)
from runner.outputs.answer_index import AnswerIndex
from runner.outputs.files import ERRORS, LATEST, OUTPUT, RAW, RECORD, read_latest
from runner.outputs.record import FileDigest
from runner.outputs.result_files import ErrorCounts, LineStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from runner.inputs.row_set import RowSet
    from runner.outputs.answer_index import AnswerLocation


_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""What a disk without symbolic links says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFiles:
    """The downloaded files of one attempt, output file first; none if it has no files."""

    attempt: int
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingResult:
    """Why a row has no line of the provider: a code that begins with `runner_`, and a sentence.

    Both go into the error line that is written for the row.
    """

    code: str
    message: str


def missing_result(row: int) -> MissingResult:  # noqa: ARG001
    """Return the reason for a row of which only the missing line is known."""
    return MissingResult(
        code="runner_missing", message="the batch ended without a line for this request"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardAnswers:
    """The rows of a shard and the result files of its attempts.

    `ids` returns (row, custom_id) of all rows in row order; each call begins again. `unanswered`
    is called for the rows without a line in any file. `index` is the index of these files, where
    it has been built already.
    """

    rows: RowSet
    ids: Callable[[], Iterable[tuple[int, str]]]
    answers: tuple[AttemptFiles, ...]
    unanswered: Callable[[int], MissingResult] = missing_result
    index: AnswerIndex | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the final files hold.

    `truncated` counts the answers that were cut at the token limit, `codes` the failed requests by
    code.
    """

    succeeded: int
    failed: int
    truncated: int
    codes: Mapping[str, int]
    output: FileDigest
    errors: FileDigest


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Final files that are written under temporary names: `parts`, by their final names.

    Two processes can publish into one folder only if there are two ledgers. They then write
    different files, and the slower one finds that its files are gone.
    """

    folder: Path
    published: Published
    parts: Mapping[str, Path]

    def commit(self, record: bytes) -> bool:
        """Write `record` as `run.json` and give all files their final names.

        Replaces an earlier publication in the same folder. Returns whether the names are sure to
        survive a power cut: see `sync_folder`. Raises LocalFileError. The earlier files do not
        change until the record is safely written.
        """
        path = self.parts[RECORD]
        with explained(path, doing="written"), create(path, mode=BY_UMASK) as file:
            file.write(record)
            file.flush()
            os.fsync(file.fileno())
        for path in self.parts.values():
            if not path.exists():
                raise LocalFileError(
                    f"{path} is missing: another process has published into {self.folder}"
                )
        with explained(self.folder / OUTPUT, doing="replaced"):
            (self.folder / OUTPUT).unlink(missing_ok=True)
        sync_folder(self.folder)
        for name in (ERRORS, RECORD):
            self._name(name)
        sync_folder(self.folder)
        self._name(OUTPUT)
        return sync_folder(self.folder)

    def discard(self) -> None:
        """Remove the files that have no final names yet, as far as the disk allows."""
        for path in self.parts.values():
            with suppress(OSError):
                path.unlink()

    def _name(self, name: str) -> None:
        path = self.folder / name
        with explained(path, doing="replaced"):
            rename(self.parts[name], path)


def prepare(folder: Path, shards: Sequence[ShardAnswers]) -> Publication:
    """Write the final files of a run into its folder, under temporary names.

    `output.jsonl` gets one line for each row with a success, the provider's own bytes;
    `errors.jsonl` one for each other row: its last readable error line, or else one that runner
    writes. Both are in row order. The files of an interrupted publication are removed.

    Raises LocalFileError, after removing its temporary files where that is possible, and
    ValueError when shards share rows or `ids` are not those of `rows`.
    """
    make_folder(folder, within=folder.parent)
    names = (ERRORS, RECORD, OUTPUT)
    sweep(folder, *map(parts_of, names))
    sweep(folder / RAW, parts_of("*"))
    parts = {name: part_of(folder / name) for name in names}
    copies: list[LineWriter] = []
    try:
        with SourceFiles() as sources:
            copies.append(output := LineWriter(parts[OUTPUT], sources))
            copies.append(errors := LineWriter(parts[ERRORS], sources))
            errors_by_code, truncated = _write(output, errors, _merged(shards))
            written, failures = output.finish(), errors.finish()
    except BaseException:
        for copy in copies:
            copy.abandon()
        raise
    return Publication(
        folder=folder,
        parts=parts,
        published=Published(
            succeeded=written.lines,
            failed=failures.lines,
            truncated=truncated,
            codes=errors_by_code.counts,
            output=written,
            errors=failures,
        ),
    )


def unpublish(folder: Path) -> None:
    """Remove the final files of a run that goes on; its record stays. Raises LocalFileError.

    `output.jsonl` and `errors.jsonl` mean a final state. Their lines stay in `raw/`, and they are
    written again when the run ends.
    """
    for name in (OUTPUT, ERRORS):
        with explained(folder / name, doing="removed"):
            (folder / name).unlink(missing_ok=True)


def _write(
    output: LineWriter, errors: LineWriter, locations: Iterable[tuple[ShardAnswers, AnswerLocation]]
) -> tuple[ErrorCounts, int]:
    """Write the line of each row; return the errors by code, and how many answers are truncated."""
    errors_by_code = ErrorCounts()
    truncated = 0
    for shard, location in locations:
        truncated += location.truncated
        if location.file is not None and location.status is LineStatus.SUCCEEDED:
            output.copy(location.file, location.offset, location.length)
        elif location.file is not None and location.status is LineStatus.FAILED:
            errors.copy(location.file, location.offset, location.length)
            errors_by_code.add(location.code or "unnamed_error")
        else:
            reason = (
                shard.unanswered(location.row) if location.file is None else _malformed(location)
            )
            errors.append(_error_line(location.custom_id, reason))
            errors_by_code.add(reason.code)
    return errors_by_code, truncated


def _malformed(location: AnswerLocation) -> MissingResult:
    """Return the reason for a row that has only unreadable lines, which stay in `raw/`."""
    name = location.file.name if location.file is not None else "a file"
    return MissingResult(
        code="runner_malformed_line",
        message=f"the line for this request in {name}, at byte {location.offset}, cannot be read",
    )


def _error_line(custom_id: str | None, reason: MissingResult) -> bytes:
    line = {
        "id": None,
        "custom_id": custom_id,
        "response": None,
        "error": {"code": reason.code, "message": reason.message},
    }
    return json.dumps(line, separators=(",", ":")).encode()


def _merged(shards: Sequence[ShardAnswers]) -> Iterator[tuple[ShardAnswers, AnswerLocation]]:
    """Yield the locations of all shards in row order; a shard is read at its first row."""
    due = [(shard.rows.first, number) for number, shard in enumerate(shards) if shard.rows]
    heapq.heapify(due)
    active: dict[int, Iterator[AnswerLocation]] = {}
    held: dict[int, AnswerLocation] = {}
    last = -1
    while due:
        _, number = heapq.heappop(due)
        if number not in active:
            active[number] = iter(_index(shards[number]))
            held[number] = next(active[number])
        location: AnswerLocation | None = held.pop(number)
        until = due[0][0] if due else None
        while location is not None and (until is None or location.row < until):
            if location.row <= last:
                raise ValueError(f"row {location.row} is in two shards")
            last = location.row
            yield shards[number], location
            location = next(active[number], None)
        if location is None:
            del active[number]
        elif location.row == until:
            raise ValueError(f"row {location.row} is in two shards")
        else:
            held[number] = location
            heapq.heappush(due, (location.row, number))


def _index(shard: ShardAnswers) -> AnswerIndex:
    if shard.index is not None:
        return shard.index
    attempts = sorted(shard.answers, key=attrgetter("attempt"))
    files = [file for each in attempts for file in each.files]
    return AnswerIndex(shard.ids(), files, rows=shard.rows)


def point_latest(job_folder: Path, revision: str) -> bool:
    """Point the link `latest` of a job to a revision's folder, atomically.

    On a disk without symbolic links (a mounted cloud drive, exFAT, SMB) `latest` is a text file
    that holds the revision.

    The link is relative, so that the outputs can be moved. Returns whether it changed. Raises
    LocalFileError, also where `latest` is no link: then runner has not created it.
    """
    link = job_folder / LATEST
    with explained(link, doing="replaced"):
        if read_latest(job_folder) == revision:
            return False
        if os.path.lexists(link) and not link.is_symlink() and read_latest(job_folder) is None:
            raise LocalFileError(
                f"{link} is not a link but a file or folder that runner did not create: move it "
                f"away, and the next pass makes it the link to the latest results"
            )
        make_folder(job_folder, within=job_folder.parent)
        sweep(job_folder, parts_of(LATEST))
        part = part_of(link)
        try:
            make_link(revision, part)
        except OSError as problem:
            if problem.errno not in _NO_LINKS:
                raise
            write_whole(link, f"{revision}\n".encode())
        else:
            rename(part, link)
    sync_folder(job_folder)
    return True


_MOST_OPEN: Final = 64
_CHUNK_BYTES: Final = 1024 * 1024
_GATHERED: Final = 128 * 1024


class SourceFiles:
    """Files open for reading at any offset; at most 64 of them are open at the same time."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def read(self, path: Path, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes. Raises LocalFileError, also where the file has fewer."""
        try:
            data = os.pread(self._descriptor(path), length, offset)
            while len(data) < length:
                more = os.pread(self._descriptor(path), length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as problem:
            raise refusal(path, problem, doing="read") from problem
        if len(data) < length:
            raise LocalFileError(f"{path} became shorter while it was read")
        return data

    def _descriptor(self, path: Path) -> int:
        descriptor = self._open.get(path)
        if descriptor is not None:
            self._open.move_to_end(path)
            return descriptor
        if len(self._open) >= _MOST_OPEN:
            os.close(self._open.popitem(last=False)[1])
        descriptor = self._open[path] = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        return descriptor


class LineWriter:
    """A new file of lines, each with exactly one line end.

    The file must not exist. Once `finish` has returned, it is on the disk and not only in the
    system's cache. Every method raises LocalFileError when the file cannot be written.
    """

    def __init__(self, path: Path, sources: SourceFiles) -> None:
        self._path: Final = path
        self._sources: Final = sources
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._lines = 0
        self._piece: tuple[Path, int, int] | None = None  # file, start, end; without a line end
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        with explained(path, doing="written"):
            self._file: Final = create(path, mode=BY_UMASK, buffering=_CHUNK_BYTES)

    def copy(self, path: Path, offset: int, length: int) -> None:
        """Append the line of `length` bytes at `offset` of `path`."""
        self._lines += 1
        end = offset + length
        if self._piece is not None:
            file, start, stop = self._piece
            # One byte apart: the byte between them can only be the first one's line end.
            if offset == stop + 1 and file is path:
                self._piece = (file, start, end)
                return
            self._flush_chunk()
        self._piece = (path, offset, end)

    def append(self, line: bytes) -> None:
        """Append a line that is in no source, given without its end."""
        self._flush_chunk()
        self._lines += 1
        self._write(line + b"\n")

    def finish(self) -> FileDigest:
        """Flush, sync and close the file, and return its size, digest and number of lines."""
        self._flush_chunk()
        self._flush()
        with explained(self._path, doing="written"):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        return FileDigest(bytes=self._bytes, sha256=self._digest.hexdigest(), lines=self._lines)

    def abandon(self) -> None:
        """Close and remove the file, as far as the disk allows.

        Called while another error is raised, which is the one to report. A file that cannot be
        removed now is removed by the next publication.
        """
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._path.unlink()

    def _flush_chunk(self) -> None:
        if self._piece is None:
            return
        path, start, end = self._piece
        self._piece = None
        while end - start > _CHUNK_BYTES:
            self._write(self._sources.read(path, start, _CHUNK_BYTES))
            start += _CHUNK_BYTES
        self._write(self._sources.read(path, start, end - start) + b"\n")

    def _write(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= _GATHERED:
            self._flush()

    def _flush(self) -> None:
        """Write all pending lines in one call: one call for each short line would be slow."""
        data = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        self._digest.update(data)
        self._bytes += len(data)
        try:
            self._file.write(data)
        except OSError as problem:
            raise refusal(self._path, problem, doing="written") from problem
