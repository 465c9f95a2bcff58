"""Where the answer to each row of a shard is, as numbers.

A shard's answers may be gigabytes, so what is kept of them is their place: some twenty bytes a
row in flat arrays. The custom_ids are needed while files are joined with rows and dropped after
it, but for those rows whose error line has to be written by us.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.outputs.results import Standing, displaces, read_results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from runner.inputs.rows import RowSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The best line of one row.

    `file`, `offset` and `length` say where it is; they mean nothing for an ABSENT row.
    `custom_id` is kept for ABSENT and MALFORMED rows only, `code` for FAILED ones.
    """

    row: int
    standing: Standing
    file: Path | None
    offset: int
    length: int
    code: str | None
    custom_id: str | None


class Places:
    """The best line of every row of a shard, found in one reading of its files."""

    def __init__(
        self,
        rows: RowSet,
        ids: Callable[[], Iterable[tuple[int, str]]],
        files: Sequence[Path],
    ) -> None:
        """Read `files`, given in the order in which the provider wrote them.

        Raises LocalFileError when a file cannot be read, and ValueError when `ids` are not those
        of `rows`, in their order, each once.
        """
        self._files: Final = tuple(files)
        self._rows: Final = array("q")
        positions: dict[str, int] = {}
        for row, custom_id in ids():
            positions[custom_id] = len(self._rows)
            self._rows.append(row)
        count = len(self._rows)
        if (
            len(positions) != count
            or count != len(rows)
            or any(row != expected for row, expected in zip(self._rows, rows, strict=True))
        ):
            raise ValueError(f"the custom_ids given are not those of the rows {rows}")
        self._standing: Final = bytearray(count)
        self._file: Final = array("L", bytes(array("L").itemsize * count))
        self._offset: Final = array("q", bytes(8 * count))
        self._length: Final = array("q", bytes(8 * count))
        self._code: Final = array("L", bytes(array("L").itemsize * count))
        self._codes: Final[list[str]] = [""]
        self._read(positions)
        self._custom_ids: Final = {
            index: custom_id
            for custom_id, index in positions.items()
            if self._standing[index] < Standing.FAILED
        }

    def _read(self, positions: dict[str, int]) -> None:
        numbers: dict[str | None, int] = {None: 0}
        for number, file in enumerate(self._files):
            for line in read_results(file):
                index = positions.get(line.custom_id) if line.custom_id is not None else None
                if index is None:
                    continue
                standing = line.standing
                if not displaces(standing, Standing(self._standing[index])):
                    continue
                if line.code not in numbers:
                    numbers[line.code] = len(self._codes)
                    self._codes.append(line.code or "")
                self._standing[index] = standing
                self._file[index] = number
                self._offset[index] = line.offset
                self._length[index] = line.length
                self._code[index] = numbers[line.code]

    def __iter__(self) -> Iterator[Place]:
        """Yield the place of each row, in row order."""
        for index, row in enumerate(self._rows):
            standing = Standing(self._standing[index])
            yield Place(
                row=row,
                standing=standing,
                file=self._files[self._file[index]] if standing else None,
                offset=self._offset[index],
                length=self._length[index],
                code=self._codes[self._code[index]] or None,
                custom_id=self._custom_ids.get(index),
            )
