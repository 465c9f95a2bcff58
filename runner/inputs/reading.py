"""Read an input: notice a change of the file without reading it, and read its lines in blocks.

Hashing gigabytes in every pass would take too long, so the ledger stores the digest of an input
with the file's size, times and inode, as git's index does. This is reliable only for a file that
is older than one tick of the file system's clock: two writes within one tick leave the same times
(git calls such an entry "racily clean"; its Documentation/technical/racy-git.txt).

Lines end at a line feed byte only: U+2028, U+2029 and U+0085 are data inside JSON strings, and
readers in text mode that split there have broken requests (fact sheet, failure 17). A byte order
mark at the start is skipped (failure 18).

Blocks are small because each is split, checked, decoded and hashed: at this size three of the
four steps find the bytes in the cache, which is a quarter faster than with 1 MiB.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.errors import InputChanged, InvalidInput, LocalFileError, Problem
from runner.files import irregular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

_COARSE_TICK: Final = 2_000_000_000
"""Nanoseconds: FAT stores times to 2 s, old NFS and ext3 to 1 s."""

_FINE_TICK: Final = 20_000_000
"""Nanoseconds: Linux updates the clock of files once a scheduler tick, at most 10 ms."""

BLOCK_BYTES: Final = 256 * 1024

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """The identity of a file by its metadata; `path` is as the caller gave it."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path, *, shown: str | None = None) -> Fingerprint:
        """Return the fingerprint of `path`. Raises InvalidInput if there is no such file."""
        try:
            return cls.from_stat(path, path.stat())
        except (OSError, ValueError) as error:
            raise _unreadable(shown or str(path), error) from error

    @classmethod
    def from_stat(cls, path: Path, status: os.stat_result) -> Fingerprint:
        """Return the fingerprint of `path` from the result of `stat`."""
        return cls(
            path=str(path),
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            inode=status.st_ino,
        )

    def is_reliable(self, now_ns: int) -> bool:
        """Return whether every later write must change these times.

        `now_ns` is the time of the fingerprint, in nanoseconds since 1970. A digest may be stored
        with a reliable fingerprint only.
        """
        for time_ns in (self.mtime_ns, self.ctime_ns):
            tick = _FINE_TICK if time_ns % 1_000_000_000 else _COARSE_TICK
            if abs(now_ns - time_ns) < tick:
                return False
        return True


@contextmanager
def open_unchanged(
    path: Path, *, shown: str, expected: Fingerprint | None = None
) -> Iterator[tuple[FileIO, Fingerprint]]:
    """Open an input for reading and check at the end of the block that it has not changed.

    Raises InvalidInput if it is missing, unreadable or not a regular file (a pipe could be read
    only once), InputChanged if it is not the `expected` file or was written to, moved or replaced
    inside the block, and LocalFileError if reading fails.
    """
    file = _open(path, shown)
    with file:
        before = Fingerprint.from_stat(path, os.fstat(file.fileno()))
        if expected is not None and before != expected:
            raise _changed(shown, "since it was validated")
        yield file, before
        try:
            same = before == Fingerprint.from_stat(path, os.fstat(file.fileno()))
            same = same and before == Fingerprint.from_stat(path, path.stat())
        except OSError as error:
            raise _changed(shown, "while it was read") from error
        if not same:
            raise _changed(shown, "while it was read")


def read(file: FileIO, size: int, *, shown: str) -> bytes:
    """Read up to `size` bytes. Raises LocalFileError if the disk or the network fails."""
    try:
        return file.read(size)
    except OSError as error:
        raise LocalFileError(f"{shown}: cannot be read: {_reason(error)}") from error


def _open(path: Path, shown: str) -> FileIO:
    try:
        _require_regular(path, path.stat(), shown)
        # Not blocking: a named pipe may have replaced the file after the check.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable(shown, error) from error
    file = open(descriptor, "rb", buffering=0)  # noqa: PTH123, SIM115 - the caller closes it
    try:
        _require_regular(path, os.fstat(descriptor), shown)
    except InvalidInput:
        file.close()
        raise
    return file


def _require_regular(path: Path, status: os.stat_result, shown: str) -> None:
    what = irregular(path, status)
    if what is None:
        return
    if stat.S_ISDIR(status.st_mode):
        todo = "name the JSONL file in it"
    else:
        todo = "an input is read more than once; write it to a file"
    raise InvalidInput([Problem(path=shown, message=f"is {what}: {todo}")])


def _unreadable(shown: str, error: OSError | ValueError) -> InvalidInput:
    if isinstance(error, FileNotFoundError):
        message = "no such file: write it there or correct the path"
    elif isinstance(error, PermissionError):
        message = "permission denied: make the file readable for this user"
    else:
        message = f"cannot be opened: {_reason(error)}"
    return InvalidInput([Problem(path=shown, message=message)])


def _changed(shown: str, when: str) -> InputChanged:
    return InputChanged(
        f"{shown} was changed {when}: nothing was sent; run again once it is complete"
    )


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


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
    chunk = read(file, BLOCK_BYTES, shown=shown)
    if offset == 0 and chunk.startswith(BYTE_ORDER_MARK):
        offset = len(BYTE_ORDER_MARK)
        chunk = chunk[offset:] or read(file, BLOCK_BYTES, shown=shown)
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
        chunk = read(file, BLOCK_BYTES, shown=shown)
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
