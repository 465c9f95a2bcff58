"""What tells, without reading it, that a file is still the one that was read.

Hashing gigabytes on every pass would be waste, so a digest is remembered together with the
file's size, times and inode, as git's index does. This holds only once the file has aged a
little: two writes within one tick of the file system's clock leave the same times behind
(git calls such an entry "racily clean"; its Documentation/technical/racy-git.txt).
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runner.errors import InputChanged, InvalidInput, LocalFileError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

_COARSE_TICK: Final = 2_000_000_000
"""Nanoseconds: FAT keeps times to 2 s, and old NFS and ext3 to 1 s."""

_FINE_TICK: Final = 20_000_000
"""Nanoseconds: Linux stamps files once a scheduler tick, 10 ms at the slowest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """A file's identity by its metadata; `path` is as the caller gave it."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path, *, shown: str | None = None) -> Fingerprint:
        """Return the fingerprint of `path`; raises InvalidInput where there is no such file."""
        try:
            return cls.from_stat(path, path.stat())
        except (OSError, ValueError) as error:
            raise _unreadable(shown or str(path), error) from error

    @classmethod
    def from_stat(cls, path: Path, status: os.stat_result) -> Fingerprint:
        """Read the fingerprint from what `stat` said of `path`."""
        return cls(
            path=str(path),
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            inode=status.st_ino,
        )

    def is_reliable(self, now_ns: int) -> bool:
        """Say whether a later write is bound to show in these times.

        `now_ns` is the time the fingerprint was taken, in nanoseconds since 1970. A digest
        may be remembered under a settled fingerprint only.
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
    """Open an input for reading and insist that it is the same file when the block is left.

    Raises InvalidInput for what is missing, unreadable or no regular file (a pipe could be read
    only once), InputChanged where the file is not the `expected` one or was written to, moved
    or replaced meanwhile, and LocalFileError where reading fails. A problem found in a file that
    changed meanwhile is no problem of the file: InputChanged comes first.
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
    """Read up to `size` bytes; raises LocalFileError where the disk or the network fails."""
    try:
        return file.read(size)
    except OSError as error:
        raise LocalFileError(f"{shown}: cannot be read: {_reason(error)}") from error


def _open(path: Path, shown: str) -> FileIO:
    try:
        _require_regular(path.stat(), shown)
        # Not blocking, should a pipe have taken the file's place since.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable(shown, error) from error
    file = open(descriptor, "rb", buffering=0)  # noqa: PTH123, SIM115 - the caller closes it
    try:
        _require_regular(os.fstat(descriptor), shown)
    except InvalidInput:
        file.close()
        raise
    return file


def _require_regular(status: os.stat_result, shown: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        message = "is a folder: name the JSONL file in it"
    elif not stat.S_ISREG(status.st_mode):
        message = "is not a regular file: an input is read more than once, write it to a file"
    else:
        return
    raise InvalidInput([Problem(path=shown, message=message)])


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
        f"{shown} was changed {when}: nothing of it was sent; run again once it is complete"
    )


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
