"""Lines of an input, in blocks that fit the processor's cache.

Lines end at a line feed byte and nowhere else: U+2028, U+2029 and U+0085 are data inside JSON
strings, and text-mode readers that split there have cut requests in two (fact sheet, failure
17). A byte order mark at the very start is skipped (failure 18).

Blocks are small on purpose: one is split, checked, decoded and hashed, four walks over the same
bytes, and at this size all but the first find them in the cache (a quarter faster than 1 MiB).
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

    `lines` are without their line feeds, `data` is the same as it stands in the file, from byte
    `offset` on. `number` is that of the first line, from 1. `ended` is False only for a last
    line that no line feed follows.
    """

    lines: list[bytes]
    data: bytes
    offset: int
    number: int
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OversizedLine:
    """A line too long to be held in memory; `size` is without its line feed."""

    number: int
    size: int


def read_blocks(file: FileIO, *, longest: int, shown: str) -> Iterator[Block | OversizedLine]:
    """Yield all lines from where `file` stands, in order.

    Lines longer than `longest` bytes may come as Overlong (those longer than both `longest` and
    a block do). Memory: a block and the longest line. Raises LocalFileError.
    """
    offset = file.tell()
    chunk = fingerprint.read(file, BLOCK_BYTES, shown=shown)
    if offset == 0 and chunk.startswith(BYTE_ORDER_MARK):
        offset = len(BYTE_ORDER_MARK)
        chunk = chunk[offset:] or fingerprint.read(file, BLOCK_BYTES, shown=shown)
    number = 1
    held: list[bytes] = []  # the beginning of a line whose end is still to come
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
    """Return the row that a line holds, b"" for one of nothing but white space.

    The row is the line without the carriage return that Windows puts at its end; every other
    byte stays. What is uploaded, counted and hashed is this and one line feed.
    """
    return b"" if line.isspace() else line.removesuffix(b"\r")
