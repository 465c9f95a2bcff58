"""The lock of a ledger, which allows one reconcile at a time, and the time of the last pass.

The kernel releases `flock` when a process ends, however it ends; there is no file to clean up.
Source: flock(2).

A pass that finds nothing new leaves no trace in the ledger, and shall not: readers wake up when
the ledger changes. So a pass that leaves unfinished jobs sets the time of an empty file beside it,
at most once in five minutes. A pass that leaves none changes no file at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.errors import LedgerError, LockHeld
from runner.outputs.files import explained

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTERVAL: Final = 300.0
"""Seconds between two changes of the file; the time that it has is right within them."""


@contextlib.contextmanager
def locked(ledger: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a ledger; with `wait`, wait until it is free.

    Raises LockHeld if another process has it, LedgerError if the file cannot be made.
    """
    path = _path(ledger)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LedgerError(
            f"the lock {path} cannot be taken: {error.strerror or error}; nothing was submitted"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise LockHeld(f"another reconcile is running on {ledger}") from error
        yield
    finally:
        os.close(descriptor)


def holder(ledger: Path) -> str | None:
    """Return the holder of a ledger's lock, such as `process 4711`; None if it is free.

    The lock is not taken. Where the kernel has no list (/proc/locks, on Linux) it is tried.
    """
    try:
        descriptor = os.open(_path(ledger), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
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
    finally:
        os.close(descriptor)


def _tried(descriptor: int) -> str | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return "another process"
    return None


def _path(ledger: Path) -> Path:
    return ledger.with_name(ledger.name + ".lock")


def record_pass(ledger: Path, now: float) -> None:
    """Record that a pass has left unfinished jobs; `now` is in Unix seconds.

    Raises LocalFileError.
    """
    path = _pass_path(ledger)
    before = _time(path)
    if before is not None and 0 <= now - before < _INTERVAL:
        return
    with explained(path, doing="written"):
        path.touch()
        os.utime(path, (now, now))


def last_pass(ledger: Path, now: float) -> float | None:
    """Return when a pass was made last, in Unix seconds; None if none has left unfinished jobs.

    While a pass is under way, however long it takes, that is now.
    """
    at = _time(_pass_path(ledger))
    if at is None or now - at < 2 * _INTERVAL:
        return at
    return at if holder(ledger) is None else now


def _time(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _pass_path(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.name}.pass")
