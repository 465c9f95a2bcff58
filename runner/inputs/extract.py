"""Write rows of an input to a file to upload: all rows of a shard, or those of an attempt.

Rows are stored only in the input: it is read again from the shard's first row, and its bytes are
copied unchanged. The caller compares the digest with that of the validated rows; a file that
changes or ends early raises InputChanged here.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from runner.errors import InputChanged, LocalFileError
from runner.inputs.reading import OversizedLine, canonical_row, open_unchanged, read_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path
    from typing import BinaryIO

    from runner.inputs.reading import Fingerprint
    from runner.inputs.row_set import RowSet


class ShardLocation(Protocol):
    """The position of a shard in its input."""

    @property
    def offset(self) -> int:
        """The byte offset of the first row in the input."""

    @property
    def rows(self) -> RowSet:
        """All rows of the shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractedFile:
    """The number of requests and bytes that were written, and their SHA-256 in hexadecimal."""

    requests: int
    bytes: int
    sha256: str


def write_rows(
    path: Path,
    *,
    shard: ShardLocation,
    rows: RowSet,
    destination: BinaryIO,
    shown: str | None = None,
    expected: Fingerprint | None = None,
) -> ExtractedFile:
    """Write `rows`, some or all rows of the shard, to `destination`, each with one line feed.

    For all rows of a shard the result has exactly its `bytes` and `sha256`. Memory is limited to a
    block and the longest row. Raises InputChanged if the input is not the `expected` one, changes
    while it is read or has too few rows, InvalidInput if it cannot be opened, LocalFileError if
    reading or writing fails, and ValueError for rows of another shard.
    """
    if rows.difference(shard.rows):
        raise ValueError("some rows are not in the shard")
    shown = shown or str(path)
    digest = hashlib.sha256()
    requests = size = 0
    with open_unchanged(path, shown=shown, expected=expected) as (file, _):
        if rows:
            file.seek(shard.offset)
            for kept in _selected_lines(file, first=shard.rows.first, rows=rows, shown=shown):
                lines = b"\n".join(kept) + b"\n"
                requests += len(kept)
                size += len(lines)
                digest.update(lines)
                try:
                    destination.write(lines)
                except OSError as error:
                    raise LocalFileError(f"a shard cannot be written: {error}") from error
    if requests != len(rows):
        raise InputChanged(
            f"{shown} has fewer rows than when it was validated: nothing was sent;"
            " run again once it is complete"
        )
    return ExtractedFile(requests=requests, bytes=size, sha256=digest.hexdigest())


def _selected_lines(file: FileIO, *, first: int, rows: RowSet, shown: str) -> Iterator[list[bytes]]:
    """Yield `rows` in non-empty lists; the file is positioned at the begin of row `first`."""
    ranges = rows.ranges()
    start, stop = next(ranges)
    row = first
    for block in read_blocks(file, longest=sys.maxsize, shown=shown):
        if isinstance(block, OversizedLine):  # pragma: no cover - no line is longer than maxsize
            continue
        block_rows = [each for each in map(canonical_row, block.lines) if each]
        end = row + len(block_rows)
        kept: list[bytes] = []
        while start < end:
            kept += block_rows[max(start - row, 0) : stop - row]
            if stop > end:
                break
            following = next(ranges, None)
            if following is None:
                yield kept
                return
            start, stop = following
        if kept:
            yield kept
        row = end
