"""The lock of a ledger, which allows one reconcile at a time, and the time of the last pass.

The kernel releases `flock` when a process ends, however it ends; there is no file to clean up.
Source: flock(2). A pass that finds nothing new leaves no other trace than the time of the file.

A user who can open the file can hold the lock for ever, so it is for this user only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.errors import LedgerError, LockHeld
from runner.files import OTHERS, PRIVATE, PRIVATE_FOLDER, without_modes
from runner.text import span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER: Final = ".runner"
"""The folder that only runner uses; a ledger may be in any other, which is then left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """Who holds a lock, such as `process 4711`, and since when, in Unix seconds."""

    process: str
    since: float

    def __str__(self) -> str:
        return f"{self.process}, for {span(max(time.time() - self.since, 0))}"


@contextlib.contextmanager
def locked(
    ledger: Path, *, wait: bool = False, waiting: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lock of a ledger; with `wait`, wait until it is free.

    `waiting` is called with a message before the wait begins. Raises LockHeld if another process
    has the lock, LedgerError if its file cannot be made or belongs to another user.
    """
    path = _path(ledger)
    try:
        path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        about = path.parent.stat()
        if path.parent.name == FOLDER and about.st_uid == os.geteuid() and about.st_mode & OTHERS:
            with without_modes():
                path.parent.chmod(PRIVATE_FOLDER)  # earlier versions made it readable for all
        descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, PRIVATE
        )
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    try:
        _make_private(path, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            held = _held(ledger, descriptor)
            if not wait:
                raise held from error
            if waiting is not None:
                waiting(str(held))
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.utime(descriptor)
        yield
    finally:
        os.close(descriptor)


def holder(ledger: Path) -> LockHolder | None:
    """Return the holder of a ledger's lock; None if it is free or its file cannot be read.

    The lock is not taken. Where the kernel has no list (/proc/locks, on Linux) it is tried.
    """
    try:
        descriptor = os.open(
            _path(ledger), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        )
    except OSError:
        return None
    try:
        process = _process(descriptor)
        if process is None:
            return None
        return LockHolder(process=process, since=os.fstat(descriptor).st_mtime)
    finally:
        os.close(descriptor)


def _held(ledger: Path, descriptor: int) -> LockHeld:
    """Return the error for a lock that another process has."""
    found = LockHolder(
        process=_process(descriptor) or "another process", since=os.fstat(descriptor).st_mtime
    )
    return LockHeld(f"another reconcile is running on {ledger} ({found})", since=found.since)


def _process(descriptor: int) -> str | None:
    """Return who holds the lock of an open file, such as `process 4711`; None if it is free."""
    inode = os.fstat(descriptor).st_ino
    try:
        listing = Path("/proc/locks").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _tried(descriptor)
    for line in listing.splitlines():
        # 1: FLOCK  ADVISORY  WRITE 4711 fe:01:393217 0 EOF; proc_locks(5)
        _, kind, _, _, process, place, *_ = [*line.split(), *[""] * 6]
        if kind == "FLOCK" and place.rpartition(":")[2] == str(inode):
            # A process of another container has no number here.
            return f"process {process}" if process.strip("0-") else "another process"
    return None


def _tried(descriptor: int) -> str | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return "another process"
    return None


def _make_private(path: Path, descriptor: int) -> None:
    """Take the file from the group and others. Raises LedgerError if it is another user's.

    A file of the administrator is accepted, and the administrator accepts any.
    """
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        raise _unusable(path, "it is no regular file")
    me = os.geteuid()
    if about.st_uid == me:
        if stat.S_IMODE(about.st_mode) & ~PRIVATE:
            with without_modes():
                os.fchmod(descriptor, PRIVATE)
    elif 0 not in (me, about.st_uid):
        raise _unusable(path, f"it belongs to another user (uid {about.st_uid}), not to you")


def _unusable(path: Path, reason: str) -> LedgerError:
    return LedgerError(f"the lock {path} cannot be taken: {reason}; nothing was submitted")


def _path(ledger: Path) -> Path:
    return ledger.with_name(ledger.name + ".lock")


def last_pass(ledger: Path, now: float) -> float | None:
    """Return when the last pass began, in Unix seconds; None before the first one.

    While one is under way, however long it takes, that is `now`.
    """
    try:
        at = _path(ledger).stat(follow_symlinks=False).st_mtime
    except OSError:
        return None
    return at if holder(ledger) is None else now
