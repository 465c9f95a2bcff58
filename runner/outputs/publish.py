"""The final files of a run: every request in exactly one of two, in input order.

`output.jsonl` is the promise: where it is, `errors.jsonl` and `run.json` of the same run are, whole
and on the disk. So everything is written under temporary names first, `output.jsonl` gets its
name last, and an older one is taken away before any of its companions changes. A crash at any
point leaves either the promise kept or no `output.jsonl`, and doing it all again ends the same.

Memory is bounded by the shards whose rows are due at the same time, which is one, or one for
each model where models alternate.
"""

from __future__ import annotations

import heapq
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from runner.errors import LocalFileError
from runner.outputs.answer_index import AnswerIndex
from runner.outputs.durable_files import explained, sync_folder
from runner.outputs.error_counts import ErrorCounts
from runner.outputs.result_files import LineStatus
from runner.outputs.writer import FileDigest, LineWriter, SourceFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from runner.inputs.row_set import RowSet
    from runner.outputs.answer_index import AnswerLocation

__all__ = [
    "AttemptFiles",
    "FileDigest",
    "MissingAnswer",
    "Publication",
    "Published",
    "ShardAnswers",
    "never_answered",
    "point_latest",
    "prepare",
]

OUTPUT: Final = "output.jsonl"
ERRORS: Final = "errors.jsonl"
RECORD: Final = "run.json"
LATEST: Final = "latest"
_TEMPORARY: Final = ".partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFiles:
    """The downloaded files of one attempt, output file first; none if it has no files."""

    attempt: int
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingAnswer:
    """Why a row has no line at all, as its error line will say: a `runner_…` code, a sentence."""

    code: str
    message: str


def never_answered(row: int) -> MissingAnswer:  # noqa: ARG001
    """Give the reason that holds where nothing better is known."""
    return MissingAnswer(
        code="runner_missing", message="the batch ended without a line for this request"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardAnswers:
    """The rows of a shard and everything the provider wrote about them.

    `ids` gives (row, custom_id) of all the rows in row order, anew at each call. `unanswered` is
    asked only for rows of which no file has a line. `places` is what reading the files has shown
    already, where somebody has just done it.
    """

    rows: RowSet
    ids: Callable[[], Iterable[tuple[int, str]]]
    answers: tuple[AttemptFiles, ...]
    unanswered: Callable[[int], MissingAnswer] = never_answered
    places: AnswerIndex | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the final files hold; `codes` counts the failed requests by code."""

    succeeded: int
    failed: int
    codes: Mapping[str, int]
    output: FileDigest
    errors: FileDigest


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Final files that are written and only lack their names."""

    folder: Path
    published: Published

    def commit(self, record: bytes) -> None:
        """Give the files their final names, `record` being the content of `run.json`.

        Replaces an earlier publication in the same folder. Raises LocalFileError; until the
        record is safely written the final files are as they were.
        """
        temporary = {name: _temporary(self.folder, name) for name in (ERRORS, RECORD, OUTPUT)}
        path = temporary[RECORD]
        with explained(path, doing="written"), path.open("wb") as file:
            file.write(record)
            file.flush()
            os.fsync(file.fileno())
        for path in temporary.values():
            if not path.exists():
                raise LocalFileError(
                    f"{path} is gone: another process has published into {self.folder}"
                )
        with explained(self.folder / OUTPUT, doing="replaced"):
            (self.folder / OUTPUT).unlink(missing_ok=True)
        sync_folder(self.folder)
        for name in (ERRORS, RECORD):
            _rename(temporary[name], self.folder / name)
        sync_folder(self.folder)
        _rename(temporary[OUTPUT], self.folder / OUTPUT)
        sync_folder(self.folder)

    def discard(self) -> None:
        """Remove the files that have no final names yet, as far as the disk allows."""
        for name in (OUTPUT, ERRORS, RECORD):
            with suppress(OSError):
                _temporary(self.folder, name).unlink()


def prepare(folder: Path, shards: Sequence[ShardAnswers]) -> Publication:
    """Write the final files of a run into its folder, under temporary names.

    `output.jsonl` gets one line for each row with a success, the provider's own bytes;
    `errors.jsonl` one for each other row: its last readable error line, or one of ours where
    there is none. Both are in row order. Left-overs of an interrupted publication are removed.

    Raises LocalFileError, leaving no temporary file behind where that is possible, and ValueError
    when shards share rows or `ids` are not those of `rows`.
    """
    with explained(folder, doing="written"):
        folder.mkdir(parents=True, exist_ok=True)
    _remove_temporary(folder, OUTPUT, ERRORS, RECORD)
    copies: list[LineWriter] = []
    try:
        with SourceFiles() as sources:
            copies.append(output := LineWriter(_temporary(folder, OUTPUT), sources))
            copies.append(errors := LineWriter(_temporary(folder, ERRORS), sources))
            tally = _write(output, errors, _merged(shards))
            written, failures = output.finish(OUTPUT), errors.finish(ERRORS)
    except BaseException:
        for copy in copies:
            copy.abandon()
        raise
    return Publication(
        folder=folder,
        published=Published(
            succeeded=written.lines,
            failed=failures.lines,
            codes=tally.counts,
            output=written,
            errors=failures,
        ),
    )


def _write(
    output: LineWriter, errors: LineWriter, places: Iterable[tuple[ShardAnswers, AnswerLocation]]
) -> ErrorCounts:
    tally = ErrorCounts()
    for shard, place in places:
        if place.file is not None and place.standing is LineStatus.SUCCEEDED:
            output.copy(place.file, place.offset, place.length)
        elif place.file is not None and place.standing is LineStatus.FAILED:
            errors.copy(place.file, place.offset, place.length)
            tally.add(place.code or "unnamed_error")
        else:
            reason = shard.unanswered(place.row) if place.file is None else _malformed(place)
            errors.append(_error_line(place.custom_id, reason))
            tally.add(reason.code)
    return tally


def _malformed(place: AnswerLocation) -> MissingAnswer:
    """Explain a row whose only lines cannot be read: they stay in `raw/` and out of our files."""
    name = place.file.name if place.file is not None else "a file"
    return MissingAnswer(
        code="runner_malformed_line",
        message=f"the line for this request in {name}, at byte {place.offset}, cannot be read",
    )


def _error_line(custom_id: str | None, reason: MissingAnswer) -> bytes:
    line = {
        "id": None,
        "custom_id": custom_id,
        "response": None,
        "error": {"code": reason.code, "message": reason.message},
    }
    return json.dumps(line, separators=(",", ":")).encode()


def _merged(shards: Sequence[ShardAnswers]) -> Iterator[tuple[ShardAnswers, AnswerLocation]]:
    """Yield the places of all shards in row order, reading a shard when its first row is due."""
    due = [(shard.rows.first, number) for number, shard in enumerate(shards) if shard.rows]
    heapq.heapify(due)
    active: dict[int, Iterator[AnswerLocation]] = {}
    held: dict[int, AnswerLocation] = {}
    last = -1
    while due:
        _, number = heapq.heappop(due)
        if number not in active:
            active[number] = iter(_places(shards[number]))
            held[number] = next(active[number])
        place: AnswerLocation | None = held.pop(number)
        until = due[0][0] if due else None
        while place is not None and (until is None or place.row < until):
            if place.row <= last:
                raise ValueError(f"row {place.row} is in two shards")
            last = place.row
            yield shards[number], place
            place = next(active[number], None)
        if place is None:
            del active[number]
        elif place.row == until:
            raise ValueError(f"row {place.row} is in two shards")
        else:
            held[number] = place
            heapq.heappush(due, (place.row, number))


def _places(shard: ShardAnswers) -> AnswerIndex:
    if shard.places is not None:
        return shard.places
    attempts = sorted(shard.answers, key=attrgetter("attempt"))
    files = [file for each in attempts for file in each.files]
    return AnswerIndex(shard.ids(), files, rows=shard.rows)


def _temporary(folder: Path, name: str) -> Path:
    """Name a temporary file.

    The process id keeps two processes, which only two ledgers on one folder can bring about, from
    writing into one file: the one overtaken finds its files gone.
    """
    return folder / f".{name}.{os.getpid()}{_TEMPORARY}"


def _remove_temporary(folder: Path, *names: str) -> None:
    for name in names:
        for path in folder.glob(f".{name}.*{_TEMPORARY}"):
            with explained(path, doing="removed"):
                path.unlink(missing_ok=True)


def _rename(old: Path, new: Path) -> None:
    with explained(new, doing="replaced"):
        os.replace(old, new)  # noqa: PTH105


def point_latest(job_folder: Path, revision: str) -> bool:
    """Make the link `latest` of a job lead to a revision's folder, replacing it atomically.

    The link is relative, so that the outputs can be moved. Returns whether anything changed.
    Raises LocalFileError, also where `latest` is something other than a link: it is not ours.
    """
    link = job_folder / LATEST
    with explained(link, doing="replaced"):
        if link.is_symlink():
            if os.readlink(link) == revision:  # noqa: PTH115
                return False
        elif link.exists():
            raise LocalFileError(
                f"{link} is not a link but a file or folder of someone else's: move it away, and "
                f"the next pass makes it the link to the latest results"
            )
        job_folder.mkdir(parents=True, exist_ok=True)
        _remove_temporary(job_folder, LATEST)
        temporary = _temporary(job_folder, LATEST)
        temporary.symlink_to(revision, target_is_directory=True)
        os.replace(temporary, link)  # noqa: PTH105
    sync_folder(job_folder)
    return True
