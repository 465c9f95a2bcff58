"""A look at a ledger in passing, for whoever cannot wait and need not be told why not."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path


_PATIENCE: Final = 0.05
"""Seconds for a lock that another program holds."""


def job_names(path: Path) -> tuple[str, ...]:
    """Return the names of all jobs ever seen; none where the ledger cannot be read at once.

    Migrates nothing, leaves nothing behind and never raises: what is wrong with a ledger is for
    the commands to say that need it.
    """
    try:
        # Not `mode=ro`, which leaves the files of the write-ahead log lying about.
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, timeout=_PATIENCE, uri=True)) as connection:
            connection.execute("PRAGMA query_only = ON")
            return tuple(name for (name,) in connection.execute("SELECT name FROM jobs"))
    except (OSError, ValueError, sqlite3.Error):
        return ()


def schema_number(path: Path) -> int | None:
    """Return the number of the schema that a ledger has; None where there is none to be read.

    Opening a ledger brings it up to date. This does not.
    """
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, timeout=_PATIENCE, uri=True)) as connection:
            number: int = connection.execute("PRAGMA user_version").fetchone()[0]
            return number or None
    except (OSError, ValueError, sqlite3.Error):
        return None


def sqlite_version() -> str:
    """Return the version of the SQLite that is in use."""
    return sqlite3.sqlite_version
