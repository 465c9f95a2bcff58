"""Write and read the ids file: the custom_id of every row, one JSON string a line, in row order.

Responses arrive in any order, with their custom_id only. The ids file gives their row without
reading the input again, which may be gigabytes of prompts.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from runner.errors import LocalFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from runner.inputs.row_set import RowSet


class CustomIdWriter:
    """A writer of ids, a block of lines at a time; without a file it only counts bytes."""

    __slots__ = ("_encode", "_file", "_offset", "_pending")

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self._pending: list[str] = []
        self._offset = 0
        self._encode = msgspec.json.Encoder().encode_lines

    def add(self, custom_id: str) -> None:
        """Add the id of the next row."""
        self._pending.append(custom_id)

    def offset(self) -> int:
        """Write the ids added so far and return the byte offset of the next line.

        Raises LocalFileError if the disk is full or fails.
        """
        if self._pending:
            lines = self._encode(self._pending)
            self._pending.clear()
            self._offset += len(lines)
            if self._file is not None:
                try:
                    self._file.write(lines)
                except OSError as error:
                    raise LocalFileError(f"the file of ids cannot be written: {error}") from error
        return self._offset


def read_custom_ids(
    ids: BinaryIO, *, shard_offset: int, rows: RowSet, wanted: RowSet | None
) -> Iterator[tuple[int, str]]:
    """Yield `row, custom_id` of the rows of a shard, or those of them in `wanted`, ascending.

    `shard_offset` is the shard's `ids_offset` and `rows` are all of its rows. Raises
    LocalFileError if the file is shorter than the shard or is not an ids file.
    """
    chosen = rows if wanted is None else rows.intersection(wanted)
    if not chosen:
        return
    try:
        ids.seek(shard_offset)
        at = rows.first
        for start, stop in chosen.ranges():
            # Lines in between are of other shards, or are not wanted.
            lines = islice(ids, start - at, stop - at)
            at = start
            for line in lines:
                yield at, msgspec.json.decode(line, type=str)
                at += 1
            if at != stop:
                raise LocalFileError(f"the file of ids ends at row {at}, before row {stop - 1}")
    except (OSError, msgspec.DecodeError) as error:
        raise LocalFileError(f"the file of ids cannot be read: {error}") from error
