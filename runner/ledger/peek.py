"""Quick reads of a ledger that never wait, migrate or raise: for shell completion and `doctor`."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path


_PATIENCE: Final = 0.05
"""Seconds to wait for a lock that another program holds."""

_LONGEST: Final = 0.5
"""Seconds after which a query is given up: the file may come from elsewhere."""


def job_names(path: Path) -> tuple[str, ...]:
    """Return the names of all recorded jobs; none if the ledger cannot be read immediately.

    It migrates nothing, leaves no file behind and never raises: the commands that need the ledger
    report its problems.
    """
    try:
        # `mode=ro` would leave the files of the write-ahead log behind.
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, timeout=_PATIENCE, uri=True)) as connection:
            connection.execute("PRAGMA query_only = ON")
            until = time.monotonic() + _LONGEST
            connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)
            return tuple(name for (name,) in connection.execute("SELECT name FROM jobs"))
    except (OSError, ValueError, sqlite3.Error):
        return ()


def schema_number(path: Path) -> int | None:
    """Return the schema version of a ledger; None if it cannot be read. Migrates nothing."""
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, timeout=_PATIENCE, uri=True)) as connection:
            number: int = connection.execute("PRAGMA user_version").fetchone()[0]
            return number or None
    except (OSError, ValueError, sqlite3.Error):
        return None


def sqlite_version() -> str:
    """Return the version of the SQLite library."""
    return sqlite3.sqlite_version
