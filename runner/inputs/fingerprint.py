"""Detect a changed file by its metadata, without reading it.

Hashing gigabytes in every pass would take too long, so the ledger stores the digest of an input
with the file's size, times and inode, as git's index does. This is reliable only for a file that
is older than one tick of the file system's clock: two writes within one tick leave the same times
(git calls such an entry "racily clean"; its Documentation/technical/racy-git.txt).
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
