"""The files of a run: their names, how they are opened safely, and how files are written durably.

Every OSError becomes a LocalFileError with the path and the reason, so that a full disk never
looks like a bug.

Others can write to the folder of a run, and `run.json` can hold any text where a file name
belongs. So a name is opened only if runner itself would have written a file of that name into the
folder, and no link is followed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.errors import LocalFileError
from runner.spec.identity import REVISION_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader


_WORDS: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota on this disk is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "the file system does not permit it",
    errno.ENOENT: "there is no such file or folder",
    errno.ENOTDIR: "part of this path is a file, not a folder",
    errno.EISDIR: "there is a folder of this name",
    errno.EFBIG: "the file would be larger than is allowed here",
    errno.EIO: "the disk reports an input/output error",
    errno.EMFILE: "too many files are open",
    errno.ENAMETOOLONG: "the name is too long for this file system",
}

_CANNOT_SYNC_FOLDERS: Final = frozenset(
    {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM, errno.ENOSYS}
)


def refusal(path: Path, problem: OSError, *, doing: str) -> LocalFileError:
    """Return the LocalFileError with the reason why `path` cannot be read or written."""
    number = problem.errno or 0
    reason = _WORDS.get(number) or problem.strerror or str(problem)
    return LocalFileError(f"{path} cannot be {doing}: {reason}")


@contextmanager
def explained(path: Path, *, doing: str) -> Iterator[None]:
    """Raise LocalFileError about `path` for an OSError of the block.

    `doing` completes "cannot be …": `written`, `read`, `replaced`.
    """
    try:
        yield
    except OSError as problem:
        raise refusal(path, problem, doing=doing) from problem


def write_whole(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Replace the content of a file atomically, or create the file.

    A link stays, and its target is replaced. A device or a pipe is not: others would lose it.
    `mode` is set whatever the umask is; without it the umask decides. Raises LocalFileError.
    """
    real = Path(os.path.realpath(path))
    with explained(path, doing="written"):
        if real.exists() and not (real.is_file() or real.is_dir()):
            raise LocalFileError(f"{path} cannot be written: it is not a regular file")
        part = real.with_name(f".{real.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(real)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def prove_writable(folder: Path) -> None:
    """Make the folder of a run, and prove that files of a run can be made in it and renamed.

    A file with the longest name that a run gives is made and removed; its name is always the same,
    so that one left by a crash is removed here. Raises LocalFileError.
    """
    for place in (folder, folder / RAW):
        with explained(place, doing="written"):
            place.mkdir(parents=True, exist_ok=True)
            probe = place / f".99999-99999.{OUTPUT}.part"
            probe.unlink(missing_ok=True)
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
            probe.unlink()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the content of a file, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> bool:
    """Sync a folder, so that the names in it survive a power cut; return whether that is possible.

    Some network and user-space file systems cannot sync a folder. That is no error: results must
    not depend on it. Raises LocalFileError for any other failure.
    """
    with explained(folder, doing="written"):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as problem:
            if problem.errno not in _CANNOT_SYNC_FOLDERS:
                raise
            return False
    return True


OUTPUT: Final = "output.jsonl"
ERRORS: Final = "errors.jsonl"
RECORD: Final = "run.json"
RAW: Final = "raw"
"""The folder of the downloaded files."""
BY_ORDER: Final = "by_order"
"""The kind of a file in it with lines that were matched by order, next to `output` and `error`."""


LATEST: Final = "latest"
"""The link to a job's desired revision, in the folder of the job."""
_REVISION_LINE: Final = re.compile(rb"([0-9a-f]{%d})\n" % REVISION_SHOWN)


def read_latest(job_folder: Path) -> str | None:
    """Return the revision that `latest` names; None if it is not there or not runner's."""
    link = job_folder / LATEST
    try:
        if link.is_symlink():
            return os.readlink(link)  # noqa: PTH115
        with link.open("rb") as file:
            named = _REVISION_LINE.fullmatch(file.read(REVISION_SHOWN + 2))
    except OSError:
        return None  # not there, or something else of that name: pointing it says what is wrong
    return None if named is None else named[1].decode()


class FileRejected(Exception):
    """A file that is not opened, or whose content cannot be used.

    The text says why and completes a sentence that begins with the file's name.
    """


def open_file(folder: Path, name: str) -> BufferedReader:
    """Open a file of a run's folder for reading, by its name in the record.

    Follows no link and does not wait for a pipe. Raises FileNotFoundError if there is no such
    file, FileRejected if it must not or cannot be opened.
    """
    if not is_run_file(name):
        raise FileRejected("is not a file of this folder and was not opened")
    if name.startswith(f"{RAW}/") and os.path.islink(folder / RAW):  # noqa: PTH114 -- it never raises
        raise FileRejected(f"was not opened: {RAW} is a link")
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise FileNotFoundError(str(problem)) from problem
    except OSError as problem:
        if os.path.islink(folder / name):  # noqa: PTH114
            raise FileRejected("is a link and was not opened") from problem
        raise FileRejected(f"cannot be read: {problem.strerror or problem}") from problem
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileRejected("is not a regular file")
    return os.fdopen(descriptor, "rb")


def is_run_file(name: str) -> bool:
    """Return whether a name from a record is a file in the record's folder or in its `raw/`."""
    plain = name.removeprefix(f"{RAW}/")
    if plain in ("", ".", "..") or "/" in plain or "\0" in plain or not _encodable(plain):
        return False
    return name != plain or name in (OUTPUT, ERRORS, RECORD)


def _encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeError:
        return False
    return True
