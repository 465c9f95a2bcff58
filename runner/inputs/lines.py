"""Read the lines of an input in blocks that fit the processor's cache.

Lines end at a line feed byte only: U+2028, U+2029 and U+0085 are data inside JSON strings, and
readers in text mode that split there have broken requests (fact sheet, failure 17). A byte order
mark at the start is skipped (failure 18).

Blocks are small because each is split, checked, decoded and hashed: at this size three of the
four steps find the bytes in the cache, which is a quarter faster than with 1 MiB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.inputs import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

BLOCK_BYTES: Final = 256 * 1024

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some whole lines: at least one, and as many as fit.

    `lines` are without their line feeds; `data` is the same part of the file, unchanged, from byte
    `offset` on. `number` is that of the first line, from 1. `ended` is False only for a last line
    without a line feed.
    """

    lines: list[bytes]
    data: bytes
    offset: int
    number: int
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OversizedLine:
    """A line that is too long to be kept in memory; `size` is without its line feed."""

    number: int
    size: int


def read_blocks(file: FileIO, *, longest: int, shown: str) -> Iterator[Block | OversizedLine]:
    """Yield all lines from the position of `file` on, in order.

    A line longer than both `longest` bytes and a block is yielded as OversizedLine; a line longer
    than `longest` only may be. Memory: a block and the longest line. Raises LocalFileError.
    """
    offset = file.tell()
    chunk = fingerprint.read(file, BLOCK_BYTES, shown=shown)
    if offset == 0 and chunk.startswith(BYTE_ORDER_MARK):
        offset = len(BYTE_ORDER_MARK)
        chunk = chunk[offset:] or fingerprint.read(file, BLOCK_BYTES, shown=shown)
    number = 1
    held: list[bytes] = []  # the beginning of a line without its end
    held_size = 0
    while chunk:
        if held_size > longest and (end := chunk.find(b"\n")) >= 0:
            yield OversizedLine(number=number, size=held_size + end)
            offset += held_size + end + 1
            number += 1
            chunk = chunk[end + 1 :]
            held_size = 0
        whole = chunk.rfind(b"\n") + 1
        if whole:
            data = b"".join((*held, chunk[:whole]))
            lines = data.split(b"\n")
            lines.pop()
            yield Block(lines=lines, data=data, offset=offset, number=number, ended=True)
            offset += len(data)
            number += len(lines)
            held.clear()
            held_size = 0
        held_size += len(chunk) - whole
        if held_size <= longest:
            held.append(chunk[whole:])
        else:
            held.clear()
        chunk = fingerprint.read(file, BLOCK_BYTES, shown=shown)
    if held_size > longest:
        yield OversizedLine(number=number, size=held_size)
    elif held_size:
        data = b"".join(held)
        yield Block(lines=[data], data=data, offset=offset, number=number, ended=False)


def canonical_row(line: bytes) -> bytes:
    """Return the row of a line, b"" for a line of white space.

    The row is the line without the carriage return of a Windows line end; every other byte is
    unchanged. The row and one line feed are uploaded, counted and hashed.
    """
    return b"" if line.isspace() else line.removesuffix(b"\r")
