"""Index the result files of a shard: the location of the best line of each row.

The results of a shard may be gigabytes, so only the location of each line is kept: some thirty
bytes a row in flat arrays. That is enough to classify each row when a batch is collected, and to
copy its line when the run is published. The custom_ids are dropped once the files are joined with
the rows, except those of the rows for which runner writes the error line.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from runner.inputs.row_set import RowSet
from runner.outputs.result_files import (
    MALFORMED,
    ErrorCounts,
    LineStatus,
    Outcome,
    classify,
    displaces,
    lines,
    overlong,
    plain_success,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from runner.outputs.result_files import Classification


_STATUSES: Final = tuple(LineStatus)
_EXAMPLE_BYTES: Final = 4096


class AnswerLocation(NamedTuple):
    """The location of the best line of one row. A tuple, since each row of a job has one.

    `file`, `offset` and `length` (in bytes) mean nothing for an ABSENT row.
    `custom_id` is kept for ABSENT and MALFORMED rows only, `code` for FAILED ones. `truncated`: the
    line holds an answer that was cut at the token limit.
    """

    row: int
    status: LineStatus
    file: Path | None
    offset: int
    length: int
    code: str | None
    custom_id: str | None
    truncated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedLines:
    """How many lines of a file name none of the rows, and the first of them as an example.

    The example is its custom_id, or its beginning if it has none. It is as it came, up to 4 KiB: it
    may hold control characters, and an API key that a server repeats.
    """

    count: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionResults:
    """The rows of a submission by their result.

    `succeeded`, `transient` and `permanent` are disjoint and together all rows of the submission;
    `missing` is the part of `transient` that has no line in any file, and `unreadable` the part of
    which every line is unreadable. `unknown`, `malformed` and `duplicates` count lines: those of
    unknown custom_ids, unreadable ones, and those beyond the first of a request. `unmatched` has by
    file the lines, readable or not, that name none of the rows. `truncated` counts the rows whose
    answer was cut at the token limit. `codes` counts failed rows by code, without the missing ones;
    `examples` has up to three messages of each code.
    """

    succeeded: RowSet
    transient: RowSet
    permanent: RowSet
    missing: RowSet
    unreadable: RowSet
    unknown: int
    malformed: int
    duplicates: int
    truncated: int
    unmatched: Mapping[Path, UnmatchedLines]
    codes: Mapping[str, int]
    examples: Mapping[str, tuple[str, ...]]

    @property
    def lacking(self) -> RowSet:
        """The rows of which no file holds a line that can be read."""
        return self.missing.union(self.unreadable)

    def as_detail(self) -> dict[str, object]:
        """Return what the event of a collected batch says about its lines."""
        return {
            "succeeded": len(self.succeeded),
            "missing": len(self.missing),
            "unknown": self.unknown,
            "malformed": self.malformed,
            "duplicates": self.duplicates,
            "truncated": self.truncated,
            "codes": dict(self.codes),
            "examples": {code: list(texts) for code, texts in self.examples.items()},
        }


class AnswerIndex:
    """The location of the best line of every row, found in one pass over the files."""

    def __init__(
        self,
        ids: Iterable[tuple[int, str]],
        files: Sequence[Path],
        *,
        rows: RowSet | None = None,
    ) -> None:
        """Read `files`, given in the order in which the provider wrote them.

        `ids` are the submitted rows with their custom_ids. Raises LocalFileError when a file
        cannot be read, and ValueError when a custom_id is there twice or when `ids` are not those
        of `rows`, in their order.
        """
        self._files: Final = tuple(files)
        self._rows: Final = array("q")
        positions: dict[str, int] = {}
        for row, custom_id in ids:
            positions[custom_id] = len(self._rows)
            self._rows.append(row)
        count = len(self._rows)
        if rows is None and len(positions) != count:
            raise ValueError(f"{count - len(positions)} custom_ids are there twice")
        if rows is not None and (
            not len(positions) == count == len(rows)
            or any(row != expected for row, expected in zip(self._rows, rows, strict=True))
        ):
            raise ValueError(f"the custom_ids given are not those of the rows {rows}")
        self._status: Final = bytearray(count)
        self._transient: Final = bytearray(count)
        self._truncated: Final = bytearray(count)
        self._file: Final = array("L", bytes(array("L").itemsize * count))
        self._offset: Final = array("q", bytes(8 * count))
        self._length: Final = array("q", bytes(8 * count))
        self._code: Final = array("L", bytes(array("L").itemsize * count))
        self._codes: Final[list[str]] = [""]
        self._numbers: Final[dict[str | None, int]] = {None: 0}
        self._messages: Final[dict[int, str | None]] = {}
        self._unknown = self._malformed = self._duplicates = 0
        self._unmatched: Final[dict[Path, UnmatchedLines]] = {}
        for number, file in enumerate(self._files):
            self._read(number, file, positions)
        self.results: Final = self._results()
        self._messages.clear()
        self._custom_ids: Final = {
            index: custom_id
            for custom_id, index in positions.items()
            if self._status[index] < LineStatus.FAILED
        }

    def __len__(self) -> int:
        return len(self._rows)

    def _read(self, number: int, file: Path, positions: Mapping[str, int]) -> None:
        for offset, length, content, whole in lines(file):
            success = plain_success(content) if whole else None
            if success is None:
                self._add(
                    classify(content) if whole else overlong(content),
                    content,
                    (number, offset, length),
                    positions,
                )
                continue
            custom_id, truncated = success
            index = positions.get(custom_id)
            if index is None:
                self._unknown += 1
                self._note_unmatched(file, custom_id, content)
                continue
            held = self._status[index]
            if held:
                self._duplicates += 1
                if held == LineStatus.SUCCEEDED:
                    continue
                self._messages.pop(index, None)
            self._status[index] = LineStatus.SUCCEEDED
            self._truncated[index] = truncated
            self._file[index] = number
            self._offset[index] = offset
            self._length[index] = length
            self._code[index] = 0

    def _note_unmatched(self, file: Path, custom_id: str | None, content: bytes) -> None:
        before = self._unmatched.get(file)
        if before is not None:
            self._unmatched[file] = replace(before, count=before.count + 1)
            return
        head = content[:_EXAMPLE_BYTES].decode(errors="replace")
        example = head if custom_id is None else f"custom_id {custom_id[:_EXAMPLE_BYTES]}"
        self._unmatched[file] = UnmatchedLines(count=1, example=example)

    def _add(
        self,
        found: Classification,
        content: bytes,
        location: tuple[int, int, int],
        positions: Mapping[str, int],
    ) -> None:
        """Take a line that is not a plain success, if it is the best line of its row so far."""
        unreadable = found.code == MALFORMED
        self._malformed += unreadable
        index = None if found.custom_id is None else positions.get(found.custom_id)
        if index is None:
            self._unknown += not unreadable
            self._note_unmatched(self._files[location[0]], found.custom_id, content)
            return
        held = _STATUSES[self._status[index]]
        self._duplicates += held is not LineStatus.ABSENT
        if found.outcome is Outcome.SUCCEEDED:
            status = LineStatus.SUCCEEDED
        else:
            status = LineStatus.MALFORMED if unreadable else LineStatus.FAILED
        if not displaces(status, held):
            return
        if found.code not in self._numbers:
            self._numbers[found.code] = len(self._codes)
            self._codes.append(found.code or "")
        self._status[index] = status
        self._transient[index] = found.outcome is Outcome.TRANSIENT
        self._truncated[index] = found.truncated
        self._file[index], self._offset[index], self._length[index] = location
        self._code[index] = self._numbers[found.code]
        if status is not LineStatus.SUCCEEDED:
            self._messages[index] = found.message
        else:
            self._messages.pop(index, None)

    def _results(self) -> SubmissionResults:
        """Sort the rows by the status of their best lines."""
        rows: dict[int, list[int]] = {status: [] for status in LineStatus}
        transient: list[int] = []
        permanent: list[int] = []
        errors = ErrorCounts()
        for index, (row, status) in enumerate(zip(self._rows, self._status, strict=True)):
            rows[status].append(row)
            if LineStatus.ABSENT < status < LineStatus.SUCCEEDED:
                (transient if self._transient[index] else permanent).append(row)
                errors.add(self._codes[self._code[index]], self._messages.get(index))
        absent = RowSet.from_iterable(rows[LineStatus.ABSENT])
        return SubmissionResults(
            succeeded=RowSet.from_iterable(rows[LineStatus.SUCCEEDED]),
            transient=RowSet.from_iterable(transient).union(absent),
            permanent=RowSet.from_iterable(permanent),
            missing=absent,
            unreadable=RowSet.from_iterable(rows[LineStatus.MALFORMED]),
            unknown=self._unknown,
            malformed=self._malformed,
            duplicates=self._duplicates,
            truncated=sum(self._truncated),
            unmatched=self._unmatched,
            codes=errors.counts,
            examples=errors.examples,
        )

    def __iter__(self) -> Iterator[AnswerLocation]:
        """Yield the location of each row, in the order of `ids`."""
        for index, row in enumerate(self._rows):
            status = _STATUSES[self._status[index]]
            yield AnswerLocation(
                row,
                status,
                self._files[self._file[index]] if status else None,
                self._offset[index],
                self._length[index],
                self._codes[self._code[index]] or None,
                self._custom_ids.get(index),
                bool(self._truncated[index]),
            )
