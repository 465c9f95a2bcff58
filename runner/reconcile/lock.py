"""One reconcile a ledger at a time, by a lock that dies with its holder.

`flock` is released by the kernel when a process ends, however it ends; there is no file to
clean up by hand. Source: flock(2).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from runner.errors import LedgerError, LockHeld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def locked(ledger: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a ledger; with `wait`, after whoever holds it now.

    Raises LockHeld if another process has it, LedgerError if the file cannot be made.
    """
    path = ledger.with_name(ledger.name + ".lock")
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
            raise LockHeld(f"another reconcile is at work on {ledger}") from error
        yield
    finally:
        os.close(descriptor)
