"""Make, replace and remove files: nothing else in runner opens a file for writing.

Others choose names in the folders that runner writes to. A clone brings what its authors have
committed, links among it, and a shared folder has other users. So

- a file under way has a random name, is made anew, and not through a link: open(2), O_EXCL and
  O_NOFOLLOW;
- it gets its final name by a rename, which replaces a link and never follows it: rename(2);
- no folder below one that the user has named is a link. This is checked by name. Who could change
  it in between may write to these folders already.

Special files are told from regular ones here too: a pipe is never waited for, and a file of the
kernel is never read.

Every OSError becomes a LocalFileError with the path and the reason, so that a full disk never
looks like a bug; where a function says that it raises OSError, the caller has better words.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import io
import os
import re
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, Final

from runner.errors import LocalFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedRandom
    from pathlib import Path


PART: Final = ".part"
"""The end of the name of a file that is under way."""

BY_UMASK: Final = 0o666
PRIVATE: Final = 0o600

PRIVATE_FOLDER: Final = 0o700
OTHERS: Final = 0o077
"""The permissions of the group and of others."""

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

_PART_NAME: Final = re.compile(r"\.(.+)\.[0-9a-f]{16}\.part")
_CANNOT_SYNC_FOLDERS: Final = frozenset(
    {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM, errno.ENOSYS}
)
_NO_MODES: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
_KERNEL: Final = ("/proc/", "/sys/")
_SAFELY: Final = os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_WAITING: Final = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


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


# Folders


def require_no_link(path: Path, *, within: Path) -> None:
    """Raise LocalFileError if `path`, or a folder between `within` and it, is a link.

    `within` itself may be one: the user has named it. Raises LocalFileError too if `path` is not
    below `within`, or if one of the folders cannot be looked at.
    """
    place = within
    for name in _names_below(path, within):
        place /= name
        with explained(path, doing="used"):
            try:
                found = place.lstat().st_mode
            except FileNotFoundError:
                return
        if stat.S_ISLNK(found):
            raise _link_in_the_way(place)


def make_folder(folder: Path, *, within: Path, private: bool = False) -> None:
    """Make a folder and those between `within` and it, none of which may be a link.

    `within` is made too, with the folders above it. With `private` the folder is for this user
    only, also if it is there already. Raises LocalFileError.
    """
    names = _names_below(folder, within)
    place = within
    with explained(folder, doing="written"):
        try:
            within.mkdir(parents=True, exist_ok=True)
            for name in names:
                place /= name
                _make_one(place)
            if private:
                with without_modes():
                    folder.chmod(PRIVATE_FOLDER)
        except FileExistsError as problem:
            raise NotADirectoryError(errno.ENOTDIR, "", str(place)) from problem


def make_private_folders(folder: Path) -> None:
    """Make a folder and those above it; nobody else may look into what is new. Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def _make_one(place: Path) -> None:
    """Make one folder, unless it is there. Not by mkdir(exist_ok=True), which follows a link."""
    try:
        place.mkdir()
    except FileExistsError:
        found = place.lstat().st_mode
        if stat.S_ISLNK(found):
            raise _link_in_the_way(place) from None
        if not stat.S_ISDIR(found):
            raise


def _names_below(path: Path, within: Path) -> tuple[str, ...]:
    names = path.parts[len(within.parts) :]
    if not path.is_relative_to(within) or ".." in names:
        raise LocalFileError(f"{path} is not in {within}, and nothing is written outside of it")
    return names


def _link_in_the_way(place: Path) -> LocalFileError:
    target = ""
    with suppress(OSError):
        target = f" to {os.readlink(place)}"  # noqa: PTH115 -- its text, as it is
    return LocalFileError(
        f"{place} is a link{target}, and runner writes through no link: remove it, and put a "
        f"folder in its place or name the one that it leads to in runner.yaml (`outputs`, `ledger`)"
    )


@contextmanager
def without_modes() -> Iterator[None]:
    """Let a change of permissions fail where the file system has none, such as a network share.

    There its mount decides who may read. Raises OSError for any other failure.
    """
    try:
        yield
    except OSError as problem:
        if problem.errno not in _NO_MODES:
            raise


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


# Files under way


def part_of(path: Path) -> Path:
    """Return a new random name beside `path`, for a file that is to become it."""
    return path.with_name(f".{path.name}.{os.urandom(8).hex()}{PART}")


def parts_of(name: str) -> str:
    """Return the pattern of the names that `part_of` gives to files that are to have this name."""
    return f".{name}.*{PART}"


def name_of_part(name: str) -> str | None:
    """Return the name that a file under way is to get; None if it is no name of `part_of`."""
    found = _PART_NAME.fullmatch(name)
    return None if found is None else found[1]


def create(path: Path, *, mode: int = PRIVATE, buffering: int = -1) -> BinaryIO:
    """Make a file that does not exist yet, and open it for writing. Raises OSError.

    `mode` is its mode, less the umask. A link of this name is not followed but in the way.
    `buffering` is that of `open`.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, mode)
    return open(descriptor, "wb", buffering)  # noqa: PTH123 -- the caller closes it


def rename(old: Path, new: Path) -> None:
    """Give a file or folder another name; a file or link of that name is replaced. Raises OSError.

    A link is replaced itself, whatever it leads to.
    """
    os.replace(old, new)  # noqa: PTH105 -- one function that tests can watch


def make_link(target: str, link: Path) -> None:
    """Make a link to a folder, whose name must be free. Raises OSError."""
    link.symlink_to(target, target_is_directory=True)


def sweep(folder: Path, *patterns: str) -> None:
    """Remove what a crash has left in a folder: files and links of this user with such names.

    Call it only where no other process can be at work: under the lock of the ledger. A folder that
    is not there, or is a link, has nothing to sweep. Raises LocalFileError.
    """
    with explained(folder, doing="read"):
        try:
            if stat.S_ISLNK(folder.lstat().st_mode):
                return
            names = os.listdir(folder)  # noqa: PTH208 -- names are all that is needed
        except (FileNotFoundError, NotADirectoryError):
            return
    for name in names:
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            continue
        path = folder / name
        with explained(path, doing="removed"), suppress(FileNotFoundError):
            found = path.lstat()
            is_ours = found.st_uid == os.geteuid()
            if is_ours and (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
                path.unlink()


# Whole files


def write_whole(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Replace the content of a file atomically, or create the file.

    A link is replaced by the file, and what it leads to stays as it is. A device or a pipe is
    refused: others would lose it. `mode` is set whatever the umask is; without it the umask
    decides. Raises LocalFileError.
    """
    with explained(path, doing="written"):
        with suppress(FileNotFoundError):
            found = path.lstat().st_mode
            if not (stat.S_ISREG(found) or stat.S_ISLNK(found) or stat.S_ISDIR(found)):
                raise LocalFileError(f"{path} cannot be written: it is not a regular file")
        part = part_of(path)
        try:
            with create(part, mode=BY_UMASK if mode is None else PRIVATE) as file:
                if mode is not None:
                    with without_modes():
                        os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            rename(part, path)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def open_lasting(path: Path) -> BufferedRandom:
    """Open a file that stays, such as a lock, for reading and writing, or make it.

    Raises OSError, also for a link and for a file with a second name, which may be anywhere.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | _SAFELY, PRIVATE)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file with one name", str(path))
    return os.fdopen(descriptor, "r+b")


def nameless() -> BinaryIO:
    """Return a new file without a name, which ends when it is closed. Raises OSError."""
    import tempfile

    return tempfile.TemporaryFile()


# Reading


def irregular(path: Path, found: os.stat_result) -> str | None:
    """Return what `path` is if it is no regular file on a disk, such as `a folder`; else None.

    A file of the kernel looks regular, and reading it can block or use it up (/proc/kmsg): proc(5).
    """
    if stat.S_ISDIR(found.st_mode):
        return "a folder"
    if not stat.S_ISREG(found.st_mode):
        return "not a regular file"
    # Resolving the path costs more than reading a small file: only what is on no disk needs it.
    if found.st_blocks == 0 and os.path.realpath(path).startswith(_KERNEL):
        return "a file of the kernel"
    return None


def open_regular(path: Path, *, buffering: int = io.DEFAULT_BUFFER_SIZE) -> io.BufferedReader:
    """Open a regular file for reading; links are followed. Raises OSError, also for other kinds.

    Does not wait for a pipe, and the file that is open is the one that was checked.
    """
    descriptor = os.open(path, os.O_RDONLY | _NOT_WAITING)
    what = irregular(path, os.fstat(descriptor))
    if what is not None:
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"it is {what}", str(path))
    return io.BufferedReader(io.FileIO(descriptor), buffering)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the content of a file, in hexadecimal. Raises OSError."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
