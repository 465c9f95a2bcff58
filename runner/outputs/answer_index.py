"""Where the answer to each row is, as numbers: files read once, joined with what was asked.

A shard's answers may be gigabytes, so what is kept of them is their place: some thirty bytes a
row in flat arrays. That is enough to settle each row when a batch is collected, and to copy its
line when the run is published. The custom_ids are needed while files are joined with rows and
dropped after it, but for those rows whose error line has to be written by us.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from runner.inputs.row_set import RowSet
from runner.outputs.classification import MALFORMED, answered, judge
from runner.outputs.error_counts import ErrorCounts
from runner.outputs.result_files import LineStatus, Outcome, displaces, lines, overlong

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from runner.outputs.classification import Classification


_STANDINGS: Final = tuple(LineStatus)


class AnswerLocation(NamedTuple):
    """The best line of one row. A tuple, since there is one for each row of a job.

    `file`, `offset` and `length` say where it is; they mean nothing for an ABSENT row.
    `custom_id` is kept for ABSENT and MALFORMED rows only, `code` for FAILED ones.
    """

    row: int
    standing: LineStatus
    file: Path | None
    offset: int
    length: int
    code: str | None
    custom_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionResults:
    """What one submission's files say about the requests that were in it.

    `succeeded`, `transient` and `permanent` are disjoint and together all rows that were asked;
    `missing` is the part of `transient` of which no file has a line. `unknown`, `malformed` and
    `duplicates` count lines: of custom_ids never asked, unreadable, and beyond a request's first.
    `codes` counts failed rows by code, missing ones apart; `examples` has up to three messages
    of each.
    """

    succeeded: RowSet
    transient: RowSet
    permanent: RowSet
    missing: RowSet
    unknown: int
    malformed: int
    duplicates: int
    codes: Mapping[str, int]
    examples: Mapping[str, tuple[str, ...]]


class AnswerIndex:
    """The best line of every row that was asked, found in one reading of the files."""

    def __init__(
        self,
        ids: Iterable[tuple[int, str]],
        files: Sequence[Path],
        *,
        rows: RowSet | None = None,
    ) -> None:
        """Read `files`, given in the order in which the provider wrote them.

        `ids` are the rows that were asked with their custom_ids. Raises LocalFileError when a file
        cannot be read, and ValueError when a custom_id was asked twice or when `ids` are not those
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
            raise ValueError(f"{count - len(positions)} custom_ids were asked twice")
        if rows is not None and (
            not len(positions) == count == len(rows)
            or any(row != expected for row, expected in zip(self._rows, rows, strict=True))
        ):
            raise ValueError(f"the custom_ids given are not those of the rows {rows}")
        self._standing: Final = bytearray(count)
        self._passing: Final = bytearray(count)
        self._file: Final = array("L", bytes(array("L").itemsize * count))
        self._offset: Final = array("q", bytes(8 * count))
        self._length: Final = array("q", bytes(8 * count))
        self._code: Final = array("L", bytes(array("L").itemsize * count))
        self._codes: Final[list[str]] = [""]
        self._numbers: Final[dict[str | None, int]] = {None: 0}
        self._messages: Final[dict[int, str | None]] = {}
        self._unknown = self._malformed = self._duplicates = 0
        for number, file in enumerate(self._files):
            self._read(number, file, positions)
        self.settled: Final = self._settle()
        self._messages.clear()
        self._custom_ids: Final = {
            index: custom_id
            for custom_id, index in positions.items()
            if self._standing[index] < LineStatus.FAILED
        }

    def __len__(self) -> int:
        return len(self._rows)

    def _read(self, number: int, file: Path, positions: Mapping[str, int]) -> None:
        for offset, length, content, whole in lines(file):
            custom_id = answered(content) if whole else None
            if custom_id is None:
                self._look_closely(
                    judge(content) if whole else overlong(content),
                    (number, offset, length),
                    positions,
                )
                continue
            index = positions.get(custom_id)
            if index is None:
                self._unknown += 1
                continue
            held = self._standing[index]
            if held:
                self._duplicates += 1
                if held == LineStatus.SUCCEEDED:
                    continue
                self._messages.pop(index, None)
            self._standing[index] = LineStatus.SUCCEEDED
            self._file[index] = number
            self._offset[index] = offset
            self._length[index] = length
            self._code[index] = 0

    def _look_closely(
        self, verdict: Classification, place: tuple[int, int, int], positions: Mapping[str, int]
    ) -> None:
        """Hold a line that is no success of the documented form, if it is the best so far."""
        unreadable = verdict.code == MALFORMED
        self._malformed += unreadable
        index = None if verdict.custom_id is None else positions.get(verdict.custom_id)
        if index is None:
            self._unknown += not unreadable
            return
        held = _STANDINGS[self._standing[index]]
        self._duplicates += held is not LineStatus.ABSENT
        if verdict.outcome is Outcome.SUCCEEDED:
            standing = LineStatus.SUCCEEDED
        else:
            standing = LineStatus.MALFORMED if unreadable else LineStatus.FAILED
        if not displaces(standing, held):
            return
        if verdict.code not in self._numbers:
            self._numbers[verdict.code] = len(self._codes)
            self._codes.append(verdict.code or "")
        self._standing[index] = standing
        self._passing[index] = verdict.outcome is Outcome.TRANSIENT
        self._file[index], self._offset[index], self._length[index] = place
        self._code[index] = self._numbers[verdict.code]
        if standing is not LineStatus.SUCCEEDED:
            self._messages[index] = verdict.message
        else:
            self._messages.pop(index, None)

    def _settle(self) -> SubmissionResults:
        """Say what has become of each row."""
        rows: dict[int, list[int]] = {standing: [] for standing in LineStatus}
        transient: list[int] = []
        permanent: list[int] = []
        tally = ErrorCounts()
        for index, (row, standing) in enumerate(zip(self._rows, self._standing, strict=True)):
            rows[standing].append(row)
            if LineStatus.ABSENT < standing < LineStatus.SUCCEEDED:
                (transient if self._passing[index] else permanent).append(row)
                tally.add(self._codes[self._code[index]], self._messages.get(index))
        absent = RowSet.from_iterable(rows[LineStatus.ABSENT])
        return SubmissionResults(
            succeeded=RowSet.from_iterable(rows[LineStatus.SUCCEEDED]),
            transient=RowSet.from_iterable(transient).union(absent),
            permanent=RowSet.from_iterable(permanent),
            missing=absent,
            unknown=self._unknown,
            malformed=self._malformed,
            duplicates=self._duplicates,
            codes=tally.counts,
            examples=tally.examples,
        )

    def __iter__(self) -> Iterator[AnswerLocation]:
        """Yield the place of each row, in the order of `ids`."""
        for index, row in enumerate(self._rows):
            standing = _STANDINGS[self._standing[index]]
            yield AnswerLocation(
                row,
                standing,
                self._files[self._file[index]] if standing else None,
                self._offset[index],
                self._length[index],
                self._codes[self._code[index]] or None,
                self._custom_ids.get(index),
            )


def settle(files: Sequence[Path], ids: Iterable[tuple[int, str]]) -> SubmissionResults:
    """Join the files of one submission with what it asked.

    `files` are its output and error file, those that exist, in any order: dialects put failures
    in either. `ids` are the rows it asked with their custom_ids, each once. Raises LocalFileError
    when a file cannot be read, and ValueError when a custom_id was asked twice.
    """
    return AnswerIndex(ids, files).settled
