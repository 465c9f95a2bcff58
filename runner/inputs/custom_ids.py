"""The ids file: the custom_id of every row, one JSON string a line, in row order.

Answers come back in any order and know only their custom_id; putting them into input order must
not need the input again, which may be gigabytes of prompts.
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
    """Writes ids as lines, a block at a time; without a file it only keeps count of bytes."""

    __slots__ = ("_encode", "_file", "_offset", "_pending")

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self._pending: list[str] = []
        self._offset = 0
        self._encode = msgspec.json.Encoder().encode_lines

    def add(self, custom_id: str) -> None:
        """Note the id of the next row."""
        self._pending.append(custom_id)

    def offset(self) -> int:
        """Write what is noted and return where the next line begins, in bytes from the first.

        Raises LocalFileError where the disk is full or fails.
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
    """Yield `row, custom_id` for the rows of a shard, or those of them in `wanted`, ascending.

    `shard_offset` is the shard's `ids_offset` and `rows` are all of its rows. Raises
    LocalFileError where the file is shorter than the shard or is no ids file.
    """
    chosen = rows if wanted is None else rows.intersection(wanted)
    if not chosen:
        return
    try:
        ids.seek(shard_offset)
        at = rows.first
        for start, stop in chosen.ranges():
            # Lines of rows in between belong to other shards, or are not wanted.
            lines = islice(ids, start - at, stop - at)
            at = start
            for line in lines:
                yield at, msgspec.json.decode(line, type=str)
                at += 1
            if at != stop:
                raise LocalFileError(f"the file of ids ends at row {at}, before row {stop - 1}")
    except (OSError, msgspec.DecodeError) as error:
        raise LocalFileError(f"the file of ids cannot be read: {error}") from error
